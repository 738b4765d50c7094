# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
from typing import Any

from place import BUILD, TLS_PORT, agent_settings, yaml
from subjects import IN_FRAMES, Subject


class Peregrine(Subject):
    name, title, order = "peregrine", "Peregrine", 0
    in_driver, is_peer = True, False
    outstanding = IN_FRAMES
    over_tls = follows_catalogs = True

    def settings(self) -> dict[str, Any]:
        made = agent_settings(
            self.zones,
            primary_addresses=[f"{self.primary}@{TLS_PORT}" if self.tls else self.primary],
            listen=self.lab.service,
            interfaces=self.interfaces,
            state=str(self.directory / "state"),
            run=str(self.directory / "run"),
            pins=str(self.lab.pins),
            memory="12GiB",
        )
        made["primaries"][0] |= {"max-records": 1_000_000_000, "max-size": "64GiB"}  # the others have no such limits
        made["fallback"] = {"udp-workers": 1, **({"tcp-clients": self.connections} if self.connections else {})}
        if self.tls:
            made["tls"] = [{"name": "any"}]
            made["primaries"][0]["tls"] = "any"
        if self.catalog:
            made["catalogs"] = [{"name": self.catalog, "primaries": ["origin"]}]
        return made

    def command(self) -> list[str]:
        for place in ("state", "run"):
            (self.directory / place).mkdir(exist_ok=True)
        config = self.directory / "peregrine.yaml"
        config.write_text(yaml(self.settings()) + "\n")
        return [str(BUILD / "peregrined"), "-c", str(config)]

    def after_stop(self) -> None:
        shutil.rmtree(self.lab.pins, ignore_errors=True)

    @staticmethod
    def missing() -> str | None:
        return None if (BUILD / "peregrined").exists() else "peregrined is not built: run `make` first"
