# SPDX-License-Identifier: GPL-3.0-or-later
"""NSD, Knot DNS and BIND as primaries and as references, each in a namespace, with a configuration of its own.

All three get the same zones, the same key and the same addresses, so that a test can be written once and run against
each. Rate limits are off; what else a server does by default is left alone, since it is what the world sees.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ask import ask, udp_socket
from wire import AA, SOA, Malformed, parse, wire

if TYPE_CHECKING:
    from lab import Lab, Namespace, Process


class LabError(RuntimeError):
    """Something of the laboratory did not work; says what the program concerned wrote last."""


@dataclass(frozen=True)
class Key:
    name: str = "xfr.example.net."
    algorithm: str = "hmac-sha256"
    secret: str = "cGVyZWdyaW5lIGxhYiBrZXksIG5vdCBhIHNlY3JldCE="


@dataclass(frozen=True)
class Zone:
    name: str
    path: Path


def soa_serial(reply: bytes | None) -> int | None:
    """The serial in an authoritative SOA answer; None when it is not one."""
    try:
        seen = parse(reply) if reply else None
    except Malformed:
        return None
    if seen is None or seen.rcode or not seen.flags & AA or not seen.answer or seen.answer[0].rrtype != SOA:
        return None
    return int.from_bytes(seen.answer[0].rdata[-20:-16], "big")


class NameServer:
    """A server that runs as our child. Subclasses write the configuration and know the control program."""

    kind = ""

    def __init__(
        self,
        lab: Lab,
        namespace: Namespace,
        zones: Sequence[Zone],
        *,
        addresses: Sequence[str] | None = None,
        key: Key | None = None,
        allow: Iterable[str] = (),
        notify: Iterable[str] = (),
        port: int = 53,
        ixfr: bool = False,
    ) -> None:
        """`ixfr`: what changed in a zone file is kept, and given to who asks for it."""
        self.ixfr = ixfr
        self.lab, self.namespace, self.zones, self.key, self.port = lab, namespace, list(zones), key, port
        self.addresses = list(addresses or namespace.addresses)
        self.allow, self.notify = list(allow), list(notify)
        self.directory = lab.make_directory(f"{self.kind}-{namespace.role}")
        self.config = self.directory / f"{self.kind}.conf"
        self.process: Process | None = None

    # What the subclasses say.

    def configuration(self) -> str:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def control(self, *words: str) -> str:
        """Runs the server's control program, in the server's namespace."""
        return self.namespace.run(*self.control_command(), *words)

    def control_command(self) -> list[str]:
        raise NotImplementedError

    def reload_words(self, zone: str) -> list[str]:
        raise NotImplementedError

    # What they share.

    def start(self, timeout: float = 120.0) -> NameServer:
        self.config.write_text(self.configuration())
        self.process = self.lab.start(self.namespace, self.command(), log=self.directory / "log", name=self.kind)
        for zone in self.zones:
            self.wait_for(zone.name, timeout=timeout)
        return self

    def serial(self, zone: str, timeout: float = 0.2) -> int | None:
        with udp_socket(self.namespace.name, self.addresses[0], self.port) as sock:
            return soa_serial(ask(sock, wire(zone, SOA, id=1), timeout))

    def wait_for(self, zone: str, serial: int | None = None, timeout: float = 30.0) -> int:
        """Waits until the zone is answered, at that serial when one is given."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process is not None and self.process.popen.poll() is not None:
                raise LabError(f"{self.kind} ended with {self.process.popen.returncode}\n{self.process.tail()}")
            seen = self.serial(zone)
            if seen is not None and serial in (None, seen):
                return seen
            time.sleep(0.02)
        tail = self.process.tail() if self.process else ""
        raise LabError(f"{self.kind} does not answer for {zone} (serial {serial}) after {timeout} s\n{tail}")

    def reload(self, zone: str, serial: int | None = None, timeout: float = 30.0) -> None:
        """Has the zone's file read again; with a serial, returns when that serial is answered."""
        self.control(*self.reload_words(zone))
        if serial is not None:
            # More than once: a process of NSD's that is about to go may still take a query of the next moment.
            for _ in range(4):
                self.wait_for(zone, serial, timeout)
                time.sleep(0.02)

    def log(self) -> str:
        return self.process.text() if self.process else ""

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.process = None

    def __enter__(self) -> NameServer:
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Nsd(NameServer):
    """NSD. Its response rate limit is on in Debian's build; `refuse-any` is left at its default, which is no."""

    kind = "nsd"

    def configuration(self) -> str:
        place = self.directory
        lines = ["server:", "  server-count: 1", '  username: ""', '  chroot: ""', '  database: ""', "  verbosity: 1"]
        lines += [f"  ip-address: {address}" for address in self.addresses]
        lines += [
            f"  port: {self.port}",
            "  rrl-ratelimit: 0",
            "  rrl-whitelist-ratelimit: 0",
            "  tcp-count: 200",
            "  reuseport: no",
        ]
        for word, name in (
            ("pidfile", "pid"),
            ("zonelistfile", "zones.list"),
            ("xfrdfile", "xfrd.state"),
            ("zonesdir", ""),
        ):
            lines.append(f'  {word}: "{place / name}"')
        lines += [
            f'  xfrdir: "{place}"',
            "remote-control:",
            "  control-enable: yes",
            f'  control-interface: "{place}/control"',
        ]
        key = "NOKEY"
        if self.key:
            key = self.key.name
            lines += [
                "key:",
                f'  name: "{key}"',
                f"  algorithm: {self.key.algorithm}",
                f'  secret: "{self.key.secret}"',
            ]
        for zone in self.zones:
            lines += ["zone:", f'  name: "{zone.name}"', f'  zonefile: "{zone.path}"']
            if self.ixfr:
                lines += ["  store-ixfr: yes", "  create-ixfr: yes", "  ixfr-number: 50"]
            lines += [f"  provide-xfr: {address} {key}" for address in self.allow]
            lines += [f"  notify: {address} {key}" for address in self.notify]
        return "\n".join(lines) + "\n"

    def command(self) -> list[str]:
        return ["nsd", "-d", "-c", str(self.config)]

    def control_command(self) -> list[str]:
        return ["nsd-control", "-c", str(self.config)]

    def reload_words(self, zone: str) -> list[str]:
        return ["reload", zone]


