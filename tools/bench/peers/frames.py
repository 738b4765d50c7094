# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries as frames for peregrine-generator, and its samples as replies. The formats: tools/generator/generator_shared.h."""

from __future__ import annotations

import functools
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

HEAD, PORT = 16, 16384
SAMPLES, SAMPLE_OCTETS = 256, 2040
CHECK_ANSWERS = 1
MAC = bytes.fromhex("02706762656e")  # from which queries come
LENGTH = 2**16  # DNS IDs


class Query(NamedTuple):
    """One query of a load and what its reply has to be; `answers` None: whatever number."""

    wire: bytes
    rcode: int = 0
    answers: int | None = None
    ipv6: bool = False


@dataclass(frozen=True)
class Path4and6:
    """Between which addresses: the MAC as octets, IPv4 and IPv6 addresses as text."""

    server_mac: bytes
    client: tuple[str, str]
    server: tuple[str, str]


def _sum(data: bytes) -> int:
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Framer:
    """Puts queries into frames. IPv4 goes without a UDP checksum, as it may; IPv6 has one."""

    def __init__(self, way: Path4and6) -> None:
        self.way = way
        self.macs = way.server_mac + MAC
        self.ends4 = socket.inet_aton(way.client[0]) + socket.inet_aton(way.server[0])
        self.ends6 = b"".join(socket.inet_pton(socket.AF_INET6, one) for one in (way.client[1], way.server[1]))

    @functools.lru_cache(maxsize=None)
    def head4(self, length: int) -> bytes:
        """Ethernet and IPv4 in front of that many octets of UDP."""
        first = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0x4000, 64, 17)
        check = 0xFFFF ^ _sum(first + b"\0\0" + self.ends4)
        return self.macs + b"\x08\0" + first + struct.pack("!H", check) + self.ends4

    def frame(self, wire: bytes, number: int, ipv6: bool) -> bytes:
        """Query `number` of its load: its ID and its port tell which it is."""
        length, port = 8 + len(wire), PORT + number // LENGTH
        message = struct.pack("!H", number % LENGTH) + wire[2:]
        if not ipv6:
            return self.head4(length) + struct.pack("!HHHH", port, 53, length, 0) + message
        ports = struct.pack("!HHH", port, 53, length)
        check = 0xFFFF ^ _sum(self.ends6 + struct.pack("!IHBB", length, 0, 0, 17) + ports + message)
        head = struct.pack("!IHBB", 6 << 28, length, 17, 64)
        return self.macs + b"\x86\xdd" + head + self.ends6 + ports + struct.pack("!H", check or 0xFFFF) + message


def write_queries(
    path: Path, queries: Iterable[Query], sampled: Sequence[int], framer: Framer, slot: int, first: int = 0
) -> None:
    """The generator's file. The queries with the numbers `sampled` have their replies kept. With `first`, they are put
    behind as many that the file has already.
    """
    places = {number: 1 + i for i, number in enumerate(sampled[:SAMPLES])}
    with path.open("ab" if first else "wb") as out:
        for number, query in enumerate(queries, first):
            frame = framer.frame(query.wire, number, query.ipv6)
            if len(frame) > slot - HEAD:
                raise ValueError(f"a query's frame has {len(frame)} octets, and {slot - HEAD} are the most")
            flags = 0 if query.answers is None else CHECK_ANSWERS
            head = struct.pack("=HBBHH8x", len(frame), query.rcode, flags, query.answers or 0, places.get(number, 0))
            out.write((head + frame).ljust(slot, b"\0"))


def read_samples(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number of a query and the reply to it; the number is -1 for the first wrong reply that came."""
    data = path.read_bytes()
    size = 8 + SAMPLE_OCTETS
    for place in range(min(len(data) // size, SAMPLES + 1)):
        query, length = struct.unpack_from("=II", data, place * size)
        frame = data[place * size + 8 : place * size + 8 + length]
        if length > 62:
            yield (-1 if place == SAMPLES else query), frame[14 + (40 if frame[12] == 0x86 else 20) + 8 :]
