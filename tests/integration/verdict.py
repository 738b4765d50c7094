# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an answer about a signed zone is right: whether it is what one of NSD, Knot DNS and BIND says.

Whole replies are compared, as sets of records by section. Where a server may say more, or less, or another part of the
same, a rule by name says how far; each has its line in docs/peers.md. `Verdicts` counts by reference and rule.

    verdict = judge(query, reply, {"nsd": …, "knot": …, "bind": …}, {"nsd": … by TCP}, apex)
    assert verdict.right, verdict.lines
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from signed_zones import RRSIG
from wire import ANY, CNAME, NS, Normal, Record, difference, faults, lower, normalise, parse, query_text

LARGEST = 1232  # of what a reply by UDP may have
SPARE = 160  # what names and signatures less well compressed may take
HOST = 320  # an additional host: A and AAAA with a signature each


@dataclass(frozen=True)
class Asked:
    """A query, taken apart; `apex` is that of the zone that it is about."""

    name: bytes
    rrtype: int
    limit: int
    apex: bytes


def asked_of(query: bytes, apex: bytes) -> Asked:
    seen = parse(query)
    name, rrtype, _ = seen.questions[0]
    size = min(LARGEST, max(512, seen.opt.rrclass)) if seen.opt else 512
    return Asked(lower(name), rrtype, size, apex)


def covered(record: Record) -> int:
    """The type that a record belongs to: of an RRSIG what it covers."""
    return int.from_bytes(record.rdata[:2], "big") if record.rrtype == RRSIG else record.rrtype


# ---------------------------------------------------------------------------------------------------------------- rules


def minimal(asked: Asked, ref: Normal) -> Normal:
    """Positive answers without the apex NS in authority and the addresses that come with it: Knot's way."""
    extra = {record for record in ref.authority if record.owner == asked.apex and covered(record) == NS}
    if not extra or not ref.aa or ref.rcode:
        return ref
    wanted = b"".join(record.rdata for record in ref.answer if record.rrtype not in (RRSIG, CNAME)).lower()
    kept = frozenset(record for record in ref.additional if record.owner in wanted)
    return ref._replace(authority=ref.authority - extra, additional=kept)


def one_rrset(asked: Asked, mine: Normal, full: Normal) -> bool:
    """QTYPE ANY: one RRset of the name with its signatures. QTYPE RRSIG: those of one RRset, or all."""
    if asked.rrtype not in (ANY, RRSIG) or mine.rcode != full.rcode:
        return False
    if not mine.answer or not mine.answer <= full.answer:
        return False
    if asked.rrtype == ANY:
        return len({covered(record) for record in mine.answer}) == 1
    return mine.authority <= full.authority


def chain_limit(asked: Asked, mine: Normal, full: Normal) -> bool:
    """A chain of CNAMEs cut short: nobody follows as many as another."""
    links = sum(record.rrtype == CNAME for record in mine.answer)
    return mine.rcode == 0 and links >= 5 and mine.answer < full.answer and not mine.authority


def additional_left_out(asked: Asked, mine: Normal, full: Normal, size: int) -> bool:
    """Additional data that did not fit, with everything else as it should be."""
    return mine._replace(additional=frozenset()) == full._replace(additional=frozenset()) and (
        mine.additional < full.additional and size + HOST > asked.limit
    )


def truncated(asked: Asked, mine: Normal, full: Normal, full_size: int) -> bool:
    """TC where the whole is larger than what may be sent, or nearly: what is kept then is everyone's own choice."""
    return mine.tc and mine.rcode == full.rcode and full_size + SPARE > asked.limit


def own_ttl(ref: Normal) -> Normal:
    """RRSIGs of an answer with the TTL of the RRset that they sign (RFC 4034 section 3), where the zone has another."""
    return ref._replace(
        answer=frozenset(
            record._replace(ttl=int.from_bytes(record.rdata[4:8], "big")) if record.rrtype == RRSIG else record
            for record in ref.answer
        )
    )


# ------------------------------------------------------------------------------------------------------------- verdicts


