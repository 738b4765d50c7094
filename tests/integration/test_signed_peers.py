# SPDX-License-Identifier: GPL-3.0-or-later
"""What NSD, Knot DNS and BIND say about signed zones with DO, each held against the other two.

This tests the laboratory and writes build/peers-dnssec.txt: how often each differs from each, by rule and by kind of
difference, with examples. docs/peers.md says what it comes to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from draw import corpus_queries, draw
from lab import BUILD, Lab
from references import KINDS, References
from signed import CHAIN_NSEC, CHAIN_NSEC3, CHAIN_OPT_OUT, CHAINS, Signed, sign
from signed_zones import many_zone, rich_zone, rootlike_zone
from verdict import Verdicts
from zones import queries

SEED = int(os.environ.get("PEREGRINE_SEED", "1"))
DRAWN = int(os.environ.get("PEREGRINE_DRAWN", "150"))
DENIAL = ("NODATA", "NXDOMAIN", "apex", "ENT", "order", "glue", "signed cut", "insecure cut", "insecure ENT", "type")
DENIAL += ("DNAME", "CNAME", "additional", "wildcard", "wildcard NODATA", "wildcard below ENTs", "wildcard CNAME")
DENIAL += ("wildcard that is an ENT",)
REPORT: list[str] = []

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made
    (BUILD / "peers-dnssec.txt").write_text("\n".join(REPORT) + "\n")


def disagreement(verdicts: Verdicts) -> float:
    return len(verdicts.wrong) / max(1, verdicts.count)


def compare_all(references: References, asked: dict[str, list[bytes]]) -> None:
    for title, wires in asked.items():
        for kind in KINDS:
            replies = [said.get(kind) for said in references.said(wires)]
            verdicts = references.judge(wires, replies, peer=kind)
            assert disagreement(verdicts) < 0.3, verdicts.complaint()  # else it is the laboratory that is at fault
            REPORT.append(f"==== {title}: {kind} against the others: {verdicts.report(examples=True)}")


def test_rich_zones(lab: Lab) -> None:
    zones = [rich_zone(f"{chain.name}.example.") for chain in CHAINS]
    signed = [sign(zone, chain) for zone, chain in zip(zones, CHAINS)]
    references = References(lab, signed)
    for zone, chain in zip(zones, CHAINS):
        if chain in (CHAIN_NSEC, CHAIN_NSEC3, CHAIN_OPT_OUT):
            asked = [(query.name, query.rrtype) for query in queries(zone) if query.group in DENIAL or DRAWN > 1000]
            compare_all(references, {zone.name: corpus_queries(asked)})
    compare_all(references, {f"drawn, {made.name}": draw(made, DRAWN, SEED) for made in signed})


def test_many_names(lab: Lab) -> None:
    signed: list[Signed] = [sign(many_zone(f"many-{chain.name}.example.", 500), chain) for chain in CHAINS]
    references = References(lab, signed)
    compare_all(references, {f"drawn, {made.name}": draw(made, DRAWN, SEED) for made in signed})


def test_rootlike(lab: Lab) -> None:
    zone = rootlike_zone(300)
    signed = sign(zone, CHAIN_NSEC)
    references = References(lab, [signed])
    asked = corpus_queries([(query.name, query.rrtype) for query in queries(zone)]) + draw(signed, DRAWN, SEED)
    compare_all(references, {"the root": asked})
