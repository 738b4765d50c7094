# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of several rounds, and what may be said of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

SPREAD_MAX = 0.15
OURS = "peregrine"
BEST = "best"  # in the place of a server's name: the peer whose figure is the best


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


@dataclass(frozen=True)
class Aim:
    """What is to be reached: `ours` by the figure of `other`, or `ours` itself where there is no other, is at least, or at
    most, `bound`. `loop`: the ratio is meant as that of two closed loops on one CPU, whose other end costs what
    reflecting costs (of a ratio R of the server's time alone: 2R / (1 + R)).
    """

    bound: float
    other: str = ""
    most: bool = False
    loop: bool = False
    ours: str = OURS

    def met(self, figure: float) -> bool:
        return figure <= self.bound if self.most else figure >= self.bound


@dataclass
class Row:
    """One line of a table: what is measured, in which unit, and a series of each server. `better` is `more` or `less`."""

    key: str
    title: str
    unit: str
    better: str = "less"
    series: dict[str, Series] = field(default_factory=dict)
    aims: tuple[Aim, ...] = ()
    place: tuple[str, float] | None = None  # of a point: its curve, and where on that it is

    def add(self, server: str, value: float, doubt: str = "") -> None:
        self.series.setdefault(server, Series()).add(value, doubt)

    def ratio(self, server: str, other: str, force: bool = False) -> float | None:
        """How many times `other`'s figure `server`'s is: the median of what it was round by round, since what disturbs a
        machine for a while disturbs both. None where that may not be said.
        """
        one, two = self.series.get(server), self.series.get(other)
        values = self.rounds(server, other)
        if not one or not two or not values:
            return None
        ratios = Series(values, [*one.doubts, *two.doubts])
        return None if ratios.refusal() and not force else ratios.median

    def rounds(self, server: str, other: str) -> list[float]:
        """The same ratio round by round; none if not all rounds have one."""
        one, two = self.series.get(server), self.series.get(other)
        if not one or not two or len(one.values) != len(two.values) or not all(two.values):
            return []
        return [a / b for a, b in zip(one.values, two.values)]

    def met_in(self, aim: Aim, other: str) -> str:
        """In how many rounds the aim was met: what can be said where figures spread. Nothing if they are in other doubt."""
        known = [self.series[name] for name in (aim.ours, other) if name in self.series]
        values = self.rounds(aim.ours, other) if other else known[0].values
        values = [2 * value / (1 + value) for value in values] if aim.loop else values
        if not values or any(series.doubts for series in known):
            return ""
        return f"met in {sum(map(aim.met, values))} of {len(values)} rounds"

    def reached(self, aim: Aim, peers: Sequence[str], force: bool = False) -> tuple[str, float | None]:
        """With whom this aim compares here, and the figure that it is about; None where that may not be said."""
        if not aim.other:
            series = self.series.get(aim.ours)
            sure = series and series.values and (force or not series.refusal())
            return "", series.median if series and sure else None
        other = self.best(peers) if aim.other == BEST else aim.other
        ratio = self.ratio(aim.ours, other, force) if other else None
        return other or aim.other, 2 * ratio / (1 + ratio) if ratio is not None and aim.loop else ratio

    def doubted(self, peers: Sequence[str]) -> bool:
        """Whether any figure is wrong, or an aim cannot be judged."""
        wrong = any(series.doubts for series in self.series.values())
        return wrong or any(
            self.reached(aim, peers)[1] is None and aim.ours in self.series
            for aim in self.aims if not aim.other or self.reached(aim, peers)[0] in self.series
        )  # fmt: skip

    def best(self, servers: Sequence[str]) -> str | None:
        """The one of these servers whose figure is the best, doubted or not."""
        known = [name for name in servers if name in self.series and self.series[name].values]
        choose = max if self.better == "more" else min
        return choose(known, key=lambda name: self.series[name].median) if known else None
