#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts what a run of the bench came to into README.md, between its two marks, and the plots into docs/plots.

    readme.py FOLDER ...        where runs have left their figures: of a part that several have, the last one's
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from report import number, plot_name

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


@dataclass(frozen=True)
class Part:
    """What a run came to in one part of it."""

    title: str
    figures: list[dict[str, str]]
    aims: list[dict[str, str]]
    plot: Path
    measured: str  # when and where


def parts(folders: Sequence[Path]) -> list[Part]:
    """In the order of the first run that has each; of a part that several have, the last one's."""
    found: dict[str, Part] = {}
    for folder in folders:
        figures, aims = read(folder / "figures.csv"), read(folder / "aims.csv")
        for title in dict.fromkeys(one["part"] for one in figures):
            mine, aimed = ([one for one in all_of_it if one["part"] == title] for all_of_it in (figures, aims))
            measured = (folder / "machine.txt").read_text().strip()
            found[title] = Part(title, mine, aimed, folder / plot_name(title), measured)
    return list(found.values())


def block(made: Sequence[Part]) -> list[str]:
    """The lines between the marks."""
    first = made[0].measured
    lines = [f"Measured by `make bench`: {first}. A question mark: in doubt, by the",
             "spread of its rounds or by what else ran; ratios are of the same round.", ""]  # fmt: skip
    for part in made:
        other = f" ({part.measured})" if part.measured != first else ""
        lines += [f"**{part.title}**{other}", "", *table(list(medians(part.figures))), ""]
    cells = [["what is aimed at", "beside", "figure", "aim", ""]]
    cells += [[one["title"], one["other"] or "–", one["figure"], one["aim"], one["said"]] for part in made for one in part.aims]
    if len(cells) > 1:
        lines += ["<details><summary>What is aimed at, and what came of it</summary>", "", *table(cells), "", "</details>", ""]
    return [*lines, *(f"![{part.title}](docs/plots/{part.plot.name})" for part in made)]


def put(readme: Path, lines: Sequence[str]) -> None:
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{readme}: its marks “{BEGIN}” and “{END}” are missing")
    readme.write_text("\n".join([before + begin, "", *lines, "", end + after]))


def main(folders: Sequence[Path], root: Path = ROOT) -> None:
    made = parts(folders)
    (root / "docs/plots").mkdir(parents=True, exist_ok=True)
    for part in made:
        shutil.copy(part.plot, root / "docs/plots" / part.plot.name)
    put(root / "README.md", block(made))


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
