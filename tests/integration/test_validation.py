# SPDX-License-Identifier: GPL-3.0-or-later
"""A validating resolver believes what is said about signed zones: every kind of answer and of denial. What is not
properly signed is served as far as it goes, and nothing is proved that the zone does not prove.
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab import BUILD, Knot, Lab, Zone, ask_many
from signed import (
    CHAIN_NSEC,
    CHAIN_NSEC3,
    CHAINS,
    Chain,
    Fault,
    Signed,
    delegation_signer,
    given,
    rdata_type,
    sign,
    spoil,
)
from signed_zones import DNAME, NSEC3, RRSIG, rich_zone, rootlike_zone
from subject import Subject, subject
from validator import Unbound, secure
from wire import AA, AD, ANY, CNAME, DS, SOA, TC, TXT, A, Message, name_wire, normalise, parse, query_text, wire
from zones import Query, ZoneFile, queries

ROOT_ZONE = os.environ.get("PEREGRINE_ROOT_ZONE")
SHARE = int(os.environ.get("PEREGRINE_VALIDATED", "2"))  # every how many of the special cases

pytestmark = pytest.mark.timeout(180)


@dataclass
class World:
    lab: Lab
    tested: Subject
    unbound: Unbound
    zones: dict[str, ZoneFile]
    signed: dict[str, Signed]

    def resolve(self, name: str, rrtype: int) -> Message:
        reply = self.unbound.ask([wire(name, rrtype, edns=1232, do=True, flags=0x100, id=7)])[0]
        assert reply, f"unbound says nothing to {name} {rrtype}"
        return parse(reply)


def child_zones(name: str) -> tuple[ZoneFile, ZoneFile]:
    """A child that is signed and one that is not: their parents' proofs are only believed as a whole with them."""
    children = []
    for label in ("signed-child", "plain-child"):
        zone = ZoneFile(f"{label}.{name}", 1)
        zone.lines += [f"@ SOA ns1.{name} hostmaster.{name} 1 3600 600 1209600 300", f"@ NS ns.{label}.{name}"]
        zone.lines += ["ns A 192.0.2.250", "www A 192.0.2.251"]
        children.append(zone)
    return children[0], children[1]


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    zones: dict[str, ZoneFile] = {}
    signed: dict[str, Signed] = {}
    below: list[Zone] = []
    with Lab() as lab:
        place = lab.make_directory("children")
        for chain in CHAINS:
            zone = zones[chain.name] = rich_zone(f"{chain.name}.example.")
            first, second = child_zones(zone.name)
            child = sign(first, CHAIN_NSEC)
            zone.lines += [f"{made.name} NS ns.{made.name}" for made in (first, second)]
            zone.lines.append(f"{first.name} DS {delegation_signer(child)}")
            signed[chain.name] = sign(zone, chain)
            below += [child.zone, second.write(place)]
        served = list(signed.values())
        children = lab.reference(Knot, below)
        with subject(lab, served) as tested:
            stubs = {made.name: tested.addresses[0] for made in served}
            stubs |= {zone.name: children.addresses[0] for zone in below}
            with Unbound(lab, stubs, served) as unbound:
                yield World(lab, tested, unbound, zones, signed)


@pytest.fixture(params=[chain.name for chain in CHAINS])
def chain(request: pytest.FixtureRequest) -> str:
    return request.param


def beyond_unbound(query: Query, seen: Message) -> bool:
    """What Unbound 1.17 fails at whoever answers: an expanded name that begins with an asterisk itself, a wildcard that
    is an ENT and has no NSEC, types asked for below a DNAME that are not followed, the DS of an apex, which is the
    parent's to say, also behind a CNAME, and more than some links of a chain. Names of very many labels take it long: it asks for a DS at each.
    """
    kinds = {record.rrtype for record in seen.answer}
    expanded = query.name.startswith("*.") and any(
        record.rrtype == RRSIG and record.rdata[3] < query.name.count(".") for record in seen.answer
    )
    return (
        expanded
        or query.group.startswith(("wildcard that is an ENT", "many labels"))
        or (DNAME in kinds and query.rrtype in (DNAME, CNAME))
        or (query.rrtype == DS and (CNAME in kinds or query.group == "apex"))
        or sum(record.rrtype == CNAME for record in seen.answer) > 8
    )


