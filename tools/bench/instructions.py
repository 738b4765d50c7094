# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reply costs in instructions: nearly the same figures on every machine, however busy it is.

`peregrine-bench` runs in a guest (tools/vm) whose clock is the count of instructions executed: QEMU's `-icount`, one
nanosecond each. So its "ns a packet" are instructions of the program as the guest's kernel has compiled it, calls of
the kernel's functions included. Nothing of caches, of branches guessed wrong or of waiting is in them.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

from guest import BUILD, KERNELS, Guest, Initramfs  # noqa: E402

BENCH = BUILD / "peregrine-bench"
# Each instruction takes a nanosecond of the guest's time, and nothing but instructions.
COUNTED = ("-icount", "shift=0,sleep=off")
METHOD = ("return XDP_TX", "(restoring the query)", "reflect, behind restoring")  # rows about the measuring itself
QUIET = "mitigations=off clocksource=tsc tsc=reliable lpj=1000000"


def counts(kernel: str, only: str = "") -> dict[str, int]:
    """Instructions a packet by kind of answer, above those of an empty program."""
    image = Initramfs().program(BENCH, "/usr/sbin/peregrine-bench")
    with Guest(kernel, image, memory=1024, lifetime=900, boot_timeout=300, more=COUNTED, append=QUIET) as guest:
        command = "peregrine-bench --quick --csv --force --cpu 0 --rounds 1 --repeat 1000"
        said = guest.run(f"{command} --only '{only}'" if only else command, timeout=800)
    least = {row["what"]: int(row["min_ns"]) for row in csv.DictReader(said.replace("\r", "").splitlines())}
    empty = least["return XDP_TX"]
    return {what: count - empty for what, count in least.items() if what not in METHOD}


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts the instructions that a reply of the fast path takes.")
    parser.add_argument("--kernel", choices=KERNELS, default=KERNELS[-1], help="the guest's (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="KIND", help="only kinds of answers whose name holds KIND")
    given = parser.parse_args()
    print(f"instructions a packet, Linux {given.kernel}")
    for name, count in counts(given.kernel, given.only).items():
        print(f"{name:<40} {count:>6}")


if __name__ == "__main__":
    main()
