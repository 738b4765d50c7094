# SPDX-License-Identifier: GPL-3.0-or-later
"""Peregrine as the primary of NSD, Knot DNS, BIND and of another Peregrine; and of dig, and of those who may not."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import time
import unittest.mock
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.versioned
import dns.xfr
import dns.zone
import pytest
from ask import ask_tcp, in_namespace
from lab import Key, Lab, Peregrine
from secondaries import SECONDARIES, Tls
from servers import Knot, NameServer
from zones import ZoneFile

pytestmark = pytest.mark.timeout(120)

NAME = "out.example."
SERVER = "ns.out.example"
KEY = Key()
SECOND = Key("second.example.net.", "hmac-sha512", "YW5vdGhlciBsYWIga2V5LCBub3QgYSBzZWNyZXQh")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def zone_file(serial: int, names: int = 300) -> ZoneFile:
    """Of which little changes from one serial to the next."""
    made = ZoneFile(NAME, serial)
    made.lines += [f"@ 3600 SOA ns1.{NAME} hostmaster.{NAME} {serial} 3600 600 1209600 300", f"@ 3600 NS ns1.{NAME}"]
    made.lines += ["ns1 3600 A 192.0.2.1", f'serial 300 TXT "{serial}"', f"x{serial} 60 MX 10 Mail.{NAME}"]
    made.lines += [f"n{k} 300 A 192.0.2.{k % 250}" for k in range(names)]
    return made


def settings(secondary: str, key: Key | None = None, **zone: object) -> dict:
    """Who may transfer what is served, and who is notified."""
    entry: dict[str, object] = {"addresses": [secondary, "2001:db8:0:1::1"]}
    told: dict[str, object] = {"name": "down", "addresses": [secondary], "source": list(Lab.service)}
    keys = [{"name": made.name, "algorithm": made.algorithm, "secret": made.secret} for made in (KEY, SECOND)]
    if key:
        entry["key"] = told["key"] = key.name
    made = {"name": NAME, "primaries": ["origin"], "allow-transfer": [entry], "notify": ["down"]}
    return {"keys": keys, "secondaries": [told], "zones": [{**made, **zone}]}


@contextmanager
def chain(lab: Lab, key: Key | None = None, names: int = 300, **zone: object) -> Iterator[tuple[NameServer, Peregrine]]:
    """A Knot that keeps differences, and Peregrine behind it."""
    place = lab.make_directory("zones")
    written = zone_file(1, names).write(place)
    change = settings(lab.client_addresses[0], key, **zone)
    with (
        lab.primary_server(Knot, [written], key=KEY, ixfr=True) as primary,
        lab.peregrine([NAME], key=KEY, change=change) as agent,
    ):
        agent.wait_serving(1)
        wait_stored(agent, 1)
        yield primary, agent


def wait_stored(agent: Peregrine, serial: int) -> None:
    """The zone can be transferred as soon as it is stored, of which NOTIFY tells."""
    end = time.monotonic() + 10
    while not (told := agent.zone_status(NAME)["notify"]) or told[0]["serial"] != serial:
        assert time.monotonic() < end, agent.log()
        time.sleep(0.02)


def update(primary: NameServer, serial: int, names: int = 300) -> None:
    zone_file(serial, names).write(primary.zones[0].path.parent)
    primary.reload(NAME, serial)


def keyring(key: Key | None) -> dict:
    if not key:
        return {}
    return {
        "keyring": dns.tsigkeyring.from_text({key.name: (key.algorithm, key.secret)}),
        "keyname": key.name,
        "keyalgorithm": key.algorithm,
    }


def transferred(lab: Lab, server: str, key: Key | None = None, serial: int | None = None) -> list[dns.message.Message]:
    """The messages of an AXFR, or of an IXFR from a serial, as dnspython judges them, signatures included."""
    kind = "AXFR" if serial is None else "IXFR"
    more = keyring(key)

    def ask() -> list[dns.message.Message]:
        return list(dns.query.xfr(server, NAME, kind, serial=serial or 0, lifetime=20, relativize=False, **more))

    return in_namespace(lab.client.name, ask)


def records(messages: list[dns.message.Message]) -> list[tuple]:
    return [
        (rrset.name, rrset.rdtype, rrset.ttl, rdata)
        for message in messages
        for rrset in message.answer
        for rdata in rrset
    ]


def contents(messages: list[dns.message.Message]) -> set[tuple]:
    got = records(messages)
    assert got[0] == got[-1] and got[0][1] == dns.rdatatype.SOA
    assert len(set(got)) == len(got) - 1
    return set(got)


def answer(lab: Lab, query: dns.message.Message, tcp: bool = True, server: str = Lab.service[0]) -> dns.message.Message:
    asked = dns.query.tcp if tcp else dns.query.udp
    return in_namespace(lab.client.name, lambda: asked(query, server, timeout=5))


# Each of them signed, one of them unsigned; all of both with PEREGRINE_LONG set.
LONG = bool(os.environ.get("PEREGRINE_LONG"))
PAIRS = [(kind, key) for kind in SECONDARIES for key in (SECOND, None) if key or kind == "nsd" or LONG]


@pytest.mark.parametrize(("name", "key"), PAIRS, ids=[f"{kind}-{'tsig' if key else 'plain'}" for kind, key in PAIRS])
def test_secondary(lab: Lab, name: str, key: Key | None) -> None:
    """It transfers the zone, is told of a change, asks for what changed, and has the same zone as the primary."""
    kind = SECONDARIES[name]
    with chain(lab, key) as (primary, agent), kind(lab, lab.client, NAME, lab.service, key) as secondary:
        assert secondary.wait_for(NAME, 1) == 1
        for serial in (2, 3):
            update(primary, serial)
            agent.wait_serving(serial)
            secondary.wait_for(NAME, serial, timeout=10)
        status = agent.zone_status(NAME)["notify"]
        assert [entry["state"] for entry in status] == ["answered"], status
        line = r"zone out\.example\.: (\S+(?: \(\w+\))?) to 192\.0\.2\.1@\d+.*: serial (\d) sent"
        sent = re.findall(line, agent.log())
        assert ("AXFR", "1") in sent, agent.log()
        assert ("IXFR", "3") in sent, agent.log()


def test_peregrine_behind(lab: Lab) -> None:
    """A chain: what the last of them gives by AXFR is what the first has."""
    with chain(lab, SECOND) as (primary, agent):
        up = {"name": "origin", "addresses": list(lab.service), "key": SECOND.name}
        last = lab.peregrine(
            [NAME],
            namespace=lab.client,
            listen=lab.client_addresses,
            primary_addresses=lab.service,
            mode="off",
            change={**settings("192.0.2.1"), "primaries": [up]},
        )
        last.start()
        try:
            last.wait_serving(1)
            for serial in (2, 3):
                update(primary, serial)
                last.wait_serving(serial, timeout=10)
            wait_stored(last, 3)
            assert last.zone_status(NAME)["transferred_by"] == "IXFR"
            assert re.search(r"IXFR to 192\.0\.2\.1@\d+ key second.example.net.: serial 3 sent, 8 records", agent.log())
            whole = contents(transferred(lab, lab.client_addresses[0]))
            assert whole == contents(transferred(lab, lab.service[0], SECOND))
            place = primary.zones[0].path
            wanted = dns.zone.from_file(str(place), origin=NAME, relativize=False)
            assert {(name, ttl, rdata) for name, _, ttl, rdata in whole} == set(wanted.iterate_rdatas())
        finally:
            last.stop()


def test_shapes(lab: Lab) -> None:
    """IXFR as RFC 1995 has it; every message signed; records by the hundred in each."""
    with chain(lab, KEY, names=5000) as (primary, agent):
        whole = transferred(lab, lab.service[0], KEY)
        assert all(message.had_tsig for message in whole)
        assert 3 < len(whole) < 15
        assert len(contents(whole)) == 5005
        update(primary, 2, 5000)
        agent.wait_serving(2)
        wait_stored(agent, 2)
        changed = records(transferred(lab, lab.service[0], KEY, 1))
        soas = [rdata.serial for _, kind, _, rdata in changed if kind == dns.rdatatype.SOA]
        assert soas == [2, 1, 2, 2] and len(changed) == 8
        assert [len(records(transferred(lab, lab.service[0], KEY, serial))) for serial in (2, 3)] == [1, 1]
        # A serial that the journal does not reach back to.
        assert len(records(transferred(lab, lab.service[0], KEY, 0xFFFFFF00))) == 5006
        # Over UDP the SOA alone, whichever serial the client has.
        for have in (1, 2):
            query, _ = dns.xfr.make_query(versioned(have), **keyring(KEY))
            reply = answer(lab, query, tcp=False)
            assert [rrset.rdtype for rrset in reply.answer] == [dns.rdatatype.SOA] and reply.answer[0][0].serial == 2
            assert reply.had_tsig


def versioned(serial: int) -> dns.zone.Zone:
    """What an IXFR query is made from."""
    return dns.zone.from_text(
        f"@ 1 SOA a. b. {serial} 1 1 1 1\n@ 1 NS a.\n", origin=NAME, relativize=False, zone_factory=dns.versioned.Zone
    )


def test_update_meanwhile(lab: Lab) -> None:
    """A version that comes in the middle of a slow AXFR does not show in it."""
    names = 40000
    with chain(lab, names=names) as (primary, agent), lab.client.tcp(lab.service[0]) as sock:
        query = dns.message.make_query(NAME, "AXFR").to_wire()
        sock.setsockopt(1, 8, 4096)  # SO_RCVBUF
        sock.sendall(len(query).to_bytes(2, "big") + query)
        sock.settimeout(20)
        buffer = sock.recv(1000)
        update(primary, 2, names)
        agent.wait_serving(2)
        wait_stored(agent, 2)
        assert "AXFR to" not in agent.log()  # it is not over
        sock.setsockopt(1, 8, 1 << 20)
        soas: list[int] = []
        texts = set()
        count = 0
        while count < names + 6:
            data = sock.recv(1 << 20)
            assert data, agent.log()
            buffer += data
            while len(buffer) >= 2 and len(buffer) >= 2 + (size := int.from_bytes(buffer[:2], "big")):
                wire, buffer = buffer[2 : 2 + size], buffer[2 + size :]
                here = int.from_bytes(wire[6:8], "big")
                count += here
                if count == here or b"\6serial" in wire or count >= names + 6:
                    for rrset in dns.message.from_wire(wire).answer:
                        soas += [rdata.serial for rdata in rrset if rrset.rdtype == dns.rdatatype.SOA]
                        texts |= {rdata.strings for rdata in rrset if rrset.rdtype == dns.rdatatype.TXT}
        assert soas == [1, 1] and texts == {(b"1",)} and count == names + 6
        # Who asks now gets the newest.
        query, _ = dns.xfr.make_query(versioned(2))
        assert answer(lab, query, tcp=False).answer[0][0].serial == 2
        assert records(transferred(lab, lab.service[0], serial=1))[0][3].serial == 2


def test_silent_secondary(lab: Lab) -> None:
    """One that does not answer is named by zone-status, and the zone is served on."""
    told = [{"name": "gone", "addresses": ["192.0.2.77@5399"]}]
    with chain(lab) as (primary, agent):
        zone = {**agent.settings["zones"][0], "notify": ["down", "gone"]}
        agent.write_config({"secondaries": [*agent.settings["secondaries"], *told], "zones": [zone]})
        agent.cli("reload")
        update(primary, 2)
        agent.wait_serving(2)
        wait_stored(agent, 2)
        states = {entry["secondary"]: entry for entry in agent.zone_status(NAME)["notify"]}
        assert states["gone"]["state"] == "waiting" and states["gone"]["serial"] == 2
        assert states["gone"]["tries"] >= 1


def make_certificate(lab: Lab) -> tuple[str, str]:
    """A certificate, which is its own authority, and its key, as files."""
    place = lab.make_directory("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", f"/CN={SERVER}", "-addext", f"subjectAltName=DNS:{SERVER}", "-keyout", place / "key", "-out", place / "certificate"],
        check=True,
        capture_output=True,
    )
    return str(place / "certificate"), str(place / "key")


def over_tls(lab: Lab, query: dns.message.Message, protocols: list[str], records: int = 0) -> list[dns.message.Message]:
    """The messages that answer one query, until there are so many records."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    made: list[dns.message.Message] = []
    with lab.client.tcp(lab.service[0], 853) as plain, context.wrap_socket(plain) as sock:
        wire = query.to_wire()
        sock.sendall(len(wire).to_bytes(2, "big") + wire)
        stream = sock.makefile("rb")
        while not made or sum(len(rrset) for message in made for rrset in message.answer) < records:
            size = stream.read(2)
            assert len(size) == 2, "closed"
            made.append(dns.message.from_wire(stream.read(int.from_bytes(size, "big"))))
    return made


