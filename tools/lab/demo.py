#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration: a real NSD as primary, peregrined as secondary, dig as client, each in a network namespace.

Every answer is compared with what it has to be, and where it was given is told from the counters before and after
it. Exit 0 when all was as said, 1 when something was not.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/integration"))

from lab import Key, Lab, LabError, Load, Nsd, Peregrine, Zone, run  # noqa: E402
from wire import A, wire  # noqa: E402

ZONES = {"example.org": "example.org.zone", "100.51.198.in-addr.arpa": "100.51.198.in-addr.arpa.zone"}
OLD, NEW = 2026010101, 2026010102
WWW_OLD, WWW_NEW = "198.51.100.80", "198.51.100.88"
BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"
RATE = 1000


class NotAsClaimed(Exception):
    """Something that the demonstration says is not so."""


# ------------------------------------------------------------------------------------------------------------- printing


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def section(number: int, title: str) -> None:
    print(f"\n{paint(f'{number}. {title}', '1')}", flush=True)


def say(label: str, text: str) -> None:
    print(f"   {label:<14} {text}", flush=True)


def place(given: str) -> str:
    return paint(f"{given:<9}", {"driver": "32", "fallback": "33"}.get(given, "31"))


# -------------------------------------------------------------------------------------------------------------- queries


@dataclass(frozen=True)
class Question:
    """What is asked, and what has to come back: the RCODE, the records of one section, and where they are made."""

    what: str
    name: str
    rrtype: str
    rcode: str = "NOERROR"
    answer: tuple[str, ...] = ()
    authority: str = ""  # the owner and type that the authority section must hold
    tcp: bool = False


@dataclass(frozen=True)
class Reply:
    question: str
    rcode: str
    flags: tuple[str, ...]
    answer: tuple[str, ...]  # type and rdata
    authority: tuple[str, ...]  # owner and type


OVER_TCP = Question("over TCP", "www.example.org", "A", answer=(f"A {WWW_OLD}",), tcp=True)
QUESTIONS = (
    Question("existing name", "www.example.org", "A", answer=(f"A {WWW_OLD}",)),
    Question("existing name", "www.example.org", "AAAA", answer=("AAAA 2001:db8:100::80",)),
    Question("mixed case", "wWw.ExAmPlE.oRg", "A", answer=(f"A {WWW_OLD}",)),
    Question("alias", "shop.example.org", "A", answer=("CNAME www.example.org.", f"A {WWW_OLD}")),
    Question("missing name", "nobody.example.org", "A", "NXDOMAIN", authority="example.org. SOA"),
    Question("missing type", "www.example.org", "MX", authority="example.org. SOA"),
    Question("wildcard", "ada.people.example.org", "A", answer=("A 198.51.100.90",)),
    Question("referral", "host.lab.example.org", "A", authority="lab.example.org. NS"),
    Question("reverse name", "80.100.51.198.in-addr.arpa", "PTR", answer=("PTR www.example.org.",)),
    OVER_TCP,
)
BY_UDP = tuple(question for question in QUESTIONS if not question.tcp)
NEW_SOA = f"SOA ns1.example.org. hostmaster.example.org. {NEW} 3600 600 1209600 300"
CHANGED = (
    Question("new serial", "example.org", "SOA", answer=(NEW_SOA,)),
    Question("new address", "www.example.org", "A", answer=(f"A {WWW_NEW}",)),
)


def dig_command(question: Question, address: str) -> list[str]:
    words = ["dig", f"@{address}", question.name, question.rrtype, "+norecurse", "+tries=1", "+time=2"]
    return [*words, "+tcp"] if question.tcp else words


def parse_dig(text: str) -> Reply | None:
    """What dig printed; None when no reply came."""
    header = re.search(r"status: (\w+), id: \d+\n;; flags: ([a-z ]*);", text)
    asked = re.search(r"^;(\S+)\s+IN\s+(\S+)$", text, re.MULTILINE)
    if not header or not asked:
        return None

    def records(section_name: str) -> list[list[str]]:
        found = re.search(rf"^;; {section_name} SECTION:\n((?:\S.*\n)+)", text, re.MULTILINE)
        return [line.split(None, 4) for line in found[1].splitlines()] if found else []

    return Reply(
        question=asked[1],
        rcode=header[1],
        flags=tuple(header[2].split()),
        answer=tuple(f"{record[3]} {record[4]}" for record in records("ANSWER")),
        authority=tuple(f"{record[0]} {record[3]}" for record in records("AUTHORITY")),
    )


