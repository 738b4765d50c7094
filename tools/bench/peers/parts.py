# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a run, in their order, and how large each is: by default, and with --quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Protocol

import growth
import loads
import many_zones
import pressure
import rates
import scale
import tcp
import transfers
from figures import Row
from subjects import Subject

Step = Callable[[float, str], None]


class Part(Protocol):
    title: str

    def seconds(self) -> float:
        """What it takes, about."""

    def run(self) -> list[Row]:
        """Measures."""


def _loads(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Step) -> Part:
    full, quick = rates.Plan(loads.FULL, 4, 0.1, 0.05, 8), rates.Plan(loads.QUICK, 1, 0.1, 0.05, 2)
    return rates.Rates(quick if given.quick else full, kinds, step, given.load)


def _pressure(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Step) -> Part:
    full, quick = pressure.Plan(4, 0.5), pressure.Plan(1, 0.3, tries=1)
    names = ("peregrine", "knot-xdp", *(() if given.quick else ("knot", "nsd")))
    some = [kind for kind in kinds if kind.name in names]
    return pressure.Pressure(quick if given.quick else full, some, step)


def _scale(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Step) -> Part:
    return scale.Scale(scale.Plan(1, 1, 0.2) if given.quick else scale.Plan(3, 2, 0.2), kinds, step)


def _tcp(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Step) -> Part:
    return tcp.Tcp(tcp.Plan(1, 0.3, 1000) if given.quick else tcp.Plan(5, 0.5, 10_000), kinds, step)


def _transfers(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Step) -> Part:
    full = transfers.Plan(names=1_000_000, rounds=3, changes=2, many=10_000)
    quick = transfers.Plan(names=20_000, rounds=1, changes=1, many=10_000)
    return transfers.Transfers(quick if given.quick else full, kinds, step)


def _growth(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Step) -> Part:
    if given.names:
        return growth.Growth(growth.Plan((given.names,), 0, 1), kinds, step)
    if given.largest:  # a run of its own
        names = [size for size in (10**power for power in range(3, 8)) if size <= given.largest]
    else:
        names = [1000, 10_000] if given.quick else []
    return growth.Growth(growth.Plan(tuple(names), 5_000 if given.quick else 1_000_000, 1), kinds, step)


def _catalog(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Step) -> Part:
    members = given.members or (500 if given.quick else 5_000)
    return many_zones.ManyZones(many_zones.Plan(members, 1 if given.quick else 2), kinds, step)


NAMES = {"loads": _loads, "scale": _scale, "pressure": _pressure, "tcp": _tcp, "transfers": _transfers,
         "growth": _growth, "catalog": _catalog}  # fmt: skip
QUICK = ["loads", "pressure", "tcp", "transfers"]  # of --quick


def make(given: argparse.Namespace, kinds: Sequence[type[Subject]], step: Step) -> list[Part]:
    """Those that are asked for."""
    wanted = given.parts or (QUICK if given.quick else NAMES)
    return [part(given, kinds, step) for name, part in NAMES.items() if name in wanted]
