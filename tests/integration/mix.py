# SPDX-License-Identifier: GPL-3.0-or-later
"""What resolvers send to authoritative servers, in the shares that are published, about a zone that is given.

    for query in mix(HOST, signed, 20000, seed): query.wire, query.tcp, query.ipv6

The shares that come from measurement: names that do not exist at the root, and queries by TCP and IPv6 there, from the
RSSAC002 statistics of a-root and k-root (June 2025); those of `HOST` from the counters that the authors of BIND (2014)
and NSD have published of their own servers. What nobody publishes (EDNS, DO, cookies, mixed case, sizes) is assumed,
between the figures that are known: DO and QNAME minimisation as the common resolvers send them by default, sizes as
their versions announce them.
"""

from __future__ import annotations


import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from draw import Name, Names, fits, to_wire
from signed import Signed
from wire import AAAA, ANY, CAA, CNAME, DO, DS, HTTPS, MX, NS, PTR, RD, SOA, SRV, TXT, A, option, parse, wire

DNSKEY, COOKIE, CLIENT_SUBNET = 48, 10, 8


@dataclass(frozen=True)
class Profile:
    """Shares of one kind of server. `types` are in percent; what is a share is from 0 to 1."""

    name: str
    missing: float
    minimised: float
    tcp: float
    ipv6: float
    edns: float
    do: float  # of all queries, not of those with EDNS
    cookie: float
    subnet: float
    mixed_case: float
    types: Mapping[int, float]
    rd: float = 0.02


ROOT = Profile(
    "root", 0.49, 0.40, 0.02, 0.20, 0.88, 0.75, 0.38, 0.003, 0.12,
    {A: 50, AAAA: 20, NS: 17, DS: 6, MX: 1, TXT: 1.5, HTTPS: 1.5, SOA: 1.5, SRV: 0.5, DNSKEY: 0.3, PTR: 1, ANY: 0.1},
)  # fmt: skip
TLD = Profile(
    "tld", 0.22, 0.45, 0.03, 0.40, 0.92, 0.70, 0.20, 0.005, 0.18,
    {A: 48, AAAA: 22, NS: 10, DS: 7, MX: 5, TXT: 5, HTTPS: 1.5, SOA: 0.8, SRV: 0.3, DNSKEY: 0.2, ANY: 0.2},
)  # fmt: skip
HOST = Profile(
    "host", 0.06, 0.0, 0.01, 0.50, 0.93, 0.60, 0.20, 0.02, 0.20,
    {A: 63, AAAA: 28, NS: 1, MX: 1.5, TXT: 2, HTTPS: 2, SOA: 0.8, SRV: 0.2, DNSKEY: 0.4, CNAME: 0.3, CAA: 0.3,
     ANY: 0.5},
)  # fmt: skip
PROFILES = {profile.name: profile for profile in (ROOT, TLD, HOST)}

SIZES = {1232: 58, 4096: 15, 1400: 14, 512: 4, 1410: 3, 1452: 2, 1472: 2, 8192: 1, 1680: 0.7, 65535: 0.3}
JUNK = (b"local", b"home", b"lan", b"internal", b"localdomain", b"corp")
FIRST = (b"www", b"mail", b"autodiscover", b"ns1", b"api")
UNDERSCORED = ((b"_dmarc",), (b"selector1", b"_domainkey"), (b"_acme-challenge",))


@dataclass(frozen=True)
class Mixed:
    """One query of a mix, and how it travels."""

    wire: bytes
    tcp: bool
    ipv6: bool
    missing: bool


