# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that are no ordinary queries: what is said to them, and that nothing they hold harms the server."""

from __future__ import annotations

import collections
import random
import re
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab import KINDS, Key, Lab, Nsd, Peregrine, Tally, ask, ask_many, ask_tcp
from odd import odd_messages
from wire import QR, TC, A, Malformed, name_wire, parse, wire
from zones import corpus, dname_zone, family

NAMES = 100
SEED = 20240229
MUTATIONS = 6000

pytestmark = pytest.mark.timeout(90)


@dataclass
class World:
    lab: Lab
    agent: Peregrine

    def alive(self) -> None:
        """The same process still answers, both ways, and its log holds no report of a sanitizer."""
        assert self.agent.process and self.agent.process.running(), self.agent.log_tail()
        query = wire("www.example.org.", A, id=9)
        for address in self.lab.service:
            with self.lab.client.udp(address) as sock:
                reply = ask(sock, query)
            assert reply and len(parse(reply).answer) == 2
            assert ask_tcp(self.lab.client.name, address, query)
        log = self.agent.log()
        assert not re.search(r"AddressSanitizer|runtime error|LeakSanitizer", log), self.agent.log_tail()
        assert self.agent.counters()["fast_path"]["reasons"]["internal"] == 0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        place = lab.make_directory("zones")
        zones = [*family(NAMES), dname_zone()][:4]
        lab.primary_server(Nsd, [zone.write(place) for zone in zones], key=Key())
        with lab.peregrine([zone.name for zone in zones], key=Key()) as agent:
            agent.wait_serving(1)
            yield World(lab, agent)


# ---------------------------------------------------------------------------------------------------------- odd messages


def manner(reply: bytes | None) -> tuple[str, int | None, bool]:
    """What a reply comes down to: silence or not, RCODE, whether records are in it. What is left in a truncated one is
    everyone's own choice.
    """
    if reply is None:
        return ("silent", None, False)
    try:
        seen = parse(reply)
    except Malformed:
        return ("malformed", None, False)
    return ("reply", seen.rcode, not seen.flags & TC and bool(seen.answer or seen.authority))


# Where two of the three peers agree, and Peregrine does otherwise: the message, what it does, and why that is right.
EXCEPTIONS: dict[str, str] = {
    "UPDATE for a zone not served": "NOTIMP, as NSD: the opcode is not implemented, for whichever zone",
    "no EDNS, referral that does not fit with glue": "TC, as Knot: RFC 9471 asks for it",
    "EDNS 512, referral that does not fit with glue": "TC, as Knot: RFC 9471 asks for it",
    "EDNS option COOKIE of 3 octets": "FORMERR, as BIND: RFC 7873 asks for it; those of the others are off",
    "EDNS option COOKIE of 41 octets": "FORMERR, as BIND: RFC 7873 asks for it; those of the others are off",
}


def ask_each(lab: Lab, address: str) -> dict[str, bytes | None]:
    """Each message on a socket of its own; who is silent is asked once more with patience."""
    found = {}
    for title, data in odd_messages():
        if len(data) < 2:
            found[title] = None
            continue
        with lab.client.udp(address) as sock:
            found[title] = ask(sock, data, timeout=0.06)
    for title, data in odd_messages():
        if found[title] is None and len(data) >= 2:
            with lab.client.udp(address) as sock:
                found[title] = ask(sock, data, timeout=0.12)
    return found


def test_odd_messages_as_the_peers(world: World) -> None:
    """Silence, RCODE and whether records come: as two of the three do, and where all three differ as one of them."""
    lab = world.lab
    place = lab.make_directory("zones")
    served = [zone.write(place) for zone in family(NAMES)]
    addresses = [lab.reference(kind, served).addresses[0] for kind in KINDS.values()]
    with ThreadPoolExecutor() as pool:  # most of the time is waiting for replies that do not come
        *said, mine = pool.map(lambda address: ask_each(lab, address), [*addresses, lab.service[0]])
    peers = dict(zip(KINDS, said))
    wrong, excused = [], set()
    for title, _ in odd_messages():
        theirs = {name: manner(said[title]) for name, said in peers.items()}
        got = manner(mine[title])
        most, count = collections.Counter(theirs.values()).most_common(1)[0]
        if got == most or (count == 1 and got in theirs.values()):
            continue
        if title in EXCEPTIONS:
            excused.add(title)
            continue
        wrong.append(f"{title}: {got}, peers {theirs}")
    assert not wrong, "\n".join(wrong)
    assert excused == set(EXCEPTIONS), "an exception that is none"
    world.alive()


