# SPDX-License-Identifier: GPL-3.0-or-later
"""Response-rate limiting: at the driver with the agent frozen, in the fallback without the driver, never over TCP."""

from __future__ import annotations

import collections
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from lab import Key, Lab, Nsd, Peregrine, ask, ask_many, ask_tcp_many
from wire import TC, A, TXT, option, parse, wire
from zones import family

RATE = 50
COUNT = 400
NAME = "www.example.org."
CLIENT = b"client!!"
COOKIE, BADCOOKIE = 10, 23

pytestmark = pytest.mark.timeout(60)


@dataclass
class World:
    lab: Lab
    agent: Peregrine

    def limit(self, **words: Any) -> None:
        """Puts other limits in force."""
        settings: Mapping[str, Any] = {"responses-per-second": RATE, "slip": 0, "exempt": [], **words}
        self.agent.write_config({"rate-limit": settings})
        self.agent.cli("reload")

    def flood(self, query: bytes, index: int = 0, source: str | None = None) -> collections.Counter[str]:
        """Asks a query COUNT times at once; what comes back, by kind."""
        with self.lab.client.udp(self.lab.service[index], source=source) as sock:
            replies = ask_many(sock, [query] * COUNT, window=COUNT, timeout=0.3)
        return collections.Counter(kind(reply) for reply in replies)


def kind(reply: bytes | None) -> str:
    if reply is None:
        return "dropped"
    seen = parse(reply)
    if seen.rcode == BADCOOKIE:
        return "badcookie"
    return "truncated" if seen.flags & TC else "answered"


