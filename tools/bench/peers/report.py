# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to: a table on the terminal, and the same as CSV."""

from __future__ import annotations

import csv
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from figures import Row


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


def comparison(
    rows: Sequence[Row], titles: Mapping[str, str], ours: str, peers: Sequence[str], force: bool
) -> list[str]:
    """One line a row: each server's median, and ours by that of the best peer, or why that is not said."""
    cells = [["", "unit", *(titles[name] for name in titles), "to the best peer"]]
    notes: list[str] = []
    for row in rows:
        best = row.best(list(peers))
        ratio = row.ratio(ours, best, force) if best else None
        said = f"{number(ratio)} × {titles[best]}" if ratio is not None and best else "–"
        figures = [cell(row, name) for name in titles]
        cells.append([row.title, row.unit, *figures, said])
        notes += doubts(row, titles)
    return table(cells) + ["", *notes] if notes else table(cells)


def cell(row: Row, name: str) -> str:
    series = row.series.get(name)
    if not series or not series.values:
        return "–"
    return number(series.median) + ("?" if series.refusal() else "")


def doubts(row: Row, titles: Mapping[str, str]) -> list[str]:
    """Why a figure has a question mark."""
    found = []
    for name, series in row.series.items():
        if name in titles and series.values and series.refusal():
            found.append(f"?  {row.title}, {titles[name]}: {series.refusal()}")
    return found


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """A line for each row and server: all values, so that others may judge them otherwise."""
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["row", "title", "unit", "server", "median", "least", "most", "spread", "doubt", "values"])
        for row in rows:
            for name, series in row.series.items():
                if series.values:
                    values = " ".join(f"{value:.6g}" for value in series.values)
                    writer.writerow(
                        [row.key, row.title, row.unit, name, f"{series.median:.6g}", f"{min(series.values):.6g}",
                         f"{max(series.values):.6g}", f"{series.spread:.3f}", series.refusal(), values]
                    )  # fmt: skip