def resolvable(world: World, asked: Sequence[Query]) -> list[tuple[Query, Message]]:
    """What a resolver can find out by the zones that it is told of: no referrals, no target elsewhere, no loop."""
    wires = [wire(query.name, query.rrtype, edns=1232, do=True, id=7) for query in asked]
    found = []
    for query, data, reply in zip(asked, wires, world.tested.ask(wires)):
        if reply and parse(reply).flags & TC:
            reply = world.tested.ask_tcp(data)
        if reply is None or query.rrtype in (ANY, RRSIG, NSEC3):
            continue
        seen = parse(reply)
        ended = any(record.rrtype == query.rrtype for record in seen.answer)
        denied = any(record.rrtype == SOA for record in seen.authority)
        if seen.flags & AA and seen.rcode in (0, 3) and (ended or denied) and not beyond_unbound(query, seen):
            found.append((query, seen))
    return found


def may_be_insecure(chain: str, rrtype: int, seen: Message) -> bool:
    """With opt-out, a name that is covered is not proved to be missing: an unsigned delegation may be there."""
    proofs = [record for record in seen.authority if record.rrtype == NSEC3]
    positive = not any(record.rrtype == SOA for record in seen.authority)
    return chain == "optout" and bool(proofs) and (len(proofs) > 1 or positive or rrtype == DS)


def test_every_kind(world: World, chain: str) -> None:
    asked = list(queries(world.zones[chain]))
    chosen = resolvable(world, [query for index, query in enumerate(asked) if index % SHARE == 0])
    wires = [wire(query.name, query.rrtype, edns=1232, do=True, flags=0x100, id=7) for query, _ in chosen]
    kinds: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    wrong = []
    for (query, seen), data, reply in zip(chosen, wires, world.unbound.ask(wires)):
        group = query.group.removesuffix(", mixed case")
        assert reply is not None, f"unbound says nothing to {query_text(data)}"
        said = parse(reply)
        if said.rcode != seen.rcode:
            kinds[group]["bogus"] += 1
            wrong.append(f"{group}: {query_text(data)}: rcode {said.rcode}, and not {seen.rcode}")
        elif secure(reply):
            kinds[group]["secure"] += 1
        else:
            kinds[group]["insecure"] += 1
            if not may_be_insecure(chain, query.rrtype, seen):
                wrong.append(f"{group}: {query_text(data)}: insecure")
    report(f"== validated, {chain}", [f"{group}: {dict(counted)}" for group, counted in sorted(kinds.items())])
    assert len(chosen) > len(asked) / SHARE / 2
    assert not wrong, "\n".join([f"{len(wrong)} of {len(chosen)}", *wrong[:20], world.unbound.why()])


def report(title: str, lines: Sequence[str]) -> None:
    with (BUILD / "validation.txt").open("a") as out:
        out.write("\n".join([title, *(f"  {line}" for line in lines)]) + "\n")


def test_below_the_cuts(world: World, chain: str) -> None:
    """The child with DS is secure, the one without is not, and neither is bogus."""
    name = world.signed[chain].name
    for label, expected in (("signed-child", True), ("plain-child", False)):
        for host, rrtype, rcode in (("www.", A, 0), ("www.", TXT, 0), ("missing.", A, 3), ("", SOA, 0)):
            seen = world.resolve(f"{host}{label}.{name}", rrtype)
            assert (seen.rcode, bool(seen.flags & AD)) == (rcode, expected), f"{host}{label}\n{world.unbound.why()}"


def test_no_ds(world: World, chain: str) -> None:
    """What proves that a delegation is not signed: secure, but where it is opted out of."""
    for label in ("ins", "ins2", "ins.cents", "ins.one.two", "ins.wcut", "run3"):
        seen = world.resolve(f"{label}.{world.signed[chain].name}", DS)
        assert (seen.rcode, bool(seen.flags & AD)) == (0, chain != "optout"), f"{label}\n{world.unbound.why()}"


# -------------------------------------------------------------------------------------------------------- the root zone


@pytest.mark.parametrize("kind", ["rootlike", "real"] if ROOT_ZONE else ["rootlike"])
def test_root(kind: str) -> None:
    made = given(Path(ROOT_ZONE or ""), ".", CHAIN_NSEC) if kind == "real" else sign(rootlike_zone(300), CHAIN_NSEC)
    with Lab() as lab, subject(lab, [made]) as tested, Unbound(lab, {".": tested.addresses[0]}, [made]) as unbound:
        cuts = sorted({line.split()[0] for line in made.lines() if rdata_type(line) == "NS"} - {"."})[:: 15 if kind == "real" else 2]
        names = [(cut, DS, 0) for cut in cuts] + [(f"no-{cut}", A, 3) for cut in cuts] + [(".", SOA, 0), (".", TXT, 0)]
        wires = [wire(name, rrtype, edns=1232, do=True, flags=0x100, id=7) for name, rrtype, _ in names]
        for (name, rrtype, rcode), reply in zip(names, unbound.ask(wires)):
            assert reply and secure(reply) and parse(reply).rcode == rcode, f"{name} {rrtype}\n{unbound.why()}"


