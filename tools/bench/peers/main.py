#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures Peregrine beside its peers, in one run, in turns: see docs/performance.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import report
from figures import Row
from loads import FULL as FULL_SIZE
from loads import QUICK as QUICK_SIZE
from place import LabError, sweep_accounts
from progress import Progress, duration
from rates import Plan as RatePlan
from rates import Rates
from subjects import Subject, all_subjects
from transfers import Plan as TransferPlan
from transfers import Transfers

TRANSFERS_FULL = TransferPlan(names=1_000_000, rounds=3, changes=5, many=10_000)
TRANSFERS_QUICK = TransferPlan(names=20_000, rounds=2, changes=2, many=10_000)
RATES_FULL = RatePlan(FULL_SIZE, rounds=3, seconds=1.5, warm=0.5)
RATES_QUICK = RatePlan(QUICK_SIZE, rounds=1, seconds=0.6, warm=0.2)
PARTS = ("loads", "transfers")


def options(words: Sequence[str]) -> argparse.Namespace:
    kinds = all_subjects()
    parser = argparse.ArgumentParser(prog="tools/bench/peers/main.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small zones and few rounds: two minutes")
    parser.add_argument("--force", action="store_true", help="give ratios of figures that are in doubt, too")
    parser.add_argument("--parts", metavar="NAMES", default=",".join(PARTS), help=f"of {','.join(PARTS)}, by commas")
    parser.add_argument("--servers", metavar="NAMES", help=f"of {','.join(kinds)}, by commas")
    parser.add_argument("--load", metavar="WORD", default="", help="only loads whose key has this in it")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write figures (CSV) and plots (SVG) there")
    given = parser.parse_args(words)
    given.kinds = list(_chosen(parser, kinds, given.servers))
    for part in given.parts.split(","):
        if part not in PARTS:
            parser.error(f"there is no part {part}; there are {', '.join(PARTS)}")
    return given


def _chosen(parser: argparse.ArgumentParser, kinds: Mapping[str, type[Subject]], names: str | None) -> Iterable[type[Subject]]:
    for name in names.split(",") if names else kinds:
        if name not in kinds:
            parser.error(f"there is no server {name}; there are {', '.join(kinds)}")
        yield kinds[name]


def available(kinds: Sequence[type[Subject]]) -> list[type[Subject]]:
    """Those that can be run here; says which cannot."""
    found = []
    for kind in kinds:
        why = kind.missing()
        if why:
            print(f"without {kind.title}: {why}", file=sys.stderr)
        else:
            found.append(kind)
    return found


@dataclass
class Part:
    """A part of the run, and what came of it."""

    title: str
    runner: Rates | Transfers
    rows: list[Row] = field(default_factory=list)


def parts(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Callable[[float, str], None]) -> list[Part]:
    made = []
    if "loads" in given.parts:
        plan = RATES_QUICK if given.quick else RATES_FULL
        made.append(Part("Replies a second of one serving CPU", Rates(plan, kinds, step, given.load)))
    if "transfers" in given.parts:
        follow = TRANSFERS_QUICK if given.quick else TRANSFERS_FULL
        made.append(
            Part("Being a secondary", Transfers(follow, [kind for kind in kinds if kind.transfers], step))
        )
    return made


def bench(given: argparse.Namespace) -> bool:
    """Runs all; True when every ratio could be given."""
    kinds = available(given.kinds)
    progress: Progress | None = None

    def step(weight: float, what: str) -> None:
        if progress:
            progress.step(weight, what)

    made = parts(given, kinds, step)
    total = sum(part.runner.seconds() for part in made)
    print(f"{report.heading()}; about {duration(total)}", flush=True)
    progress = Progress(total)
    try:
        for part in made:
            part.rows = part.runner.run()
            progress.clear()
            print("\n".join(["", part.title, *report.lines(part.rows, kinds, given.force)]), flush=True)
    finally:
        progress.clear()
    if given.output:
        report.write(given.output, [(part.title, part.rows) for part in made], kinds)
    return not any(row.doubted() for part in made for row in part.rows)


def main() -> int:
    given = options(sys.argv[1:])
    if os.geteuid():
        print("bench: it makes namespaces and loads XDP programs: run it as root", file=sys.stderr)
        return 1
    sweep_accounts()
    try:
        sure = bench(given)
    except LabError as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if not sure and not given.force:
        print("\nThe figures with a question mark are in doubt, and nothing was compared with them.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
