# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type: each verb of `peregrine`, as text and as JSON, its exit codes; and the maps under bpftool."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lab import BUILD, Key, Lab, Nsd, Peregrine, ask, ask_tcp, run
from wire import A, AXFR, TSIG, wire
from zones import serial_zone

pytestmark = pytest.mark.timeout(60)

ZONES = ("one.example.", "two.example.")
# For `explain`, in the first zone.
MORE = (
    "*.wild A 192.0.2.5",
    "alias CNAME n000001",
    "cut NS ns.cut",
    "ns.cut A 192.0.2.6",
    *(f"big A 10.0.{k // 100}.{k % 100}" for k in range(200)),
)


@dataclass
class World:
    lab: Lab
    agent: Peregrine

    def cli(self, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        argv = [str(BUILD / "peregrine"), "-s", str(self.agent.control_socket), *options, *words]
        command = self.lab.server.command(*argv)
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    def text(self, *words: str, code: int = 0) -> str:
        done = self.cli(*words)
        assert done.returncode == code, done
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *words: str, code: int = 0) -> Any:
        done = self.cli(*words, options=("--json",))
        assert done.returncode == code, done
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Lab() as lab:
        place = lab.make_directory("zones")
        zones = [serial_zone(20, 7, name) for name in ZONES]
        zones[0].lines += MORE
        lab.primary_server(Nsd, [zone.write(place) for zone in zones], key=Key())
        with lab.peregrine(ZONES, key=Key()) as agent:
            agent.wait_serving(7)
            yield World(lab, agent)


def ask_some(world: World) -> None:
    """Two answers and a refusal by the driver, one query by TCP."""
    with world.lab.client.udp(world.lab.service[0]) as sock:
        for name in ("n000001.one.example.", "missing.two.example.", "www.example.com."):
            assert ask(sock, wire(name, A, id=5))
    assert ask_tcp(world.lab.client.name, world.lab.service[1], wire("n000001.one.example.", A, id=5))


# --------------------------------------------------------------------------------------------------------------- verbs


def test_status(world: World) -> None:
    shown = world.text("status")
    assert re.search(r"^agent +peregrined \S+, process \d+, up ", shown, re.M)
    assert re.search(r"^interfaces +front +native$", shown, re.M), shown
    assert re.search(r"^zones +2: 2 serving, 0 loading, 0 failing, 0 expired$", shown, re.M), shown
    said = world.json("status")
    assert world.agent.process and said["pid"] == world.agent.process.pid
    assert said["interfaces"] == [{"name": "front", "mode": "native", "why": ""}]
    assert said["zones"]["serving"] == 2 and said["identity"] == "lab.ns.example.net"
    assert 0 < said["memory"]["used"] <= said["memory"]["limit"]


def test_zone_status(world: World) -> None:
    shown = world.text("zone-status").splitlines()
    assert len(shown) == 3 and shown[0].split()[:3] == ["ZONE", "STATE", "SERIAL"], shown
    assert shown[1].split()[:4] == ["one.example.", "serving", "7", "7"], shown
    detail = world.text("zone-status", "TWO.example").splitlines()
    assert detail[0] == "two.example.: serving" and any("primary" in line and ": ok" in line for line in detail), detail
    both = world.json("zone-status")
    assert [entry["zone"] for entry in both] == list(ZONES)
    for entry in both:
        assert (entry["state"], entry["serial"], entry["primary_serial"]) == ("serving", 7, 7)
        assert 0 < entry["expires_at"] - time.time() <= 1209600 + 1
        assert 0 <= time.time() - entry["last_transfer"] < 60 and entry["error"] is None
    assert "no such zone" in world.text("zone-status", "three.example", code=1)


