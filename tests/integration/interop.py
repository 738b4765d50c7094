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
from collections.abc import Callable
from pathlib import Path

import dns.edns
import dns.exception
import dns.message
import dns.query
from lab import KINDS, ROOT, Key, Knot, Lab, LabError, Nsd, Peregrine, in_namespace
from secondaries import SECONDARIES
from test_catalog import CATALOG, NAMES, catalog_zone, serve, wait_serving
from test_transfer_out import NAME as OUT
from test_transfer_out import make_certificate, settings, wait_stored, zone_file
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


def in_axfr(lab: Lab, kind: str) -> str:
    follow(lab, kind, None)
    return ""


def in_ixfr(lab: Lab, kind: str) -> str:
    assert follow(lab, kind, Key(), ixfr=True) == "IXFR", "AXFR in its place"
    return ""


def in_tsig(algorithm: str) -> Callable[[Lab, str], str]:
    def tried(lab: Lab, kind: str) -> str:
        follow(lab, kind, Key(algorithm=algorithm))
        return ""

    return tried


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
    zone = serial_zone(3, 1).write(lab.make_directory("zones"))
    with lab.primary_server(KINDS[kind], [zone]) as primary:
        return asked_expire(lab.server, primary.addresses[0], NAME)


def asked_expire(namespace, address: str, zone: str) -> str:
    """Whether a SOA query is answered with the time that is left."""
    query = dns.message.make_query(zone, "SOA", options=[dns.edns.GenericOption(EXPIRE, b"")])
    reply = in_namespace(namespace.name, lambda: dns.query.tcp(query, address, timeout=3))
    assert reply.answer
    left = [option for option in reply.options if option.otype == EXPIRE]
    if not left:
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


def behind(lab: Lab, kind: str, key: Key | None, more: str = "") -> str:
    """A secondary of ours: AXFR, then NOTIFY and IXFR. Gives what our log says of the second transfer."""
    place = lab.make_directory("zones")
    change = settings(lab.client_addresses[0], None)
    if key:
        change["keys"] = [{"name": key.name, "algorithm": key.algorithm, "secret": key.secret}]
        change["zones"][0]["allow-transfer"][0]["key"] = change["secondaries"][0]["key"] = key.name
    else:
        change.pop("keys")
    if more:
        certificate, private = make_certificate(lab)
        change["server"] = {"tls-listen": list(lab.service), "certificate": certificate, "private-key": private}
    zone = zone_file(1).write(place)
    with lab.primary_server(Knot, [zone], ixfr=True) as primary, lab.peregrine([OUT], change=change) as agent:
        agent.wait_serving(1)
        wait_stored(agent, 1)
        secondary = start_behind(lab, kind, key, more)
        try:
            wait_behind(secondary, 1)
            zone_file(2).write(place)
            primary.reload(OUT, 2)
            agent.wait_serving(2)
            wait_behind(secondary, 2)
        finally:
            secondary.stop()
        sent = re.findall(r"zone out\.example\.: (\S+)(?: \(\w+\))? to .*: serial (\d) sent", agent.log())
        assert ("AXFR", "1") in sent, sent
        return dict((serial, how) for how, serial in sent)["2"]


def start_behind(lab: Lab, kind: str, key: Key | None, more: str):
    if kind != "peregrine":
        return SECONDARIES[kind](lab, lab.client, OUT, lab.service, key, more).start()
    up = {"name": "origin", "addresses": list(lab.service), **({"key": key.name} if key else {})}
    change = {"primaries": [up], "zones": [{"name": OUT, "primaries": ["origin"]}]}
    if more:
        up["tls"] = "any"
        change["tls"] = [{"name": "any"}]
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


def wait_behind(secondary, serial: int) -> None:
    if isinstance(secondary, Peregrine):
        secondary.wait_serving(serial, timeout=10)
    else:
        secondary.wait_for(OUT, serial, timeout=10)


def out_axfr(lab: Lab, kind: str) -> str:
    behind(lab, kind, None)
    return ""


def out_ixfr(lab: Lab, kind: str) -> str:
    assert behind(lab, kind, Key()) == "IXFR", "it asked for all of the zone"
    return ""


def out_tsig(algorithm: str) -> Callable[[Lab, str], str]:
    def tried(lab: Lab, kind: str) -> str:
        behind(lab, kind, Key(algorithm=algorithm))
        return ""

    return tried


def out_tls(lab: Lab, kind: str) -> str:
    if kind == "knot":
        raise Absent("3.2 has no TLS")
    if kind == "nsd":
        raise Absent("verifies its primary's name always; not tried")
    behind(lab, kind, None, " port 853 tls ephemeral")
    return ""


def out_expire(lab: Lab, kind: str) -> str:
    if kind != "peregrine":
        raise Absent("not told apart from outside")
    zone = serial_zone(3, 1).write(lab.make_directory("zones"))
    with lab.primary_server(Nsd, [zone]), lab.peregrine([NAME]) as agent:
        agent.wait_serving(1)
        return asked_expire(lab.client, lab.service[0], NAME)


# ---------------------------------------------------------------------------------------------------------------- tables

Row = tuple[str, Callable[[Lab, str], str]]
INCOMING: list[Row] = [
    ("AXFR, then NOTIFY", in_axfr),
    ("IXFR after NOTIFY", in_ixfr),
    *((f"TSIG {algorithm}", in_tsig(algorithm)) for algorithm in ALGORITHMS),
    ("over TLS, verified", in_tls),
    ("answers EXPIRE, which we ask for", in_expire),
    ("catalog zone", in_catalog),
]
OUTGOING: list[Row] = [
    ("AXFR, then NOTIFY", out_axfr),
    ("IXFR after NOTIFY", out_ixfr),
    *((f"TSIG {algorithm}", out_tsig(algorithm)) for algorithm in ALGORITHMS),
    ("over TLS", out_tls),
    ("we answer EXPIRE", out_expire),
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
