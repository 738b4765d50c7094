# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes around a running agent: its configuration, the host's interfaces and addresses."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import BUILD, Key, Lab, LabError, Load, Namespace, Nsd, Peregrine, _link, ask, soa_serial
from wire import SOA, A, wire
from zones import serial_zone

pytestmark = pytest.mark.timeout(60)

NAMES = ("one.example.", "two.example.", "three.example.")


@pytest.fixture
def lab() -> Iterator[Lab]:
    """With a primary that serves three zones."""
    with Lab() as made:
        place = made.make_directory("zones")
        made.primary_server(Nsd, [serial_zone(5, 1, name).write(place) for name in NAMES], key=Key())
        yield made


def rcode(lab: Lab, name: str, address: str | None = None) -> int | None:
    with lab.client.udp(address or lab.service[0]) as sock:
        reply = ask(sock, wire(name, SOA, id=5), 0.3)
    return reply[3] & 15 if reply else None


def eventually(condition: Callable[[], bool], what: str, timeout: float = 5.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.02)


def zone_settings(*names: str) -> dict[str, object]:
    return {"zones": [{"name": name, "primaries": ["origin"]} for name in names]}


# ------------------------------------------------------------------------------------------------------- configuration


def test_zones_come_and_go(lab: Lab) -> None:
    """`reload` serves a zone that was added, and refuses one that was removed; the others never pause."""
    with lab.peregrine(NAMES[:2], key=Key()) as agent:
        agent.wait_serving(1)
        with Load(lab.client.name, lab.service[0], [wire(f"n00000{k}.{NAMES[0]}", A) for k in range(5)]) as load:
            assert (rcode(lab, NAMES[1]), rcode(lab, NAMES[2])) == (0, 5)
            agent.write_config(zone_settings(NAMES[0], NAMES[2]))
            result = agent.cli("reload")
            assert (result["zones"], result["zones_added"], result["zones_removed"]) == (2, 1, 1)
            agent.wait_serving(1, [NAMES[0], NAMES[2]])
            assert (rcode(lab, NAMES[1]), rcode(lab, NAMES[2])) == (5, 0)
            with pytest.raises(LabError, match="does not know"):
                agent.zone_status(NAMES[1])
            agent.write_config(zone_settings(*NAMES))
            agent.cli("reload")
            agent.wait_serving(1, NAMES)
            assert rcode(lab, NAMES[1]) == 0
            tally = load.stop()
        assert tally.lost == 0 and tally.answered > 100, tally


def test_removed_while_the_agent_was_down(lab: Lab) -> None:
    """A zone of the pinned image that the configuration no longer names is not served after the next start."""
    with lab.peregrine(NAMES, key=Key()) as agent:
        agent.wait_serving(1)
        agent.stop()
        assert rcode(lab, NAMES[1]) == 0
        agent.write_config(zone_settings(NAMES[0]))
        agent.start()
        assert (rcode(lab, NAMES[0]), rcode(lab, NAMES[1])) == (0, 5)


BROKEN = """\
server:
  identity: lon1
  listen: [ 192.0.2.300 ]
  port: 70000
fast-path: { interfaces: [ front ], mode: fastest, pin-directory: /sys/fs/bpf/x }
keys:
  - { name: k., algorithm: hmac-md5, secret: "AAAA" }
primaries:
  - { name: origin, addresses: [ 192.0.2.129 ], key: missing. }
zones:
  - { name: one.example, primaries: [ nobody ] }
"""


def test_broken_configuration(lab: Lab) -> None:
    """A running agent keeps the old configuration, and says what is wrong with the new one."""
    with lab.peregrine(NAMES[:1], key=Key()) as agent:
        agent.wait_serving(1)
        agent.config.write_text(BROKEN)
        with pytest.raises(LabError) as raised:
            agent.cli("reload")
        said = str(raised.value)
        assert "old configuration stays" in said and "fastest" in said and "nobody" in said, said
        assert rcode(lab, NAMES[0]) == 0 and agent.zone_status(NAMES[0])["state"] == "serving"
        agent.write_config()
        agent.cli("reload")


