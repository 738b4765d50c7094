# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs zones with dnssec-signzone, and keeps what is signed in the build folder, by content.

    zone = sign(rich_zone("nsec3.example."), NSEC3)      # a Zone for any server, with its trust anchor beside it
    broken = spoil(zone, gap)                            # a copy that is badly signed

ECDSA P-256, a KSK and a ZSK. Signatures are valid from 2020 to 2037, so that what is kept does not run out.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec
from servers import LabError, Zone
from zones import ZoneFile

BUILD = Path(os.environ.get("PEREGRINE_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
CACHE = BUILD / "signed"
VALID = ("-s", "20200101000000", "-e", "20370101000000")


@dataclass(frozen=True)
class Chain:
    """How names are denied: the options of dnssec-signzone. With `second`, another chain stands beside it, as while
    its parameters are being changed.
    """

    name: str
    options: tuple[str, ...] = ()
    second: tuple[str, ...] = ()

    @property
    def hashed(self) -> bool:
        return bool(self.options)


CHAIN_NSEC = Chain("nsec")
CHAIN_NSEC3 = Chain("nsec3", ("-3", "-", "-H", "0"))
CHAIN_SALT = Chain("salt", ("-3", "aabbccdd", "-H", "10"))
CHAIN_OPT_OUT = Chain("optout", ("-3", "-", "-H", "0", "-A"))
CHAIN_TWO = Chain("two", ("-3", "-", "-H", "0"), ("-3", "0102", "-H", "3"))
CHAINS = (CHAIN_NSEC, CHAIN_NSEC3, CHAIN_SALT, CHAIN_OPT_OUT, CHAIN_TWO)


@dataclass(frozen=True)
class Signed:
    """A signed zone: its file with one record a line, and the line of its key-signing key. `first` is a zone of two
    chains with the first of them alone.
    """

    zone: Zone
    chain: Chain
    anchor: str
    first: Zone | None = None

    @property
    def name(self) -> str:
        return self.zone.name

    def lines(self) -> list[str]:
        return [line for line in self.zone.path.read_text().splitlines() if line and line[0] != ";"]

    def zone_for(self, kind: str) -> Zone:
        """The zone as a kind of server takes it: Knot DNS refuses two NSEC3PARAM records."""
        return self.first if self.first and kind == "knot" else self.zone


def _run(place: Path, *argv: str) -> str:
    done = subprocess.run(argv, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def _sign(place: Path, name: str, source: str, made: str, options: tuple[str, ...]) -> list[str]:
    plain = ("-q", "-P", "-S", "-x", "-j", "0", "-O", "full", *VALID)
    _run(place, "dnssec-signzone", *plain, "-o", name, "-f", made, *options, source)
    return [_escape(line) for line in (place / made).read_text().splitlines() if line and line[0] != ";"]


def _escape(line: str) -> str:
    """Odd octets of names as \\DDD: Knot DNS reads none of them as BIND writes them."""
    words = line.split(None, 5)
    for number in (0, 4) if words[3] == "NSEC" else (0,):
        words[number] = re.sub(
            r"(\\\d{3}|\\.)|([^A-Za-z0-9_.*/-])", lambda found: found[1] or f"\\{ord(found[2]):03d}", words[number]
        )
    return " ".join(words)


def rdata_type(line: str) -> str:
    """TYPE of a line "owner TTL class TYPE rdata"; of an RRSIG what it covers, after a `/`."""
    words = line.split(None, 5)
    return f"{words[3]}/{words[4]}" if words[3] == "RRSIG" else words[3]


def _merge(place: Path, name: str, one: list[str], other: list[str]) -> list[str]:
    """Both chains in one zone: NSEC3 records side by side, and an NSEC3PARAM RRset of two that is signed anew."""
    taken = [line for line in other if rdata_type(line) in ("NSEC3", "RRSIG/NSEC3", "NSEC3PARAM")]
    kept = [line for line in one if rdata_type(line) != "RRSIG/NSEC3PARAM"]
    params = [line for line in kept + taken if rdata_type(line) == "NSEC3PARAM"]
    ttl = int(params[0].split()[1])
    rrset = dns.rrset.from_text(name, ttl, "IN", "NSEC3PARAM", *(line.split(None, 4)[4] for line in params))
    return kept + taken + [_signature(place, name, rrset, one)]


def _signature(place: Path, name: str, rrset: dns.rrset.RRset, lines: list[str]) -> str:
    """An RRSIG by the zone-signing key, whose private part BIND's tools have written."""
    for path in place.glob("K*.key"):
        words = path.read_text().splitlines()[-1].split()
        if words[words.index("DNSKEY") + 1] == "256":
            secret = re.search(r"^PrivateKey: (\S+)", path.with_suffix(".private").read_text(), re.M)
            key = dns.rdata.from_text("IN", "DNSKEY", " ".join(words[words.index("DNSKEY") + 1 :]))
    assert secret
    private = ec.derive_private_key(int.from_bytes(base64.b64decode(secret[1]), "big"), ec.SECP256R1())
    made = dns.dnssec.sign(rrset, private, dns.name.from_text(name), key, inception=1577836800, expiration=2114380800)
    return f"{name} {rrset.ttl} IN RRSIG {made.to_text()}"


def sign(zone: ZoneFile, chain: Chain) -> Signed:
    """The zone signed, from the cache when the same was signed before."""
    text = zone.text()
    known = hashlib.sha256(f"3 {zone.name} {chain} {VALID}\n{text}".encode()).hexdigest()[:24]
    place = CACHE / known
    if not (place / "zone").exists():
        partial = CACHE / f"{known}.{os.getpid()}"
        partial.mkdir(parents=True)
        (partial / "plain").write_text(text)
        _run(partial, "dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone.name)
        _run(partial, "dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", zone.name)
        lines = _sign(partial, zone.name, "plain", "signed", chain.options)
        if chain.second:
            (partial / "first").write_text("\n".join(lines) + "\n")
            lines = _merge(partial, zone.name, lines, _sign(partial, zone.name, "plain", "second", chain.second))
        (partial / "zone").write_text("\n".join(lines) + "\n")
        shutil.rmtree(place, ignore_errors=True)
        partial.rename(place)
    anchor = next(
        path.read_text().splitlines()[-1] for path in place.glob("K*.key") if " DNSKEY 257 " in path.read_text()
    )
    first = Zone(zone.name, place / "first") if chain.second else None
    return Signed(Zone(zone.name, place / "zone"), chain, anchor, first)


def delegation_signer(child: Signed) -> str:
    """The rdata of the DS record that goes into the parent."""
    words = child.anchor.split()
    key = dns.rdata.from_text("IN", "DNSKEY", " ".join(words[words.index("DNSKEY") + 1 :]))
    return dns.dnssec.make_ds(child.name, key, "SHA256").to_text()


def given(source: Path, name: str, chain: Chain) -> Signed:
    """A zone that is signed already, in a file that may be compressed, with the trust anchor beside it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    made = CACHE / f"{source.name.removesuffix('.gz')}.plain"
    made.write_bytes(gzip.decompress(source.read_bytes()) if source.suffix == ".gz" else source.read_bytes())
    anchor = source.parent / "trust-anchor.key"
    return Signed(Zone(name, made), chain, anchor.read_text().strip() if anchor.exists() else "")


# ------------------------------------------------------------------------------------------------------ badly signed

Fault = Callable[[list[str]], list[str]]


def spoil(signed: Signed, place: Path, fault: Fault) -> Signed:
    """A copy of the zone in which something of the signing is missing."""
    path = place / f"{signed.name}{fault.__name__}.zone"
    path.write_text("\n".join(fault(signed.lines())) + "\n")
    return Signed(Zone(signed.name, path), signed.chain, signed.anchor)