def test_replies_are_well_formed(world: World) -> None:
    """Whatever is asked, what is answered can be taken apart, has QR, the ID and the opcode, and no octet too much."""
    wrong = []
    for title, data in odd_messages():
        if len(data) < 12:
            continue
        with world.lab.client.udp(world.lab.service[1]) as sock:
            reply = ask(sock, data, timeout=0.06)
        if reply is None:
            continue
        seen = parse(reply)
        same_opcode = seen.flags & 0x7800 == struct.unpack_from("!H", data, 2)[0] & 0x7800
        if not (seen.flags & QR and same_opcode and not seen.trailing and seen.opts <= 1):
            wrong.append(f"{title}: {reply.hex()}")
        if len(reply) > 1232 or (len(reply) > 512 and not seen.opt):
            wrong.append(f"{title}: {len(reply)} octets")
    assert not wrong, "\n".join(wrong)


# ------------------------------------------------------------------------------------------------------------- mutations


def mutate(chance: random.Random, data: bytes) -> bytes:
    """One to four changes: bits, octets, counts, lengths, cuts, insertions, pointers."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if len(made) < 3:
            break
        at = chance.randrange(2, len(made))
        kind = chance.randrange(8)
        if kind == 0:
            made[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            made[at] = chance.choice((0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFF))
        elif kind == 2:
            del made[at:]
        elif kind == 3:
            made[at:at] = chance.randbytes(chance.randint(1, 40))
        elif kind == 4:
            struct.pack_into("!H", made, min(at, len(made) - 2), chance.choice((0, 1, 2, 255, 256, 0xC00C, 0xFFFF)))
        elif kind == 5:
            struct.pack_into("!H", made, min(chance.choice((4, 6, 8, 10)), len(made) - 2), chance.randrange(4))
        elif kind == 6:
            made += chance.randbytes(chance.randint(1, 300))
        else:
            made[at : at + 2] = struct.pack("!H", 0xC000 | chance.randrange(len(made)))
    return bytes(made[:4000])


def mutations(count: int) -> list[bytes]:
    chance = random.Random(SEED)
    sources = [data for _, data in odd_messages() if len(data) >= 12]
    sources += [wire(query.name, query.rrtype, edns=1232) for query in corpus(family(5))[::3]]
    return [mutate(chance, chance.choice(sources)) for _ in range(count)]


def test_mutations_over_udp(world: World) -> None:
    messages = mutations(MUTATIONS)
    for address in world.lab.service:
        with world.lab.client.udp(address) as sock:
            replies = ask_many(sock, messages, window=256, timeout=0.05, tally=Tally())
        assert sum(reply is not None for reply in replies) > MUTATIONS / 4
        for message, reply in zip(messages, replies):
            if reply is not None:
                assert parse(reply).flags & QR, message.hex()
    world.alive()


def test_mutations_over_tcp(world: World) -> None:
    """Pipelined on connections that the server may close when it likes; it must not stop taking new ones."""
    messages = mutations(MUTATIONS // 2)
    replies = 0
    for start in range(0, len(messages), 50):
        with world.lab.client.tcp(world.lab.service[0]) as sock:
            sock.settimeout(0.05)
            batch = b"".join(struct.pack("!H", len(data)) + data for data in messages[start : start + 50])
            try:
                sock.sendall(batch)
                while data := sock.recv(65536):
                    replies += len(data)
            except (TimeoutError, ConnectionError):
                pass
    assert replies > 1000
    world.alive()


def test_streams_that_lie(world: World) -> None:
    """TCP: lengths beyond what comes, empty messages, single octets, connections left open, a reset in the middle."""
    query = wire("www.example.org.", A, id=9)
    framed = struct.pack("!H", len(query)) + query
    held = []
    for octets in (b"\0", b"\0\0", b"\0\0" * 500, b"\xff\xff" + query, framed[:-1], b"\0\1\0" * 100, framed * 3 + b"\1"):
        sock = world.lab.client.tcp(world.lab.service[0])
        sock.sendall(octets)
        held.append(sock)
    for _ in range(50):
        sock = world.lab.client.tcp(world.lab.service[0])
        sock.sendall(framed * 20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    with world.lab.client.tcp(world.lab.service[0]) as slow:
        for octet in framed:
            slow.sendall(bytes([octet]))
        assert slow.recv(2000)[2:4] == query[:2]
    world.alive()
    for sock in held:
        sock.close()


def test_reply_is_not_longer_than_asked_for_when_cut(world: World) -> None:
    """No amplification without reason: what is truncated or refused is about as short as the query."""
    for name in ("large30000.example.org.", "many-a.example.org."):
        query = wire(name, 16 if name.startswith("large") else 1, id=3)
        with world.lab.client.udp(world.lab.service[0]) as sock:
            reply = ask(sock, query)
        assert reply and len(reply) <= len(query) + 12
    query = wire(name_wire("www.example.com."), A, id=3, edns=4096)
    with world.lab.client.udp(world.lab.service[0]) as sock:
        reply = ask(sock, query)
    assert reply and len(reply) <= len(query) + 12


def test_descriptors_and_memory_stay(world: World) -> None:
    """After all this the agent holds no more descriptors than a hundred connections explain."""
    assert world.agent.process
    open_now = len(list(Path(f"/proc/{world.agent.process.pid}/fd").iterdir()))
    assert open_now < 200, open_now