def test_zone_reload(world: World) -> None:
    for verb in ("zone-reload", "refresh", "transfer"):
        assert world.text(verb, "one.example").splitlines()[1].split() == ["one.example.", "7", "asked"]
        assert world.text(verb, "--wait").splitlines()[2].split() == ["two.example.", "7", "served"]
    [entry] = world.json("zone-reload", "--wait", "--timeout", "5", "one.example")
    assert entry == {"zone": "one.example.", "serial": 7, "error": None}
    [entry] = world.json("zone-retransfer", "--wait", "two.example")
    assert entry == {"zone": "two.example.", "serial": 7, "error": None}
    assert "no such zone" in world.text("zone-reload", "three.example", code=1)
    world.text("zone-retransfer", code=2)
    world.text("zone-reload", "--timeout", "5", code=2)
    world.text("zone-reload", "--wait", "--timeout", "none", code=2)


def test_reload(world: World) -> None:
    assert world.json("reload") == {"zones": 2, "zones_added": 0, "zones_removed": 0}
    assert "2 now" in world.text("reload")


def test_stats(world: World) -> None:
    before = world.json("stats")
    ask_some(world)
    after = world.json("stats")
    assert after["fast_path"]["answered"] == before["fast_path"]["answered"] + 3
    assert after["fallback"]["tcp"] == before["fallback"]["tcp"] + 1
    for rcode in ("NOERROR", "NXDOMAIN", "REFUSED"):
        assert after["fast_path"]["rcodes"][rcode] == before["fast_path"]["rcodes"].get(rcode, 0) + 1
    assert set(after["fast_path"]) >= {"answered", "passed", "reasons", "truncated"}
    assert set(after["fast_path"]["reasons"]) >= {"not_ours", "malformed", "no_room", "version"}
    again = world.json("stats")
    assert again["fast_path"]["answered"] == after["fast_path"]["answered"], "reading resets or counts"
    shown = world.text("stats")
    assert re.search(rf"answered +{after['fast_path']['answered']}$", shown, re.M), shown


def test_stats_of_a_zone(world: World) -> None:
    before, other = world.json("stats", "one.example"), world.json("stats", "two.example")
    ask_some(world)
    with world.lab.client.udp(world.lab.service[1]) as sock:
        for name, rrtype in (("missing.one.example.", A), ("big.one.example.", A), ("one.example.", TSIG)):
            assert ask(sock, wire(name, rrtype, edns=1232, id=5))
    after = world.json("stats", "one.example")
    more = {
        side: {
            key: value - before[side][key] if isinstance(value, int) else
            {name: each - before[side][key][name] for name, each in value.items() if each != before[side][key][name]}
            for key, value in after[side].items()
        }
        for side in ("fast_path", "fallback")
    }
    fast, fallback = more["fast_path"], more["fallback"]
    assert fast["rcodes"] == {"NOERROR": 3, "NXDOMAIN": 1} and fast["types"] == {"A": 3, "OTHER": 1}, more
    assert (fast["answers"], fast["ipv4"], fast["ipv6"], fast["truncated"], fast["tcp"]) == (4, 1, 3, 1, 0), more
    assert fast["query_octets"] > 4 * 29 and fast["reply_octets"] > fast["query_octets"], more
    assert (fallback["answers"], fallback["tcp"], fallback["ipv6"]) == (1, 1, 1), more
    assert fallback["types"] == {"A": 1} and fallback["rcodes"] == {"NOERROR": 1}, more
    assert world.json("stats", "two.example")["fast_path"]["answers"] == other["fast_path"]["answers"] + 1
    shown = world.text("stats", "one.example")
    assert re.search(rf"^one\.example\. +{after['fast_path']['answers']} +{after['fallback']['answers']}$", shown, re.M), shown
    assert re.search(r"^  NXDOMAIN +\d+ +0$", shown, re.M) and "HTTPS" not in shown, shown
    assert "no such zone" in world.text("stats", "three.example", code=1)


def test_attach_and_detach(world: World) -> None:
    try:
        assert world.json("detach", "front") == [{"name": "front", "mode": "none", "why": ""}]
        assert "xdp" not in world.lab.server.ip("link", "show", "dev", "front")
        assert "none" in world.text("status")
        ask_some(world)  # the fallback's now
    finally:
        shown = world.text("attach", "front")
    assert shown.splitlines()[1].split()[:2] == ["front", "native"]
    assert "xdp" in world.lab.server.ip("link", "show", "dev", "front")
    [entry] = world.json("attach", "nowhere", code=1)
    assert entry["mode"] == "none" and "no such interface" in entry["why"]
    world.cli("detach", "nowhere")


