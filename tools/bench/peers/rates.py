# SPDX-License-Identifier: GPL-3.0-or-later
"""Replies a second of one serving CPU, under loads from a closed loop in the kernel.

The client's end of the link and the server's each have their NAPI threads on a CPU of their own, so that what the
server costs – its processes, and all that the kernel does for it – is on the serving CPU, and nothing else.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Row
from frames import Framer, Path4and6, Query, read_samples, write_queries
from loads import Load, Size, loads, zones
from place import BUILD, Lab, LabError, Primary, run
from subjects import Subject

from ask import ask_many, udp_socket
from wire import ANY, parse

CLIENT_CPU, SERVER_CPU = 0, 1
SAMPLED = 64
ROOM = 1400
IDLE_MOST, OTHERS_MOST, STOLEN_MOST, LOST_MOST = 0.05, 0.05, 0.03, 0.25


@dataclass(frozen=True)
class Plan:
    size: Size
    rounds: int
    seconds: float
    warm: float

    def one(self) -> float:
        """Seconds of one run of the generator, about."""
        return self.seconds + self.warm + 1.0

    def start(self) -> float:
        """Seconds that a server takes to have all zones, about."""
        return 2 + self.size.many / 2e5 + self.size.signed / 2e4


# ------------------------------------------------------------------------------------------------------------ the place


class Threads:
    """The NAPI threads of the link `front`, told apart by its ends: the server's are all that came later."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        before = self.all()
        _threaded(lab.client.name)
        self.client = self.all() - before
        self.others = before
        _threaded(lab.server.name)

    @staticmethod
    def all() -> set[int]:
        found = set()
        for place in Path("/proc").glob("[0-9]*/comm"):
            with suppress(OSError):
                if place.read_text().startswith("napi/front-"):
                    found.add(int(place.parent.name))
        return found

    def pin(self) -> list[int]:
        """Puts them where they belong, and gives the server's. Attaching a program makes new ones."""
        server = self.all() - self.client - self.others
        for pids, cpu in ((self.client, CLIENT_CPU), (server, SERVER_CPU)):
            for pid in pids:
                with suppress(OSError):
                    os.sched_setaffinity(pid, {cpu})
        if not self.client or not server:
            raise LabError("the link's NAPI threads are missing: threaded NAPI needs Linux 5.12")
        return sorted(server)


def _threaded(namespace: str) -> None:
    run("ip", "netns", "exec", namespace, "sh", "-c", "echo 1 > /sys/class/net/front/threaded")


def _mac(lab: Lab, namespace: str) -> bytes:
    text = run("ip", "-n", namespace, "-o", "link", "show", "dev", "front")
    found = re.search(r"link/ether (\S+)", text)
    assert found
    return bytes.fromhex(found[1].replace(":", ""))


def framer(lab: Lab) -> Framer:
    macs = _mac(lab, lab.client.name), _mac(lab, lab.server.name)
    for name, other, addresses in (
        (lab.client, macs[1], lab.service),
        (lab.server, macs[0], lab.client_addresses),
    ):
        for address in addresses:  # nobody waits for a neighbour
            name.ip("neighbour", "replace", address, "lladdr", other.hex(":"), "dev", "front", "nud", "permanent")
    return Framer(Path4and6(macs[1], lab.client_addresses, lab.service))


# ------------------------------------------------------------------------------------------------------------ the loads


@dataclass
class Prepared:
    """A load as the generator's file, and the primary's replies to those of its queries that are sampled."""

    load: Load
    path: Path
    expected: dict[int, bytes]
    queries: dict[int, bytes]


def prepare(lab: Lab, load: Load, place: Path, made: Framer) -> Prepared:
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


