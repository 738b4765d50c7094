# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS messages as the tests see them: made octet by octet, taken apart strictly, compared by the rules.

dnspython is used for printing only. It tidies what it reads (merges RRsets, drops duplicates, refuses odd messages),
and a test of a nameserver wants to see what really stood there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
DO = 0x8000

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, DS = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 43
IXFR, AXFR, MAILB, MAILA, ANY, CAA, HTTPS, TSIG = 251, 252, 253, 254, 255, 257, 65, 250

RCODES = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    9: "NOTAUTH",
    16: "BADVERS",
    23: "BADCOOKIE",
}


class Malformed(ValueError):
    """The message cannot be taken apart."""


# ---------------------------------------------------------------------------------------------------------------- names


def name_wire(text: str) -> bytes:
    """Wire format of a name in presentation format, case kept; an absolute name is assumed."""
    if not text.endswith(".") or text.endswith("\\."):
        text += "."
    return dns.name.from_text(text, idna_codec=None).to_wire()


def name_text(wire: bytes) -> str:
    labels, position = [], 0
    while wire[position]:
        length = wire[position]
        labels.append(wire[position + 1 : position + 1 + length])
        position += 1 + length
    return dns.name.Name([*labels, b""]).to_text()


def lower(data: bytes) -> bytes:
    """Lower case of a name in wire format; length octets are below 64 and stay as they are."""
    return data.lower()


# -------------------------------------------------------------------------------------------------------------- queries


def question(name: str | bytes, rrtype: int, rrclass: int = 1) -> bytes:
    return (name if isinstance(name, bytes) else name_wire(name)) + struct.pack("!HH", rrtype, rrclass)


def opt_record(
    size: int = 1232, *, do: bool = False, version: int = 0, rcode: int = 0, z: int = 0, options: bytes = b""
) -> bytes:
    ttl = rcode << 24 | version << 16 | (DO if do else 0) | z
    return b"\0" + struct.pack("!HHIH", OPT, size, ttl, len(options)) + options


def option(code: int, data: bytes = b"") -> bytes:
    return struct.pack("!HH", code, len(data)) + data


def wire(
    name: str | bytes,
    rrtype: int,
    *,
    edns: int | None = None,
    do: bool = False,
    flags: int = 0,
    id: int = 0,
    opcode: int = 0,
    rrclass: int = 1,
    options: bytes = b"",
    version: int = 0,
    tail: bytes = b"",
) -> bytes:
    """A query. `edns` is the UDP size that the client says it takes, or None for a query without OPT."""
    head = struct.pack("!HHHHHH", id, flags | opcode << 11, 1, 0, 0, 0 if edns is None else 1)
    opt = b"" if edns is None else opt_record(edns, do=do, version=version, options=options)
    return head + question(name, rrtype, rrclass) + opt + tail


# ------------------------------------------------------------------------------------------------------------- messages


class Record(NamedTuple):
    """A record with its owner in lower case, and the names in its rdata expanded and in lower case."""

    owner: bytes
    rrtype: int
    rrclass: int
    ttl: int
    rdata: bytes

    def __str__(self) -> str:
        kind = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(self.rrtype))
        try:
            made = dns.rdata.from_wire(self.rrclass, self.rrtype, self.rdata, 0, len(self.rdata))
            shown = made.to_text() if self.rdata else "(empty)"
        except Exception:  # an rdata that dnspython refuses is shown in hexadecimal
            shown = f"\\# {len(self.rdata)} {self.rdata.hex()}"
        if len(shown) > 160:
            shown = f"{shown[:160]}... ({len(self.rdata)} octets)"
        return f"{name_text(self.owner)} {self.ttl} {dns.rdataclass.to_text(self.rrclass)} {kind} {shown}"


@dataclass
class Message:
    id: int
    flags: int
    counts: tuple[int, int, int, int]
    questions: list[tuple[bytes, int, int]] = field(default_factory=list)  # the name as it stood, its case kept
    answer: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)  # without OPT
    opt: Record | None = None
    opts: int = 0
    trailing: bytes = b""
    size: int = 0

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 15

    @property
    def rcode(self) -> int:
        return (self.opt.ttl >> 24 << 4 if self.opt else 0) | self.flags & 15

    def options(self) -> list[tuple[int, bytes]]:
        found, position = [], 0
        data = self.opt.rdata if self.opt else b""
        while position + 4 <= len(data):
            code, length = struct.unpack_from("!HH", data, position)
            found.append((code, data[position + 4 : position + 4 + length]))
            position += 4 + length
        return found

    def flag_text(self) -> str:
        names = ((QR, "qr"), (AA, "aa"), (TC, "tc"), (RD, "rd"), (RA, "ra"), (Z, "z"), (AD, "ad"), (CD, "cd"))
        return " ".join(text for bit, text in names if self.flags & bit)

    def __str__(self) -> str:
        lines = [
            f";; {RCODES.get(self.rcode, self.rcode)} opcode {self.opcode} flags {self.flag_text()}"
            f" counts {self.counts} size {self.size}"
        ]
        lines += [
            f";{name_text(name)} class {rrclass} type {dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))}"
            for name, rrtype, rrclass in self.questions
        ]
        if self.opt:
            lines.append(
                f";; OPT size {self.opt.rrclass} version {self.opt.ttl >> 16 & 255} flags {self.opt.ttl & 0xffff:#x}"
                f" options {self.options()}"
            )
        for title in ("answer", "authority", "additional"):
            records = getattr(self, title)
            lines += [f";; {title}", *sorted(map(str, records))] if records else []
        return "\n".join(lines)


