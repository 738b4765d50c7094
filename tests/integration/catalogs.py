# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of catalogs share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import Lab, Peregrine, Zone, ask
from wire import SOA, wire

CATALOG = "catalog.invalid."


def rcode(lab: Lab, name: str, rrtype: int = SOA) -> int | None:
    with lab.client.udp(lab.service[0]) as sock:
        reply = ask(sock, wire(name, rrtype, id=5), 0.3)
    return reply[3] & 15 if reply else None


def eventually(condition: Any, what: str, timeout: float = 20.0, pause: float = 0.02) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(pause)


def catalog_zone(place: Path, serial: int, *records: str, name: str = CATALOG, version: str = '"2"') -> Zone:
    """A catalog; `records` are "ID MEMBER", or lines below `zones` that begin with a full stop."""
    lines = [f"$ORIGIN {name}", "$TTL 0", f"@ SOA invalid. invalid. {serial} 3600 1 86400 0", "@ NS invalid."]
    lines.append(f"version TXT {version}")
    for record in records:
        lines.append(record[1:] if record.startswith(".") else "{}.zones PTR {}".format(*record.split()))
    path = place / f"{name}zone"
    partial = path.with_suffix(".partial")
    partial.write_text("\n".join(lines) + "\n")
    partial.rename(path)
    return Zone(name, path)


def settings(*catalogs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"zones": [], "catalogs": list(catalogs), **more}


def members(agent: Peregrine) -> set[str]:
    return {entry["zone"] for entry in agent.cli("zone-status") if entry["role"] == "member"}
