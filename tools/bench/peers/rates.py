# SPDX-License-Identifier: GPL-3.0-or-later
"""Replies a second of one serving CPU, under loads from a closed loop in the kernel.

All servers are up at once, each in a laboratory of its own, and are asked in turns: load by load, and in a round several
times each, a tenth of a second at a time. So what disturbs the machine for a while disturbs all of them. Who is not
asked, rests.

The client's end of the link and the server's each have their NAPI threads on a CPU of their own, so that what the
server costs – its processes, and all that the kernel does for it – is on the serving CPU, and nothing else.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from figures import Row
from frames import Framer, Path4and6, Query, read_samples, write_queries
from loads import Load, Size, loads, zones
from place import BUILD, SIDE, SIDE_ADDRESSES, Lab, LabError, Namespace, Primary, Zone, run, second_link
from subjects import Subject

from ask import ask_many, udp_socket
from wire import ANY, parse

T = TypeVar("T")
CLIENT_CPU, SERVER_CPU = 0, 1
SAMPLED = 64
ROOM = 1400
IDLE_MOST, OTHERS_MOST, STOLEN_MOST, LOST_MOST = 0.05, 0.05, 0.03, 0.25
CLOCK = 2 / os.sysconf("SC_CLK_TCK")  # seconds by which the kernel's account of a CPU may be wrong
DISTURBED, LIMITED = "the machine was busy otherwise", "the generator was the limit"
TRIES = 3  # runs, of which the first is taken that was not disturbed
# Of the client's and the server's end of a link, in each laboratory: one file of queries fits all.
MACS = {"front": ("02:70:65:65:72:01", "02:70:65:65:72:02"), SIDE: ("02:70:65:65:72:03", "02:70:65:65:72:04")}


@dataclass(frozen=True)
class Plan:
    size: Size
    rounds: int
    seconds: float
    warm: float
    turns: int = 1  # of each server, in a round

    def one(self) -> float:
        """Seconds of one run of the generator, about."""
        return self.turns * (self.seconds + self.warm + 0.1)

    def start(self) -> float:
        """Seconds that a server takes to have all zones, about."""
        return 2 + self.size.many / 2e5 + self.size.signed / 2e4


# ------------------------------------------------------------------------------------------------------------ the place


class Threads:
    """The NAPI threads of links, told apart by their ends: the server's are all that came later. With `client` unset the
    client's end has none: what comes back is taken where it was sent, on the serving CPU.
    """

    def __init__(self, lab: Lab, links: Sequence[str] = ("front",), client: bool = True) -> None:
        self.lab, self.links = lab, links
        before = self.all()
        if client:
            _threaded(lab.client.name, links[0])
        self.client = self.all() - before
        self.others = before
        for link in links:
            # The other end takes frames to be redirected here only when this end has had a program once.
            lab.attach_pass(lab.server, link)
            lab.server.ip("link", "set", "dev", link, "xdpdrv", "off")
            _threaded(lab.server.name, link)
        self.wanted = (int(client), len(links))

    def all(self) -> set[int]:
        found = set()
        heads = tuple(f"napi/{link}-" for link in self.links)
        for place in Path("/proc").glob("[0-9]*/comm"):
            with suppress(OSError):
                if place.read_text().startswith(heads):
                    found.add(int(place.parent.name))
        return found

    def pin(self) -> list[int]:
        """Puts them on the CPUs where they belong, and gives the server's. Attaching a program makes new ones."""
        server = self.all() - self.client - self.others
        for pids, cpu in ((self.client, CLIENT_CPU), (server, SERVER_CPU)):
            for pid in pids:
                with suppress(OSError):
                    os.sched_setaffinity(pid, {cpu})
        if len(self.client) < self.wanted[0] or len(server) < self.wanted[1]:
            raise LabError("the link's NAPI threads are missing: threaded NAPI needs Linux 5.12")
        return sorted(server)

    def pin_each(self, cpus: Mapping[str, int]) -> dict[str, int]:
        """Puts the server's ones of each link on a CPU of its own, and gives them by link."""
        found = {}
        for pid in self.pin():
            link = Path(f"/proc/{pid}/comm").read_text().removeprefix("napi/").rpartition("-")[0]
            os.sched_setaffinity(pid, {cpus[link]})
            found[link] = pid
        return found