@dataclass
class Verdict:
    """`by` names the references that agree, with the rule that it took; `against` says what differs from the others."""

    by: dict[str, str] = field(default_factory=dict)
    against: dict[str, list[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return bool(self.by) and not self.faults


def _rule(asked: Asked, mine: Normal, size: int, ref: Normal, full: Normal, full_size: int) -> str | None:
    """The rule by which a reply is that of a reference, "" when it is the same; None when it is not."""
    if mine == ref:
        return ""
    plain = minimal(asked, ref)
    if mine == plain:
        return "minimal"
    whole = minimal(asked, full)
    tests: Sequence[tuple[str, Callable[[], bool]]] = (
        ("fits", lambda: not mine.tc and mine in (full, whole)),
        ("truncated", lambda: truncated(asked, mine, full, full_size)),
        ("additional left out", lambda: additional_left_out(asked, mine, whole, size)),
        ("one RRset", lambda: one_rrset(asked, mine, full)),
        ("chain limit", lambda: chain_limit(asked, mine, full)),
        ("TTL of RRSIG", lambda: mine == own_ttl(plain)),
    )
    for name, test in tests:
        if test():
            return name
    return None


def judge(
    query: bytes,
    reply: bytes,
    said: Mapping[str, bytes],
    in_full: Mapping[str, bytes],
    apex: bytes,
    peer: bool = False,
) -> Verdict:
    """`said` is what each reference says by the same transport, `in_full` what it says by TCP. A `peer` is a reference
    that is held against the others: it need not be minimal.
    """
    made = Verdict(faults=faults(reply, query))
    if any(text.startswith("malformed") for text in made.faults):
        made.lines = [f"{query_text(query)}: {', '.join(made.faults)}"]
        return made
    asked, mine = asked_of(query, apex), normalise(reply)
    mine = minimal(asked, mine) if peer else mine
    if made.faults:  # a duplicate that a reference sends as well is none of ours
        shared = {fault for other in said.values() for fault in faults(other, query)}
        made.faults = [text for text in made.faults if text not in shared]
    for who, theirs in said.items():
        full = in_full.get(who, theirs)
        rule = _rule(asked, mine, len(reply), normalise(theirs), normalise(full), len(full))
        if rule is None:
            made.against[who] = difference(mine, minimal(asked, normalise(theirs)))
        else:
            made.by[who] = rule
    if not made.right:
        made.lines = [f"{query_text(query)}: {', '.join(made.faults) or 'as none of the references'}"]
        for who, lines in made.against.items():
            made.lines += [f" against {who}:", *lines]
    return made


def _kind(line: str) -> str:
    """A line of a difference without what is particular to the query: section, sign, type."""
    words = line.split()
    if len(words) < 6 or words[0] not in ("answer:", "authority:", "additional:"):
        return " ".join(words[:4])
    return f"{words[0]} {words[1]} {words[5]}{'/' + words[6] if words[5] == 'RRSIG' else ''}"


class Verdicts:
    """Counts, by reference: how often each rule was needed, and what else differed, with an example of each."""

    def __init__(self) -> None:
        self.rules: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self.examples: dict[tuple[str, str], list[str]] = {}
        self.alone: collections.Counter[str] = collections.Counter()  # agreement with one reference against the others
        self.wrong: list[Verdict] = []
        self.count = 0

    def add(self, query: bytes, verdict: Verdict) -> None:
        self.count += 1
        for who, rule in verdict.by.items():
            self.rules[who][rule or "the same"] += 1
        for who, lines in verdict.against.items():
            kind = "; ".join(dict.fromkeys(_kind(line) for line in sorted(lines)))
            self.rules[who][f"differs: {kind}"] += 1
            self.examples.setdefault((who, kind), [query_text(query), *lines])
        if len(verdict.by) == 1 and verdict.against:
            self.alone[next(iter(verdict.by))] += 1
        if not verdict.right:
            self.wrong.append(verdict)

    def report(self, examples: bool = False) -> str:
        lines = [f"{self.count} answers, {len(self.wrong)} as none of the references"]
        lines += [f"  {who:5} {number:7} as this one alone" for who, number in self.alone.items()]
        for who, counter in sorted(self.rules.items()):
            for rule, number in counter.most_common():
                lines.append(f"  {who:5} {number:7} {rule}")
                if examples and rule.startswith("differs: "):
                    lines += [f"          {line}" for line in self.examples[who, rule[9:]]]
        return "\n".join(lines)

    def complaint(self, most: int = 6) -> str:
        lines = [f"{len(self.wrong)} of {self.count} answers are as none of the references"]
        for verdict in self.wrong[:most]:
            lines += verdict.lines
        return "\n".join(lines)
