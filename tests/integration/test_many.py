# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of zones by one catalog: served, one added, a restart, all removed; what they cost; what waits for them.

PEREGRINE_MEMBERS=100000 makes the first test as large as that, and prints what it measured.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from catalogs import CATALOG, catalog_zone, eventually, members, rcode, settings
from lab import Lab, LabError, Nsd, Peregrine, Zone, ask
from wire import SOA, wire

MEMBERS = int(os.environ.get("PEREGRINE_MEMBERS", "0"))
pytestmark = pytest.mark.timeout(1800 if MEMBERS else 120)

REFUSED = 5
RECORDS = "@ 300 NS ns\nns 300 A 192.0.2.99\nwww 300 A 192.0.2.80\n"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


class Many:
    """`count` members of a catalog at an NSD, one more that the catalog does not list yet, and the agent for them."""

    def __init__(self, lab: Lab, count: int, **more: Any) -> None:
        self.lab, self.count = lab, count
        self.place = lab.make_directory("zones")
        file, self.own = self.place / "member.zone", self.place / "own.zone"
        file.write_text(f"@ 300 SOA ns hostmaster 1 3600 600 1209600 300\n{RECORDS}")
        self.change_own(1)
        self.names = [f"z{k}.many.example." for k in range(count + 1)]
        self.listed = [f"id{k} {name}" for k, name in enumerate(self.names[:count])]
        catalog = catalog_zone(self.place, 1, *self.listed)
        zones = [Zone(name, file if k else self.own) for k, name in enumerate(self.names)]
        self.primary = Nsd(lab, lab.primary, [catalog, *zones], allow=lab.back_addresses)
        self.primary.config.write_text(self.primary.configuration())
        command, log = self.primary.command(), self.primary.directory / "log"
        self.primary.process = lab.start(lab.primary, command, log=log, name="nsd")
        self.primary.wait_for(self.names[-1], timeout=600)
        self.agent = lab.peregrine([], change=settings({"name": CATALOG, "primaries": ["origin"]}, **more))

    def change_own(self, serial: int) -> None:
        """The first member has a file of its own."""
        partial = self.own.with_suffix(".partial")
        partial.write_text(f"@ 300 SOA ns hostmaster {serial} 3600 600 1209600 300\n{RECORDS}")
        partial.rename(self.own)

    def wait_served(self) -> None:
        def served() -> bool:
            return self.agent.cli("status")["zones"]["serving"] == self.count + 1

        eventually(served, "all members are served", 900 if MEMBERS else 60, 0.5 if MEMBERS else 0.1)

    def wait_stored(self) -> None:
        eventually(lambda: self.agent.cli("status")["store"]["waiting"] == 0, "all members are stored", 60)

    def own_serial(self) -> int | None:
        """As the driver answers it."""
        with self.lab.client.udp(self.lab.service[0]) as sock:
            reply = ask(sock, wire(self.names[0], SOA, id=6), 0.3)
        return int.from_bytes(reply[-20:-16], "big") if reply and reply[7] else None

    def notify(self) -> None:
        source = self.lab.primary_addresses[0]
        with self.lab.primary.udp(self.lab.service[0], source=source) as sock:
            assert ask(sock, wire(self.names[0], SOA, id=9, opcode=4, flags=0x0400))


