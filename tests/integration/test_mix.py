# SPDX-License-Identifier: GPL-3.0-or-later
"""What resolvers send, with the agent frozen: the share of UDP queries that the driver answers, and that it does so
rightly.

PEREGRINE_MIX says how many queries, PEREGRINE_SEED which.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from lab import BUILD, Lab, ask_tcp_many
from mix import PROFILES, Mixed, mix, shares
from references import References
from signed import CHAIN_NSEC, CHAIN_NSEC3, CHAIN_OPT_OUT, Signed, sign
from signed_zones import host_zone, many_zone, rootlike_zone
from subject import KIND, Subject, subject
from wire import RCODES, TC, parse, query_text

COUNT = int(os.environ.get("PEREGRINE_MIX", "8000"))
SEED = int(os.environ.get("PEREGRINE_SEED", "1"))
LEAST = 0.999  # of the queries by UDP, at the driver

pytestmark = pytest.mark.timeout(120 + COUNT // 100)


@dataclass
class World:
    tested: Subject
    references: References
    signed: Signed
    asked: list[Mixed]


def zone_of(profile: str) -> Signed:
    if profile == "root":
        return sign(rootlike_zone(300), CHAIN_NSEC)
    if profile == "host":
        return sign(host_zone("host.example.", 2000), CHAIN_NSEC3)
    return sign(many_zone("tld.example.", 2000), CHAIN_OPT_OUT)


@pytest.fixture(scope="module", params=list(PROFILES))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    signed = zone_of(request.param)
    with Lab() as lab, subject(lab, [signed]) as tested:
        asked = mix(PROFILES[request.param], signed, COUNT, SEED)
        yield World(tested, References(lab, [signed]), signed, asked)


def test_share_at_the_driver(world: World, request: pytest.FixtureRequest) -> None:
    udp = [query for query in world.asked if not query.tcp]
    before = world.tested.agent.counters()["fast_path"] if world.tested.agent else {}
    answered, lost, rcodes = 0, [], collections.Counter()
    with world.tested.frozen():
        for family in (0, 1):
            wires = [query.wire for query in udp if query.ipv6 == bool(family)]
            replies = world.tested.ask(wires, family)
            answered += sum(reply is not None for reply in replies)
            for seen in (parse(reply) for reply in replies if reply):
                rcodes[RCODES[seen.rcode]] += 1
                rcodes["truncated"] += bool(seen.flags & TC)
            lost += [query_text(query) for query, reply in zip(wires, replies) if reply is None]
    share = answered / len(udp)
    lines = [f"mix {request.node.callspec.params['world']}, seed {SEED}: {share:.3%} of {len(udp)} at the driver"]
    lines.append("  " + ", ".join(f"{what} {number / len(udp):.1%}" for what, number in rcodes.items()))
    lines.append("  " + ", ".join(shares(world.asked)))
    if world.tested.agent:
        after = world.tested.agent.counters()["fast_path"]
        passed = {
            reason: count - before["reasons"].get(reason, 0)
            for reason, count in after["reasons"].items()
            if count != before["reasons"].get(reason, 0)
        }
        lines.append(f"  counted: {after['answered'] - before['answered']} answered, passed by reason {passed}")
    print("\n".join(lines))
    with (BUILD / "mix.txt").open("a") as out:
        out.write("\n".join(lines) + "\n")
    assert share >= LEAST, "\n".join([*lines, *lost[:10]])


def test_answers_are_right(world: World) -> None:
    """Without the queries that carry options: cookies and the like change what is said about the client alone."""
    wires = [query.wire for query in world.asked if not query.tcp and not parse(query.wire).options()]
    wires = wires[:: max(1, COUNT // 2000)]
    with world.tested.frozen():
        replies = world.tested.ask(wires)
    verdicts = world.references.judge(wires, replies)
    assert None not in replies
    assert not verdicts.wrong, verdicts.complaint()


def test_by_tcp(world: World) -> None:
    """What resolvers ask by TCP, by the way of the sockets."""
    wires = [query.wire for query in world.asked if query.tcp]
    with world.tested.lab.client.tcp(world.tested.addresses[0]) as sock:
        replies = ask_tcp_many(sock, wires)
    assert None not in replies and wires
    rcodes = {RCODES[parse(reply).rcode] for reply in replies if reply}
    assert rcodes <= {"NOERROR", "NXDOMAIN"} or KIND == "bind", rcodes
