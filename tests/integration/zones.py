# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones that hold one of everything, and the questions to ask about them.

The generators are deterministic: the same arguments give the same file. Each name is filed under a group (what it is
a case of), and the corpus of queries carries the group along, so that a difference says at once what it is about.

    zones = family(1000, serial=1)             # example.org and the zones that it refers to
    served = [zone.write(directory) for zone in zones]
    for query in corpus(zones): wire(query.name, query.rrtype, edns=1232)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from servers import Zone
from wire import AAAA, ANY, CAA, CNAME, DS, HTTPS, MX, NS, PTR, SOA, SRV, TXT, A

PRIVATE = 65280
MAIN, CHILD, OTHER, DEEP, DNAMES = "example.org.", "child.example.org.", "example.net.", "t.", "dname.example."
_RANDOM_TYPES = [rrtype for rrtype in range(1, 65000) if not 128 <= rrtype <= 255 and rrtype not in (41, 46, 47, 50)]
USUAL_TYPES = (A, AAAA, TXT, MX, NS, SOA, CNAME, DS, SRV, PRIVATE)


class Query(NamedTuple):
    group: str
    name: str
    rrtype: int


@dataclass
class ZoneFile:
    """A zone as text, with its names filed by group."""

    name: str
    serial: int
    lines: list[str] = field(default_factory=list)
    names: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)  # absolute name -> group, types to ask

    def absolute(self, owner: str) -> str:
        if owner == "@":
            return self.name
        return owner if owner.endswith(".") and not owner.endswith("\\.") else f"{owner}.{self.name}"

    def add(self, group: str, owner: str, *records: str, types: Sequence[int] = USUAL_TYPES) -> None:
        """Records of one owner, each "[TTL] TYPE RDATA"; the owner becomes part of the corpus."""
        self.lines += [f"{owner} {record}" for record in records]
        self.probe(group, owner, types=types)

    def probe(self, group: str, *owners: str, types: Sequence[int] = USUAL_TYPES) -> None:
        """Names to ask for that the file does not hold (or holds by another line)."""
        for owner in owners:
            self.names.setdefault(self.absolute(owner), (group, tuple(types)))

    def text(self) -> str:
        return "\n".join([f"$ORIGIN {self.name}", "$TTL 3600", *self.lines]) + "\n"

    def write(self, directory: Path) -> Zone:
        """Writes the file by renaming, so that a server never reads half of it."""
        path = directory / f"{self.name.rstrip('.')}.zone"
        partial = path.with_suffix(".partial")
        partial.write_text(self.text())
        partial.rename(path)
        return Zone(self.name, path)


def _head(name: str, serial: int, *servers: str) -> ZoneFile:
    made = ZoneFile(name, serial)
    made.add(
        "apex",
        "@",
        f"SOA ns1.{name} hostmaster.{name} {serial} 3600 600 1209600 300",
        *(f"NS {server}" for server in servers),
    )
    return made


