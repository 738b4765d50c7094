# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed zones served by NSD, Knot DNS and BIND, asked as the server under test is, and what came of it judged.

    references = References(lab, signed)
    verdicts = references.judge(queries, replies)
    assert not verdicts.wrong, verdicts.complaint()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab import Bind, Knot, Lab, LabError, NameServer, Nsd, ask_many, ask_tcp_many
from signed import Signed
from signed_zones import DNAME, RRSIG
from verdict import Verdicts, judge
from wire import ANY, lower, name_wire, parse, query_text

KINDS: dict[str, type[NameServer]] = {"nsd": Nsd, "knot": Knot, "bind": Bind}

LONG_CHAIN = b"\x08c-long"  # how the names of the zones' one long chain of CNAMEs begin


def _hangs(kind: str, query: bytes) -> bool:
    """NSD 4.6 can hang for many seconds over a chain of signed CNAMEs that does not fit: it is asked by TCP instead."""
    return kind == "nsd" and query[12:].lower().startswith(LONG_CHAIN)


class References:
    """One server of each kind, with every zone. What they say is kept: the same is asked many times."""

    def __init__(self, lab: Lab, zones: Sequence[Signed], kinds: Sequence[str] = tuple(KINDS)) -> None:
        self.lab = lab
        self.zones = {lower(name_wire(signed.name)): signed for signed in zones}
        self.servers = {
            kind: lab.reference(KINDS[kind], [signed.zone_for(kind) for signed in zones]) for kind in kinds
        }
        self._known: dict[tuple[str, bool], dict[bytes, Any]] = {
            (kind, tcp): {} for kind in kinds for tcp in (False, True)
        }

    def apex(self, query: bytes) -> bytes:
        """The apex of the zone that a query is about."""
        name = lower(parse(query).questions[0][0])
        while name not in self.zones:
            if name == b"\0":
                raise LabError(f"no zone for {query.hex()}")
            name = name[1 + name[0] :]
        return name

    def _learn(self, kind: str, queries: Sequence[bytes], tcp: bool) -> Mapping[bytes, Any]:
        known = self._known[kind, tcp]
        new = list(dict.fromkeys(query for query in queries if query not in known))
        if not new:
            return known
        known.update(zip(new, self._ask(kind, new, tcp)))
        for again in (False, True):  # NSD may hang, whatever it was asked: what it left is asked by TCP, of a new one
            silent = [query for query in new if known[query] is None]
            if silent and again:
                self.servers[kind].stop()
                self.servers[kind].start()
            known.update(zip(silent, self._ask(kind, silent, True)))
        if None in (known[query] for query in new):
            raise LabError(f"{kind} says nothing to {query_text(silent[0])}\n{self.servers[kind].log()[-1000:]}")
        return known

    def _ask(self, kind: str, queries: Sequence[bytes], tcp: bool) -> list[bytes | None]:
        if not queries:
            return []
        address = self.servers[kind].addresses[0]
        with self.lab.client.tcp(address) if tcp else self.lab.client.udp(address) as sock:
            return ask_tcp_many(sock, queries) if tcp else ask_many(sock, queries)

    def said(self, queries: Sequence[bytes], tcp: bool = False, but: str = "") -> list[dict[str, bytes]]:
        """What each reference says, by query."""
        said: list[dict[str, bytes]] = [{} for _ in queries]
        for kind in self.servers:
            if kind == but:
                continue
            spared = [index for index, query in enumerate(queries) if not tcp and _hangs(kind, query)]
            for by_tcp, part in ((tcp, sorted(set(range(len(queries))) - set(spared))), (True, spared)):
                known = self._learn(kind, [queries[index] for index in part], by_tcp)
                for index in part:
                    said[index][kind] = known[queries[index]]
        return said

    def by_dname(self, queries: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """The queries apart that are answered by way of a DNAME, and the others before them."""
        apart: tuple[list[bytes], list[bytes]] = ([], [])
        for query, said in zip(queries, self.said(queries)):
            asked = parse(query).questions[0][1]
            there = (any(record.rrtype == DNAME for record in parse(reply).answer) for reply in said.values())
            apart[asked not in (DNAME, ANY, RRSIG) and any(there)].append(query)
        return apart

    def judge(
        self, queries: Sequence[bytes], replies: Sequence[bytes | None], *, tcp: bool = False, peer: str = ""
    ) -> Verdicts:
        """What a server said, held against all references (but itself). Without a reply there is nothing to judge.
        Where one of them does not agree at once, all are asked again by TCP: the difference may be one of size.
        """
        made, later = Verdicts(), []
        for query, reply, said in zip(queries, replies, self.said(queries, tcp, but=peer)):
            if reply is None or not said:
                continue
            apex = self.apex(query)
            verdict = judge(query, reply, said, said, apex, bool(peer))
            if verdict.against:
                later.append((query, reply, said, apex))
            else:
                made.add(query, verdict)
        in_full = self.said([query for query, *_ in later], True, but=peer)
        for (query, reply, said, apex), full in zip(later, in_full):
            made.add(query, judge(query, reply, said, full, apex, bool(peer)))
        return made
