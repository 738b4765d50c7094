# SPDX-License-Identifier: GPL-3.0-or-later
"""EDNS options at the driver, with the agent frozen: NSID, cookies, extended errors. Cookies go to and fro between
Peregrine and the peers that share its secret.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab import Bind, Key, Knot, Lab, NameServer, Nsd, Peregrine, Zone, ask, ask_tcp
from wire import A, Message, option, parse, wire
from zones import family

NAME = "www.example.org."
SECRET = "0123456789abcdef00112233445566ff"
OTHER = "ffeeddccbbaa99887766554433221100"
CLIENT = b"client!!"
NSID, COOKIE, EDE = 3, 10, 15
FORMERR, REFUSED, BADCOOKIE = 1, 5, 23

pytestmark = pytest.mark.timeout(60)


class CookieNsd(Nsd):
    def configuration(self) -> str:
        more = f'server:\n  answer-cookie: yes\n  cookie-secret: "{SECRET}"\n  nsid: "ascii_peer"\n'
        return super().configuration().replace("server:\n", more, 1)


class CookieKnot(Knot):
    """`badcookie-slip: 1`: without a good cookie there is no answer."""

    def configuration(self) -> str:
        made = super().configuration().replace("server:\n", 'server:\n  nsid: "peer"\n', 1)
        module = f"mod-cookies:\n  - id: shared\n    secret: 0x{SECRET}\n    badcookie-slip: 1\ntemplate:\n  - id: default\n"
        return made.replace("template:\n  - id: default\n", module + "    global-module: mod-cookies/shared\n", 1)


class CookieBind(Bind):
    def configuration(self) -> str:
        more = f'  cookie-algorithm siphash24; cookie-secret "{SECRET}"; require-server-cookie yes; server-id "peer";\n'
        return super().configuration().replace("options {\n", "options {\n" + more, 1)


PEERS = {"nsd": CookieNsd, "knot": CookieKnot, "bind": CookieBind}


@dataclass
class World:
    lab: Lab
    agent: Peregrine
    served: list[Zone]

    def ask(self, options: bytes, *, name: str = NAME, source: str | None = None, address: str | None = None) -> Message:
        with self.lab.client.udp(address or self.lab.service[0], source=source) as sock:
            reply = ask(sock, wire(name, A, edns=1232, options=options, id=7))
        assert reply is not None, "no reply"
        return parse(reply)

    def cookie(self, server: bytes = b"", **more: str | None) -> bytes:
        """The server cookie that comes back."""
        return given(self.ask(option(COOKIE, CLIENT + server), **more))  # type: ignore[arg-type]


def given(seen: Message) -> bytes:
    cookies = [data for code, data in seen.options() if code == COOKIE]
    assert len(cookies) == 1 and len(cookies[0]) == 24 and cookies[0].startswith(CLIENT), seen
    return cookies[0][8:]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        place = lab.make_directory("zones")
        zones = family(20)
        served = [zone.write(place) for zone in zones]
        lab.primary_server(Nsd, served, key=Key())
        change = {"cookies": {"secret": SECRET}}
        with lab.peregrine([zone.name for zone in zones], key=Key(), change=change) as agent:
            agent.wait_serving(1)
            yield World(lab, agent, served)


@pytest.fixture
def frozen(world: World) -> Iterator[World]:
    """The driver is alone."""
    world.agent.freeze()
    yield world
    world.agent.thaw()


# ---------------------------------------------------------------------------------------------------------------- NSID


@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_nsid_by_kdig(frozen: World, address_family: int) -> None:
    address = frozen.lab.service[address_family]
    said = frozen.lab.client.run("kdig", f"@{address}", NAME, "A", "+nsid", "+timeout=1", "+retry=0")
    assert 'NSID: 6C61622E6E732E6578616D706C652E6E6574 "lab.ns.example.net"' in said, said
    assert "status: NOERROR" in said


def test_nsid_among_others(frozen: World) -> None:
    """Asked once or twice it is told once; what the client says in it, and options not known, mean nothing."""
    others = option(12, bytes(20)) + option(65001, b"x") + option(8, b"\0\1\x18\0\xc0\0\2") + option(11) + option(9)
    seen = frozen.ask(others + option(NSID, b"data") + option(NSID) + option(COOKIE, CLIENT))
    assert [code for code, _ in seen.options()] == [COOKIE, NSID]
    assert dict(seen.options())[NSID] == b"lab.ns.example.net"
    assert not frozen.ask(others).options()
    assert len(seen.answer) and seen.opts == 1


# ------------------------------------------------------------------------------------------------------------- cookies


@pytest.mark.parametrize("address_family", [0, 1], ids=["IPv4", "IPv6"])
def test_cookie_by_dig(frozen: World, address_family: int) -> None:
    """dig says `good` of a reply with its own client cookie, and gives the cookie back when it is told to."""
    dig = ["dig", f"@{frozen.lab.service[address_family]}", NAME, "A", "+tries=1", "+timeout=1"]
    said = frozen.lab.client.run(*dig, "+cookie")
    found = re.search(r"; COOKIE: ([0-9a-f]{48}) \(good\)", said)
    assert found and "status: NOERROR" in said, said
    again = frozen.lab.client.run(*dig, f"+cookie={found[1]}")
    assert f"; COOKIE: {found[1]} (good)" in again, again


def test_server_cookie(frozen: World) -> None:
    """Version 1, the time; a good one comes back as it is, any other one is replaced."""
    first = frozen.cookie()
    assert first[:4] == b"\1\0\0\0" and abs(struct.unpack("!I", first[4:8])[0] - time.time()) < 3
    assert frozen.cookie(first) == first
    for spoilt in (first[:-1] + bytes([first[-1] ^ 1]), b"\2" + first[1:], first[:8], first + first, bytes(16)):
        fresh = frozen.cookie(spoilt)
        assert fresh != spoilt and frozen.cookie(fresh) == fresh
    other = frozen.lab.client_addresses[1]
    assert frozen.cookie(first, source=other, address=frozen.lab.service[1]) != first


@pytest.mark.parametrize("kind", PEERS)
def test_cookies_of_peers(world: World, kind: str) -> None:
    """A cookie that a peer has made is good here, and the other way round. Cookies hold the client's address, so all
    are asked from the same one; the driver's reply needs no way back to it.
    """
    peer: NameServer = world.lab.reference(PEERS[kind], world.served)
    world.agent.freeze()
    try:
        for index in (0, 1):
            theirs, ours = peer.addresses[index], world.lab.service[index]
            with world.lab.client.udp(theirs) as sock:
                source = sock.getsockname()[0]
            made = world.cookie(source=source, address=theirs)
            assert world.cookie(made, source=source, address=ours) == made, f"a cookie of {kind} is not good here"
            mine = world.cookie(source=source, address=ours)
            seen = world.ask(option(COOKIE, CLIENT + mine), source=source, address=theirs)
            assert seen.rcode == 0 and seen.answer, f"a cookie made here is not good at {kind}: {seen}"
            if kind == "nsd":  # which asks for none, but gives a good one back
                assert given(seen) == mine
            else:
                forged = mine[:-1] + bytes([mine[-1] ^ 1])
                seen = world.ask(option(COOKIE, CLIENT + forged), source=source, address=theirs)
                assert seen.rcode == BADCOOKIE and not seen.answer
    finally:
        world.agent.thaw()


def test_nsid_as_peers(world: World) -> None:
    for kind in PEERS.values():
        peer = world.lab.reference(kind, world.served)
        theirs = world.ask(option(NSID), address=peer.addresses[0])
        mine = world.ask(option(NSID))
        assert [code for code, _ in theirs.options()] == [code for code, _ in mine.options()] == [NSID]


def test_cookie_of_wrong_length(world: World) -> None:
    """FORMERR, with OPT and without a cookie; as BIND, by the fallback."""
    for length in (0, 7, 9, 15, 41):
        seen = world.ask(option(COOKIE, bytes(length)))
        assert seen.rcode == FORMERR and seen.opts == 1 and not seen.options() and seen.questions, length


def test_cookie_alone(world: World) -> None:
    """RFC 7873 section 5.4: no question, a cookie."""
    head = struct.pack("!HHHHHH", 7, 0, 0, 0, 0, 1)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 12) + option(COOKIE, CLIENT)
    with world.lab.client.udp(world.lab.service[0]) as sock:
        reply = ask(sock, head + opt)
    assert reply
    seen = parse(reply)
    assert seen.rcode == 0 and not seen.questions
    assert world.cookie(given(seen)) == given(seen)


def test_other_ways(world: World) -> None:
    """Over TCP, and by UDP without the driver, cookies and NSID are the same."""
    asked = wire(NAME, A, edns=1232, options=option(NSID) + option(COOKIE, CLIENT + world.cookie()), id=7)
    with world.lab.client.udp(world.lab.service[0]) as sock:
        by_driver = ask(sock, asked)
        assert all(entry["mode"] == "none" for entry in world.agent.cli("detach"))
        try:
            assert ask(sock, asked) == by_driver
            # What the engine leaves: an octet behind the end.
            assert ask(sock, asked + b"x") == by_driver
        finally:
            world.agent.cli("attach", "front")
    assert ask_tcp(world.lab.client.name, world.lab.service[0], asked) == by_driver


def test_extended_error(frozen: World) -> None:
    """REFUSED outside the zones says "not authoritative" to who asks by EDNS, as NSD and Knot DNS do."""
    seen = frozen.ask(b"", name="www.example.com.")
    assert seen.rcode == REFUSED and seen.options() == [(EDE, b"\0\x14")]
    with frozen.lab.client.udp(frozen.lab.service[0]) as sock:
        plain = ask(sock, wire("www.example.com.", A))
    assert plain and parse(plain).rcode == REFUSED and not parse(plain).opts


# -------------------------------------------------------------------------------------------------------------- secrets


def test_rollover(world: World) -> None:
    """A second secret is accepted for a while, and what is given back is made with the first."""
    old = world.cookie()
    world.agent.write_config({"cookies": {"secret": OTHER, "previous": SECRET}})
    world.agent.cli("reload")
    world.agent.freeze()
    try:
        with world.lab.client.udp(world.lab.service[0]) as sock:
            assert ask(sock, wire(NAME, A, id=7))
        new = world.cookie(old)
        assert new != old and world.cookie(new) == new
    finally:
        world.agent.thaw()
    world.agent.write_config({"cookies": {"previous": None}})
    world.agent.cli("reload")
    assert world.cookie(new) == new
    place = world.lab.make_directory("secret") / "cookie"
    place.write_text(SECRET + "\n")
    place.chmod(0o600)
    world.agent.write_config({"cookies": {"secret": None, "secret-file": str(place)}})
    world.agent.cli("reload")
    assert world.cookie(old) == old and world.cookie(new) != new
    world.agent.write_config({"cookies": {"enabled": False}})
    world.agent.cli("reload")
    assert not world.ask(option(COOKIE, CLIENT)).options()
    assert world.ask(option(COOKIE, b"123")).rcode == 0
    world.agent.write_config({"cookies": {"enabled": True}})
    world.agent.cli("reload")
    assert world.cookie(old) == old


def test_drawn_secret(world: World) -> None:
    """Without a secret one is drawn, for root alone to read; it outlives the agent."""
    world.agent.write_config({"cookies": None})
    world.agent.cli("reload")
    first = world.cookie()
    kept = Path(world.agent.directory) / "state" / "cookie-secret"
    assert kept.stat().st_mode & 0o777 == 0o600 and re.fullmatch(r"[0-9a-f]{32}\n", kept.read_text())
    world.agent.stop()
    assert world.cookie(first) == first
    world.agent.start()
    assert world.cookie(first) == first
    assert kept.read_text().strip() not in world.agent.log()
