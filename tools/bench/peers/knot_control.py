# SPDX-License-Identifier: GPL-3.0-or-later
"""Knot DNS's control socket, of which one connection takes thousands of changes a second (knotc: some dozens)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from pathlib import Path

END, DATA, EXTRA, BLOCK = range(4)
FIELDS = {"cmd": 16, "error": 18, "zone": 22, "owner": 23, "ttl": 24, "type": 25, "data": 26}
ERROR = FIELDS["error"]


class ControlError(RuntimeError):
    """Knot DNS refused a command; says which and why."""


class Control:
    """One connection."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.input = self.socket.makefile("rb")

    def command(self, **fields: str) -> None:
        """Sends one command and waits for its answer."""
        words = b"".join(
            struct.pack("!BH", FIELDS[name], len(value)) + value.encode() for name, value in fields.items()
        )
        self.socket.sendall(bytes([DATA]) + words + bytes([BLOCK]))
        failed = ""
        while (code := self._take(1)[0]) not in (END, BLOCK):
            if code > BLOCK:
                text = self._take(struct.unpack("!H", self._take(2))[0])
                failed = text.decode(errors="replace") if code == ERROR else failed
        if failed:
            raise ControlError(f"{' '.join(fields.values())}: {failed}")

    def _take(self, count: int) -> bytes:
        taken = self.input.read(count)
        if len(taken) != count:
            raise ControlError("the control connection was closed")
        return taken

    def change(self, zone: str, records: Iterable[tuple[str, int, str, str]]) -> None:
        """One version more: each RRset of (owner, TTL, type, data) takes the place of the one that was there."""
        self.command(cmd="zone-begin", zone=zone)
        for owner, ttl, rrtype, data in records:
            self.command(cmd="zone-unset", zone=zone, owner=owner, type=rrtype)
            self.command(cmd="zone-set", zone=zone, owner=owner, ttl=str(ttl), type=rrtype, data=data)
        self.command(cmd="zone-commit", zone=zone)

    def close(self) -> None:
        self.input.close()
        self.socket.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