@pytest.fixture(scope="module", params=[True, False], ids=["roomy frames", "tight frames"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """In tight frames what does not fit is answered behind the driver, or by the fallback."""
    with Lab(roomy=request.param) as lab:
        place = lab.make_directory("zones")
        zones = family(20)
        lab.primary_server(Nsd, [zone.write(place) for zone in zones], key=Key())
        for number in range(2, 20):
            lab.client.ip("address", "add", f"192.0.2.{number}/25", "dev", "front")
            lab.client.ip("address", "add", f"2001:db8:0:1:{number}::1/48", "dev", "front", "nodad")
        lab.server.ip("route", "add", "2001:db8:0:1::/56", "dev", "front")
        with lab.peregrine([zone.name for zone in zones], key=Key()) as agent:
            agent.wait_serving(1)
            yield World(lab, agent)



@pytest.fixture(autouse=True)
def clear(world: World) -> Iterator[None]:
    """Nobody has asked yet: a second and more gives every client its burst back."""
    yield
    world.agent.thaw()
    world.limit(**{"responses-per-second": 0})
    time.sleep(1.7)


def is_burst(count: int) -> bool:
    """What passes at once, and what more the time that it took allows for, with a coarse clock."""
    return RATE <= count <= 2 * RATE


@pytest.mark.parametrize("index", [0, 1], ids=["IPv4", "IPv6"])
def test_limited(world: World, index: int) -> None:
    world.limit()
    before = world.agent.counters()
    world.agent.freeze()
    got = world.flood(wire(NAME, A, id=7), index)
    other = world.flood(wire("no-such-name.example.org.", A, id=7), index)
    world.agent.thaw()
    after = world.agent.counters()
    assert is_burst(got["answered"]) and got["dropped"] == COUNT - got["answered"], got
    assert is_burst(other["answered"]), "another class has a rate of its own"
    limited = after["fast_path"]["limited"] - before["fast_path"]["limited"]
    assert limited == got["dropped"] + other["dropped"]
    assert after["fast_path"]["passed"] - before["fast_path"]["passed"] < COUNT / 2, "what is dropped is not passed"


@pytest.mark.parametrize("slip", [1, 2, 5])
def test_slip(world: World, slip: int) -> None:
    world.limit(slip=slip)
    before = world.agent.counters()["fast_path"]["slipped"]
    world.agent.freeze()
    got = world.flood(wire(NAME, A, edns=1232, id=7))
    world.agent.thaw()
    assert is_burst(got["answered"]), got
    over = COUNT - got["answered"]
    assert got["truncated"] == over // slip and got["dropped"] == over - over // slip, got
    assert world.agent.counters()["fast_path"]["slipped"] - before == got["truncated"]


def test_prefix_shares(world: World) -> None:
    """A /24, and a /56, is one client."""
    world.limit()
    world.agent.freeze()
    query = wire(NAME, A, id=7)
    assert is_burst(world.flood(query, 0)["answered"])
    assert world.flood(query, 0, "192.0.2.7")["answered"] < RATE / 2
    assert is_burst(world.flood(query, 1)["answered"])
    assert world.flood(query, 1, "2001:db8:0:1:7::1")["answered"] < RATE / 2


def test_exempt(world: World) -> None:
    world.limit(exempt=["192.0.2.8/29", "2001:db8:0:1:9::/80"])
    world.agent.freeze()
    query = wire(NAME, A, id=7)
    for index, exempt in ((0, "192.0.2.9"), (1, "2001:db8:0:1:9::1")):
        assert world.flood(query, index, exempt)["answered"] == COUNT
        assert world.flood(query, index)["answered"] < RATE
    world.agent.thaw()
    world.limit()
    world.agent.freeze()
    assert world.flood(query, 0, "192.0.2.9")["answered"] <= RATE


def test_cookies(world: World) -> None:
    """To a client that knows cookies BADCOOKIE comes in TC's place, and with the cookie in it no limit."""
    world.limit(slip=2)
    world.agent.freeze()
    asked = wire(NAME, A, edns=1232, options=option(COOKIE, CLIENT), id=7)
    got = world.flood(asked)
    over = COUNT - got["answered"]
    assert is_burst(got["answered"])
    if world.lab.roomy:
        assert got["badcookie"] == over // 2 and not got["truncated"], got
    else:
        # A cookie's 16 octets more have no room in a tight frame, or just so.
        assert got["badcookie"] <= over // 2 and not got["truncated"], got
    with world.lab.client.udp(world.lab.service[0]) as sock:
        replies = [reply for reply in ask_many(sock, [asked] * 20, timeout=0.2) if reply]
    cookies = {data for reply in replies for code, data in parse(reply).options() if code == COOKIE}
    if world.lab.roomy:
        assert cookies
    for cookie in list(cookies)[:1]:
        good = wire(NAME, A, edns=1232, options=option(COOKIE, cookie), id=7)
        assert world.flood(good)["answered"] == COUNT
        bad = wire(NAME, A, edns=1232, options=option(COOKIE, cookie[:-1] + bytes([cookie[-1] ^ 1])), id=7)
        assert world.flood(bad)["answered"] < RATE


def test_reload(world: World) -> None:
    query = wire(NAME, A, id=7)
    world.limit(**{"responses-per-second": 0})
    world.agent.freeze()
    assert world.flood(query)["answered"] == COUNT
    world.agent.thaw()
    world.limit(**{"responses-per-second": 10})
    world.agent.freeze()
    assert world.flood(query)["answered"] <= 20


def test_replies_behind_the_driver(world: World) -> None:
    """A reply that is given behind the driver, or by the fallback, is charged once: the whole burst comes. The agent
    runs, since before Linux 6.6 it is the one who answers.
    """
    world.limit()
    query = wire("large1000.example.org.", TXT, edns=1232, id=7)
    before = world.agent.counters()["fast_path"]
    got = world.flood(query)
    after = world.agent.counters()["fast_path"]
    assert is_burst(got["answered"]), got
    if not world.lab.roomy:
        assert after["reasons"]["no_room"] - before["reasons"]["no_room"] >= RATE


def test_fallback(world: World) -> None:
    """Without the driver the fallback limits in the same way, by UDP alone."""
    world.limit(slip=2, exempt=["192.0.2.9"])
    before = world.agent.counters()["fallback"]
    world.agent.cli("detach")
    try:
        got = world.flood(wire(NAME, A, edns=1232, id=7))
        assert is_burst(got["answered"]), got
        over = COUNT - got["answered"]
        assert abs(got["truncated"] - over / 2) <= 1 and got["dropped"] >= over // 2, got
        counted = world.agent.counters()["fallback"]
        assert counted["slipped"] - before["slipped"] == got["truncated"]
        assert counted["limited"] - before["limited"] == got["dropped"]
        cookies = world.flood(wire(NAME, A, edns=1232, options=option(COOKIE, CLIENT), id=7))
        assert cookies["badcookie"] and not cookies["truncated"]
        assert world.flood(wire(NAME, A, id=7), source="192.0.2.9")["answered"] == COUNT
        with world.lab.client.tcp(world.lab.service[0]) as sock:
            replies = ask_tcp_many(sock, [wire(NAME, A, id=7)] * COUNT)
        assert all(reply and kind(reply) == "answered" for reply in replies)
    finally:
        world.agent.cli("attach", "front")
    with world.lab.client.udp(world.lab.service[1]) as sock:
        assert ask(sock, wire("large400.example.org.", TXT, id=7))