def _threaded(namespace: str, link: str) -> None:
    run("ip", "netns", "exec", namespace, "sh", "-c", f"echo 1 > /sys/class/net/{link}/threaded")


def _mac(namespace: Namespace, link: str) -> bytes:
    text = namespace.ip("-o", "link", "show", "dev", link)
    found = re.search(r"link/ether (\S+)", text)
    assert found
    return bytes.fromhex(found[1].replace(":", ""))


def framer(lab: Lab) -> Framer:
    return link_framer(lab, lab.client_addresses, "front")


def link_framer(lab: Lab, addresses: Sequence[str], link: str) -> Framer:
    """For queries that come in by that link, from these addresses of the client's: of IPv4, and perhaps of IPv6."""
    macs = _mac(lab.client, link), _mac(lab.server, link)
    for namespace, other, known in ((lab.client, macs[1], lab.service), (lab.server, macs[0], addresses)):
        for address in known if link == "front" or namespace is lab.server else ():  # nobody waits for a neighbour
            namespace.ip("neighbour", "replace", address, "lladdr", other.hex(":"), "dev", link, "nud", "permanent")
    return Framer(Path4and6(macs[1], (addresses[0], addresses[-1] if ":" in addresses[-1] else "::"), lab.service))


# ------------------------------------------------------------------------------------------------------------ the loads


@dataclass
class Prepared:
    """A load as the generator's file, and the primary's replies to those of its queries that are sampled."""

    load: Load
    path: Path
    expected: dict[int, bytes]
    queries: dict[int, bytes]