def check(question: Question, reply: Reply | None) -> Reply:
    """The reply, when it is the one that is due."""
    if reply is None:
        raise NotAsClaimed(f"{question.name} {question.rrtype}: no reply")
    referral = question.authority.endswith(" NS")
    wrong = [
        reply.question != f"{question.name}.",  # with its case
        reply.rcode != question.rcode,
        reply.answer != question.answer,
        bool(question.authority) and question.authority not in reply.authority,
        ("aa" in reply.flags) == referral,
    ]
    if any(wrong):
        raise NotAsClaimed(f"{question.name} {question.rrtype}: {reply} is not what was due: {question}")
    return reply


def shown(question: Question, reply: Reply) -> str:
    """A reply in a few words."""
    if question.rrtype == "SOA":
        return f"serial {reply.answer[0].split()[3]}"
    if reply.answer:
        return ", ".join(record.split(" ", 1)[1] for record in reply.answer)
    if question.authority.endswith(" NS"):
        return f"referral to {question.authority.split()[0]}"
    return f"{reply.rcode} with SOA" if reply.rcode != "NOERROR" else "none of this type, SOA"


# ------------------------------------------------------------------------------------------------------------- counters


class Stage:
    """The laboratory with its servers, and what was counted so far."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.key = Key()
        self.place = lab.make_directory("zones")
        for name in ZONES.values():
            shutil.copy(ROOT / "tools/lab/zones" / name, self.place / name)
        self.agent: Peregrine | None = None
        self.primary: Nsd | None = None
        self.programs: set[int] = set()
        self.asked = {"driver": 0, "fallback": 0}
        self.load_answered = 0

    def file(self, zone: str) -> Path:
        return self.place / ZONES[zone]

    def counters(self) -> tuple[int, int]:
        """Answers by the driver, from the pinned map, agent or not; answers by the fallback, from the agent."""
        dump = json.loads(run(BPFTOOL, "-j", "map", "dump", "pinned", str(self.agent.pins / "counters")))
        driver = sum(cpu["value"]["exits"][0] for cpu in dump[0]["formatted"]["values"])
        if not self.agent.process.running():
            return driver, 0
        fallback = self.agent.counters()["fallback"]
        return driver, fallback["udp"] + fallback["tcp"]

    def ask(self, question: Question, address: str) -> tuple[Reply, str]:
        """Asks by dig from the client's namespace; the reply, and where it was given."""
        before = self.counters()
        text = self.lab.client.run(*dig_command(question, address), check=False)
        after = self.counters()
        reply = check(question, parse_dig(text))
        steps = (after[0] - before[0], after[1] - before[1])
        given = {(1, 0): "driver", (0, 1): "fallback"}.get(steps)
        if given is None:
            raise NotAsClaimed(f"{question.name} {question.rrtype}: driver and fallback counted {steps}")
        self.asked[given] += 1
        return reply, given

    def ask_both(self, question: Question) -> None:
        """Over IPv4 and IPv6, in one line."""
        asked = f"{question.name} {question.rrtype}"
        (reply, by4), (reply6, by6) = [self.ask(question, address) for address in self.lab.service]
        line = f"   {question.what:<14} {asked:<30} {shown(question, reply):<34} {place(by4)} {place(by6)}"
        print(line.rstrip(), flush=True)
        if reply != reply6:
            raise NotAsClaimed(f"{asked}: IPv4 and IPv6 differ: {reply}, {reply6}")
        expected = "fallback" if question.tcp else "driver"
        if (by4, by6) != (expected, expected):
            raise NotAsClaimed(f"{asked}: answered by {by4} and {by6}, not {expected}")

    def ask_all(self, questions: Sequence[Question]) -> None:
        print(paint(f"   {'':<14} {'question':<30} {'answer':<34} {'IPv4':<9} IPv6", "2"), flush=True)
        for question in questions:
            self.ask_both(question)

    def load(self) -> Load:
        """A query again and again from the client's namespace, each reply looked at."""
        due = bytes(int(octet) for octet in WWW_OLD.split("."))

        def wrong(_: bytes, reply: bytes) -> str | None:
            return None if reply.endswith(due) else f"an answer without {WWW_OLD}: {reply.hex()}"

        queries = [wire("www.example.org.", A)]
        return Load(self.lab.client.name, self.lab.service[0], queries, rate=RATE, check=wrong)

    def nothing_lost(self, load: Load) -> int:
        tally = load.stop()
        if load.wrong or tally.lost or not tally.answered:
            raise NotAsClaimed(f"{tally}, {load.wrong[:1]}")
        self.load_answered += tally.answered
        return tally.answered


