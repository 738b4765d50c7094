# SPDX-License-Identifier: GPL-3.0-or-later
"""Real kernels in QEMU: a guest that is one kernel, busybox, and the programs that a test puts into its initramfs.

There is no disk and no distribution. Programs come with the libraries that ldd names; the modules of virtio-net are
loaded in order; the serial console is a shell that the host gives one command at a time. The guest's network is a tap
in a namespace of the host, so a primary can stand there and queries come from there. Software emulation suffices and
is the default: a kernel is up in a few seconds. Everything has a timeout, and QEMU dies with the process that started
it.

    image = Initramfs().program(build / "peregrined", "/usr/sbin/peregrined").text("/etc/peregrine.yaml", yaml)
    with Guest("6.1", image, network=Network(namespace, "tap0", ["192.0.2.53/24"])) as guest:
        print(guest.run("uname -r"))
"""

from __future__ import annotations

import ctypes
import gzip
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PEREGRINE_BUILD", ROOT / "build")).resolve()
KERNELS = ("6.1", "6.12")

# In the order of their dependencies; a kernel that has one built in lacks the file. In a wrong order there is no eth0.
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
)

INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var/log /var/lib /usr/bin /usr/sbin /sbin
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
ulimit -l unlimited
echo 0 >/proc/sys/kernel/printk
for module in $(cat /modules/order); do
	insmod "/modules/$module.ko" || echo "guest: module $module is not loaded"
done
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up
@LINES@
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty -echo -onlcr
echo "@UP@ $(uname -r)"
while read -r number line; do
	echo "@BEGIN@ $number"
	eval "$line"
	echo "@END@ $number $?"
done
poweroff -f
"""
UP, BEGIN, END = "<guest-up>", "<guest-begin>", "<guest-end>"

_libc = ctypes.CDLL(None, use_errno=True)


class GuestError(RuntimeError):
    """The guest did not do what it was to do; the end of its serial log is in the message."""


def fetch(kernel: str) -> Path:
    """The folder of a kernel; fetched first when it is not there."""
    place = BUILD / "vm" / kernel
    if not (place / "release").exists():
        environment = {**os.environ, "PEREGRINE_BUILD": str(BUILD)}
        done = subprocess.run(
            [str(ROOT / "tools/vm/fetch.sh"), kernel], capture_output=True, text=True, env=environment, timeout=300
        )
        if done.returncode:
            raise GuestError(f"kernel {kernel} is not to be had:\n{done.stdout}{done.stderr}")
    return place


def libraries(program: Path) -> list[Path]:
    """The shared libraries of a program, its loader included; none for a static one or a script."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, timeout=30)
    if "not found" in done.stdout:
        raise GuestError(f"{program} lacks libraries:\n{done.stdout}")
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", done.stdout)]


# ------------------------------------------------------------------------------------------------------------ initramfs


