# SPDX-License-Identifier: GPL-3.0-or-later
"""The zones that are transferred and asked about: names in a row, an A and an AAAA record each."""

from __future__ import annotations

from pathlib import Path

from place import Zone


def host(number: int) -> str:
    return f"n{number:07d}"


def address(number: int, version: int = 0) -> str:
    """The A record's rdata of a name; another one for each version of it."""
    return f"10.{version & 255}.{number >> 8 & 255}.{number & 255}"


def address6(number: int) -> str:
    return f"2001:db8:0:8::{number >> 16:x}:{number & 65535:x}"


def plain_zone(place: Path, name: str, names: int) -> Zone:
    """A file of the zone `name`, which ends in a dot, in `place`."""
    path = place / f"{name}zone"
    with path.open("w") as out:
        out.write(f"$ORIGIN {name}\n$TTL 3600\n@ SOA ns1 hostmaster 1 3600 600 864000 300\n@ NS ns1\nns1 A 192.0.2.53\n")
        out.writelines(
            f"{host(i)} A {address(i)}\n{host(i)} AAAA {address6(i)}\n" for i in range(names)
        )
    return Zone(name, path)
