# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots as SVG. Bars: a group for each row, a bar for each server, from the least to the most of its values a line.
Curves: a field for each, with both axes logarithmic, a line for each server.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from figures import Row, Series

COLOURS = {
    "peregrine": "#0b6e4f", "reflect": "#b8b8b8", "knot-xdp": "#2f6db5", "knot": "#7fb0e0", "nsd": "#e08a2e",
    "bind": "#a8577e", "gdnsd": "#8c8c3c", "fallback": "#6fbf9f",
}  # fmt: skip
LEFT, RIGHT, TOP, BAR, GAP, WIDTH = 330, 110, 84, 15, 20, 960
FIELD = (250, 210)  # of a curve's axes: width, height


def bars(title: str, subtitle: str, rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """A document of its own. Each row has its own scale, since rows differ in their units."""
    known = [name for name in titles if any(name in row.series for row in rows)]
    body = [_legend(known, titles)]
    top = TOP
    for row in rows:
        shown = [(name, row.series[name]) for name in known if name in row.series and row.series[name].values]
        if shown:
            body += _group(row, shown, top)
            top += len(shown) * BAR + GAP
    head = _head(title, subtitle, WIDTH, top)
    return "\n".join([*head, *body, "</svg>", ""])


def _group(row: Row, shown: Sequence[tuple[str, Series]], top: int) -> list[str]:
    most = max(max(series.values) for _, series in shown) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / most
    made = [_text(LEFT - 12, top + len(shown) * BAR / 2 + 4, f"{row.title} [{row.unit}]", "end")]
    for number, (name, series) in enumerate(shown):
        y = top + number * BAR
        faint = ' fill-opacity="0.45"' if series.refusal() else ""
        end = LEFT + series.median * scale
        made.append(
            f'<rect x="{LEFT}" y="{y}" width="{max(end - LEFT, 1):.1f}" height="{BAR - 3}" '
            f'fill="{COLOURS.get(name, "#777777")}"{faint}/>'
        )
        middle, furthest = y + (BAR - 3) / 2, LEFT + max(series.values) * scale
        made.append(
            f'<line x1="{LEFT + min(series.values) * scale:.1f}" x2="{furthest:.1f}" y1="{middle}" y2="{middle}" '
            'stroke="#000000" stroke-width="1"/>'
        )
        made.append(_text(furthest + 6, middle + 4, f"{series.median:,.4g}" + ("?" if series.refusal() else ""), "start"))
    return made


def curves(title: str, subtitle: str, rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """A document of its own, of rows that are points."""
    names = list(dict.fromkeys(row.place[0] for row in rows if row.place))
    known = [name for name in titles if any(name in row.series for row in rows)]
    body, height = [_legend(known, titles)], TOP + FIELD[1] + 60
    for number, name in enumerate(names):
        points = [row for row in rows if row.place and row.place[0] == name]
        body += _field(name, points, known, 60 + number * (FIELD[0] + 60), TOP + 20)
    return "\n".join([*_head(title, subtitle, 60 + len(names) * (FIELD[0] + 60), height), *body, "</svg>", ""])


def _head(title: str, subtitle: str, width: int, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(16, 26, title, "start", 'font-size="17" font-weight="bold"'),
        _text(16, 46, subtitle, "start", 'fill="#555555"'),
    ]


def _field(name: str, rows: Sequence[Row], servers: Sequence[str], left: int, top: int) -> list[str]:
    points = {
        server: [(math.log10(row.place[1]), math.log10(max(row.series[server].median, 1e-3)))
                 for row in rows if row.place and server in row.series]
        for server in servers
    }  # fmt: skip
    every = [point for line in points.values() for point in line]
    if not every:
        return []
    lowest, highest = math.floor(min(y for _, y in every)), math.ceil(max(y for _, y in every))
    first, last = min(x for x, _ in every), max(x for x, _ in every)

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - first) / ((last - first) or 1), (y - lowest) / ((highest - lowest) or 1)
        return left + across * FIELD[0], top + (1 - up) * FIELD[1]

    made = [_text(left, top - 12, name, "start", 'font-weight="bold"')]
    for power in range(lowest, highest + 1):
        y = at(first, power)[1]
        made.append(f'<line x1="{left}" x2="{left + FIELD[0]}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        made.append(_text(left - 6, y + 4, f"{10.0**power:,.6g}", "end"))
    for power in range(math.ceil(first), math.floor(last) + 1):
        made.append(_text(at(power, lowest)[0], top + FIELD[1] + 18, f"{10**power:,}", "middle"))
    for server, line in points.items():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in sorted(line)))
        colour = COLOURS.get(server, "#777777")
        made.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return made


def _legend(names: Sequence[str], titles: Mapping[str, str]) -> str:
    made, x = [], 16
    for name in names:
        made.append(f'<rect x="{x}" y="58" width="10" height="10" fill="{COLOURS.get(name, "#777777")}"/>')
        made.append(_text(x + 15, 67, titles[name], "start"))
        x += 34 + 7 * len(titles[name])
    return "\n".join(made)


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'
