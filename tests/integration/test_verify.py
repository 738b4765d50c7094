# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions that are not to be served, from real primaries: refused, kept, served by force alone; and what zone-status
makes of it, and of primaries that do wrong. With PEREGRINE_ROOT_ZONE, a copy of the root zone is verified too.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import dns.zone
import pytest
from lab import BUILD, Key, Knot, Lab, NameServer, Nsd, Peregrine, Zone, ask, soa_serial
from scripted import ZONE, ScriptedPrimary
from signed import CHAIN_NSEC, Signed, given, rdata_type, sign
from signed_zones import rootlike_zone
from wire import SOA, wire
from zones import serial_zone

pytestmark = pytest.mark.timeout(60)

NAME = "serial.example."
ROOT_ZONE = os.environ.get("PEREGRINE_ROOT_ZONE", "")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def served_serial(lab: Lab, zone: str = NAME) -> int | None:
    with lab.client.udp(lab.service[0]) as sock:
        return soa_serial(ask(sock, wire(zone, SOA, id=5), 0.5))


def text_of(agent: Peregrine, *words: str) -> tuple[int, str]:
    """A verb as people see it: exit code and output."""
    argv = agent.namespace.command(str(BUILD / "peregrine"), "-s", str(agent.control_socket), *words)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


def write(place: Path, serial: int, names: int = 30, *, zonemd: str = "", spare: int = 0) -> Zone:
    """A zone file; `zonemd` is nothing, "right", or "wrong". Between two serials only `spare` and the digest differ."""
    zone = Zone(NAME, place / "zone")
    lines = [
        f"$ORIGIN {NAME}",
        "$TTL 300",
        f"@ SOA ns1 hostmaster {serial} 3600 600 1209600 300",
        "@ NS ns1",
        "ns1 A 192.0.2.1",
        f"spare A 192.0.2.{spare}",
    ]
    lines += [f"n{k} A 198.51.100.{k % 250}" for k in range(names)]
    if zonemd:
        parsed = dns.zone.from_text("\n".join(lines), origin=NAME, relativize=False)
        digest = parsed.compute_digest(dns.zone.DigestHashAlgorithm.SHA384).to_text()
        lines.append(f"@ ZONEMD {digest}")
        if zonemd == "wrong":
            lines.append("late A 192.0.2.99")
    zone.path.write_text("\n".join(lines) + "\n")
    return zone


def refused(agent: Peregrine) -> list[str]:
    return sorted(path.name for path in (agent.directory / "state" / "refused").glob("*"))


def expect_refused(lab: Lab, agent: Peregrine, serial: int, cause: str, before: int) -> None:
    """The version at the primary is not served, and everything says so."""
    with pytest.raises(Exception, match="exit 1"):
        agent.cli("zone-reload", "--wait", NAME)
    status = agent.zone_status(NAME)
    assert (status["state"], status["serial"], status["primary_serial"]) == ("failing", before, serial), status
    assert cause in status["error"] and status["refused"]["serial"] == serial
    assert cause in status["refused"]["reason"]
    assert Path(status["refused"]["kept"]).name == f"serial.example.{serial}.zone" in refused(agent)
    assert served_serial(lab) == before
    problem = status["problem"]
    assert problem["level"] == "error" and problem["culprit"].startswith("primary origin (")
    assert "peregrine zone-reload --force serial.example" in problem["way_out"]
    [primary] = [entry for entry in status["primaries"] if entry["result"] == "failed"]
    assert (primary["phase"], primary["serial"]) == ("verify", serial)


# NSD adds what is there already, so that its differences fit nothing.
WAYS = pytest.mark.parametrize(("kind", "ixfr"), [(Nsd, False), (Knot, True)], ids=["AXFR", "IXFR"])


@WAYS
def test_zonemd(lab: Lab, kind: type[NameServer], ixfr: bool) -> None:
    place = lab.make_directory("zones")
    zone = write(place, 1, zonemd="right")
    with lab.primary_server(kind, [zone], key=Key(), notify=False, ixfr=ixfr) as primary:
        with lab.peregrine([NAME], key=Key()) as agent:
            agent.wait_serving(1)
            write(place, 2, zonemd="wrong", spare=2)
            primary.reload(NAME, 2)
            expect_refused(lab, agent, 2, "its ZONEMD does not fit the records", before=1)
            taken = agent.log().count("transferred but not taken")
            assert taken == 1
            # The same serial is not transferred again.
            with pytest.raises(Exception, match="exit 1"):
                agent.cli("zone-reload", "--wait", NAME)
            assert agent.log().count("transferred but not taken") == taken
            write(place, 3, zonemd="right", spare=3)
            primary.reload(NAME, 3)
            [entry] = agent.cli("zone-reload", "--wait", NAME)
            assert (entry["serial"], entry["error"]) == (3, None)
            status = agent.zone_status(NAME)
            assert (status["state"], status["refused"], status["problem"]) == ("serving", None, None)
            if ixfr:
                assert status["transferred_by"] == "IXFR"
            # By force it is served, and the log says in spite of what.
            write(place, 4, zonemd="wrong", spare=4)
            primary.reload(NAME, 4)
            expect_refused(lab, agent, 4, "its ZONEMD does not fit the records", before=3)
            [entry] = agent.cli("zone-reload", "--force", "--wait", NAME)
            assert (entry["serial"], entry["error"]) == (4, None)
            assert served_serial(lab) == 4
            assert "served as it was asked for by force, although its ZONEMD does not fit" in agent.log()
            # The digest may go, and is not asked for then.
            write(place, 5, spare=5)
            primary.reload(NAME, 5)
            [entry] = agent.cli("zone-reload", "--wait", NAME)
            assert (entry["serial"], entry["error"]) == (5, None)


