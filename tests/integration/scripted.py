# SPDX-License-Identifier: GPL-3.0-or-later
"""A primary that does wrong on purpose: one zone, SOA, AXFR and IXFR, TSIG by hand, and a fault to be named.

    with ScriptedPrimary(lab.primary, lab.primary_addresses[0], key=Key()) as primary:
        ... transfer serial 1 ...
        primary.serial, primary.fault = 2, "cut off"
"""

from __future__ import annotations

import base64
import hmac
import itertools
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import dns.message
import dns.name
from ask import in_namespace
from servers import Key
from wire import AA, AXFR, IXFR, NS, QR, SOA, TSIG, TXT, A, name_wire, parse

if TYPE_CHECKING:
    from lab import Namespace

ZONE = "scripted.example."
FUDGE = 300


def record(owner: str, rrtype: int, rdata: bytes, rrclass: int = 1, ttl: int = 300) -> bytes:
    return name_wire(owner) + struct.pack("!HHIH", rrtype, rrclass, ttl, len(rdata)) + rdata


def text(words: str) -> bytes:
    return bytes([len(words)]) + words.encode()


class ScriptedPrimary:
    """Listens on UDP and TCP of one address. `fault` names one of FAULTS, or nothing to do right. IXFR is answered with
    what `differences` makes, or, without, as AXFR.
    """

    def __init__(self, namespace: Namespace, address: str, key: Key | None = None) -> None:
        self.namespace, self.address, self.key = namespace, address, key
        self.serial, self.fault, self.names = 1, "", 20
        self.timers = (3600, 600, 1209600, 300)
        self.differences: Callable[[ScriptedPrimary], list[bytes]] | None = None
        self.asked: list[int] = []  # types of the queries that came
        self._stop = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    # The zone.

    def soa(self, serial: int | None = None) -> bytes:
        numbers = struct.pack("!IIIII", self.serial if serial is None else serial, *self.timers)
        return record(ZONE, SOA, name_wire(f"ns1.{ZONE}") + name_wire(f"hostmaster.{ZONE}") + numbers)

    def contents(self, serial: int | None = None) -> list[bytes]:
        """All but the SOAs; every rdata of a name carries the serial."""
        serial = self.serial if serial is None else serial
        made = [record(ZONE, NS, name_wire(f"ns1.{ZONE}")), record(f"ns1.{ZONE}", A, bytes([10, 0, 0, 1]))]
        for k in range(self.names):
            made.append(record(f"n{k}.{ZONE}", A, struct.pack("!I", 10 << 24 | serial)))
            made.append(record(f"n{k}.{ZONE}", TXT, text(f"serial={serial}")))
        return made

    # Messages.

    def message(self, query: bytes, records: list[bytes], rcode: int = 0, question: bool = True) -> bytes:
        asked = parse(query)
        name, rrtype, rrclass = asked.questions[0]
        head = struct.pack("!HHHHHH", asked.id, QR | AA | rcode, int(question), len(records), 0, 0)
        return head + (name + struct.pack("!HH", rrtype, rrclass) if question else b"") + b"".join(records)

    def sign(self, query: bytes, data: bytes, *, skew: int = 0, spoil: bool = False, length: int = 64) -> bytes:
        """TSIG of the first message of a reply (RFC 8945)."""
        assert self.key
        key = base64.b64decode(self.key.secret)
        ring = {dns.name.from_text(self.key.name): key}
        mac = dns.message.from_wire(query, keyring=ring, continue_on_error=True).mac or b""
        digest = self.key.algorithm.removeprefix("hmac-").replace("-", "_")
        stamp = struct.pack("!Q", int(time.time()) + skew)[2:] + struct.pack("!H", FUDGE)
        names = name_wire(self.key.name), name_wire(self.key.algorithm)
        variables = names[0] + struct.pack("!HI", 255, 0) + names[1] + stamp + bytes(4)
        made = hmac.new(key, struct.pack("!H", len(mac)) + mac + data + variables, digest).digest()
        made = bytes(len(made)) if spoil else made[:length]
        rdata = names[1] + stamp + struct.pack("!H", len(made)) + made + data[:2] + bytes(4)
        count = struct.unpack_from("!H", data, 10)[0] + 1
        return data[:10] + struct.pack("!H", count) + data[12:] + record(self.key.name, TSIG, rdata, 255, 0)

    def signed(self, query: bytes, records: list[bytes], rcode: int = 0) -> bytes:
        data = self.message(query, records, rcode)
        return self.sign(query, data) if self.key else data

    # What is answered: frames of a TCP stream, after which the connection is closed unless the last is complete.

    def transfer(self, query: bytes) -> Iterable[bytes]:
        return FAULTS[self.fault](self, query)

    def datagram(self, query: bytes) -> bytes | None:
        if self.fault == "silent":
            return None
        if self.fault == "refused":
            return self.signed(query, [], 5)
        if self.fault == "SOA of another zone":
            return self.signed(query, [self.soa().replace(name_wire(ZONE), name_wire("other.example."), 1)])
        return self.signed(query, [self.soa()])

    # Serving.

    def __enter__(self) -> ScriptedPrimary:
        def make(kind: socket.SocketKind) -> socket.socket:
            family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
            made = socket.socket(family, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.address, 53))
            made.settimeout(0.1)
            return made

        for kind, work in ((socket.SOCK_DGRAM, self._udp), (socket.SOCK_STREAM, self._tcp)):
            sock = in_namespace(self.namespace.name, lambda: make(kind))
            if kind == socket.SOCK_STREAM:
                sock.listen(16)
            self._sockets.append(sock)
            self._threads.append(threading.Thread(target=work, args=(sock,), daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        for sock in self._sockets:
            sock.close()

    def _udp(self, sock: socket.socket) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError, ConnectionError):
                query, source = sock.recvfrom(65535)
                self.asked.append(parse(query).questions[0][1])
                reply = self.datagram(query)
                if reply:
                    sock.sendto(reply, source)

    def _tcp(self, sock: socket.socket) -> None:
        while not self._stop.is_set():
            with suppress(TimeoutError, ConnectionError):
                connection, _ = sock.accept()
                with connection:
                    connection.settimeout(2)
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(TimeoutError, ConnectionError, struct.error):
            stream = connection.makefile("rb")
            while not self._stop.is_set():
                query = stream.read(struct.unpack("!H", stream.read(2))[0])
                rrtype = parse(query).questions[0][1]
                self.asked.append(rrtype)
                if rrtype == IXFR and self.differences:
                    frames = [framed(self.signed(query, self.differences(self)))]
                elif rrtype not in (AXFR, IXFR):
                    reply = self.datagram(query)
                    frames = [struct.pack("!H", len(reply)) + reply] if reply else []
                else:
                    frames = self.transfer(query)
                for frame in frames:
                    connection.sendall(frame)
                if self.fault:
                    return


def framed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _whole(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    return [framed(primary.signed(query, [primary.soa(), *primary.contents(), primary.soa()]))]


def _with(*records: bytes) -> Callable[[ScriptedPrimary, bytes], list[bytes]]:
    """The zone with records that do not belong there."""

    def make(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
        return [framed(primary.signed(query, [primary.soa(), *primary.contents(), *records, primary.soa()]))]

    return make


def _cut_off(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    return [framed(primary.signed(query, [primary.soa(), *primary.contents()]))]


def _cut_within(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    return [_whole(primary, query)[0][:-100]]


def _two_soas(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    records = [primary.soa(), *primary.contents(), primary.soa(primary.serial + 1)]
    return [framed(primary.signed(query, records))]


def _garbage(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    return [framed(query[:2] + random.Random(5).randbytes(500))]


def _skewed(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    data = primary.message(query, [primary.soa(), *primary.contents(), primary.soa()])
    return [framed(primary.sign(query, data, skew=-4000))]


def _unsigned(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    return [framed(primary.message(query, [primary.soa(), *primary.contents(), primary.soa()]))]


def _forged(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    data = primary.message(query, [primary.soa(), *primary.contents(), primary.soa()])
    return [framed(primary.sign(query, data, spoil=True))]


def _short_mac(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    """Half of the signature, which RFC 8945 lets a server take."""
    data = primary.message(query, [primary.soa(), *primary.contents(), primary.soa()])
    return [framed(primary.sign(query, data, length=16))]


def _endless(primary: ScriptedPrimary, query: bytes) -> Iterator[bytes]:
    """The closing SOA never comes. Between two signatures there may be 99 messages."""
    yield framed(primary.signed(query, [primary.soa(), *primary.contents()]))
    for k in itertools.count():
        more = [record(f"e{k}-{n}.{ZONE}", A, bytes([10, 0, 0, 1])) for n in range(500)]
        yield framed(primary.message(query, more, question=False))


def _malformed(primary: ScriptedPrimary, query: bytes) -> list[bytes]:
    """An A record of three octets."""
    return _with(record(f"bad.{ZONE}", A, bytes(3)))(primary, query)


FAULTS: dict[str, Callable[[ScriptedPrimary, bytes], Iterable[bytes]]] = {
    "": _whole,
    "silent": lambda primary, query: [],
    "refused": lambda primary, query: [framed(primary.signed(query, [], 5))],
    "SOA of another zone": _whole,
    "closed": lambda primary, query: [],
    "cut off": _cut_off,
    "cut within a message": _cut_within,
    "two SOAs": _two_soas,
    "SOA of another owner": _with(record(f"below.{ZONE}", SOA, bytes(2) + struct.pack("!IIIII", 1, 1, 1, 1, 1))),
    "out of zone": _with(record("www.elsewhere.example.", A, bytes([192, 0, 2, 1]))),
    "class CH": _with(record(f"chaos.{ZONE}", TXT, text("x"), rrclass=3)),
    "malformed record": _malformed,
    "garbage": _garbage,
    "skewed": _skewed,
    "unsigned": _unsigned,
    "forged": _forged,
    "short MAC": _short_mac,
    "endless": _endless,
    "no records": lambda primary, query: [framed(primary.signed(query, []))],
}
