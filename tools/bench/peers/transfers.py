# SPDX-License-Identifier: GPL-3.0-or-later
"""Being a secondary: from the primary's NOTIFY to the new version served, and the memory that it takes.

The servers take turns, round by round. Each is started while its primary cannot be reached; the way is opened, and a
NOTIFY sent: that is where the first AXFR's time begins. Then the primary's zones are changed, and each change is
notified when the primary has it and is at rest. The end of all is the first reply that has the new serial.
"""

from __future__ import annotations

import itertools
import statistics
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from figures import BEST, Aim, Row
from knot_control import Control
from place import Lab, LabError, Primary, TlsFront, soa_serial
from subjects import Subject
from zone_files import address, host, plain_zone

from ask import tcp_socket, udp_socket
from wire import AA, IXFR, SOA, name_wire, wire

LARGE, SMALL = "large.bench.", "small.bench."
SMALL_NAMES, MANY = 1000, 10_000
NOTIFY = 4
REST = 0.6  # seconds between one update and the next: servers hold back queries that follow one another closely
SETTLE = 1.5  # until a server has given up its first attempts, at a primary that cannot be reached
TRIES = 3
SILENCE = 0.3  # seconds behind which nothing more of a transfer is thought to come
TLS_ROUNDS = 1
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Plan:
    names: int
    rounds: int
    changes: int  # of one record, in each zone, a round
    many: int  # changed records in the large update
    limit: float = 120.0  # seconds for any one update

    def seconds(self) -> float:
        """What one server's turn takes, about."""
        return 4 + self.names / 1e5 + self.changes * 2 * (REST + 0.2) + self.many / 4000

    def tls_seconds(self) -> float:
        return 3 + self.names / 2e5


def rows(plan: Plan) -> list[Row]:
    names = f"{plan.names:,} names"
    return [
        Row("axfr", f"AXFR, {names}, until served", "ms", aims=(Aim(0.6, BEST, most=True),)),
        Row("axfr-tls", f"AXFR over TLS, {names}, until served", "ms"),
        Row("tls-ratio", "… by that over TCP", "×", aims=(Aim(2, most=True),)),
        Row("one-large", f"1 record changed of {names}, NOTIFY to served", "ms", aims=(Aim(1, BEST, most=True),)),
        Row("one-small", f"1 record changed of {SMALL_NAMES:,} names, NOTIFY to served", "ms",
            aims=(Aim(1, BEST, most=True),)),
        Row("many", f"{plan.many:,} records changed of {names}, NOTIFY to served", "ms",
            aims=(Aim(0.5, BEST, most=True),)),
        Row("many-bare", "… the primary's octets alone, read and dropped", "ms"),
        Row("memory", f"memory with {names}, after the AXFR", "MB", aims=(Aim(0.6, "knot", most=True),)),
        Row("memory-peak", "most memory during the updates", "MB"),
        Row("memory-ratio", "… by that before", "×", aims=(Aim(1.3, most=True),)),
        Row("resident-peak", "most memory, resident, all processes", "MB"),
    ]  # fmt: skip


class Transfers:
    """The part of the bench that transfers. `step` is told what begins, with its weight in seconds."""

    title = "Being a secondary"

    def __init__(self, plan: Plan, kinds: Sequence[type[Subject]], step: Callable[[float, str], None]) -> None:
        self.plan, self.kinds, self.step = plan, [kind for kind in kinds if kind.transfers], step
        self.rows = {row.key: row for row in rows(plan)}
        self.versions = itertools.count(1)

    def seconds(self) -> float:
        over_tls = min(self.plan.rounds, TLS_ROUNDS) * sum(kind.over_tls for kind in self.kinds) * self.plan.tls_seconds()
        return self.plan.names / 2e5 + 2 + self.plan.rounds * len(self.kinds) * self.plan.seconds() + over_tls

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        with Lab() as lab:
            self.step(self.plan.names / 2e5 + 2, "transfers: the primary loads its zones")
            place = lab.make_directory("zones")
            zones = [plain_zone(place, LARGE, self.plan.names), plain_zone(place, SMALL, SMALL_NAMES)]
            primary = Primary(lab, zones)
            primary.start()
            front = TlsFront(lab)
            try:
                for number in range(self.plan.rounds):
                    # Each begins a round once: who follows whom is no advantage.
                    turn = number % len(self.kinds)
                    for kind in self.kinds[turn:] + self.kinds[:turn]:
                        self.step(
                            self.plan.seconds(), f"transfers: round {number + 1} of {self.plan.rounds}, {kind.title}"
                        )
                        with Way(lab) as way, kind(lab, zones) as subject:
                            self.one(lab, primary, subject, way)
                        if kind.over_tls and number < TLS_ROUNDS:
                            self.step(self.plan.tls_seconds(), f"transfers: {kind.title}, over TLS")
                            with Way(lab) as way, kind(lab, zones, tls=front) as subject:
                                self.encrypted(lab, primary, subject, way)
            finally:
                front.stop()
                primary.stop()
        return list(self.rows.values())

    def one(self, lab: Lab, primary: Primary, subject: Subject, way: Way) -> None:
        """One server's turn."""
        add = {key: (lambda value, row=row: row.add(subject.name, value)) for key, row in self.rows.items()}
        watch = Watch(lab, subject, self.plan.limit)
        subject.wait_answering()
        time.sleep(SETTLE)
        way.open()
        add["axfr"](watch.until(LARGE, primary.serial(LARGE)) * 1000)
        watch.until(SMALL, primary.serial(SMALL))
        subject.settle()
        before = subject.account.now()
        subject.account.begin_peak()
        with Control(primary.directory / "control") as control:
            took: dict[str, list[float]] = {}
            for key, zone, count in self.updates():
                old = primary.serial(LARGE)
                took.setdefault(key, []).append(self.update(control, primary, watch, zone, count) * 1000)
        for key, values in took.items():
            add[key](statistics.median(values))
        # The last update was the large one.
        add["many-bare"](bare(lab, LARGE, old) * 1000)
        peak = subject.account.peak()
        if before and peak:
            add["memory"](before / MEGABYTE)
            add["memory-peak"](peak / MEGABYTE)
            add["memory-ratio"](max(peak / before, 1.0))
            add["resident-peak"](subject.account.process_peak() / MEGABYTE)
        watch.close()

    def encrypted(self, lab: Lab, primary: Primary, subject: Subject, way: Way) -> None:
        """The first AXFR alone."""
        watch = Watch(lab, subject, self.plan.limit)
        subject.wait_answering()
        time.sleep(SETTLE)
        way.open()
        took = watch.until(LARGE, primary.serial(LARGE)) * 1000
        watch.close()
        self.rows["axfr-tls"].add(subject.name, took)
        self.rows["tls-ratio"].add(subject.name, took / self.rows["axfr"].series[subject.name].values[-1])

    def update(self, control: Control, primary: Primary, watch: Watch, zone: str, count: int) -> float:
        """Seconds from the NOTIFY of one change until it is served."""
        for _ in range(TRIES):
            change(control, zone, range(count), next(self.versions))
            time.sleep(REST)
            serial = primary.serial(zone)
            if watch.serial(zone) != serial:
                return watch.until(zone, serial)
            # It had asked by itself, on a retry or a refresh: that says nothing about a NOTIFY.
        raise LabError(f"{watch.subject.title} has every new version of {zone} before it is notified")

    def updates(self) -> Iterable[tuple[str, str, int]]:
        """Row, zone, and the number of records, in the order of the updates."""
        for _ in range(self.plan.changes):
            yield "one-large", LARGE, 1
            yield "one-small", SMALL, 1
        yield "many", LARGE, self.plan.many


