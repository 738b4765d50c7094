# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept on disk: starts without pins and without primaries, kills at any moment, zones printed.

PEREGRINE_STORE_KILLS: how often the agent is killed (200 in the long form).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.zone
import pytest
from ask import Load
from lab import Key, Lab, Nsd, Peregrine, ask, run, soa_serial
from scripted import ZONE, ScriptedPrimary, record, text
from signed import CHAIN_NSEC3, sign
from wire import SOA, TXT, A, parse, wire
from zones import family, serial_zone

KILLS = int(os.environ.get("PEREGRINE_STORE_KILLS", 10))
pytestmark = pytest.mark.timeout(120 + 4 * KILLS)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def wait_for(condition: Callable[[], object], timeout: float = 20.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.02)


def serial_of(lab: Lab, zone: str = ZONE) -> int | None:
    with lab.client.udp(lab.service[0]) as sock:
        return soa_serial(ask(sock, wire(zone, SOA, id=5), 0.5))


def wait_stored(agent: Peregrine, zone: str, serial: int) -> None:
    def stored() -> bool:
        done = subprocess.run(agent.command("zone-export", zone), capture_output=True)
        return done.returncode == 0 and json.loads(done.stdout)["serial"] == serial

    wait_for(stored)


def differences(primary: ScriptedPrimary) -> list[bytes]:
    """An IXFR from the serial before: two addresses change."""
    new, old = primary.serial, primary.serial - 1

    def names(serial: int) -> list[bytes]:
        return [record(f"n{k}.{ZONE}", TXT, text(f"serial={serial}")) for k in range(primary.names)] + [
            record(f"n{k}.{ZONE}", A, struct.pack("!I", 10 << 24 | serial)) for k in range(primary.names)
        ]

    return [primary.soa(), primary.soa(old), *names(old), primary.soa(), *names(new), primary.soa()]


def lose_power(agent: Peregrine) -> None:
    """The agent is killed, and what is pinned is gone: as after a reboot."""
    agent.kill()
    agent.detach()


def test_start_without_primaries(lab: Lab) -> None:
    """All is served at once from the store, with the serial that was served; IXFR goes on from there."""
    address = lab.primary_addresses[0]
    with lab.peregrine([ZONE], primary_addresses=[address]) as agent:
        with ScriptedPrimary(lab.primary, address) as primary:
            primary.differences = differences
            agent.wait_serving(1)
            primary.serial = 2
            agent.cli("zone-reload", "--wait", ZONE)
            wait_stored(agent, ZONE, 2)
            deadline = agent.zone_status(ZONE)["expires_at"]
        lose_power(agent)
        agent.start()
        # No primary is there, and the address was not taken before the zone was there.
        assert serial_of(lab) == 2
        status = agent.zone_status(ZONE)
        assert abs(status["expires_at"] - deadline) <= 2, (status, deadline)
        assert "transferred" not in agent.log().rpartition("loaded from the store")[2]
        with ScriptedPrimary(lab.primary, address) as primary:
            primary.serial, primary.differences = 3, differences
            agent.cli("zone-reload", "--wait", ZONE)
            assert serial_of(lab) == 3
            assert agent.zone_status(ZONE)["transferred_by"] == "IXFR"
            wait_stored(agent, ZONE, 3)
        changes = agent.cli("zone-diff", ZONE, "1")
        assert [(change["from"], change["to"]) for change in changes] == [(1, 2), (2, 3)]
        assert all(len(change["removed"]) == len(change["added"]) == 41 for change in changes)
        assert [change["from"] for change in agent.cli("zone-diff", ZONE)] == [2]


def test_stored_zones_before_the_program(lab: Lab) -> None:
    """The verifier takes a good part of a second for the program: until then the sockets answer what is stored. Without
    a store nobody is answered before the driver answers."""
    address = lab.primary_addresses[0]

    def by_sockets() -> int:
        with Load(lab.client.name, lab.service[0], [wire(ZONE, SOA, id=7)], rate=200, timeout=0.05):
            agent.start()
            wait_for(lambda: agent.counters()["fast_path"]["answered"])
        return agent.counters()["fallback"]["udp"]

    with lab.peregrine([ZONE], primary_addresses=[address]) as agent:
        with ScriptedPrimary(lab.primary, address):
            agent.wait_serving(1)
            wait_stored(agent, ZONE, 1)
            lose_power(agent)
            assert by_sockets() > 0
            lose_power(agent)
            shutil.rmtree(agent.directory / "state/store")
            assert by_sockets() == 0


def test_expired_stays_expired(lab: Lab) -> None:
    """A deadline that passed while nothing ran is kept: SERVFAIL, until a primary is there."""
    address = lab.primary_addresses[0]
    with lab.peregrine([ZONE], primary_addresses=[address]) as agent:
        with ScriptedPrimary(lab.primary, address) as primary:
            primary.timers = (60, 60, 2, 300)
            agent.wait_serving(1)
            wait_stored(agent, ZONE, 1)
        lose_power(agent)
        time.sleep(2.2)
        agent.start()
        assert agent.zone_status(ZONE)["state"] == "expired"
        with lab.client.udp(lab.service[0]) as sock:
            reply = ask(sock, wire(ZONE, SOA, id=5))
        assert reply and parse(reply).rcode == 2
        with ScriptedPrimary(lab.primary, address) as primary:
            agent.cli("zone-reload", "--wait", ZONE)
            assert serial_of(lab) == 1


