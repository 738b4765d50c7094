# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil

from place import BUILD, agent_settings, yaml
from subjects import Subject


class Peregrine(Subject):
    name, title, order = "peregrine", "Peregrine", 0
    in_driver, is_peer = True, False
    outstanding = 128

    def command(self) -> list[str]:
        for place in ("state", "run"):
            (self.directory / place).mkdir()
        settings = agent_settings(
            self.zones,
            primary_addresses=[self.primary],
            listen=self.lab.service,
            interfaces=["front"],
            state=str(self.directory / "state"),
            run=str(self.directory / "run"),
            pins=str(self.lab.pins),
            memory="2GiB",
        )
        config = self.directory / "peregrine.yaml"
        config.write_text(yaml(settings) + "\n")
        return [str(BUILD / "peregrined"), "-c", str(config)]

    def after_stop(self) -> None:
        shutil.rmtree(self.lab.pins, ignore_errors=True)

    @staticmethod
    def missing() -> str | None:
        return None if (BUILD / "peregrined").exists() else "peregrined is not built: run `make` first"
