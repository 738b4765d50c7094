# SPDX-License-Identifier: GPL-3.0-or-later
"""NSD, Knot DNS and BIND as secondaries of one zone, which are told by NOTIFY and ask for changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servers import Bind, Key, Knot, NameServer, Nsd, Zone

if TYPE_CHECKING:
    from lab import Lab, Namespace


@dataclass(frozen=True)
class Tls:
    """Whom the primary has to be: its name, and the authority that signed its certificate."""

    name: str
    authority: Path


class Secondary(NameServer):
    """`primaries`: the addresses that are asked, at `primary_port`, and that NOTIFY comes from."""

    def __init__(
        self,
        lab: Lab,
        namespace: Namespace,
        zone: str,
        primaries: Sequence[str],
        key: Key | None = None,
        *,
        tls: Tls | None = None,
        primary_port: int = 53,
        **more: Any,
    ) -> None:
        super().__init__(lab, namespace, [], key=key, **more)
        self.primaries, self.tls = list(primaries), tls
        self.primary_port = 853 if tls else primary_port
        self.zones = [Zone(zone, self.directory / "zone")]


class NsdSecondary(Secondary, Nsd):
    def configuration(self) -> str:
        key = self.key.name if self.key else "NOKEY"
        base, tls = Nsd.configuration(self), ""
        if self.tls:
            tls = " up"
            base = base.replace("server:\n", f'server:\n  tls-cert-bundle: "{self.tls.authority}"\n', 1)
            auth = f'tls-auth:\n  name: "up"\n  auth-domain-name: "{self.tls.name}"\n'
            base = base.replace("zone:\n", f"{auth}zone:\n", 1)
        lines = []
        for address in self.primaries:
            lines.append(f"  request-xfr: {address}@{self.primary_port} {key}{tls}")
            lines.append(f"  allow-notify: {address} {key}")
        return base + "\n".join(lines) + "\n"


class KnotSecondary(Secondary, Knot):
    """It keeps the zone in its journal."""

    def configuration(self) -> str:
        key = [f"    key: {self.key.name}"] if self.key else []
        addresses = ", ".join(f'"{address}@{self.primary_port}"' for address in self.primaries)
        lines = ["remote:", "  - id: up", f"    address: [ {addresses} ]", *key]
        addresses = ", ".join(f'"{address}"' for address in self.primaries)
        lines += ["acl:", "  - id: up", f"    address: [ {addresses} ]", "    action: notify", *key]
        base = Knot.configuration(self).replace("template:", "\n".join([*lines, "template:"]), 1)
        base = base.replace("zonefile-load: whole", "zonefile-load: none")
        base = base.replace("journal-content: none", "journal-content: all")
        return f"{base}    master: up\n    acl: [ up{', secondaries' if self.allow else ''} ]\n"


class BindSecondary(Secondary, Bind):
    def configuration(self) -> str:
        zone = self.zones.pop()
        base, how = Bind.configuration(self), f" port {self.primary_port}"
        self.zones = [zone]
        if self.tls:
            base += f'tls up {{ ca-file "{self.tls.authority}"; remote-hostname "{self.tls.name}"; }};\n'
            how += " tls up"
        how += f" key {self.key.name}" if self.key else ""
        primaries = " ".join(f"{address}{how};" for address in self.primaries)
        own = f'zone "{zone.name}" {{ type secondary; file "{zone.path}"; primaries {{ {primaries} }}; }};\n'
        return base + own


SECONDARIES: dict[str, type[Secondary]] = {"nsd": NsdSecondary, "knot": KnotSecondary, "bind": BindSecondary}
