# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory itself: what other tests lean on. A test of a nameserver is worth what its laboratory is worth."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import packets
import pytest
from lab import KINDS, Bind, Key, Knot, Lab, NameServer, Tally, ask, ask_many, ask_tcp, run
from oracle import Oracle
from wire import AXFR, A, compare, normalise, opt_record, parse, wire
from zones import corpus, dname_zone, family, serial_zone, serials_in

pytestmark = pytest.mark.timeout(120)

REFLECT = r"""
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
SEC("xdp") int reflect(struct xdp_md *context)
{
	void *end = (void *)(long)context->data_end;
	struct ethhdr *eth = (void *)(long)context->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != 17 || udp->dest != bpf_htons(7))
		return XDP_PASS;
	unsigned char mac[6];
	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	__be32 address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	__be16 port = udp->source;
	udp->source = udp->dest;
	udp->dest = port;
	udp->check = 0;
	return XDP_TX;
}
char _license[] SEC("license") = "GPL";
"""


def test_every_xdp_tx_reaches_the_client() -> None:
    """With checksum offload on and a native program at the server's end, nothing that it sends back is lost."""
    with Lab() as lab:
        place = lab.make_directory("reflect")
        (place / "reflect.c").write_text(REFLECT)
        triplet = run("gcc", "-dumpmachine").strip()
        run(
            "clang",
            "-O2",
            "-g",
            "-target",
            "bpf",
            f"-I/usr/include/{triplet}",
            "-c",
            str(place / "reflect.c"),
            "-o",
            str(place / "reflect.o"),
        )
        lab.server.ip("link", "set", "dev", "front", "xdpdrv", "obj", str(place / "reflect.o"), "sec", "xdp")
        tally = Tally()
        with lab.client.udp(lab.service[0], 7) as sock:
            for _ in range(50):  # one at a time: a reply must not need the next packet to be delivered
                assert ask(sock, wire("one.example.", A, id=5), 0.5, tally)
            ask_many(sock, [wire("many.example.", A)] * 5000, tally=tally)
        assert (tally.sent, tally.answered, tally.stray) == (5050, 5050, 0)


def notify_frame(frame: bytes) -> bool:
    """A NOTIFY over UDP, or the SYN of a connection for one: Knot notifies over TCP alone."""
    if frame[23] == packets.UDP:
        return frame[14 + 20 + 8 + 2] >> 3 & 15 == 4
    return frame[23] == 6 and frame[36:38] == b"\0\x35" and frame[47] & 0x12 == 2


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_transfer_reload_notify(kind: type[NameServer]) -> None:
    """A primary gives the zone under TSIG to the server's namespace alone, takes up a changed file, and notifies the
    service address.
    """
    with Lab() as lab:
        place, key = lab.make_directory("zones"), Key()
        zones = [serial_zone(50, 1), dname_zone()]
        primary = lab.primary_server(kind, [zone.write(place) for zone in zones], key=key)
        dig = ["dig", "+tcp", f"@{lab.primary_addresses[0]}", zones[0].name, "AXFR", "+noall", "+answer"]
        signed = lab.server.run(*dig, "-y", f"{key.algorithm}:{key.name}:{key.secret}")
        assert signed.count("serial=1") == 51
        assert "serial=1" not in lab.server.run(*dig, check=False)
        assert "serial=1" not in lab.server.run(
            *dig, "-y", f"{key.algorithm}:{key.name}:AAAA{key.secret[4:]}", check=False
        )
        with packets.packet_socket(lab.server, "back") as watch:
            serial_zone(50, 2).write(place)
            primary.reload(zones[0].name, serial=2)
            notified = packets.sniff(watch, 1.5, packets._packed(lab.service[0]))
        assert any(notify_frame(frame) for frame in notified), "no NOTIFY came"
        reply = ask_tcp(lab.primary.name, lab.primary_addresses[0], wire("n000007.serial.example.", A, id=1))
        assert reply and serials_in(reply) == {2}


def test_losses_are_noticed() -> None:
    """Nobody answers: each query is counted lost, none is asked again, and the time is bounded."""
    with Lab() as lab, lab.client.udp(lab.other[0]) as sock:
        tally, start = Tally(), time.monotonic()
        assert ask(sock, wire("example.org.", A, id=1), 0.2, tally) is None
        assert ask_many(sock, [wire("example.org.", A)] * 100, timeout=0.3, tally=tally) == [None] * 100
        assert (tally.sent, tally.lost, tally.answered) == (101, 101, 0) and time.monotonic() - start < 3