def change(control: Control, zone: str, numbers: Iterable[int], version: int) -> None:
    control.change(zone, ((host(i), 3600, "A", address(i, version)) for i in numbers))


def bare(lab: Lab, zone: str, serial: int | None) -> float:
    """Seconds in which the primary sends what leads on from that serial to one who reads it and does nothing else."""
    name = name_wire(zone)
    rdata = bytes(2) + struct.pack("!5I", serial or 0, 0, 0, 0, 0)
    query = bytearray(wire(name, IXFR, tail=name + struct.pack("!HHIH", SOA, 1, 0, len(rdata)) + rdata))
    query[9] = 1  # the SOA stands in the authority section
    room = bytearray(1 << 20)
    with tcp_socket(lab.server.name, lab.primary_addresses[0], timeout=SILENCE) as sock:
        begun = last = time.perf_counter()
        sock.sendall(struct.pack("!H", len(query)) + query)
        with suppress(TimeoutError):
            while sock.recv_into(room):
                last = time.perf_counter()
    return last - begun


class Watch:
    """Notifies a server and asks it for the serial, over and over, until it is the new one."""

    def __init__(self, lab: Lab, subject: Subject, limit: float) -> None:
        self.subject, self.limit = subject, limit
        self.questions = udp_socket(lab.client.name, subject.service)
        self.notifies = udp_socket(lab.primary.name, subject.service, source=lab.primary_addresses[0])
        self.questions.settimeout(0.005)
        self.notifies.setblocking(False)

    def until(self, zone: str, serial: int | None) -> float:
        """Seconds from the NOTIFY until that serial is served."""
        if serial is None:
            raise LabError(f"the primary does not serve {zone}")
        notify = wire(zone, SOA, opcode=NOTIFY, flags=AA, id=serial & 0xFFFF)
        question = wire(zone, SOA, id=3)
        begun = time.perf_counter()
        again = begun
        while True:
            now = time.perf_counter()
            if now >= again:
                self.notifies.send(notify)
                again = now + 2  # one that was lost, or came while the server was busy with another
            if self.ask(question) == serial:
                return time.perf_counter() - begun
            if now - begun > self.limit:
                raise LabError(
                    f"{self.subject.title} does not serve {zone} at serial {serial} after {self.limit:.0f} s\n"
                    f"{self.subject.log_tail()}"
                )
            self.subject.check()
            time.sleep(0.0001)

    def serial(self, zone: str) -> int | None:
        return self.ask(wire(zone, SOA, id=4))

    def ask(self, question: bytes) -> int | None:
        try:
            self.questions.send(question)
            return soa_serial(self.questions.recv(4096))
        except (TimeoutError, ConnectionRefusedError):
            return None

    def close(self) -> None:
        self.questions.close()
        self.notifies.close()


class Way:
    """The way from the server to its primary, shut at first, so that a server may be up before its first transfer."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.shut = lab, False

    def close(self) -> None:
        self.lab.server.ip("route", "add", "prohibit", f"{self.lab.primary_addresses[0]}/32")
        self.shut = True

    def open(self) -> None:
        if self.shut:
            self.lab.server.ip("route", "delete", "prohibit", f"{self.lab.primary_addresses[0]}/32")
            self.shut = False

    def __enter__(self) -> Way:
        self.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
