# SPDX-License-Identifier: GPL-3.0-or-later
"""NSD, Knot DNS and BIND as secondaries of one zone, which are told by NOTIFY and ask for changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from servers import Bind, Key, Knot, NameServer, Nsd, Zone

if TYPE_CHECKING:
    from lab import Lab, Namespace


class Secondary(NameServer):
    """`primaries`: the addresses that are asked, and that NOTIFY comes from; `more`: how (BIND alone)."""

    def __init__(
        self,
        lab: Lab,
        namespace: Namespace,
        zone: str,
        primaries: Sequence[str],
        key: Key | None = None,
        more: str = "",
    ) -> None:
        super().__init__(lab, namespace, [], key=key)
        self.primaries, self.more = list(primaries), more
        self.zones = [Zone(zone, self.directory / "zone")]

    def key_name(self) -> str:
        return self.key.name if self.key else "NOKEY"


class NsdSecondary(Secondary, Nsd):
    def configuration(self) -> str:
        lines = []
        for address in self.primaries:
            lines += [f"  request-xfr: {address} {self.key_name()}", f"  allow-notify: {address} {self.key_name()}"]
        return Nsd.configuration(self) + "\n".join(lines) + "\n"


class KnotSecondary(Secondary, Knot):
    def configuration(self) -> str:
        key = [f"    key: {self.key.name}"] if self.key else []
        lines = ["server:", f'  rundir: "{self.directory}"', f"  listen: [ {', '.join(self.addresses)} ]"]
        lines += ["  udp-workers: 1", "  tcp-workers: 1", "control:", f'  listen: "{self.directory}/control"']
        lines += ["log:", "  - target: stderr", "    any: info", "database:", f'  storage: "{self.directory}"']
        if self.key:
            lines += ["key:", f"  - id: {self.key.name}", f"    algorithm: {self.key.algorithm}"]
            lines.append(f"    secret: {self.key.secret}")
        addresses = ", ".join(f'"{address}@53"' for address in self.primaries)
        lines += ["remote:", "  - id: up", f"    address: [ {addresses} ]", *key]
        addresses = ", ".join(f'"{address}"' for address in self.primaries)
        lines += ["acl:", "  - id: up", f"    address: [ {addresses} ]", "    action: notify", *key]
        lines += ["zone:", f'  - domain: "{self.zones[0].name}"', "    master: up", "    acl: up"]
        lines += [f'    file: "{self.zones[0].path}"', "    semantic-checks: off"]
        return "\n".join(lines) + "\n"


class BindSecondary(Secondary, Bind):
    def configuration(self) -> str:
        zone = self.zones.pop()
        base = Bind.configuration(self)
        self.zones = [zone]
        key = f" key {self.key.name}" if self.key else ""
        primaries = " ".join(f"{address}{self.more}{key};" for address in self.primaries)
        own = f'zone "{zone.name}" {{ type secondary; file "{zone.path}"; primaries {{ {primaries} }}; }};\n'
        return base + own


SECONDARIES: dict[str, type[Secondary]] = {"nsd": NsdSecondary, "knot": KnotSecondary, "bind": BindSecondary}