class Knot(NameServer):
    """Knot DNS. Zone files are read whole and never written."""

    kind = "knot"

    def configuration(self) -> str:
        listen = ", ".join(f'"{address}@{self.port}"' for address in self.addresses)
        lines = [
            "server:",
            f'  rundir: "{self.directory}"',
            f"  listen: [ {listen} ]",
            "  udp-workers: 1",
            "  tcp-workers: 1",
        ]
        lines += ["control:", f'  listen: "{self.directory}/control"', "database:", f'  storage: "{self.directory}"']
        lines += ["log:", "  - target: stderr", "    any: info"]
        key = []
        if self.key:
            lines += [
                "key:",
                f"  - id: {self.key.name}",
                f"    algorithm: {self.key.algorithm}",
                f"    secret: {self.key.secret}",
            ]
            key = [f"    key: {self.key.name}"]
        remotes = []
        if self.notify:
            lines.append("remote:")
            for number, address in enumerate(self.notify):
                remotes.append(f"to{number}")
                lines += [f"  - id: to{number}", f'    address: "{address}@53"', *key]
        if self.allow:
            addresses = ", ".join(f'"{address}"' for address in self.allow)
            lines += ["acl:", "  - id: secondaries", f"    address: [ {addresses} ]", "    action: transfer", *key]
        lines += [
            "template:",
            "  - id: default",
            "    zonefile-sync: -1",
            f"    zonefile-load: {'difference' if self.ixfr else 'whole'}",
            f"    journal-content: {'changes' if self.ixfr else 'none'}",
        ]
        lines += ["    semantic-checks: off", *(["    acl: secondaries"] if self.allow else [])]
        lines += [f"    notify: [ {', '.join(remotes)} ]"] if remotes else []
        lines.append("zone:")
        for zone in self.zones:
            lines += [f'  - domain: "{zone.name}"', f'    file: "{zone.path}"']
        return "\n".join(lines) + "\n"

    def command(self) -> list[str]:
        return ["knotd", "-c", str(self.config)]

    def control_command(self) -> list[str]:
        return ["knotc", "-s", str(self.directory / "control")]

    def reload_words(self, zone: str) -> list[str]:
        return ["zone-reload", zone]


