# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed zones, with the agent frozen: the driver alone answers everything with DO, as NSD, Knot DNS or BIND does.

PEREGRINE_DRAWN says how many queries are drawn at random a zone, PEREGRINE_NAMES how many names the large zones have,
PEREGRINE_SEED which queries are drawn, PEREGRINE_ROOT_ZONE where a copy of the root zone is (a file, also compressed).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from draw import corpus_queries, draw
from lab import BUILD, Lab, ask_tcp_many
from references import References
from signed import CHAIN_NSEC, CHAINS, Signed, given, sign
from signed_zones import RRSIG, many_zone, rich_soa, rich_zone, rootlike_zone
from subject import Subject, subject
from verdict import Verdicts
from wire import A, lower, parse, query_text, wire
from zones import ZoneFile, mixed_case, queries

DRAWN = int(os.environ.get("PEREGRINE_DRAWN", "1200"))
NAMES = int(os.environ.get("PEREGRINE_NAMES", "2000"))
SEED = int(os.environ.get("PEREGRINE_SEED", "1"))
ROOT_ZONE = os.environ.get("PEREGRINE_ROOT_ZONE")
MEMORY = "512MiB" if NAMES <= 20000 else "4GiB"
# At the start of a name in wire format.
LARGE = re.compile(rb"(?s).(large\d+|many-\w+)[\x01-\x3f]|.{2,64}?\nwild-large[\x01-\x3f]")
CHAIN_NAMES = [chain.name for chain in CHAINS]

pytestmark = pytest.mark.timeout(300 + DRAWN // 30 + NAMES // 50)


@dataclass
class World:
    lab: Lab
    subject: Subject
    references: References
    zones: dict[str, ZoneFile]
    signed: dict[str, Signed]

    def check(self, title: str, wires: Sequence[bytes], family: int = 0) -> Verdicts:
        """Asks with the agent frozen. Nothing may be lost, nothing be as none of the references say."""
        with self.subject.frozen():
            replies = self.subject.ask(wires, family)
        left = [index for index, reply in enumerate(replies) if reply is None and left_by_design(wires[index])]
        for index, reply in zip(left, self.subject.ask([wires[index] for index in left], family)):
            replies[index] = reply
        return self.judge(title, wires, replies)

    def judge(self, title: str, wires: Sequence[bytes], replies: Sequence[bytes | None], tcp: bool = False) -> Verdicts:
        verdicts = self.references.judge(wires, replies, tcp=tcp)
        report(f"== {title}, seed {SEED}: {verdicts.report()}")
        lost = [query_text(query) for query, reply in zip(wires, replies) if reply is None]
        assert not lost, f"{len(lost)} of {len(wires)} are lost, for instance {lost[:10]}\n{verdicts.complaint()}"
        assert not verdicts.wrong, verdicts.complaint()
        return verdicts


def left_by_design(query: bytes) -> bool:
    """The driver passes on (`large`) a query for the RRSIGs of a name one of whose RRsets has more than 511 octets: the
    zones have such at `largeN`, `many-…` and `*.wild-large` alone.
    """
    name, rrtype, _ = parse(query).questions[0]
    return rrtype == RRSIG and LARGE.match(lower(name)) is not None


def report(text: str) -> None:
    print(text)
    with (BUILD / "dnssec.txt").open("a") as out:
        out.write(text + "\n")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    (BUILD / "dnssec.txt").unlink(missing_ok=True)
    zones = {chain.name: rich_zone(f"{chain.name}.example.") for chain in CHAINS}
    rich_soa(zones["salt"], 60, 900)  # negative answers by the SOA's own TTL
    signed = {chain.name: sign(zones[chain.name], chain) for chain in CHAINS}
    for chain in CHAINS:
        signed[f"many {chain.name}"] = sign(many_zone(f"many-{chain.name}.example.", NAMES), chain)
    with Lab() as lab, subject(lab, list(signed.values()), MEMORY) as tested:
        yield World(lab, tested, References(lab, list(signed.values())), zones, signed)


def asked(zone: ZoneFile, size: int | None = 1232, do: bool = True, dname: bool = False) -> list[bytes]:
    """Every special case, or those of DNAME."""
    chosen = [query for query in queries(zone) if query.group.startswith("DNAME") == dname]
    return [wire(query.name, query.rrtype, edns=size, do=do, id=7) for query in chosen]


@pytest.fixture(params=CHAIN_NAMES)
def chain(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_case(world: World, chain: str) -> None:
    world.check(f"every case, {chain}", asked(world.zones[chain]))


@pytest.mark.parametrize("do", [True, False], ids=["DO", "plain"])
def test_dname(world: World, chain: str, do: bool) -> None:
    world.check(f"DNAME, {chain}, DO {do}", asked(world.zones[chain], do=do, dname=True))


@pytest.mark.parametrize(("size", "do"), [(512, True), (4096, True), (1232, False), (None, False)])
def test_sizes(world: World, size: int | None, do: bool) -> None:
    """Every case of one chain after another: what does not fit, and what is asked without DO."""
    for name in ("nsec", "nsec3"):
        wires = asked(world.zones[name], size, do)[:: 1 if DRAWN > 10000 else 3]
        world.check(f"EDNS {size}, DO {do}, {name}", wires)


def test_ipv6(world: World) -> None:
    world.check("IPv6, nsec3", asked(world.zones["nsec3"])[::4], family=1)


def test_tcp(world: World) -> None:
    """By TCP, where nothing is cut off and a server of sockets answers."""
    wires = asked(world.zones["optout"])[::4]
    with world.lab.client.tcp(world.subject.addresses[0]) as sock:
        replies = ask_tcp_many(sock, wires)
    world.judge("TCP, optout", wires, replies, tcp=True)


@pytest.mark.parametrize("size", ["", "many "], ids=["rich", "many"])
def test_drawn(world: World, chain: str, size: str) -> None:
    signed = world.signed[size + chain]
    ordinary, _ = world.references.by_dname(draw(signed, DRAWN, SEED))
    assert len(ordinary) > DRAWN / 2
    world.check(f"drawn, {signed.name}", ordinary)


def test_drawn_dname(world: World, chain: str) -> None:
    for signed in (world.signed[chain], world.signed[f"many {chain}"]):
        _, below = world.references.by_dname(draw(signed, DRAWN, SEED))
        assert below
        world.check(f"drawn, DNAME, {signed.name}", below)


def test_case_is_kept(world: World) -> None:
    """The question comes back in its own spelling, and the proof is that of the name in any spelling."""
    names = [name for name, (group, _) in world.zones["nsec3"].names.items() if group.startswith("wildcard")]
    world.check("mixed case", corpus_queries([(mixed_case(name, SEED), A) for name in names]))


# ----------------------------------------------------------------------------------------------------------------- root


@pytest.fixture(scope="module", params=["rootlike", "real"] if ROOT_ZONE else ["rootlike"])
def root(request: pytest.FixtureRequest) -> Iterator[World]:
    """A zone as the root is, and the root itself where a copy of it is at hand."""
    zone = rootlike_zone(300)
    made = given(Path(ROOT_ZONE), ".", CHAIN_NSEC) if request.param == "real" else sign(zone, CHAIN_NSEC)
    with Lab() as lab, subject(lab, [made], MEMORY) as tested:
        yield World(lab, tested, References(lab, [made]), {".": zone}, {".": made})


def test_root(root: World) -> None:
    root.check("the root", asked(root.zones["."]) + draw(root.signed["."], DRAWN, SEED))