def check_config(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(BUILD / "peregrined"), "--check-config", "-c", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=10)


def test_check_config(tmp_path: Path) -> None:
    """Every error is named with its line, and the exit is 1; a good file is 0."""
    path = tmp_path / "peregrine.yaml"
    path.write_text(BROKEN)
    done = check_config(path)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    for line, words in ((3, "192.0.2.300"), (4, "70000"), (5, "fastest"), (7, "md5"), (9, "missing"), (11, "nobody")):
        assert any(f":{line}:" in text and words in text for text in said.splitlines()), (line, words, said)
    good = BROKEN.replace("192.0.2.300", "192.0.2.53").replace("70000", "53").replace("fastest", "auto")
    good = good.replace("hmac-md5", "hmac-sha256").replace("missing.", "k.").replace("nobody", "origin")
    path.write_text(good)
    done = check_config(path)
    assert (done.returncode, done.stderr) == (0, "") and "no errors" in done.stdout
    path.write_text("server: [\n")
    done = check_config(path)
    assert done.returncode == 1 and str(path) in done.stdout + done.stderr
    done = check_config(tmp_path / "none.yaml")
    assert done.returncode == 1 and "none.yaml" in done.stdout + done.stderr


# ---------------------------------------------------------------------------------------------------------- interfaces


def test_no_native_xdp(lab: Lab) -> None:
    """A device whose driver has no XDP: an error under `native` that says what to do, generic mode under `auto`."""
    lab.server.ip("link", "add", "plain", "type", "bridge")
    lab.server.ip("link", "set", "plain", "up")
    with pytest.raises(LabError, match=r"interface plain: no native XDP.*auto"):
        lab.peregrine(NAMES[:1], key=Key(), interfaces=["plain"], mode="native").start()
    lab.peregrine(NAMES[:1]).detach()
    with lab.peregrine(NAMES[:1], key=Key(), interfaces=["plain", "front"], mode="auto") as agent:
        agent.wait_serving(1)
        got = {entry["name"]: entry for entry in agent.cli("status")["interfaces"]}
        assert (got["plain"]["mode"], got["front"]["mode"]) == ("generic", "native")
        assert got["plain"]["why"], got
        warned = [line for line in agent.log().splitlines() if "plain" in line and "generic" in line]
        assert len(warned) == 1 and "warning" in warned[0], agent.log()


def test_generic_mode_answers(lab: Lab) -> None:
    """The driver's half in generic mode gives the answers too."""
    with lab.peregrine(NAMES[:1], key=Key(), mode="generic") as agent:
        agent.wait_serving(1)
        agent.freeze()
        try:
            assert rcode(lab, NAMES[0]) == 0 and rcode(lab, NAMES[0], lab.service[1]) == 0
        finally:
            agent.thaw()
        assert agent.cli("status")["interfaces"][0]["mode"] == "generic"


def remake_front(lab: Lab) -> None:
    """The link between client and server, made anew as a card that was pulled and put in again."""
    lab.server.ip("link", "delete", "front")
    time.sleep(0.2)
    front = [(lab.client_addresses[0], lab.service[0], 25), (lab.client_addresses[1], lab.service[1], 64)]
    _link(lab.client, "front", lab.server, "front", front)
    lab.attach_pass(lab.client, "front")
    lab.give_room(lab.client, "front")


def answered_by_driver(lab: Lab, agent: Peregrine, address: str) -> bool:
    before = agent.counters()["fast_path"]["answered"]
    return rcode(lab, NAMES[0], address) == 0 and agent.counters()["fast_path"]["answered"] == before + 1