class Bind(NameServer):
    """BIND. Its checks of a zone's contents are off where they would refuse what the other two load."""

    kind = "bind"
    CONTROL_PORT = 953
    CONTROL_SECRET = "bGFiIGNvbnRyb2w="

    def configuration(self) -> str:
        (self.directory / "rndc.conf").write_text(self._rndc())
        v4 = " ".join(f"{address};" for address in self.addresses if ":" not in address)
        v6 = " ".join(f"{address};" for address in self.addresses if ":" in address)
        allow = f"key {self.key.name};" if self.key else " ".join(f"{address};" for address in self.allow)
        notify = " ".join(f"{address}{f' key {self.key.name}' if self.key else ''};" for address in self.notify)
        lines = [
            f'key lab-control {{ algorithm hmac-sha256; secret "{self.CONTROL_SECRET}"; }};',
            f"controls {{ inet 127.0.0.1 port {self.CONTROL_PORT} allow {{ 127.0.0.1; }} keys {{ lab-control; }}; }};",
        ]
        if self.key:
            lines.append(f'key {self.key.name} {{ algorithm {self.key.algorithm}; secret "{self.key.secret}"; }};')
        lines += [
            "options {",
            f'  directory "{self.directory}"; managed-keys-directory "{self.directory}";',
            f'  session-keyfile "{self.directory}/session.key"; pid-file none; lock-file none;',
            "  recursion no; dnssec-validation no; empty-zones-enable no; allow-query { any; };",
            f"  listen-on port {self.port} {{ {v4 or 'none;'} }}; listen-on-v6 port {self.port} {{ {v6 or 'none;'} }};",
            f"  allow-transfer {{ {allow or 'none;'} }}; notify {'explicit' if notify else 'no'};",
            f"  also-notify {{ {notify} }};" if notify else "",
            "  check-names primary ignore; check-integrity no; check-sibling no; check-mx ignore;",
            "  check-mx-cname ignore; check-srv-cname ignore; check-wildcard no; check-spf ignore;",
            "  tcp-clients 500; max-records-per-type 0; max-types-per-name 0;",
            "  notify-delay 0; notify-rate 1000; serial-query-rate 1000; startup-notify-rate 1000;",
            "};",
        ]
        for zone in self.zones:
            more = f'ixfr-from-differences yes; journal "{self.directory}/journal";' if self.ixfr else ""
            lines.append(f'zone "{zone.name}" {{ type primary; file "{zone.path}"; {more} }};')
        return "\n".join(lines) + "\n"

    def _rndc(self) -> str:
        return (
            f'key lab-control {{ algorithm hmac-sha256; secret "{self.CONTROL_SECRET}"; }};\n'
            f"options {{ default-key lab-control; default-server 127.0.0.1; default-port {self.CONTROL_PORT}; }};\n"
        )

    def command(self) -> list[str]:
        return ["named", "-g", "-n", "1", "-c", str(self.config)]

    def control_command(self) -> list[str]:
        return ["rndc", "-c", str(self.directory / "rndc.conf")]

    def reload_words(self, zone: str) -> list[str]:
        return ["reload", zone.rstrip(".")]


KINDS: dict[str, type[NameServer]] = {"nsd": Nsd, "knot": Knot, "bind": Bind}
