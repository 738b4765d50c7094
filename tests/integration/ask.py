# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries from inside a network namespace, in which no loss goes unnoticed.

A namespace belongs to a thread, a socket keeps the namespace that it was opened in. So a short-lived thread enters
the namespace, opens the socket and hands it out; the socket then works from anywhere.
"""

from __future__ import annotations

import collections
import ctypes
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

CLONE_NEWNET = 0x40000000
MAX_REPLY = 65535

_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def in_namespace(name: str | None, work: Callable[[], T]) -> T:
    """Does `work` in a thread that stands in the network namespace; its result or its exception comes back."""
    if name is None:
        return work()
    box: dict[str, Any] = {}

    def enter() -> None:
        try:
            handle = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(handle, CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"setns {name}")
            finally:
                os.close(handle)
            box["result"] = work()
        except BaseException as fault:  # handed on below, in the caller's thread
            box["fault"] = fault

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if "fault" in box:
        raise box["fault"]
    return box["result"]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp_socket(
    namespace: str | None, address: str, port: int = 53, *, source: str | None = None, source_port: int = 0
) -> socket.socket:
    """A connected UDP socket: the kernel then refuses replies from any other address or port."""

    def make() -> socket.socket:
        made = socket.socket(_family(address), socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if source or source_port:
            made.bind((source or "", source_port))
        made.connect((address, port))
        return made

    return in_namespace(namespace, make)


def tcp_socket(namespace: str | None, address: str, port: int = 53, timeout: float = 5.0) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(_family(address), socket.SOCK_STREAM)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(timeout)
        made.connect((address, port))
        return made

    return in_namespace(namespace, make)


@dataclass
class Tally:
    """What became of queries. `stray` counts replies that belong to no outstanding query: late ones and duplicates."""

    sent: int = 0
    answered: int = 0
    lost: int = 0
    stray: int = 0
    slowest: float = 0.0
    lost_at: list[float] = field(default_factory=list)


def ask(sock: socket.socket, query: bytes, timeout: float = 1.0, tally: Tally | None = None) -> bytes | None:
    """One query, one reply with its ID; None when there is none in time. It is never sent again: that is the caller's
    choice.
    """
    tally = tally if tally is not None else Tally()
    start = time.monotonic()
    tally.sent += 1
    sock.settimeout(timeout)
    try:
        sock.send(query)
        while (left := start + timeout - time.monotonic()) > 0:
            sock.settimeout(left)
            reply = sock.recv(MAX_REPLY)
            if reply[:2] == query[:2]:
                tally.answered += 1
                tally.slowest = max(tally.slowest, time.monotonic() - start)
                return reply
            tally.stray += 1
    except (TimeoutError, ConnectionRefusedError):
        pass
    tally.lost += 1
    tally.lost_at.append(start)
    return None


def ask_many(
    sock: socket.socket,
    queries: Sequence[bytes],
    window: int = 64,
    timeout: float = 1.0,
    tally: Tally | None = None,
    rate: float | None = None,
) -> list[bytes | None]:
    """Replies by index, None for each query that got none in time; at most `window` are outstanding.

    Every query goes out once, under an ID of its own; the reply comes back with the ID that the query had. `rate`
    bounds the queries a second.
    """
    tally = tally if tally is not None else Tally()
    replies: list[bytes | None] = [None] * len(queries)
    pending: collections.OrderedDict[int, tuple[int, float]] = collections.OrderedDict()
    next_id, index = 1, 0
    began = time.monotonic()
    sock.setblocking(False)
    while index < len(queries) or pending:
        now = time.monotonic()
        allowed = len(queries) if rate is None else int((now - began) * rate) + 1
        while index < min(len(queries), allowed) and len(pending) < window:
            while next_id in pending:
                next_id = next_id % 65535 + 1
            try:
                sock.send(struct.pack("!H", next_id) + queries[index][2:])
            except BlockingIOError:
                break
            except ConnectionRefusedError:  # an ICMP error for an earlier query; this one is counted by its timeout
                pass
            pending[next_id] = (index, now)
            tally.sent += 1
            next_id = next_id % 65535 + 1
            index += 1
        while pending:
            first, (number, sent) = next(iter(pending.items()))
            if now - sent < timeout:
                break
            del pending[first]
            tally.lost += 1
            tally.lost_at.append(sent)
        if not pending:
            if rate is not None and index < len(queries):
                time.sleep(0.0005)
            continue
        wait = max(0.0, next(iter(pending.values()))[1] + timeout - now)
        if rate is not None and index < len(queries):
            wait = min(wait, 0.001)
        if not select.select([sock], [], [], wait)[0]:
            continue
        _take_replies(sock, queries, replies, pending, tally)
    return replies


def _take_replies(
    sock: socket.socket,
    queries: Sequence[bytes],
    replies: list[bytes | None],
    pending: dict[int, tuple[int, float]],
    tally: Tally,
) -> None:
    """Everything that stands in the receive buffer now."""
    while True:
        try:
            reply = sock.recv(MAX_REPLY)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue
        known = pending.pop(int.from_bytes(reply[:2], "big"), None) if len(reply) >= 2 else None
        if known is None:
            tally.stray += 1
            continue
        number, sent = known
        replies[number] = queries[number][:2] + reply[2:]
        tally.answered += 1
        tally.slowest = max(tally.slowest, time.monotonic() - sent)


def ask_tcp_many(
    sock: socket.socket, queries: Sequence[bytes], window: int = 64, timeout: float = 5.0
) -> list[bytes | None]:
    """Pipelined over one connection, replies in any order; None for what did not come before the connection closed or
    the time was up.
    """
    replies: list[bytes | None] = [None] * len(queries)
    pending: dict[int, int] = {}
    buffer, index = bytearray(), 0
    sock.settimeout(timeout)
    try:
        while index < len(queries) or pending:
            batch = bytearray()
            while index < len(queries) and len(pending) < window:
                id_ = index % 65535 + 1
                batch += struct.pack("!HH", len(queries[index]), id_) + queries[index][2:]
                pending[id_] = index
                index += 1
            if batch:
                sock.sendall(batch)
            data = sock.recv(1 << 18)
            if not data:
                break
            buffer += data
            while len(buffer) >= 2 and len(buffer) >= 2 + (size := int.from_bytes(buffer[:2], "big")):
                reply = bytes(buffer[2 : 2 + size])
                del buffer[: 2 + size]
                number = pending.pop(int.from_bytes(reply[:2], "big"), None)
                if number is not None:
                    replies[number] = queries[number][:2] + reply[2:]
    except (TimeoutError, ConnectionError):
        pass
    return replies


def ask_tcp(namespace: str | None, address: str, query: bytes, timeout: float = 5.0, port: int = 53) -> bytes | None:
    with tcp_socket(namespace, address, port, timeout) as sock:
        return ask_tcp_many(sock, [query], timeout=timeout)[0]


class Load:
    """The same queries over and over from a thread, at a bounded rate, until stopped: for what must hold under load.

    `check` sees each query and its reply, and returns what is wrong or None; the first wrongs are kept in `wrong`.
    """

    def __init__(
        self,
        namespace: str | None,
        address: str,
        queries: Sequence[bytes],
        *,
        rate: float = 4000,
        window: int = 64,
        timeout: float = 1.0,
        check: Callable[[bytes, bytes], str | None] | None = None,
        port: int = 53,
    ) -> None:
        self.sock = udp_socket(namespace, address, port)
        self.queries, self.rate, self.window, self.timeout, self.check = list(queries), rate, window, timeout, check
        self.tally, self.wrong, self.fault = Tally(), [], None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        slice_size = max(1, int(self.rate / 20))
        position = 0
        try:
            while not self._stop.is_set():
                part = [self.queries[(position + k) % len(self.queries)] for k in range(slice_size)]
                position = (position + slice_size) % len(self.queries)
                replies = ask_many(self.sock, part, self.window, self.timeout, self.tally, self.rate)
                for query, reply in zip(part, replies):
                    wrong = self.check(query, reply) if self.check and reply is not None else None
                    if wrong and len(self.wrong) < 20:
                        self.wrong.append(wrong)
        except Exception as fault:  # shown by stop(): a generator that died must not look like one that lost nothing
            self.fault = fault

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def stop(self) -> Tally:
        self._stop.set()
        self._thread.join(10)
        self.sock.close()
        if self.fault:
            raise self.fault
        return self.tally

    def __exit__(self, *_: object) -> None:
        if not self._stop.is_set():
            self.stop()
