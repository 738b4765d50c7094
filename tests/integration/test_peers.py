# SPDX-License-Identifier: GPL-3.0-or-later
"""What NSD, Knot DNS and BIND say to the same questions about the same zones, and where they differ from each other.

This tests the laboratory and writes down what "as the peers do" means: build/peers.txt in full, build/peers.md as the
table that docs/peers.md holds.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab import BUILD, Bind, Knot, Lab, NameServer, Nsd, Tally, ask, ask_many, ask_tcp_many
from odd import odd_messages
from wire import HTTPS, MX, NS, SOA, SRV, Malformed, Message, Normal, difference, faults, normalise, parse, wire
from zones import ZoneFile, any_queries, corpus, dname_zone, family, queries

NAMES = 200
KINDS = {"NSD": Nsd, "Knot": Knot, "BIND": Bind}

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def zone_files() -> list[ZoneFile]:
    return [*family(NAMES), dname_zone()]


@pytest.fixture(scope="module")
def peers(zone_files: list[ZoneFile]) -> Iterator[tuple[Lab, dict[str, NameServer]]]:
    with Lab() as lab:
        place = lab.make_directory("zones")
        served = [zone.write(place) for zone in zone_files]
        yield lab, {name: lab.reference(kind, served) for name, kind in KINDS.items()}


def ask_all(
    lab: Lab, servers: Mapping[str, NameServer], wires: list[bytes], family: int = 0
) -> dict[str, list[bytes | None]]:
    """The same queries to each server. A server that says nothing to a query has it asked again, alone, before that
    counts.
    """
    found = {}
    for name, server in servers.items():
        with lab.client.udp(server.addresses[family]) as sock:
            replies = ask_many(sock, wires, tally=Tally())
            found[name] = [ask(sock, data) if reply is None else reply for data, reply in zip(wires, replies)]
    return found


# -------------------------------------------------------------------------------------------------------------- summary


def shape(reply: bytes | None) -> str:
    """A reply in a few words: rcode, flags, what stands in the sections."""
    if reply is None:
        return "no reply"
    try:
        seen = parse(reply)
    except Malformed as fault:
        return f"{len(reply)} octets, {fault}"
    parts = [f"{rcode_text(seen)}"]
    flags = seen.flag_text().replace("qr", "").split()
    parts.append(" ".join(flags) or "-")
    for letter, section in (("an", seen.answer), ("ns", seen.authority), ("ar", seen.additional)):
        if section:
            parts.append(f"{letter} {types_text(section)}")
    if seen.opt:
        options = "".join(f" opt{code}[{len(data)}]" for code, data in seen.options())
        parts.append(
            f"OPT {seen.opt.rrclass}{' DO' if seen.opt.ttl & 0x8000 else ''}"
            f"{f' z{seen.opt.ttl & 0x7FFF:x}' if seen.opt.ttl & 0x7FFF else ''}{options}"
        )
    if len(seen.questions) != 1:
        parts.append(f"qd {len(seen.questions)}")
    if seen.opcode:
        parts.append(f"opcode {seen.opcode}")
    if seen.trailing:
        parts.append(f"{len(seen.trailing)} trailing")
    return "; ".join(parts)


def rcode_text(seen: Message) -> str:
    from wire import RCODES

    return RCODES.get(seen.rcode, str(seen.rcode))


def types_text(section: list) -> str:
    import dns.rdatatype

    counted = collections.Counter(
        dns.rdatatype.to_text(dns.rdatatype.RdataType.make(record.rrtype)) for record in section
    )
    return " ".join(f"{kind}×{count}" if count > 1 else kind for kind, count in counted.items())


def agree(normals: Mapping[str, Normal]) -> bool:
    return len(set(normals.values())) == 1


class Report:
    """Differences by group of query, one example each in the table, all in the text."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []

    def write(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        lines = ["| case | NSD | Knot DNS | BIND |", "|---|---|---|---|"]
        for case, cells in self.rows:
            shown = list(cells.values())
            if len(set(shown)) == 1:
                shown = [shown[0], "same", "same"]
            lines.append("| " + " | ".join([case, *shown]).replace("\n", " ") + " |")
        (place / "peers.md").write_text("\n".join(lines) + "\n")
        (place / "peers.txt").write_text("\n".join(self.text) + "\n")


REPORT = Report()


@pytest.fixture(scope="module", autouse=True)
def write_report() -> Iterator[None]:
    yield
    REPORT.write(BUILD)


# ---------------------------------------------------------------------------------------------------------------- tests


def drop_optional(query_type: int, seen: Normal) -> Normal:
    """Without what Knot's minimal answers leave out of positive answers: the apex NS and the data about them."""
    if seen.rcode == 0 and seen.answer and not any(record.rrtype == SOA for record in seen.authority):
        return seen._replace(
            authority=frozenset(),
            additional=frozenset() if query_type not in (NS, MX, SRV, HTTPS, 18, 36, 64) else seen.additional,
        )
    return seen


@pytest.mark.parametrize("edns", [None, 1232, 4096])
@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_corpus(
    peers: tuple[Lab, dict[str, NameServer]], zone_files: list[ZoneFile], edns: int | None, address_family: int
) -> None:
    """Every query is answered by all three, in good shape; where they differ is written down by group."""
    lab, servers = peers
    asked = corpus(zone_files)
    wires = [wire(query.name, query.rrtype, edns=edns, id=7) for query in asked]
    found = ask_all(lab, servers, wires, address_family)
    groups: dict[tuple[str, tuple[str, ...]], list[int]] = collections.defaultdict(list)
    for index, query in enumerate(asked):
        replies = {name: found[name][index] for name in servers}
        for name, reply in replies.items():
            assert reply is not None, f"{name} does not answer {query}"
            assert not [
                fault for fault in faults(reply, wires[index]) if not fault.startswith("duplicate")
            ], f"{name}: {query}: {faults(reply, wires[index])}"
        normals = {name: drop_optional(query.rrtype, normalise(reply)) for name, reply in replies.items()}
        if any(normal.tc for normal in normals.values()):
            normals = {
                name: normal._replace(answer=frozenset(), authority=frozenset(), additional=frozenset(), aa=False)
                for name, normal in normals.items()
            }
        if not agree(normals):
            groups[query.group, tuple(shape(reply) for reply in replies.values())].append(index)
    if address_family == 0:
        summarise(f"corpus, {'no EDNS' if edns is None else f'EDNS {edns}'}", asked, groups, servers, found)


def summarise(title: str, asked: list, groups: Mapping, servers: Mapping, found: Mapping) -> None:
    REPORT.text.append(f"==== {title}: {sum(map(len, groups.values()))} of {len(asked)} queries answered differently")
    for (group, shapes), indices in sorted(groups.items()):
        first = asked[indices[0]]
        REPORT.text.append(f"-- {group} ({len(indices)} queries), e.g. {first.name} type {first.rrtype}")
        REPORT.text += [f"   {name:5} {text}" for name, text in zip(servers, shapes)]
        names = list(servers)
        for other in names[1:]:
            lines = difference(normalise(found[other][indices[0]]), normalise(found[names[0]][indices[0]]))
            REPORT.text += [f"   {names[0]} (-) {other} (+)", *(f"   {line}" for line in lines)]


def test_any(peers: tuple[Lab, dict[str, NameServer]], zone_files: list[ZoneFile]) -> None:
    lab, servers = peers
    asked = [query for zone in zone_files for query in any_queries(zone) if query.group != "ANY, ordinary"]
    wires = [wire(query.name, query.rrtype, edns=1232, id=7) for query in asked]
    found = ask_all(lab, servers, wires)
    groups: dict[tuple[str, tuple[str, ...]], list[int]] = collections.defaultdict(list)
    for index, query in enumerate(asked):
        replies = [found[name][index] for name in servers]
        assert all(replies), query
        groups[query.group, tuple(shape(reply) for reply in replies)].append(index)
    summarise("ANY", asked, groups, servers, found)


def odd_shapes(lab: Lab, server: NameServer) -> dict[str, str]:
    """What a server says to each odd message. The silent ones are asked once more with more time: silence must not be
    slowness.
    """
    found = {}
    with lab.client.udp(server.addresses[0]) as sock:
        for title, data in odd_messages():
            found[title] = shape(ask(sock, data, timeout=0.15) if data else None)
        for title, data in odd_messages():
            if data and found[title] == shape(None):
                found[title] = shape(ask(sock, data, timeout=0.4))
        assert ask(sock, wire("www.example.org.", 1, id=9)), f"{server.kind} is dead"
    return found


def test_odd_messages(peers: tuple[Lab, dict[str, NameServer]]) -> None:
    """Each odd message alone, with time to say nothing; the server must be alive afterwards."""
    lab, servers = peers
    cases = odd_messages()
    with ThreadPoolExecutor() as pool:  # most of the time is waiting for replies that do not come
        shapes = dict(zip(servers, pool.map(lambda server: odd_shapes(lab, server), servers.values())))
    found = {title: {name: said[title] for name, said in shapes.items()} for title, _ in cases}
    REPORT.rows += list(found.items())


def test_tcp_answers_as_udp(peers: tuple[Lab, dict[str, NameServer]], zone_files: list[ZoneFile]) -> None:
    """The helpers' TCP side: pipelined, all answered, never truncated."""
    lab, servers = peers
    asked = [query for zone in zone_files for query in queries(zone)][:1500]
    wires = [wire(query.name, query.rrtype, edns=1232, id=7) for query in asked]
    for name, server in servers.items():
        start = time.monotonic()
        with lab.client.tcp(server.addresses[1]) as sock:
            replies = ask_tcp_many(sock, wires)
        for query, reply in zip(asked, replies):
            assert reply is not None, f"{name} does not answer {query} over TCP ({time.monotonic() - start:.1f} s)"
            assert not normalise(reply).tc