def memory(agent: Peregrine) -> int:
    """MiB of the agent's own memory, the image's maps left out."""
    assert agent.process is not None
    for line in Path(f"/proc/{agent.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) // 1024
    raise LabError("no RssAnon")


# A verb that does nothing, every 10 ms; in a process of its own, since this one may be busy. At the end of its input
# it tells the longest wait, in milliseconds.
WAITS = """
import os, select, socket, sys, time
longest = 0.0
while not select.select([0], [], [], 0.01)[0]:
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(sys.argv[1])
        asking.sendall(b'{"verb": "none"}\\n')
        asking.recv(1000)
    longest = max(longest, time.monotonic() - begun)
print(longest * 1000)
"""


@contextmanager
def waiting(agent: Peregrine, figures: dict[str, float], word: str) -> Iterator[None]:
    """Notes how long it takes, and the longest that another request waits meanwhile."""
    argv = [sys.executable, "-c", WAITS, str(agent.control_socket)]
    begun = time.monotonic()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        time.sleep(0.2)
        yield
        figures[f"{word}, s"] = time.monotonic() - begun - 0.2
        figures[f"others wait meanwhile at most, ms ({word})"] = float(asking.communicate()[0])


def notify_to_served(many: Many, figures: dict[str, float], word: str) -> None:
    """From NOTIFY until the new serial is answered, the median and the worst of twenty."""
    times = []
    serial = many.own_serial()
    assert serial
    for _ in range(20):
        serial += 1
        many.change_own(serial)
        many.primary.reload(many.names[0], serial)
        begun = time.monotonic()
        many.notify()
        eventually(lambda wanted=serial: many.own_serial() == wanted, "the NOTIFY is followed", 30, 0.001)
        times.append((time.monotonic() - begun) * 1000)
        time.sleep(0.15)
    times.sort()
    figures[f"NOTIFY to served, median, ms ({word})"] = times[10]
    figures[f"NOTIFY to served, worst of 20, ms ({word})"] = times[-1]


def sweep(many: Many, figures: dict[str, float]) -> None:
    """All members are due at once, at 1,000 polls a second; NOTIFYs meanwhile."""
    agent = many.agent
    templates = [{"name": "default", "primaries": ["origin"], "refresh-max": 10}]
    primaries = [{"name": "origin", "addresses": list(many.lab.primary_addresses), "rate": 1000}]
    agent.write_config({"templates": templates, "primaries": primaries})
    agent.cli("reload")
    time.sleep(10)

    def sent() -> int:
        lines = many.lab.server.run("cat", "/proc/net/snmp").splitlines()
        names, values = (line.split() for line in lines if line.startswith("Udp:"))
        return int(values[names.index("OutDatagrams")])

    begun, before = time.monotonic(), sent()
    time.sleep(5)
    figures["datagrams sent a second by a sweep at 1,000"] = (sent() - before) / (time.monotonic() - begun)
    notify_to_served(many, figures, "during the sweep")


def test_many_members(lab: Lab) -> None:
    """Thousands of members: served, one added, restarts with the primary gone, all removed."""
    many = Many(lab, MEMBERS or 2000, **{"fast-path": {"memory": "1GiB"}})
    names, figures = many.names, {}
    with many.agent as agent:
        begun = time.monotonic()
        many.wait_served()
        figures["all served, s"] = time.monotonic() - begun
        many.wait_stored()
        figures["agent, MiB"] = memory(agent)
        assert all(rcode(lab, name) == 0 for name in names[: many.count : many.count // 20])

        catalog_zone(many.place, 2, *many.listed, f"new {names[-1]}")
        many.primary.reload(CATALOG, 2)
        begun = time.monotonic()
        agent.cli("zone-reload", CATALOG)
        eventually(lambda: rcode(lab, names[-1]) == 0, "the member added is served")
        figures["one added, s"] = time.monotonic() - begun
        if MEMBERS:
            notify_to_served(many, figures, "nothing else to do")
            with waiting(agent, figures, "zone-status of all"):
                subprocess.run(agent.command("zone-status"), stdout=subprocess.DEVNULL, check=True)
            with waiting(agent, figures, "catalog-status"):
                agent.cli("catalog-status")
            with waiting(agent, figures, "reload"):
                agent.cli("reload")
            sweep(many, figures)
            with waiting(agent, figures, "zone-reload of all"):
                agent.cli("zone-reload")
            notify_to_served(many, figures, "behind a zone-reload of all")
        many.wait_stored()

        agent.kill()
        many.primary.stop()
        begun = time.monotonic()
        agent.start(60)
        figures["ready after SIGKILL, s"] = time.monotonic() - begun
        assert rcode(lab, names[-1]) == 0
        figures["agent after it, MiB"] = memory(agent)
        assert len(members(agent)) == many.count + 1

        # As after a reboot: of what was served there is nothing but the store.
        agent.stop()
        agent.detach()
        eventually(lambda: rcode(lab, names[0]) is None, "nobody answers")
        begun = time.monotonic()
        agent.start(60)
        figures["ready without pins, from the store, s"] = time.monotonic() - begun
        assert all(rcode(lab, name) == 0 for name in names[:: many.count // 20])

        agent.write_config({"catalogs": []})
        with waiting(agent, figures, "reload that removes all"):
            agent.cli("reload")
        assert rcode(lab, names[0]) == REFUSED
        assert agent.cli("status")["zones"]["total"] == 0
    if MEMBERS:
        print("\n" + "\n".join(f"{word}: {value:.2f}" for word, value in figures.items()))
    else:
        assert figures["one added, s"] < 10, figures


# ------------------------------------------------------------------------------------------------------ what they cost


def cpu(agent: Peregrine) -> float:
    """Seconds of all threads."""
    assert agent.process is not None
    total = 0
    for task in Path(f"/proc/{agent.process.pid}/task").iterdir():
        with suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def at_rest(agent: Peregrine) -> float:
    """The same, as soon as what goes on behind an answer is over too."""
    spent = cpu(agent)
    for _ in range(100):
        time.sleep(0.2)
        before, spent = spent, cpu(agent)
        if spent - before < 0.001:
            return spent
    raise AssertionError("the agent does not come to rest")


def costs(count: int) -> dict[str, float]:
    """Processor time of what is done for all members, in seconds. Without the driver, whose program would cost more."""
    found: dict[str, float] = {}
    with Lab() as lab:
        many = Many(lab, count, **{"fast-path": {"mode": "off"}})
        with many.agent as agent:
            many.wait_served()
            many.wait_stored()
            agent.kill()
            agent.start()
            found["start"] = cpu(agent)
            for verb in ("zone-status", "zone-reload", "reload"):
                tries = []
                for _ in range(3):
                    before = cpu(agent)
                    agent.cli(verb)
                    tries.append(cpu(agent) - before)
                found[verb] = min(tries)
            agent.write_config({"catalogs": []})
            before = cpu(agent)
            agent.cli("reload")
            found["removal"] = at_rest(agent) - before
    return found


def test_cost_follows_the_members() -> None:
    """Four times as many cost about four times as much; what looked at all of them for each would cost sixteen times.
    So many that the smaller number is in no cache either: of a few thousand the removal of each costs a third.
    """
    few, more = costs(12000), costs(48000)
    assert all(more[what] < 9 * few[what] for what in few), (few, more)


# -------------------------------------------------------------------------------------------------- what waits for them


def connect(agent: Peregrine) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(60)
    made.connect(str(agent.control_socket))
    return made


def hear(connection: socket.socket) -> Any:
    text = b""
    while part := connection.recv(1 << 16):
        text += part
    return json.loads(text)


def is_overtaken(agent: Peregrine, verb: str, **options: Any) -> Any:
    """The reply to a request, behind which comes a small one: that must be answered first. Both are there when the
    agent goes on after having been stopped, and epoll tells sockets in the order in which they were written to; so it
    is not chance.
    """
    with connect(agent) as large, connect(agent) as small, select.epoll() as order:
        order.register(large, select.EPOLLIN)
        order.register(small, select.EPOLLIN)
        agent.freeze()
        large.sendall(json.dumps({"verb": verb, "options": options}).encode() + b"\n")
        small.sendall(b'{"verb": "none"}\n')
        agent.thaw()
        first, _ = order.poll(60)[0]
        assert first == small.fileno(), f"{verb} keeps others waiting"
        assert "unknown verb" in hear(small)["error"]
        reply = hear(large)
    assert reply["ok"], reply
    return reply["result"]


def test_nothing_waits_behind_many(lab: Lab) -> None:
    """What is done for thousands of zones keeps no other request waiting; nor does who asks, and does not listen."""
    many = Many(lab, 4000)
    with many.agent as agent:
        many.wait_served()
        # A reply that nobody takes is not made: the rest goes on, and it is whole when it is taken after all.
        with connect(agent) as deaf:
            deaf.sendall(b'{"verb": "zone-status"}\n')
            many.change_own(2)
            many.primary.reload(many.names[0], 2)
            many.notify()
            eventually(lambda: many.own_serial() == 2, "a NOTIFY is followed while nobody listens", 5)
            assert len(hear(deaf)["result"]) == many.count + 1

        listed = is_overtaken(agent, "zone-status")
        names = [entry["zone"] for entry in listed]
        assert len(names) == many.count + 1 and names == sorted(names, key=canonical)
        assert is_overtaken(agent, "zone-status", problems=True) == []
        assert len(is_overtaken(agent, "zone-reload")) == many.count + 1
        assert is_overtaken(agent, "reload") == {"zones": many.count + 1, "zones_added": 0, "zones_removed": 0}
        agent.write_config({"catalogs": []})
        gone = {"zones": 0, "zones_added": 0, "zones_removed": many.count + 1}
        assert is_overtaken(agent, "reload") == gone
        assert rcode(lab, many.names[0]) == REFUSED


def test_what_comes_together(lab: Lab) -> None:
    """Reloads, a signal, and versions of the catalog that come while members are placed; and the end amid all of it."""
    many = Many(lab, 3000)
    with many.agent as agent:
        many.wait_served()
        for turn in range(5):
            catalog_zone(many.place, turn + 2, *many.listed[: 3000 - turn], f"new {many.names[-1]}")
            many.primary.reload(CATALOG, turn + 2)
            agent.freeze()
            assert agent.process
            with ExitStack() as stack:
                asked = [stack.enter_context(connect(agent)) for _ in range(3)]
                for connection in asked:
                    connection.sendall(b'{"verb": "reload"}\n')
                agent.process.send(signal.SIGHUP)
                with connect(agent) as gone:
                    gone.sendall(b'{"verb": "zone-status"}\n')
                with lab.primary.udp(lab.service[0], source=lab.primary_addresses[0]) as sock:
                    sock.send(wire(CATALOG, SOA, id=9, opcode=4, flags=0x0400))
                agent.thaw()
                assert all(hear(connection)["ok"] for connection in asked)
            wanted = {name.rstrip(".") for name in [*many.names[: 3000 - turn], many.names[-1]]}
            eventually(lambda wanted=wanted: members(agent) == wanted, f"version {turn + 2} of the catalog is followed")
        with connect(agent) as one, connect(agent) as other:
            one.sendall(b'{"verb": "zone-status"}\n')
            other.sendall(b'{"verb": "reload"}\n')
            assert agent.stop() == 0


def canonical(name: str) -> list[str]:
    return name.rstrip(".").split(".")[::-1]
