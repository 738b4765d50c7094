# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from place import TLS_PORT
from subjects import Subject, program_missing


class Bind(Subject):
    """Its own limit of queries for serials, 20 a second, would be what is measured when zones change in turn."""

    name, title, order = "bind", "BIND", 40
    over_tls = follows_catalogs = True

    def command(self) -> list[str]:
        place = self.directory
        primaries = f"{self.primary} port {TLS_PORT} tls ephemeral" if self.tls else self.primary
        lines = [
            "options {",
            f'  directory "{place}"; managed-keys-directory "{place}"; session-keyfile "{place}/session.key";',
            "  pid-file none; lock-file none; recursion no; dnssec-validation no; empty-zones-enable no;",
            f"  listen-on {{ {self.addresses[0]}; }}; listen-on-v6 {{ {self.addresses[1]}; }}; allow-query {{ any; }};",
            f"  allow-notify {{ {self.primary}; }}; notify no; minimal-responses yes;",
            "  serial-query-rate 1000;",
            f"  tcp-clients {self.connections}; tcp-idle-timeout 1200;" if self.connections else "",
            f'  catalog-zones {{ zone "{self.catalog}" default-primaries {{ {primaries}; }}; }};' if self.catalog else "",
            "};",
            "controls { };",
        ]
        lines += [
            f'zone "{zone}" {{ type secondary; primaries {{ {primaries}; }}; file "{place}/{zone}db"; }};'
            for zone in [*self.zones, *([self.catalog] if self.catalog else [])]
        ]
        config = place / "named.conf"
        config.write_text("\n".join(lines) + "\n")
        return ["named", "-g", "-n", "1", "-c", str(config)]

    @staticmethod
    def missing() -> str | None:
        return program_missing("named")