class Maker:
    """Draws queries about one zone by one profile."""

    def __init__(self, profile: Profile, signed: Signed, seed: int) -> None:
        self.profile, self.names = profile, Names(signed)
        self.chance = random.Random(f"{seed} {profile.name} {signed.name}")
        existing = self.names.kinds["NS"] if profile.name != "host" else self.names.kinds["all"]
        self.ranked = [name for name in existing if name[0] not in (b"*", b"_dmarc")] or self.names.kinds["all"]
        self.chance.shuffle(self.ranked)
        # Summed up once: there may be as many draws as names.
        self.weights = list(accumulate(1 / (rank + 10) ** 0.9 for rank in range(len(self.ranked))))
        self.types, self.type_weights = list(profile.types), list(profile.types.values())

    def name(self, rrtype: int) -> Name:
        if rrtype in (SOA, DNSKEY):
            return self.names.apex
        base = self.chance.choices(self.ranked, cum_weights=self.weights)[0]
        if rrtype in (NS, DS):
            return base
        if self.profile.name == "root":
            return self.deepened(base)
        if rrtype == TXT and self.chance.random() < 0.5:
            return (*self.chance.choice(UNDERSCORED), *base)
        if self.profile.name == "host":  # the names of its zone are of that kind themselves
            return base
        return self.deepened((self.chance.choice(FIRST), *base) if self.chance.random() < 0.5 else base)

    def deepened(self, base: Name) -> Name:
        """A resolver that does not minimise sends the whole name that it is asked for."""
        if self.chance.random() < self.profile.minimised:
            return base
        return (self.chance.choice(FIRST), self.label(4, 12), *base)

    def label(self, least: int, most: int) -> bytes:
        return bytes(self.chance.choices(b"abcdefghijklmnopqrstuvwxyz0123456789", k=self.chance.randint(least, most)))

    def missing(self) -> Name:
        if self.profile.name == "root" and self.chance.random() < 0.6:
            return (self.label(3, 10), self.chance.choice(JUNK))
        return (self.label(7, 24), *self.names.apex)

    def options(self) -> bytes:
        """With EDNS alone, so that the share of all queries is divided by that of EDNS."""
        made = b""
        if self.chance.random() < self.profile.cookie / self.profile.edns:
            server = self.chance.randbytes(16) if self.chance.random() < 0.5 else b""
            made += option(COOKIE, self.chance.randbytes(8) + server)
        if self.chance.random() < self.profile.subnet / self.profile.edns:
            made += option(CLIENT_SUBNET, b"\0\1\x18\0\xc0\0\2")
        return made

    def one(self) -> Mixed:
        chance, profile = self.chance, self.profile
        rrtype = chance.choices(self.types, self.type_weights)[0]
        missing = chance.random() < profile.missing
        name = self.missing() if missing else self.name(rrtype)
        while not fits(name):
            name = self.name(rrtype)
        if chance.random() < profile.mixed_case:
            name = tuple(bytes(chance.choice((octet, ord(chr(octet).upper()))) if 97 <= octet <= 122 else octet
                               for octet in label) for label in name)  # fmt: skip
        edns = chance.random() < profile.edns
        query = wire(
            to_wire(name),
            rrtype,
            edns=chance.choices(list(SIZES), list(SIZES.values()))[0] if edns else None,
            do=edns and chance.random() < profile.do / profile.edns,
            flags=RD if chance.random() < profile.rd else 0,
            id=chance.randrange(65536),
            options=self.options() if edns else b"",
        )
        return Mixed(query, chance.random() < profile.tcp, chance.random() < profile.ipv6, missing)


def mix(profile: Profile, signed: Signed, count: int, seed: int) -> list[Mixed]:
    maker = Maker(profile, signed, seed)
    return [maker.one() for _ in range(count)]


def shares(queries: Sequence[Mixed]) -> Iterator[str]:
    """What a mix came to, for a report."""
    parsed = [parse(query.wire) for query in queries]
    total = len(parsed)
    yield f"TCP {sum(query.tcp for query in queries) / total:.1%}"
    yield f"IPv6 {sum(query.ipv6 for query in queries) / total:.1%}"
    yield f"missing drawn {sum(query.missing for query in queries) / total:.1%}"
    yield f"EDNS {sum(seen.opt is not None for seen in parsed) / total:.1%}"
    yield f"DO {sum(bool(seen.opt and seen.opt.ttl & DO) for seen in parsed) / total:.1%}"
    yield f"cookies {sum(any(code == COOKIE for code, _ in seen.options()) for seen in parsed) / total:.1%}"




