# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones for DNSSEC, before they are signed: one of every case of a denial, and as many names as wanted of all kinds.

    zone = rich_zone("nsec.example.")          # every special case, with the names to ask about each
    zone = many_zone("many.example.", 2000)    # the kinds mixed, as in a zone of some size
    zone = rootlike_zone(300)                  # delegations alone, at the root

`signed.sign` signs them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from wire import AAAA, CNAME, DS, MX, NS, SOA, TXT, A, name_wire
from zones import PRIVATE, ZoneFile, plain_zone

DNAME, RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, CDS = 39, 46, 47, 48, 50, 51, 59
DENIAL_TYPES = (A, AAAA, TXT, NS, DS, CNAME, SOA, MX, PRIVATE)
FAKE_DS = "DS 12345 13 2 " + "ab" * 32
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def _add_order(zone: ZoneFile) -> None:
    """Names that stand close to each other, or before `*`, in canonical order (RFC 4034, section 6.1)."""
    for parent in ("", ".star"):
        for owner in ("!", "\\000", "\\000\\000", "\\001", "\\032", "#", "\\%", "\\(", "+", "-", "b", "\\255"):
            zone.add("order", owner + parent, "A 192.0.2.201", types=(A, TXT))
        between = ("\\034", "\\)", "\\002", ",", "bb", "\\254", "\\000\\001")
        zone.probe("order", *(f"{text}{parent}" for text in between))
    zone.add("order", "*.star", "A 192.0.2.202", types=DENIAL_TYPES)
    zone.probe("order", "x.!.star", "x.b.star", "\\000.\\000.star", types=(A, TXT))
    for owner in ("k", "ka", "kb", "k0", "k\\000", "k-", "kz", "k.k", "\\000.k", "\\255.k"):
        zone.add("order", owner, "A 192.0.2.203", types=(A, TXT))
    zone.probe("order", "k1", "k\\001", "kaa", "ka\\000", "ky", types=(A, DS))
    zone.probe("order", "j\\255\\255", "l.k", "\\000.ka", "\\255.ka", types=(A, DS))
    stem = "s" * 62
    for last in "adm":
        zone.add("order", stem + last, "A 192.0.2.204", types=(A, TXT))
    zone.probe("order", *(stem + last for last in "0bz"), stem, stem[1:], types=(A, TXT))


def _add_cuts(zone: ZoneFile) -> None:
    """Delegations with DS and without, below ENTs and wildcards; an ENT that only insecure delegations make."""

    def cut(group: str, owner: str, *records: str) -> None:
        zone.add(group, owner, *records, types=DENIAL_TYPES)
        zone.probe(group, f"host.{owner}", f"a.b.{owner}", types=DENIAL_TYPES)

    cut("signed cut", "sec", "NS ns.sec", "NS ns.ins", FAKE_DS)
    cut("signed cut", "sec2", "NS ns1", FAKE_DS, FAKE_DS.replace("12345", "12346"))
    cut("insecure cut", "ins", "NS ns.ins", "NS ns.sec")
    cut("insecure cut", "ins2", "NS ns.example.com.")
    zone.add("glue", "ns.sec", "A 192.0.2.211", "AAAA 2001:db8:211::1", types=DENIAL_TYPES)
    zone.add("glue", "ns.ins", "A 192.0.2.212", types=DENIAL_TYPES)
    cut("cut below an ENT", "sec.cents", "NS ns.sec", FAKE_DS)
    cut("cut below an ENT", "ins.cents", "NS ns.sec")
    cut("insecure ENT", "ins.one.two", "NS ns.sec")
    zone.probe("insecure ENT", "one.two", "two", "x.one.two", "x.two", types=DENIAL_TYPES)
    cut("cut below a wildcard", "sec.wcut", "NS ns.sec", FAKE_DS)
    cut("cut below a wildcard", "ins.wcut", "NS ns.sec")
    zone.add("cut below a wildcard", "*.wcut", "TXT wild", types=DENIAL_TYPES)
    zone.probe("cut below a wildcard", "a.wcut", "a.b.wcut", "wcut", types=DENIAL_TYPES)
    for k in range(8):
        cut("insecure cut", f"run{k}", "NS ns.sec")
    zone.probe("between insecure cuts", "run", "run0a", "run33", "run9", "a.run9", types=DENIAL_TYPES)