def prepare(lab: Lab, load: Load, place: Path, made: Framer) -> Prepared:
    place.mkdir(exist_ok=True)
    queries = list(load.make(random.Random(load.key)))
    numbers = range(0, len(queries), max(1, len(queries) // SAMPLED))[:SAMPLED]
    with udp_socket(lab.server.name, lab.primary_addresses[0]) as sock:
        if load.learnt:
            queries = _learn(queries, ask_many(sock, [query.wire for query in queries], timeout=2.0))
        asked = {number: queries[number].wire for number in numbers}
        replies = ask_many(sock, list(asked.values()), timeout=2.0)
    expected = {number: reply for number, reply in zip(asked, replies) if reply is not None}
    if len(expected) < len(asked):
        raise LabError(f"the primary has not answered all queries of the load “{load.title}”")
    path = place / load.key
    write_queries(path, queries, list(numbers), made, load.slot)
    return Prepared(load, path, expected, asked)


def _learn(queries: Sequence[Query], replies: Sequence[bytes | None]) -> list[Query]:
    """Every query with the RCODE that the primary answers; what to answer to ANY is everyone's own choice."""
    return [
        Query(query.wire, reply[3] & 15, None, query.ipv6)
        for query, reply in zip(queries, replies)
        if reply is not None and parse(query.wire).questions[0][1] != ANY
    ]


def wrong_samples(prepared: Prepared, path: Path) -> list[str]:
    """What is wrong with the replies that the generator has kept: their records must be those of the primary."""
    found = []
    for number, reply in read_samples(path):
        reference = prepared.expected.get(number)
        if reference is None:
            continue
        mine, right = parse(reply), parse(reference)
        if mine.rcode != right.rcode or mine.questions != right.questions:
            found.append(f"query {number}: another RCODE or question")
        elif set(mine.answer) != set(right.answer):
            found.append(f"query {number}: other records in the answer")
        elif right.rcode and set(mine.authority) != set(right.authority):
            found.append(f"query {number}: other records in the authority section")
    return found


# ---------------------------------------------------------------------------------------------------------- the measure


def command(
    prepared: Prepared, subject: Subject, seconds: float, warm: float, *more: str,
    link: str = "front", client: int = CLIENT_CPU, server: int = SERVER_CPU,
) -> list[str]:  # fmt: skip
    """That of the generator, before all else that would run there: what is due has to be sent."""
    argv = ["nice", "-n", "-40", "taskset", "-c", str(client), str(BUILD / "peregrine-generator"), "--interface", link]
    argv += ["--queries", str(prepared.path), "--slot", str(prepared.load.slot), "--cpu", str(server)]
    argv += ["--outstanding", str(subject.outstanding), "--warm", str(warm), "--seconds", str(seconds), *more]
    return [*argv, *(["--room", str(ROOM)] if subject.in_driver else [])]


def accounted(
    prepared: Prepared, subject: Subject, plan: Plan, pids: Iterable[int], samples: Path, *more: str
) -> list[str]:
    """The same with the time of these processes accounted, and the sampled replies kept."""
    listed = ",".join(map(str, pids))
    return command(prepared, subject, plan.seconds, plan.warm, "--samples", str(samples), "--pids", listed, *more)


def counters(done: subprocess.CompletedProcess[str]) -> Any:
    if done.returncode:
        raise LabError(f"peregrine-generator: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def generate(lab: Lab, prepared: Prepared, plan: Plan, subject: Subject, pids: Iterable[int], samples: Path,
             *more: str) -> Any:  # fmt: skip
    """One run of the generator; its counters."""
    argv = accounted(prepared, subject, plan, pids, samples, *more)
    return counters(subprocess.run(
        lab.client.command(*argv), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=plan.seconds + plan.warm + 30,
    ))  # fmt: skip


class Asker:
    """A generator that stays where it is, and measures when it is told to."""

    def __init__(self, one: Seat, prepared: Prepared, plan: Plan, samples: Path) -> None:
        self.subject, self.plan, self.samples = one.subject, plan, samples
        argv = accounted(prepared, one.subject, plan, [*one.napi, *one.subject.pids()], samples, "--turns")
        self.process = subprocess.Popen(
            one.lab.client.command(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def turn(self) -> Any:
        """Measures once; the counters."""
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.subject.pin()
        with suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], self.plan.seconds + self.plan.warm + 30)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.process.kill()
            raise LabError(f"peregrine-generator gives no counters\n{self.process.stderr.read()}")
        return json.loads(line)

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        # It ends with its input, and puts back the program that was there.
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def together(parts: Sequence[Any]) -> Any:
    """The counters of several turns as those of one."""
    return {key: sum(part[key] for part in parts) for key in parts[0]}


def doubt(seen: Any, subject: Subject, samples: Sequence[str]) -> str:
    """Why a run says nothing; empty when it does."""
    seconds = seen["seconds"]
    idle = (seen["idle"] - CLOCK) / seconds
    if not seen["replies"]:
        return "no replies"
    if subject.answers and (seen["wrong"] or seen["strange"]):
        return "wrong replies"
    if samples:
        return "wrong records"
    if seen["lost"] > subject.outstanding * LOST_MOST:
        return "queries were lost"
    if idle > IDLE_MOST and subject.answers:  # what does less than the generator cannot keep its CPU busy
        return LIMITED
    return DISTURBED if disturbed(seen["busy"] - seen["tasks"], seen["stolen"], seconds) else ""


def disturbed(others: float, stolen: float, seconds: float) -> bool:
    """Whether the serving CPU was too long someone else's, or the hypervisor's."""
    return stolen - CLOCK > STOLEN_MOST * seconds or others - CLOCK > OTHERS_MOST * seconds


@dataclass
class Seat:
    """A server in its laboratory, at rest until it is asked."""

    lab: Lab
    subject: Subject
    napi: list[int]


class Rates:
    """The part of the bench that counts replies. `step` is told what begins, with its weight in seconds."""

    title = "Replies a second of one serving CPU"

    def __init__(
        self, plan: Plan, kinds: Sequence[type[Subject]], step: Callable[[float, str], None], only: str = ""
    ) -> None:
        self.plan, self.kinds, self.step, self.only = plan, list(kinds), step, only
        self.count = 7

    def seconds(self) -> float:
        starts = len(self.kinds) * self.plan.start()
        return self.preparation() + starts + self.plan.rounds * len(self.kinds) * self.count * self.plan.one()

    def preparation(self) -> float:
        return 5 + self.plan.size.many / 5e4 + self.plan.size.queries / 8e4 + self.plan.size.signed / 1e4

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        with ExitStack() as stack:
            self.step(self.preparation(), "loads: zones and queries are made")
            lab = stack.enter_context(Lab())
            place = lab.make_directory("loads")
            served = zones(place, self.plan.size)
            wanted = [load for load in loads(self.plan.size, served) if self.only in load.key]
            with Primary(lab, served):
                made = seat_framer(lab)
                prepared = [prepare(lab, load, place, made) for load in wanted]
            seats = []
            for kind in self.kinds:
                needed = {load.zone for load in wanted if kind.takes(load.key)}
                if needed:
                    self.step(self.plan.start(), f"loads: {kind.title} gets its zones")
                    seats.append(seat(stack, kind, [zone for zone in served if zone.name in needed]))
            return self.rounds(prepared, seats, place / "samples")

    def rounds(self, prepared: Sequence[Prepared], seats: list[Seat], samples: Path) -> list[Row]:
        rows = [Row(one.load.key, one.load.title, "thousand/s", "more", aims=one.load.aims) for one in prepared]
        for load, row in zip(prepared, rows):
            asked = [one for one in seats if one.subject.takes(load.load.key)]
            with ExitStack() as stack:
                askers = [
                    stack.enter_context(Asker(one, load, self.plan, samples.with_name(f"samples-{one.subject.name}")))
                    for one in asked
                ]
                for number in range(self.plan.rounds):
                    self.step(self.plan.one() * len(asked), f"loads: {load.load.title}, round {number + 1}")
                    order = turns(askers, number)
                    seen = [[asker.turn() for asker in order] for _ in range(self.plan.turns)]
                    for asker, parts in zip(order, zip(*seen)):
                        row.add(asker.subject.name, *self.judge(load, asker, parts))
        return rows

    def judge(self, load: Prepared, asker: Asker, parts: Sequence[Any]) -> tuple[float, str]:
        """Of one server's turns in a round: thousands of replies a second, and why that is in doubt. Where they were
        disturbed, it gets others.
        """
        subject = asker.subject
        value, why = 0.0, DISTURBED
        for attempt in range(TRIES):
            parts = [asker.turn() for _ in parts] if attempt else parts
            seen = together(parts)
            why = doubt(seen, subject, wrong_samples(load, asker.samples) if subject.answers else [])
            value = seen["replies"] / max(seen["tasks"], 0.001) / 1000
            subject.check()
            if why not in (DISTURBED, LIMITED):
                break
        return value, why


def turns(seats: Sequence[T], number: int) -> Sequence[T]:
    """Their order in a round: who follows whom is no advantage."""
    first = number % len(seats)
    return [*seats[first:], *seats[:first]]


def seat_framer(lab: Lab, link: str = "front") -> Framer:
    """The same for each laboratory."""
    for namespace, mac in zip((lab.client, lab.server), MACS[link]):
        namespace.ip("link", "set", "dev", link, "address", mac)
    return framer(lab) if link == "front" else link_framer(lab, SIDE_ADDRESSES[:1], link)


def seat(
    stack: ExitStack, kind: type[Subject], served: Sequence[Zone], links: Sequence[str] = ("front",), client: bool = True,
    connections: int = 0,
) -> Seat:  # fmt: skip
    """A server that has all of these zones, and has come to rest; for the others see `Subject` and `Threads`."""
    lab = stack.enter_context(Lab())
    if SIDE in links:
        second_link(lab)
    for link in links:
        seat_framer(lab, link)
    threads = Threads(lab, links, client)
    with Primary(lab, served) if kind.transferring else nullcontext():
        subject = stack.enter_context(kind(lab, served, SERVER_CPU, links, connections=connections))
        if subject.answers:
            subject.wait_serving(timeout=300)
        subject.settle()
    return Seat(lab, subject, threads.pin())
