# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from place import BUILD
from subjects import Subject


class Reflect(Subject):
    """No nameserver: an XDP program that sends each frame back. What any of them could do at most here."""

    name, title, order = "reflect", "reflect", 5
    in_driver, is_peer, transferring, transfers, answers = True, False, False, False, False
    outstanding = 128

    def command(self) -> list[str]:
        return [str(BUILD / "peregrine-generator"), "--interface", "front", "--reflect"]

    @staticmethod
    def missing() -> str | None:
        made = BUILD / "peregrine-generator"
        return None if made.exists() else "peregrine-generator is not built: run `make bench`"
