# SPDX-License-Identifier: GPL-3.0-or-later
"""What the references say, asked once, and a server under test held against it.

    oracle = Oracle(lab, served)                      # NSD and Knot DNS, each in a namespace of its own
    examined = oracle.examine(lab.client, lab.service[0], queries)
    assert not examined.lost and not examined.wrong, examined.report()
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lab import Knot, Lab, LabError, Namespace, NameServer, Nsd, Tally, Zone, ask_many, ask_tcp_many
from wire import NS, CNAME, Normal, compare, parse


def minimal(seen: Normal, rrtype: int) -> Normal:
    """A reply without what Knot DNS leaves out of positive answers and NSD and BIND put in: the NS records of the apex
    and the addresses that are there for these alone. What the answer itself points to stays.

    The rule "either of the references, field by field" would not do: authority and additional go together here.
    """
    positive = any(record.rrtype in (rrtype, rrtype if rrtype != 255 else record.rrtype) for record in seen.answer)
    if seen.rcode or not positive or any(record.rrtype != NS for record in seen.authority):
        return seen
    wanted = b"".join(record.rdata for record in seen.answer if record.rrtype != CNAME).lower()
    kept = frozenset(record for record in seen.additional if record.owner in wanted)
    return seen._replace(authority=frozenset(), additional=kept)


@dataclass
class Examined:
    """`wrong` holds the index of a query and the lines that say what differs; `replies` are those of the server under
    test.
    """

    queries: Sequence[bytes]
    replies: list[bytes | None]
    tally: Tally
    lost: list[int] = field(default_factory=list)
    wrong: list[tuple[int, list[str]]] = field(default_factory=list)

    def report(self, most: int = 10) -> str:
        lines = [f"{len(self.queries)} queries, {len(self.lost)} lost, {len(self.wrong)} answered differently"]
        for _, difference in self.wrong[:most]:
            lines += difference
        return "\n".join(lines)


TRIES = 3


class Oracle:
    """References that serve the same zone files. Their answers are kept, since the same corpus is asked in many
    situations.
    """

    def __init__(self, lab: Lab, zones: Sequence[Zone], kinds: Iterable[type[NameServer]] = (Nsd, Knot)) -> None:
        self.lab = lab
        self.servers = {kind.kind: lab.reference(kind, zones) for kind in kinds}
        self._known: dict[tuple[str, bool], dict[bytes, bytes]] = {
            (name, tcp): {} for name in self.servers for tcp in (False, True)
        }
        self._right: dict[tuple[bytes, bool], bytes] = {}  # replies found right before: IPv6 says what IPv4 said

    def learn(self, queries: Sequence[bytes], tcp: bool = False) -> None:
        """Asks the references what they have not been asked yet. A reference that says nothing to a query is asked
        again, from another socket: what is looked for is not whether a busy machine loses its datagrams, nor whether a
        reference breaks off a connection.
        """
        for name, server in self.servers.items():
            known = self._known[name, tcp]
            new = list(dict.fromkeys(query for query in queries if query not in known))
            for _ in range(1 + TRIES):
                if new:
                    known.update(self.replies(server.addresses[0], new, tcp))
                    new = [query for query in new if query not in known]
            if new:
                raise LabError(f"the reference {name} says nothing to {new[0].hex()}")

    def replies(self, address: str, queries: Sequence[bytes], tcp: bool) -> dict[bytes, bytes]:
        """What a server says to these queries, as far as it does."""
        with self.lab.client.tcp(address) if tcp else self.lab.client.udp(address) as sock:
            replies = ask_tcp_many(sock, queries) if tcp else ask_many(sock, queries)
        return {query: reply for query, reply in zip(queries, replies) if reply is not None}

    def said(self, query: bytes, tcp: bool = False) -> dict[str, bytes | None]:
        return {name: self._known[name, tcp].get(query) for name in self.servers}

    def examine(
        self,
        namespace: Namespace,
        address: str,
        queries: Sequence[bytes],
        *,
        tcp: bool = False,
        window: int = 64,
        timeout: float = 1.0,
        ignore: Iterable[str] = (),
    ) -> Examined:
        """Asks the server under test, each query once, and compares by the rules of `wire.compare`."""
        self.learn(queries, tcp)
        tally = Tally()
        with namespace.tcp(address) if tcp else namespace.udp(address) as sock:
            replies = ask_tcp_many(sock, queries, window) if tcp else ask_many(sock, queries, window, timeout, tally)
        made = Examined(queries, replies, tally)
        for index, (query, reply) in enumerate(zip(queries, replies)):
            if reply is None:
                made.lost.append(index)
            if reply is None or self._right.get((query, tcp)) == reply:
                continue
            rrtype = parse(query).questions[0][1]
            lines = compare(
                reply, self.said(query, tcp), query, ignore=ignore, adjust=lambda seen: minimal(seen, rrtype)
            )
            if not lines:
                self._right[query, tcp] = reply
            else:
                made.wrong.append((index, lines))
        return made
