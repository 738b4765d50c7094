# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from subjects import Subject, program_missing


class Knot(Subject):
    """Over sockets. The zone is not written to a file at each change; the journal holds what changed, as by default."""

    name, title, order = "knot", "Knot DNS", 20
    follows_catalogs = True

    def sections(self) -> list[str]:
        return []

    def command(self) -> list[str]:
        place = self.directory
        listen = ", ".join(f'"{address}@53"' for address in self.addresses)
        lines = ["server:", f'  rundir: "{place}"', f"  listen: [ {listen} ]", "  udp-workers: 1", "  tcp-workers: 1"]
        if self.connections:
            lines += [f"  tcp-max-clients: {self.connections}", "  tcp-idle-timeout: 1200"]
        lines += [*self.sections(), "control:", f'  listen: "{place}/control"']
        lines += ["database:", f'  storage: "{place}"', "log:", "  - target: stderr", "    any: warning"]
        lines += ["remote:", "  - id: primary", f'    address: "{self.primary}@53"']
        lines += ["acl:", "  - id: notify", f'    address: "{self.primary}"', "    action: notify"]
        lines += ["template:", "  - id: default", "    master: primary", "    acl: notify", "    zonefile-sync: -1"]
        lines += ["    semantic-checks: off", "    journal-max-usage: 1G"]
        if self.catalog:  # what it serves must be there after a start
            kept = ["    journal-content: all", "    zonefile-load: none"]
            lines += [*kept, "  - id: members", "    master: primary", "    acl: notify", "    zonefile-sync: -1", *kept]
        lines += ["zone:", *(f'  - domain: "{zone}"' for zone in self.zones)]
        if self.catalog:
            lines += [f'  - domain: "{self.catalog}"', "    catalog-role: interpret", "    catalog-template: members"]
        config = place / "knot.conf"
        config.write_text("\n".join(lines) + "\n")
        return ["knotd", "-c", str(config)]

    @staticmethod
    def missing() -> str | None:
        return program_missing("knotd")
