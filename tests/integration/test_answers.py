# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job: with the agent frozen, the driver alone answers every ordinary query, and as NSD and Knot DNS do.

Then the same corpus over TCP, with the agent running. What may differ from both stands in EXCEPTIONS, each a rule of
docs/peers.md in code; everything else has to be what one of the two says, field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from lab import Key, Lab, Nsd, Peregrine
from oracle import Examined, Oracle
from wire import ANY, CNAME, Message, parse, wire
from zones import Query, ZoneFile, any_queries, corpus, family

NAMES = 1000
UDP_SIZE = 1232
ORDINARY = ("positive", "positive, mixed case", "NODATA", "NXDOMAIN", "wildcard", "random type")
AAAA_OCTETS = 28  # an address record with its owner compressed, at most

pytestmark = pytest.mark.timeout(60)


@dataclass
class World:
    lab: Lab
    zones: list[ZoneFile]
    agent: Peregrine
    oracle: Oracle
    asked: list[Query]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        place = lab.make_directory("zones")
        zones = family(NAMES)
        served = [zone.write(place) for zone in zones]
        lab.primary_server(Nsd, served, key=Key())
        with lab.peregrine([zone.name for zone in zones], key=Key()) as agent:
            agent.wait_serving(1)
            yield World(lab, zones, agent, Oracle(lab, served), corpus(zones))


def full_answers(world: World, wires: list[bytes]) -> dict[bytes, list[Message]]:
    """What the references say where size is no matter."""
    world.oracle.learn(wires, tcp=True)
    return {data: [parse(reply) for reply in world.oracle.said(data, tcp=True).values() if reply] for data in wires}


def chain_limit(_: bytes, mine: Message, full: list[Message], wrong: list[str]) -> bool:
    """Chain of CNAMEs in one zone, limit: NSD follows all 24, Knot 5. Anything between is a right answer cut short, and
    TC is as good as a limit.
    """
    longest = max((set(seen.answer) for seen in full), key=len)
    chain = [record for record in mine.answer if record.rrtype == CNAME]
    return mine.rcode == 0 and set(mine.answer) <= longest and (bool(mine.flags & 0x200) or len(chain) >= 5)


def additional_left_out(data: bytes, mine: Message, full: list[Message], wrong: list[str]) -> bool:
    """Additional of MX or SRV does not fit: left out, no TC. Which of it is left out is everyone's own choice."""
    if not wrong[0].endswith(": additional is nobody's else"):
        return False
    everything = {record for seen in full for record in seen.additional}
    asked = parse(data)
    limit = min(UDP_SIZE, max(512, asked.opt.rrclass if asked.opt else 512))
    return set(mine.additional) <= everything and mine.size + AAAA_OCTETS > limit


# By the group of a query: the rule of docs/peers.md that allows its reply.
Rule = Callable[[bytes, Message, list[Message], list[str]], bool]
EXCEPTIONS: dict[str, Rule] = {
    "cname long chain": chain_limit,
    "additional": additional_left_out,
    "cname": additional_left_out,
}


def judge(world: World, examined: Examined, asked: list[Query]) -> str:
    """What is wrong, grouped by what the query was a case of; empty when nothing is."""
    full = full_answers(world, [examined.queries[index] for index, _ in examined.wrong])
    lines = [f"lost: {asked[index]}" for index in examined.lost]
    groups: dict[str, list[str]] = {}
    for index, text in examined.wrong:
        group = asked[index].group.removesuffix(", mixed case")
        data, reply = examined.queries[index], examined.replies[index]
        assert reply is not None
        if group in EXCEPTIONS and EXCEPTIONS[group](data, parse(reply), full[data], text):
            continue
        groups.setdefault(group, []).append("\n".join(text))
    for group, texts in groups.items():
        lines += [f"== {group}: {len(texts)} wrong, for instance", texts[0]]
    return "\n".join(lines)


@pytest.mark.parametrize("edns", [None, 512, 1232, 4096])
@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_driver_answers_alone(world: World, edns: int | None, address_family: int) -> None:
    """Ordinary names with the sizes that resolvers send; whatever is a special case with every size."""
    asked = [query for query in world.asked if edns in (None, 1232) or query.group not in ORDINARY]
    wires = [wire(query.name, query.rrtype, edns=edns, id=7) for query in asked]
    world.agent.freeze()
    try:
        examined = world.oracle.examine(world.lab.client, world.lab.service[address_family], wires)
    finally:
        world.agent.thaw()
    wrong = judge(world, examined, asked)
    assert not wrong, wrong
    assert examined.tally.answered == len(wires) and not examined.tally.stray


def test_any_by_the_driver_alone(world: World) -> None:
    """QTYPE ANY: one RRset of the name, whichever (RFC 8482); the rest as the references."""
    asked = [query for zone in world.zones for query in any_queries(zone)]
    wires = [wire(query.name, ANY, edns=1232, id=7) for query in asked]
    whole = full_answers(world, wires)
    world.agent.freeze()
    try:
        examined = world.oracle.examine(world.lab.client, world.lab.service[0], wires, timeout=0.5)
    finally:
        world.agent.thaw()
    assert not examined.lost, [asked[index] for index in examined.lost]
    for query, data, reply in zip(asked, wires, examined.replies):
        seen = parse(reply)
        assert seen.rcode in {ref.rcode for ref in whole[data]}, query
        if seen.flags & 0x200:
            continue
        kinds = {record.rrtype for record in seen.answer}
        assert len(kinds) == (1 if any(ref.answer for ref in whole[data]) else 0), (query, kinds)


@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_tcp(world: World, address_family: int) -> None:
    asked = [query for query in world.asked for _ in range(2)]
    wires = [wire(query.name, query.rrtype, edns=edns, id=7) for query in world.asked for edns in (None, 1232)]
    examined = world.oracle.examine(world.lab.client, world.lab.service[address_family], wires, tcp=True)
    wrong = judge(world, examined, asked)
    assert not wrong, wrong
    assert not any(parse(reply).flags & 0x200 for reply in examined.replies if reply)
