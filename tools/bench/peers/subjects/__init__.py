# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that are compared. One file is one server: a subclass of Subject, which `all_subjects` finds."""

from __future__ import annotations

import importlib
import itertools
import os
import pkgutil
import resource
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from place import Account, Lab, LabError, Process, TlsFront, Zone, run, soa_serial

from ask import ask, udp_socket
from wire import SOA, wire


FILES = min(100_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])  # descriptors that a server may have
# Queries under way with a server that takes frames from the link itself: less than a veth's 256 places, and enough that
# no CPU runs out of them while the other one has a batch of 64.
IN_FRAMES = 192


class Subject:
    """A server as secondary in the laboratory's server namespace: one serving thread, no rate limit, else its defaults.

    Subclasses say `name` (a word), `title`, and the two methods below.
    """

    name = ""
    title = ""
    order = 100  # place in the tables
    in_driver = False  # replies leave from an XDP program, in the frames that brought the queries
    outstanding = 48  # queries under way: what a socket's buffer takes, in which each counts with its page
    is_peer = True  # compared with; False for the server that this bench belongs to
    answers = True  # is a nameserver at all
    transferring = True  # has its zones from a primary
    transfers = True  # is measured as a secondary; `over_tls`, `follows_catalogs`: also in that
    over_tls = follows_catalogs = False
    loads: tuple[str, ...] = ()  # the keys of those that it is asked; empty: of all

    def __init__(
        self, lab: Lab, zones: Sequence[Zone], cpu: int | None = None, interfaces: Sequence[str] = ("front",),
        tls: TlsFront | None = None, catalog: str = "", connections: int = 0,
    ) -> None:  # fmt: skip
        """`cpu`: all its threads stay there. `interfaces`: where queries come in. `tls`: how the primary is asked.
        `catalog`: the zone that lists others, which have to be served too. `connections`: how many over TCP have to be
        possible, where that is more than usual.
        """
        self.lab, self.cpu, self.interfaces = lab, cpu, list(interfaces)
        self.tls, self.catalog, self.connections = tls, catalog, connections
        self.zones = [zone.name for zone in zones] if self.answers else []
        self.files = {zone.name: zone.path for zone in zones}
        self.service, self.primary = lab.service[0], lab.primary_addresses[0]
        self.addresses = list(lab.service)  # IPv4 and IPv6
        self.directory = lab.make_directory(self.name)
        self.account = Account(self.name)
        self.process: Process | None = None

    def command(self) -> list[str]:
        """Writes the configuration into `self.directory` and gives the command that runs in the foreground."""
        raise NotImplementedError

    def after_stop(self) -> None:
        """Takes away what outlives the process."""

    @classmethod
    def takes(cls, load: str) -> bool:
        """Whether it is asked the load of that key."""
        return not cls.loads or load in cls.loads

    @staticmethod
    def missing() -> str | None:
        """Why it cannot be run on this machine; None when it can."""
        return None

    def start(self) -> Subject:
        self.account.open()
        argv = ["prlimit", f"--nofile={FILES}", *self.account.wrap(self.command())]
        if self.cpu is not None:
            argv = ["taskset", "-c", str(self.cpu), *argv]
        self.process = self.lab.start(self.lab.server, argv, self.directory / "log", self.name)
        return self

    def wait_answering(self, timeout: float = 30.0) -> None:
        """Waits until it gives some DNS reply: it is up, whether it has its zones or not."""
        end = time.monotonic() + timeout
        with udp_socket(self.lab.client.name, self.service) as sock:
            while ask(sock, wire("up.invalid.", SOA, id=2), 0.2) is None:
                self.check()
                if time.monotonic() > end:
                    raise LabError(f"{self.title} does not answer after {timeout:.0f} s\n{self.log_tail()}")
                time.sleep(0.05)

    def wait_serving(self, timeout: float = 120.0) -> None:
        """Waits until all zones are answered."""
        end = time.monotonic() + timeout
        with udp_socket(self.lab.client.name, self.service) as sock:
            for zone in self.zones:
                while soa_serial(ask(sock, wire(zone, SOA, id=1), 0.2)) is None:
                    self.check()
                    if time.monotonic() > end:
                        raise LabError(f"{self.title} does not serve {zone} after {timeout:.0f} s\n{self.log_tail()}")
                    time.sleep(0.02)

    def settle(self, timeout: float = 20.0) -> None:
        """Waits until what it does behind serving – writing zones to files, freeing memory – is done, or it is time."""
        end = time.monotonic() + timeout
        before = self.cpu_time()
        while time.monotonic() < end:
            time.sleep(0.5)
            now = self.cpu_time()
            if now - before < 0.03:
                return
            before = now

    def cpu_time(self) -> float:
        """Seconds that its processes have run."""
        ticks = 0
        for pid in self.pids():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def pids(self) -> list[int]:
        return self.account.pids() or ([self.process.pid] if self.process else [])

    def pin(self) -> None:
        """Puts all its threads on its CPU: some servers choose CPUs for their threads themselves."""
        for pid in self.pids() if self.cpu is not None else ():
            for task in Path(f"/proc/{pid}/task").glob("[0-9]*"):
                with suppress(OSError):
                    os.sched_setaffinity(int(task.name), {self.cpu})

    def check(self) -> None:
        """Fails when the process is no more."""
        assert self.process
        if not self.process.running():
            raise LabError(f"{self.title} ended with {self.process.popen.returncode}\n{self.log_tail()}")

    def log_tail(self) -> str:
        return self.process.tail() if self.process else ""

    def kill(self) -> None:
        """Ends it as a failing machine does: at once, and nothing of it is left in the kernel."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        if self.process:
            self.process.stop(30.0)
            self.process = None
        for interface, mode in itertools.product(self.interfaces, ("xdpdrv", "xdpgeneric")):
            # knotd leaves its program where it was, as one that is killed does
            run("ip", "-n", self.lab.server.name, "link", "set", "dev", interface, mode, "off", check=False)
        self.after_stop()
        self.account.close()

    def __enter__(self) -> Subject:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()


def all_subjects() -> dict[str, type[Subject]]:
    """Every server there is a file for, by name, in the order of the tables."""
    found: list[type[Subject]] = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        made = importlib.import_module(f"subjects.{module.name}")
        found += [
            kind for kind in vars(made).values()
            if isinstance(kind, type) and issubclass(kind, Subject) and kind.__module__ == made.__name__
        ]  # fmt: skip
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.order)}


def program_missing(name: str) -> str | None:
    places = os.environ.get("PATH", "").split(":") + ["/usr/sbin", "/sbin"]
    return None if any(os.access(os.path.join(place, name), os.X_OK) for place in places) else f"{name} is not installed"