def test_tls(lab: Lab) -> None:
    """RFC 9103: transfers and SOA by TLS 1.3 with ALPN dot, also to BIND; nothing else, and nothing else's clients."""
    certificate, private = make_certificate(lab)
    server = {"tls-listen": list(lab.service), "certificate": certificate, "private-key": private}
    place = lab.make_directory("zones")
    written = zone_file(1, 8000).write(place)
    change = {**settings(lab.client_addresses[0]), "server": server}
    with (
        lab.primary_server(Knot, [written], key=KEY, ixfr=True) as primary,
        lab.peregrine([NAME], key=KEY, change=change) as agent,
    ):
        agent.wait_serving(1)
        wait_stored(agent, 1)
        whole = over_tls(lab, dns.message.make_query(NAME, "AXFR"), ["dot"], 8006)
        assert sum(len(rrset) for message in whole for rrset in message.answer) == 8006 and len(whole) > 5
        soa = over_tls(lab, dns.message.make_query(NAME, "SOA"), ["dot"])[0]
        assert soa.answer[0][0].serial == 1
        assert over_tls(lab, dns.message.make_query(f"n1.{NAME}", "A"), ["dot"])[0].rcode() == dns.rcode.REFUSED
        for protocols in ([], ["h2"]):
            with pytest.raises((ssl.SSLError, AssertionError, ConnectionError)):
                over_tls(lab, dns.message.make_query(NAME, "SOA"), protocols)
        with lab.client.tcp(lab.service[0], 853) as plain:
            plain.sendall(b"\0\x11no TLS at all....")
            plain.settimeout(5)
            while plain.recv(100):
                pass
        with SECONDARIES["bind"](lab, lab.client, NAME, lab.service, tls=Tls(SERVER, Path(certificate))) as secondary:
            assert secondary.wait_for(NAME, 1) == 1
            update(primary, 2, 8000)
            secondary.wait_for(NAME, 2, timeout=10)
        # Another certificate is taken up without a word to those who are connected.
        server["certificate"], server["private-key"] = make_certificate(lab)
        agent.write_config({"server": server})
        agent.cli("reload")
        assert over_tls(lab, dns.message.make_query(NAME, "SOA"), ["dot"])[0].answer[0][0].serial == 2


