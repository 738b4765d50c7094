# SPDX-License-Identifier: GPL-3.0-or-later
"""How time, memory and load time grow with the number of names; and what a large signed zone takes.

A server with one zone, from its NOTIFY on: how long until it is served, what is held the more for it, and, of a plain
zone, what a query of a name drawn at random costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import Aim, Row
from frames import Framer
from loads import Load, random_names, signed_zone
from place import Lab, Primary, Zone
from rates import SERVER_CPU, TRIES, Prepared, Threads, doubt, framer, generate, prepare, wrong_samples
from rates import Plan as RatePlan
from subjects import Subject
from transfers import SETTLE, Watch, Way
from zone_files import plain_zone

MEGABYTE = 1_000_000
QUERIES = 1 << 17
FEW, ROUNDS_OF_FEW = 10_000, 3  # names that are there in milliseconds: whoever comes first finds nothing warm
SERVERS = ("peregrine", "knot-xdp", "nsd")
SIGNED_SERVERS = ("peregrine", "knot")


@dataclass(frozen=True)
class Plan:
    names: tuple[int, ...]  # of the plain zones
    signed: int  # of one that is signed with NSEC3
    rounds: int
    seconds: float = 0.5
    limit: float = 300.0

    def turn(self, names: int) -> float:
        return 5 + names / 1.2e5 + self.seconds

    def rounds_of(self, names: int) -> int:
        return max(self.rounds, ROUNDS_OF_FEW) if names <= FEW else self.rounds


@dataclass(frozen=True)
class Stage:
    """A zone, and the servers that get it; without a load nothing is asked."""

    names: int
    servers: tuple[str, ...]
    zone: Zone
    load: Load | None


CURVES = {
    "time": ("a query of a random name", "ns"), "memory": ("memory a name", "octets"), "load": ("until served", "ms"),
}  # fmt: skip


def _rows(plan: Plan) -> dict[tuple[str, int], Row]:
    """By curve and number of names; negative: signed."""
    made = {
        (curve, names): Row(
            f"growth-{curve}-{names}", f"{title}, {names:,} names", unit, place=(f"{title} [{unit}]", names)
        )
        for curve, (title, unit) in CURVES.items() for names in plan.names
    }  # fmt: skip
    if plan.signed:
        title = f"NSEC3, {plan.signed:,} names"
        made["memory", -plan.signed] = Row(
            "signed-memory", f"memory for a zone signed with {title}", "MB", aims=(Aim(0.6, "knot", most=True),)
        )
        made["load", -plan.signed] = Row("signed-load", f"AXFR, signed with {title}, until served", "ms")
    return made


class Growth:
    """The part of the bench. `step` is told what begins, with its weight in seconds."""

    title = "Growth with the number of names"

    def __init__(self, plan: Plan, kinds: Sequence[type[Subject]], step: Callable[[float, str], None]) -> None:
        self.plan, self.kinds, self.step = plan, list(kinds), step
        self.rows = _rows(plan)

    def seconds(self) -> float:
        plain = sum(len(SERVERS) * self.plan.rounds_of(names) * self.plan.turn(names) for names in self.plan.names)
        return self.preparation() + plain + len(SIGNED_SERVERS) * self.plan.turn(4 * self.plan.signed)

    def preparation(self) -> float:
        return 3 + sum(self.plan.names) / 1.5e5 + self.plan.signed / 3e4

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        with Lab() as lab:
            self.step(self.preparation(), "growth: zones are made")
            stages = list(self.stages(lab.make_directory("zones")))
            with Primary(lab, [stage.zone for stage in stages]) as primary:
                made, threads, place = framer(lab), Threads(lab), lab.make_directory("loads")
                for stage in stages:
                    self.stage(lab, stage, made, threads, place, primary)
        return list(self.rows.values())

    def stages(self, place: Path) -> Sequence[Stage]:
        made = []
        for names in self.plan.names:
            zone = f"n{names}.bench."
            made.append(Stage(names, SERVERS, plain_zone(place, zone, names), random_names(zone, names, QUERIES, zone)))
        if self.plan.signed:
            zone = signed_zone(place, "signed.bench.", self.plan.signed, hashed=True)
            made.append(Stage(-self.plan.signed, SIGNED_SERVERS, zone, None))
        return made

    def stage(self, lab: Lab, stage: Stage, made: Framer, threads: Threads, place: Path, primary: Primary) -> None:
        prepared = prepare(lab, stage.load, place, made) if stage.load else None
        kinds = [kind for kind in self.kinds if kind.name in stage.servers]
        for number in range(self.plan.rounds_of(stage.names) if prepared else 1):
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                self.step(self.plan.turn(abs(stage.names)), f"growth: {abs(stage.names):,} names, {kind.title}")
                with Way(lab) as way, kind(lab, [stage.zone], SERVER_CPU) as subject:
                    self.one(lab, stage, subject, way, primary)
                    if prepared:
                        found = self.query(lab, subject, prepared, threads, place)
                        self.rows["time", stage.names].add(subject.name, *found)
                    subject.check()

    def one(self, lab: Lab, stage: Stage, subject: Subject, way: Way, primary: Primary) -> None:
        """One server gets one zone."""
        watch = Watch(lab, subject, self.plan.limit)
        subject.wait_answering()
        time.sleep(SETTLE)
        before = subject.account.now()
        way.open()
        took = watch.until(stage.zone.name, primary.serial(stage.zone.name))
        watch.close()
        self.rows["load", stage.names].add(subject.name, took * 1000)
        subject.settle()
        after = subject.account.now()
        if before is not None and after is not None:
            # Of a large signed zone the aim is about all that the server holds.
            held = (after - before) / stage.names if stage.load else after / MEGABYTE
            self.rows["memory", stage.names].add(subject.name, held)

    def query(self, lab: Lab, subject: Subject, load: Prepared, threads: Threads, place: Path) -> tuple[float, str]:
        """Nanoseconds that a reply takes, and why that is in doubt."""
        value, why = 0.0, ""
        plan = RatePlan(None, 1, self.plan.seconds, 0.2)
        for _ in range(TRIES):
            subject.pin()
            seen = generate(lab, load, plan, subject, [*threads.pin(), *subject.pids()], place / "samples")
            why = doubt(seen, subject, wrong_samples(load, place / "samples"))
            value = seen["tasks"] / max(seen["replies"], 1) * 1e9
            if not why:
                break
        return value, why
