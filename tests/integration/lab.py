# SPDX-License-Identifier: GPL-3.0-or-later
"""A laboratory of network namespaces: a client, a server, a primary, and references beside them.

    client ── front ──▶ server ◀── back ── primary
       └── one link each ──▶ reference namespaces

The server's `front` and `back` are the ends where peregrined answers and from where it transfers. Everything carries
the number of the process that made it, so that what a killed run left behind is found and swept by the next one, and
nothing else is ever touched.

    with Lab() as lab:
        primary = lab.primary_server(Nsd, [Zone("example.org.", path)], key=Key())
        agent = lab.peregrine(["example.org."], key=Key()).start()
        with lab.client.udp(lab.service[0]) as sock:
            reply = ask(sock, wire("www.example.org.", A, edns=1232))

The client's frames are padded, so that the driver can answer all of them, as on a real device; `Lab(roomy=False)` leaves
them as veth makes them.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from ask import (
    Load,
    Tally,
    ask,
    ask_many,
    ask_tcp,
    ask_tcp_many,
    in_namespace,
    tcp_socket,
    udp_socket,
)
from servers import KINDS, Bind, Key, Knot, LabError, NameServer, Nsd, Zone, soa_serial

__all__ = ["Load", "Tally", "ask", "ask_many", "ask_tcp", "ask_tcp_many", "in_namespace", "tcp_socket", "udp_socket"]
__all__ += ["KINDS", "Bind", "Key", "Knot", "LabError", "NameServer", "Nsd", "Zone", "soa_serial"]
__all__ += ["Lab", "Namespace", "Peregrine", "Process", "agent_settings", "build_pass_program", "run", "sweep", "yaml"]
__all__ += ["BPFFS", "BUILD", "ROOT"]

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PEREGRINE_BUILD", ROOT / "build")).resolve()
PREFIX = "pglab"
BPFFS = Path("/sys/fs/bpf")

PASS_SOURCE = """\
// SPDX-License-Identifier: GPL-2.0-or-later
__attribute__((section("xdp"), used)) int pass(void *context) { return 2; }
char _license[] __attribute__((section("license"), used)) = "GPL";
"""

# A frame that a socket sends over veth has next to no room behind it since Linux 6.8: the receiving end takes just what it
# needs from a page. Drivers of real devices give a page or half of one. Trailing Ethernet padding has the same effect.
ROOM_SOURCE = """\
// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("tc") int room(struct __sk_buff *skb)
{
	__u8 protocol = 0;

	if (skb->protocol == bpf_htons(0x0800))
		bpf_skb_load_bytes(skb, 14 + 9, &protocol, 1);
	else if (skb->protocol == bpf_htons(0x86dd))
		bpf_skb_load_bytes(skb, 14 + 6, &protocol, 1);
	if (protocol == 17 && skb->len < 1514)
		bpf_skb_change_tail(skb, 1514, 0);
	return TC_ACT_OK;
}
char _license[] SEC("license") = "GPL";
"""

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_numbers = itertools.count()
_live: list["Lab"] = []
Server = TypeVar("Server", bound=NameServer)


def run(*argv: str, timeout: float = 30.0, check: bool = True) -> str:
    """Runs a program to its end and gives its output; what it said is in the error when it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _die_with_parent() -> None:
    """In the child, before exec: SIGKILL of the test run must not leave servers behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def build_pass_program() -> Path:
    """The bare XDP_PASS program that wakes the client's end of a veth when the other end replies by XDP_TX."""
    return _build_program("pass", PASS_SOURCE)


def build_room_program() -> Path:
    """The program that pads the client's UDP frames, so that they have the room that a real driver gives."""
    return _build_program("room", ROOM_SOURCE)


def _build_program(name: str, text: str) -> Path:
    place = BUILD / "lab"
    made = place / f"{name}.bpf.o"
    if not made.exists():
        place.mkdir(parents=True, exist_ok=True)
        source = place / f"{name}.{os.getpid()}.bpf.c"
        source.write_text(text)
        partial = place / f"{name}.{os.getpid()}.bpf.o"
        headers = f"-I/usr/include/{run('gcc', '-dumpmachine').strip()}"
        run("clang", "-O2", "-g", "-target", "bpf", headers, "-c", str(source), "-o", str(partial))
        partial.rename(made)
        source.unlink()
    return made


