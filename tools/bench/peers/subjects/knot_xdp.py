# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from subjects import IN_FRAMES, program_missing
from subjects.knot import Knot


class KnotXdp(Knot):
    """The same over AF_XDP: queries pass by the kernel's network stack. Transfers are as over sockets."""

    name, title, order = "knot-xdp", "Knot AF_XDP", 10
    transfers = follows_catalogs = False
    outstanding = IN_FRAMES

    def sections(self) -> list[str]:
        listen = ", ".join(f'"{interface}@53"' for interface in self.interfaces)
        return ["xdp:", f"  listen: [ {listen} ]"]

    @staticmethod
    def missing() -> str | None:
        return program_missing("knotd")