def _txt(octets: int, tag: str) -> list[str]:
    """A TXT RRset whose rdata is about that many octets, in records of 200 octets."""
    return [f'TXT "{tag}-{k:05d}-{"x" * (198 - len(tag) - 7)}"' for k in range(max(1, octets // 200))]


# ------------------------------------------------------------------------------------------------------- ordinary names

_ORDINARY_TYPES = (A, AAAA, MX, TXT, SRV, CAA, HTTPS, PRIVATE)


def _ordinary(k: int) -> list[str]:
    """The records of ordinary name number k; ten kinds in turn."""
    v4, v6 = f"10.{k >> 16 & 255}.{k >> 8 & 255}.{k & 255}", f"2001:db8:a::{k:x}"
    kinds = (
        [f"A {v4}"],
        [f"A {v4}", f"AAAA {v6}"],
        [f"A {v4}", "A 198.51.100.7", "A 198.51.100.8", "A 198.51.100.9"],
        ["MX 10 mail1", "MX 20 mail2"],
        [f'TXT "name {k}"', f'TXT "second" "{k}"', f"A {v4}"],
        ["SRV 0 5 5060 mail1", "SRV 1 5 5060 mail2"],
        ['CAA 0 issue "ca.example"', f"AAAA {v6}"],
        ["HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.80", f"A {v4}", f"AAAA {v6}"],
        [f"TYPE{PRIVATE} \\# 6 {k:08x}beef", f"A {v4}"],
        [f"{k % 5 + 1}00 A {v4}", f"{k % 5 + 1}00 AAAA {v6}", 'TXT "short lived"'],
    )
    return kinds[k % len(kinds)]


def _add_ordinary(zone: ZoneFile, n: int) -> None:
    for k in range(n):
        zone.add("ordinary", f"n{k:06d}", *_ordinary(k), types=())


# -------------------------------------------------------------------------------------------------------- special names


def _add_hosts(zone: ZoneFile) -> None:
    zone.add(
        "apex",
        "@",
        "MX 10 mail1",
        "MX 30 mail.example.com.",
        'TXT "v=spf1 -all"',
        'CAA 0 issue ";"',
        "A 192.0.2.80",
        "AAAA 2001:db8:80::1",
    )
    zone.add("host", "ns1", "A 192.0.2.11", "AAAA 2001:db8:11::1")
    zone.add("host", "ns2", "A 192.0.2.12")
    zone.add("host", "mail1", "A 192.0.2.25", "AAAA 2001:db8:25::1")
    zone.add("host", "mail2", "A 192.0.2.26", "A 192.0.2.27")
    zone.add("host", "www", "A 192.0.2.80", "A 192.0.2.81", "AAAA 2001:db8:80::2")
    zone.add("ttl", "ttl0", "0 A 192.0.2.90", '0 TXT "never cached"')
    zone.add("ttl", "ttlmax", "2147483647 A 192.0.2.91")


def _add_types(zone: ZoneFile) -> None:
    """Types beyond the usual ones, and targets of every kind for those that ask for additional data."""
    zone.add(
        "type",
        "types",
        'HINFO "cpu" "os"',
        "LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
        "RP hostmaster txt.types",
        types=(13, 29, 17),
    )
    zone.add(
        "type", "types", "SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789", "AFSDB 1 mail1"
    )
    zone.add(
        "type",
        "types",
        'NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.org!" .',
        "KX 10 mail1",
        "PTR www",
        "DNSKEY 256 3 8 AwEAAQ==",
    )
    zone.names[zone.absolute("types")] = ("type", (13, 29, 17, 44, 18, 35, 36, PTR, 48, A))
    zone.add(
        "type",
        "_443._tcp.www",
        "TLSA 3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971",
        types=(52, A),
    )
    zone.add("type", "svcb", "SVCB 1 www port=8443", "HTTPS 0 www.example.net.", types=(64, HTTPS, A))
    zone.add("additional", "mx-cname", "MX 10 c-in", types=(MX, A))
    zone.add("additional", "mx-wild", "MX 10 a.wild", types=(MX, A))
    zone.add("additional", "mx-glue", "MX 10 ns.d-in", types=(MX, A))
    zone.add("additional", "mx-below-cut", "MX 10 host.d-out", types=(MX, A))
    zone.add("additional", "mx-child", "MX 10 www.child", types=(MX, A))
    zone.add("additional", "mx-other", "MX 10 www.example.net.", types=(MX, A))
    zone.add("additional", "mx-out", "MX 10 mail.example.com.", types=(MX, A))
    zone.add("additional", "mx-self", "MX 10 mx-self", "A 192.0.2.33", types=(MX, A))
    zone.add("additional", "mx-null", "MX 0 .", types=(MX, A))
    zone.add("additional", "mx-missing", "MX 10 no-such-host", types=(MX, A))
    zone.add(
        "additional", "_sip._udp", "SRV 0 0 5060 mail1", "SRV 0 0 5061 www.example.net.", "SRV 9 0 0 .", types=(SRV, A)
    )
    zone.add("additional", "many-mx", *(f"MX {k} mx{k:02d}" for k in range(12)), types=(MX, A))
    for k in range(12):
        zone.add("host", f"mx{k:02d}", f"A 198.51.100.{k + 1}", f"AAAA 2001:db8:cc::{k + 1:x}", types=(A, AAAA))


def _add_cnames(zone: ZoneFile) -> None:
    def cname(owner: str, target: str, group: str = "cname") -> None:
        zone.add(group, owner, f"CNAME {target}", types=(A, AAAA, MX, CNAME, TXT, NS, SOA, DS, PRIVATE))

    cname("c-in", "www")
    for k in range(1, 3):
        cname(f"c-chain{k}", f"c-chain{k + 1}")
    cname("c-chain3", "www")
    for k in range(24):
        cname(f"c-long{k:02d}", f"c-long{k + 1:02d}", "cname long chain")
    zone.add("cname long chain", "c-long24", "A 192.0.2.99", types=(A, TXT))
    cname("c-mx", "many-mx")
    cname("c-nodata", "_sip._udp")
    cname("c-dangling", "no-such-name")
    cname("c-ent", "ent")
    cname("c-wild", "anything.wild")
    cname("c-wild-cname", "anything.wild-cname")
    cname("c-apex", "@")
    cname("c-upper", "WWW.Example.ORG.")
    cname("c-other", f"www.{OTHER}", "cname to another zone")
    cname("c-other-cname", f"back.{OTHER}", "cname to another zone")
    cname("c-other-missing", f"missing.{OTHER}", "cname to another zone")
    cname("c-other-nodata", f"text.{OTHER}", "cname to another zone")
    cname("c-other-deleg", f"host.d.{OTHER}", "cname to another zone")
    cname("c-child", "www.child", "cname to another zone")
    cname("c-child-missing", "missing.child", "cname to another zone")
    cname("c-out", "www.example.com.", "cname out of all zones")
    cname("c-deleg", "host.d-in", "cname below a cut")
    cname("c-at-cut", "d-in", "cname below a cut")
    cname("c-occluded", "x.d-occ", "cname below a cut")
    cname("c-loop1", "c-loop2", "cname loop")
    cname("c-loop2", "c-loop1", "cname loop")
    cname("c-self", "c-self", "cname loop")
    cname("c-into-loop", "c-loop1", "cname loop")


def _add_wildcards(zone: ZoneFile) -> None:
    zone.add("wildcard", "*.wild", "A 192.0.2.41", "AAAA 2001:db8:41::1", 'TXT "wild"', "MX 10 mail1")
    zone.probe("wildcard", "a.wild", "b.c.wild", "*.a.wild", "UPPER.wild", "wild", "a" * 63 + ".wild")
    zone.add("wildcard blocked", "host.wild", 'TXT "blocks the wildcard"')
    zone.probe("wildcard blocked", "below.host.wild", "*.host.wild")
    zone.add("wildcard blocked", "x.ent.wild", "A 192.0.2.42")
    zone.probe("wildcard blocked", "ent.wild", "y.ent.wild")
    zone.add("wildcard blocked", "cut.wild", "NS ns.example.com.")
    zone.probe("wildcard blocked", "a.cut.wild", "*.cut.wild")
    zone.add("wildcard below ENT", "*.w.went", "A 192.0.2.43")
    zone.probe("wildcard below ENT", "went", "w.went", "a.w.went", "a.b.w.went", "a.went")
    zone.add("wildcard with subdomains", "*.wsub", "A 192.0.2.44")
    zone.add("wildcard with subdomains", "foo.*.wsub", 'TXT "below a wildcard"')
    zone.probe("wildcard with subdomains", "a.wsub", "foo.a.wsub", "bar.*.wsub", "wsub", "*.*.wsub")
    zone.add("wildcard that is an ENT", "foo.*.went2", "A 192.0.2.45")
    zone.probe("wildcard that is an ENT", "*.went2", "a.went2", "foo.a.went2")
    zone.add("wildcard cname", "*.wild-cname", "CNAME www")
    zone.add("wildcard cname", "*.wild-other", f"CNAME www.{OTHER}")
    zone.add("wildcard cname", "*.wild-out", "CNAME www.example.com.")
    zone.add("wildcard cname", "*.wild-dangling", "CNAME no-such-name")
    zone.add("wildcard cname", "*.wild-wild", "CNAME a.wild")
    zone.add("wildcard cname loop", "*.wild-loop", "CNAME a.wild-loop")
    zone.probe(
        "wildcard cname",
        *(f"{first}.wild-{last}" for first in ("a", "b.c") for last in ("cname", "other", "out", "dangling", "wild")),
    )
    zone.probe("wildcard cname loop", "a.wild-loop", "b.wild-loop")
    zone.add("wildcard additional", "*.wild-mx", "MX 10 mail1", "MX 20 a.wild", "MX 30 a.wild-mx", types=(MX, A))
    zone.add("wildcard additional", "*.wild-srv", "SRV 0 0 80 www", types=(SRV, A))
    zone.probe("wildcard additional", "a.wild-mx", "b.c.wild-mx", "a.wild-srv", types=(MX, SRV, A))
    zone.add("ENT", "a.b.ent", "A 192.0.2.46")
    zone.add("ENT", "deep.l1.l2.l3.l4.l5", "A 192.0.2.47")
    zone.probe("ENT", "ent", "b.ent", "l5", "l4.l5", "l1.l2.l3.l4.l5")
    zone.probe(
        "NXDOMAIN",
        "c.ent",
        "a.a.b.ent",
        "no-such-name",
        "no.such.name",
        "*",
        "a.www",
        "x.l3.l4.l5",
        "a.b.c.d.e.f.g.h.i.j",
        "zz",
        "0",
    )


def _add_delegations(zone: ZoneFile) -> None:
    def cut(group: str, owner: str, *records: str, below: Iterable[str] = ("host",)) -> None:
        types = (A, AAAA, NS, DS, SOA, TXT, CNAME, PRIVATE)
        zone.add(group, owner, *records, types=types)
        zone.probe(group, *(f"{name}.{owner}" for name in below), types=types)

    cut("referral, in-domain glue", "d-in", "NS ns.d-in", "NS ns2.d-in", below=("host", "ns", "a.ns", "a.b.c"))
    zone.add("referral, in-domain glue", "ns.d-in", "A 192.0.2.101", "AAAA 2001:db8:d::1")
    zone.add("referral, in-domain glue", "ns2.d-in", "A 192.0.2.102")
    cut("referral, deep glue", "d-deep", "NS a.b.c.d-deep", below=("host", "c", "b.c", "a.b.c"))
    zone.add("referral, deep glue", "a.b.c.d-deep", "A 192.0.2.103")
    cut("referral, sibling glue", "d-sib", "NS ns.d-in")
    cut("referral, mixed glue", "d-mix", "NS ns.d-mix", "NS ns.d-in", "NS ns1", f"NS ns1.{OTHER}", "NS ns.example.com.")
    zone.add("referral, mixed glue", "ns.d-mix", "A 192.0.2.104", "AAAA 2001:db8:d::4")
    cut("referral, authoritative host", "d-auth", "NS ns1", "NS ns2")
    cut("referral, host in another zone", "d-other", f"NS ns1.{OTHER}")
    cut("referral, host out of all zones", "d-out", "NS ns.example.com.", "NS ns.example.edu.")
    cut("referral, glueless", "d-bare", "NS ns.d-bare", "NS no-such-name")
    cut("referral, wildcard host", "d-wild", "NS a.wild")
    cut("referral, cname host", "d-cname", "NS c-in")
    cut("referral, host in the served child", "d-child", "NS www.child")
    cut("referral, with DS", "d-ds", "NS ns1", "DS 12345 13 2 " + "ab" * 32, "DS 12346 13 2 " + "cd" * 32)
    cut("referral, ENT above", "cut.d-ent", "NS ns1")
    zone.probe("referral, ENT above", "d-ent", "a.d-ent")
    cut("occluded", "d-occ", "NS ns.d-occ", 'TXT "at the cut"', "A 192.0.2.105", below=("ns", "x", "y.x", "nothing"))
    zone.add("occluded", "ns.d-occ", "A 192.0.2.106", 'TXT "beside the glue"', "MX 10 mail1")
    zone.add("occluded", "x.d-occ", 'TXT "below the cut"')
    zone.add("occluded", "sub.d-occ", "NS ns.sub.d-occ")
    zone.add("occluded", "ns.sub.d-occ", "A 192.0.2.107")
    zone.add("occluded", "c.d-occ", "CNAME www")
    zone.add("occluded", "*.d-occ", "A 192.0.2.108")
    cut("referral, sibling occluded glue", "d-occ2", "NS ns.sub.d-occ")
    cut("referral, many", "d-many", *(f"NS ns{k:02d}.d-many" for k in range(13)))
    for k in range(13):
        zone.lines += [f"ns{k:02d}.d-many A 198.51.100.{k + 101}", f"ns{k:02d}.d-many AAAA 2001:db8:dd::{k + 1:x}"]
    cut("referral, too many", "d-vast", *(f"NS server-with-a-rather-long-name-{k:03d}.d-vast" for k in range(60)))
    for k in range(60):
        zone.lines.append(f"server-with-a-rather-long-name-{k:03d}.d-vast A 203.0.113.{k + 1}")
    zone.lines += ["child NS ns.child", "child NS ns2", "ns.child A 192.0.2.110"]
    zone.probe("cut to the served child", "child", types=(DS,))


def _add_odd_names(zone: ZoneFile) -> None:
    origin = 1 + sum(len(label) + 1 for label in zone.name.rstrip(".").split("."))
    left, labels = 255 - origin, []
    while left > 1:
        size = min(63, left - 1)
        labels.append("abcdefghijklmnopqrstuvwxyz0123456789"[len(labels)] * size)
        left -= size + 1
    zone.add("name of 255 octets", ".".join(labels), "A 192.0.2.51", 'TXT "as long as can be"')
    zone.probe(
        "name of 255 octets", ".".join(["z" * len(labels[0]), *labels[1:]]), ".".join(labels[1:]), ".".join(labels[2:])
    )
    room = (255 - origin) // 2
    zone.add("many labels", ".".join("abcdefghij"[k % 10] for k in range(room)), "A 192.0.2.52")
    zone.probe(
        "many labels",
        ".".join(["z", *("abcdefghij"[k % 10] for k in range(1, room))]),
        ".".join("z" * room),
        ".".join("abcdefghij"[k % 10] for k in range(room // 2, room)),
    )
    zone.add("wildcard", "*.w255", "A 192.0.2.53", f"MX 10 {'m' * 60}.{'m' * 60}.{'m' * 60}")
    zone.probe("wildcard", ".".join(["q" * 63, "q" * 63, "q" * 63, "q" * (255 - origin - 5 - 3 * 64 - 1)]) + ".w255")
    for owner in (
        "\\000\\001\\255",
        "with\\.dot",
        "with\\032space",
        'quote\\"quote',
        "back\\\\slash",
        "\\@",
        "\\$dollar",
        "\\240\\159\\166\\133",
        "\\193\\218\\225",
        "x\\*",
        "_under_score",
        "-hyphen-",
    ):
        zone.add("odd octets", owner, "A 192.0.2.54", 'TXT "odd"', types=(A, TXT, MX))
    zone.probe(
        "odd octets",
        "with.dot",
        "\\000",
        "\\000\\001\\254",
        "\\224\\250\\193",
        "\\225\\250\\225",
        "\\[\\\\]^_",
        "{|}~",
        types=(A, TXT),
    )
    zone.add("upper case", "UPPER.Case", "A 192.0.2.55", "MX 10 MAIL1", 'TXT "Case In Rdata"')
    zone.probe("upper case", "upper.CASE", "CASE", "case")


def _add_large(zone: ZoneFile) -> None:
    for octets in (400, 500, 1000, 1232, 1500, 4200, 9000, 30000):
        zone.add("large", f"large{octets}", *_txt(octets, f"t{octets}"), "A 192.0.2.61", types=(TXT, A))
    zone.add("large", "many-a", *(f"A 198.18.{k // 250}.{k % 250 + 1}" for k in range(300)), types=(A, AAAA))
    zone.add("large", "c-large", "CNAME large1500", types=(TXT, A))
    zone.add("large", "*.wild-large", *_txt(1500, "wl"), types=(TXT, A))
    zone.probe("large", "a.wild-large", types=(TXT, A))


def plain_zone(n: int, serial: int = 1, name: str = MAIN) -> ZoneFile:
    """n ordinary names and one of every special case."""
    zone = _head(name, serial, f"ns1.{name}", f"ns1.{OTHER}")
    for part in (_add_hosts, _add_types, _add_cnames, _add_wildcards, _add_delegations, _add_odd_names, _add_large):
        part(zone)
    _add_ordinary(zone, n)
    return zone


def child_zone(serial: int = 1) -> ZoneFile:
    """Served beside its parent: answers below the cut come from here, DS from above."""
    zone = _head(CHILD, serial, f"ns.{CHILD}", f"ns2.{MAIN}")
    zone.add("child zone", "ns", "A 192.0.2.110", "AAAA 2001:db8:110::1")
    zone.add("child zone", "www", "A 192.0.2.111", "AAAA 2001:db8:111::1")
    zone.add("child zone", "up", f"CNAME www.{MAIN}")
    zone.add("child zone", "mx", f"MX 10 mail1.{MAIN}", "MX 20 www")
    zone.add("child zone", "*.w", 'TXT "wild in the child"')
    zone.probe("child zone", "missing", "a.w", "missing.www")
    return zone


def other_zone(serial: int = 1) -> ZoneFile:
    """The target of CNAMEs and NS records of the main zone."""
    zone = _head(OTHER, serial, f"ns1.{OTHER}", f"ns1.{MAIN}")
    zone.add("other zone", "ns1", "A 192.0.2.120", "AAAA 2001:db8:120::1")
    zone.add("other zone", "www", "A 192.0.2.121", "AAAA 2001:db8:121::1", "MX 10 mail")
    zone.add("other zone", "mail", "A 192.0.2.122")
    zone.add("other zone", "text", 'TXT "no address"')
    zone.add("other zone", "back", f"CNAME www.{MAIN}")
    zone.add("other zone", "d", "NS ns.d")
    zone.add("other zone", "ns.d", "A 192.0.2.123")
    zone.probe("other zone", "missing", "host.d")
    return zone


def deep_zone(serial: int = 1) -> ZoneFile:
    """Names of 127 labels need an apex of one octet."""
    zone = _head(DEEP, serial, "ns1.t.")
    zone.add("host", "ns1", "A 192.0.2.130")
    full = ["abcdefghijklmnopqrstuvwxyz"[k % 26] for k in range(126)]
    zone.add("127 labels", ".".join(full), "A 192.0.2.131", 'TXT "127 labels"')
    for kept in (125, 120, 64, 63, 33, 32, 31, 16, 8, 7, 3, 2, 1):
        tail = full[126 - kept :]
        zone.probe("127 labels", ".".join(tail), ".".join(["0"] + tail) if kept < 126 else "0", types=(A, TXT))
        zone.probe("127 labels", ".".join(["0"] * (126 - kept) + tail), types=(A, TXT))
    wild = ["w"] * 100
    zone.add("127 labels, wildcard", ".".join(["*", *wild]), "A 192.0.2.132", types=(A, TXT))
    zone.probe(
        "127 labels, wildcard", ".".join(["x"] * 26 + wild), ".".join(["x", *wild]), ".".join(wild), types=(A, TXT)
    )
    zone.add("127 labels, cut", ".".join(["d"] * 90), "NS ns1", types=(A, NS, DS))
    zone.probe(
        "127 labels, cut",
        ".".join(["x"] * 36 + ["d"] * 90),
        ".".join(["d"] * 126),
        ".".join(["d"] * 89),
        types=(A, NS, DS),
    )
    return zone


def dname_zone(serial: int = 1) -> ZoneFile:
    """DNAME is apart: a zone that holds one asks more of a server than a fragment a name (RFC 6672)."""
    zone = _head(DNAMES, serial, f"ns1.{DNAMES}")
    zone.add("dname", "ns1", "A 192.0.2.140")
    zone.add("dname", "from", "DNAME to", 'TXT "beside the DNAME"', types=(A, TXT, 39, CNAME, NS))
    zone.add("dname", "a.to", "A 192.0.2.141")
    zone.add("dname", "away", f"DNAME {OTHER}", types=(A, 39))
    zone.add("dname", "out", "DNAME example.com.", types=(A, 39))
    zone.add("dname", "c", "CNAME a.from", types=(A, CNAME))
    zone.probe("dname", "a.from", "b.from", "x.a.from", "www.away", "missing.away", "a.out", types=(A, TXT, CNAME, 39))
    zone.add("dname", "long", f"DNAME {'t' * 63}.{'t' * 63}.example.com.", types=(A, 39))
    zone.probe("dname too long", ".".join(["l" * 63] * 2) + ".long", types=(A, CNAME))
    return zone


def serial_zone(n: int, serial: int, name: str = "serial.example.") -> ZoneFile:
    """n names whose every rdata carries the serial: an answer that mixes versions shows."""
    zone = ZoneFile(name, serial)
    zone.lines.append(f"@ SOA ns1.{name} hostmaster.{name} {serial} 3600 600 1209600 300")
    zone.lines += [f"@ NS ns{serial}.{name}", f"ns{serial} A {serial_address(serial)}", f'@ TXT "serial={serial}"']
    zone.probe("serial", "@", types=(SOA, TXT))
    address = serial_address(serial)
    for k in range(n):
        zone.lines += [
            f"n{k:06d} A {address}",
            f"n{k:06d} A {address.replace('10.', '11.', 1)}",
            f'n{k:06d} TXT "serial={serial}"',
        ]
        zone.probe("serial", f"n{k:06d}", types=(A, TXT, AAAA))
    zone.probe("serial", "missing", types=(A,))
    return zone


def serial_address(serial: int) -> str:
    return f"10.{serial >> 16 & 255}.{serial >> 8 & 255}.{serial & 255}"


def serials_in(reply: bytes) -> set[int]:
    """Every serial that a reply from `serial_zone` shows, in whichever record: more than one is a mixed answer."""
    from wire import parse

    found: set[int] = set()
    seen = parse(reply)
    for record in (*seen.answer, *seen.authority, *seen.additional):
        if record.rrtype == SOA:
            found.add(int.from_bytes(record.rdata[-20:-16], "big"))
        elif record.rrtype == A:
            found.add(int.from_bytes(record.rdata[1:], "big"))
        elif record.rrtype == TXT and record.rdata[1:8] == b"serial=":
            found.add(int(record.rdata[8:]))
        elif record.rrtype == NS:
            found.add(int(record.rdata[3 : 1 + record.rdata[0]]))
    return found


def family(n: int, serial: int = 1) -> list[ZoneFile]:
    """The main zone and those that it refers to; DNAME is left to `dname_zone`."""
    return [plain_zone(n, serial), child_zone(serial), other_zone(serial), deep_zone(serial)]


# --------------------------------------------------------------------------------------------------------------- corpus


def mixed_case(name: str, seed: int = 0) -> str:
    """The name with the case of its letters at random; escapes (\\DDD) stay."""
    chance = random.Random(f"{seed}{name}")
    return "".join(char.upper() if chance.random() < 0.5 else char.lower() for char in name)


def queries(zone: ZoneFile) -> Iterator[Query]:
    """What to ask about a zone: every special name with every usual type, and ordinary names in all the ways that
    resolvers ask.
    """
    chance = random.Random(zone.name)
    for name, (group, types) in zone.names.items():
        for rrtype in types:
            yield Query(group, name, rrtype)
        if types and group != "serial":
            yield Query(f"{group}, mixed case", mixed_case(name), types[0])
    ordinary = [name for name, (group, _) in zone.names.items() if group == "ordinary"]
    for number, name in enumerate(ordinary):
        for rrtype in _present(number):
            yield Query("positive", name, rrtype)
        yield Query(
            "NODATA",
            name,
            chance.choice([rrtype for rrtype in (PTR, DS, 29, 99, SRV, CAA) if rrtype not in _present(number)]),
        )
        yield Query("positive, mixed case", mixed_case(name), _present(number)[0])
        yield Query("NXDOMAIN", f"below.{name}", A)
        yield Query(
            "NXDOMAIN",
            f"{''.join(chance.choices('abcdefghijklmnopqrstuvwxyz0123456789', k=chance.randint(1, 40)))}.{zone.name}",
            chance.choice((A, AAAA, MX)),
        )
        yield Query("wildcard", f"r{chance.getrandbits(32):x}.wild.{zone.name}", chance.choice((A, AAAA, TXT, MX, PTR)))
        yield Query("random type", name, chance.choice(_RANDOM_TYPES))


def any_queries(zone: ZoneFile) -> Iterator[Query]:
    """QTYPE ANY apart, since every server answers it as it likes (RFC 8482)."""
    for name, (group, _) in zone.names.items():
        yield Query(f"ANY, {group}", name, ANY)


def outside_queries() -> Iterator[Query]:
    """Names in none of the zones."""
    for name in (
        ".",
        "org.",
        "example.",
        "example.com.",
        "www.example.com.",
        "xexample.org.",
        "net.",
        "a." * 126 + "u.",
    ):
        for rrtype in (A, NS, SOA, DS):
            yield Query("outside the zones", name, rrtype)


def corpus(zones: Iterable[ZoneFile]) -> list[Query]:
    return [query for zone in zones for query in queries(zone)] + list(outside_queries())


def _present(number: int) -> list[int]:
    """Types that ordinary name `number` has, in the order of its records."""
    kinds: dict[str, int] = {
        "A": A,
        "AAAA": AAAA,
        "MX": MX,
        "TXT": TXT,
        "SRV": SRV,
        "CAA": CAA,
        "HTTPS": HTTPS,
        f"TYPE{PRIVATE}": PRIVATE,
    }
    found = []
    for record in _ordinary(number):
        words = record.split()
        rrtype = kinds[words[1] if words[0].isdigit() else words[0]]
        if rrtype not in found:
            found.append(rrtype)
    return found
