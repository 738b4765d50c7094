# SPDX-License-Identifier: GPL-3.0-or-later
"""Over TCP: pipelined queries a second of one serving CPU, and what ten thousand connections take that say nothing."""

from __future__ import annotations

import os
import resource
import selectors
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from figures import Aim, Row
from loads import THOUSAND
from place import Lab, LabError, Primary
from rates import CLIENT_CPU, CLOCK, DISTURBED, IDLE_MOST, LIMITED, SERVER_CPU, TRIES, Threads, disturbed
from subjects import Subject
from zone_files import address, host, plain_zone

from ask import in_namespace
from wire import A, parse, wire

CONNECTIONS, AT_ONCE = 16, 400  # connections that ask, and queries under way on each
CLIENT_MOST = 0.75  # of its CPU: who has so much left was not the limit
MEGABYTE = 1_000_000
KERNEL_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: float
    idle: int  # connections that say nothing

    def turn(self) -> float:
        return 4 + self.rounds * (self.seconds + 0.3) + self.idle / 2500


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
        with Lab() as lab:
            self.step(3, "tcp: the primary loads its zone")
            zone = plain_zone(lab.make_directory("zones"), THOUSAND, 1000)
            Primary(lab, [zone]).start()
            threads = Threads(lab)
            for kind in self.kinds:
                self.step(self.plan.turn(), f"tcp: {kind.title}")
                with kind(lab, [zone], SERVER_CPU, connections=self.plan.idle + 100) as subject:
                    subject.wait_serving()
                    subject.settle()
                    for _ in range(self.plan.rounds):
                        self.rows["tcp"].add(subject.name, *self.pipelined(lab, subject, threads))
                    self.idle(lab, subject)
        return list(self.rows.values())

    def pipelined(self, lab: Lab, subject: Subject, threads: Threads) -> tuple[float, str]:
        """Thousands of replies by the seconds that the server ran, and why that is in doubt."""
        value, why = 0.0, DISTURBED
        for _ in range(TRIES):
            subject.pin()
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {CLIENT_CPU})
            try:
                with ExitStack() as stack:
                    asked = [Connection(stack.enter_context(connect(lab, 1)[0]), k) for k in range(CONNECTIONS)]
                    spent = Spent([*threads.pin(), *subject.pids()])
                    ask(asked, self.plan.seconds)
                    ran, why = spent.end()
            finally:
                os.sched_setaffinity(0, before)
            wrong = sum(one.wrong() for one in asked)
            why = "wrong replies" if wrong else why
            value = sum(one.replies for one in asked) / max(ran, 0.001) / 1000
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
    """Names have one length, so that replies have."""
    return wire(f"{host(number % 1000)}.{THOUSAND}", A, id=number & 0xFFFF)


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


@dataclass
class Connection:
    """One connection that asks the same hundred queries over and over, and waits for all replies in between."""

    socket: socket.socket
    number: int
    taken: list[bytes] = field(default_factory=list)
    missing: int = 0  # octets of replies
    length: int = 0  # of one reply, with the length in front
    replies: int = 0

    def __post_init__(self) -> None:
        self.numbers = range(self.number * AT_ONCE, (self.number + 1) * AT_ONCE)
        self.queries = b"".join(framed(question(k)) for k in self.numbers)
        self.socket.sendall(framed(question(self.numbers[0])))
        first = self.socket.recv(512)
        self.length = len(first)

    def send(self) -> None:
        self.socket.sendall(self.queries)
        self.missing = self.length * AT_ONCE

    def take(self) -> bool:
        """What has come; True when it is all."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise LabError("the server closed a connection that asks")
        self.taken.append(data)
        self.missing -= len(data)
        return self.missing <= 0

    def wrong(self) -> int:
        """How many of the replies are not what was asked for; each is looked at."""
        data = b"".join(self.taken)
        self.replies = len(data) // self.length
        wanted = {k & 0xFFFF: address(k % 1000) for k in self.numbers}
        seen: dict[bytes, bool] = {}  # there are as many different ones as queries
        found = len(data) % self.length
        for place in range(0, len(data) - found, self.length):
            reply = data[place + 2 : place + self.length]
            if reply not in seen:
                seen[reply] = is_right(reply, wanted)
            found += not seen[reply]
        return found


def is_right(reply: bytes, wanted: dict[int, str]) -> bool:
    got = parse(reply)
    number = int.from_bytes(reply[:2], "big")
    return not got.rcode and [record.rdata for record in got.answer] == [socket.inet_aton(wanted.get(number, "0.0.0.0"))]


def ask(connections: Sequence[Connection], seconds: float) -> None:
    """All at once, for so long; then what is under way is waited for."""
    with selectors.DefaultSelector() as selector:
        for one in connections:
            selector.register(one.socket, selectors.EVENT_READ, one)
            one.send()
        end = time.monotonic() + seconds
        left = len(connections)
        while left:
            ready = selector.select(5)
            if not ready:
                raise LabError("replies over TCP are missing after 5 s")
            for key, _ in ready:
                if key.data.take():
                    if time.monotonic() < end:
                        key.data.send()
                    else:
                        selector.unregister(key.fileobj)
                        left -= 1


class Spent:
    """The CPU time of processes since now, and what else was done on the serving CPU meanwhile."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = pids
        self.begun = time.monotonic()
        self.before = self.tasks(), *cpu_times(SERVER_CPU), cpu_times(CLIENT_CPU)[0]

    def tasks(self) -> float:
        nanoseconds = 0
        for pid in self.pids:
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                nanoseconds += int(path.read_text().split()[0])
        return nanoseconds / 1e9

    def end(self) -> tuple[float, str]:
        """Seconds that they ran, and why that says nothing; empty when it does."""
        now = self.tasks(), *cpu_times(SERVER_CPU), cpu_times(CLIENT_CPU)[0]
        ran, busy, stolen, client = (one - before for one, before in zip(now, self.before))
        seconds = time.monotonic() - self.begun
        if disturbed(busy - ran, stolen, seconds):
            return ran, DISTURBED
        # A server may be idle because it waits for acknowledgements: that is its own doing.
        rested = ran < (1 - IDLE_MOST) * seconds - CLOCK
        return ran, LIMITED if rested and client > CLIENT_MOST * seconds else ""


def cpu_times(cpu: int) -> tuple[float, float]:
    """Seconds that this CPU was busy, and that the hypervisor took from it."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{cpu} "):
            user, nice, system, _, _, irq, softirq, stolen = map(int, line.split()[1:9])
            return (user + nice + system + irq + softirq) / KERNEL_TICK, stolen / KERNEL_TICK
    raise LabError(f"there is no CPU {cpu}")
