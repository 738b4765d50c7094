# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones that change again and again at their primaries, and are followed by IXFR; and IXFRs that are wrong."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from ask import ask_tcp_many
from lab import Key, Lab, Peregrine
from scripted import ZONE, ScriptedPrimary, record
from servers import KINDS, Knot, NameServer, Nsd, Zone
from signed import CHAIN_NSEC, CHAIN_NSEC3, CHAIN_OPT_OUT, Chain, sign
from wire import AXFR, IXFR, A, wire
from zones import ZoneFile

pytestmark = pytest.mark.timeout(180)

NAME = "history.example."


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


# ---------------------------------------------------------------------------------------------- zones with a history


class History:
    """A zone of lines that come and go by chance: addresses, delegations with glue, what is occluded, wildcards."""

    def __init__(self, seed: int, names: int) -> None:
        self.random, self.serial, self.names = random.Random(seed), 1, names
        self.lines = {self.line() for _ in range(names * 3)}
        self.ttls: dict[tuple[str, str], int] = {}

    def line(self) -> str:
        k, octet = self.random.randrange(self.names), self.random.randrange(1, 250)
        return self.random.choice(
            (
                f"n{k} 300 A 192.0.2.{octet}",
                f"n{k} 300 AAAA 2001:db8::{octet}",
                f'n{k} 300 TXT "{octet} words"',
                f"n{k} 300 MX {octet} n{octet % self.names}",
                f"d{k % 9} 300 NS ns{octet % 3}.d{k % 9}",
                f"ns{octet % 3}.d{k % 9} 300 A 192.0.2.{octet}",
                f'unseen.d{k % 9} 300 TXT "{octet}"',
                f"c{k} 300 CNAME n{octet % self.names}" if k * 7 % 250 == octet else f"deep.er.n{k} 300 A 192.0.2.1",
                f"*.w{k % 5} 300 A 192.0.2.{octet}",
            )
        )

    def step(self) -> None:
        self.serial += self.random.choice((1, 1, 1, 7))
        gone = self.random.sample(sorted(self.lines), self.random.randrange(0, 12))
        self.lines -= set(gone)
        self.lines |= {self.line() for _ in range(self.random.randrange(1, 12))}
        for line in self.random.sample(sorted(self.lines), self.random.randrange(0, 3)):
            owner, _, rrtype, _ = line.split(maxsplit=3)
            self.ttls[owner, rrtype] = self.random.randrange(1000)

    def timed(self, line: str) -> str:
        owner, ttl, rrtype, rest = line.split(maxsplit=3)
        return f"{owner} {self.ttls.get((owner, rrtype), ttl)} {rrtype} {rest}"

    def zone(self) -> ZoneFile:
        made = ZoneFile(NAME, self.serial)
        made.lines += [
            f"@ 3600 SOA ns1.{NAME} hostmaster.{NAME} {self.serial} 3600 600 1209600 300",
            f"@ 3600 NS ns1.{NAME}",
            "ns1 3600 A 192.0.2.1",
            *(self.timed(line) for line in sorted(self.lines)),
        ]
        return made

    def bytes(self) -> bytes:
        return self.zone().text().encode()


def transfer(lab: Lab, server: NameServer) -> dict[tuple[dns.name.Name, int, int], dns.rrset.RRset]:
    """The RRsets that a primary has, by AXFR."""
    rrsets: dict[tuple[dns.name.Name, int, int], dns.rrset.RRset] = {}
    soas, buffer = 0, b""
    with lab.server.tcp(server.addresses[0]) as sock:
        query = wire(NAME, AXFR, id=7)
        sock.settimeout(5)
        sock.sendall(len(query).to_bytes(2, "big") + query)
        while soas < 2:
            data = sock.recv(65536)
            assert data, "the primary closed the connection"
            buffer += data
            while len(buffer) >= 2 and len(buffer) >= 2 + (size := int.from_bytes(buffer[:2], "big")):
                message = dns.message.from_wire(buffer[2 : 2 + size], one_rr_per_rrset=True)
                buffer = buffer[2 + size :]
                for rrset in message.answer:
                    soas += rrset.rdtype == dns.rdatatype.SOA
                    key = (rrset.name, rrset.rdtype, rrset.covers)
                    rrsets.setdefault(key, dns.rrset.RRset(*key[:1], 1, *key[1:])).update(rrset)
    return rrsets


def served_names(rrsets: dict) -> set[dns.name.Name]:
    """Those that are answered, rather than referred to a child or only there to deny others."""
    cuts = {key[0] for key in rrsets if key[1] == dns.rdatatype.NS and key[0] != dns.name.from_text(NAME)}
    hashes = {key[0] for key in rrsets if key[1] == dns.rdatatype.NSEC3}
    return {key[0] for key in rrsets if not any(key[0].is_subdomain(cut) for cut in cuts)} - hashes


