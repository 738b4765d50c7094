# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to: tables on the terminal, and the same as CSV and plots."""

from __future__ import annotations

import csv
import os
import platform
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import plot
from figures import OURS, Row
from subjects import Subject

Table = tuple[str, Sequence[Row]]  # a part's title and its rows


def machine() -> str:
    """The machine in a line: what any of these figures holds for."""
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)
    gigabytes = int(memory[1]) / 1e6 if memory else 0
    name = " ".join(model[1].split()) if model else platform.machine()
    return f"{os.cpu_count()} × {name}, {gigabytes:.0f} GB, Linux {platform.release().split('-')[0]}"


def heading() -> str:
    return f"{time.strftime('%Y-%m-%d')}, {machine()}"


def number(value: float) -> str:
    """Three figures that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; the first column is text, the others are aligned to the right."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = []
    for line in cells:
        rest = [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:])]
        lines.append("  ".join([f"{line[0]:<{widths[0]}}", *rest]).rstrip())
    return [lines[0], "  ".join("─" * width for width in widths), *lines[1:]]


def lines(rows: Sequence[Row], kinds: Sequence[type[Subject]], force: bool) -> list[str]:
    """A table with one line a row, each server's median; below it what is aimed at, and why a figure has a question
    mark.
    """
    titles = {kind.name: kind.title for kind in kinds if any(kind.name in row.series for row in rows)}
    cells = [["", "unit", *titles.values()]]
    cells += [[row.title, row.unit, *(_cell(row, name) for name in titles)] for row in rows]
    aimed = [[title, figure, f"× {other}" if other else "", aim, said] for title, other, figure, aim, said in
             aims(rows, kinds, force)]  # fmt: skip
    below = table([["aims", "", "", "", ""], *aimed]) if aimed else []
    notes = _doubts(rows, titles)
    return [*table(cells), *([""] if below else []), *below, *(["", *notes] if notes else [])]


def aims(rows: Sequence[Row], kinds: Sequence[type[Subject]], force: bool) -> Iterator[tuple[str, str, str, str, str]]:
    """Of every aim: its row, with whom it compares, the figure, the bound, and whether that is met."""
    titles = {kind.name: kind.title for kind in kinds}
    peers = [kind.name for kind in kinds if kind.is_peer]
    for row in rows:
        for aim in row.aims:
            if aim.ours not in row.series:
                continue
            other, figure = row.reached(aim, peers, force)
            said = "met" if figure is not None and aim.met(figure) else "not met"
            if figure is None:
                said = "; ".join(word for word in ("in doubt", row.met_in(aim, other)) if word)
            if other and other not in row.series:
                said = "not measured"
            title = row.title if aim.ours == OURS else f"{titles.get(aim.ours, aim.ours)}: {row.title}"
            compared = titles.get(other, other) + (", its loop" if aim.loop else "")
            bound = f"{'≤' if aim.most else '≥'} {aim.bound:g}"
            yield title, compared, "–" if figure is None else number(figure), bound, said


def _cell(row: Row, name: str) -> str:
    series = row.series.get(name)
    if not series or not series.values:
        return "–"
    return number(series.median) + ("?" if series.refusal() else "")


def _doubts(rows: Sequence[Row], titles: Mapping[str, str]) -> list[str]:
    """Why figures have a question mark: each reason once, with the figures that it holds for."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for name, series in row.series.items():
            if name in titles and series.values and series.refusal():
                reasons.setdefault(series.refusal(), {}).setdefault(row.title, []).append(titles[name])
    return [
        f"?  {why}: {'; '.join(found)}"
        for why, found in (
            (why, [f"{title} ({', '.join(names)})" for title, names in rows_of.items()])
            for why, rows_of in reasons.items()
        )
    ]


# ---------------------------------------------------------------------------------------------------------------- files


def write(folder: Path, tables: Sequence[Table], kinds: Sequence[type[Subject]]) -> None:
    """All that came of a run, into `folder`: when and where it was made, figures and aims as CSV, and plots."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machine.txt").write_text(heading() + "\n")
    titles = {kind.name: kind.title for kind in kinds}
    write_figures(folder / "figures.csv", tables, titles)
    with (folder / "aims.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["part", "title", "other", "figure", "aim", "said"])
        writer.writerows([part, *aim] for part, rows in tables for aim in aims(rows, kinds, False))
    for title, rows in tables:
        curved = [row for row in rows if row.place is not None]
        made = plot.curves(title, heading(), curved, titles) if curved else plot.bars(title, heading(), rows, titles)
        (folder / plot_name(title)).write_text(made)


def plot_name(title: str) -> str:
    """The file of a part's plot."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + ".svg"


def write_figures(path: Path, tables: Iterable[Table], titles: Mapping[str, str]) -> None:
    """A line for each row and server: all values, so that others may judge them otherwise."""
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["part", "row", "title", "unit", "server", "server_title", "median", "least", "most", "spread",
                         "doubt", "values"])  # fmt: skip
        for part, rows in tables:
            for row in rows:
                for name, series in row.series.items():
                    if series.values:
                        values = " ".join(f"{value:.6g}" for value in series.values)
                        writer.writerow(
                            [part, row.key, row.title, row.unit, name, titles.get(name, name), f"{series.median:.6g}",
                             f"{min(series.values):.6g}", f"{max(series.values):.6g}", f"{series.spread:.3f}",
                             series.refusal(), values]
                        )  # fmt: skip
