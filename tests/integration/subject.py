# SPDX-License-Identifier: GPL-3.0-or-later
"""The server under test, with signed zones: Peregrine as the secondary of a primary.

PEREGRINE_SUBJECT=nsd, knot or bind puts a reference in its place, which tests the tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lab import Key, Lab, NameServer, Nsd, Peregrine, ask_many, ask_tcp_many
from references import KINDS
from signed import Signed

KIND = os.environ.get("PEREGRINE_SUBJECT", "peregrine")


@dataclass
class Subject:
    lab: Lab
    addresses: list[str]
    agent: Peregrine | None
    primary: NameServer | None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """With the agent stopped: whatever is answered now, the driver has answered."""
        if self.agent is None:
            yield
            return
        self.agent.freeze()
        try:
            yield
        finally:
            self.agent.thaw()

    def log(self) -> str:
        return self.agent.log() if self.agent else ""

    def ask(self, queries: Sequence[bytes], family: int = 0, timeout: float = 1.0) -> list[bytes | None]:
        with self.lab.client.udp(self.addresses[family]) as sock:
            return ask_many(sock, queries, timeout=timeout)

    def ask_tcp(self, query: bytes) -> bytes | None:
        with self.lab.client.tcp(self.addresses[0]) as sock:
            return ask_tcp_many(sock, [query])[0]


@contextmanager
def subject(lab: Lab, zones: Sequence[Signed], memory: str = "512MiB") -> Iterator[Subject]:
    """Serving every zone."""
    if KIND != "peregrine":
        server = lab.reference(KINDS[KIND], [signed.zone_for(KIND) for signed in zones])
        yield Subject(lab, server.addresses, None, None)
        return
    primary = lab.primary_server(Nsd, [signed.zone for signed in zones], key=Key())
    change = {"fast-path": {"memory": memory}}
    with lab.peregrine([signed.name for signed in zones], key=Key(), change=change) as agent:
        agent.wait_serving()
        yield Subject(lab, lab.service, agent, primary)