EXPLAINED: list[tuple[str, tuple[str, ...], int, str]] = [
    ("n000001.one.example. A", (), 0, "NOERROR"),
    ("n000001.one.example. A", ("+do", "+bufsize=4096"), 0, "NOERROR"),
    ("alias.one.example. A", (), 0, "NOERROR"),
    ("nobody.one.example. A", (), 0, "NXDOMAIN"),
    ("any.wild.one.example. A", (), 0, "NOERROR"),
    ("www.cut.one.example. A", (), 0, "NOERROR"),
    ("big.one.example. A", ("+bufsize=1232",), 0, "NOERROR"),
    ("www.example.com. A", (), 0, "REFUSED"),
    ("one.example. AXFR", (), 14, "NOTIMPL"),
    ("n000001.one.example. A", ("+tcp",), 2, "NOERROR"),
    ("one.example. AXFR", ("+tcp",), 2, "REFUSED"),
]


@pytest.mark.parametrize("question, options, reason, rcode", EXPLAINED)
def test_explain(world: World, question: str, options: tuple[str, ...], reason: int, rcode: str) -> None:
    """What is told is what then comes over the wire, from where it was told to come."""
    name, rrtype = question.split()
    told = world.json("explain", name, rrtype, *options)
    reply = told["reply"]
    assert (told["exit"]["number"], reply["rcode"], told["attached"]) == (reason, rcode, True)
    assert told["answered_by"] == ("driver" if reason == 0 else "fallback")
    edns = next((int(word.partition("=")[2]) for word in options if "=" in word), None)
    asked = wire(name, {"A": A, "AXFR": AXFR}[rrtype], edns=edns, do="+do" in options, id=5)
    before = world.json("stats")
    if "+tcp" in options:
        got = ask_tcp(world.lab.client.name, world.lab.service[0], asked)
    else:
        with world.lab.client.udp(world.lab.service[0]) as sock:
            got = ask(sock, asked)
    after = world.json("stats")
    assert got and len(got) == reply["octets"]
    assert (bool(got[2] & 4), bool(got[2] & 2)) == (reply["aa"], reply["tc"])
    answered = after["fast_path"]["answered"] - before["fast_path"]["answered"]
    assert answered == (1 if reason == 0 else 0)
    counts = {section: 0 for section in ("answer", "authority", "additional")}
    for rrset in reply["rrsets"]:
        counts[rrset["section"]] += rrset["records"]
    assert [int.from_bytes(got[at : at + 2], "big") for at in (6, 8, 10)] == list(counts.values())


def test_explain_for_people(world: World) -> None:
    shown = world.text("explain", "any.wild.ONE.example", "A", "+do")
    assert re.search(r"^question +any\.wild\.one\.example\. A by UDP, EDNS 1232, DO$", shown, re.M | re.I), shown
    assert re.search(r"^driver +answers$", shown, re.M), shown
    assert re.search(r"^zone +one\.example\., serial 7, version \d+$", shown, re.M), shown
    assert "made from the wildcard *.wild.one.example." in shown, shown
    assert re.search(r"^reply +NOERROR, AA, \d+ octets of 1232 at the most$", shown, re.M), shown
    assert re.search(r"^answer +1 +16 +A ", shown, re.M), shown
    assert "1 followed, to n000001.one.example." in world.text("explain", "alias.one.example", "A")
    assert "is delegated, at cut.one.example." in world.text("explain", "www.cut.one.example", "A")
    assert "reason 14, meta_type" in world.text("explain", "one.example", "AXFR")
    assert "TC" in world.text("explain", "big.one.example", "A")
    assert "none that is served" in world.text("explain", "www.example.com", "TYPE65300")
    for words, code, error in (
        (("a..b", "A"), 1, "no domain name"),
        (("one.example", "NONE"), 1, "no type known"),
        (("one.example",), 2, "usage"),
        (("one.example", "A", "+dnssec"), 2, "explain takes"),
        (("one.example", "A", "+bufsize=65536"), 2, "explain takes"),
    ):
        said = world.text("explain", *words, code=code)
        assert error in said and said.count("\n") == 1, said


