# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of several rounds, and what may be said of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

SPREAD_MAX = 0.15


@dataclass
class Series:
    """What one server came to in one row, round by round. A doubt is a reason not to compare it."""

    values: list[float] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def add(self, value: float, doubt: str = "") -> None:
        self.values.append(value)
        if doubt and doubt not in self.doubts:
            self.doubts.append(doubt)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """The distance of the quartiles by the median; of fewer than four values that of the extremes."""
        if len(self.values) < 2 or not self.median:
            return 0.0
        if len(self.values) < 4:
            return (max(self.values) - min(self.values)) / self.median
        first, _, third = statistics.quantiles(self.values, n=4)
        return (third - first) / self.median

    def refusal(self) -> str:
        """Why no ratio is given of this; empty when one may be."""
        if not self.values:
            return "not measured"
        if self.doubts:
            return "; ".join(self.doubts)
        return f"spread over {SPREAD_MAX:.0%}" if self.spread > SPREAD_MAX else ""


@dataclass
class Row:
    """One line of a table: what is measured, in which unit, and a series of each server. `better` is `more` or `less`."""

    key: str
    title: str
    unit: str
    better: str = "less"
    series: dict[str, Series] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)  # ratios to be reached, by the server compared with

    def add(self, server: str, value: float, doubt: str = "") -> None:
        self.series.setdefault(server, Series()).add(value, doubt)

    def ratio(self, server: str, other: str, force: bool = False) -> float | None:
        """How many times `other`'s figure `server`'s is; None where that may not be said."""
        one, two = self.series.get(server), self.series.get(other)
        if not one or not two or not one.values or not two.values or not two.median:
            return None
        return None if not force and (one.refusal() or two.refusal()) else one.median / two.median

    def doubted(self) -> bool:
        return any(series.values and series.refusal() for series in self.series.values())

    def best(self, servers: list[str]) -> str | None:
        """The one of these servers whose figure is the best, doubted or not."""
        known = [name for name in servers if name in self.series and self.series[name].values]
        choose = max if self.better == "more" else min
        return choose(known, key=lambda name: self.series[name].median) if known else None