def check_served(lab: Lab, rrsets: dict, everywhere: set[tuple[dns.name.Name, int]]) -> None:
    """Every RRset that the primary has is answered with, its signatures too; nothing else at these names and types."""
    names = served_names(rrsets)
    covering = {dns.rdatatype.RRSIG, dns.rdatatype.NSEC3}
    asked = sorted((name, rrtype) for name, rrtype in everywhere if rrtype not in covering)
    queries = [wire(str(name), rrtype, id=1, edns=4096, do=True) for name, rrtype in asked]
    with lab.client.tcp(lab.service[0]) as sock:
        replies = ask_tcp_many(sock, queries)
    for (name, rrtype), reply in zip(asked, replies, strict=True):
        assert reply, (name, rrtype)
        got = {(r.rdtype, r.covers): r for r in dns.message.from_wire(reply).answer if r.name == name}
        if name in names and (name, rrtype, 0) in rrsets:
            for key in ((rrtype, 0), (dns.rdatatype.RRSIG, rrtype)):
                wanted = rrsets.get((name, *key))
                assert got.get(key) == wanted, (name, key, got.get(key), wanted)
                assert not wanted or got[key].ttl == rrsets[name, rrtype, 0].ttl, (name, key)
        elif name in names:
            assert (rrtype, 0) not in got or (name, dns.rdatatype.CNAME, 0) in rrsets, (name, rrtype, got)


def follow(
    lab: Lab, kind: type[NameServer], history: History, steps: int, chain: Chain | None = None, fallback: str = ""
) -> list[str]:
    """Follows a history step by step; says how each version came. `fallback`: what may be wrong with an IXFR."""
    place = lab.make_directory("zones") / "history.zone"

    def write() -> Zone:
        place.write_bytes(sign(history.zone(), chain).zone.path.read_bytes() if chain else history.bytes())
        return Zone(NAME, place)

    came, everywhere = [], set()
    address = lab.primary_addresses[:1]
    with lab.primary_server(kind, [write()], key=None, ixfr=True) as primary:
        with lab.peregrine([NAME], primary_addresses=address) as agent:
            agent.wait_serving(1)
            for _ in range(steps):
                history.step()
                write()
                # NSD compares the times of its files by the second.
                time.sleep(1.01 if kind.kind == "nsd" else 0)
                primary.reload(NAME, history.serial)
                agent.wait_serving(history.serial, timeout=10)
                came.append(agent.zone_status(NAME)["transferred_by"])
                rrsets = transfer(lab, primary)
                everywhere |= {(key[0], key[1]) for key in rrsets}
                check_served(lab, rrsets, everywhere)
            check_log(agent, fallback)
            check_nothing_lost(agent)
    return came


def check_log(agent: Peregrine, fallback: str) -> None:
    wrong = [line for line in agent.log().splitlines() if "AXFR instead" in line or "failed" in line]
    assert not [line for line in wrong if not fallback or fallback not in line], wrong


def check_nothing_lost(agent: Peregrine) -> None:
    """All of it once more, by AXFR, has as many names."""
    before = agent.zone_status(NAME)["names"]
    agent.cli("zone-retransfer", "--wait", NAME)
    status = agent.zone_status(NAME)
    assert (status["transferred_by"], status["names"]) == ("AXFR", before), status


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_history(lab: Lab, kind: type[NameServer]) -> None:
    """NSD 4.6 makes additions of records that were there before: then all of the zone is transferred."""
    odd = kind is Nsd
    came = follow(lab, kind, History(4, 150), 8 if odd else 25, fallback="to be added that is there" if odd else "")
    assert set(came) <= ({"IXFR", "AXFR"} if odd else {"IXFR"}), came


@pytest.mark.parametrize("chain", [CHAIN_NSEC, CHAIN_NSEC3, CHAIN_OPT_OUT], ids=lambda chain: chain.name)
def test_signed_history(lab: Lab, chain: Chain) -> None:
    """Every signature is another in every version."""
    came = follow(lab, Knot, History(5, 60), 6, chain)
    assert set(came) == {"IXFR"}, came


def test_without_ixfr(lab: Lab) -> None:
    """NSD as it is by default keeps no differences; it is followed all the same."""
    history, place = History(6, 20), lab.make_directory("zones")
    zone = history.zone().write(place)
    with lab.primary_server(Nsd, [zone], addresses=lab.primary_addresses[:1]) as primary:
        with lab.peregrine([NAME], primary_addresses=lab.primary_addresses[:1]) as agent:
            agent.wait_serving(1)
            for _ in range(2):
                history.step()
                zone.path.write_bytes(history.bytes())
                time.sleep(1.01)
                primary.reload(NAME, history.serial)
                agent.wait_serving(history.serial, timeout=10)
            assert agent.zone_status(NAME)["transferred_by"] in ("AXFR", "IXFR (full)")


