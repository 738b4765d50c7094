#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can be whose primary, tried out: writes docs/interop.md.

Each cell of the tables is a run of real servers in namespaces: yes, or what was in the way. The exit status is the
number of cells that failed. `interop.py WORD` tries the rows alone that have the word in them, and writes nothing.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dns.edns
import dns.exception
import dns.message
import dns.query
from lab import KINDS, ROOT, Key, Knot, Lab, LabError, NameServer, Peregrine, in_namespace
from secondaries import SECONDARIES, Tls
from test_catalog import CATALOG, NAMES, catalog_zone, serve, wait_serving
from test_transfer_out import NAME as OUT
from test_transfer_out import SERVER, make_certificate, settings, wait_stored, zone_file
from test_xot import Place, TlsBind, TlsNsd
from zones import serial_zone

NAME = "serial.example."
ALGORITHMS = ("hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
FAILURES = (AssertionError, LabError, OSError, subprocess.SubprocessError, dns.exception.DNSException)
LABELS = {"nsd": "NSD", "knot": "Knot DNS", "bind": "BIND", "peregrine": "Peregrine"}
EXPIRE = 9  # EDNS option (RFC 7314)


class Absent(Exception):
    """The other server does not do this; says so."""


# ---------------------------------------------------------------------------------------------- Peregrine as a secondary


def follow(lab: Lab, kind: str, key: Key | None, ixfr: bool = False) -> str:
    """The zone comes by AXFR; of a change we are told by NOTIFY. Gives how the change came."""
    place = lab.make_directory("zones")
    zone = serial_zone(200, 1).write(place)
    with lab.primary_server(KINDS[kind], [zone], key=key, ixfr=ixfr) as primary, lab.peregrine([NAME], key=key) as agent:
        agent.wait_serving(1, timeout=10)
        assert agent.zone_status(NAME)["transferred_by"] == "AXFR"
        zone_text = (place / zone.path.name).read_text()
        if ixfr:  # one record more, and the serial
            zone.path.write_text(zone_text.replace(" 1 3600 600", " 2 3600 600", 1) + "more 300 A 192.0.2.77\n")
        else:
            serial_zone(200, 2).write(place)
        primary.reload(NAME, 2)
        began = time.monotonic()
        agent.wait_serving(2, timeout=10)
        assert time.monotonic() - began < 3, "NOTIFY was not followed at once"
        if ixfr and "a record is to be added that is there" in agent.log():
            raise Absent("adds records of the apex that are there; AXFR in its place")
        return agent.zone_status(NAME)["transferred_by"]


def in_tls(lab: Lab, kind: str) -> str:
    if kind == "knot":
        raise Absent("3.2 has no TLS")
    place = Place(lab)
    zone = serial_zone(20, 1).write(lab.make_directory("zones"))
    primary = place.primary(TlsBind if kind == "bind" else TlsNsd, [zone])
    profile = {**place.verified(), **({"alpn": "optional"} if kind == "nsd" else {})}
    try:
        with lab.peregrine([NAME], change=place.settings(profile)) as agent:
            agent.wait_serving(1, timeout=10)
    finally:
        primary.stop()
    return "chooses no ALPN: `alpn: optional`" if kind == "nsd" else ""


def in_expire(lab: Lab, kind: str) -> str:
    """Whether a SOA query is answered with the time that is left."""
    zone = serial_zone(3, 1).write(lab.make_directory("zones"))
    query = dns.message.make_query(NAME, "SOA", options=[dns.edns.GenericOption(EXPIRE, b"")])
    with lab.primary_server(KINDS[kind], [zone]) as primary:
        reply = in_namespace(lab.server.name, lambda: dns.query.tcp(query, primary.addresses[0], timeout=3))
    assert reply.answer
    if not any(option.otype == EXPIRE for option in reply.options):
        raise Absent("does not answer the option as a primary")
    return ""


def in_catalog(lab: Lab, kind: str) -> str:
    place = lab.make_directory("catalog")
    primary = serve(lab, KINDS[kind], catalog_zone(place, 1, f"a {NAMES[0]}"))
    change = {"zones": [], "catalogs": [{"name": CATALOG, "primaries": ["origin"]}]}
    with lab.peregrine([], key=Key(), change=change) as agent:
        wait_serving(agent, NAMES[:1])
        catalog_zone(place, 2, f"a {NAMES[0]}", f"b {NAMES[1]}")
        primary.reload(CATALOG, 2)
        wait_serving(agent, NAMES[:2])
    primary.stop()
    return ""


# ------------------------------------------------------------------------------------------------ Peregrine as a primary


@contextmanager
def serving(
    lab: Lab, key: Key | None, zone: Mapping[str, object], server: Mapping[str, str] | None = None
) -> Iterator[tuple[Path, NameServer, Peregrine]]:
    """Peregrine with the zone in its store, and its primary; where the zone's file is written."""
    place = lab.make_directory("zones")
    change = settings(lab.client_addresses[0], None, **zone)
    if key:
        change["keys"] = [{"name": key.name, "algorithm": key.algorithm, "secret": key.secret}]
        change["zones"][0]["allow-transfer"][0]["key"] = change["secondaries"][0]["key"] = key.name
    else:
        change.pop("keys")
    if server:
        change["server"] = {"tls-listen": list(lab.service), **server}
    written = zone_file(1).write(place)
    with lab.primary_server(Knot, [written], ixfr=True) as primary, lab.peregrine([OUT], change=change) as agent:
        agent.wait_serving(1)
        wait_stored(agent, 1)
        yield place, primary, agent


def behind(lab: Lab, kind: str, key: Key | None, tls: bool = False) -> str:
    """A secondary of ours: AXFR, then NOTIFY and IXFR. Gives what our log says of the second transfer."""
    certificate, private = make_certificate(lab)
    server = {"certificate": certificate, "private-key": private} if tls else None
    with serving(lab, key, {}, server) as (place, primary, agent):
        secondary = start_behind(lab, kind, key, Tls(SERVER, Path(certificate)) if tls else None)
        try:
            wait_behind(secondary, 1)
            zone_file(2).write(place)
            primary.reload(OUT, 2)
            agent.wait_serving(2)
            began = time.monotonic()
            wait_behind(secondary, 2)
            assert time.monotonic() - began < 3, "NOTIFY was not followed at once"
        finally:
            secondary.stop()
        sent = re.findall(r"zone out\.example\.: (\S+)(?: \(\w+\))? to .*: serial (\d) sent", agent.log())
        assert ("AXFR", "1") in sent, sent
        return dict((serial, how) for how, serial in sent)["2"]


def start_behind(lab: Lab, kind: str, key: Key | None, tls: Tls | None) -> NameServer | Peregrine:
    if kind != "peregrine":
        return SECONDARIES[kind](lab, lab.client, OUT, lab.service, key, tls=tls).start()
    up = {"name": "origin", "addresses": list(lab.service), **({"key": key.name} if key else {})}
    change = {"primaries": [up], "zones": [{"name": OUT, "primaries": ["origin"]}]}
    if tls:
        up["tls"] = "verified"
        change["tls"] = [{"name": "verified", "server-name": tls.name, "ca-file": str(tls.authority)}]
    made = lab.peregrine(
        [OUT],
        key=key,
        namespace=lab.client,
        listen=lab.client_addresses,
        primary_addresses=lab.service,
        mode="off",
        change=change,
    )
    return made.start()


def has_behind(secondary: NameServer | Peregrine) -> bool:
    if isinstance(secondary, Peregrine):
        return secondary.zone_status(OUT)["state"] == "serving"
    return secondary.serial(OUT) is not None


def wait_behind(secondary: NameServer | Peregrine, serial: int) -> None:
    if isinstance(secondary, Peregrine):
        secondary.wait_serving(serial, timeout=10)
    else:
        secondary.wait_for(OUT, serial, timeout=10)


def out_tls(lab: Lab, kind: str) -> str:
    if kind == "knot":
        raise Absent("3.2 has no TLS")
    behind(lab, kind, None, tls=True)
    return ""


def out_expire(lab: Lab, kind: str) -> str:
    """With us gone, it has the zone for as long as we had it, and not for the time that the SOA names."""
    with serving(lab, None, {"refresh-max": 1, "expire-max": 6}) as (_, _, agent):
        secondary = start_behind(lab, kind, None, None)
        try:
            wait_behind(secondary, 1)
            agent.kill()
            agent.detach()
            end = time.monotonic() + 12
            while has_behind(secondary) and time.monotonic() < end:
                time.sleep(0.2)
            if has_behind(secondary):
                assert kind in ("nsd", "bind"), "it has the zone for longer than we had"
                raise Absent("keeps to the time of the SOA")
        finally:
            secondary.stop()
    return ""


# ---------------------------------------------------------------------------------------------------------------- tables

Row = tuple[str, Callable[[Lab, str], str]]


def transfers(run: Callable[..., str], ixfr: Callable[..., str]) -> list[Row]:
    """By `run` the zone goes with a key or without; by `ixfr` with one, and the change as a difference."""

    def plain(lab: Lab, kind: str) -> str:
        run(lab, kind, None)
        return ""

    def differences(lab: Lab, kind: str) -> str:
        assert ixfr(lab, kind, Key()) == "IXFR", "AXFR in its place"
        return ""

    def signed(algorithm: str) -> Callable[[Lab, str], str]:
        def tried(lab: Lab, kind: str) -> str:
            run(lab, kind, Key(algorithm=algorithm))
            return ""

        return tried

    rows: list[Row] = [("AXFR, then NOTIFY", plain), ("IXFR after NOTIFY", differences)]
    return rows + [(f"TSIG {algorithm}", signed(algorithm)) for algorithm in ALGORITHMS]


INCOMING: list[Row] = [
    *transfers(follow, partial(follow, ixfr=True)),
    ("over TLS, verified", in_tls),
    ("answers EXPIRE, which we ask for", in_expire),
    ("catalog zone", in_catalog),
]
OUTGOING: list[Row] = [
    *transfers(behind, behind),
    ("over TLS, verified", out_tls),
    ("goes by our answer to EXPIRE", out_expire),
]


def cell(check: Callable[[Lab, str], str], kind: str) -> tuple[str, bool]:
    try:
        with Lab() as lab:
            note = check(lab, kind)
        return f"yes; {note}" if note else "yes", True
    except Absent as absent:
        return f"– ({absent})", True
    except FAILURES as fault:
        print(fault, file=sys.stderr)
        return f"**no**: {str(fault).splitlines()[0][:80] if str(fault) else type(fault).__name__}", False


def table(title: str, kinds: list[str], rows: list[Row]) -> tuple[str, int]:
    lines = [f"| {title} | " + " | ".join(LABELS[kind] for kind in kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    failed = 0
    for name, check in rows:
        cells = []
        for kind in kinds:
            print(f"{title}: {name}, {LABELS[kind]} …", end=" ", file=sys.stderr, flush=True)
            text, good = cell(check, kind)
            print(text, file=sys.stderr)
            failed += not good
            cells.append(text)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines), failed


def version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)[0]


HEAD = """\
# Interoperation

Made by `make interop` on {date}: each cell is a run of the real servers, NSD {nsd}, Knot DNS {knot} and BIND {bind}, in network namespaces
(`tests/integration/interop.py`). Zones go by AXFR first; then one record is changed, and is served within three seconds of the NOTIFY.
"""


def main(words: list[str]) -> int:
    def chosen(rows: list[Row]) -> list[Row]:
        return [row for row in rows if not words or any(word in row[0] for word in words)]

    first, failed = table("as primary of Peregrine", list(KINDS), chosen(INCOMING))
    second, more = table("as secondary of Peregrine", [*KINDS, "peregrine"], chosen(OUTGOING))
    versions = {"nsd": version("nsd", "-v"), "knot": version("knotd", "--version"), "bind": version("named", "-v")}
    head = HEAD.format(date=datetime.date.today(), **versions)
    text = "\n".join([head, first, "", second, ""])
    if words:
        print(text)
    else:
        Path(ROOT / "docs/interop.md").write_text(text)
    return min(failed + more, 100)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
