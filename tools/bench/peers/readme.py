#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts what a run of the bench came to into README.md, between its two marks, and the plots into docs/plots.

    readme.py FOLDER        where `make bench` has left its figures
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from report import number

ROOT = Path(__file__).resolve().parents[3]
BEGIN, END = "<!-- bench: written by `make bench-readme` -->", "<!-- bench: end -->"
ALIGNED = 1  # columns of a table whose text is aligned to the left


def table(cells: Sequence[Sequence[str]]) -> list[str]:
    """Markdown; the first line is the head."""
    rule = ["---"] * ALIGNED + ["---:"] * (len(cells[0]) - ALIGNED)
    return [f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:])]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def medians(figures: Sequence[dict[str, str]]) -> Iterator[list[str]]:
    """Of one part: a line for each row, a column for each server."""
    servers = dict.fromkeys(one["server_title"] for one in figures)
    yield ["", "", *servers]
    for title, unit in dict.fromkeys((one["title"], one["unit"]) for one in figures):
        seen = {one["server_title"]: one for one in figures if (one["title"], one["unit"]) == (title, unit)}
        yield [title, unit, *(cell(seen[server]) if server in seen else "–" for server in servers)]


def cell(figure: dict[str, str]) -> str:
    return number(float(figure["median"])) + ("?" if figure["doubt"] else "")


def block(folder: Path, plots: Sequence[str]) -> list[str]:
    """The lines between the marks."""
    figures, aims = read(folder / "figures.csv"), read(folder / "aims.csv")
    lines = [f"Measured by `make bench`: {(folder / 'machine.txt').read_text().strip()}. A question mark: in doubt, by the",
             "spread of its rounds or by what else ran; ratios are of the same round.", ""]  # fmt: skip
    for part in dict.fromkeys(one["part"] for one in figures):
        lines += [f"**{part}**", "", *table(list(medians([one for one in figures if one["part"] == part]))), ""]
    cells = [["what is aimed at", "beside", "figure", "aim", ""]]
    cells += [[one["title"], one["other"] or "–", one["figure"], one["aim"], one["said"]] for one in aims]
    if aims:
        lines += ["<details><summary>What is aimed at, and what came of it</summary>", "", *table(cells), "", "</details>", ""]
    return [*lines, *(f"![{name}](docs/plots/{name})" for name in plots)]


def put(readme: Path, lines: Sequence[str]) -> None:
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{readme}: its marks “{BEGIN}” and “{END}” are missing")
    readme.write_text("\n".join([before + begin, "", *lines, "", end + after]))


def main(folder: Path, root: Path = ROOT) -> None:
    plots = sorted(path.name for path in folder.glob("*.svg"))
    (root / "docs/plots").mkdir(parents=True, exist_ok=True)
    for name in plots:
        shutil.copy(folder / name, root / "docs/plots" / name)
    put(root / "README.md", block(folder, plots))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