# What follows shares one agent, which is there from here to the end.


@pytest.fixture(scope="module")
def served(lab: Lab) -> Iterator[Peregrine]:
    """A zone that stays as it is, which needs a key."""
    with chain(lab, KEY) as (_, agent):
        yield agent


def test_refused(lab: Lab, served: Peregrine) -> None:
    """Who may not, is told REFUSED, the log says why, once; wrong signatures as RFC 8945 has them."""
    query = dns.message.make_query(NAME, "AXFR")
    for _ in range(3):
        assert answer(lab, query).rcode() == dns.rcode.REFUSED
    assert served.log().count("AXFR of out.example. from") == 1
    assert "not signed, and the zone's allow-transfer has a key for the address" in served.log()
    other = dns.message.make_query(NAME, "AXFR")
    other.use_tsig(**{"keyring": keyring(SECOND)["keyring"], "algorithm": SECOND.algorithm})
    refused = answer(lab, other)
    assert refused.rcode() == dns.rcode.REFUSED and refused.had_tsig
    assert answer(lab, dns.message.make_query("elsewhere.example.", "AXFR")).rcode() == dns.rcode.NOTAUTH
    assert answer(lab, query, tcp=False).rcode() == dns.rcode.NOTIMP
    wrong = Key(KEY.name, KEY.algorithm, "d3Jvbmc=")
    unknown = Key("no.such.key.", KEY.algorithm, KEY.secret)
    for key, error in ((wrong, dns.tsig.PeerBadSignature), (unknown, dns.tsig.PeerBadKey)):
        for tcp in (True, False):
            bad = dns.message.make_query(NAME, "SOA")
            bad.use_tsig(keyring(key)["keyring"], algorithm=key.algorithm)
            with pytest.raises(error):
                answer(lab, bad, tcp=tcp)
    # Signed ten minutes ago: the reply is signed, and has our time, so that the client sees the difference.
    late = dns.message.make_query(NAME, "SOA")
    late.use_tsig(keyring(KEY)["keyring"], algorithm=KEY.algorithm)
    with unittest.mock.patch("time.time", return_value=time.time() - 600):
        wire = late.to_wire()
    reply = ask_tcp(lab.client.name, lab.service[0], wire)
    assert reply[3] & 15 == 9 and reply[-10:-6] == bytes([0, 18, 0, 6]) and reply[-46:-44] == bytes([0, 32])
    assert abs(int.from_bytes(reply[-6:], "big") - time.time()) < 60
    assert "refused with BADTIME" in served.log()
    assert "refused with BADSIG" in served.log() and "refused with BADKEY" in served.log()
    assert KEY.secret not in served.log()