@WAYS
def test_shrunk(lab: Lab, kind: type[NameServer], ixfr: bool) -> None:
    place = lab.make_directory("zones")
    zone = write(place, 1, names=40)
    with lab.primary_server(kind, [zone], key=Key(), notify=False, ixfr=ixfr) as primary:
        with lab.peregrine([NAME], key=Key()) as agent:
            agent.wait_serving(1)
            write(place, 2, names=5)
            primary.reload(NAME, 2)
            expect_refused(lab, agent, 2, "it lost 35 of 43 names", before=1)
            [entry] = agent.cli("zone-reload", "--force", "--wait", NAME)
            assert (entry["serial"], entry["error"]) == (2, None)
            # Growing is no harm, nor is losing a few.
            for serial, names in ((3, 60), (4, 40)):
                write(place, serial, names=names)
                primary.reload(NAME, serial)
                [entry] = agent.cli("zone-reload", "--wait", NAME)
                assert (entry["serial"], entry["error"]) == (serial, None)


def test_command(lab: Lab) -> None:
    """Any program judges; NSD's own checker as well as a line of shell."""
    place = lab.make_directory("zones")
    judge = place / "judge"
    judge.write_text(
        "#!/bin/sh\n"
        "cat >/dev/null\n"
        'test "$PEREGRINE_ZONE" = serial.example. || test "$PEREGRINE_ZONE" = serial.example || exit 9\n'
        'test "$PEREGRINE_SERIAL" != 2 && exit 0\n'
        "echo serial 2 is not to my taste >&2\n"
        "exit 1\n"
    )
    judge.chmod(0o755)
    zone = write(place, 1)
    change = {"zones": [{"name": NAME, "primaries": ["origin"], "verify-command": str(judge)}]}
    with lab.primary_server(Nsd, [zone], key=Key(), notify=False) as primary:
        with lab.peregrine([NAME], key=Key(), change=change) as agent:
            agent.wait_serving(1)
            write(place, 2)
            primary.reload(NAME, 2)
            expect_refused(lab, agent, 2, "serial 2 is not to my taste", before=1)
            write(place, 3)
            primary.reload(NAME, 3)
            [entry] = agent.cli("zone-reload", "--wait", NAME)
            assert (entry["serial"], entry["error"]) == (3, None)


@pytest.fixture(scope="module", params=["rootlike", "real"] if ROOT_ZONE else ["rootlike"])
def root(request: pytest.FixtureRequest) -> Signed:
    """A zone as the root is, really signed, and the root itself where a copy of it is at hand."""
    real = request.param == "real"
    return given(Path(ROOT_ZONE), ".", CHAIN_NSEC) if real else sign(rootlike_zone(60), CHAIN_NSEC)


def follow_root(lab: Lab, lines: list[str], rules: dict[str, str]) -> tuple[dict, str]:
    """What becomes of a root zone of these lines: zone-status and the log."""
    zone = Zone(".", lab.make_directory("zones") / "root.zone")
    zone.path.write_text("\n".join(lines) + "\n")
    change = {"zones": [{"name": ".", "primaries": ["origin"], **rules}]}
    with lab.primary_server(Nsd, [zone], key=Key(), notify=False), lab.peregrine(["."], key=Key(), change=change) as agent:
        end = time.monotonic() + 100
        while time.monotonic() < end:
            status = agent.zone_status(".")
            if status["state"] != "loading":
                return status, agent.log()
            time.sleep(0.05)
    raise AssertionError(status)


@pytest.mark.timeout(200)
def test_root_zonemd(lab: Lab, root: Signed) -> None:
    """A digest of all of it, NSEC and RRSIGs too, that others computed."""
    parsed = dns.zone.from_text("\n".join(root.lines()), origin=".", relativize=False)
    digest = parsed.compute_digest(dns.zone.DigestHashAlgorithm.SHA512).to_text()
    status, log = follow_root(lab, [*root.lines(), f". 86400 IN ZONEMD {digest}"], {"zonemd": "required"})
    assert status["state"] == "serving" and status["transfer"]["verify_ms"] is not None, log


