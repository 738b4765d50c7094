# SPDX-License-Identifier: GPL-3.0-or-later
"""NSD, Knot DNS and BIND as primaries, and primaries that do wrong: the old version is served on, and one line says why."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from lab import KINDS, Key, Lab, NameServer, Nsd, Peregrine, Zone, ask, soa_serial
from scripted import ZONE, ScriptedPrimary
from wire import SOA, A, wire
from zones import serial_zone, serials_in

pytestmark = pytest.mark.timeout(60)

ALGORITHMS = ("hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
NAME = "serial.example."


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def served_serial(lab: Lab, zone: str = NAME, address: int = 0) -> int | None:
    with lab.client.udp(lab.service[address]) as sock:
        return soa_serial(ask(sock, wire(zone, SOA, id=5), 0.3))


def wait_served(lab: Lab, serial: int, zone: str = NAME, timeout: float = 10.0) -> float:
    """How long it took until the serial was answered."""
    start = time.monotonic()
    while served_serial(lab, zone) != serial:
        assert time.monotonic() - start < timeout, f"serial {serial} is not answered after {timeout} s"
        time.sleep(0.005)
    return time.monotonic() - start


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, None])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_transfer_and_notify(lab: Lab, kind: type[NameServer], algorithm: str | None) -> None:
    """The first transfer; then a change at the primary is served within a second, by NOTIFY alone."""
    key = Key(algorithm=algorithm) if algorithm else None
    place = lab.make_directory("zones")
    zone = serial_zone(20, 1).write(place)
    with lab.primary_server(kind, [zone], key=key) as primary, lab.peregrine([NAME], key=key) as agent:
        agent.wait_serving(1)
        assert served_serial(lab) == served_serial(lab, address=1) == 1
        serial_zone(20, 2).write(place)
        primary.reload(NAME, 2)
        assert wait_served(lab, 2, timeout=5) < 1.0, agent.log()
        with lab.client.udp(lab.service[0]) as sock:
            reply = ask(sock, wire("n000007.serial.example.", A, id=1))
        assert reply and serials_in(reply) == {2}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_reload_and_retransfer(lab: Lab, kind: type[NameServer]) -> None:
    """Without NOTIFY: `zone-reload --wait` returns when the new version is served; `zone-retransfer` takes it whole
    again; a zone that is up to date is left alone.
    """
    place = lab.make_directory("zones")
    zone = serial_zone(20, 1).write(place)
    with lab.primary_server(kind, [zone], key=Key(), notify=False) as primary:
        with lab.peregrine([NAME], key=Key()) as agent:
            agent.wait_serving(1)
            serial_zone(20, 2).write(place)
            primary.reload(NAME, 2)
            assert served_serial(lab) == 1
            [entry] = agent.cli("zone-reload", "--wait", NAME)
            assert (entry["serial"], entry["error"]) == (2, None)
            assert served_serial(lab) == 2
            transfers = agent.log().count("transferred and served")
            [entry] = agent.cli("zone-reload", "--wait")
            assert (entry["serial"], entry["error"]) == (2, None)
            assert agent.log().count("transferred and served") == transfers
            [entry] = agent.cli("zone-retransfer", "--wait", NAME)
            assert (entry["serial"], entry["error"]) == (2, None)
            assert agent.log().count("transferred and served") == transfers + 1
            status = agent.zone_status(NAME)
            assert (status["state"], status["serial"], status["primary_serial"]) == ("serving", 2, 2)


# ----------------------------------------------------------------------------------------------------- doing it wrong


def failure_lines(agent: Peregrine, before: int, zone: str) -> list[str]:
    """What was logged about the zone since then, but for successes, and IXFRs that AXFR is tried instead of."""
    new = agent.log()[before:].splitlines()
    fine = ("transferred and served", "; AXFR instead;")
    return [line for line in new if zone in line and not any(words in line for words in fine)]


def check_failure(lab: Lab, agent: Peregrine, zone: str, before: int, cause: str, serial: int | None = 1) -> None:
    """One line with zone, primary and cause; zone-status says the same; the old version is answered still."""
    lines = failure_lines(agent, before, zone.rstrip("."))
    assert len(lines) == 1, lines
    assert "primary origin" in lines[0] and re.search(cause, lines[0]), lines
    status = agent.zone_status(zone)
    assert (status["state"], status["serial"]) == ("failing", serial), status
    assert re.search(cause, status["error"]), status
    assert served_serial(lab, zone) == serial


# What is wrong, and what the line must say.
CAUSES = {
    "silent": r"SOA query failed: nothing good over UDP, and over TCP",
    "refused": r"REFUSED",
    "SOA of another zone": r"no SOA of the zone",
    "closed": r"closed the connection",
    "cut off": r"closed the connection before the end, after \d+ records",
    "cut within a message": r"closed the connection in the middle",
    "two SOAs": r"two different SOAs, serials 2 and 3",
    "SOA of another owner": r"SOA that is not at the apex",
    "out of zone": r"outside the zone: www\.elsewhere\.example\.",
    "class CH": r"class other than IN",
    "malformed record": r"malformed",
    "garbage": r"AXFR failed",
    "skewed": r"clock is 4000 seconds behind \(BADTIME\)|clock is 3999 seconds behind",
    "unsigned": r"not signed",
    "forged": r"BADSIG",
    "short MAC": r"signature is cut short, to 16 octets \(BADTRUNC\)",
    "endless": r"AXFR failed: more than 5000 records",
    "no records": r"AXFR failed",
}


@pytest.fixture(scope="module")
def wronged() -> Iterator[tuple[Lab, ScriptedPrimary, Peregrine]]:
    """A laboratory of its own, since it stays up for all faults."""
    with Lab() as lab:
        address = lab.primary_addresses[0]
        with ScriptedPrimary(lab.primary, address, key=Key()) as primary:
            origin = {"name": "origin", "addresses": [address], "key": Key().name, "max-records": 5000}
            with lab.peregrine([ZONE], key=Key(), change={"primaries": [origin]}) as agent:
                agent.wait_serving(1)
                yield lab, primary, agent


@pytest.mark.parametrize("fault", CAUSES)
def test_wrong_transfer(wronged: tuple[Lab, ScriptedPrimary, Peregrine], fault: str) -> None:
    lab, primary, agent = wronged
    primary.serial, primary.fault = 2, fault
    before = len(agent.log())
    try:
        with pytest.raises(Exception, match="exit 1"):
            agent.cli("zone-reload", "--wait", ZONE)
        check_failure(lab, agent, ZONE, before, CAUSES[fault])
    finally:
        primary.serial, primary.fault = 1, ""
        agent.cli("zone-reload", "--wait", ZONE)
    assert agent.zone_status(ZONE)["state"] == "serving"


def test_recovers(lab: Lab) -> None:
    """A zone whose first transfers fail is loaded once the primary does right, with no new configuration."""
    address = lab.primary_addresses[0]
    with ScriptedPrimary(lab.primary, address) as primary:
        primary.fault = "cut off"
        with lab.peregrine([ZONE], primary_addresses=[address]) as agent:
            deadline = time.monotonic() + 10
            while agent.zone_status(ZONE)["state"] != "failing":
                assert time.monotonic() < deadline
                time.sleep(0.02)
            status = agent.zone_status(ZONE)
            assert status["serial"] is None and status["expires_at"] is None, status
            assert "nothing of the zone is served yet" in agent.log()
            primary.fault = ""
            [entry] = agent.cli("zone-reload", "--wait", ZONE)
            assert (entry["serial"], entry["error"]) == (1, None)
            assert served_serial(lab, ZONE) == 1


def one_zone(lab: Lab, serial: int = 1) -> Zone:
    return serial_zone(20, serial).write(lab.make_directory("zones"))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_wrong_key(lab: Lab, kind: type[NameServer]) -> None:
    """Both sides name the key alike, and their secrets differ."""
    other = Key(secret="bm90IHRoZSBrZXkgb2YgdGhlIG90aGVyIHNpZGUhISE=")
    address = lab.primary_addresses[:1]
    with lab.primary_server(kind, [one_zone(lab)], key=Key(), notify=False):
        with lab.peregrine([NAME], key=other, primary_addresses=address) as agent:
            with pytest.raises(Exception, match="exit 1"):
                agent.cli("zone-reload", "--wait", NAME)
            check_failure(lab, agent, NAME, 0, r"BADSIG|BADKEY|not signed", None)


def test_refused_by_address(lab: Lab) -> None:
    with lab.primary_server(Nsd, [one_zone(lab)], allow=["192.0.2.254"], notify=False):
        with lab.peregrine([NAME], primary_addresses=lab.primary_addresses[:1]) as agent:
            with pytest.raises(Exception, match="exit 1"):
                agent.cli("zone-reload", "--wait", NAME)
            check_failure(lab, agent, NAME, 0, "AXFR refused: REFUSED", None)


def test_unreachable_then_the_other(lab: Lab) -> None:
    """Nobody listens: the next primary is asked. When that is gone too, the zone is served on and said to be failing."""
    dead = {"name": "origin", "addresses": [lab.primary_addresses[1]]}
    good = {"name": "spare", "addresses": [lab.primary_addresses[0]]}
    change = {"primaries": [dead, good], "zones": [{"name": NAME, "primaries": ["origin", "spare"]}]}
    with lab.primary_server(Nsd, [one_zone(lab)], addresses=lab.primary_addresses[:1], notify=False) as primary:
        with lab.peregrine([NAME], change=change) as agent:
            agent.wait_serving(1)
            assert re.search(r"zone serial\.example\.: primary origin .*(refused|REFUSED)", agent.log())
            primary.stop()
            with pytest.raises(Exception, match="exit 1"):
                agent.cli("zone-reload", "--wait", NAME)
            status = agent.zone_status(NAME)
            assert (status["state"], status["serial"]) == ("failing", 1), status
            assert served_serial(lab) == 1
            assert len(re.findall(r"primary spare .*serving serial 1 on", agent.log())) == 1


def test_notify_from_a_stranger_changes_nothing(lab: Lab) -> None:
    """A NOTIFY that comes from no primary is refused, and none is asked for it."""
    address = lab.primary_addresses[0]
    with ScriptedPrimary(lab.primary, address) as primary:
        with lab.peregrine([ZONE], primary_addresses=[address]) as agent:
            agent.wait_serving(1)
            primary.serial = 2
            asked = len(primary.asked)
            with lab.client.udp(lab.service[0]) as sock:
                reply = ask(sock, wire(ZONE, SOA, id=9, opcode=4, flags=0x0400))
            assert reply and reply[3] & 15 in (5, 9), reply
            time.sleep(0.3)
            assert len(primary.asked) == asked and served_serial(lab, ZONE) == 1
            with lab.primary.udp(lab.service[0], source=address) as sock:
                assert ask(sock, wire(ZONE, SOA, id=9, opcode=4, flags=0x0400))
            wait_served(lab, 2, ZONE, timeout=3)