def _read_name(data: bytes, position: int) -> tuple[bytes, int]:
    """The name at `position`, expanded; and where the next field begins. Pointers must point backwards."""
    made, end, limit = bytearray(), None, position
    while True:
        if position >= len(data):
            raise Malformed("name runs over the end")
        length = data[position]
        if length >= 0xC0:
            if position + 2 > len(data):
                raise Malformed("pointer runs over the end")
            target = (length & 0x3F) << 8 | data[position + 1]
            end = position + 2 if end is None else end
            if target >= limit:
                raise Malformed("pointer does not point backwards")
            position = limit = target
            continue
        if length > 63:
            raise Malformed("label type")
        made += data[position : position + 1 + length]
        position += 1 + length
        if len(made) > 255:
            raise Malformed("name of more than 255 octets")
        if not length:
            return bytes(made), position if end is None else end


# Types whose rdata may hold compressed names: octets before the first name, names, whether a fixed part follows.
_NAMES_IN_RDATA = {
    2: (0, 1),
    3: (0, 1),
    4: (0, 1),
    5: (0, 1),
    6: (0, 2),
    7: (0, 1),
    8: (0, 1),
    9: (0, 1),
    12: (0, 1),
    14: (0, 2),
}
_NAMES_IN_RDATA |= {15: (2, 1), 17: (0, 2), 18: (2, 1), 21: (2, 1), 26: (2, 2), 33: (6, 1), 36: (2, 1), 39: (0, 1)}


def _read_rdata(data: bytes, position: int, end: int, rrtype: int) -> bytes:
    if rrtype not in _NAMES_IN_RDATA or position == end:
        return data[position:end]
    before, names = _NAMES_IN_RDATA[rrtype]
    made = bytearray(data[position : position + before])
    position += before
    for _ in range(names):
        name, position = _read_name(data, position)
        made += lower(name)
    if position > end:
        raise Malformed("name runs over its rdata")
    return bytes(made + data[position:end])


def parse(data: bytes) -> Message:
    """Takes a message apart. Anything wrong with its shape raises Malformed."""
    if len(data) < 12:
        raise Malformed(f"{len(data)} octets")
    id_, flags, *counts = struct.unpack_from("!HHHHHH", data)
    made = Message(id_, flags, tuple(counts), size=len(data))
    position = 12
    for _ in range(counts[0]):
        name, position = _read_name(data, position)
        if position + 4 > len(data):
            raise Malformed("question runs over the end")
        made.questions.append((name, *struct.unpack_from("!HH", data, position)))
        position += 4
    for section, count in zip((made.answer, made.authority, made.additional), counts[1:]):
        for _ in range(count):
            owner, position = _read_name(data, position)
            if position + 10 > len(data):
                raise Malformed("record runs over the end")
            rrtype, rrclass, ttl, length = struct.unpack_from("!HHIH", data, position)
            position += 10
            if position + length > len(data):
                raise Malformed("rdata runs over the end")
            rdata = _read_rdata(data, position, position + length, rrtype)
            position += length
            record = Record(lower(owner), rrtype, rrclass, ttl, rdata)
            if rrtype == OPT:
                made.opt, made.opts = record, made.opts + 1
            else:
                section.append(record)
    made.trailing = data[position:]
    return made


# ----------------------------------------------------------------------------------------------------------- comparison


class Normal(NamedTuple):
    """What of a reply is compared. OPT stands apart: whether there is one, its version and its DO bit."""

    rcode: int
    aa: bool
    tc: bool
    answer: frozenset[Record]
    authority: frozenset[Record]
    additional: frozenset[Record]
    opt: tuple[int, bool] | None


def normalise(reply: bytes | Message) -> Normal:
    seen = parse(reply) if isinstance(reply, bytes) else reply
    opt = (seen.opt.ttl >> 16 & 255, bool(seen.opt.ttl & DO)) if seen.opt else None
    sections = (frozenset(section) for section in (seen.answer, seen.authority, seen.additional))
    return Normal(seen.rcode, bool(seen.flags & AA), bool(seen.flags & TC), *sections, opt)


