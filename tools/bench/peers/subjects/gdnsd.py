# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil

from subjects import Subject, program_missing


class Gdnsd(Subject):
    """It reads zone files and knows neither transfers nor DNSSEC."""

    name, title, order = "gdnsd", "gdnsd", 50
    transferring = transfers = False
    loads = ("a-thousand", "missing-thousand", "a-many")

    def command(self) -> list[str]:
        (self.directory / "zones").mkdir(exist_ok=True)
        for zone, path in self.files.items():
            shutil.copy(path, self.directory / "zones" / zone.rstrip("."))
        lines = ["options => {", f"  run_dir => {self.directory}/run, state_dir => {self.directory}/state,"]
        lines += [f"  listen => [ {', '.join(self.addresses)} ], udp_threads => 1, tcp_threads => 1,", "}"]
        (self.directory / "config").write_text("\n".join(lines) + "\n")
        return ["gdnsd", "-c", str(self.directory), "start"]

    @staticmethod
    def missing() -> str | None:
        return program_missing("gdnsd")
