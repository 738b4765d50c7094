# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the servers are measured: the laboratory of the integration tests, one primary in it, and a memory account.

    client ── front ──▶ server ◀── back ── primary

All servers take their turns in the same namespace, on the same addresses, as secondaries of the same primary.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/integration"))

from lab import BUILD, BPFFS, Lab, LabError, Namespace, Process, Zone, agent_settings, run, yaml  # noqa: E402
from lab import _link as link  # noqa: E402
from servers import Knot, NameServer, soa_serial  # noqa: E402
from test_xot import SERVER as CERTIFIED  # noqa: E402
from test_xot import certificate  # noqa: E402

__all__ = ["BUILD", "BPFFS", "Lab", "LabError", "Namespace", "Process", "Zone", "agent_settings", "run", "soa_serial", "yaml"]
__all__ += ["Account", "CERTIFIED", "Primary", "ROOT", "SIDE", "SIDE_ADDRESSES", "ServingCpu", "TLS_PORT", "TlsFront"]
__all__ += ["second_link", "sweep_accounts"]

PREFIX = "pgbench-"
TLS_PORT = 853
SIDE, SIDE_ADDRESSES = "side", ("198.51.100.1", "198.51.100.53")
KTHREADD = "2"  # the parent of all kernel threads
ROOTS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))


class Primary(Knot):
    """Knot DNS: it sends as fast as any, and takes changes without reading the zone's file again.

    It never notifies: the bench does so itself, when the new version stands and the machine has come to rest.
    """

    def __init__(self, lab: Lab, zones: Sequence[Zone]) -> None:
        super().__init__(lab, lab.primary, zones, allow=lab.back_addresses + lab.primary_addresses, ixfr=True)

    def start(self, timeout: float = 300.0) -> NameServer:
        return super().start(timeout)

    def configuration(self) -> str:
        known = "    zonefile-sync: -1"
        return super().configuration().replace(known, f"{known}\n    journal-max-usage: 1G")


class TlsFront:
    """TLS in front of the primary, and the certificate by which its secondaries know it."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.place = lab, lab.make_directory("tls")
        authority = certificate("authority")
        files = certificate(CERTIFIED, authority).write(self.place, "primary")
        self.authority = authority.write(self.place, "authority")[0]
        script = str(Path(__file__).with_name("tls_front.py"))
        argv = [sys.executable, script, lab.primary_addresses[0], str(TLS_PORT), *map(str, files)]
        self.process = lab.start(lab.primary, argv, self.place / "log", "tls_front")

    def stop(self) -> None:
        self.process.stop()


def second_link(lab: Lab) -> None:
    """A link of its own from the client to the server, for a second client: what the first one sends fills no queue of
    it, as if the two came in by different queues of a card.
    """
    link(lab.client, SIDE, lab.server, SIDE, [(*SIDE_ADDRESSES, 25)])
    lab.attach_pass(lab.client, SIDE)


class ServingCpu:
    """A CPU off which kernel threads that may run elsewhere are kept meanwhile: one that looks for memory to be given
    back, say, runs for some milliseconds at a time, which a server would be blamed for.
    """

    def __init__(self, cpu: int) -> None:
        self.cpu = cpu
        self.moved: dict[int, set[int]] = {}

    def __enter__(self) -> ServingCpu:
        for place in Path("/proc").glob("[0-9]*"):
            pid = int(place.name)
            with suppress(OSError):  # some may not be moved, others are no more
                if (place / "stat").read_text().rpartition(")")[2].split()[1] != KTHREADD:
                    continue
                known = os.sched_getaffinity(pid)
                if self.cpu in known and known - {self.cpu}:
                    os.sched_setaffinity(pid, known - {self.cpu})
                    self.moved[pid] = known
        return self

    def __exit__(self, *_: object) -> None:
        for pid, known in self.moved.items():
            with suppress(OSError):
                if os.sched_getaffinity(pid) == known - {self.cpu}:
                    os.sched_setaffinity(pid, known)


# --------------------------------------------------------------------------------------------------------------- memory


def _account_root() -> Path | None:
    """The folder in which a group with a memory account may be made; None where the kernel has none for us."""
    first, second = ROOTS
    if (first / "cgroup.procs").exists():  # version 1
        return first
    controllers = second / "cgroup.subtree_control"
    return second if controllers.exists() and "memory" in controllers.read_text().split() else None


class Account:
    """A control group of one server: what its processes and the kernel on their behalf, BPF maps included, hold."""

    def __init__(self, name: str) -> None:
        root = _account_root()
        self.place = root / f"{PREFIX}{os.getpid()}-{name}" if root else None
        self.first = root == ROOTS[0]

    def open(self) -> None:
        if self.place:
            self.place.mkdir(exist_ok=True)

    def wrap(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` in the group from its first instruction on."""
        if not self.place:
            return list(argv)
        return ["sh", "-c", f'echo $$ > "{self.place}/cgroup.procs" && exec "$@"', "sh", *argv]

    def pids(self) -> list[int]:
        return [int(word) for word in (self.place / "cgroup.procs").read_text().split()] if self.place else []

    def _number(self, name: str) -> int:
        assert self.place
        return int((self.place / name).read_text())

    def _page_cache(self) -> int:
        """Octets of files that are in the kernel's cache, and could be let go at any time."""
        assert self.place
        text = (self.place / "memory.stat").read_text()
        found = re.search(r"^(?:total_inactive_file|inactive_file) (\d+)", text, re.M)
        return int(found[1]) if found else 0

    def now(self) -> int | None:
        """Octets held now, without files that are only cached."""
        if not self.place:
            return None
        return self._number("memory.usage_in_bytes" if self.first else "memory.current") - self._page_cache()

    def begin_peak(self) -> None:
        """From here on the largest amount is looked for, by the group and by each process."""
        for pid in self.pids():
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        if self.place and self.first:
            with suppress(OSError):
                (self.place / "memory.force_empty").write_text("0")
            (self.place / "memory.max_usage_in_bytes").write_text("0")
        elif self.place:
            with suppress(OSError):  # resetting it came with Linux 6.12
                (self.place / "memory.peak").write_text("0")

    def peak(self) -> int | None:
        """The most that the group held since `begin_peak`, in octets; files that were cached meanwhile are in it."""
        return self._number("memory.max_usage_in_bytes" if self.first else "memory.peak") if self.place else None

    def process_peak(self) -> int:
        """The sum of the processes' largest resident sets since `begin_peak`, in octets; shared pages count for each."""
        return sum(_status(pid, "VmHWM") for pid in self.pids())

    def close(self) -> None:
        if not self.place:
            return
        for _ in range(100):
            try:
                self.place.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:  # its last process is still going
                time.sleep(0.02)


def _status(pid: int, word: str) -> int:
    with suppress(OSError):
        found = re.search(rf"^{word}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
        return int(found[1]) * 1024 if found else 0
    return 0


def sweep_accounts() -> None:
    """Takes away the groups of benches that are no more."""
    root = _account_root()
    for place in root.glob(f"{PREFIX}*") if root else ():
        found = re.match(rf"{PREFIX}(\d+)-", place.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            with suppress(OSError):
                place.rmdir()