# ------------------------------------------------------------------------------------------------------------- sections


def start_primary(stage: Stage) -> None:
    section(1, "The primary: NSD, in a network namespace of its own")
    zones = [Zone(f"{name}.", stage.file(name)) for name in ZONES]
    stage.primary = stage.lab.primary_server(Nsd, zones, key=stage.key, notify=False)
    say("zones", ", ".join(ZONES))
    say("with the key", f"{stage.key.name} ({stage.key.algorithm}) transfers are given")
    dig = ["dig", "+tcp", f"@{stage.lab.primary_addresses[0]}", "example.org", "AXFR", "+noall", "+answer"]
    if "SOA" in stage.lab.server.run(*dig, check=False):
        raise NotAsClaimed("the primary gives the zone without the key")
    say("without it", "dig AXFR is refused")


def start_agent(stage: Stage) -> None:
    section(2, "The secondary: peregrined transfers the zones and attaches its XDP program")
    began = time.monotonic()
    change = {"server": {"identity": "lon1.ns.example.net"}}
    stage.agent = stage.lab.peregrine(list(ZONES), key=stage.key, change=change)
    stage.agent.start()
    stage.agent.wait_serving(OLD)
    took = (time.monotonic() - began) * 1000
    for zone in stage.agent.cli("zone-status"):
        say("zone", f"{zone['zone']}, serial {zone['serial']}, {zone['names']} names, {zone['state']}")
    say("took", f"{took:.0f} ms from start to served")
    say("XDP", f"program {attached_program(stage)}, native on interface front")
    say("for", " and ".join(stage.lab.service))
    say("pinned in", str(stage.agent.pins))


def kernel_program(stage: Stage) -> int:
    """The number of the XDP program that the kernel runs in the driver."""
    link = json.loads(stage.lab.server.ip("-j", "link", "show", "dev", "front"))[0].get("xdp", {})
    if link.get("mode") != 1:
        raise NotAsClaimed(f"no native XDP program is attached: {link}")
    stage.programs.add(link["prog"]["id"])
    return link["prog"]["id"]


def attached_program(stage: Stage) -> int:
    """The same, when the agent says native too."""
    said = {entry["name"]: entry["mode"] for entry in stage.agent.cli("status")["interfaces"]}
    if said != {"front": "native"}:
        raise NotAsClaimed(f"the agent says {said}")
    return kernel_program(stage)


def ask_everything(stage: Stage) -> None:
    section(3, "dig asks from a third namespace; the counters before and after tell who answered")
    say("commands", ", ".join(f"dig @{address} QUESTION" for address in stage.lab.service))
    stage.ask_all(QUESTIONS)


def kill_agent(stage: Stage) -> None:
    section(4, "The agent is killed, and the driver goes on answering")
    assert stage.agent.process is not None
    pid = stage.agent.process.pid
    with stage.load() as load:
        time.sleep(0.5)
        stage.agent.kill()
        time.sleep(0.5)
        answered = stage.nothing_lost(load)
    say("SIGKILL", f"process {pid} is gone; {answered} queries were asked around that moment, all answered")
    say("XDP", f"program {kernel_program(stage)} is still attached")
    stage.ask_all(BY_UDP)
    if parse_dig(stage.lab.client.run(*dig_command(OVER_TCP, stage.lab.service[0]), check=False)):
        raise NotAsClaimed("TCP is answered without an agent")
    say("over TCP", "no answer until the agent is back: TCP is the fallback server's")


