# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to: tables on the terminal, and the same as CSV and plots."""

from __future__ import annotations

import csv
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import plot
from figures import Row
from subjects import Subject

OURS = "peregrine"


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


def thousands(value: float) -> str:
    return number(value / 1000)


def table(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; the first column is text, the others are aligned to the right."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = []
    for line in cells:
        rest = [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:])]
        lines.append("  ".join([f"{line[0]:<{widths[0]}}", *rest]).rstrip())
    return [lines[0], "  ".join("─" * width for width in widths), *lines[1:]]


def lines(rows: Sequence[Row], kinds: Sequence[type[Subject]], force: bool) -> list[str]:
    """A table with one line a row: each server's median; what ours is to the best peer, or what has been aimed at; and
    below it why a figure has a question mark.
    """
    shown = [kind for kind in kinds if any(kind.name in row.series for row in rows)]
    titles = {kind.name: kind.title for kind in shown}
    if any(row.targets for row in rows):
        cells = _rates(rows, titles, force)
    else:
        cells = _transfers(rows, titles, [kind.name for kind in shown if kind.is_peer], force)
    notes = _doubts(rows, titles)
    return table(cells) + (["", *notes] if notes else [])


def _rates(rows: Sequence[Row], titles: Mapping[str, str], force: bool) -> list[list[str]]:
    """“Of its loop” is the share of the rate that a closed loop has on one CPU, whose other end costs what reflecting
    costs: that is how the aims were set.
    """
    cells = [
        ["thousands of replies a second", *titles.values(), "of reflect", "of its loop", "aim", "× Knot AF_XDP", "aim"]
    ]
    for row in rows:
        reflect, knot = row.ratio(OURS, "reflect", force), row.ratio(OURS, "knot-xdp", force)
        loop = 2 * reflect / (1 + reflect) if reflect is not None else None
        cells.append([
            row.title, *(_cell(row, name, thousands) for name in titles), _said(reflect), _said(loop),
            f"{row.targets['reflect']:g}", _said(knot), f"{row.targets['knot-xdp']:g}",
        ])  # fmt: skip
    return cells


def _said(ratio: float | None) -> str:
    return "–" if ratio is None else number(ratio)


def _transfers(
    rows: Sequence[Row], titles: Mapping[str, str], peers: Sequence[str], force: bool
) -> list[list[str]]:
    cells = [["", "unit", *titles.values(), "× the best peer"]]
    for row in rows:
        best = row.best(list(peers))
        ratio = row.ratio(OURS, best, force) if best else None
        said = f"{number(ratio)} {titles[best]}" if ratio is not None and best else "–"
        cells.append([row.title, row.unit, *(_cell(row, name, number) for name in titles), said])
    return cells


def _cell(row: Row, name: str, spell: Callable[[float], str]) -> str:
    series = row.series.get(name)
    if not series or not series.values:
        return "–"
    return spell(series.median) + ("?" if series.refusal() else "")


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


def write(folder: Path, tables: Sequence[tuple[str, Sequence[Row]]], kinds: Sequence[type[Subject]]) -> None:
    """figures.csv, and a plot for each table, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "figures.csv", (row for _, rows in tables for row in rows))
    titles = {kind.name: kind.title for kind in kinds}
    for title, rows in tables:
        name = re.sub(r"[^a-z]+", "-", title.lower()).strip("-")
        (folder / f"{name}.svg").write_text(plot.bars(title, heading(), rows, titles))
    print(f"\nfigures and plots: {folder}")


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
