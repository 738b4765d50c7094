# SPDX-License-Identifier: GPL-3.0-or-later
"""The edges of the packet: replies that any stack takes, and what is not for the driver arrives at the host unchanged."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from lab import Key, Lab, Nsd, Peregrine, Tally, ask_many
from packets import (
    ETH_P_8021Q,
    ETH_P_IP,
    ETH_P_IPV6,
    UDP,
    _packed,
    checksum,
    destination_options,
    ethernet,
    ipv4,
    ipv6,
    mac,
    packet_socket,
    sniff,
    udp,
)
from wire import QR, TXT, A, normalise, parse, wire
from zones import corpus, family

pytestmark = pytest.mark.timeout(60)

NAME = "www.example.org."
SO_RCVBUFFORCE = 33  # not in the socket module


@dataclass
class World:
    lab: Lab
    agent: Peregrine
    ends: tuple[str, str]  # Ethernet addresses of client and server

    def reasons(self) -> dict[str, int]:
        return self.agent.counters()["fast_path"]["reasons"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Frames as veth makes them, without padding: what is passed on is compared octet by octet."""
    with Lab(roomy=False) as lab:
        place = lab.make_directory("zones")
        zones = family(100)
        lab.primary_server(Nsd, [zone.write(place) for zone in zones], key=Key())
        with lab.peregrine([zone.name for zone in zones], key=Key()) as agent:
            agent.wait_serving(1)
            yield World(lab, agent, (mac(lab.client, "front"), mac(lab.server, "front")))


# ------------------------------------------------------------------------------------------------------------- replies


def test_offload_is_on(world: World) -> None:
    """The ground of what follows: the client leaves checksums to a device that does not exist."""
    assert "tx-checksumming: on" in world.lab.client.run("ethtool", "-k", "front")


@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_dig(world: World, address_family: int) -> None:
    """Plain dig, as an operator uses it, gets each reply at the first attempt."""
    server = f"@{world.lab.service[address_family]}"
    dig = ["dig", server, "+tries=1", "+time=1", "+noall", "+answer", "+comments"]
    for words, expected in (
        ([NAME, "A"], "192.0.2.80"),
        (["WwW.eXample.ORG.", "AAAA"], "2001:db8:80::2"),
        ([NAME, "MX", "+noedns"], "status: NOERROR"),
        (["missing.example.org.", "A"], "status: NXDOMAIN"),
        (["anything.wild.example.org.", "TXT"], '"wild"'),
        (["host.d-in.example.org.", "A"], "AUTHORITY: 2, ADDITIONAL: 4"),
        (["www.example.com.", "A"], "status: REFUSED"),
        (["large4200.example.org.", "TXT"], "t4200-00020"),  # truncated, and asked again over TCP
        ([NAME, "A", "+tcp"], "192.0.2.81"),
        ([NAME, "A", "+cookie"], "192.0.2.80"),
    ):
        out = world.lab.client.run(*dig, *words)
        assert expected in out, out
        assert "Warning" not in out and "Malformed" not in out, out


