# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast path on Debian's own kernels, on a real driver (virtio-net), in QEMU: tools/vm.

The guest's peregrined transfers the zones over the tap from an NSD in the host's namespace. What it then answers must
be, octet for octet, what peregrined on this machine's kernel answers; and with the agent stopped the driver must go
on alone.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator

import pytest
from lab import (
    BUILD,
    ROOT,
    Key,
    Lab,
    LabError,
    Namespace,
    Nsd,
    Tally,
    agent_settings,
    ask,
    ask_many,
    build_pass_program,
    soa_serial,
    yaml,
)
from signed import CHAIN_NSEC, CHAIN_SALT, Signed, sign
from signed_zones import rich_zone
from wire import SOA, wire
from zones import Query, corpus, family
from zones import queries as special_cases

sys.path.insert(0, str(ROOT / "tools/vm"))
from guest import KERNELS, Guest, GuestError, Initramfs, Network, attach_native, verify, with_bpftool  # noqa: E402

pytestmark = pytest.mark.timeout(300)

GUEST = ("192.0.2.53", "2001:db8:0:1::53")
PRIMARY = ("192.0.2.129", "2001:db8:0:1::129")
HOST = ("192.0.2.1", "2001:db8:0:1::1")


def tap(namespace: Namespace, **more: object) -> Network:
    lengths = {address: 64 if ":" in address else 24 for address in (*GUEST, *PRIMARY, *HOST)}
    host, guest = (
        [f"{address}/{lengths[address]}" for address in addresses] for addresses in ((*HOST, *PRIMARY), GUEST)
    )
    return Network(namespace.name, "tap0", host=host, guest=guest, **more)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel_and_driver(kernel: str) -> None:
    """The ground under the rest: the driver takes a program in native mode, and the verifier takes ours. A refusal by
    one kernel's verifier is the commonest failure, and its log says why.
    """
    image = with_bpftool(Initramfs()).file(build_pass_program(), "/pass.bpf.o")
    image.file(BUILD / "bpf/peregrine.bpf.o", "/peregrine.bpf.o")
    image.program(BUILD / "peregrine-verifier", "/usr/sbin/peregrine-verifier")
    image.file(ROOT / "tests/bpf/verifier.txt", "/verifier.txt")
    with Lab() as lab, Guest(kernel, image, network=tap(lab.namespace("vm")), memory=512) as guest:
        assert guest.release.startswith(kernel)
        assert "driver" in attach_native(guest, "/pass.bpf.o")
        guest.run(f"ping -c 1 -w 5 {HOST[0]}")
        assert "peregrine_xdp" in verify(guest, "/peregrine.bpf.o")
        shown = guest.run("peregrine-verifier --check /verifier.txt 2>&1", timeout=120)
        assert f" {kernel} " in shown and "no figures" not in shown, shown


def signed_zones() -> tuple[list[Signed], list[Query]]:
    """A zone for each way of denial, and what to ask about it."""
    zones = {chain: rich_zone(f"{chain.name}.example.") for chain in (CHAIN_NSEC, CHAIN_SALT)}
    asked = [query for zone in zones.values() for query in special_cases(zone)][::8]
    return [sign(zone, chain) for chain, zone in zones.items()], asked


@pytest.fixture(scope="module")
def expected() -> Iterator[tuple[Lab, list[bytes], list[bytes | None]]]:
    """The corpus, and what peregrined on this kernel answers; each reply by the driver alone, as the agent is
    stopped.
    """
    with Lab() as lab:
        place = lab.make_directory("zones")
        zones = family(100)
        signed, proved = signed_zones()
        served = [zone.write(place) for zone in zones] + [made.zone for made in signed]
        lab.primary_server(Nsd, served, key=Key())
        queries = [wire(query.name, query.rrtype, edns=edns, id=7) for query in corpus(zones) for edns in (None, 1232)]
        queries += [wire(query.name, query.rrtype, edns=1232, do=True, id=7) for query in proved]
        with lab.peregrine([zone.name for zone in served], key=Key()) as agent:
            agent.wait_serving()
            agent.freeze()
            with lab.client.udp(lab.service[0]) as sock:
                replies = ask_many(sock, queries, timeout=0.5)
            agent.thaw()
        assert None not in replies
        yield lab, queries, replies


def guest_image(lab: Lab, zones: list[str]) -> Initramfs:
    settings = agent_settings(
        zones, primary_addresses=PRIMARY[:1], listen=GUEST, interfaces=["eth0"], key=Key(), memory="128MiB"
    )
    image = Initramfs().text("/etc/peregrine.yaml", yaml(settings) + "\n")
    for program in ("peregrined", "peregrine"):
        image.program(BUILD / program, f"/usr/sbin/{program}")
    return image


def wait_answered(namespace: Namespace, zone: str, timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    with namespace.udp(GUEST[0]) as sock:
        while time.monotonic() < end:
            if soa_serial(ask(sock, wire(zone, SOA, id=3), 0.5)):
                return
    raise LabError(f"the guest does not answer for {zone}")


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_answers(kernel: str, expected: tuple[Lab, list[bytes], list[bytes | None]]) -> None:
    lab, queries, replies = expected
    namespace = lab.namespace(f"vm{kernel.replace('.', '')}")
    network = tap(namespace)
    network.create()
    place = lab.make_directory("zones")
    zones = [zone.write(place) for zone in family(100)] + [made.zone for made in signed_zones()[0]]
    lab.primary_server(
        Nsd,
        zones,
        key=Key(),
        namespace=namespace,
        addresses=PRIMARY,
        allow=GUEST,
        notify=(),
    )
    image = guest_image(lab, [zone.name for zone in zones])
    with Guest(kernel, image, network=network, memory=512) as guest:
        guest.run(
            "mkdir -p /var/lib/peregrine /run/peregrine; "
            "peregrined -c /etc/peregrine.yaml >/var/log/peregrined 2>&1 & echo $! >/run/agent.pid"
        )
        try:
            for zone in zones:
                wait_answered(namespace, zone.name)
        except LabError as fault:
            raise GuestError(f"{fault}\n{guest.run('cat /var/log/peregrined')}") from fault
        status = guest.run("peregrine -s /run/peregrine/control.sock status")
        assert "native" in status
        assert re.search(r"(?m)^store +\d", status), status
        guest.run("kill -STOP $(cat /run/agent.pid)")
        tally = Tally()
        with namespace.udp(GUEST[0]) as sock:
            found = ask_many(sock, queries, window=16, timeout=3.0, tally=tally)
        unlike = [index for index in range(len(queries)) if found[index] != replies[index]]
        guest.run("kill -CONT $(cat /run/agent.pid)")
        assert (
            not unlike
        ), f"{len(unlike)} of {len(queries)} differ on {guest.release} ({tally}); first: {queries[unlike[0]]!r}"
        assert (tally.answered, tally.stray) == (len(queries), 0)