# --------------------------------------------------------------------------------------------------- badly signed zones


def covers(line: str, kind: str) -> bool:
    return rdata_type(line) in (kind, f"RRSIG/{kind}")


def unsigned_address(lines: list[str]) -> list[str]:
    """The RRSIG of one RRset is missing."""
    return [line for line in lines if not (line.startswith("www.") and rdata_type(line) == "RRSIG/A")]


def gap(lines: list[str]) -> list[str]:
    """One NSEC of the chain is missing."""
    return [line for line in lines if not (line.startswith("mail1.") and covers(line, "NSEC"))]


def no_chain(lines: list[str]) -> list[str]:
    """NSEC3PARAM stands there, and not one NSEC3."""
    return [line for line in lines if not covers(line, "NSEC3")]


def unknown_hash(lines: list[str]) -> list[str]:
    """A hash algorithm that nobody knows."""
    found = []
    for line in lines:
        words = line.split(None, 5)
        if words[3] in ("NSEC3", "NSEC3PARAM"):
            words[4] = "200"
        found.append(" ".join(words))
    return found


@dataclass(frozen=True)
class Bad:
    """What is wrong with a zone, what to ask that has no proof then, and what the log is to speak of."""

    fault: Fault
    chain: Chain
    unproved: Mapping[str, int]
    word: str

    @property
    def name(self) -> str:
        return f"{self.fault.__name__.replace('_', '-')}.example."


BAD = (
    Bad(unsigned_address, CHAIN_NSEC, {}, "RRSIG"),
    Bad(gap, CHAIN_NSEC, {"mail1-a": A, "mail1": TXT}, "NSEC"),
    Bad(no_chain, CHAIN_NSEC3, {"no-such": A, "www": TXT, "a.wild": A, "ins": A}, "NSEC3"),
    Bad(unknown_hash, CHAIN_NSEC3, {"no-such": A, "www": TXT, "a.wild": A, "ins": A}, "NSEC3"),
)


@pytest.fixture(scope="module")
def badly() -> Iterator[tuple[Subject, dict[str, Signed]]]:
    with Lab() as lab:
        place = lab.make_directory("bad")
        zones = {bad.name: spoil(sign(rich_zone(bad.name), bad.chain), place, bad.fault) for bad in BAD}
        with subject(lab, list(zones.values())) as tested:
            yield tested, zones


def ask_bad(tested: Subject, name: str, rrtype: int, do: bool) -> Message:
    with tested.lab.client.udp(tested.addresses[0]) as sock:
        reply = ask_many(sock, [wire(name, rrtype, edns=1232, do=do, id=7)], timeout=2.0)[0]
    assert reply, f"nothing is said to {name} {rrtype}"
    return parse(reply)


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_badly_signed(badly: tuple[Subject, dict[str, Signed]], bad: Bad) -> None:
    """Without DO all is as in any zone; with DO there is no denial without its proof."""
    tested, _ = badly
    for label, rrtype in bad.unproved.items():
        name = f"{label}.{bad.name}"
        plain, seen = ask_bad(tested, name, rrtype, False), ask_bad(tested, name, rrtype, True)
        assert plain.rcode in (0, 3), f"{name} without DO"
        assert seen.rcode == 2 and not seen.answer and not seen.authority, f"{name} with DO:\n{seen}"
    for label, rrtype in (("mail2", A), ("many-mx", 15), ("c-in", A), ("sec", DS)):
        seen = ask_bad(tested, f"{label}.{bad.name}", rrtype, True)
        assert seen.rcode == 0 and any(record.rrtype == RRSIG for record in seen.answer), f"{label}\n{seen}"
    seen = ask_bad(tested, f"www.{bad.name}", A, True)
    assert normalise(seen).rcode == 0 and seen.answer[0].owner == name_wire(f"www.{bad.name}")


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_badly_signed_is_said(badly: tuple[Subject, dict[str, Signed]], bad: Bad) -> None:
    """One line in the log, which names the zone and what is wrong with it."""
    tested, _ = badly
    name = re.escape(bad.name.rstrip("."))
    found = [line for line in tested.log().splitlines() if re.search(rf"\b{name}\b.*\b{bad.word}\b", line)]
    assert len(found) == 1, "\n".join(["these lines of the log speak of it:", *found, tested.log()[-3000:]])


def test_the_rest_of_a_gap_is_proved(badly: tuple[Subject, dict[str, Signed]]) -> None:
    tested, _ = badly
    seen = ask_bad(tested, "zz-no-such.gap.example.", A, True)
    assert seen.rcode == 3 and sum(record.rrtype == RRSIG for record in seen.authority) >= 2, str(seen)
