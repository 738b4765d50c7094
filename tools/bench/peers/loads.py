# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked: the zones, and for each row of the table a list of queries. A load more is an entry of `loads`."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import Aim
from frames import Query
from place import Zone
from zone_files import address, address6, host, plain_zone

import mix
from signed import CHAIN_NSEC, Signed
from wire import A, name_wire, wire

NXDOMAIN = 3
THOUSAND, MANY, NSEC, NSEC3 = "thousand.bench.", "many.bench.", "nsec.bench.", "nsec3.bench."
SIGNATURE = base64.b64encode(hashlib.sha512(b"a signature that means nothing").digest()).decode()
KEY = SIGNATURE


@dataclass(frozen=True)
class Size:
    many: int  # names of the largest zone
    signed: int  # names of the signed zones
    queries: int  # of a load, at most


FULL = Size(1_000_000, 100_000, 1 << 19)
QUICK = Size(20_000, 2_000, 1 << 14)


@dataclass(frozen=True)
class Load:
    """A row of the table. `make` gives the queries; their RCODE and number of answers are what is checked of every
    reply, unless `learnt`: then they are taken from what the primary answers.
    """

    key: str
    title: str
    make: Callable[[random.Random], Iterator[Query]]
    slot: int = 128
    learnt: bool = False
    zone: str = ""
    aims: tuple[Aim, ...] = ()


def _rrsig(owner: str, covered: str, zone: str) -> str:
    labels = owner.count(".")
    return f"{owner} 3600 IN RRSIG {covered} 13 {labels} 3600 20370101000000 20200101000000 1 {zone} {SIGNATURE}\n"


def signed_zone(place: Path, name: str, names: int, hashed: bool) -> Zone:
    """A signed zone whose chain is right and whose signatures are as long as those of ECDSA P-256, and mean nothing:
    no server verifies what it serves. Every second name has an AAAA record, too. One record a line.
    """
    path = place / f"{name}zone"
    owners = [(name, "NS SOA RRSIG DNSKEY" + (" NSEC3PARAM" if hashed else " NSEC"))]
    tail = " RRSIG" if hashed else " RRSIG NSEC"
    owners += [(f"{host(i)}.{name}", ("A" if i & 1 else "A AAAA") + tail) for i in range(names)]
    owners.append((f"ns1.{name}", "A" + tail))
    with path.open("w") as out:
        out.write(f"{name} 3600 IN SOA ns1.{name} hostmaster.{name} 1 3600 600 864000 300\n{_rrsig(name, 'SOA', name)}")
        out.write(f"{name} 3600 IN NS ns1.{name}\n{_rrsig(name, 'NS', name)}")
        out.write(f"{name} 3600 IN DNSKEY 257 3 13 {KEY}\n{_rrsig(name, 'DNSKEY', name)}")
        if hashed:
            out.write(f"{name} 3600 IN NSEC3PARAM 1 0 0 -\n{_rrsig(name, 'NSEC3PARAM', name)}")
        for i, (owner, types) in enumerate(owners[1:]):
            out.write(f"{owner} 3600 IN A {address(i)}\n{_rrsig(owner, 'A', name)}")
            if "AAAA" in types:
                out.write(f"{owner} 3600 IN AAAA {address6(i)}\n{_rrsig(owner, 'AAAA', name)}")
        out.writelines(_nsec3(name, owners) if hashed else _nsec(name, owners))
    return Zone(name, path)


