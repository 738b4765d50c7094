# SPDX-License-Identifier: GPL-3.0-or-later
"""Under pressure: how long replies take at half of the rate that a server can do, and what a flood does to others.

Queries leave from CPU 0, in a busy loop, which sends each when it is due. What comes back is taken on the serving CPU,
in the same interrupt that sends it: nobody has to be woken for it, so that the time is the server's alone.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from figures import Aim, Row
from frames import write_queries
from loads import THOUSAND, missing_thousand, thousand
from place import SIDE, Lab, LabError, Primary, Zone, second_link
from rates import DISTURBED, LIMITED, TRIES, Prepared, Seat, command, counters, disturbed
from rates import Plan as RatePlan
from rates import generate, prepare, seat, seat_framer, turns, wrong_samples
from subjects import Subject
from zone_files import plain_zone

QUERIES = 1 << 16  # no query of them is asked again before its reply is long there
SHARE = 0.5
LINKS = ("front", SIDE)
PROBE, PROBES, RANGE = 0.15, 5, 16  # of the highest rate: seconds of each try, how many, and the first interval
ANSWERED_LEAST = 0.95
TIMED = 20_000  # queries a second that the generator sends at the times at which they are due, at least
STEADY = 10_000  # queries a second of the second client
SKIPPED_MOST = 0.05
LATENCIES = {
    "latency": "slowest_thousandth", "latency-99": "slowest_hundredth", "latency-median": "median",
    "latency-all": "all_slowest_thousandth",
}  # fmt: skip
NEVER = 8_000  # microseconds: who took longer, or was lost, is counted together


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: float
    tries: int = TRIES  # of each rate in a search
    warm: float = 0.1

    def start(self) -> float:
        """Seconds that a server takes to have its zone, about."""
        return 2.5

    def search(self) -> float:
        return (1 + self.tries / 3) * (PROBES + 2) * (PROBE + self.warm + 0.2)

    def one(self) -> float:
        """What one server takes in one round, about."""
        return 2 * (self.seconds + self.warm + 0.4)

    def turn(self) -> float:
        return self.start() + self.search() + self.rounds * self.one()


def rows() -> list[Row]:
    return [
        Row("sustained", "A, 1,000 names, open loop: the highest rate of which 95 % is answered", "thousand/s", "more"),
        Row("latency", "… at half of that rate: 99.9 % of the replies within", "µs",
            aims=(Aim(1, "knot-xdp", most=True),)),
        Row("latency-99", "… 99 % of the replies within", "µs", aims=(Aim(1, "knot-xdp", most=True),)),
        Row("latency-median", "… half of the replies within", "µs"),
        Row("latency-all", "… 99.9 % of all, whatever the machine did, within", "µs"),
        Row("flood", "random names that are missing, a flood that never waits: answered", "thousand/s", "more"),
        Row("steady", f"… beside it, a second client's steady {STEADY:,} queries/s: lost", "%",
            aims=(Aim(0, most=True),)),
    ]  # fmt: skip


class Pressure:
    """The part of the bench. `step` is told what begins, with its weight in seconds."""

    title = "Under pressure"

    def __init__(self, plan: Plan, kinds: Sequence[type[Subject]], step: Callable[[float, str], None]) -> None:
        self.plan, self.step = plan, step
        self.kinds = [kind for kind in kinds if kind.answers and (kind.is_peer or kind.in_driver)]
        self.rows = {row.key: row for row in rows()}
        self.steady: dict[str, list[tuple[int, int, str]]] = {}  # queries lost, and sent, and doubts; by server

    def seconds(self) -> float:
        return 5 + len(self.kinds) * self.plan.turn()

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        with ExitStack() as stack:
            self.step(5, "pressure: zones and queries are made")
            zone, asked, flood = self.prepare(stack.enter_context(Lab()))
            seats = []
            for kind in self.kinds:
                self.step(self.plan.start(), f"pressure: {kind.title} gets its zone")
                seats.append(seat(stack, kind, [zone], LINKS, client=False))
            for one in seats:
                self.step(self.plan.search(), f"pressure: the highest rate of {one.subject.title}")
                highest = self.highest(one, asked)
                self.rows["sustained"].add(one.subject.name, highest / 1000, "" if highest else "no rate is sustained")
            for number in range(self.plan.rounds):
                for one in turns(seats, number):
                    self.step(self.plan.one(), f"pressure: round {number + 1} of {self.plan.rounds}, {one.subject.title}")
                    self.latency(one, asked)
                    self.flood(one, flood)
        for name, seen in self.steady.items():  # one figure of all rounds: a loss in any of them is one
            lost, sent = sum(one[0] for one in seen), sum(one[1] for one in seen)
            self.rows["steady"].add(name, 100 * lost / max(sent, 1), next((one[2] for one in seen if one[2]), ""))
        return list(self.rows.values())

    def prepare(self, lab: Lab) -> tuple[Zone, Prepared, Prepared]:
        """The zone, queries for its names, and the flood's with the second client's behind them."""
        place = lab.make_directory("loads")
        zone = plain_zone(place, THOUSAND, 1000)
        second_link(lab)
        with Primary(lab, [zone]):
            made, beside = (seat_framer(lab, link) for link in LINKS)
            asked = prepare(lab, thousand(QUERIES), place, made)
            flood = prepare(lab, missing_thousand(QUERIES), place, made)
        steady = thousand(QUERIES).make(random.Random(1))
        write_queries(flood.path, steady, [], beside, flood.load.slot, first=QUERIES)
        return zone, asked, flood

    def ask(self, one: Seat, asked: Prepared, seconds: float, rate: float = 0.0, timed: bool = False) -> tuple[Any, str]:
        """Asked in a closed loop, or at a rate: what was counted, and why that is in doubt."""
        samples = asked.path.with_suffix(".samples")
        plan = RatePlan(None, 1, seconds, self.plan.warm)
        more = ["--rate", str(max(round(rate), 1))] if rate else []
        for _ in range(TRIES):
            one.subject.pin()
            seen = generate(one.lab, asked, plan, one.subject, [*one.napi, *one.subject.pids()], samples, *more)
            why = open_doubt(seen, wrong_samples(asked, samples), timed)
            one.subject.check()
            if why not in (DISTURBED, LIMITED):
                break
        return seen, why

    def highest(self, one: Seat, asked: Prepared) -> float:
        """The highest rate that is sustained; 0: none is."""
        seen, _ = self.ask(one, asked, PROBE)
        closed = seen["replies"] / seen["seconds"]
        if closed < 1:
            raise LabError(f"{one.subject.title} answers nothing\n{one.subject.log_tail()}")
        return sustained(closed, lambda rate: self.ask(one, asked, PROBE, rate)[0], self.plan.tries)

    def latency(self, one: Seat, asked: Prepared) -> None:
        """How long replies take at half of the highest rate."""
        highest = 1000 * self.rows["sustained"].series[one.subject.name].median
        seen, why = self.ask(one, asked, self.plan.seconds, max(highest * SHARE, TIMED), timed=True)
        for key, word in LATENCIES.items():
            never = "queries were lost" if seen[word] >= NEVER else ""
            self.rows[key].add(one.subject.name, seen[word], why or ("" if key == "latency-all" else never))

    def flood(self, one: Seat, flood: Prepared) -> None:
        """The flood from the one client, and the other's queries among it: those that stand behind its own."""
        one.subject.pin()
        more = ["--rate", str(STEADY), "--beside", SIDE, "--beside-from", str(QUERIES)]
        argv = command(flood, one.subject, self.plan.seconds, self.plan.warm, *more)
        seen = counters(subprocess.run(
            one.lab.client.command(*argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        ))  # fmt: skip
        why = "wrong replies" if seen["wrong"] or seen["strange"] else ""
        self.rows["flood"].add(one.subject.name, seen["replies"] / seen["seconds"] / 1000, why)
        if seen["skipped"] > SKIPPED_MOST * STEADY * seen["seconds"]:
            why = LIMITED
        self.steady.setdefault(one.subject.name, []).append((seen["beside_lost"], seen["beside_sent"], why))


def sustained(most: float, ask: Callable[[float], Any], tries: int = TRIES) -> float:
    """The highest rate, of `most` at most, of which nearly all is answered: found by halving an interval. 0: none is.
    Each rate is tried some times before it is given up: what disturbs the machine makes it fail, never succeed.
    """

    def does(rate: float) -> bool:
        return any(is_sustained(ask(rate), rate) for _ in range(tries))

    low, high = most / RANGE, most
    if not does(low):
        return 0.0
    for _ in range(PROBES):
        middle = (low * high) ** 0.5
        if does(middle):
            low = middle
        else:
            high = middle
    return low


def is_sustained(seen: Any, rate: float) -> bool:
    """Neither server nor generator has fallen behind."""
    return seen["replies"] >= ANSWERED_LEAST * rate * seen["seconds"]


def open_doubt(seen: Any, samples: Sequence[str], timed: bool) -> str:
    """Why a run says nothing; empty when it does. `timed`: in windows, most of which the generator must not be late in."""
    if seen["wrong"] or seen["strange"]:
        return "wrong replies"
    if samples:
        return "wrong records"
    if disturbed(seen["busy"] - seen["tasks"], seen["stolen"], seen["seconds"]):
        return DISTURBED
    return LIMITED if timed and seen["windows"] <= seen["late_windows"] else ""