@pytest.mark.timeout(200)
def test_root_signatures(lab: Lab, root: Signed) -> None:
    status, log = follow_root(lab, root.lines(), {"dnssec": "check"})
    assert status["state"] == "serving" and status["refused"] is None, log


def test_spoilt_signatures(lab: Lab) -> None:
    """An address that is not the one signed; and a chain of NSEC that does not close."""
    signed = sign(rootlike_zone(60), CHAIN_NSEC)
    lines = signed.lines()
    signatures = [line for line in lines if rdata_type(line) == "RRSIG"]
    ds = next(line for line in lines if rdata_type(line) == "DS")
    changed = [line if line != ds else f"{ds[:-2]}{'00' if ds[-2:] != '00' else '11'}" for line in lines]
    status, log = follow_root(lab, changed, {"dnssec": "check"})
    assert status["state"] == "failing" and "an RRSIG does not verify: " in status["error"], log
    nsec = next(line for line in lines[len(lines) // 2 :] if rdata_type(line) == "NSEC")
    owner = nsec.split()[0]
    gap = [line for line in lines if line != nsec and not (line.split()[0] == owner and " NSEC " in line and line in signatures)]
    status, log = follow_root(lab, gap, {"dnssec": "check"})
    assert status["state"] == "failing" and "NSEC" in status["error"], log


# What is wrong with a zone's primary, and what the line about it has to say.
PROBLEMS = {
    "badkey.example.": ("stranger", r"TSIG BADKEY", "give key other.example.net. the same name"),
    "dead.example.": ("dead", "connection refused", "that UDP and TCP reach it"),
    "denied.example.": ("keyless", "refused", "allow this server to transfer the zone"),
    ZONE: ("skewed", "BADTIME", "set the clocks right"),
}


def test_problems(lab: Lab) -> None:
    """The culprit comes first, with the cause and the way out; a zone that is well is not named."""
    good, strange = lab.primary_addresses[1], lab.primary_addresses[0]
    zones = []
    for name in (NAME, "badkey.example.", "denied.example."):
        made = serial_zone(3, 1, name).write(lab.make_directory("zones"))
        zones.append(made)
    other = Key(name="other.example.net.")
    change = {
        "keys": [vars(Key()), vars(other)],
        "primaries": [
            {"name": "origin", "addresses": [good], "key": Key().name},
            {"name": "stranger", "addresses": [good], "key": other.name},
            {"name": "dead", "addresses": [f"{good}@5999"]},
            {"name": "keyless", "addresses": [good]},
            {"name": "skewed", "addresses": [strange], "key": Key().name},
        ],
        "zones": [{"name": NAME, "primaries": ["origin"]}]
        + [{"name": name, "primaries": [who]} for name, (who, _, _) in PROBLEMS.items()],
    }
    with lab.primary_server(Nsd, zones, key=Key(), notify=False, addresses=[good]):
        with ScriptedPrimary(lab.primary, strange, key=Key()) as skewed:
            skewed.fault = "skewed"
            with lab.peregrine([NAME], change=change) as agent:
                agent.wait_serving(1)
                end = time.monotonic() + 20
                while time.monotonic() < end and len(problems(agent)) < 4:
                    time.sleep(0.1)
                status, text = text_of(agent, "zone-status", "--problems")
                assert status == 1, text
                lines = text.splitlines()
                assert len(lines) == 4, text
                for name, (who, cause, way_out) in PROBLEMS.items():
                    [line] = [line for line in lines if f": zone {name}: " in line or f": zone {name[:-1]}: " in line]
                    assert line.startswith(f"primary {who} ("), line
                    assert cause in line and way_out in line, line
                assert Key().secret not in text
                entries = {entry["zone"].rstrip("."): entry for entry in agent.cli("zone-status")}
                [primary] = entries["badkey.example"]["primaries"]
                assert (primary["rcode"], primary["tsig_error"], primary["key"]) == ("NOTAUTH", "BADKEY", other.name)
                assert (primary["kind"], primary["transport"], primary["phase"]) == ("AXFR", "tcp", "transfer")
                [primary] = entries["dead.example"]["primaries"]
                assert (primary["result"], primary["phase"], primary["rcode"]) == ("failed", "connect", None)
                [primary] = entries["serial.example"]["primaries"]
                assert (primary["result"], primary["error"], primary["serial"]) == ("ok", None, 1)
                assert primary["octets"] > 0 and primary["records"] > 3 and primary["messages"] > 0
                assert text_of(agent, "zone-status", "--problems", NAME) == (0, "no zone has a problem\n")
                status, text = text_of(agent, "zone-status", "badkey.example")
                assert status == 0 and "TSIG BADKEY" in text and "way out" in text and "key other.example.net." in text
                assert "4 with a problem" in text_of(agent, "status")[1]


def problems(agent: Peregrine) -> list[dict]:
    return [entry for entry in agent.cli("zone-status") if entry["problem"]]