def _add_wildcards(zone: ZoneFile) -> None:
    zone.add("wildcard NODATA", "*.wtxt", 'TXT "text alone"', types=DENIAL_TYPES)
    zone.probe("wildcard NODATA", "a.wtxt", "a.b.wtxt", "*.a.wtxt", "wtxt", "\\000.wtxt", "!.wtxt", types=DENIAL_TYPES)
    zone.add("wildcard below ENTs", "*.w1.w2.w3", "A 192.0.2.221", types=DENIAL_TYPES)
    zone.probe("wildcard below ENTs", "a.w1.w2.w3", "a.w2.w3", "w2.w3", "a.w3", types=DENIAL_TYPES)
    targets = (("in", "www"), ("wild", "a.wtxt"), ("missing", "no-such"), ("nodata", "ns1"), ("cut", "host.sec"))
    for last, target in targets:
        zone.add("wildcard CNAME", f"*.wc-{last}", f"CNAME {target}", types=DENIAL_TYPES)
        zone.probe("wildcard CNAME", f"a.wc-{last}", f"a.b.wc-{last}", types=DENIAL_TYPES)
    for last, target in (("sec", "host.sec"), ("ins", "host.ins"), ("cut", "sec"), ("wtxt", "a.wtxt")):
        zone.add("CNAME", f"cs-{last}", f"CNAME {target}", types=DENIAL_TYPES)


def _add_dnames(zone: ZoneFile) -> None:
    targets = (("in", "w1.w2.w3"), ("ent", "ent"), ("missing", "no-such"), ("cut", "sec"), ("wild", "wtxt"))
    targets += (("out", "example.com."),)
    for last, target in targets:
        zone.add("DNAME", f"df-{last}", f"DNAME {target}", "TXT beside", types=(*DENIAL_TYPES, DNAME))
        zone.probe("DNAME", f"a.df-{last}", f"a.b.df-{last}", types=(*DENIAL_TYPES, DNAME))
    zone.probe("DNAME", "b.df-ent", "a.b.df-ent", types=DENIAL_TYPES)
    zone.add("DNAME", "cs-dname", "CNAME a.df-in", types=DENIAL_TYPES)
    zone.add("DNAME", "df-star", "DNAME star", types=(A, DNAME))
    zone.probe("DNAME", "b.df-star", "q.df-star", "\\000.df-star", types=(A, TXT, CNAME))


def _signable(zone: ZoneFile, line: str) -> bool:
    """dnssec-signzone refuses DNSKEYs below the apex and, with NSEC3, names that `*.` does not fit before."""
    return " DNSKEY " not in line and len(name_wire(zone.absolute(line.split()[0]))) <= 253


