# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones that no signer would make, transferred from a scripted primary: each is refused, and the version before served
on, or served without harm. No proof is given that a name of the zone gives the lie to.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import dns.dnssec
import dns.message
import dns.name
import dns.rdatatype
import pytest
from lab import Lab, LabError, Peregrine, ask_many, ask_tcp_many
from scripted import ZONE, ScriptedPrimary, framed, record, text
from wire import CNAME, DS, NS, SOA, TXT, A, name_wire, parse, query_text, wire

pytestmark = pytest.mark.timeout(60)

RRSIG, NSEC, NSEC3, NSEC3PARAM, DNAME = 46, 47, 50, 51, 39
NOERROR, SERVFAIL, NXDOMAIN, YXDOMAIN = 0, 2, 3, 6
ADDRESS = bytes([192, 0, 2, 7])
APEX = dns.name.from_text(ZONE)


def full(label: str) -> str:
    return f"{label}.{ZONE}" if label else ZONE


def bitmap(*types: int) -> bytes:
    bits = bytearray(max(types) // 8 + 1)
    for rrtype in types:
        bits[rrtype // 8] |= 0x80 >> rrtype % 8
    return bytes([0, len(bits)]) + bytes(bits)


def rrsig(label: str, covered: int, number: int = 0) -> bytes:
    owner = full(label)
    labels = len(dns.name.from_text(owner)) - 1 - owner.startswith("*")
    fixed = struct.pack("!HBBIIIH", covered, 13, labels, 300, 2114380800, 1577836800, number)
    return record(owner, RRSIG, fixed + name_wire(ZONE) + bytes(64))


def signed(label: str, rrtype: int, *rdata: bytes) -> list[bytes]:
    return [*(record(full(label), rrtype, each) for each in rdata), rrsig(label, rrtype)]


def nsec(label: str, following: str, *types: int) -> list[bytes]:
    return signed(label, NSEC, name_wire(full(following)) + bitmap(*types, RRSIG, NSEC))


def chain(*labels: str) -> list[bytes]:
    """A whole chain, labels in canonical order."""
    made = []
    for label, following in zip(("", *labels), (*labels, "")):
        made += nsec(label, following, A)
    return made


def address(*labels: str) -> list[bytes]:
    return [each for label in labels for each in signed(label, A, ADDRESS)]


PARAMETERS = struct.pack("!BBHB", 1, 0, 0, 0)


def hashed(label: str, parameters: bytes = PARAMETERS) -> bytes:
    salt = parameters[5:]
    iterations = struct.unpack_from("!H", parameters, 2)[0]
    shown = dns.dnssec.nsec3_hash(full(label), salt.hex() or None, iterations, 1).lower()
    return base32(shown)


def base32(shown: str) -> bytes:
    return int(shown, 32).to_bytes(20, "big")


def hash_label(digest: bytes) -> str:
    number = int.from_bytes(digest, "big")
    return "".join("0123456789abcdefghijklmnopqrstuv"[number >> 5 * (31 - k) & 31] for k in range(32))


def nsec3_chain(digests: Sequence[bytes], parameters: bytes = PARAMETERS) -> list[bytes]:
    ordered, made = sorted(set(digests)), signed("", NSEC3PARAM, parameters)
    for digest, following in zip(ordered, [*ordered[1:], ordered[0]]):
        made += signed(hash_label(digest), NSEC3, parameters + bytes([20]) + following + bitmap(A, RRSIG))
    return made


@dataclass(frozen=True)
class Hostile:
    """`names` are those that exist, and may be covered by nothing; `asked` what is due with DO: RCODEs, any of them."""

    title: str
    records: Callable[[], list[bytes]]
    names: tuple[str, ...] = ()
    asked: dict[tuple[str, int], tuple[int, ...]] = field(default_factory=dict)
    refused: str = ""  # words of the reason


def deep_name() -> str:
    """A name to which nothing but `*.` can be put in front: 253 octets."""
    room = 253 - len(name_wire(ZONE))
    labels = ["a" * 63] * (room // 64)
    rest = room - 64 * len(labels)
    return ".".join(([("b" * (rest - 1))] if rest > 1 else []) + labels)


def crowded() -> list[bytes]:
    """Records between which only the last bits of their hashes tell, and more of them than a span has room for."""
    close = [bytes([0x55] * 7 + [k]) + bytes(12) for k in range(200)]
    alike = [bytes([0x66] * 8) + bytes([k]) + bytes(11) for k in range(20)]
    return address("ns1", "www") + nsec3_chain([hashed(name) for name in ("", "ns1", "www")] + close + alike)


def slow() -> list[bytes]:
    parameters = struct.pack("!BBHB", 1, 0, 65535, 255) + bytes(255)
    digests = [bytes([k]) * 20 for k in range(1, 200)]
    return address("ns1", "www", *(f"n{k}" for k in range(300))) + nsec3_chain(digests, parameters)


def nsec3_with_data() -> list[bytes]:
    digests = [hashed(name) for name in ("", "ns1", "www")]
    owners = [hash_label(digest) for digest in digests]
    more = address(owners[0]) + [record(full(owners[1]), NS, name_wire("ns.other."))]
    return address("ns1", "www") + nsec3_chain(digests) + more


DEEP = deep_name()
BASE = ("ns1", "www")
ZONES = (
    Hostile(
        "NSECs in a loop",
        lambda: address(*BASE, "b") + nsec("", "b", SOA) + nsec("b", "", A) + nsec("ns1", "b", A)
        + nsec("www", "ns1", A),
        (*BASE, "b"),
        {("c", A): (SERVFAIL,), ("x", A): (SERVFAIL,), ("b", TXT): (NOERROR,), ("www", A): (NOERROR,)},
    ),
    Hostile("65,535 iterations", slow, BASE, {("x", A): (SERVFAIL,), ("www", A): (NOERROR,)}),
    Hostile(
        "colliding hashes",
        crowded,
        BASE,
        {("www", A): (NOERROR,), ("www", TXT): (NOERROR,), ("x", A): (NXDOMAIN,)},
    ),
    Hostile(
        "255 octets",
        lambda: address(*BASE, DEEP, f"*.{DEEP}") + chain(DEEP, f"*.{DEEP}", *BASE),
        (*BASE, DEEP, f"*.{DEEP}"),
        {(f"*.{DEEP}", A): (NOERROR,), (f"z.{DEEP}", A): (NOERROR,), (f"z.{DEEP}", TXT): (NOERROR,),
         (DEEP, TXT): (NOERROR,)},
    ),
    Hostile(
        "octets 0",
        lambda: address(*BASE, "\\000", "\\000.\\000", "\\000\\000", "\\001")
        + chain("\\000", "\\000.\\000", "\\000\\000", "\\001", *BASE),
        (*BASE, "\\000", "\\000.\\000", "\\000\\000", "\\001"),
        {("\\000\\000\\000", A): (NXDOMAIN,), ("\\000\\001", A): (NXDOMAIN,), ("a.\\000", A): (NXDOMAIN,),
         ("\\000", TXT): (NOERROR,), ("\\000.\\001", A): (NXDOMAIN,)},
    ),
    Hostile(
        "400 RRSIGs",
        lambda: address(*BASE) + [rrsig("www", A, k) for k in range(1, 400)] + chain(*BASE),
        BASE,
        {("www", A): (NOERROR,), ("www", RRSIG): (NOERROR,), ("x", A): (NXDOMAIN,)},
    ),
    Hostile(
        "3,000 RRSIGs",
        lambda: address(*BASE) + [rrsig("www", A, k) for k in range(1, 3000)] + chain(*BASE),
        refused="larger than a DNS message",
    ),
    Hostile(
        "DNAMEs in a loop",
        lambda: address(*BASE) + signed("d", DNAME, name_wire(full("e"))) + signed("e", DNAME, name_wire(full("d")))
        + chain("d", "e", *BASE),
        (*BASE, "d", "e"),
        {("x.d", A): (NOERROR,), ("x.e", TXT): (NOERROR,), ("d", DNAME): (NOERROR,)},
    ),
    Hostile(
        "DNAMEs that grow",
        lambda: address(*BASE) + signed("d", DNAME, name_wire(full(f"{'x' * 60}.{'y' * 60}.d"))) + chain("d", *BASE),
        (*BASE, "d"),
        {("x.d", A): (YXDOMAIN,), (f"{'z' * 60}.{'z' * 60}.d", A): (YXDOMAIN,), ("d", A): (NOERROR,)},
    ),
    Hostile(
        "wildcard that is an ENT",
        lambda: address(*BASE, "a.*.w") + chain("ns1", "a.*.w", "www"),
        (*BASE, "a.*.w"),
        {("x.w", A): (NOERROR,), ("*.w", A): (NOERROR,), ("b.*.w", A): (NXDOMAIN,), ("w", A): (NOERROR,)},
    ),
    Hostile(
        "DNAME at the apex",
        lambda: address(*BASE) + signed("", DNAME, name_wire("other.example.")) + chain(*BASE),
        (),
        {("x", A): (NOERROR,), ("a.b.c", TXT): (NOERROR,), ("", DNAME): (NOERROR,), ("", TXT): (NOERROR, SERVFAIL)},
    ),
    Hostile(
        "RRSIG of nothing",
        lambda: address(*BASE) + [rrsig("www", TXT), rrsig("alone", A)] + chain(*BASE),
        BASE,
        {("alone", A): (NOERROR, SERVFAIL), ("www", TXT): (NOERROR,), ("alone", RRSIG): (NOERROR, SERVFAIL)},
    ),
    Hostile(
        "NSEC3 owners with data",
        nsec3_with_data,
        BASE,
        {("www", A): (NOERROR,), ("www", TXT): (NOERROR,), (hash_label(hashed("")), A): (NOERROR,),
         (hash_label(hashed("")), TXT): (SERVFAIL,), (f"x.{hash_label(hashed('ns1'))}", A): (NOERROR, SERVFAIL)},
    ),
    Hostile(
        "two NSECs at a name",
        lambda: address(*BASE, "m") + chain("m", *BASE) + nsec("m", "www", A),
        (*BASE, "m"),
        {("n", A): (SERVFAIL,), ("o", A): (NXDOMAIN,), ("m", TXT): (NOERROR,)},
    ),
    Hostile(
        "two DNAMEs at a name",
        lambda: address(*BASE) + signed("d", DNAME, name_wire(full("e")), name_wire(full("f"))) + chain("d", *BASE),
        refused="more than one record",
    ),
    Hostile(
        "CNAMEs in a ring",
        lambda: address(*BASE)
        + [each for k in range(30) for each in signed(f"c{k:02}", CNAME, name_wire(full(f"c{(k + 1) % 30:02}")))]
        + chain(*(f"c{k:02}" for k in range(30)), *BASE),
        BASE,
        {("c00", A): (NOERROR,), ("c29", DS): (NOERROR,)},
    ),
)  # fmt: skip


class HostilePrimary(ScriptedPrimary):
    """A whole transfer of any number of records, in messages of some hundred."""

    hostile = ZONES[0]

    def transfer(self, query: bytes) -> list[bytes]:
        apex = [record(ZONE, NS, name_wire(f"ns1.{ZONE}")), rrsig("", SOA), rrsig("", NS)]
        records = [self.soa(), *apex, record(full("serial"), TXT, text("x")), *self.hostile.records(), self.soa()]
        return [framed(self.message(query, records[at : at + 100])) for at in range(0, len(records), 100)]


@dataclass
class World:
    lab: Lab
    agent: Peregrine
    primary: HostilePrimary
    served: int = 0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab, HostilePrimary(lab.primary, lab.primary_addresses[0]) as primary:
        primary.hostile = Hostile("in order", lambda: address(*BASE) + chain(*BASE))
        # They are as large as it takes, one after another.
        change = {"templates": [{"name": "default", "max-shrink": 0}]}
        with lab.peregrine([ZONE], key=None, change=change) as agent:
            agent.wait_serving(1)
            yield World(lab, agent, primary, 1)


def false_proofs(reply: bytes, names: Sequence[str]) -> list[str]:
    """Records of the authority section that cover a name which is there. What an NSEC says of its own name is no such
    proof.
    """
    seen = dns.message.from_wire(reply)
    own = seen.question[0].name
    there = [dns.name.from_text(full(name)) for name in names]
    found = []
    for rrset in seen.authority:
        for rdata in rrset if rrset.rdtype in (NSEC, NSEC3) else ():
            if rrset.name == own:
                continue
            if rrset.rdtype == NSEC:
                low, high = rrset.name, rdata.next
                lies = [name for name in there if low < name and (name < high or high == APEX)]
            else:
                low, high = base32(rrset.name[0].decode()), rdata.next
                digests = {name: hashed(name.relativize(APEX).to_text()) for name in there}
                lies = [name for name, digest in digests.items() if (low < digest < high) or (high <= low < digest)]
            found += [f"{rrset} covers {name}" for name in lies]
    return found


@pytest.mark.parametrize("hostile", ZONES, ids=[hostile.title for hostile in ZONES])
def test_hostile_zone(world: World, hostile: Hostile) -> None:
    world.primary.hostile = hostile
    world.primary.serial += 1
    before, start = len(world.agent.log()), time.monotonic()
    with suppress(LabError):  # the command fails where the zone is refused
        world.agent.cli("zone-reload", "--wait", ZONE)
    assert time.monotonic() - start < 10
    if hostile.refused:
        assert re.search(hostile.refused, world.agent.log()[before:]), world.agent.log()[before:]
    else:
        world.served = world.primary.serial
    assert world.agent.zone_status(ZONE)["serial"] == world.served, world.agent.log()[before:]
    general = [(name, rrtype) for name in ("", *BASE, "zz", "a.b", "*", "x.www") for rrtype in (A, SOA, TXT, RRSIG)]
    for do in (True, False):
        wires = [wire(full(name), rrtype, edns=1232, do=do, id=7) for name, rrtype in [*hostile.asked, *general]]
        with world.lab.client.udp(world.lab.service[0]) as sock:
            replies = ask_many(sock, wires)
        with world.lab.client.tcp(world.lab.service[1]) as sock:
            assert None not in ask_tcp_many(sock, wires)
        for query, reply in zip(wires, replies):
            assert reply, query_text(query)
            assert parse(reply).rcode in (NOERROR, SERVFAIL, NXDOMAIN, YXDOMAIN)
            assert not false_proofs(reply, hostile.names), query_text(query)
        for (due, query, reply) in zip(hostile.asked.values(), wires, replies):
            seen = parse(reply or b"")
            expected = due if do else tuple({NOERROR, NXDOMAIN, *due} - {SERVFAIL})
            assert seen.rcode in expected, f"{query_text(query)} DO {do}\n{seen}"
    assert world.agent.process and world.agent.process.running()
    assert world.agent.counters()["fast_path"]["reasons"]["internal"] == 0
    assert not re.search(r"AddressSanitizer|runtime error", world.agent.log())
