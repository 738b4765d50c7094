# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails, and what then: the agent killed, stopped, started again, the image of another version, zones expired.

The driver goes on alone: under load, no query that it can answer is lost, and no answer mixes two versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lab import BUILD, Key, Lab, LabError, Load, Nsd, Peregrine, ask, run, soa_serial
from scripted import ZONE, ScriptedPrimary
from test_store import wait_stored
from wire import SOA, A, parse, wire
from zones import corpus, family, queries, serial_zone, serials_in

pytestmark = pytest.mark.timeout(120)

NAME = "serial.example."


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.fixture(params=[True, False], ids=["roomy", "plain"])
def either(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Frames with room, which the driver answers, and those of a plain veth, of which it leaves some to the ingress."""
    with Lab(roomy=request.param) as made:
        yield made


def serial_of(lab: Lab, zone: str = NAME) -> int | None:
    with lab.client.udp(lab.service[0]) as sock:
        return soa_serial(ask(sock, wire(zone, SOA, id=5), 0.3))


def mixed(query: bytes, reply: bytes) -> str | None:
    """What a reply from `serial_zone` may not be: of two versions, or without any serial at all."""
    found = serials_in(reply)
    return None if len(found) == 1 else f"serials {sorted(found)}: {query.hex()} {reply.hex()}"


def check_load(load: Load, least: int) -> None:
    tally = load.stop()
    assert not load.wrong, load.wrong[:3]
    assert tally.lost == 0 and tally.stray == 0, tally
    assert tally.answered >= least, tally


# --------------------------------------------------------------------------------------------------------------- load


def test_killed_and_started_again(either: Lab) -> None:
    """SIGKILL under load, a while alone, and a start that takes up the image: nothing is lost, nothing transferred."""
    lab = either
    place = lab.make_directory("zones")
    zones = family(200)
    lab.primary_server(Nsd, [zone.write(place) for zone in zones], key=Key())
    wires = [wire(query.name, query.rrtype, edns=1232) for query in corpus(zones)]
    with lab.peregrine([zone.name for zone in zones], key=Key()) as agent:
        agent.wait_serving(1)
        with Load(lab.client.name, lab.service[0], wires) as load:
            for _ in range(3):
                time.sleep(0.3)
                agent.kill()
                time.sleep(0.3)
                before = len(agent.log())
                agent.start()
                new = agent.log()[before:]
                assert "took up the pinned image: 4 zones" in new, new
                assert all(agent.zone_status(zone.name)["state"] == "serving" for zone in zones)
            time.sleep(0.3)
            check_load(load, 5000)
        assert "transferred and served" not in new, new
        assert agent.cli("status")["interfaces"][0]["mode"] == "native"


def test_stopped_and_started_again(lab: Lab) -> None:
    """SIGTERM leaves the fast path in place; a start by which another program comes is no gap either."""
    place = lab.make_directory("zones")
    zone = serial_zone(200, 1)
    lab.primary_server(Nsd, [zone.write(place)], key=Key())
    wires = [wire(query.name, query.rrtype) for query in queries(zone)]
    with lab.peregrine([NAME], key=Key()) as agent:
        agent.wait_serving(1)
        with Load(lab.client.name, lab.service[1], wires, check=mixed) as load:
            for _ in range(3):
                time.sleep(0.2)
                assert agent.stop() == 0
                assert agent.pins.exists() and "stays" in agent.log()
                time.sleep(0.2)
                agent.start()
            check_load(load, 1500)


def test_fifty_versions_under_load(lab: Lab) -> None:
    """Ten thousand names replaced fifty times: no query lost, no answer that mixes versions."""
    place = lab.make_directory("zones")
    zone = serial_zone(10000, 1)
    primary = lab.primary_server(Nsd, [zone.write(place)], key=Key(), notify=False)
    asked = list(queries(zone))
    wires = [wire(query.name, query.rrtype, edns=1232) for query in asked[:: max(1, len(asked) // 3000)]]
    text = zone.text()
    with lab.peregrine([NAME], key=Key()) as agent:
        agent.wait_serving(1)
        with Load(lab.client.name, lab.service[0], wires, rate=3000, check=mixed) as load:
            for serial in range(2, 52):
                replaced = (
                    text.replace(f"{NAME} 1 3600", f"{NAME} {serial} 3600")
                    .replace("serial=1", f"serial={serial}")
                    .replace("ns1 A", f"ns{serial} A")
                    .replace(f"NS ns1.{NAME}", f"NS ns{serial}.{NAME}")
                    .replace("0.0.1\n", f"0.0.{serial}\n")
                )
                zone_path = place / "serial.example.zone"
                zone_path.with_suffix(".partial").write_text(replaced)
                os.replace(zone_path.with_suffix(".partial"), zone_path)
                primary.reload(NAME, serial)
                [entry] = agent.cli("zone-reload", "--wait", NAME)
                assert (entry["serial"], entry["error"]) == (serial, None)
                assert serial_of(lab) == serial
            check_load(load, 5000)


def test_killed_while_publishing(lab: Lab) -> None:
    """SIGKILL at any moment of publishing leaves one whole version, and the next start goes on from it."""
    place = lab.make_directory("zones")
    zone = serial_zone(5000, 1)
    primary = lab.primary_server(Nsd, [zone.write(place)], key=Key(), notify=False)
    asked = list(queries(zone))
    wires = [wire(query.name, query.rrtype) for query in asked[:: len(asked) // 2000]]
    with lab.peregrine([NAME], key=Key()) as agent:
        agent.wait_serving(1)
        with Load(lab.client.name, lab.service[0], wires, rate=2000, check=mixed) as load:
            for serial in range(2, 8):
                serial_zone(5000, serial).write(place)
                primary.reload(NAME, serial)
                agent.cli("zone-reload", NAME)
                time.sleep(0.003 * serial)
                agent.kill()
                assert serial_of(lab) in range(1, serial + 1)
                agent.start()
                agent.cli("zone-reload", "--wait", NAME)
                assert serial_of(lab) == serial
            check_load(load, 1000)


# -------------------------------------------------------------------------------------------------------------- expiry


def wait_for(condition: object, timeout: float, what: str) -> float:
    start = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() - start < timeout, f"{what} after {timeout} s"
        time.sleep(0.05)
    return time.monotonic() - start


def ask_rcode(lab: Lab) -> int | None:
    """The RCODE over UDP; None without a reply."""
    with lab.client.udp(lab.service[0]) as sock:
        reply = ask(sock, wire(f"n1.{ZONE}", A, id=5), 0.2)
    return reply[3] & 15 if reply else None


@pytest.mark.parametrize("fate", ["frozen", "dead"])
def test_expiry_without_the_agent(lab: Lab, fate: str) -> None:
    """The driver stops by itself, with no agent to tell it; not before its time."""
    address = lab.primary_addresses[0]
    with ScriptedPrimary(lab.primary, address) as primary:
        primary.timers = (2, 1, 4, 300)
        with lab.peregrine([ZONE], primary_addresses=[address]) as agent:
            agent.wait_serving(1)
            began = time.monotonic()
            agent.freeze() if fate == "frozen" else agent.kill()
            assert ask_rcode(lab) == 0
            wait_for(lambda: ask_rcode(lab) is None, 9, "answered by the driver")
            assert time.monotonic() - began > 2.0
            agent.thaw() if fate == "frozen" else agent.start()
            agent.wait_serving(1, timeout=10)
            assert ask_rcode(lab) == 0


def test_expiry_with_the_agent(lab: Lab) -> None:
    """The primary is gone: SERVFAIL from the fallback once the zone has expired, over UDP and TCP."""
    address = lab.primary_addresses[0]
    with lab.peregrine([ZONE], primary_addresses=[address]) as agent:
        with ScriptedPrimary(lab.primary, address) as primary:
            primary.timers = (1, 1, 4, 300)
            agent.wait_serving(1, timeout=20)
        assert ask_rcode(lab) == 0
        wait_for(lambda: ask_rcode(lab) == 2, 9, "no SERVFAIL")
        status = agent.zone_status(ZONE)
        assert status["state"] == "expired" and status["expires_at"] <= time.time() + 1, status
        with lab.client.udp(lab.service[1]) as sock:
            reply = ask(sock, wire(f"n1.{ZONE}", A, id=5, edns=1232))
        assert reply and parse(reply).rcode == 2 and parse(reply).opt and not parse(reply).answer
        wait_for(lambda: "expired with serial 1" in agent.log(), 3, "not said")
        with ScriptedPrimary(lab.primary, address):
            wait_for(lambda: ask_rcode(lab) == 0, 10, "not taken up again")


# ---------------------------------------------------------------------------------------------------------------- pins


def bpftool(*words: str) -> str:
    return run("bpftool", *words)


def spoil_schema(agent: Peregrine) -> None:
    """Another schema number in the pinned settings, all else as it is."""
    path = str(agent.pins / "settings")
    [entry] = json.loads(bpftool("-j", "map", "dump", "pinned", path))
    value = [int(octet, 16) for octet in entry["value"]]
    value[0] ^= 0x40
    octets = [str(octet) for octet in value]
    bpftool("map", "update", "pinned", path, "key", "0", "0", "0", "0", "value", *octets)


def spoil_size(agent: Peregrine) -> None:
    """Settings of another size: as an older or newer version may have pinned."""
    path = agent.pins / "settings"
    path.unlink()
    words = ["type", "array", "key", "4", "value", "16", "entries", "1", "name", "settings"]
    bpftool("map", "create", str(path), *words)


@pytest.mark.parametrize("spoil", [spoil_schema, spoil_size])
def test_stale_pins(either: Lab, spoil: object) -> None:
    """The image of another schema is replaced, and said; the old program answers from it until the new one does."""
    lab = either
    place = lab.make_directory("zones")
    zone = serial_zone(500, 1)
    lab.primary_server(Nsd, [zone.write(place)], key=Key())
    wires = [wire(query.name, query.rrtype) for query in queries(zone)]
    with lab.peregrine([NAME], key=Key()) as agent:
        agent.wait_serving(1)
        wait_stored(agent, NAME, 1)
        agent.kill()
        before = len(agent.log())
        with Load(lab.client.name, lab.service[0], wires, check=mixed) as load:
            time.sleep(0.1)
            spoil(agent)  # type: ignore[operator]
            agent.start()
            agent.wait_serving(1)
            time.sleep(0.5)
            check_load(load, 1000)
        new = agent.log()[before:]
        assert "replaced by a new one" in new and "loaded from the store" in new, new
        assert agent.cli("status")["interfaces"][0]["mode"] == "native"
        answered = agent.counters()["fast_path"]["answered"]
        assert serial_of(lab) == 1
        assert agent.counters()["fast_path"]["answered"] == answered + 1


def xdp_on_front(lab: Lab) -> bool:
    return "xdp" in lab.server.ip("link", "show", "dev", "front")


def test_detach_at_the_end(lab: Lab) -> None:
    """`--detach`: SIGTERM leaves nothing."""
    zone = serial_zone(5, 1).write(lab.make_directory("zones"))
    lab.primary_server(Nsd, [zone], key=Key())
    agent = lab.peregrine([NAME], key=Key())
    with agent.start(20.0, "--detach"):
        agent.wait_serving(1)
        assert agent.pins.exists() and xdp_on_front(lab)
        assert agent.stop() == 0
        assert not agent.pins.exists() and not xdp_on_front(lab)


def test_detach_without_an_agent(lab: Lab) -> None:
    """`peregrine detach` when no agent runs takes off what was left; a second time there is nothing."""
    zone = serial_zone(5, 1).write(lab.make_directory("zones"))
    lab.primary_server(Nsd, [zone], key=Key())
    with lab.peregrine([NAME], key=Key()) as agent:
        agent.wait_serving(1)
        agent.stop()
        assert serial_of(lab) == 1
        command = [str(BUILD / "peregrine"), "-c", str(agent.config), "detach"]
        assert "taken off 1 interface" in lab.server.run(*command)
        assert not agent.pins.exists() and not xdp_on_front(lab)
        assert serial_of(lab) is None
        assert "nothing was attached" in lab.server.run(*command)
        agent.start()
        agent.wait_serving(1)
        assert serial_of(lab) == 1 and xdp_on_front(lab)


def test_second_agent_is_refused(lab: Lab) -> None:
    """One pin directory, one agent: the second says so and harms nothing."""
    zone = serial_zone(5, 1).write(lab.make_directory("zones"))
    lab.primary_server(Nsd, [zone], key=Key())
    with lab.peregrine([NAME], key=Key()) as agent:
        agent.wait_serving(1)
        with pytest.raises(LabError, match="another agent uses this pin directory"):
            lab.peregrine([NAME], key=Key()).start()
        assert serial_of(lab) == 1 and agent.zone_status(NAME)["state"] == "serving"


def test_memory_bound(lab: Lab) -> None:
    """A version that fits neither in the fast path's memory nor in the state directory is refused with the figure named,
    the old one is served on, and a smaller one is taken afterwards.
    """
    place = lab.make_directory("zones")
    primary = lab.primary_server(Nsd, [serial_zone(100, 1).write(place)], key=Key(), notify=False)
    agent = lab.peregrine([NAME], key=Key(), change={"fast-path": {"memory": "8MiB"}})
    state = str(agent.directory / "state")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", state], check=True)
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "-l", state], check=True)
        stack.enter_context(agent)
        agent.wait_serving(1)
        serial_zone(60000, 2).write(place)
        primary.reload(NAME, 2)
        with pytest.raises(LabError, match="exit 1"):
            agent.cli("zone-reload", "--wait", NAME)
        lines = [line for line in agent.log().splitlines() if "memory" in line]
        assert len(lines) == 1 and "8" in lines[0] and "serial.example" in lines[0], agent.log()
        status = agent.zone_status(NAME)
        assert (status["state"], status["serial"]) == ("failing", 1) and "memory" in status["error"], status
        assert serial_of(lab) == 1
        serial_zone(200, 3).write(place)
        primary.reload(NAME, 3)
        [entry] = agent.cli("zone-reload", "--wait", NAME)
        assert (entry["serial"], entry["error"]) == (3, None) and serial_of(lab) == 3


REFUSING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...)
{
    long (*real)(long, ...) = dlsym(RTLD_NEXT, "syscall"), words[6];
    va_list arguments;

    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        words[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_bpf && words[0] == BPF_PROG_LOAD) {
        const union bpf_attr *attributes = (void *)words[1];

        if (attributes->prog_type == BPF_PROG_TYPE_XDP && attributes->insn_cnt > 200) {
            kill(getpid(), SIGHUP);
            errno = EAGAIN;
            return -1;
        }
    }
    return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
"""


def test_program_refused(lab: Lab) -> None:
    """A signal comes while the kernel looks at the program, which it then refuses: an error, and the image stays."""
    place = lab.make_directory("refusing")
    (place / "refusing.c").write_text(REFUSING)
    library = place / "refusing.so"
    run("cc", "-shared", "-fPIC", "-o", str(library), str(place / "refusing.c"), "-ldl")
    lab.primary_server(Nsd, [serial_zone(3, 1, NAME).write(place)], key=Key())
    with lab.peregrine([NAME], key=Key()) as agent:
        agent.wait_serving()
        assert agent.process is not None
        argv = Path(f"/proc/{agent.process.pid}/cmdline").read_text().split("\0")[:-1]
        agent.kill()
        refused = subprocess.run(
            argv, env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, text=True, timeout=30
        )
        assert refused.returncode == 1, refused
        assert "the kernel does not take the fast-path program" in refused.stderr
        assert serial_of(lab) == 1
        agent.start()
