# SPDX-License-Identifier: GPL-3.0-or-later
"""Two serving CPUs beside one: what more than one CPU costs, the core's doing told apart from the program's.

A lane is a link whose both ends run on one CPU, in the thread of the server's end: a closed loop, in which queries are
laid, answered and taken on that CPU. Each server is measured by a lane on either CPU alone; by both lanes at once; and
by both at once with a server of its own, programs and maps, on each. What the last two differ by is what the program's
CPUs share; what the first two differ by is what the machine's CPUs share, too.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from figures import Aim, Row
from frames import write_queries
from loads import THOUSAND, thousand
from place import SIDE, SIDE_ADDRESSES, Lab, Primary, second_link
from rates import DISTURBED, Prepared, Threads, command, counters, doubt, link_framer, prepare, seat_framer, wrong_samples
from subjects import Subject
from subjects.reflect import Reflect
from zone_files import plain_zone

CPUS = (0, 1)
QUERIES = 1 << 12
LEAST = 0.95


@dataclass(frozen=True)
class Plan:
    rounds: int
    turns: int  # of which the fastest counts
    seconds: float
    warm: float = 0.1

    def one(self) -> float:
        """Seconds of one run, about."""
        return self.seconds + self.warm + 0.4


def rows() -> list[Row]:
    return [
        Row("scale-one", "A, 1,000 names, a closed loop on one CPU, the other one idle", "thousand/s", "more"),
        Row("scale-both", "… on both CPUs at once, one server: together", "thousand/s", "more"),
        Row("scale-gain", "… by twice that of one", "×", "more", aims=(Aim(LEAST, "reflect"),)),
        Row("scale-apart", "… on both CPUs at once, a server of its own on each: together", "thousand/s", "more"),
        Row("scale-share", "… one server on both, by that", "×", "more", aims=(Aim(LEAST),)),
        Row("scale-counted", "… on both CPUs at once, all counted in one cache line", "thousand/s", "more"),
    ]  # fmt: skip


class Counted(Reflect):
    """The reflecting program with what is looked for: a cache line that all CPUs write at every query."""

    name, title, more = "counted", "reflect, counting", ("--count",)


@dataclass
class Lane:
    """A link, and the CPU on which both its ends are."""

    lab: Lab
    subject: Subject
    link: str
    cpu: int
    thread: int
    asked: Prepared


class Fastest:
    """The best figure of each CPU, by what was measured; and why any of them is in doubt."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, int], float] = {}
        self.why = ""

    def add(self, key: str, found: Sequence[tuple[int, float, str]]) -> None:
        for cpu, value, why in found:
            self.values[key, cpu] = max(value, self.values.get((key, cpu), 0.0))
            self.why = self.why or why

    def sum(self, key: str) -> float:
        return sum(value for (one, _), value in self.values.items() if one == key)


