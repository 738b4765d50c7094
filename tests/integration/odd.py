# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that are not ordinary queries: other opcodes and classes, flags, EDNS oddities, broken shapes.

Each is a title and the octets. What servers say to them is in docs/peers.md, made by test_peers.py.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from wire import (
    AD,
    ANY,
    AXFR,
    CD,
    IXFR,
    MAILA,
    MAILB,
    OPT,
    QR,
    RA,
    RD,
    SOA,
    TC,
    TSIG,
    Z,
    A,
    AA,
    name_wire,
    opt_record,
    option,
    question,
    wire,
)

NAME = "www.example.org."
ZONE = "example.org."


def header(id: int = 0x1234, flags: int = 0, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    return struct.pack("!HHHHHH", id, flags, qd, an, ns, ar)


def record(name: bytes, rrtype: int, rdata: bytes, rrclass: int = 1, ttl: int = 0) -> bytes:
    return name + struct.pack("!HHIH", rrtype, rrclass, ttl, len(rdata)) + rdata


def soa_rdata(serial: int) -> bytes:
    return (
        name_wire("ns1.example.org.") + name_wire("hostmaster.example.org.") + struct.pack("!IIIII", serial, 1, 1, 1, 1)
    )


def flags() -> Iterator[tuple[str, bytes]]:
    for title, bit in (
        ("RD", RD),
        ("AD", AD),
        ("CD", CD),
        ("Z", Z),
        ("AA", AA),
        ("RA", RA),
        ("TC", TC),
        ("QR (a response)", QR),
    ):
        yield f"flag {title} set", wire(NAME, A, id=7, flags=bit)
        yield f"flag {title} set, EDNS", wire(NAME, A, id=7, flags=bit, edns=1232)
    yield "all flags but QR", wire(NAME, A, id=7, flags=AA | TC | RD | RA | Z | AD | CD, edns=1232)
    yield "RCODE 5 in query", wire(NAME, A, id=7, flags=5)
    yield "RD, AD, CD on NXDOMAIN", wire("no-such-name.example.org.", A, id=7, flags=RD | AD | CD)
    yield "RD on a referral", wire("host.d-in.example.org.", A, id=7, flags=RD)
    yield "RD, AD, CD outside the zones", wire("www.example.com.", A, id=7, flags=RD | AD | CD)


def opcodes() -> Iterator[tuple[str, bytes]]:
    yield "opcode 1 (IQUERY)", wire(NAME, A, id=7, opcode=1)
    yield "opcode 2 (STATUS)", wire(NAME, A, id=7, opcode=2)
    yield "opcode 3", wire(NAME, A, id=7, opcode=3, flags=RD | CD)
    yield "opcode 3, EDNS", wire(NAME, A, id=7, opcode=3, edns=1232)
    yield "opcode 3, header alone", header(flags=3 << 11, qd=0)
    yield "opcode 6 (DSO)", wire(NAME, A, id=7, opcode=6)
    yield "opcode 15", wire(NAME, A, id=7, opcode=15)
    yield "NOTIFY from a stranger", wire(ZONE, SOA, id=7, opcode=4, flags=AA)
    yield "NOTIFY from a stranger, with SOA", header(flags=4 << 11 | AA, an=1) + question(ZONE, SOA) + record(
        b"\xc0\x0c", SOA, soa_rdata(99)
    )
    yield "NOTIFY for a zone not served", wire("example.com.", SOA, id=7, opcode=4, flags=AA)
    yield "NOTIFY of type A", wire(ZONE, A, id=7, opcode=4, flags=AA)
    yield "UPDATE from a stranger", header(flags=5 << 11, ns=1) + question(ZONE, SOA) + record(
        name_wire("new.example.org."), A, bytes([192, 0, 2, 1]), ttl=300
    )
    yield "UPDATE for a zone not served", header(flags=5 << 11) + question("example.com.", SOA)


def questions() -> Iterator[tuple[str, bytes]]:
    for rrclass, title in ((3, "CH"), (4, "HS"), (255, "ANY"), (254, "NONE"), (0, "0"), (2, "2")):
        yield f"class {title}", wire(NAME, A, id=7, rrclass=rrclass)
    yield "class CH, version.bind TXT", wire("version.bind.", 16, id=7, rrclass=3)
    yield "class CH, id.server TXT", wire("id.server.", 16, id=7, rrclass=3)
    yield "class CH, hostname.bind TXT", wire("hostname.bind.", 16, id=7, rrclass=3)
    yield "class ANY outside the zones", wire("www.example.com.", A, id=7, rrclass=255)
    for rrtype, title in (
        (0, "0"),
        (OPT, "OPT"),
        (TSIG, "TSIG"),
        (249, "TKEY"),
        (MAILB, "MAILB"),
        (MAILA, "MAILA"),
        (128, "128"),
        (65535, "65535"),
        (46, "RRSIG"),
        (47, "NSEC"),
        (50, "NSEC3"),
    ):
        yield f"QTYPE {title}", wire(NAME, rrtype, id=7)
        yield f"QTYPE {title}, NXDOMAIN name", wire("no-such-name.example.org.", rrtype, id=7)
    yield "QTYPE AXFR over UDP", wire(ZONE, AXFR, id=7)
    yield "QTYPE AXFR over UDP, name below the apex", wire(NAME, AXFR, id=7)
    yield "QTYPE AXFR over UDP, outside the zones", wire("example.com.", AXFR, id=7)
    yield "QTYPE IXFR over UDP", header(ns=1) + question(ZONE, IXFR) + record(b"\xc0\x0c", SOA, soa_rdata(0))
    yield "QTYPE IXFR over UDP, same serial", header(ns=1) + question(ZONE, IXFR) + record(
        b"\xc0\x0c", SOA, soa_rdata(1)
    )
    yield "QTYPE IXFR over UDP without SOA", wire(ZONE, IXFR, id=7)
    yield "QTYPE ANY", wire(NAME, ANY, id=7)
    yield "QTYPE ANY, EDNS", wire(NAME, ANY, id=7, edns=1232)
    yield "QTYPE ANY at the apex", wire(ZONE, ANY, id=7, edns=1232)
    yield "QTYPE ANY at a CNAME", wire("c-in.example.org.", ANY, id=7)
    yield "QTYPE ANY at a wildcard", wire("a.wild.example.org.", ANY, id=7)
    yield "QTYPE ANY at a wildcard CNAME", wire("a.wild-cname.example.org.", ANY, id=7)
    yield "QTYPE ANY at an ENT", wire("ent.example.org.", ANY, id=7)
    yield "QTYPE ANY at a cut", wire("d-in.example.org.", ANY, id=7)
    yield "QTYPE ANY at NXDOMAIN", wire("no-such-name.example.org.", ANY, id=7)
    yield "QTYPE ANY outside the zones", wire("www.example.com.", ANY, id=7)


def edns() -> Iterator[tuple[str, bytes]]:
    for size in (0, 100, 511, 512, 1232, 4096, 65535):
        yield f"EDNS size {size}, small answer", wire(NAME, A, id=7, edns=size)
        yield f"EDNS size {size}, answer of 1000 octets", wire("large1000.example.org.", 16, id=7, edns=size)
        yield f"EDNS size {size}, answer of 1500 octets", wire("large1500.example.org.", 16, id=7, edns=size)
        yield f"EDNS size {size}, answer of 4200 octets", wire("large4200.example.org.", 16, id=7, edns=size)
    yield "no EDNS, answer of 500 octets", wire("large500.example.org.", 16, id=7)
    yield "no EDNS, answer of 1000 octets", wire("large1000.example.org.", 16, id=7)
    yield "no EDNS, referral that does not fit with glue", wire("host.d-many.example.org.", A, id=7)
    yield "EDNS 512, referral that does not fit with glue", wire("host.d-many.example.org.", A, id=7, edns=512)
    yield "EDNS 1232, referral that does not fit", wire("host.d-vast.example.org.", A, id=7, edns=1232)
    yield "EDNS 4096, referral that does not fit", wire("host.d-vast.example.org.", A, id=7, edns=4096)
    yield "no EDNS, MX whose additional does not fit", wire("many-mx.example.org.", 15, id=7)
    yield "no EDNS, CNAME to an answer that does not fit", wire("c-large.example.org.", 16, id=7)
    yield "EDNS, NXDOMAIN", wire("no-such-name.example.org.", A, id=7, edns=1232)
    yield "EDNS, outside the zones", wire("www.example.com.", A, id=7, edns=1232)
    yield "EDNS with DO, unsigned zone", wire(NAME, A, id=7, edns=1232, do=True)
    yield "EDNS with DO, NXDOMAIN in an unsigned zone", wire("no-such-name.example.org.", A, id=7, edns=1232, do=True)
    yield "EDNS version 1", wire(NAME, A, id=7, edns=1232, version=1)
    yield "EDNS version 1, NXDOMAIN", wire("no-such-name.example.org.", A, id=7, edns=1232, version=1)
    yield "EDNS version 1, outside the zones", wire("www.example.com.", A, id=7, edns=1232, version=1)
    yield "EDNS version 255, unknown option, DO", wire(
        NAME, A, id=7, edns=1232, version=255, do=True, options=option(65001, b"x")
    )
    yield "EDNS version 1 and an opcode unknown", wire(NAME, A, id=7, edns=1232, version=1, opcode=3)
    for title, options in (
        ("unknown", option(65001, b"data")),
        ("NSID", option(3)),
        ("NSID with data", option(3, b"data")),
        ("COOKIE, client's 8 octets", option(10, b"12345678")),
        ("COOKIE, 24 octets", option(10, b"123456781234567812345678")),
        ("COOKIE of 3 octets", option(10, b"123")),
        ("COOKIE of 41 octets", option(10, b"1" * 41)),
        ("COOKIE twice", option(10, b"12345678") * 2),
        ("client subnet", option(8, bytes([0, 1, 24, 0, 192, 0, 2]))),
        ("client subnet malformed", option(8, bytes([0, 9, 99]))),
        ("TCP keepalive", option(11)),
        ("padding", option(12, bytes(20))),
        ("expire", option(9)),
        ("chain", option(13, b"\0")),
        ("extended error", option(15, b"\0\0")),
        ("unknown of 600 octets", option(65001, bytes(600))),
    ):
        yield f"EDNS option {title}", wire(NAME, A, id=7, edns=1232, options=options)
    yield "EDNS option that runs over rdata", wire(
        NAME, A, id=7, edns=1232, options=struct.pack("!HH", 65001, 10) + b"x"
    )
    yield "EDNS option header cut off", wire(NAME, A, id=7, edns=1232, options=b"\0\x03\0")
    yield "EDNS flags, Z bits set", header(ar=1) + question(NAME, A) + opt_record(1232, z=0x7FFF)
    yield "EDNS flags, extended RCODE set", header(ar=1) + question(NAME, A) + opt_record(1232, rcode=5)
    yield "two OPT", header(ar=2) + question(NAME, A) + opt_record() + opt_record()
    yield "OPT in answer", header(an=1) + question(NAME, A) + opt_record()
    yield "OPT in authority", header(ns=1) + question(NAME, A) + opt_record()
    yield "OPT behind another additional record", header(ar=2) + question(NAME, A) + record(
        name_wire("x."), A, bytes(4)
    ) + opt_record()
    yield "OPT before another additional record", header(ar=2) + question(NAME, A) + opt_record() + record(
        name_wire("x."), A, bytes(4)
    )
    yield "OPT with an owner that is not the root", header(ar=1) + question(NAME, A) + name_wire("x.") + opt_record()[
        1:
    ]
    yield "OPT whose root owner is a pointer", header(ar=1) + question(NAME, A) + struct.pack(
        "!H", 0xC000 | 12 + len(name_wire(NAME)) - 1
    ) + opt_record()[1:]
    yield "OPT rdlen over the end", header(ar=1) + question(NAME, A) + opt_record()[:-2] + b"\0\x10"
    yield "OPT cut off", header(ar=1) + question(NAME, A) + opt_record()[:-4]
    yield "OPT missing (ARCOUNT 1)", header(ar=1) + question(NAME, A)
    yield "OPT there, ARCOUNT 0", header() + question(NAME, A) + opt_record()
    yield "TSIG of an unknown key", header(ar=1) + question(NAME, A) + _tsig()
    yield "TSIG before OPT", header(ar=2) + question(NAME, A) + _tsig() + opt_record()


def _tsig() -> bytes:
    rdata = (
        name_wire("hmac-sha256.")
        + bytes(6)
        + struct.pack("!HH", 300, 32)
        + bytes(32)
        + struct.pack("!HHH", 0x1234, 0, 0)
    )
    return record(name_wire("nobody.example."), TSIG, rdata, rrclass=255)


def shapes() -> Iterator[tuple[str, bytes]]:
    name = name_wire(NAME)
    yield "trailing octet", wire(NAME, A, id=7, tail=b"\0")
    yield "trailing garbage of 100 octets", wire(NAME, A, id=7, tail=b"garbage!" * 12 + b"....")
    yield "trailing garbage behind OPT", wire(NAME, A, id=7, edns=1232, tail=b"garbage!")
    yield "QDCOUNT 0", header(qd=0)
    yield "QDCOUNT 0, EDNS", header(qd=0, ar=1) + opt_record()
    yield "QDCOUNT 0, COOKIE", header(qd=0, ar=1) + opt_record(options=option(10, b"12345678"))
    yield "QDCOUNT 0, but a question stands there", header(qd=0) + question(NAME, A)
    yield "QDCOUNT 2", header(qd=2) + question(NAME, A) * 2
    yield "QDCOUNT 2, one question", header(qd=2) + question(NAME, A)
    yield "QDCOUNT 65535", header(qd=65535) + question(NAME, A)
    yield "ANCOUNT 1 with a record", header(an=1) + question(NAME, A) + record(b"\xc0\x0c", A, bytes(4))
    yield "ANCOUNT 1 without", header(an=1) + question(NAME, A)
    yield "NSCOUNT 1 with a record", header(ns=1) + question(NAME, A) + record(b"\xc0\x0c", A, bytes(4))
    yield "NSCOUNT 1 without", header(ns=1) + question(NAME, A)
    yield "ARCOUNT 1 with a record that is not OPT", header(ar=1) + question(NAME, A) + record(b"\xc0\x0c", A, bytes(4))
    yield "ARCOUNT 65535", header(ar=65535) + question(NAME, A) + opt_record()
    yield "empty datagram", b""
    yield "1 octet", b"\0"
    yield "2 octets (ID alone)", b"\x12\x34"
    yield "11 octets", header()[:11]
    yield "header alone, QDCOUNT 1", header()
    yield "question cut off in the name", header() + name[:6]
    yield "question without type", header() + name
    yield "question without class", header() + name + b"\0\x01"
    yield "question with half a class", header() + name + b"\0\x01\0"
    yield "QNAME: pointer to itself", header() + b"\xc0\x0c" + b"\0\x01\0\x01"
    yield "QNAME: pointer forwards", header() + b"\xc0\x20" + b"\0\x01\0\x01" + bytes(40)
    yield "QNAME: pointer into the header", header() + b"\x03www\xc0\x04" + b"\0\x01\0\x01"
    yield "QNAME: label type 01", header() + b"\x41" + b"a" * 65 + b"\0\0\x01\0\x01"
    yield "QNAME: label type 10", header() + b"\x81" + b"a" * 65 + b"\0\0\x01\0\x01"
    long = b"".join(b"\x3f" + bytes([97 + k]) * 63 for k in range(4)) + name_wire(ZONE)
    yield "QNAME of more than 255 octets", header() + long + b"\0\x01\0\x01"
    exact = b"".join(b"\x3f" + bytes([97 + k]) * 63 for k in range(3)) + b"\x32" + b"z" * 50 + name_wire(ZONE)
    yield "QNAME of 256 octets", header() + exact + b"\0\x01\0\x01"
    yield "QNAME of 128 labels", header() + b"\x01a" * 128 + b"\0" + b"\0\x01\0\x01"
    yield "QNAME root", wire(".", A, id=7)
    yield "QNAME with a zero octet in a label", wire(b"\x03a\0b" + name_wire(ZONE), A, id=7)
    yield "query of 4000 octets", wire(NAME, A, id=7, edns=4096, options=option(65001, bytes(3900)))


def odd_messages() -> list[tuple[str, bytes]]:
    found = [(title, data) for part in (flags, opcodes, questions, edns, shapes) for title, data in part()]
    assert len({title for title, _ in found}) == len(found)
    return found