def generate(lab: Lab, prepared: Prepared, plan: Plan, subject: Subject, pids: Iterable[int], samples: Path) -> Any:
    """One run of the generator; its counters."""
    argv = [str(BUILD / "peregrine-generator"), "--interface", "front", "--queries", str(prepared.path)]
    argv += ["--slot", str(prepared.load.slot), "--outstanding", str(subject.outstanding), "--cpu", str(SERVER_CPU)]
    argv += ["--warm", str(plan.warm), "--seconds", str(plan.seconds), "--samples", str(samples)]
    argv += ["--pids", ",".join(map(str, pids))]
    if subject.in_driver:
        argv += ["--room", str(ROOM)]
    argv = ["taskset", "-c", str(CLIENT_CPU), *argv]
    done = subprocess.run(
        lab.client.command(*argv), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=plan.seconds + plan.warm + 30,
    )  # fmt: skip
    if done.returncode:
        raise LabError(f"peregrine-generator: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def doubt(seen: Any, subject: Subject, samples: Sequence[str]) -> str:
    """Why a run says nothing; empty when it does."""
    seconds = seen["seconds"]
    idle, stolen = seen["idle"] / seconds, seen["stolen"] / seconds
    others = (seen["busy"] - seen["tasks"]) / seconds
    if not seen["replies"]:
        return "no replies"
    if subject.answers and (seen["wrong"] or seen["strange"]):
        return "wrong replies"
    if samples:
        return "wrong records"
    if seen["lost"] > subject.outstanding * LOST_MOST:
        return "queries were lost"
    if idle > IDLE_MOST and subject.answers:  # what does less than the generator cannot keep its CPU busy
        return "the generator was the limit"
    if stolen > STOLEN_MOST or others > OTHERS_MOST:
        return "the machine was busy otherwise"
    return ""


class Rates:
    """The part of the bench that counts replies. `step` is told what begins, with its weight in seconds."""

    def __init__(
        self, plan: Plan, kinds: Sequence[type[Subject]], step: Callable[[float, str], None], only: str = ""
    ) -> None:
        self.plan, self.kinds, self.step, self.only = plan, list(kinds), step, only
        self.rows: list[Row] = []
        self.count = 7

    def seconds(self) -> float:
        turn = self.plan.start() + self.count * self.plan.one()
        return self.preparation() + self.plan.rounds * len(self.kinds) * turn

    def preparation(self) -> float:
        return 5 + self.plan.size.many / 5e4 + self.plan.size.queries / 8e4 + self.plan.size.signed / 1e4

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        with Lab() as lab:
            self.step(self.preparation(), "loads: zones and queries are made")
            place = lab.make_directory("loads")
            served = zones(place, self.plan.size)
            primary = Primary(lab, served)
            primary.start(timeout=300)
            made, threads = framer(lab), Threads(lab)
            wanted = [load for load in loads(self.plan.size, served) if self.only in load.key]
            prepared = [prepare(lab, load, place, made) for load in wanted]
            self.rows = [
                Row(load.key, load.title, "replies/s", "more",
                    targets={"reflect": load.of_reflect, "knot-xdp": load.of_knot})
                for load in wanted
            ]  # fmt: skip
            names = [zone.name for zone in served]
            for number in range(self.plan.rounds):
                turn = number % len(self.kinds)
                for kind in self.kinds[turn:] + self.kinds[:turn]:
                    self.step(self.plan.start(), f"loads: round {number + 1} of {self.plan.rounds}, {kind.title}")
                    with kind(lab, names, SERVER_CPU) as subject:
                        self.one(lab, subject, prepared, threads, number)
        return self.rows

    def one(
        self, lab: Lab, subject: Subject, prepared: Sequence[Prepared], threads: Threads, number: int
    ) -> None:
        """One server's turn: all loads."""
        if subject.answers:
            subject.wait_serving(timeout=300)
        subject.settle()
        samples = lab.make_directory("samples") / "samples"
        for load, row in zip(prepared, self.rows):
            self.step(
                self.plan.one(),
                f"loads: round {number + 1} of {self.plan.rounds}, {subject.title}, {load.load.title}",
            )
            subject.pin()
            pids = [*threads.pin(), *subject.pids()]
            seen = generate(lab, load, self.plan, subject, pids, samples)
            bad = wrong_samples(load, samples) if subject.answers else []
            why = doubt(seen, subject, bad)
            row.add(subject.name, seen["replies"] / max(seen["tasks"], 0.001), why)
            subject.check()
