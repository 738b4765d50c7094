# SPDX-License-Identifier: GPL-3.0-or-later
"""Bars as SVG: a group for each row, a bar for each server, from the least to the most of its values a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from figures import Row, Series

COLOURS = {
    "peregrine": "#0b6e4f", "reflect": "#b8b8b8", "knot-xdp": "#2f6db5", "knot": "#7fb0e0", "nsd": "#e08a2e",
    "bind": "#a8577e", "gdnsd": "#8c8c3c",
}  # fmt: skip
LEFT, RIGHT, TOP, BAR, GAP, WIDTH = 330, 110, 84, 15, 20, 960


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
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>',
        _text(16, 26, title, "start", 'font-size="17" font-weight="bold"'),
        _text(16, 46, subtitle, "start", 'fill="#555555"'),
    ]
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


def _legend(names: Sequence[str], titles: Mapping[str, str]) -> str:
    made, x = [], 16
    for name in names:
        made.append(f'<rect x="{x}" y="58" width="10" height="10" fill="{COLOURS.get(name, "#777777")}"/>')
        made.append(_text(x + 15, 67, titles[name], "start"))
        x += 34 + 7 * len(titles[name])
    return "\n".join(made)


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(words)}</text>'
