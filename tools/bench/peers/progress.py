# SPDX-License-Identifier: GPL-3.0-or-later
"""One line on the terminal that says how far the run is and how long it will take yet."""

from __future__ import annotations

import sys
import time


class Progress:
    """Steps have weights: the seconds that each is thought to take; what they really took corrects the estimate."""

    def __init__(self, total: float) -> None:
        self.total, self.done, self.begun = total, 0.0, time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.said = 0.0

    def step(self, weight: float, what: str) -> None:
        """What is begun now."""
        now = time.monotonic()
        if self.terminal:
            print(f"\r\033[K{self.line(what)}", end="", file=sys.stderr, flush=True)
        elif now - self.said > 15:  # in a log file a line now and then is enough
            print(self.line(what), file=sys.stderr, flush=True)
            self.said = now
        self.done += weight

    def line(self, what: str) -> str:
        spent = time.monotonic() - self.begun
        share = min(self.done / self.total, 0.99) if self.total else 0.0
        left = self.total - self.done
        if share > 0.05:
            left = spent / share * (1 - share)
        return f"{share:4.0%}  {duration(left)} left  {what}"

    def clear(self) -> None:
        """Takes the line away, before something else is printed."""
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    seconds = max(0, round(seconds))
    return f"{seconds // 60} min {seconds % 60:02} s" if seconds >= 60 else f"{seconds} s"
