#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures Peregrine beside its peers, in one run, in turns: see docs/performance.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import report
from place import LabError, sweep_accounts
from progress import Progress, duration
from subjects import Subject, all_subjects
from transfers import Plan as TransferPlan
from transfers import Transfers

FULL = TransferPlan(names=1_000_000, rounds=3, changes=5, many=10_000)
QUICK = TransferPlan(names=20_000, rounds=2, changes=3, many=10_000)


def options(words: Sequence[str]) -> argparse.Namespace:
    kinds = all_subjects()
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small zones and few rounds: some minutes")
    parser.add_argument("--force", action="store_true", help="give ratios of figures that are in doubt, too")
    parser.add_argument("--servers", metavar="NAMES", help=f"some of {','.join(kinds)}, by commas")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all figures there")
    given = parser.parse_args(words)
    given.kinds = list(kinds.values())
    if given.servers:
        names = given.servers.split(",")
        unknown = [name for name in names if name not in kinds]
        if unknown:
            parser.error(f"there is no server {unknown[0]}; there are {', '.join(kinds)}")
        given.kinds = [kinds[name] for name in names]
    return given


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


def bench(given: argparse.Namespace) -> None:
    kinds = available(given.kinds)
    titles = {kind.name: kind.title for kind in kinds}
    peers = [kind.name for kind in kinds if kind.is_peer]
    progress: Progress | None = None

    def step(weight: float, what: str) -> None:
        if progress:
            progress.step(weight, what)

    transfers = Transfers(QUICK if given.quick else FULL, [kind for kind in kinds if kind.transfers], step)
    total = transfers.seconds()
    print(f"{report.heading()}; about {duration(total)}", flush=True)
    progress = Progress(total)
    try:
        rows = transfers.run()
    finally:
        progress.end()
    print("\nTransfers")
    print("\n".join(report.comparison(rows, titles, "peregrine", peers, given.force)))
    if given.csv:
        report.write_csv(given.csv, rows)


def main() -> int:
    given = options(sys.argv[1:])
    if os.geteuid():
        print("bench: it makes namespaces and loads XDP programs: run it as root", file=sys.stderr)
        return 1
    sweep_accounts()
    try:
        bench(given)
    except LabError as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