def start_again(stage: Stage) -> None:
    section(5, "The agent is started again")
    with stage.load() as load:
        time.sleep(0.2)
        began = time.monotonic()
        stage.agent.start()
        took = (time.monotonic() - began) * 1000
        transferred = [zone for zone in stage.agent.cli("zone-status") if zone["last_transfer"]]
        time.sleep(0.5)
        answered = stage.nothing_lost(load)
    say("ready", f"after {took:.0f} ms, with the zones that stand in the pinned maps")
    if transferred:
        raise NotAsClaimed(f"zones were transferred again: {transferred}")
    say("meanwhile", f"{answered} queries asked, all answered")
    stage.agent.wait_serving(OLD)
    say("XDP", f"program {attached_program(stage)} has taken the old one's place")
    stage.ask_all((QUESTIONS[0], OVER_TCP))


def change_zone(stage: Stage) -> None:
    section(6, "The zone changes at the primary")
    path = stage.file("example.org")
    path.write_text(path.read_text().replace(str(OLD), str(NEW)).replace(WWW_OLD, WWW_NEW))
    stage.primary.reload("example.org.", serial=NEW)
    say("primary", f"www.example.org is now {WWW_NEW}, serial {NEW}")
    began = time.monotonic()
    done = stage.agent.cli("zone-reload", "--wait", "example.org")
    took = (time.monotonic() - began) * 1000
    if done[0]["serial"] != NEW or done[0]["error"]:
        raise NotAsClaimed(f"zone-reload --wait: {done}")
    say("secondary", f"peregrine zone-reload --wait example.org: serial {done[0]['serial']} after {took:.0f} ms")
    stage.ask_all(CHANGED)


# --------------------------------------------------------------------------------------------------------- nothing left


def processes_of(words: Sequence[str]) -> list[str]:
    """Processes whose command line names one of these."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if any(word in command for word in words):
                found.append(f"process {entry.name}: {command}")
    return found


def programs() -> set[int]:
    return {entry["id"] for entry in json.loads(run(BPFTOOL, "-j", "prog", "show"))}


def left_behind(lab: Lab, loaded: set[int]) -> list[str]:
    tag = f"pglab-{os.getpid()}-"
    left = [f"namespace {path.name}" for path in Path("/run/netns").glob(f"{tag}*")]
    left += [f"file {path}" for path in Path("/tmp").glob(f"{tag}*")]
    left += [f"pin {lab.pins}"] if lab.pins.exists() else []
    left += [f"program {number}" for number in loaded & programs()]
    return left + processes_of([tag, str(lab.pins)])


def check_nothing_left(lab: Lab, loaded: set[int]) -> None:
    """The kernel frees a program and a namespace a moment after their last user."""
    end = time.monotonic() + 5
    while (left := left_behind(lab, loaded)) and time.monotonic() < end:
        time.sleep(0.05)
    if left:
        raise NotAsClaimed("left behind: " + "; ".join(left))


# ----------------------------------------------------------------------------------------------------------------- main


def show(stage: Stage) -> None:
    start_primary(stage)
    start_agent(stage)
    ask_everything(stage)
    kill_agent(stage)
    start_again(stage)
    change_zone(stage)


def demonstrate() -> None:
    began = time.monotonic()
    with Lab() as lab:
        stage = Stage(lab)
        try:
            show(stage)
        except (NotAsClaimed, LabError) as fault:
            raise NotAsClaimed(f"{fault}\n{stage.agent.log_tail() if stage.agent else ''}".rstrip()) from fault
    section(7, "Summary")
    check_nothing_left(lab, stage.programs)
    asked = stage.asked
    say("dig", f"{sum(asked.values())} answers, each as it has to be: {asked['driver']} given by the driver,")
    say("", f"{asked['fallback']} by the fallback server (all of them over TCP)")
    say("load", f"{stage.load_answered} queries around the kill and the start, none lost")
    say("left behind", "nothing: no namespace, pin, XDP program, process or file")
    say("time", f"{time.monotonic() - began:.1f} s")


def main() -> int:
    print(paint("Peregrine: a secondary nameserver whose UDP answers are given in the network driver", "1"))
    try:
        demonstrate()
    except (NotAsClaimed, LabError) as fault:
        print(f"\n{paint('NOT AS CLAIMED', '31')}: {fault}", flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