def check_sums(frame: bytes, source: str, target: str) -> bytes:
    """The payload of a reply whose lengths and checksums are right; the frame may hold padding behind it."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_P_IP:
        packet = frame[14 : 14 + struct.unpack_from("!H", frame, 16)[0]]
        assert packet[0] == 0x45 and checksum(packet[:20]) == 0, packet[:20].hex()
        assert packet[8] == 64 and packet[9] == UDP and not struct.unpack_from("!H", packet, 6)[0] & 0x3FFF
        datagram = packet[20:]
    else:
        packet = frame[14 : 54 + struct.unpack_from("!H", frame, 18)[0]]
        assert packet[0] >> 4 == 6 and packet[6] == UDP and packet[7] == 64
        datagram = packet[40:]
    length, given = struct.unpack_from("!HH", datagram, 4)
    assert length == len(datagram) and given != 0
    pseudo = _packed(source) + _packed(target) + struct.pack("!IHBB", length, 0, 0, UDP)
    assert checksum(pseudo + datagram) == 0, f"checksum {given:04x} of {datagram.hex()}"
    return datagram[8:]


@pytest.fixture
def alone(world: World) -> Iterator[World]:
    """The driver alone, with room in the frames: a socket's replies would hold half a checksum each, as its device is
    to do the rest.
    """
    world.lab.give_room(world.lab.client, "front")
    world.agent.freeze()
    yield world
    world.agent.thaw()
    world.lab.client.run("tc", "qdisc", "delete", "dev", "front", "clsact")


@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_checksums(alone: World, address_family: int) -> None:
    """Every reply of the driver, odd and even lengths, relocated and not: valid in full, not by grace of an offload."""
    lab = alone.lab
    queries = [wire(query.name, query.rrtype, edns=edns) for query in corpus(family(20)) for edns in (None, 1232)]
    service, client = lab.service[address_family], lab.client_addresses[address_family]
    seen = 0
    with lab.client.udp(service) as sock, packet_socket(lab.client, "front") as watch:
        watch.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        answered = ask_many(sock, queries)
        source_port = struct.pack("!H", sock.getsockname()[1])
        for frame in sniff(watch, 1.0, struct.pack("!H", 53) + source_port):
            check_sums(frame, service, client)
            seen += 1
    assert None not in answered
    assert seen == len(queries)


@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_frames_without_room(world: World, address_family: int) -> None:
    """A plain veth: where the driver cannot grow a frame, the program at the ingress answers, without the agent, and in
    the same octets as the driver does where there is room.
    """
    lab, agent = world.lab, world.agent
    queries = [wire(query.name, query.rrtype, edns=edns) for query in corpus(family(100)) for edns in (None, 1232)]
    before = agent.counters()["fast_path"]
    agent.freeze()
    try:
        tally = Tally()
        with lab.client.udp(lab.service[address_family]) as sock:
            plain = ask_many(sock, queries, window=32, tally=tally)
        assert (tally.lost, tally.stray) == (0, 0)
        lab.give_room(lab.client, "front")
        with lab.client.udp(lab.service[address_family]) as sock:
            roomy = ask_many(sock, queries, window=32)
    finally:
        agent.thaw()
        lab.client.run("tc", "qdisc", "delete", "dev", "front", "clsact", check=False)
    unlike = [query.hex() for query, one, other in zip(queries, plain, roomy) if one != other]
    assert not unlike, f"{len(unlike)} of {len(queries)}, first {unlike[0]}"
    after = agent.counters()["fast_path"]
    assert after["regrown"] > before["regrown"]
    assert after["answered"] - before["answered"] == 2 * len(queries)


# --------------------------------------------------------------------------------------------------- what is passed on

QUERY = wire(NAME, A, id=0x5151, edns=1232)


def frame_of(world: World, kind: int, packet: bytes, tags: list[tuple[int, int]] | None = None) -> bytes:
    return ethernet(*world.ends, kind, packet, tags=tags or [])


def passes(world: World, frame: bytes, *, reason: str | None) -> list[bytes]:
    """Sends a frame: it must arrive at the host's stack octet for octet. Gives the replies that came back."""
    lab = world.lab
    before = world.reasons()
    with packet_socket(lab.client, "front") as out, packet_socket(lab.server, "front") as watch:
        out.send(frame)
        arrived = sniff(watch, 0.15, frame[14:40])
        assert frame in arrived, [seen.hex() for seen in arrived]
        back = [seen for seen in sniff(out, 0.15, QUERY[:2]) if seen != frame]
    if reason:
        after = world.reasons()
        # Neighbour discovery goes on beside it, which is not ours either.
        assert after[reason] > before[reason], {k: after[k] - before[k] for k in after if after[k] != before[k]}
    return back


def datagram(world: World, address_family: int = 0, target: str | None = None, payload: bytes = QUERY) -> bytes:
    target = target or world.lab.service[address_family]
    return udp(world.lab.client_addresses[address_family], target, 4321, 53, payload)


@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_another_address_of_the_host(world: World, address_family: int) -> None:
    """It is not ours to answer: a server of somebody else's may listen there, and gets the query as it was sent."""
    lab, other = world.lab, world.lab.other[address_family]
    make, kind = (ipv4, ETH_P_IP) if address_family == 0 else (ipv6, ETH_P_IPV6)
    source = lab.client_addresses[address_family]
    with lab.server.udp(source, 4321, source=other, source_port=53) as theirs:
        packet = make(source, other, datagram(world, address_family, other))
        passes(world, frame_of(world, kind, packet), reason="not_ours")
        theirs.settimeout(1)
        assert theirs.recv(2000) == QUERY


def answered(replies: list[bytes]) -> bool:
    """Whether a positive answer from the fallback is among the frames."""
    for frame in replies:
        payload = frame[frame.index(QUERY[:2]) :]
        if payload[2] & QR >> 8 and len(normalise(payload).answer) == 2:
            return True
    return False