class Process:
    """A child of ours in a session of its own, with its output in a file."""

    def __init__(self, argv: Sequence[str], log: Path, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.name, self.log = name, log
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def running(self) -> bool:
        return self.popen.poll() is None

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 25) -> str:
        shown = self.text().splitlines()[-lines:]
        return "\n".join([f"--- the end of {self.name}'s log", *shown, "---"])

    def send(self, number: int) -> None:
        if self.running():
            os.kill(self.pid, number)

    def stop(self, timeout: float = 5.0) -> int:
        """SIGTERM, and SIGKILL to the whole session when that does not end it. Gives the exit status."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        with suppress(ProcessLookupError):  # what the server forked, too
            os.killpg(self.pid, signal.SIGKILL)
        return self.popen.wait()


class Namespace:
    """One network namespace. Its addresses are those that other namespaces reach it by."""

    def __init__(self, role: str, number: int) -> None:
        self.role = role
        self.name = f"{PREFIX}-{os.getpid()}-{number}-{role}"
        self.addresses: list[str] = []

    def create(self) -> None:
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def delete(self) -> None:
        run("ip", "netns", "delete", self.name, check=False)

    def command(self, *argv: str) -> list[str]:
        """`ip netns exec` would hide bpffs behind a fresh /sys."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *argv]

    def run(self, *argv: str, timeout: float = 30.0, check: bool = True) -> str:
        return run(*self.command(*argv), timeout=timeout, check=check)

    def ip(self, *words: str) -> str:
        return run("ip", "-n", self.name, *words)

    def udp(self, address: str, port: int = 53, **more: Any) -> socket.socket:
        return udp_socket(self.name, address, port, **more)

    def tcp(self, address: str, port: int = 53) -> socket.socket:
        return tcp_socket(self.name, address, port)


def _link(one: Namespace, one_end: str, other: Namespace, other_end: str, nets: Sequence[tuple[str, str, int]]) -> None:
    """A veth pair with GRO on at both ends and addresses that work at once; checksum offload stays as it is, on."""
    run("ip", "link", "add", one_end, "netns", one.name, "type", "veth", "peer", "name", other_end, "netns", other.name)
    for namespace, end, column in ((one, one_end, 0), (other, other_end, 1)):
        for net in nets:
            flags = ["nodad"] if ":" in net[0] else []
            namespace.ip("address", "add", f"{net[column]}/{net[2]}", "dev", end, *flags)
        namespace.run("ethtool", "-K", end, "gro", "on")
        namespace.ip("link", "set", end, "up")


