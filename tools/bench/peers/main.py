#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures Peregrine beside its peers, in one run, in turns: see docs/performance.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import report
from figures import Row
from parts import NAMES, make
from place import LabError, ServingCpu, sweep_accounts
from progress import Progress, duration
from rates import SERVER_CPU
from subjects import Subject, all_subjects


def options(words: Sequence[str]) -> argparse.Namespace:
    kinds = all_subjects()
    parser = argparse.ArgumentParser(prog="tools/bench/peers/main.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small zones and few rounds: two minutes")
    parser.add_argument("--force", action="store_true", help="give ratios of figures that are in doubt, too")
    parser.add_argument("--parts", metavar="NAMES", default="", help=f"of {','.join(NAMES)}, by commas")
    parser.add_argument("--servers", metavar="NAMES", help=f"of {','.join(kinds)}, by commas")
    parser.add_argument("--load", metavar="WORD", default="", help="only loads whose key has this in it")
    parser.add_argument("--members", type=int, metavar="N", help="of the catalog; 100000 takes some minutes")
    parser.add_argument("--largest", type=int, metavar="N", help="part growth with zones of 1000 names, ten times as many, and so on, up to N")
    parser.add_argument("--names", type=int, metavar="N", help="part growth with a zone of so many names alone")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write figures (CSV) and plots (SVG) there")
    given = parser.parse_args(words)
    given.kinds = list(_chosen(parser, kinds, given.servers))
    given.parts = [part for part in given.parts.split(",") if part]
    for part in given.parts:
        if part not in NAMES:
            parser.error(f"there is no part {part}; there are {', '.join(NAMES)}")
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


def bench(given: argparse.Namespace) -> bool:
    """Runs all; True when every ratio could be given."""
    kinds = available(given.kinds)
    progress: Progress | None = None

    def step(weight: float, what: str) -> None:
        if progress:
            progress.step(weight, what)

    made = make(given, kinds, step)
    total = sum(part.seconds() for part in made)
    print(f"{report.heading()}; about {duration(total)}", flush=True)
    progress = Progress(total)
    tables: list[tuple[str, Sequence[Row]]] = []
    try:
        for part in made:
            rows = part.run()
            tables.append((part.title, rows))
            progress.clear()
            print("\n".join(["", part.title, *report.lines(rows, kinds, given.force)]), flush=True)
            if given.output:  # part by part: what has been measured is kept, whatever comes
                report.write(given.output, tables, kinds)
    finally:
        progress.clear()
    if given.output:
        print(f"\nfigures and plots: {given.output}")
    peers = [kind.name for kind in kinds if kind.is_peer]
    return not any(row.doubted(peers) for _, rows in tables for row in rows)


def main() -> int:
    given = options(sys.argv[1:])
    if os.geteuid():
        print("bench: it makes namespaces and loads XDP programs: run it as root", file=sys.stderr)
        return 1
    sweep_accounts()
    try:
        with ServingCpu(SERVER_CPU):
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
