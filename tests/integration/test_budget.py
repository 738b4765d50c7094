# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones several times larger than `fast-path.memory`: no wrong answer, whatever is asked; what is asked often is answered
at the driver within seconds, also when that changes, while a zone is updated, and without the agent.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lab import Key, Lab, NameServer, Nsd, Peregrine, ask_many
from oracle import Oracle
from references import References
from signed import CHAIN_NSEC, CHAIN_NSEC3, Signed, sign
from signed_zones import host_zone
from wire import A, parse, query_text, wire
from zones import ZoneFile

PLAIN, NAMES = "plain.example.", 20000
MEMORY = "4MiB"
HOT = 300
SEED = 1

pytestmark = pytest.mark.timeout(300)


def plain_zone(serial: int) -> ZoneFile:
    """Some 350 octets a name: about 8 MB. Each address tells the version's serial."""
    zone = ZoneFile(PLAIN, serial)
    zone.lines += [f"@ SOA ns1.{PLAIN} hostmaster.{PLAIN} {serial} 3600 600 1209600 300", "@ NS ns1", "ns1 A 192.0.2.1"]
    zone.lines += ["@ MX 10 n5", "*.wild A 192.0.2.2"]
    for k in range(NAMES):
        zone.lines += [f"n{k} A 10.{serial}.{k >> 8}.{k & 255}", f'n{k} TXT "{k:0200}"']
    return zone


@dataclass
class World:
    lab: Lab
    primary: NameServer
    agent: Peregrine
    place: Path
    signed: list[Signed]
    references: References
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    def ask(self, wires: Sequence[bytes], timeout: float = 1.0) -> list[bytes | None]:
        with self.lab.client.udp(self.lab.service[0]) as sock:
            return ask_many(sock, wires, timeout=timeout)

    def share(self, wires: Sequence[bytes], right: int) -> float:
        """Asks for names of the plain zone, all of which exist; what the driver answered of them."""
        before = self.agent.counters()["fast_path"]
        for query, reply in zip(wires, self.ask(wires)):
            assert reply is not None, f"lost: {query_text(query)}"
            seen = parse(reply)
            assert seen.rcode == 0 and len(seen.answer) == 1, query_text(query)
            assert seen.answer[0].rdata[1] == right, query_text(query)
        after = self.agent.counters()["fast_path"]
        return (after["answered"] - before["answered"]) / len(wires)

    def rises(self, hot: Sequence[int], least: float, serial: int, within: float = 15.0) -> float:
        """Asks in the way of Zipf until the driver answers that much; how long that took."""
        start = time.monotonic()
        while True:
            weights = [1 / (rank + 1) for rank in range(len(hot))]
            asked = self.chance.choices(hot, weights, k=1500)
            share = self.share([name_query(k) for k in asked], serial)
            took = time.monotonic() - start
            if share >= least:
                return took
            assert took < within, f"{share:.3f} of the queries at the driver after {took:.0f} s, not {least}"
            time.sleep(0.1)

    def judge(self, wires: Sequence[bytes], replies: Sequence[bytes | None]) -> None:
        verdicts = self.references.judge(wires, replies)
        assert not verdicts.wrong, verdicts.complaint()

    def update(self, serial: int) -> None:
        plain_zone(serial).write(self.place)
        self.primary.reload(PLAIN, serial)
        self.agent.cli("zone-reload", "--wait", PLAIN)
        self.agent.wait_serving(serial, [PLAIN])


def name_query(k: int) -> bytes:
    return wire(f"n{k}.{PLAIN}", A, edns=1232, id=k & 0xFFFF)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    signed = [sign(host_zone("nsec.example.", 1500), CHAIN_NSEC), sign(host_zone("nsec3.example.", 1500), CHAIN_NSEC3)]
    with Lab() as lab:
        place = lab.make_directory("zones")
        zones = [plain_zone(1).write(place), *(made.zone for made in signed)]
        primary = lab.primary_server(Nsd, zones, key=Key())
        change = {"fast-path": {"memory": MEMORY}}
        with lab.peregrine([zone.name for zone in zones], key=Key(), change=change) as agent:
            agent.wait_serving(timeout=60)
            yield World(lab, primary, agent, place, signed, References(lab, signed))