def test_interface_recreated(lab: Lab) -> None:
    """The program is put on the new device by itself, and says nothing wrong of the one that is gone."""
    with lab.peregrine(NAMES[:1], key=Key()) as agent:
        agent.wait_serving(1)
        remake_front(lab)
        eventually(lambda: agent.cli("status")["interfaces"][0]["mode"] == "native", "attached again")
        for address in lab.service:
            assert answered_by_driver(lab, agent, address), address


def test_interface_comes_later(lab: Lab) -> None:
    """An interface that is not there at start is a warning; it is attached when it appears."""
    lab.server.ip("link", "set", "front", "name", "away")
    with lab.peregrine(NAMES[:1], key=Key(), mode="auto") as agent:
        agent.wait_serving(1)
        assert "interface front: no fast path" in agent.log()
        assert rcode(lab, NAMES[0]) == 0, "the fallback answers meanwhile"
        lab.server.ip("link", "set", "away", "name", "front")
        eventually(lambda: answered_by_driver(lab, agent, lab.service[0]), "attached")


def test_detached_by_hand_stays_so(lab: Lab) -> None:
    """`detach` is an operator's word: events of the host do not undo it, `attach` does; nothing is lost meanwhile."""
    with lab.peregrine(NAMES[:1], key=Key()) as agent:
        agent.wait_serving(1)
        with Load(lab.client.name, lab.service[0], [wire(NAMES[0], SOA)], rate=1000) as load:
            agent.cli("detach", "front")
            lab.server.ip("address", "add", "192.0.2.60/32", "dev", "front")
            time.sleep(0.3)
            before = agent.counters()["fast_path"]["answered"]
            time.sleep(0.2)
            assert agent.counters()["fast_path"]["answered"] == before
            [entry] = agent.cli("attach", "front")
            assert entry["mode"] == "native"
            tally = load.stop()
        assert answered_by_driver(lab, agent, lab.service[0])
        assert tally.lost == 0, tally


def add_address(namespace: Namespace, address: str) -> None:
    length, flags = ("64", ["nodad"]) if ":" in address else ("25", [])
    namespace.ip("address", "add", f"{address}/{length}", "dev", "front", *flags)


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8:0:1::77"])
def test_addresses_of_the_host(lab: Lab, address: str) -> None:
    """With `listen: any` an address is served from when it is added until it is removed, by driver and TCP alike."""
    with lab.peregrine(NAMES[:1], key=Key(), change={"server": {"listen": ["any"]}}) as agent:
        agent.wait_serving(1)
        assert rcode(lab, NAMES[0]) == 0 and rcode(lab, NAMES[0], lab.other[0]) == 0
        assert rcode(lab, NAMES[0], address) is None
        add_address(lab.server, address)
        eventually(lambda: rcode(lab, NAMES[0], address) == 0, "served after it was added")
        eventually(lambda: answered_by_driver(lab, agent, address), "by the driver")
        with lab.client.tcp(address) as sock:
            assert soa_serial(tcp_reply(sock)) == 1
        lab.server.ip("address", "delete", f"{address}/{64 if ':' in address else 25}", "dev", "front")
        eventually(lambda: rcode(lab, NAMES[0], address) is None, "silent after it was removed")
        assert rcode(lab, NAMES[0]) == 0
        add_address(lab.server, address)
        eventually(lambda: answered_by_driver(lab, agent, address), "served again")


def tcp_reply(sock: object) -> bytes | None:
    from ask import ask_tcp_many

    return ask_tcp_many(sock, [wire(NAMES[0], SOA, id=3)])[0]  # type: ignore[arg-type]


def test_listen_addresses_alone(lab: Lab) -> None:
    """Without `any` the host's other addresses are not served, by nobody."""
    with lab.peregrine(NAMES[:1], key=Key()) as agent:
        agent.wait_serving(1)
        assert rcode(lab, NAMES[0]) == 0
        assert rcode(lab, NAMES[0], lab.other[0]) is None and rcode(lab, NAMES[0], lab.other[1]) is None
        assert agent.counters()["fast_path"]["reasons"]["not_ours"] >= 2