@pytest.mark.parametrize(("mode", "kills"), [("off", KILLS), ("native", KILLS // 10)])
def test_killed_at_any_moment(lab: Lab, mode: str, kills: int) -> None:
    """SIGKILL during transfers and writes, pins lost or not: one whole version, never older than what was stored."""
    address = lab.primary_addresses[0]
    chance = random.Random(int(os.environ.get("PG_SEED", "1")))
    with (
        lab.peregrine([ZONE], primary_addresses=[address], mode=mode) as agent,
        ScriptedPrimary(lab.primary, address) as primary,
    ):
        primary.names, primary.differences = 500, differences
        agent.wait_serving(1)
        wait_stored(agent, ZONE, 1)
        least = 1
        for _ in range(kills):
            for _ in range(chance.randrange(1, 4)):
                primary.serial += 1
                agent.cli("zone-reload", "--wait", ZONE) if chance.random() < 0.5 else agent.cli("zone-reload", ZONE)
            time.sleep(chance.random() * 0.06)
            agent.kill()
            if chance.random() < 0.5:
                agent.detach()
            exported = agent.cli("-c", str(agent.config), "zone-export", ZONE)
            check_whole(exported["records"], exported["serial"], primary.names)
            assert exported["serial"] >= least, (exported["serial"], least)
            least = exported["serial"]
            # What is served now, before anything can have been transferred.
            primary.fault = "refused"
            agent.start()
            served = agent.zone_status(ZONE)["serial"]
            assert served >= least, (served, least)
            primary.fault = ""
        assert "damaged" not in agent.log()
        primary.serial += 1
        agent.cli("zone-reload", "--wait", ZONE)
        assert serial_of(lab) == primary.serial


def check_whole(records: list[str], serial: int, names: int) -> None:
    """A version of the scripted zone: every name with its two records, all of one serial."""
    assert len(records) == 3 + 2 * names
    assert sum(f'"serial={serial}"' in line for line in records) == names, (serial, records[:5])


def test_exported_zones(lab: Lab) -> None:
    """What is printed is the zone: named-checkzone and nsd-checkzone take it, and it equals the primary's file."""
    place = lab.make_directory("zones")
    zones = family(50)
    signed = sign(serial_zone(50, 1), CHAIN_NSEC3)
    files = {zone.name: zone.write(place) for zone in zones} | {signed.name: signed.zone}
    lab.primary_server(Nsd, list(files.values()), key=Key())
    with lab.peregrine(list(files), key=Key()) as agent:
        agent.wait_serving()
        for name, source in files.items():
            path = place / f"{name}export"
            wait_for(lambda name=name, path=path: export(agent, name, path))
            run("named-checkzone", "-q", "-i", "local", "-k", "ignore", name, str(path))
            run("nsd-checkzone", name, str(path))
            exported, wanted = (dns.zone.from_file(str(p), name, relativize=False) for p in (path, source.path))
            assert exported == wanted, name


def export(agent: Peregrine, name: str, path: Path) -> bool:
    """To a file, from the configuration alone; False while the zone is not stored yet."""
    words = [word for word in agent.command("-c", str(agent.config), "zone-export", name, str(path)) if word != "--json"]
    return subprocess.run(words, capture_output=True).returncode == 0


def test_damaged_store(lab: Lab) -> None:
    """Set aside with one line, and filled anew: serving goes on."""
    address = lab.primary_addresses[0]
    with (
        lab.peregrine([ZONE], primary_addresses=[address]) as agent,
        ScriptedPrimary(lab.primary, address) as primary,
    ):
        agent.wait_serving(1)
        wait_stored(agent, ZONE, 1)
        agent.kill()
        store = agent.directory / "state/store"
        data = bytearray((store / "data.mdb").read_bytes())
        data[8192:] = random.Random(1).randbytes(len(data) - 8192)
        (store / "data.mdb").write_bytes(data)
        primary.fault = "refused"
        agent.start()
        assert serial_of(lab) == 1
        wait_stored(agent, ZONE, 1)
        aside = list((agent.directory / "state").glob("store.corrupt-*"))
        assert len(aside) == 1 and (aside[0] / "data.mdb").exists()
        assert agent.log().count("set aside") == 1
        # And where there is nothing else either.
        lose_power(agent)
        (store / "data.mdb").write_bytes(b"nothing that was ever a store" * 1000)
        primary.fault = ""
        agent.start()
        agent.wait_serving(1)
        assert agent.cli("status")["store"]["state"] == "ok"


def test_full_disk(lab: Lab) -> None:
    """Serving goes on, `status` says it, and what was not written is written when there is room."""
    address = lab.primary_addresses[0]
    place = lab.make_directory("small")
    run("mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place))
    try:
        change = {"server": {"state-directory": str(place)}, "fast-path": {"memory": "64MiB"}}
        with (
            lab.peregrine([ZONE], primary_addresses=[address], change=change) as agent,
            ScriptedPrimary(lab.primary, address) as primary,
        ):
            agent.wait_serving(1)
            wait_for(lambda: agent.cli("status")["store"]["waiting"] == 0)
            with (place / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
                while True:
                    filler.write(bytes(4096))
            primary.names, primary.serial = 800, 2
            agent.cli("zone-reload", "--wait", ZONE)
            assert serial_of(lab) == 2
            wait_for(lambda: agent.cli("status")["store"]["state"] == "failing")
            assert "make room" in agent.cli("status")["store"]["error"]
            primary.serial = 3
            agent.cli("zone-reload", "--wait", ZONE)
            assert serial_of(lab) == 3
            run("mount", "-o", "remount,size=32m", str(place))
            wait_for(lambda: agent.cli("status")["store"]["state"] == "ok", 70)
            exported = agent.cli("zone-export", ZONE)
            check_whole(exported["records"], 3, 800)
    finally:
        run("umount", "-l", str(place))
