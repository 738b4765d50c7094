# SPDX-License-Identifier: GPL-3.0-or-later
"""Unbound as a validating resolver in the client's namespace, which knows the zones by stub and trust anchor alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from lab import Lab, LabError, Process, ask, ask_many
from signed import Signed
from wire import AD, SOA, parse, wire

PORT = 5300


class Unbound:
    """`stubs` are zones with an address to ask; `anchors` are the signed zones that are trusted."""

    def __init__(self, lab: Lab, stubs: Mapping[str, str], anchors: Sequence[Signed]) -> None:
        self.lab, self.stubs, self.anchors = lab, stubs, anchors
        self.directory = lab.make_directory("unbound")
        self.config = self.directory / "unbound.conf"
        self.address = lab.client.addresses[0]
        self.process: Process | None = None

    def configuration(self) -> str:
        lines = ["server:", f'  directory: "{self.directory}"', '  chroot: ""', '  username: ""', "  do-daemonize: no"]
        lines += ["  use-syslog: no", '  logfile: ""', "  verbosity: 1", "  val-log-level: 2", "  num-threads: 1"]
        lines += [f"  interface: {self.address}@{PORT}", "  access-control: 0.0.0.0/0 allow", '  pidfile: ""']
        lines += ['  module-config: "validator iterator"', "  aggressive-nsec: no", "  qname-minimisation: no"]
        lines += ["  do-not-query-localhost: no", "  outbound-msg-retry: 2", "  prefetch: no", "  do-ip6: no"]
        lines += ["  infra-cache-min-rtt: 300", "  infra-keep-probing: yes", "  minimal-responses: no"]
        lines += ["  trust-anchor-signaling: no", "  root-key-sentinel: no", '  target-fetch-policy: "0 0 0 0 0"']
        lines += ['  val-nsec3-keysize-iterations: "4096 150"']
        lines += [f'  trust-anchor: "{signed.anchor}"' for signed in self.anchors]
        for name, address in self.stubs.items():
            lines += ["stub-zone:", f'  name: "{name}"', f"  stub-addr: {address}", "  stub-prime: no"]
        lines += ["remote-control:", "  control-enable: no"]
        return "\n".join(lines) + "\n"

    def __enter__(self) -> Unbound:
        self.config.write_text(self.configuration())
        argv = ["unbound", "-d", "-p", "-c", str(self.config)]
        self.process = self.lab.start(self.lab.client, argv, log=self.directory / "log", name="unbound")
        end = time.monotonic() + 20
        probe = wire(next(iter(self.stubs)), SOA, edns=1232, do=True, id=1, flags=0x100)
        while time.monotonic() < end and self.process.running():
            with self.lab.client.udp(self.address, PORT) as sock:
                reply = ask(sock, probe, timeout=0.5)
            if reply and parse(reply).rcode == 0:
                return self
            time.sleep(0.05)
        raise LabError(f"unbound does not answer\n{self.process.tail(60)}")

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.stop()

    def ask(self, queries: Sequence[bytes]) -> list[bytes | None]:
        """Those that were not answered in time are asked again: the resolver then has what it was waiting for."""
        with self.lab.client.udp(self.address, PORT) as sock:
            replies = ask_many(sock, queries, window=32, timeout=5.0)
            return [ask(sock, query, 5.0) if reply is None else reply for query, reply in zip(queries, replies)]

    def why(self, lines: int = 12) -> str:
        """What it found bogus, last."""
        log = self.process.text().splitlines() if self.process else []
        return "\n".join([line for line in log if "validation failure" in line][-lines:])


def secure(reply: bytes) -> bool:
    return bool(parse(reply).flags & AD)
