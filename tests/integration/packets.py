# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames made by hand, for what a socket would not send: IP options, fragments, extension headers, tags, wrong sums.

Send them by a packet socket in the client's namespace and watch by another one in the server's: what the driver
passes on shows there, octet for octet (the kernel takes the outer tag off a tagged frame before a packet socket sees
it).
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ask import in_namespace

if TYPE_CHECKING:
    from lab import Namespace

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD = 0x0003, 0x0800, 0x86DD, 0x8100, 0x88A8
UDP = 17


def checksum(data: bytes) -> int:
    """The Internet checksum: the ones' complement of the ones'-complement sum."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _packed(address: str) -> bytes:
    return ip_address(address).packed


def udp(
    source: str,
    target: str,
    source_port: int,
    target_port: int,
    payload: bytes,
    *,
    sum_as: int | None = None,
    length: int | None = None,
) -> bytes:
    """A UDP datagram; its checksum is right unless `sum_as` says what to write."""
    claimed = 8 + len(payload) if length is None else length
    head = struct.pack("!HHHH", source_port, target_port, claimed, 0)
    pseudo = _packed(source) + _packed(target) + struct.pack("!IHBB", 8 + len(payload), 0, 0, UDP)
    right = checksum(pseudo + head + payload) or 0xFFFF
    return head[:6] + struct.pack("!H", right if sum_as is None else sum_as) + payload


def ipv4(
    source: str,
    target: str,
    payload: bytes,
    *,
    options: bytes = b"",
    fragment: int = 0,
    protocol: int = UDP,
    ttl: int = 64,
    tos: int = 0,
) -> bytes:
    """`fragment` is the field of flags and offset: 0x2000 is "more fragments", 0x4000 "do not fragment"."""
    options += b"\0" * (-len(options) % 4)
    size = 20 + len(options)
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, tos, size + len(payload), 0x1234, fragment, ttl, protocol, 0)
    head += _packed(source) + _packed(target) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(
    source: str, target: str, payload: bytes, *, next_header: int = UDP, hop_limit: int = 64, extensions: bytes = b""
) -> bytes:
    """`extensions` stand before the payload, and `next_header` names the first of them."""
    body = extensions + payload
    return struct.pack("!IHBB", 6 << 28, len(body), next_header, hop_limit) + _packed(source) + _packed(target) + body


def destination_options(next_header: int = UDP) -> bytes:
    """A destination options header of eight octets that holds padding alone."""
    return bytes([next_header, 0, 1, 4, 0, 0, 0, 0])


def ethernet(
    source: str, target: str, ethertype: int, payload: bytes, *, tags: Sequence[tuple[int, int]] = ()
) -> bytes:
    """`tags` are pairs of TPID and TCI, the outer one first."""
    macs = bytes.fromhex((target + source).replace(":", ""))
    return macs + b"".join(struct.pack("!HH", *tag) for tag in tags) + struct.pack("!H", ethertype) + payload


def mac(namespace: Namespace, interface: str) -> str:
    shown = namespace.ip("-o", "link", "show", "dev", interface).split()
    return shown[shown.index("link/ether") + 1]


def packet_socket(namespace: Namespace, interface: str) -> socket.socket:
    def make() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        made.bind((interface, ETH_P_ALL))
        return made

    return in_namespace(namespace.name, make)


def sniff(sock: socket.socket, seconds: float, wanted: bytes = b"") -> list[bytes]:
    """Incoming frames that hold the octets wanted, until the time is up; the socket's own sendings are left out."""
    found, end = [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            frame, address = sock.recvfrom(65535)
        except TimeoutError:
            break
        if address[2] != socket.PACKET_OUTGOING and wanted in frame:
            found.append(frame)
    return found
