# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle of all oracles: the same query gives the same octets by the driver, by the fallback, and over TCP.

The paths share the engine, not the way the query comes in nor the way the reply goes out; this is what holds them
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from lab import Key, Lab, Nsd, Peregrine, ask, ask_many, ask_tcp, ask_tcp_many
from odd import odd_messages
from signed import CHAIN_NSEC, CHAIN_OPT_OUT, CHAIN_SALT, sign
from signed_zones import rich_zone
from wire import TC, parse, query_text, wire
from zones import Query, any_queries, corpus, family, queries

NAMES = 300

pytestmark = pytest.mark.timeout(90)


@dataclass
class Paths:
    """What each path said to each query: each without EDNS and with it, and about signed zones with DO."""

    lab: Lab
    asked: list[Query]
    wires: list[bytes]
    driver: list[bytes | None]
    fallback: list[bytes | None]
    odd_driver: list[bytes | None]
    odd_fallback: list[bytes | None]
    counted: dict[str, int]


def ask_odd(lab: Lab) -> list[bytes | None]:
    """Each odd message on a socket of its own: a late reply must not be taken for the next one's."""
    replies = []
    for _, data in odd_messages():
        with lab.client.udp(lab.service[0]) as sock:
            replies.append(ask(sock, data, timeout=0.1) if len(data) >= 2 else None)
    return replies


def by_the_driver(lab: Lab, agent: Peregrine, wires: list[bytes]) -> list[bytes | None]:
    """With the agent frozen, so that nobody else can have answered."""
    agent.freeze()
    try:
        with lab.client.udp(lab.service[0]) as sock:
            return ask_many(sock, wires, timeout=0.5)
    finally:
        agent.thaw()


@pytest.fixture(scope="module")
def paths() -> Iterator[Paths]:
    with Lab() as lab:
        place = lab.make_directory("zones")
        zones = family(NAMES)
        rich = {chain: rich_zone(f"{chain.name}.example.") for chain in (CHAIN_NSEC, CHAIN_SALT, CHAIN_OPT_OUT)}
        signed = [sign(zone, chain) for chain, zone in rich.items()]
        served = [zone.write(place) for zone in zones] + [made.zone for made in signed]
        lab.primary_server(Nsd, served, key=Key())
        asked = corpus(zones) + [query for zone in zones for query in any_queries(zone)]
        wires = [wire(query.name, query.rrtype, edns=edns, id=7) for edns in (None, 512, 1232) for query in asked]
        proved = [query for zone in rich.values() for query in queries(zone)][::3]
        wires += [wire(query.name, query.rrtype, edns=1232, do=True, id=7) for query in proved]
        asked = asked * 3 + proved
        with lab.peregrine([zone.name for zone in served], key=Key()) as agent:
            agent.wait_serving()
            driver = by_the_driver(lab, agent, wires)
            odd_driver = ask_odd(lab)
            before = agent.counters()
            assert all(entry["mode"] == "none" for entry in agent.cli("detach"))
            with lab.client.udp(lab.service[0]) as sock:
                fallback = ask_many(sock, wires, window=32)
            odd_fallback = ask_odd(lab)
            after = agent.counters()
            counted = {
                "driver": after["fast_path"]["answered"] - before["fast_path"]["answered"],
                "fallback": after["fallback"]["udp"] - before["fallback"]["udp"],
            }
            yield Paths(lab, asked, wires, driver, fallback, odd_driver, odd_fallback, counted)


def without_time(reply: bytes | None) -> bytes | None:
    """A server cookie says when it was made: the second, and the hash over it."""
    seen = parse(reply) if reply and b"\0\x0a\0\x18" in reply else None
    for code, data in seen.options() if seen else ():
        if code == 10:
            reply = reply.replace(data[8:], bytes(16))  # type: ignore[union-attr]
    return reply


def unlike(titles: list[str], one: list[bytes | None], other: list[bytes | None]) -> list[str]:
    """Where two paths say different things, with both replies in hexadecimal."""
    return [
        f"{title}\n  {mine.hex() if mine else mine}\n  {his.hex() if his else his}"
        for title, mine, his in zip(titles, one, other)
        if without_time(mine) != without_time(his)
    ]


def test_driver_and_fallback(paths: Paths) -> None:
    assert paths.counted["driver"] == 0, "the driver went on answering after `detach`"
    assert paths.counted["fallback"] >= len(paths.wires)
    assert None not in paths.driver
    found = unlike([query_text(data) for data in paths.wires], paths.driver, paths.fallback)
    assert not found, f"{len(found)} of {len(paths.wires)} differ\n" + "\n".join(found[:5])


def test_odd_messages(paths: Paths) -> None:
    found = unlike([title for title, _ in odd_messages()], paths.odd_driver, paths.odd_fallback)
    assert sum(reply is not None for reply in paths.odd_driver) > 100
    assert not found, f"{len(found)} differ\n" + "\n".join(found[:5])


def test_tcp(paths: Paths) -> None:
    """Over TCP what is not truncated over UDP is the same; where additional data was left out, more of it may come."""
    with paths.lab.client.tcp(paths.lab.service[1]) as sock:
        replies = ask_tcp_many(sock, paths.wires)
    assert None not in replies
    whole = [index for index, reply in enumerate(paths.fallback) if reply and not reply[2] & TC >> 8]
    shorter = [index for index in whole if len(replies[index]) > len(paths.fallback[index])]  # type: ignore[arg-type]
    found = unlike(
        [query_text(paths.wires[index]) for index in whole if index not in shorter],
        [paths.fallback[index] for index in whole if index not in shorter],
        [replies[index] for index in whole if index not in shorter],
    )
    assert len(whole) > len(paths.wires) * 0.9
    assert not found, f"{len(found)} of {len(whole)} differ\n" + "\n".join(found[:5])
    groups = {paths.asked[index].group.removesuffix(", mixed case") for index in shorter}
    assert groups <= {"additional", "cname", "ANY, additional"}, groups


def test_tcp_ipv4(paths: Paths) -> None:
    for data, reply in list(zip(paths.wires, paths.fallback))[::500]:
        seen = ask_tcp(paths.lab.client.name, paths.lab.service[0], data)
        assert seen is not None and (seen == reply or reply is None or reply[2] & TC >> 8), query_text(data)
