# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries drawn at random about a signed zone, as resolvers and attackers would send them: around what is there.

    drawn = draw(signed, 20000, seed)       # wire queries; the same seed gives the same ones

Names are tuples of labels in wire form here, since what is one octet off matters and presentation format hides it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from signed import Signed, rdata_type
from signed_zones import CDS, DNAME, DNSKEY, NSEC, NSEC3, NSEC3PARAM, RRSIG
from wire import AAAA, ANY, CNAME, DS, HTTPS, MX, NS, PTR, SOA, SRV, TXT, A, name_wire, wire
from zones import PRIVATE

Name = tuple[bytes, ...]
ORDINARY = (A, AAAA, NS, CNAME, SOA, MX, TXT, SRV, HTTPS, PTR, PRIVATE)
OURS = (DS, NSEC, NSEC3, NSEC3PARAM, RRSIG, DNSKEY, ANY, CDS, DNAME)
SIZES = (None, 512, 900, 1232, 1400, 4096)


def labels(name: str) -> Name:
    data, found, position = name_wire(name), [], 0
    while data[position]:
        found.append(data[position + 1 : position + 1 + data[position]])
        position += 1 + data[position]
    return tuple(found)


def to_wire(name: Name) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def fits(name: Name) -> bool:
    return all(0 < len(label) < 64 for label in name) and sum(len(label) + 1 for label in name) < 255


class Names:
    """What a zone holds, to start from: owners of every kind, and the names above them."""

    def __init__(self, signed: Signed) -> None:
        self.apex = labels(signed.name)
        found: dict[str, set[Name]] = {"all": set(), "NS": set(), "DNAME": set(), "NSEC3": set(), "star": set()}
        known: dict[str, Name] = {}  # the records of a name stand together: each is read once
        for line in signed.lines():
            kind = rdata_type(line)
            owner = line.split(None, 1)[0]
            name = known[owner] if owner in known else known.setdefault(owner, labels(owner))
            if kind in found:
                found[kind].add(name)
            if kind not in ("NSEC3", "RRSIG/NSEC3"):
                found["all"].add(name)
            if name[:1] == (b"*",):
                found["star"].add(name)
        found["NS"].discard(self.apex)
        found["above"] = {
            name[cut:] for name in found["all"] for cut in range(1, len(name) - len(self.apex) + 1)
        }
        self.kinds: dict[str, list[Name]] = {kind: sorted(names) for kind, names in found.items()}

    def pick(self, chance: random.Random, kind: str = "all") -> Name:
        return chance.choice(self.kinds[kind] or self.kinds["all"])


def _label(chance: random.Random, names: Names) -> bytes:
    draw = chance.random()
    if draw < 0.3:
        return bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz0123456789-", k=chance.randint(1, 20)))
    if draw < 0.4:
        return bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 63))))
    if draw < 0.5:
        return chance.choice((b"*", b"\0", b"!", b"\xff", b")", b"+", b"www", b"a"))
    name = names.pick(chance)
    return name[0] if name else b"x"


def _near(chance: random.Random, name: Name) -> Name:
    """A name just before or behind another one in canonical order."""
    if not name:
        return (b"\0",)
    first, rest = name[0], name[1:]
    draw = chance.randrange(5)
    if draw == 0:
        return (b"\0", *name)
    if draw == 1:
        return (first + b"\0", *rest)
    if draw == 2:
        return (first[:-1] + bytes([(first[-1] - 1) % 256]), *rest)
    if draw == 3:
        return (first[:-1] + bytes([(first[-1] + 1) % 256]), *rest)
    return (first[:-1] + bytes([(first[-1] - 1) % 256]) + b"\xff" * min(3, 63 - len(first)), *rest)


def _below(kind: str) -> Callable[[random.Random, Names], Name]:
    def make(chance: random.Random, names: Names) -> Name:
        made = names.pick(chance, kind)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            made = (_label(chance, names), *made)
        return made

    return make


def _from_wildcard(chance: random.Random, names: Names) -> Name:
    made = (_label(chance, names), *names.pick(chance, "star")[1:])
    return made if chance.random() < 0.7 else (_label(chance, names), *made)


WAYS: tuple[tuple[float, Callable[[random.Random, Names], Name]], ...] = (
    (0.22, lambda chance, names: names.pick(chance)),
    (0.07, lambda chance, names: names.pick(chance, "above")),
    (0.14, lambda chance, names: (_label(chance, names), *names.apex)),
    (0.12, lambda chance, names: _near(chance, names.pick(chance))),
    (0.10, _below("all")),
    (0.05, _below("above")),
    (0.12, _from_wildcard),
    (0.05, lambda chance, names: names.pick(chance, "NS")),
    (0.06, _below("NS")),
    (0.04, _below("DNAME")),
    (0.03, lambda chance, names: names.pick(chance, chance.choice(("NSEC3", "DNAME", "star")))),
)


def _mixed(chance: random.Random, name: Name) -> Name:
    return tuple(
        bytes(octet ^ 0x20 if 65 <= octet & ~0x20 <= 90 and chance.random() < 0.5 else octet for octet in label)
        for label in name
    )


def draw(signed: Signed, count: int, seed: int) -> list[bytes]:
    """Wire queries about one zone. Names that an NSEC3 zone hashes and names that it does not are alike here."""
    chance, names = random.Random(f"{seed} {signed.name}"), Names(signed)
    weights, ways = zip(*WAYS)
    made: list[bytes] = []
    while len(made) < count:
        name = chance.choices(ways, weights)[0](chance, names)
        if not fits(name) or name[len(name) - len(names.apex) :] != names.apex:
            continue
        name = _mixed(chance, name) if chance.random() < 0.2 else name
        rrtype = chance.choice(ORDINARY if chance.random() < 0.7 else OURS)
        size = chance.choices(SIZES, (1, 1, 1, 5, 1, 2))[0]
        do = size is not None and chance.random() < 0.85
        made.append(wire(to_wire(name), rrtype, edns=size, do=do, id=7))
    return made


def corpus_queries(zone_queries: Sequence[tuple[str, int]], size: int = 1232) -> list[bytes]:
    """One wire query with DO for each pair of name and type."""
    return [wire(name, rrtype, edns=size, do=True, id=7) for name, rrtype in zone_queries]