# ---------------------------------------------------------------------------------------------------------- exit codes


def test_help_and_usage(world: World) -> None:
    listed = world.text("--help")
    for verb in ("status", "zone-status", "zone-reload", "zone-retransfer", "reload", "stats", "attach", "detach", "explain"):
        assert re.search(rf"^  {verb} ", listed, re.M), verb
        assert world.text(verb, "--help").startswith("usage: peregrine")
    assert world.text("--version").startswith("peregrine ")
    assert "did you mean `zone-status`" in world.text("zone-statsu", code=2)
    world.text(code=2)
    world.text("status", "--wait", code=2)
    world.text("status", "surplus", code=2)


def test_not_running(world: World, tmp_path: Path) -> None:
    """Exit 3, with the socket that nobody listens on named."""
    for verb in ("status", "zone-status", "zone-reload", "stats", "reload"):
        argv = [str(BUILD / "peregrine"), "-s", str(tmp_path / "none.sock"), verb]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
        assert done.returncode == 3 and "none.sock" in done.stderr, done


def test_socket_by_configuration(world: World) -> None:
    argv = [str(BUILD / "peregrine"), "-c", str(world.agent.config), "--json", "status"]
    assert json.loads(world.lab.server.run(*argv))["zones"]["total"] == 2


def test_a_frozen_agent_is_not_waited_for_without_end(world: World) -> None:
    """The CLI says so within its patience instead of hanging: an operator must be able to tell."""
    world.agent.freeze()
    try:
        argv = [str(BUILD / "peregrine"), "-s", str(world.agent.control_socket), "status"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=40)
    finally:
        world.agent.thaw()
    assert done.returncode not in (0, 2) and done.stderr, done


# ---------------------------------------------------------------------------------------------------------------- maps


def dump(world: World, name: str) -> Any:
    return json.loads(run("bpftool", "-j", "map", "dump", "pinned", str(world.agent.pins / name)))


def formatted(entry: dict[str, Any]) -> Any:
    return entry["formatted"]["value"] if "value" in entry["formatted"] else entry["formatted"]["values"][0]["value"]


def test_maps_print_named_fields(world: World) -> None:
    """BTF goes with the maps, so that the tool that is already there shows what is in them."""
    ask_some(world)
    [settings] = [formatted(entry) for entry in dump(world, "settings")]
    assert settings["port"] == 53 and settings["udp_size"] == 1232 and settings["depth_count"] >= 1
    assert settings["schema"] > 0
    zones = [formatted(entry) for entry in dump(world, "zones")]
    served = {zone["text"]: zone for zone in zones if zone["head"]["ref"]}
    assert set(served) == {"one.example.", "two.example."}, zones
    assert all(zone["serial"] == 7 and zone["expires_at"] > 0 and zone["labels"] == 2 for zone in served.values())
    buckets = [formatted(entry) for entry in dump(world, "index")]
    cells = [cell for bucket in buckets[1:] for cell in bucket["cell"] if cell["ref"]]
    assert len(cells) > 40 and all(cell["tag"] for cell in cells)
    counters = dump(world, "counters")[0]["formatted"]["values"]
    exits = [sum(int(cpu["value"]["exits"][number]) for cpu in counters) for number in range(32)]
    assert exits[0] == world.json("stats")["fast_path"]["answered"] > 0


def test_plain_dump_is_readable(world: World) -> None:
    out = run("bpftool", "map", "dump", "pinned", str(world.agent.pins / "settings"))
    assert '"schema":' in out and '"udp_size": 1232' in out, out[:500]
    assert '"truncated":' in run("bpftool", "map", "dump", "pinned", str(world.agent.pins / "counters"))


def test_programs_and_links_are_pinned(world: World) -> None:
    pins = {path.name for path in world.agent.pins.iterdir()}
    assert {"settings", "zones", "index", "counters", "link-front"} <= pins, pins
    assert "xdp" in run("bpftool", "link", "show", "pinned", str(world.agent.pins / "link-front"))