def test_over_a_restart(lab: Lab) -> None:
    """The agent that takes up the pinned image goes on from what it holds."""
    history, place = History(7, 50), lab.make_directory("zones")
    zone = history.zone().write(place)
    with lab.primary_server(Knot, [zone], addresses=lab.primary_addresses[:1], ixfr=True) as primary:
        with lab.peregrine([NAME], primary_addresses=lab.primary_addresses[:1]) as agent:
            agent.wait_serving(1)
            agent.kill()
            for _ in range(3):
                history.step()
                zone.path.write_bytes(history.bytes())
                primary.reload(NAME, history.serial)
            agent.start()
            # Its clocks go on as well, and nobody has told it meanwhile.
            agent.cli("zone-reload", "--wait", NAME)
            agent.wait_serving(history.serial, timeout=10)
            assert agent.zone_status(NAME)["transferred_by"] == "IXFR"
            rrsets = transfer(lab, primary)
            check_served(lab, rrsets, {(key[0], key[1]) for key in rrsets})


# ------------------------------------------------------------------------------------------------------ what is wrong

OLD = record(f"n0.{ZONE}", A, bytes([10, 0, 0, 1]))
NEW = record(f"n0.{ZONE}", A, bytes([10, 0, 0, 2]))
NOBODY = record(f"nobody.{ZONE}", A, bytes([10, 0, 0, 2]))

# From serial 1 to 2, and what the log must say of it.
WRONG = {
    "removes what is not there": (
        lambda p: [p.soa(2), p.soa(1), NOBODY, p.soa(2), NEW, p.soa(2)],
        r"do not fit: a record is to be removed that is not there: nobody\.scripted\.example\. A",
    ),
    "adds what is there": (
        lambda p: [p.soa(2), p.soa(1), p.soa(2), OLD, p.soa(2)],
        r"do not fit: a record is to be added that is there: n0\.scripted\.example\. A",
    ),
    "from another version": (
        lambda p: [p.soa(2), p.soa(0), OLD, p.soa(2), NEW, p.soa(2)],
        r"a difference starts from serial 0, where 1 was to come",
    ),
    "goes back": (
        lambda p: [p.soa(2), p.soa(1), OLD, p.soa(0), NEW, p.soa(0), p.soa(2), p.soa(2)],
        r"does not lead to a later serial",
    ),
    "leads nowhere": (
        lambda p: [p.soa(2), p.soa(1), OLD, p.soa(2), NEW, p.soa(1)],
        r"behind a difference came serial 1, where 2 was to come",
    ),
    "out of zone": (
        lambda p: [p.soa(2), p.soa(1), OLD, p.soa(2), record("www.elsewhere.example.", A, bytes(4)), p.soa(2)],
        r"outside the zone",
    ),
    "removes the apex NS": (
        lambda p: [p.soa(2), p.soa(1), p.contents()[0], p.soa(2), p.soa(2)],
        r"do not fit: no NS record at the apex",
    ),
}


# For each test afresh: a primary whose changes do not fit for the second time is not asked for them for a while.
@pytest.fixture
def scripted() -> Iterator[tuple[ScriptedPrimary, Peregrine]]:
    with Lab() as lab:
        address = lab.primary_addresses[0]
        with ScriptedPrimary(lab.primary, address, key=Key()) as primary:
            with lab.peregrine([ZONE], key=Key(), primary_addresses=[address]) as agent:
                agent.wait_serving(1)
                yield primary, agent


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_differences(scripted: tuple[ScriptedPrimary, Peregrine], wrong: str) -> None:
    """The line says what is wrong, and all of the zone is transferred instead."""
    primary, agent = scripted
    differences, cause = WRONG[wrong]
    before, asked = len(agent.log()), len(primary.asked)
    primary.serial, primary.differences = 2, differences
    try:
        agent.cli("zone-reload", "--wait", ZONE)
        said = agent.log()[before:]
        assert re.search(rf"IXFR failed: .*{cause}.*; AXFR instead; serving serial 1 on", said), said
        assert primary.asked[asked:].count(IXFR) == 1 and primary.asked[asked:].count(AXFR) == 1
        status = agent.zone_status(ZONE)
        assert (status["serial"], status["transferred_by"], status["error"]) == (2, "AXFR", None), status
    finally:
        primary.serial, primary.differences = 1, None
        agent.cli("zone-retransfer", "--wait", ZONE)


def test_good_differences(scripted: tuple[ScriptedPrimary, Peregrine]) -> None:
    """Two differences, the second of which undoes half of the first; then one SOA alone."""
    primary, agent = scripted
    primary.serial = 3
    first, second = [OLD], [NEW, NOBODY]
    primary.differences = lambda p: [
        *(p.soa(3), p.soa(1), *first, p.soa(2), *second),
        *(p.soa(2), NOBODY, p.soa(3), p.soa(3)),
    ]
    try:
        agent.cli("zone-reload", "--wait", ZONE)
        status = agent.zone_status(ZONE)
        assert (status["serial"], status["transferred_by"]) == (3, "IXFR"), status
        assert status["transferred_records"] == 9
    finally:
        primary.serial, primary.differences = 1, None
        agent.cli("zone-retransfer", "--wait", ZONE)