@dataclass
class Initramfs:
    """What stands in the guest's root: paths to contents and modes. Written as a newc cpio archive, without a tool."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)  # run by /init before the shell

    def file(self, source: Path, path: str, mode: int | None = None) -> Initramfs:
        self.files[path] = (source.read_bytes(), mode if mode is not None else source.stat().st_mode & 0o7777)
        return self

    def text(self, path: str, text: str, mode: int = 0o644) -> Initramfs:
        self.files[path] = (text.encode(), mode)
        return self

    def program(self, source: Path, path: str | None = None) -> Initramfs:
        """A program with its libraries, each under the path that the loader looks for it."""
        self.file(source.resolve(), path or str(source), 0o755)
        for library in libraries(source):
            self.file(library.resolve(), str(library), 0o755)
        return self

    def line(self, *lines: str) -> Initramfs:
        self.lines += lines
        return self

    def write(self, kernel: Path, out: Path) -> None:
        """The archive for one kernel, with busybox, that kernel's modules and /init."""
        busybox = shutil.which("busybox")
        if not busybox:
            raise GuestError("busybox-static is not installed")
        present = [name for name in MODULES if (kernel / "modules" / f"{name}.ko").exists()]
        init = (
            INIT.replace("@LINES@", "\n".join(self.lines))
            .replace("@UP@", UP)
            .replace("@BEGIN@", BEGIN)
            .replace("@END@", END)
        )
        files = {
            "/bin/busybox": (Path(busybox).read_bytes(), 0o755),
            "/init": (init.encode(), 0o755),
            "/modules/order": (" ".join(present).encode(), 0o644),
            "/etc/passwd": (b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
            "/etc/group": (b"root:x:0:\nnogroup:x:65534:\n", 0o644),
            "/etc/nsswitch.conf": (b"passwd: files\ngroup: files\nhosts: files\n", 0o644),
            **{f"/modules/{name}.ko": ((kernel / "modules" / f"{name}.ko").read_bytes(), 0o644) for name in present},
            **self.files,
        }
        with gzip.open(out, "wb", compresslevel=1) as archive:
            archive.write(_cpio(files, self.links))


def _cpio(files: dict[str, tuple[bytes, int]], links: dict[str, str]) -> bytes:
    """A newc archive; folders stand before what is in them, and the console that the kernel opens for /init is a
    node.
    """
    made, inode = bytearray(), 0

    def entry(path: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        nonlocal inode
        inode += 1
        name = path.lstrip("/").encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        made.extend(b"070701" + b"".join(b"%08X" % value for value in fields) + name)
        made.extend(bytes(-len(made) % 4))
        made.extend(data)
        made.extend(bytes(-len(made) % 4))

    folders = {
        str(parent) for path in [*files, *links, "/dev/console", "/proc/x", "/sys/x"] for parent in Path(path).parents
    } - {"/"}
    for folder in sorted(folders, key=lambda text: (text.count("/"), text)):
        entry(folder, 0o040755)
    entry("/dev/console", 0o020600, device=(5, 1))
    for path, (data, mode) in files.items():
        entry(path, 0o100000 | mode, data)
    for path, target in links.items():
        entry(path, 0o120777, target.encode())
    entry("TRAILER!!!", 0)
    return bytes(made)


# -------------------------------------------------------------------------------------------------------------- network


@dataclass
class Network:
    """A multi-queue tap in a namespace of the host, and the guest's addresses on its eth0."""

    namespace: str
    tap: str = "tap0"
    host: Sequence[str] = ()  # with prefix lengths
    guest: Sequence[str] = ()
    queues: int = 2
    device: str = ""  # further properties of the device, e.g. "ctrl_guest_offloads=off"
    created: bool = False

    def command(self, *argv: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *argv]

    def create(self) -> None:
        """May be called before the guest starts, so that a server in the namespace can bind to the tap's addresses
        first.
        """
        if self.created:
            return
        queues = ["multi_queue"] if self.queues > 1 else []
        _check(self.command("ip", "tuntap", "add", "dev", self.tap, "mode", "tap", *queues))
        for address in self.host:
            _check(
                self.command("ip", "address", "add", address, "dev", self.tap, *(["nodad"] if ":" in address else []))
            )
        _check(self.command("ip", "link", "set", self.tap, "up"))
        self.created = True

    def delete(self) -> None:
        queues = ["multi_queue"] if self.queues > 1 else []
        subprocess.run(
            self.command("ip", "tuntap", "del", "dev", self.tap, "mode", "tap", *queues),
            capture_output=True,
            timeout=30,
        )
        self.created = False

    def arguments(self) -> list[str]:
        more = f",{self.device}" if self.device else ""
        netdev, device = f"tap,id=net0,ifname={self.tap},script=no,downscript=no", "virtio-net-pci,netdev=net0"
        if self.queues > 1:
            netdev += f",queues={self.queues}"
            device += f",mq=on,vectors={2 * self.queues + 2}"
        return ["-netdev", netdev, "-device", device + more]

    def init_lines(self) -> list[str]:
        return ["ip link set eth0 up", *(f"ip address add {address} dev eth0" for address in self.guest)]


def _check(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise GuestError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


# ---------------------------------------------------------------------------------------------------------------- guest


class Guest:
    """A running guest. `log` is the whole of what its serial console said."""

    def __init__(
        self,
        kernel: str,
        image: Initramfs,
        *,
        network: Network | None = None,
        memory: int = 256,
        cpus: int = 1,
        accelerator: str = "tcg",
        boot_timeout: float = 60.0,
        lifetime: int = 300,
        more: Sequence[str] = (),
        append: str = "",
    ) -> None:
        """`more`: further arguments of QEMU's, `append`: of the kernel's."""
        self.kernel, self.image, self.network = kernel, image, network
        self.memory, self.cpus, self.accelerator = memory, cpus, accelerator
        self.boot_timeout, self.lifetime = boot_timeout, lifetime
        self.more, self.append = more, append
        self.release, self.log = "", ""
        self._number, self._buffer = 0, ""
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: Path | None = None

    def arguments(self, folder: Path, initramfs: Path) -> list[str]:
        argv = [
            "timeout",
            "--kill-after=5",
            str(self.lifetime),
            "qemu-system-x86_64",
            "-M",
            "q35",
            "-accel",
            self.accelerator,
        ]
        argv += ["-cpu", "max", "-smp", str(self.cpus), "-m", str(self.memory), "-nodefaults", "-no-user-config"]
        argv += [
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
            "-kernel",
            str(folder / "vmlinuz"),
            "-initrd",
            str(initramfs),
        ]
        argv += ["-append", f"console=ttyS0 quiet rdinit=/init panic=-1 {self.append}", *self.more]
        if self.network:
            argv = self.network.command(*argv, *self.network.arguments())
        return argv

    def start(self) -> Guest:
        folder = fetch(self.kernel)
        self._directory = Path(tempfile.mkdtemp(prefix=f"pgvm-{os.getpid()}-"))
        try:
            if self.network:
                self.network.create()
                self.image.lines = [*self.network.init_lines(), *self.image.lines]
            initramfs = self._directory / "initramfs.gz"
            self.image.write(folder, initramfs)
            self._process = subprocess.Popen(
                self.arguments(folder, initramfs),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
            line = self._read_until(re.compile(rf"{UP} (\S+)\r?\n"), self.boot_timeout)
            self.release = line[1]
        except BaseException:
            self.stop()
            raise
        return self

    def run(self, command: str, timeout: float = 30.0, check: bool = True) -> str:
        """One shell command in the guest: its output. A background job must send its output elsewhere than the
        console.
        """
        assert self._process and self._process.stdin and "\n" not in command
        self._number += 1
        self._process.stdin.write(f"{self._number} {command}\n".encode())
        self._process.stdin.flush()
        self._read_until(re.compile(rf"{BEGIN} {self._number}\r?\n"), timeout)
        found = self._read_until(re.compile(rf"(?s)(.*?){END} {self._number} (\d+)\r?\n"), timeout)
        if check and found[2] != "0":
            raise GuestError(f"in the guest ({self.release}): {command}: exit {found[2]}\n{found[1]}")
        return found[1]

    def wait_file(self, path: str, timeout: float = 30.0) -> None:
        """Waits until a file is there in the guest (a socket, a marker)."""
        self.run(
            f"n=0; while [ ! -e {path} ] && [ $n -lt {int(timeout * 10)} ]; do usleep 100000; n=$((n+1)); done; "
            f"[ -e {path} ]",
            timeout + 10,
        )

    def _read_until(self, pattern: re.Pattern[str], timeout: float) -> re.Match[str]:
        assert self._process and self._process.stdout
        end = time.monotonic() + timeout
        while True:
            found = pattern.search(self._buffer)
            if found:
                self._buffer = self._buffer[found.end() :]
                return found
            left = end - time.monotonic()
            if left <= 0:
                raise GuestError(
                    f"the guest ({self.kernel}) did not say {pattern.pattern!r} in {timeout} s\n{self.tail()}"
                )
            if not select.select([self._process.stdout], [], [], left)[0]:
                continue
            data = os.read(self._process.stdout.fileno(), 65536).decode(errors="replace")
            if not data:
                raise GuestError(
                    f"QEMU ended ({self._process.wait()}) before the guest ({self.kernel}) said {pattern.pattern!r}"
                    f"\n{self.tail()}"
                )
            self.log += data
            self._buffer += data

    def tail(self, lines: int = 40) -> str:
        return "\n".join(["--- the end of the serial log", *self.log.splitlines()[-lines:], "---"])

    def stop(self) -> None:
        if self._process:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self._process.pid, number)
                    self._process.wait(3)
                    break
                except ProcessLookupError:
                    self._process.wait()
                    break
                except subprocess.TimeoutExpired:
                    continue
            for stream in (self._process.stdin, self._process.stdout):
                if stream:
                    stream.close()
            self._process = None
        if self.network:
            self.network.delete()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Guest:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _die_with_parent() -> None:
    _libc.prctl(1, signal.SIGKILL)


# ------------------------------------------------------------------------------------------------------------- programs


def bpftool() -> Path:
    """Debian's bpftool, or the path in BPFTOOL."""
    named = os.environ.get("BPFTOOL") or shutil.which("bpftool") or "/usr/sbin/bpftool"
    return Path(named)


def with_bpftool(image: Initramfs) -> Initramfs:
    return image.program(bpftool(), "/usr/sbin/bpftool")


def attach_native(guest: Guest, program: str, interface: str = "eth0") -> str:
    """Loads and attaches an XDP object with bpftool; gives what `bpftool net` then says, which must be the driver
    mode.
    """
    name = Path(program).stem.partition(".")[0]
    guest.run(f"bpftool prog load {program} /sys/fs/bpf/{name} type xdp 2>&1")
    guest.run(f"bpftool net attach xdpdrv pinned /sys/fs/bpf/{name} dev {interface} 2>&1")
    shown = guest.run(f"bpftool net show dev {interface}")
    if "driver" not in shown:
        raise GuestError(f"not in native mode on {guest.release}:\n{shown}")
    return shown


def verify(guest: Guest, path: str) -> str:
    """Has the guest's verifier judge an object: what was loaded, or an error with the end of the verifier's log."""
    guest.run(
        f"bpftool prog loadall {path} /sys/fs/bpf/verify >/tmp/verify.log 2>&1; echo $? >/tmp/verify.rc",
        timeout=guest.lifetime,
    )
    if guest.run("cat /tmp/verify.rc").strip() != "0":
        raise GuestError(f"{guest.release} refuses {path}:\n{guest.run('tail -n 60 /tmp/verify.log')}")
    return guest.run("bpftool prog show")