def test_ipv4_options(world: World) -> None:
    source = world.lab.client_addresses[0]
    packet = ipv4(source, world.lab.service[0], datagram(world), options=b"\x01\x01\x01\x01")
    assert answered(passes(world, frame_of(world, ETH_P_IP, packet), reason="ip_options"))


def test_ipv4_fragments(world: World) -> None:
    """Two fragments reach the stack as they are; put together there, they are a query that the fallback answers."""
    source, whole = world.lab.client_addresses[0], datagram(world)
    first = ipv4(source, world.lab.service[0], whole[:24], fragment=0x2000)
    second = ipv4(source, world.lab.service[0], whole[24:], fragment=3)
    assert not passes(world, frame_of(world, ETH_P_IP, first), reason="fragment")
    lab = world.lab
    with packet_socket(lab.client, "front") as out:
        out.send(frame_of(world, ETH_P_IP, second))
        assert answered(sniff(out, 0.3, QUERY[:2]))


def test_ipv6_extension_header(world: World) -> None:
    source = world.lab.client_addresses[1]
    packet = ipv6(
        source, world.lab.service[1], datagram(world, 1), next_header=60, extensions=destination_options(UDP)
    )
    assert answered(passes(world, frame_of(world, ETH_P_IPV6, packet), reason="ip_options"))


def test_ipv6_fragment(world: World) -> None:
    """An atomic fragment (RFC 6946) is a fragment to the driver, and a whole packet to the stack."""
    source = world.lab.client_addresses[1]
    header = bytes([UDP, 0, 0, 0, 0, 0, 0, 7])
    packet = ipv6(source, world.lab.service[1], datagram(world, 1), next_header=44, extensions=header)
    assert answered(passes(world, frame_of(world, ETH_P_IPV6, packet), reason="fragment"))


def test_another_port(world: World) -> None:
    source = world.lab.client_addresses[0]
    body = udp(source, world.lab.service[0], 4321, 5353, QUERY)
    passes(world, frame_of(world, ETH_P_IP, ipv4(source, world.lab.service[0], body)), reason="other_port")


def test_lengths_that_lie(world: World) -> None:
    """A UDP length beyond the packet, or short of its header: the stack is shown it, and nobody answers."""
    source, target = world.lab.client_addresses[0], world.lab.service[0]
    for length in (8 + len(QUERY) + 40, 4, 65535):
        body = udp(source, target, 4321, 53, QUERY, length=length)
        assert not passes(world, frame_of(world, ETH_P_IP, ipv4(source, target, body)), reason="bad_packet")


def test_not_a_query(world: World) -> None:
    """A response, and octets that are no DNS at all, are passed as they came."""
    source, target = world.lab.client_addresses[0], world.lab.service[0]
    for payload in (wire(NAME, A, id=0x5151, flags=QR), QUERY[:2] + bytes(5), QUERY[:2] + b"\xff" * 300):
        body = udp(source, target, 4321, 53, payload)
        assert not answered(passes(world, frame_of(world, ETH_P_IP, ipv4(source, target, body)), reason=None))


def test_padded_and_unsummed(world: World) -> None:
    """Short frames are padded by the sender, and IPv4 allows no UDP checksum at all: both are ordinary queries."""
    source, target = world.lab.client_addresses[0], world.lab.service[0]
    body = udp(source, target, 4321, 53, QUERY, sum_as=0)
    frame = frame_of(world, ETH_P_IP, ipv4(source, target, body)) + bytes(400)
    before = world.agent.counters()["fast_path"]["answered"]
    with packet_socket(world.lab.client, "front") as out:
        out.send(frame)
        [reply] = sniff(out, 0.2, QUERY[:2])
    assert len(parse(check_sums(reply, target, source)).answer) == 2
    assert len(reply) < len(frame)
    assert world.agent.counters()["fast_path"]["answered"] == before + 1


def test_vlan_tags(world: World) -> None:
    """A tagged query is answered with its tags as they were (their sender's own VLAN)."""
    source, target = world.lab.client_addresses[0], world.lab.service[0]
    packet = ipv4(source, target, datagram(world, payload=wire("large500.example.org.", TXT, id=0x5151, edns=1232)))
    for tags in ([(ETH_P_8021Q, 7)], [(0x88A8, 9), (ETH_P_8021Q, 7)]):
        frame = frame_of(world, ETH_P_IP, packet, tags) + bytes(900)
        before = world.agent.counters()["fast_path"]["answered"]
        with packet_socket(world.lab.client, "front") as out:
            out.send(frame)
            sniff(out, 0.2, QUERY[:2])
        assert world.agent.counters()["fast_path"]["answered"] == before + 1