class Scale:
    """The part of the bench. `step` is told what begins, with its weight in seconds."""

    title = "Two serving CPUs"

    def __init__(self, plan: Plan, kinds: Sequence[type[Subject]], step: Callable[[float, str], None]) -> None:
        self.plan, self.step = plan, step
        self.kinds = [kind for kind in kinds if kind.name in ("peregrine", "reflect")]
        self.rows = {row.key: row for row in rows()}

    def seconds(self) -> float:
        return 4 * 3 + 4 * self.plan.rounds * self.plan.turns * 3 * self.plan.one()

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        with ExitStack() as stack:
            made = []
            for kind in [*self.kinds, Counted]:
                self.step(4, f"scale: {kind.title}")
                lanes = seat_lanes(stack, kind, {"front": CPUS[0], SIDE: CPUS[1]})
                made.append((kind, lanes, seat_lanes(stack, kind, {"front": CPUS[1]}) if kind is not Counted else []))
            for number in range(self.plan.rounds):
                self.round(number, made)
        return list(self.rows.values())

    def round(self, number: int, made: Sequence[tuple[type[Subject], list[Lane], list[Lane]]]) -> None:
        """All of them in turns, some times, and of these the fastest: what disturbs a CPU makes it slower, never faster."""
        best = {kind.name: Fastest() for kind, _, _ in made}
        for turn in range(self.plan.turns):
            for kind, lanes, other in made[turn % 2 :] + made[: turn % 2]:  # who follows whom is no advantage
                self.step(4 * self.plan.one(), f"scale: round {number + 1} of {self.plan.rounds}, {kind.title}")
                for lane in lanes if other else ():
                    best[kind.name].add("one", self.measure([lane]))
                best[kind.name].add("both", self.measure(lanes))
                if other:
                    best[kind.name].add("apart", self.measure([lanes[0], *other]))
        for kind in self.kinds:
            figures = {key: best[kind.name].sum(key) for key in ("one", "both", "apart")}
            figures["gain"], figures["share"] = figures["both"] / figures["one"], figures["both"] / figures["apart"]
            figures["one"] /= len(CPUS)
            for key, value in figures.items():
                self.rows[f"scale-{key}"].add(kind.name, value, best[kind.name].why)
        if "reflect" in best:
            self.rows["scale-counted"].add("reflect", best[Counted.name].sum("both"), best[Counted.name].why)

    def measure(self, lanes: Sequence[Lane]) -> list[tuple[int, float, str]]:
        """Of all these lanes at once: the CPU, thousands of replies a second, and why that is in doubt."""
        running = [self.start(lane) for lane in lanes]
        return [(lane.cpu, *self.take(lane, child)) for lane, child in zip(lanes, running)]

    def start(self, lane: Lane) -> subprocess.Popen[str]:
        more = ["--pids", str(lane.thread), "--samples", f"{lane.asked.path}.samples"]
        argv = command(lane.asked, lane.subject, self.plan.seconds, self.plan.warm, *more,
                       link=lane.link, client=lane.cpu, server=lane.cpu)  # fmt: skip
        return subprocess.Popen(
            lane.lab.client.command(*argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def take(self, lane: Lane, child: subprocess.Popen[str]) -> tuple[float, str]:
        out, said = child.communicate(timeout=60)
        seen = counters(subprocess.CompletedProcess(child.args, child.returncode, out, said))
        bad = wrong_samples(lane.asked, Path(f"{lane.asked.path}.samples")) if lane.subject.answers else []
        lane.subject.check()
        why = doubt(seen, lane.subject, bad)
        return seen["fastest"] / 1000, "" if why == DISTURBED else why  # of that there are others


def seat_lanes(stack: ExitStack, kind: type[Subject], cpus: Mapping[str, int]) -> list[Lane]:
    """A server at rest in a laboratory of its own, with a lane by each of these links."""
    lab = stack.enter_context(Lab())
    if SIDE in cpus:
        second_link(lab)
    made, threads, place = seat_framer(lab), Threads(lab, tuple(cpus), client=False), lab.make_directory("loads")
    zone = plain_zone(place, THOUSAND, 1000)
    with Primary(lab, [zone]):
        asked = prepare(lab, thousand(QUERIES), place, made)
        subject = stack.enter_context(kind(lab, [zone], interfaces=tuple(cpus)))
        subject.wait_serving()
        subject.settle()
    found = threads.pin_each(cpus)
    lanes = []
    for link, cpu in cpus.items():
        queries = by_link(lab, asked, link) if link == SIDE else asked
        lanes.append(Lane(lab, subject, link, cpu, found[link], queries))
    return lanes


def by_link(lab: Lab, asked: Prepared, link: str) -> Prepared:
    """The same queries as they come in by the second client's link."""
    path = asked.path.with_name(f"{asked.path.name}-{link}")
    queries = list(asked.load.make(random.Random(asked.load.key)))
    write_queries(path, queries, list(asked.queries), link_framer(lab, SIDE_ADDRESSES[:1], link), asked.load.slot)
    return replace(asked, path=path)