def _nsec(zone: str, owners: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The owners stand in canonical order."""
    for (owner, types), (following, _) in zip(owners, [*owners[1:], owners[0]]):
        yield f"{owner} 3600 IN NSEC {following} {types}\n{_rrsig(owner, 'NSEC', zone)}"


def _hash(name: str) -> str:
    return base64.b32hexencode(hashlib.sha1(name_wire(name)).digest()).decode().lower()


def _nsec3(zone: str, owners: Sequence[tuple[str, str]]) -> Iterator[str]:
    chain = sorted((_hash(owner), types) for owner, types in owners)
    for (one, types), (following, _) in zip(chain, [*chain[1:], chain[0]]):
        owner = f"{one}.{zone}"
        yield f"{owner} 3600 IN NSEC3 1 0 0 - {following} {types}\n{_rrsig(owner, 'NSEC3', zone)}"


def zones(place: Path, size: Size) -> list[Zone]:
    """All zones of the loads, written into `place`."""
    return [
        plain_zone(place, THOUSAND, 1000),
        plain_zone(place, MANY, size.many),
        signed_zone(place, NSEC, size.signed, hashed=False),
        signed_zone(place, NSEC3, size.signed, hashed=True),
    ]


# -------------------------------------------------------------------------------------------------------------- queries


def _existing(zone: str, names: int, count: int, do: bool) -> Callable[[random.Random], Iterator[Query]]:
    """A of names drawn uniformly."""

    def make(chance: random.Random) -> Iterator[Query]:
        tail = wire(zone, A, edns=1232 if do else None, do=do)
        head, rest = tail[:12], tail[12:]
        for _ in range(count):
            label = host(chance.randrange(names)).encode()
            yield Query(head + bytes([len(label)]) + label + rest, 0, 2 if do else 1)

    return make


def _missing(zone: str, names: int, count: int, do: bool) -> Callable[[random.Random], Iterator[Query]]:
    """A of names that are not there, all over the zone: behind each name there may be one."""

    def make(chance: random.Random) -> Iterator[Query]:
        tail = wire(zone, A, edns=1232 if do else None, do=do)
        head, rest = tail[:12], tail[12:]
        for _ in range(count):
            label = f"{host(chance.randrange(names))}{chance.randrange(16**5):05x}".encode()
            yield Query(head + bytes([len(label)]) + label + rest, NXDOMAIN, 0)

    return make


def _mixed(zone: Zone, count: int) -> Callable[[random.Random], Iterator[Query]]:
    """What resolvers send to an organisation's server, but for TCP."""

    def make(chance: random.Random) -> Iterator[Query]:
        queries = mix.mix(mix.HOST, Signed(zone, CHAIN_NSEC, ""), count, 1)
        for one in queries:
            if not one.tcp and len(one.wire) <= 170:
                yield Query(one.wire, ipv6=one.ipv6)

    return make


def _aims(of_reflect: float, of_knot: float) -> tuple[Aim, ...]:
    return Aim(of_reflect, "reflect", loop=True), Aim(of_knot, "knot-xdp")


SOCKETS = (Aim(1, "knot", ours="fallback"), Aim(1, "nsd", ours="fallback"))


def thousand(count: int) -> Load:
    """The plainest of all, of so many queries."""
    return Load("a-thousand", "A, 1,000 names", _existing(THOUSAND, 1000, count, False), zone=THOUSAND,
                aims=(*_aims(0.75, 5), *SOCKETS))  # fmt: skip


def missing_thousand(count: int) -> Load:
    return Load("missing-thousand", "NXDOMAIN, 1,000 names", _missing(THOUSAND, 1000, count, False), zone=THOUSAND,
                aims=(*_aims(0.70, 4.5), *SOCKETS))  # fmt: skip


def random_names(zone: str, names: int, count: int, key: str = "a-many", aims: tuple[Aim, ...] = ()) -> Load:
    return Load(key, f"A, {names:,} names, random", _existing(zone, names, count, False), zone=zone, aims=aims)


def loads(size: Size, served: Sequence[Zone]) -> list[Load]:
    """The rows, in their order; the aims are those of the project."""
    few, all_ = 1 << 12, size.queries
    some = min(1 << 16, all_)
    by_name = {zone.name: zone for zone in served}
    return [
        thousand(few),
        missing_thousand(few),
        random_names(MANY, size.many, all_, aims=_aims(0.50, 5)),
        Load("a-signed", f"A with DO, signed, {size.signed:,} names", _existing(NSEC, size.signed, some, True),
             zone=NSEC, aims=_aims(0.45, 4.5)),
        Load("mix", "realistic mix, signed, EDNS, DO, cookies", _mixed(by_name[NSEC], min(some, 20_000)), slot=256,
             learnt=True, zone=NSEC, aims=_aims(0.45, 4.5)),
        Load("nsec", "NXDOMAIN with DO, NSEC", _missing(NSEC, size.signed, some, True), zone=NSEC,
             aims=_aims(0.35, 3.5)),
        Load("nsec3", "NXDOMAIN with DO, NSEC3", _missing(NSEC3, size.signed, some, True), zone=NSEC3,
             aims=_aims(0.30, 4.5)),
    ]  # fmt: skip