def test_frames_by_hand() -> None:
    """What packets.py makes is taken by the kernel as well-formed, over IPv4 and IPv6, and arrives as it was made."""
    with Lab(roomy=False) as lab:
        ends = packets.mac(lab.client, "front"), packets.mac(lab.server, "front")
        with lab.server.udp(lab.client_addresses[0], 2000, source=lab.service[0], source_port=3000) as sock:
            datagram = packets.udp(lab.client_addresses[0], lab.service[0], 2000, 3000, b"four")
            frame = packets.ethernet(
                *ends,
                packets.ETH_P_IP,
                packets.ipv4(lab.client_addresses[0], lab.service[0], datagram, options=b"\x01\x01\x01"),
            )
            with packets.packet_socket(lab.client, "front") as out, packets.packet_socket(lab.server, "front") as watch:
                out.send(frame)
                assert packets.sniff(watch, 0.5, b"four") == [frame]
            sock.settimeout(1)
            assert sock.recv(100) == b"four"
        with lab.server.udp(lab.client_addresses[1], 2000, source=lab.service[1], source_port=3000) as sock:
            datagram = packets.udp(lab.client_addresses[1], lab.service[1], 2000, 3000, b"six!")
            body = packets.ipv6(
                lab.client_addresses[1],
                lab.service[1],
                datagram,
                next_header=60,
                extensions=packets.destination_options(),
            )
            with packets.packet_socket(lab.client, "front") as out:
                out.send(packets.ethernet(*ends, packets.ETH_P_IPV6, body))
            sock.settimeout(1)
            assert sock.recv(100) == b"six!"


LEFTOVERS = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from lab import Lab, Nsd
from zones import serial_zone
with Lab() as lab:
    server = lab.reference(Nsd, [serial_zone(1, 1).write(lab.make_directory("zones"))])
    print("up", flush=True)
    time.sleep(60)
"""


def left_behind(pid: int) -> list[str]:
    """Namespaces, directories and nsd processes of a laboratory of that process."""
    namespaces = [path.name for path in Path("/run/netns").glob(f"pglab-{pid}-*")]
    directories = [path.name for path in Path("/tmp").glob(f"pglab-{pid}-*")]
    processes = [line for line in run("ps", "-eo", "pid,args").splitlines() if f"/pglab-{pid}-" in line]
    return namespaces + directories + processes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left(number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LEFTOVERS, os.path.dirname(__file__)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout and child.stdout.readline() == "up\n"
    assert left_behind(child.pid)
    child.send_signal(number)
    child.wait(20)
    child.stdout.close()
    if number == signal.SIGKILL:
        with Lab():  # sweeps
            pass
    assert not left_behind(child.pid)


STUB = """#!/bin/sh
# Stands in for peregrined: says READY=1 as sd_notify does, then waits.
exec /usr/bin/python3 -c '
import os, socket, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.sendto(b"STATUS=up\\nREADY=1\\n", os.environ["NOTIFY_SOCKET"])
while True: signal.pause()
'
"""


def test_life_of_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start, freeze, thaw, kill, start again, stop: with a stub in the agent's place."""
    with Lab() as lab:
        place = lab.make_directory("stub")
        (place / "peregrined").write_text(STUB)
        (place / "peregrined").chmod(0o755)
        monkeypatch.setattr("lab.BUILD", place)
        agent = lab.peregrine(["example.org."], key=Key(), change={"metrics": {"listen": "127.0.0.1:9353"}})
        with agent.start():
            agent.freeze()
            agent.thaw()
            agent.kill()
            assert agent.process and not agent.process.running()
            agent.start()
            assert agent.stop() == 0
        text = agent.config.read_text()
        assert "metrics:\n  listen:" in text and "keys:\n  - {" in text


def test_comparison() -> None:
    """Sets of records, names without case; what differs is named; a truncated reply counts by rcode and TC."""
    with Lab() as lab:
        place = lab.make_directory("zones")
        served = [zone.write(place) for zone in family(10)]
        servers = {name: lab.reference(kind, served) for name, kind in KINDS.items()}

        def replies(query: bytes) -> dict[str, bytes | None]:
            return {name: ask(lab.client.udp(server.addresses[0]), query) for name, server in servers.items()}

        query = wire("c-other.example.org.", A, edns=1232, id=5)
        said = replies(query)
        assert not compare(said["nsd"], said, query)
        lines = compare(said["nsd"], {"knot": said["knot"]}, query)
        assert any("+ www.example.net. 3600 IN A 192.0.2.121" in line for line in lines), lines
        assert compare(None, said, query)
        assert compare(said["nsd"] + b"x", said, query)
        query = wire("large1500.example.org.", 16, id=5)
        said = replies(query)
        assert normalise(said["bind"]).tc and not compare(said["bind"], {"nsd": said["nsd"]}, query)
        assert parse(wire("example.org.", AXFR, edns=512)).opt and len(opt_record()) == 11


def test_oracle() -> None:
    """A server that is one of the references differs in nothing; BIND does, and it is said where. Over UDP and TCP."""
    with Lab() as lab:
        place = lab.make_directory("zones")
        zones = family(100)
        served = [zone.write(place) for zone in zones]
        oracle = Oracle(lab, served)
        queries = [wire(query.name, query.rrtype, edns=edns, id=7) for query in corpus(zones) for edns in (None, 1232)]
        subject, bind = lab.reference(Knot, served), lab.reference(Bind, served)
        for tcp in (False, True):
            for address in subject.addresses:
                examined = oracle.examine(lab.client, address, queries, tcp=tcp)
                assert not examined.lost and not examined.wrong, examined.report()
        examined = oracle.examine(lab.client, bind.addresses[0], queries)
        assert not examined.lost and examined.wrong and "SERVFAIL" in examined.report(most=10000)
