# SPDX-License-Identifier: GPL-3.0-or-later
"""Under pressure: how long replies take at half of the rate that a server can do, and what a flood does to others.

Queries leave from CPU 0, in a busy loop, which sends each when it is due. What comes back is taken on the serving CPU,
in the same interrupt that sends it: nobody has to be woken for it, so that the time is the server's alone.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from figures import Aim, Row
from frames import write_queries
from loads import THOUSAND, missing_thousand, thousand
from place import SIDE, SIDE_ADDRESSES, Lab, LabError, Primary, second_link
from rates import DISTURBED, LIMITED, SERVER_CPU, TRIES, Prepared, Threads, command, counters, disturbed
from rates import Plan as RatePlan
from rates import doubt, framer, generate, link_framer, prepare, wrong_samples
from subjects import Subject
from zone_files import plain_zone

QUERIES = 1 << 16  # no query of them is asked again before its reply is long there
SHARE = 0.5
TIMED = 20_000  # queries a second that the generator sends at the times at which they are due, at least
STEADY = 10_000  # queries a second of the second client
SKIPPED_MOST = 0.05
LATENCIES = {"latency": "slowest_thousandth", "latency-99": "slowest_hundredth", "latency-median": "median"}
NEVER = 16_000  # microseconds: who took longer, or was lost, is counted together


@dataclass(frozen=True)
class Plan:
    rounds: int
    runs: int  # of the open loop, a round: half a millisecond in which the server stands still decides over one
    seconds: float
    warm: float = 0.2

    def turn(self) -> float:
        """What one server's turn takes, about."""
        return 3.5 + (2 + self.runs) * (self.seconds + self.warm + 0.8)


def rows() -> list[Row]:
    return [
        Row("loop", "A, 1,000 names, closed loop, both its ends on the serving CPU", "thousand/s", "more"),
        Row("latency", "A, 1,000 names, at half of that rate: 99.9 % of the replies within", "µs",
            aims=(Aim(1, "knot-xdp", most=True),)),
        Row("latency-99", "… 99 % of the replies within", "µs", aims=(Aim(1, "knot-xdp", most=True),)),
        Row("latency-median", "… half of the replies within", "µs"),
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
        return 5 + self.plan.rounds * len(self.kinds) * self.plan.turn()

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        with Lab() as lab:
            self.step(5, "pressure: zones and queries are made")
            place = lab.make_directory("loads")
            zone = plain_zone(place, THOUSAND, 1000)
            Primary(lab, [zone]).start()
            second_link(lab)
            made, threads = framer(lab), Threads(lab, ("front", SIDE), client=False)
            asked = prepare(lab, thousand(QUERIES), place, made)
            flood = prepare(lab, missing_thousand(QUERIES), place, made)
            beside = link_framer(lab, SIDE_ADDRESSES[:1], SIDE)
            steady = thousand(QUERIES).make(random.Random(1))
            write_queries(flood.path, steady, [], beside, flood.load.slot, first=QUERIES)
            for number in range(self.plan.rounds):
                turn = number % len(self.kinds)
                for kind in self.kinds[turn:] + self.kinds[:turn]:
                    self.step(self.plan.turn(), f"pressure: round {number + 1} of {self.plan.rounds}, {kind.title}")
                    with kind(lab, [zone], SERVER_CPU, ("front", SIDE)) as subject:
                        subject.wait_serving()
                        subject.settle()
                        self.latency(lab, subject, asked, threads)
                        self.flood(lab, subject, flood, threads)
                        subject.check()
        for name, seen in self.steady.items():  # one figure of all rounds: a loss in any of them is one
            lost, sent = sum(one[0] for one in seen), sum(one[1] for one in seen)
            self.rows["steady"].add(name, 100 * lost / max(sent, 1), next((one[2] for one in seen if one[2]), ""))
        return list(self.rows.values())

    def latency(self, lab: Lab, subject: Subject, asked: Prepared, threads: Threads) -> None:
        """The rate of a closed loop, then an open one at half of it."""
        samples = asked.path.with_suffix(".samples")

        def run(*more: str) -> tuple[Any, str]:
            subject.pin()
            pids = [*threads.pin(), *subject.pids()]
            plan = RatePlan(None, 1, self.plan.seconds, self.plan.warm)
            for _ in range(TRIES):
                seen = generate(lab, asked, plan, subject, pids, samples, *more)
                bad = wrong_samples(asked, samples)
                why = doubt(seen, subject, bad) if not more else open_doubt(seen, bad)
                if why not in (DISTURBED, LIMITED):
                    break
            return seen, why

        seen, why = run()
        rate = seen["replies"] / seen["seconds"]
        self.rows["loop"].add(subject.name, rate / 1000, why)
        if rate < 1:
            raise LabError(f"{subject.title} answers nothing\n{subject.log_tail()}")
        for _ in range(self.plan.runs):
            seen, why = run("--rate", str(max(round(rate * SHARE), TIMED)))
            for key, word in LATENCIES.items():
                never = "queries were lost" if seen[word] >= NEVER else ""
                self.rows[key].add(subject.name, seen[word], why or never)

    def flood(self, lab: Lab, subject: Subject, flood: Prepared, threads: Threads) -> None:
        """The flood from the one client, and the other's queries among it: those that stand behind its own."""
        subject.pin()
        threads.pin()
        more = ["--rate", str(STEADY), "--beside", SIDE, "--beside-from", str(QUERIES)]
        argv = command(flood, subject, self.plan.seconds, self.plan.warm, *more)
        seen = counters(subprocess.run(
            lab.client.command(*argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        ))  # fmt: skip
        why = "wrong replies" if seen["wrong"] or seen["strange"] else ""
        self.rows["flood"].add(subject.name, seen["replies"] / seen["seconds"] / 1000, why)
        if seen["skipped"] > SKIPPED_MOST * STEADY * seen["seconds"]:
            why = LIMITED
        self.steady.setdefault(subject.name, []).append((seen["beside_lost"], seen["beside_sent"], why))


def open_doubt(seen: Any, samples: Sequence[str]) -> str:
    """Why an open loop at half of the rate says nothing; empty when it does."""
    if seen["wrong"] or seen["strange"]:
        return "wrong replies"
    if samples:
        return "wrong records"
    if disturbed(seen["busy"] - seen["tasks"], seen["stolen"], seen["seconds"]):
        return DISTURBED
    if seen["skipped"] > SKIPPED_MOST * max(seen["sent"], 1):
        return LIMITED
    return ""
