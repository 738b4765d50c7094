# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from subjects import Subject, program_missing


class Nsd(Subject):
    """Its response rate limit, on in Debian's build, is off; the zone is not written to a file at each change."""

    name, title, order = "nsd", "NSD", 30

    def command(self) -> list[str]:
        place = self.directory
        lines = ["server:", "  server-count: 1", '  username: ""', '  chroot: ""', '  database: ""', "  verbosity: 1"]
        lines += [f"  ip-address: {address}" for address in self.addresses]
        lines += ["  rrl-ratelimit: 0", "  rrl-whitelist-ratelimit: 0"]
        if self.connections:  # of more than half of them it closes each after 0.2 s
            lines += [f"  tcp-count: {2 * self.connections}", "  tcp-timeout: 1200"]
        lines += ["  reuseport: no", "  minimal-responses: yes", "  zonefiles-write: 0", "  xfrd-reload-timeout: 0"]
        lines += [f'  pidfile: "{place}/pid"', f'  zonelistfile: "{place}/zones.list"']
        lines += [f'  xfrdfile: "{place}/xfrd.state"', f'  zonesdir: "{place}"', f'  xfrdir: "{place}"']
        lines += ["remote-control:", "  control-enable: no"]
        for zone in self.zones:
            lines += ["zone:", f'  name: "{zone}"', f'  zonefile: "{zone}zone"']
            lines += [f"  request-xfr: {self.primary} NOKEY", f"  allow-notify: {self.primary} NOKEY"]
        config = place / "nsd.conf"
        config.write_text("\n".join(lines) + "\n")
        return ["nsd", "-d", "-c", str(config)]

    @staticmethod
    def missing() -> str | None:
        return program_missing("nsd")
