# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from place import BUILD
from subjects import IN_FRAMES, Subject


class Reflect(Subject):
    """No nameserver: an XDP program that sends each frame back. What any of them could do at most here."""

    name, title, order = "reflect", "reflect", 5
    in_driver, is_peer, transferring, transfers, answers = True, False, False, False, False
    outstanding = IN_FRAMES
    more: tuple[str, ...] = ()

    def command(self) -> list[str]:
        more = ["--beside", self.interfaces[1]] if len(self.interfaces) > 1 else []
        return [str(BUILD / "peregrine-generator"), "--interface", self.interfaces[0], *more, "--reflect", *self.more]

    @staticmethod
    def missing() -> str | None:
        made = BUILD / "peregrine-generator"
        return None if made.exists() else "peregrine-generator is not built: run `make bench`"