def _parse_or_none(data: bytes) -> Message | None:
    try:
        return parse(data)
    except Malformed:
        return None


def faults(reply: bytes, query: bytes | None = None) -> list[str]:
    """What is wrong with a reply whatever the zone says: shape, flags, question, duplicates, OPT."""
    try:
        seen = parse(reply)
    except Malformed as fault:
        return [f"malformed: {fault}"]
    found = []
    if not seen.flags & QR:
        found.append("QR is not set")
    if seen.trailing:
        found.append(f"{len(seen.trailing)} octets behind the message")
    if seen.opts > 1:
        found.append(f"{seen.opts} OPT records")
    for title in ("answer", "authority", "additional"):
        records = getattr(seen, title)
        if len(set(records)) != len(records):
            found.append(f"duplicate records in {title}")
    if query is not None and (asked := _parse_or_none(query)) is not None:
        if seen.id != asked.id:
            found.append("another ID")
        if seen.questions and seen.questions != asked.questions:
            found.append("another question (or another case)")
        if bool(seen.opt) != bool(asked.opt):
            found.append("OPT without being asked" if seen.opt else "no OPT, though asked")
        if seen.flags & RD != asked.flags & RD:
            found.append("RD not as asked")
    return found


def _section_difference(title: str, mine: frozenset[Record], ref: frozenset[Record]) -> list[str]:
    lines = [f"  {title}: - {record}" for record in sorted(ref - mine)]
    return lines + [f"  {title}: + {record}" for record in sorted(mine - ref)]


def difference(mine: Normal, ref: Normal) -> list[str]:
    """Readable lines, `-` for what only the reference has, `+` for what only the tested server has."""
    lines = []
    if mine.rcode != ref.rcode:
        lines.append(f"  rcode: - {RCODES.get(ref.rcode, ref.rcode)} + {RCODES.get(mine.rcode, mine.rcode)}")
    for title in ("aa", "tc", "opt"):
        if getattr(mine, title) != getattr(ref, title):
            lines.append(f"  {title}: - {getattr(ref, title)} + {getattr(mine, title)}")
    for title in ("answer", "authority", "additional"):
        lines += _section_difference(title, getattr(mine, title), getattr(ref, title))
    return lines


def query_text(query: bytes) -> str:
    """What was asked, in a few words; octets when it is no whole question."""
    seen = _parse_or_none(query)
    if seen is None:
        return f"query {query.hex()}"
    shown = [
        f"{name_text(name)} {dns.rdatatype.to_text(dns.rdatatype.RdataType.make(t))}" for name, t, _ in seen.questions
    ]
    return f"query {', '.join(shown)}{f' EDNS {seen.opt.rrclass}' if seen.opt else ''}"


def compare(
    mine: bytes | None,
    refs: Mapping[str, bytes | None],
    query: bytes | None = None,
    *,
    ignore: Iterable[str] = (),
    adjust: Callable[[Normal], Normal] = lambda seen: seen,
) -> list[str]:
    """Differences of a reply from what the references say; empty when it is as it should be.

    Field by field the value must be that of one of the references: where they differ from each other, either is
    allowed. A truncated reply is compared by rcode and TC alone, since what is kept in it is everyone's own choice.
    `ignore` names fields that are left out; `adjust` is done to each reference's reply first.
    """
    asked = query_text(query) if query else "query"
    if mine is None:
        return [f"{asked}: no reply"]
    wrong = faults(mine, query)
    if any(text.startswith("malformed") for text in wrong):
        return [f"{asked}: {text}" for text in wrong]
    shared = {fault for reply in refs.values() if reply is not None for fault in faults(reply, query)}
    wrong = [text for text in wrong if not (text.startswith("duplicate") and text in shared)]
    seen = normalise(mine)
    known = {who: adjust(normalise(reply)) for who, reply in refs.items() if reply is not None}
    if not known:
        return [f"{asked}: no reference answered"]
    fields = ["rcode", "tc"]
    if not seen.tc:
        fields += ["aa", "answer", "authority", "additional", "opt"]
    for title in fields:
        allowed = [getattr(ref, title) for ref in known.values() if seen.tc or not ref.tc or title in ("rcode", "tc")]
        if title not in ignore and allowed and getattr(seen, title) not in allowed:
            wrong.append(f"{title} is nobody's else")
    if not wrong:
        return []
    lines = [f"{asked}: {', '.join(wrong)}"]
    for who, ref in known.items():
        lines += [f" against {who}:", *difference(seen, ref)]
    return lines