def test_not_all_fit(world: World) -> None:
    status = world.agent.cli("status")
    assert status["names"]["at_driver"] < status["names"]["total"] * 0.6, status["names"]
    assert status["memory"]["used"] <= status["memory"]["limit"], status["memory"]


def test_no_wrong_answer(world: World) -> None:
    """Any name, of any zone, there or not."""
    oracle = Oracle(world.lab, [plain_zone(1).write(world.lab.make_directory("oracle"))])
    chosen = [world.chance.randrange(NAMES * 2) for _ in range(1500)]
    queries = [name_query(k) for k in chosen] + [wire(f"a.n{k}.wild.{PLAIN}", A, id=k & 0xFFFF) for k in chosen[:50]]
    examined = oracle.examine(world.lab.client, world.lab.service[0], queries)
    assert not examined.lost and not examined.wrong, examined.report()


@pytest.mark.parametrize("number", [0, 1], ids=["nsec", "nsec3"])
def test_signed(world: World, number: int) -> None:
    """Answers and proofs, again and again, while names move."""
    name = world.signed[number].name
    labels = ["www", "mail", "none", "x.dev", "autodiscover", "ns1", "a.b.c"]
    for _ in range(3):
        sites = [world.chance.randrange(260) for _ in range(500)]
        wires = [
            wire(f"{world.chance.choice(labels)}.site{site}.{name}", A, edns=1232, do=True, id=site) for site in sites
        ]
        replies = world.ask(wires)
        assert None not in replies
        world.judge(wires, replies)


def test_share_follows_the_hot_set(world: World) -> None:
    """Two sets that have no name in common, one after the other."""
    names = world.chance.sample(range(NAMES), 2 * HOT)
    for hot in (names[:HOT], names[HOT:]):
        took = world.rises(hot, 0.97, 1)
        print(f"97 % at the driver after {took:.1f} s")
    reasons = world.agent.counters()["fast_path"]["reasons"]
    assert reasons["cold"] > 0 and reasons["internal"] == 0, reasons


def test_updates_meanwhile(world: World) -> None:
    """Every name changes. The hot ones are at the driver again soon, none ever tells the old version afterwards."""
    hot = world.chance.sample(range(NAMES), HOT)
    world.rises(hot, 0.95, 1)
    world.update(2)
    world.rises(hot, 0.95, 2)
    world.share([name_query(k) for k in world.chance.sample(range(NAMES), 2000)], 2)


def test_agent_frozen(world: World) -> None:
    """Hot names, and names that are not there, are answered; of the rest nothing is answered wrongly."""
    hot = world.chance.sample(range(NAMES), HOT)
    world.rises(hot, 0.99, 2)
    missing = [wire(f"m{k}.{PLAIN}", A, edns=1232, id=k) for k in range(500)]
    world.agent.freeze()
    try:
        often = world.ask([name_query(k) for k in hot[:100]])
        absent = world.ask(missing)
        rest = world.ask([name_query(k) for k in world.chance.sample(range(NAMES), 300)], 0.1)
    finally:
        world.agent.thaw()
    assert None not in often
    assert all(reply and parse(reply).rcode == 3 for reply in absent)
    assert None in rest
    for reply in [*often, *rest]:
        assert reply is None or parse(reply).answer[0].rdata[1] == 2


def test_restarted(world: World) -> None:
    """A new agent takes up all of it, cold names too, without a transfer; also of one that was killed."""
    for end in (world.agent.stop, world.agent.kill):
        end()
        world.agent.start()
        assert "took up the pinned image" in world.agent.log()
        world.share([name_query(k) for k in world.chance.sample(range(NAMES), 2000)], 2)
        assert world.agent.zone_status(PLAIN)["last_transfer"] is None
