#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boots a Debian kernel in QEMU, runs commands in it and prints what they said; exit 1 when one fails.

    tools/vm/run.py 6.1                          boots, shows eth0, attaches a bare XDP program natively
    tools/vm/run.py 6.12 --program build/peregrined --file peregrine.yaml:/etc/peregrine.yaml \\
        --command 'peregrined --check-config -c /etc/peregrine.yaml'
    tools/vm/run.py 6.1 --verify build/bpf/peregrine.bpf.o --program build/peregrine-verifier \\
        --file tests/bpf/verifier.txt:/verifier.txt --command 'peregrine-verifier --check /verifier.txt'
    tools/vm/run.py 6.1 --namespace NS --host 192.0.2.1/24 --guest 192.0.2.53/24 --command 'ping -c 1 192.0.2.1'

Without --namespace the guest's network is a socket that leads nowhere: enough to load and attach.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from guest import BUILD, KERNELS, Guest, GuestError, Initramfs, Network, attach_native, verify, with_bpftool

PASS_SOURCE = """\
__attribute__((section("xdp"), used)) int pass(void *context) { return 2; }
char _license[] __attribute__((section("license"), used)) = "GPL";
"""


class Nowhere(Network):
    """A network without a tap: raw frames to a port of our own that nobody reads."""

    def __init__(self, directory: Path, device: str = "") -> None:
        super().__init__(namespace="", device=device, queues=1)
        self.directory = directory

    def command(self, *argv: str) -> list[str]:
        return list(argv)

    def create(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)

    def delete(self) -> None:
        pass

    def arguments(self) -> list[str]:
        more = f",{self.device}" if self.device else ""
        return ["-netdev", "hubport,id=net0,hubid=0", "-device", f"virtio-net-pci,netdev=net0{more}"]


def pass_program() -> Path:
    made = BUILD / "vm" / "pass.bpf.o"
    if not made.exists():
        source = made.with_suffix(".c")
        source.write_text(PASS_SOURCE)
        subprocess.run(
            ["clang", "-O2", "-g", "-target", "bpf", "-c", str(source), "-o", str(made)], check=True, timeout=60
        )
        source.unlink()
    return made


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernel", help=f"a series ({', '.join(KERNELS)}), fetched when it is not there")
    parser.add_argument(
        "--program", action="append", default=[], type=Path, help="a program for /usr/sbin, with its libraries"
    )
    parser.add_argument("--file", action="append", default=[], metavar="SOURCE:PATH", help="a file")
    parser.add_argument("--command", action="append", default=[], help="a line of shell to run in the guest")
    parser.add_argument("--verify", type=Path, metavar="OBJECT", help="load a BPF object, attach nothing")
    parser.add_argument("--namespace", help="a network namespace for the tap")
    parser.add_argument("--host", action="append", default=[], metavar="ADDRESS/LENGTH")
    parser.add_argument("--guest", action="append", default=[], metavar="ADDRESS/LENGTH")
    parser.add_argument("--queues", type=int, default=2)
    parser.add_argument("--device", default="", help="further properties of virtio-net-pci")
    parser.add_argument("--memory", type=int, default=256, help="MiB")
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--timeout", type=int, default=60)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    start = time.monotonic()
    image = with_bpftool(Initramfs())
    for program in args.program:
        image.program(program, f"/usr/sbin/{program.name}")
    for pair in args.file:
        source, _, path = pair.partition(":")
        image.file(Path(source), path)
    if args.namespace:
        network: Network = Network(
            args.namespace, host=args.host, guest=args.guest, queues=args.queues, device=args.device
        )
    else:
        network = Nowhere(BUILD / "vm", args.device)
    if args.verify:
        image.file(args.verify, "/verify.bpf.o")
    bare = not args.command and not args.verify
    if bare:
        image.file(pass_program(), "/pass.bpf.o")
    guest = Guest(
        args.kernel,
        image,
        network=network,
        memory=args.memory,
        accelerator=args.accel,
        boot_timeout=args.timeout,
        lifetime=args.timeout,
    )
    try:
        with guest:
            print(f"{guest.release} is up after {time.monotonic() - start:.1f} s")
            for command in args.command:
                print(f"# {command}")
                print(guest.run(command, timeout=args.timeout), end="")
            if args.verify:
                print(verify(guest, "/verify.bpf.o"), end="")
            if bare:
                print(guest.run("ip link show eth0"), end="")
                print(attach_native(guest, "/pass.bpf.o"), end="")
    except GuestError as fault:
        print(f"run.py: {fault}", file=sys.stderr)
        return 1
    print(f"done after {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
