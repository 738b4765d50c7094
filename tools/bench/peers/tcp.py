# SPDX-License-Identifier: GPL-3.0-or-later
"""Over TCP: pipelined queries a second of one serving CPU, and what ten thousand connections take that say nothing."""

from __future__ import annotations

import resource
import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from figures import Aim, Row
from loads import THOUSAND, thousand
from place import BUILD, Lab, Primary
from rates import CLIENT_CPU, CLOCK, DISTURBED, IDLE_MOST, LIMITED, SERVER_CPU, TRIES, Prepared, Seat, counters
from rates import disturbed, prepare, seat, seat_framer, turns, wrong_samples
from subjects import Subject
from zone_files import host, plain_zone

from ask import in_namespace
from wire import A, wire

QUERIES = 1 << 12
CONNECTIONS, AT_ONCE = 16, 400  # connections that ask, and queries under way on each
CLIENT_MOST = 0.75  # of its CPU: who has so much left was not the limit
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: float
    idle: int  # connections that say nothing

    def start(self) -> float:
        """Seconds that a server takes to have its zone, about."""
        return 2.5

    def one(self) -> float:
        """Seconds of one run of the client, about."""
        return self.seconds + 0.5

    def turn(self) -> float:
        return self.start() + self.rounds * self.one() + self.idle / 2500


def rows(plan: Plan) -> list[Row]:
    return [
        Row("tcp", f"TCP, A, 1,000 names, {CONNECTIONS} connections, {AT_ONCE} queries under way on each", "thousand/s",
            "more", aims=(Aim(1, "knot"),)),
        Row("tcp-idle", f"TCP, memory for {plan.idle:,} connections that say nothing", "MB",
            aims=(Aim(100 * plan.idle / 10_000, most=True),)),
    ]  # fmt: skip


class Tcp:
    """The part of the bench. `step` is told what begins, with its weight in seconds."""

    title = "Over TCP"

    def __init__(self, plan: Plan, kinds: Sequence[type[Subject]], step: Callable[[float, str], None]) -> None:
        self.plan, self.step = plan, step
        self.kinds = [kind for kind in kinds if kind.transfers]
        self.rows = {row.key: row for row in rows(plan)}

    def seconds(self) -> float:
        return 3 + len(self.kinds) * self.plan.turn()

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with ExitStack() as stack:
            self.step(3, "tcp: the zone and the queries are made")
            lab = stack.enter_context(Lab())
            zone = plain_zone(lab.make_directory("zones"), THOUSAND, 1000)
            with Primary(lab, [zone]):
                asked = prepare(lab, thousand(QUERIES), lab.make_directory("loads"), seat_framer(lab))
            seats = []
            for kind in self.kinds:
                self.step(self.plan.start(), f"tcp: {kind.title} gets its zone")
                seats.append(seat(stack, kind, [zone], connections=self.plan.idle + 100))
            for number in range(self.plan.rounds):
                for one in turns(seats, number):
                    self.step(self.plan.one(), f"tcp: round {number + 1} of {self.plan.rounds}, {one.subject.title}")
                    self.rows["tcp"].add(one.subject.name, *self.pipelined(one, asked))
            for one in seats:
                self.step(self.plan.idle / 2500, f"tcp: connections that say nothing, {one.subject.title}")
                self.idle(one.lab, one.subject)
        return list(self.rows.values())

    def pipelined(self, one: Seat, asked: Prepared) -> tuple[float, str]:
        """Thousands of replies by the seconds that the server ran, and why that is in doubt."""
        value, why = 0.0, DISTURBED
        samples = asked.path.with_suffix(".samples")
        for _ in range(TRIES):
            one.subject.pin()
            argv = ["taskset", "-c", str(CLIENT_CPU), str(BUILD / "peregrine-tcp-client"), "--address", one.lab.service[0]]
            argv += ["--queries", str(asked.path), "--slot", str(asked.load.slot), "--samples", str(samples)]
            argv += ["--connections", str(CONNECTIONS), "--at-once", str(AT_ONCE), "--cpu", str(SERVER_CPU)]
            argv += ["--client-cpu", str(CLIENT_CPU), "--seconds", str(self.plan.seconds)]
            argv += ["--pids", ",".join(map(str, [*one.napi, *one.subject.pids()]))]
            seen = counters(subprocess.run(
                one.lab.client.command(*argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
            ))  # fmt: skip
            why = doubt(seen, wrong_samples(asked, samples))
            value = seen["replies"] / max(seen["tasks"], 0.001) / 1000
            if why not in (DISTURBED, LIMITED):
                break
        return value, why

    def idle(self, lab: Lab, subject: Subject) -> None:
        """What the server's processes, and the kernel for them, hold the more for connections that say nothing. Each has
        asked once before: it is one that the server has taken.
        """
        before = subject.account.now()
        if before is None:
            return
        with ExitStack() as stack:
            clients = [stack.enter_context(client) for client in connect(lab, self.plan.idle)]
            query = framed(question(0))
            for client in clients:
                client.sendall(query)
            closed = sum(not answered(client) for client in clients)
            held = ((subject.account.now() or 0) - before) / MEGABYTE
            self.rows["tcp-idle"].add(subject.name, held, f"{closed:,} connections were closed" if closed else "")


def answered(client: socket.socket) -> bool:
    try:
        return bool(client.recv(512))
    except (ConnectionError, TimeoutError):
        return False


def connect(lab: Lab, count: int) -> list[socket.socket]:
    def make() -> list[socket.socket]:
        made = [socket.create_connection((lab.service[0], 53), timeout=10) for _ in range(count)]
        for one in made:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Closed by a reset: so many ports would have to rest for a minute otherwise.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return made

    return in_namespace(lab.client.name, make)


def question(number: int) -> bytes:
    return wire(f"{host(number % 1000)}.{THOUSAND}", A, id=number & 0xFFFF)


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


def doubt(seen: Any, bad: Sequence[str]) -> str:
    """Why a run says nothing; empty when it does."""
    seconds = seen["seconds"]
    if seen["wrong"] or seen["strange"]:
        return "wrong replies"
    if bad:
        return "wrong records"
    if seen["closed"] or seen["lost"]:
        return "connections were closed, or queries not answered"
    if disturbed(seen["busy"] - seen["tasks"], seen["stolen"], seconds):
        return DISTURBED
    # A server may be idle because it waits for acknowledgements: that is its own doing.
    rested = seen["tasks"] < (1 - IDLE_MOST) * seconds - CLOCK
    return LIMITED if rested and seen["client_idle"] < (1 - CLIENT_MOST) * seconds else ""