def test_signed_queries(lab: Lab, served: Peregrine) -> None:
    """Any query may be signed; EXPIRE tells how long the zone has to live, whoever asks (RFC 7314)."""
    for tcp in (True, False):
        for name, kind, count in ((NAME, "SOA", 1), (f"n7.{NAME}", "A", 1), (f"missing.{NAME}", "A", 0)):
            query = dns.message.make_query(name, kind)
            query.use_tsig(keyring(KEY)["keyring"], algorithm=KEY.algorithm)
            reply = answer(lab, query, tcp=tcp)
            assert reply.had_tsig and len(reply.answer) == count, reply
        option = dns.edns.GenericOption(9, b"")
        for name, kind, wanted in ((NAME, "SOA", 1), (f"n7.{NAME}", "A", 0), (f"n7.{NAME}", "SOA", 0)):
            query = dns.message.make_query(name, kind, use_edns=0, options=[option])
            seen = [made.to_wire() for made in answer(lab, query, tcp=tcp).options if made.otype == 9]
            assert len(seen) == wanted, (name, kind, tcp)
            for left in seen:
                assert 1209600 - 120 < int.from_bytes(left, "big") <= 1209600
    # The same in the first message of a transfer.
    query = dns.message.make_query(NAME, "AXFR", use_edns=0, options=[option])
    query.use_tsig(keyring(KEY)["keyring"], algorithm=KEY.algorithm)
    assert [made.otype for made in answer(lab, query).options] == [9]
    assert served.zone_status(NAME)["state"] == "serving"
