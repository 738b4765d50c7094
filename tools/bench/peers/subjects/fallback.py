# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

from subjects.peregrine import Peregrine


class Fallback(Peregrine):
    """Peregrine without its fast path: what the fallback server answers over sockets, with one thread."""

    name, title, order = "fallback", "Peregrine sockets", 1
    in_driver, transfers, over_tls, follows_catalogs = False, False, False, False
    outstanding = 48
    loads = ("a-thousand", "missing-thousand")

    def settings(self) -> dict[str, Any]:
        made = super().settings()
        made["fast-path"] = {"mode": "off"}
        return made
