#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes tests/bpf/verifier.txt anew: what the verifiers of this kernel and of those in QEMU do with each program.

What is there of other kernels stays as it is.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))
from guest import BUILD, KERNELS, ROOT, Guest, GuestError, Initramfs, fetch  # noqa: E402
from run import Nowhere  # noqa: E402

RECORD = ROOT / "tests/bpf/verifier.txt"
PROGRAM = BUILD / "peregrine-verifier"
HEAD = """\
# What the verifier does with each program, by kernel: `make verifier-record` writes this, `make test-bpf` (the running
# kernel) and `make vm` (the others) compare with it. Made with {compiler}.
#
# More than 15 % beyond `processed` fails, and so does less than 30 % of headroom below the limit of 1,000,000.
#
# program           kernel  processed  states    peak  headroom
"""


def measure(kernel: str) -> list[str]:
    fetch(kernel)
    image = Initramfs().program(PROGRAM, "/usr/sbin/peregrine-verifier")
    with Guest(kernel, image, network=Nowhere(BUILD / "vm"), memory=512) as guest:
        return guest.run("peregrine-verifier", timeout=120).replace("\r", "").splitlines()


def main() -> int:
    known = RECORD.read_text().splitlines() if RECORD.exists() else []
    lines = {tuple(line.split()[:2]): line.rstrip() for line in known if line and not line.startswith("#")}
    found = subprocess.run([PROGRAM], check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()
    try:
        for kernel in KERNELS:
            found += measure(kernel)
    except GuestError as fault:
        print(f"record.py: {fault}; nothing was written", file=sys.stderr)
        return 1
    lines.update({tuple(line.split()[:2]): line.strip() for line in found})
    compiler = subprocess.run(["clang", "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    order = sorted(lines, key=lambda key: (key[0] != "peregrine_xdp", key[0], [int(part) for part in key[1].split(".")]))
    RECORD.write_text(HEAD.format(compiler=compiler) + "".join(f"{lines[key]}\n" for key in order))
    print(RECORD.read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