def rich_zone(name: str, ordinary: int = 40, serial: int = 1) -> ZoneFile:
    """One of every special case of `zones.plain_zone`, and what a denial makes special besides."""
    zone = plain_zone(ordinary, serial, name)
    zone.lines = [line for line in zone.lines if _signable(zone, line)]
    left = 253 - len(name_wire(name))
    long_name = ".".join(["l" * 63] * (left // 64) + ["m" * (left % 64 - 1)])
    zone.add("long name", long_name, "A 192.0.2.231", types=(A, TXT))
    for part in (_add_order, _add_cuts, _add_wildcards, _add_dnames):
        part(zone)
    zone.probe("apex", "@", types=(DNSKEY, NSEC3PARAM, NSEC, RRSIG, CDS, DS))
    return zone


def rich_soa(zone: ZoneFile, ttl: int, minimum: int) -> ZoneFile:
    """The same zone with another SOA TTL and minimum: the TTL of what denies follows them (RFC 9077)."""
    zone.lines[0] = f"@ {ttl} SOA ns1.{zone.name} hostmaster.{zone.name} {zone.serial} 3600 600 1209600 {minimum}"
    return zone


# --------------------------------------------------------------------------------------------------------- many names


def _kind(chance: random.Random, k: int, owner: str) -> list[tuple[str, list[str]]]:
    """The records of one of many names, and of the names that go with it."""
    address = f"A 10.{k >> 16 & 255}.{k >> 8 & 255}.{k & 255}"
    draw = chance.random()
    if draw < 0.45:
        return [(owner, [address, f"AAAA 2001:db8:b::{k >> 16:x}:{k & 65535:x}"] if chance.random() < 0.5 else [address])]
    if draw < 0.55:
        return [(owner, ["MX 10 mail", "TXT text"])]
    if draw < 0.60:
        return [(f"{owner}.e{k % 50}", [address])]
    if draw < 0.63:
        return [(f"*.{owner}", chance.choice(([address], ["TXT wild"], ["CNAME mail"])))]
    if draw < 0.70:
        return [(owner, ["CNAME " + chance.choice(("mail", "www.example.com.", "no-such", f"x{k % 7}"))])]
    if draw < 0.82:
        return [(owner, ["NS ns1", f"NS ns.{owner}"]), (f"ns.{owner}", [address])]
    if draw < 0.92:
        return [(owner, [f"NS ns.{owner}", FAKE_DS]), (f"ns.{owner}", [address])]
    if draw < 0.93:
        return [(owner, ["DNAME " + chance.choice(("mail", "example.com.", f"e{k % 50}"))])]
    return [(owner, [f'TXT "{"t" * chance.randint(1, 250)}"'])]


def many_zone(name: str, n: int, serial: int = 1, seed: int = 1) -> ZoneFile:
    """About n names, most of them ordinary; their labels are random, so that order and hash order have nothing in
    common. Nothing is asked about each: `random_queries` picks.
    """
    chance = random.Random(f"{name}{n}{seed}")
    zone = ZoneFile(name, serial)
    zone.lines += [f"@ SOA ns1.{name} hostmaster.{name} {serial} 3600 600 1209600 300", "@ NS ns1", "ns1 A 192.0.2.11"]
    zone.lines += ["mail A 192.0.2.25", "mail AAAA 2001:db8:25::1"]
    taken = {"@", "ns1", "mail"}
    for k in range(n):
        owner = "".join(chance.choices(LETTERS, k=chance.choice((2, 3, 5, 8, 13, 30))))
        if owner in taken or owner[1:].isdigit():  # e1, x1: names that records of others are below or point to
            continue
        taken.add(owner)
        for made, records in _kind(chance, k, owner):
            zone.lines += [f"{made} {record}" for record in records]
    return zone


def host_zone(name: str, n: int, serial: int = 1) -> ZoneFile:
    """A zone of hosts: sites, each with the names that one usually has; about n names."""
    zone = ZoneFile(name, serial)
    zone.lines += [f"@ SOA ns1.{name} hostmaster.{name} {serial} 3600 600 1209600 300", "@ NS ns1", "ns1 A 192.0.2.11"]
    zone.lines += ["@ A 192.0.2.80", "@ MX 10 mail", "mail A 192.0.2.25", "www A 192.0.2.80", "api A 192.0.2.81"]
    for k in range(n // 7):
        site, v4, v6 = f"site{k}", f"A 10.2.{k >> 8 & 255}.{k & 255}", f"AAAA 2001:db8:d::{k:x}"
        zone.lines += [f"{site} {v4}", f"{site} {v6}", f"{site} MX 10 mail.{site}", f'{site} TXT "v=spf1 mx -all"']
        zone.lines += [f"{label}.{site} {v4}" for label in ("www", "mail", "ns1", "api")]
        zone.lines += [f"www.{site} {v6}", f"autodiscover.{site} CNAME mail", f"_dmarc.{site} TXT v=DMARC1"]
        zone.lines += [f"*.dev.{site} {v4}"] if k % 5 == 0 else [f"www.{site} HTTPS 1 . alpn=h2"]
    return zone


def rootlike_zone(n: int, serial: int = 1) -> ZoneFile:
    """A zone as the root is: delegations with sibling glue, most of them signed, and hardly anything else."""
    chance = random.Random(n)
    zone = ZoneFile(".", serial)
    zone.lines.append(f"@ 86400 SOA a.servers.net. hostmaster.example. {serial} 1800 900 604800 86400")
    zone.lines += [f"@ 518400 NS {letter}.servers.net." for letter in "abcdefghijklm"]
    for k, letter in enumerate("abcdefghijklm"):
        zone.lines.append(f"{letter}.servers.net. 518400 A 192.0.2.{k + 1}")
        zone.lines.append(f"{letter}.servers.net. 518400 AAAA 2001:db8::{k + 1:x}")
    labels = {"net", "com", "org", "arpa"}
    while len(labels) < n:
        labels.add("".join(chance.choices(LETTERS[:26], k=chance.choice((2, 2, 3, 4, 6, 9)))))
    for k, label in enumerate(sorted(labels)):
        servers = [f"{letter}.nic.{label}." for letter in "abcd"[: chance.randint(1, 4)]]
        if k % 3 == 0:
            servers += ["a.servers.net.", f"ns.nic.{sorted(labels)[k // 2]}."]
        zone.lines += [f"{label}. 172800 NS {server}" for server in servers]
        if chance.random() < 0.92:
            zone.lines.append(f"{label}. 86400 {FAKE_DS}")
        for server in servers:
            if server.endswith(f".{label}."):
                zone.lines += [f"{server} 172800 A 10.1.{k >> 8}.{k & 255}", f"{server} 172800 AAAA 2001:db8:c::{k:x}"]
    zone.probe("apex", ".", types=(*DENIAL_TYPES, DNSKEY, NSEC))
    zone.probe("signed cut", "com.", "www.example.com.", "net.", "a.servers.net.", types=DENIAL_TYPES)
    zone.probe("NXDOMAIN", "local.", "home.", "a.b.lan.", "0.", "\\000.", "zzzzzzzzzz.", types=(A, DS))
    return zone


def owners(lines: Iterable[str]) -> list[str]:
    """Owner names of a zone file with one record a line, each once."""
    return list(dict.fromkeys(line.split(None, 1)[0] for line in lines if line and line[0] not in "$;"))
