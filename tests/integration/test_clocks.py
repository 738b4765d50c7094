# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a zone is good for: EDNS EXPIRE of a primary that is a secondary itself, and what comes after expiry."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from lab import Lab
from scripted import ZONE, ScriptedPrimary
from secondaries import SECONDARIES
from servers import Knot, Zone

NAME = "chain.example."
EXPIRE = 5000
PORT = 5300


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


class Upstream(Knot):
    kind = "knot-upstream"


@pytest.mark.parametrize("kind", ["bind", "knot"])
def test_chain(lab: Lab, kind: str) -> None:
    """What is left to the secondary in between is what is left to us: not the SOA's time, counted anew."""
    address = lab.primary_addresses[0]
    path = lab.make_directory("chain") / "zone"
    path.write_text(
        f"{NAME} 300 SOA ns1.{NAME} host.{NAME} 7 600 300 {EXPIRE} 60\n"
        f"{NAME} 300 NS ns1.{NAME}\n"
        f"ns1.{NAME} 300 A 192.0.2.1\n"
    )
    zone = Zone(NAME, path)
    allow = [*lab.primary_addresses, *lab.back_addresses, *lab.service]
    middle = SECONDARIES[kind](lab, lab.primary, NAME, [address], primary_port=PORT, addresses=[address], allow=allow)
    upstream = Upstream(lab, lab.primary, [zone], addresses=[address], allow=allow, port=PORT)
    try:
        upstream.start()
        began = time.time()
        middle.start()
        upstream.stop()
        time.sleep(3)
        with lab.peregrine([NAME], primary_addresses=[address]) as agent:
            agent.wait_serving(7, timeout=20)
            left = agent.zone_status(NAME)["expires_at"] - time.time()
            # A second each for rounding, at either server.
            assert EXPIRE - (time.time() - began) - 3 <= left <= EXPIRE - 2, left
            # The serial is confirmed, and the clock goes on from where it was.
            time.sleep(1)
            agent.cli("zone-reload", "--wait", NAME)
            left = agent.zone_status(NAME)["expires_at"] - time.time()
            assert left <= EXPIRE - 3, left
            # Nor does a restart with nobody to ask give it more.
            middle.stop()
            agent.kill()
            agent.start()
            again = agent.zone_status(NAME)["expires_at"] - time.time()
            assert left - 20 <= again <= left + 1, (left, again)
    finally:
        middle.stop()
        upstream.stop()


def test_older_serial_after_expiry(lab: Lab) -> None:
    """A primary set back is refused while what is served is alive, and taken when it has expired."""
    address = lab.primary_addresses[0]
    with lab.peregrine([ZONE], primary_addresses=[address]) as agent:
        with ScriptedPrimary(lab.primary, address) as primary:
            primary.serial, primary.timers = 5, (1, 1, 4, 300)
            agent.wait_serving(5, timeout=20)
            primary.serial = 3
            agent.cli("zone-reload", "--wait", ZONE)
            assert agent.zone_status(ZONE)["serial"] == 5
            agent.wait_serving(3, timeout=20)
            assert "its serial 3 is older than the one served" in agent.log()