class Lab:
    """Makes everything on entry and takes it away on exit, whatever the reason for leaving."""

    # client, server (the first is the service address, the second is the host's own)
    service = ("192.0.2.53", "2001:db8:0:1::53")
    other = ("192.0.2.54", "2001:db8:0:1::54")
    client_addresses = ("192.0.2.1", "2001:db8:0:1::1")
    primary_addresses = ("192.0.2.129", "2001:db8:0:2::1")
    back_addresses = ("192.0.2.130", "2001:db8:0:2::2")

    def __init__(self, *, roomy: bool = True) -> None:
        self.number, self.roomy = next(_numbers), roomy
        self.tag = f"{os.getpid()}-{self.number}" if self.number else f"{os.getpid()}"
        self.pins = BPFFS / f"peregrine-lab-{self.tag}"
        self._stack = ExitStack()
        self._references = 0
        self._directory: Path | None = None

    # Making and taking away.

    def __enter__(self) -> Lab:
        if os.geteuid():
            raise LabError("the laboratory needs root: namespaces, XDP")
        _install_handlers()
        sweep()
        _live.append(self)
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def _make(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-"))
        self._directory.chmod(0o755)
        self._stack.callback(shutil.rmtree, self._directory, ignore_errors=True)
        self._stack.callback(_remove_pins, self.pins)
        self.client, self.server, self.primary = (self.namespace(role) for role in ("client", "server", "primary"))
        front = [(self.client_addresses[0], self.service[0], 25), (self.client_addresses[1], self.service[1], 64)]
        _link(self.client, "front", self.server, "front", front)
        for address, length in ((self.other[0], 25), (self.other[1], 64)):
            self.server.ip(
                "address", "add", f"{address}/{length}", "dev", "front", *(["nodad"] if ":" in address else [])
            )
        back = [
            (self.primary_addresses[0], self.back_addresses[0], 26),
            (self.primary_addresses[1], self.back_addresses[1], 64),
        ]
        _link(self.primary, "back", self.server, "back", back)
        # A NOTIFY goes to the service address, as it does in the world.
        self.primary.ip("route", "add", "192.0.2.0/25", "via", self.back_addresses[0])
        self.primary.ip("route", "add", "2001:db8:0:1::/64", "via", self.back_addresses[1])
        self.client.addresses = list(self.client_addresses)
        self.server.addresses = list(self.service)
        self.primary.addresses = list(self.primary_addresses)
        self.attach_pass(self.client, "front")
        if self.roomy:
            self.give_room(self.client, "front")

    def close(self) -> None:
        if self in _live:
            _live.remove(self)
        self._stack.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def namespace(self, role: str) -> Namespace:
        made = Namespace(role, self.number)
        made.create()
        self._stack.callback(made.delete)
        return made

    def reference_namespace(self, role: str) -> Namespace:
        """A namespace of its own, linked to the client alone, for a server that answers from the zone file itself."""
        k = self._references
        self._references += 1
        made = self.namespace(f"{role}{k}")
        if k > 15:
            raise LabError("16 references are the most that the addresses suffice for")
        first, second = f"192.0.2.{193 + 4 * k}", f"192.0.2.{194 + 4 * k}"
        sixth = f"2001:db8:0:{16 + k:x}::"
        _link(self.client, f"ref{k}", made, "eth0", [(first, second, 30), (f"{sixth}1", f"{sixth}2", 64)])
        made.addresses = [second, f"{sixth}2"]
        return made

    def attach_pass(self, namespace: Namespace, interface: str) -> None:
        namespace.ip("link", "set", "dev", interface, "xdpdrv", "obj", str(build_pass_program()), "sec", "xdp")

    def give_room(self, namespace: Namespace, interface: str) -> None:
        """Pads what the interface sends by UDP: the other end then gets frames that can grow to a whole reply."""
        namespace.run("tc", "qdisc", "add", "dev", interface, "clsact")
        program = ["bpf", "direct-action", "object-file", str(build_room_program()), "section", "tc"]
        namespace.run("tc", "filter", "add", "dev", interface, "egress", *program)

    def make_directory(self, name: str) -> Path:
        assert self._directory is not None
        made = self._directory / f"{name}-{next(_numbers)}"
        made.mkdir(mode=0o755)
        return made

    def start(
        self,
        namespace: Namespace,
        argv: Sequence[str],
        log: Path,
        name: str,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """A program in the foreground in a namespace; it ends with the laboratory at the latest."""
        made = Process(namespace.command(*argv), log, name, environment)
        self._stack.callback(made.stop)
        return made

    # Servers.

    def primary_server(
        self, kind: type[Server], zones: Sequence[Zone], *, key: Key | None = None, notify: bool = True, **more: Any
    ) -> Server:
        """A primary from which the server may transfer, and which notifies it; started."""
        more.setdefault("allow", self.back_addresses + self.service)
        more.setdefault("notify", self.service if notify else ())
        made = kind(self, more.pop("namespace", self.primary), zones, key=key, **more)
        made.start()
        return made

    def reference(self, kind: type[Server], zones: Sequence[Zone], **more: Any) -> Server:
        """The same zone files, answered directly, in a namespace of its own that the client reaches; started."""
        made = kind(self, self.reference_namespace(kind.kind), zones, **more)
        made.start()
        return made

    def peregrine(self, zones: Sequence[str], **more: Any) -> Peregrine:
        return Peregrine(self, zones, **more)


# ------------------------------------------------------------------------------------------------------------ peregrine


def yaml(value: Any, depth: int = 0) -> str:
    """Plain YAML of dictionaries, lists and scalars; strings in double quotes, whose escapes are those of JSON."""
    pad = "  " * depth
    if isinstance(value, Mapping):
        lines = []
        for word, inner in value.items():
            nested = (
                isinstance(inner, Mapping)
                and inner
                or isinstance(inner, list)
                and inner
                and isinstance(inner[0], Mapping)
            )
            lines.append(f"{pad}{word}:\n{yaml(inner, depth + 1)}" if nested else f"{pad}{word}: {yaml(inner)}")
        return "\n".join(lines)
    if isinstance(value, list):
        if value and isinstance(value[0], Mapping):
            return "\n".join(
                f"{pad}- {{ {', '.join(f'{word}: {json.dumps(inner)}' for word, inner in item.items())} }}" for item in value
            )
        return f"[ {', '.join(yaml(item) for item in value)} ]"
    return json.dumps(value)


def _merge(base: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`change` over `base`, mapping by mapping; None takes a word away."""
    made = dict(base)
    for word, value in change.items():
        if value is None:
            made.pop(word, None)
        elif isinstance(value, Mapping) and isinstance(made.get(word), Mapping):
            made[word] = _merge(made[word], value)
        else:
            made[word] = value
    return made


def agent_settings(
    zones: Sequence[str],
    *,
    primary_addresses: Sequence[str],
    listen: Sequence[str],
    interfaces: Sequence[str],
    key: Key | None = None,
    mode: str = "native",
    state: str = "/var/lib/peregrine",
    run: str = "/run/peregrine",
    pins: str = "/sys/fs/bpf/peregrine",
    memory: str = "256MiB",
) -> dict[str, Any]:
    """A configuration of the agent: all zones from one primary, no rate limit. For the laboratory and for guests."""
    primary: dict[str, Any] = {"name": "origin", "addresses": list(primary_addresses)}
    if key:
        primary["key"] = key.name
    made: dict[str, Any] = {
        "server": {
            "identity": "lab.ns.example.net",
            "listen": list(listen),
            "port": 53,
            "state-directory": state,
            "run-directory": run,
        },
        "fast-path": {"interfaces": list(interfaces), "mode": mode, "pin-directory": pins, "memory": memory},
        "rate-limit": {"responses-per-second": 0},
    }
    if key:
        made["keys"] = [{"name": key.name, "algorithm": key.algorithm, "secret": key.secret}]
    made["primaries"] = [primary]
    made["zones"] = [{"name": zone, "primaries": ["origin"]} for zone in zones]
    return made


class Peregrine:
    """peregrined in the server's namespace. `change` is merged over the configuration that is made here (None removes
    a word).
    """

    def __init__(
        self,
        lab: Lab,
        zones: Sequence[str],
        *,
        key: Key | None = None,
        primary_addresses: Sequence[str] | None = None,
        listen: Sequence[str] | None = None,
        interfaces: Sequence[str] = ("front",),
        mode: str = "native",
        namespace: Namespace | None = None,
        change: Mapping[str, Any] | None = None,
    ) -> None:
        self.lab, self.zones = lab, list(zones)
        self.namespace = namespace or lab.server
        self.directory = lab.make_directory("peregrine")
        self.config = self.directory / "peregrine.yaml"
        self.control_socket = self.directory / "run" / "control.sock"
        self.log_path = self.directory / "log"
        self.process: Process | None = None
        self.pins = lab.pins
        made = agent_settings(
            self.zones,
            primary_addresses=primary_addresses or lab.primary_addresses,
            listen=listen or lab.service,
            interfaces=interfaces,
            key=key,
            mode=mode,
            state=str(self.directory / "state"),
            run=str(self.directory / "run"),
            pins=str(self.pins),
        )
        self.settings = _merge(made, change or {})
        for name in ("state", "run"):
            (self.directory / name).mkdir()
        self.write_config()

    def write_config(self, change: Mapping[str, Any] | None = None) -> None:
        """Writes the configuration, changed further; a running agent takes it up on `cli("reload")`."""
        self.settings = _merge(self.settings, change or {})
        self.config.write_text(yaml(self.settings) + "\n")

    def start(self, timeout: float = 20.0, *words: str) -> Peregrine:
        """Starts the agent and waits for its READY=1."""
        ready_path = self.directory / "notify"
        with suppress(FileNotFoundError):
            ready_path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(str(ready_path))
            argv = [str(BUILD / "peregrined"), "-c", str(self.config), *words]
            self.process = self.lab.start(
                self.namespace, argv, self.log_path, "peregrined", {"NOTIFY_SOCKET": str(ready_path)}
            )
            self._wait_ready(ready, timeout)
        return self

    def _wait_ready(self, ready: socket.socket, timeout: float) -> None:
        assert self.process is not None
        end = time.monotonic() + timeout
        ready.settimeout(0.1)
        while time.monotonic() < end:
            with suppress(TimeoutError):
                if b"READY=1" in ready.recv(4096).split(b"\n"):
                    return
            if not self.process.running():
                raise LabError(f"peregrined ended with {self.process.popen.returncode}\n{self.process.tail()}")
        raise LabError(f"peregrined was not ready after {timeout} s\n{self.process.tail()}")

    def command(self, *words: str) -> list[str]:
        return self.namespace.command(str(BUILD / "peregrine"), "-s", str(self.control_socket), "--json", *words)

    def cli(self, *words: str, timeout: float = 60.0) -> Any:
        """One verb of the CLI; its JSON, or its text where it is not JSON."""
        out = run(*self.command(*words), timeout=timeout)
        try:
            return json.loads(out)
        except ValueError:
            return out

    def zone_status(self, zone: str) -> dict[str, Any]:
        wanted = zone.rstrip(".").lower()
        for entry in self.cli("zone-status"):
            if entry["zone"].rstrip(".").lower() == wanted:
                return entry
        raise LabError(f"zone-status does not know {zone}")

    def wait_serving(
        self, serial: int | None = None, zones: Sequence[str] | None = None, timeout: float = 120.0
    ) -> None:
        """Waits until zone-status says `serving`, at that serial when one is given."""
        end = time.monotonic() + timeout
        entry: dict[str, Any] = {}
        for zone in zones or self.zones:
            while True:
                entry = self.zone_status(zone)
                if entry["state"] == "serving" and serial in (None, entry["serial"]):
                    break
                if time.monotonic() > end:
                    raise LabError(
                        f"{zone} is not served (serial {serial}) after {timeout} s: {entry}\n{self.log_tail()}"
                    )
                time.sleep(0.02)

    def counters(self) -> dict[str, Any]:
        return self.cli("stats")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self) -> str:
        return self.process.tail() if self.process else ""

    def stop(self) -> int:
        """SIGTERM: the pinned fast path stays."""
        assert self.process is not None
        return self.process.stop()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send(signal.SIGKILL)
        self.process.popen.wait(5)

    def freeze(self) -> None:
        """SIGSTOP, and waits until it has stopped: the fast path must now do without it."""
        assert self.process is not None
        self.process.send(signal.SIGSTOP)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                return
            time.sleep(0.005)
        raise LabError("SIGSTOP did not stop the agent")

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send(signal.SIGCONT)

    def detach(self) -> None:
        """Takes the pins away, and with the last reference the program and the maps."""
        _remove_pins(self.pins)

    def __enter__(self) -> Peregrine:
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.stop()
        self.detach()


# -------------------------------------------------------------------------------------------------------------- cleanup


def _remove_pins(place: Path) -> None:
    """bpffs knows unlink and rmdir as other file systems do; a pinned link is detached by losing its last reference."""
    if place.exists():
        shutil.rmtree(place, ignore_errors=True)


def _process_exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def sweep() -> None:
    """Takes away what laboratories of processes that are no more have left: namespaces with what runs in them, pins,
    directories.
    """
    pattern = re.compile(rf"^{PREFIX}-(\d+)-")
    netns = Path("/run/netns")
    for entry in sorted(netns.iterdir()) if netns.is_dir() else ():
        found = pattern.match(entry.name)
        if found and not _process_exists(int(found[1])):
            for pid in run("ip", "netns", "pids", entry.name, check=False).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "delete", entry.name, check=False)
    for entry in Path(tempfile.gettempdir()).iterdir():
        found = pattern.match(entry.name)
        if found and not _process_exists(int(found[1])):
            shutil.rmtree(entry, ignore_errors=True)
    for entry in BPFFS.glob("peregrine-lab-*"):
        found = re.match(r"^peregrine-lab-(\d+)", entry.name)
        if found and not _process_exists(int(found[1])):
            _remove_pins(entry)


def _close_all() -> None:
    for lab in list(_live):
        lab.close()


def _on_signal(number: int, _: object) -> None:
    raise SystemExit(128 + number)


_handlers_installed = False


def _install_handlers() -> None:
    """SIGTERM and SIGHUP end the process in an orderly way; SIGINT does so by itself."""
    global _handlers_installed
    if _handlers_installed or threading.current_thread() is not threading.main_thread():
        return
    _handlers_installed = True
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _on_signal)
    atexit.register(_close_all)
