# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers over TLS (RFC 9103) from the real servers that give them: BIND and NSD. Knot DNS 3.2 has no TLS of its own.

Who is taken for the primary, and what the line says of one that is not; TSIG inside; IXFR and NOTIFY as ever; the
connection is shared by the zones.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lab import Key, Lab, NameServer, Nsd, Peregrine, Zone
from scripted import ZONE, ScriptedPrimary
from servers import Bind, Knot
from zones import serial_zone

pytestmark = pytest.mark.timeout(120)

NAME = "serial.example."
SERVER = "primary.example"


# --------------------------------------------------------------------------------------------------------- certificates


@dataclass
class Certificate:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, place: Path, name: str) -> tuple[Path, Path]:
        """PEM files of the certificate and of its key."""
        files = place / f"{name}.pem", place / f"{name}.key"
        files[0].write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        files[1].write_bytes(self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        files[1].chmod(0o600)
        return files

    def pin(self) -> str:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        octets = self.key.public_key().public_bytes(serialization.Encoding.DER, form)
        return base64.b64encode(hashlib.sha256(octets).digest()).decode()


def certificate(name: str, issuer: Certificate | None = None, days: int = 5, address: str | None = None) -> Certificate:
    """Valid until so many days from now; without an issuer it is an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(issuer.certificate.subject if issuer else subject)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=30))
    builder = builder.not_valid_after(now + datetime.timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    names += [x509.IPAddress(ipaddress.ip_address(address))] if address else []
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Certificate(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


# --------------------------------------------------------------------------------------------------------------- servers


class TlsBind(Bind):
    """At port 853 too. If there are `old` files, they are shown at port 854; with `clients`, an authority, a certificate
    signed by that is wanted of who comes to port 855.
    """

    files: tuple[Path, Path]
    old: tuple[Path, Path] | None = None
    clients: Path | None = None

    def configuration(self) -> str:
        ports = [(853, self.files, "")]
        ports += [(854, self.old, "")] if self.old else []
        ports += [(855, self.files, f'ca-file "{self.clients}";')] if self.clients else []
        v4 = " ".join(f"{address};" for address in self.addresses if ":" not in address)
        listen = " ".join(f"listen-on port {port} tls lab{port} {{ {v4} }};" for port, _, _ in ports)
        tls = [
            f'tls lab{port} {{ cert-file "{cert}"; key-file "{key}"; {more} protocols {{ TLSv1.3; }}; }};\n'
            for port, (cert, key), more in ports
        ]
        return "".join(tls) + super().configuration().replace("options {", f"options {{ {listen}", 1)


class TlsNsd(Nsd):
    """At port 853 too. Its side of the handshake chooses no ALPN."""

    files: tuple[Path, Path]

    def configuration(self) -> str:
        lines = [f"  ip-address: {address}@853" for address in self.addresses]
        lines += [f'  tls-service-pem: "{self.files[0]}"', f'  tls-service-key: "{self.files[1]}"', "  tls-port: 853"]
        return super().configuration().replace("server:\n", "\n".join(["server:", *lines, ""]), 1)


class Place:
    """A laboratory with an authority, the primary's certificate and ours."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.directory = lab, lab.make_directory("tls")
        self.address = lab.primary_addresses[0]
        self.authority = certificate("authority")
        self.server = certificate(SERVER, self.authority, address=self.address)
        self.ca_file = self.authority.write(self.directory, "authority")[0]

    def primary(self, kind: type[Any], zones: list[Zone], **more: Any) -> NameServer:
        old, clients = more.pop("old", None), more.pop("clients", None)
        more.setdefault("addresses", [self.address])
        made = kind(self.lab, self.lab.primary, zones, allow=self.lab.back_addresses + self.lab.service, **more)
        made.files = self.server.write(self.directory, "server")
        made.old, made.clients = old and old.write(self.directory, "old"), clients
        return made.start()

    def settings(self, tls: dict[str, Any], key: Key | None = None, port: int = 853) -> dict[str, Any]:
        origin: dict[str, Any] = {"name": "origin", "addresses": [f"{self.address}@{port}"], "tls": "lab"}
        return {"tls": [{"name": "lab", **tls}], "primaries": [{**origin, **({"key": key.name} if key else {})}]}

    def verified(self) -> dict[str, Any]:
        return {"server-name": SERVER, "ca-file": str(self.ca_file)}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Lab() as lab:
        yield Place(lab)


def connections(place: Place) -> list[str]:
    """Those of the agent to the primary, port and state, apart from what is over."""
    lines = place.lab.server.run("ss", "-Htn", "dst", place.address).splitlines()
    return [line.split()[4].rpartition(":")[2] for line in lines if line.split()[0] == "ESTAB"]


# ----------------------------------------------------------------------------------------------------------------- tests


@pytest.mark.parametrize("kind", [TlsBind, TlsNsd], ids=["bind", "nsd"])
def test_transfer(place: Place, kind: type[Any]) -> None:
    """The first transfer, then what changed of it after a NOTIFY, both over one connection, with TSIG inside."""
    zone = serial_zone(20, 1).write(place.directory)
    tls = place.verified() | ({"alpn": "optional"} if kind is TlsNsd else {})
    change = place.settings(tls, Key())
    primary = place.primary(kind, [zone], key=Key(), ixfr=True, notify=place.lab.service)
    with primary, place.lab.peregrine([NAME], key=Key(), change=change) as agent:
        agent.wait_serving(1, timeout=20)
        serial_zone(20, 2).write(place.directory)
        if kind is TlsNsd:
            place.lab.primary.run("touch", "-d", "+2 seconds", str(zone.path))
        primary.reload(NAME, 2)
        agent.wait_serving(2, timeout=20)
        assert connections(place) == ["853"], agent.log()
        status = agent.zone_status(NAME)
        assert (status["primary_serial"], status["error"]) == (2, None), status
        assert kind is TlsNsd or status["transferred_by"].startswith("IXFR"), status


@pytest.mark.parametrize("kind", [TlsBind, Nsd, Knot], ids=["bind", "nsd", "knot"])
def test_many_zones(place: Place, kind: type[Any]) -> None:
    """Many zones of one primary share its connections, over TLS and in the clear; none has to be asked twice."""
    names = [f"z{k}.many.example." for k in range(24)]
    zones = []
    for name in names:
        path = place.directory / f"{name}zone"
        path.write_text(f"@ 300 SOA ns1 host 1 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n@ TXT {name}\n")
        zones.append(Zone(name, path))
    port = 853 if kind is TlsBind else 53
    change = place.settings(place.verified()) if kind is TlsBind else {}
    with place.primary(kind, zones):
        with place.lab.peregrine(names, change=change, primary_addresses=[place.address]) as agent:
            agent.cli("zone-reload", "--wait")
            assert {entry["state"] for entry in agent.cli("zone-status")} == {"serving"}
            assert 1 <= len(connections(place)) <= 4 and set(connections(place)) == {str(port)}
            agent.cli("zone-reload", "--wait")
            assert not [line for line in agent.log().splitlines() if "warning" in line], agent.log()


def expect_refusal(agent: Peregrine, cause: str) -> None:
    """Not transferred; one line says why, with zone and primary."""
    before = len(agent.log())
    with pytest.raises(Exception, match="exit 1"):
        agent.cli("zone-retransfer", "--wait", NAME)
    status = agent.zone_status(NAME)
    assert status["state"] == "failing" and re.search(cause, status["error"]), status
    lines = [line for line in agent.log()[before:].splitlines() if NAME.rstrip(".") in line]
    expected = r"primary origin \(.*@85\d\): (AXFR|SOA query) failed: TLS: "
    assert all(re.search(expected, line) for line in lines), lines


def test_who_is_the_primary(place: Place) -> None:
    """One primary, and settings under which it is what it should be, or not; each taken up by a reload."""
    zone = serial_zone(20, 1).write(place.directory)
    verified, pin = place.verified(), {"pins": [place.server.pin()]}
    old = certificate(SERVER, place.authority, days=-2)
    day = (datetime.datetime.utcnow() - datetime.timedelta(days=2)).strftime("%Y-%m-%d")
    certificate_file, key_file = certificate("us.example", place.authority).write(place.directory, "us")
    ours = {"certificate": str(certificate_file), "private-key": str(key_file)}
    with place.primary(TlsBind, [zone], old=old, clients=place.ca_file):
        with place.lab.peregrine([NAME], change=place.settings(pin)) as agent:
            agent.wait_serving(1, timeout=20)

            def take_up(tls: dict[str, Any], port: int = 853) -> None:
                agent.write_config(place.settings(tls, port=port))
                agent.cli("reload")

            goods = ({}, 853), (verified, 853), (verified | pin, 853), ({"ca-file": str(place.ca_file)}, 853)
            for good, port in (*goods, (verified | ours, 855)):
                take_up(good, port)
                agent.cli("zone-retransfer", "--wait", NAME)
                assert agent.zone_status(NAME)["error"] is None
            take_up(verified | {"server-name": "other.example"})
            expect_refusal(agent, r"certificate is not for other\.example but for primary\.example")
            take_up({"pins": [base64.b64encode(bytes(32)).decode()]})
            expect_refusal(agent, rf"no pin matches: the server's key is {re.escape(place.server.pin())};")
            take_up({"server-name": SERVER})
            expect_refusal(agent, r"not signed by an authority of this host's")
            take_up(verified, 854)
            expect_refusal(agent, rf"the server's certificate expired on {day}")
            take_up(verified, 855)
            expect_refusal(agent, r"asks for a client certificate; give tls lab certificate and private-key")
            assert agent.zone_status(NAME)["serial"] == 1


def test_no_clear_text(place: Place) -> None:
    """Where no TLS is spoken nothing is asked in the clear; a primary without ALPN is refused unless it is allowed."""
    zone = serial_zone(20, 1).write(place.directory)
    with place.primary(TlsNsd, [zone]):
        with place.lab.peregrine([NAME], change=place.settings(place.verified())) as agent:
            expect_refusal(agent, r"the server chose no ALPN dot.*alpn: optional in tls lab")
    change = place.settings({})
    change["primaries"][0]["addresses"] = [f"{place.address}@53"]
    with ScriptedPrimary(place.lab.primary, place.address) as primary:
        with place.lab.peregrine([ZONE], change=change) as agent:
            deadline = time.monotonic() + 20
            while agent.zone_status(ZONE)["state"] != "failing" and time.monotonic() < deadline:
                time.sleep(0.05)
            assert "AXFR failed: TLS: " in agent.zone_status(ZONE)["error"]
            assert primary.asked == []
