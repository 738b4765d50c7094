# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench beside the peers works, and refuses what it must. Its figures are not judged here."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ask import in_namespace
from lab import BUILD, ROOT, Lab, run

PEERS = ROOT / "tools/bench/peers"
sys.path.insert(0, str(PEERS))

import many_zones  # noqa: E402
import growth  # noqa: E402
import pressure  # noqa: E402
import rates  # noqa: E402
import readme  # noqa: E402
import report  # noqa: E402
import scale  # noqa: E402
import tcp  # noqa: E402
from figures import Aim, Row  # noqa: E402
from frames import Framer, Path4and6, Query, write_queries  # noqa: E402
from loads import QUICK, Load  # noqa: E402
from parts import Part  # noqa: E402
from place import Primary, ServingCpu  # noqa: E402
from subjects import all_subjects  # noqa: E402
from transfers import Plan, Transfers  # noqa: E402
from wire import A, wire  # noqa: E402
from zone_files import host, plain_zone  # noqa: E402

pytestmark = pytest.mark.timeout(120)
KINDS = all_subjects()
ZONE = "smoke.bench."
PLAN = rates.Plan(QUICK, rounds=1, seconds=0.2, warm=0.1)


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    run("make", "--no-print-directory", "-C", str(ROOT), f"BUILD={BUILD}", "generator", timeout=100)


def untold(weight: float, what: str) -> None:
    """Nobody is told how far it is."""


def rows_of(part: Part) -> dict[str, Row]:
    return {row.key: row for row in part.run()}


def asking(rcode: int, answers: int | None) -> Load:
    """100 names that exist, with what is said that their replies are."""

    def make(_: object) -> Iterator[Query]:
        for number in range(100):
            yield Query(wire(f"{host(number)}.{ZONE}", A), rcode, answers, ipv6=bool(number & 1))

    return Load("smoke", "smoke", make)


def test_every_reply_is_checked() -> None:
    """Peregrine's replies are right; the same with another RCODE, ANCOUNT or contents asked for are wrong, and so are
    a reflector's.
    """
    with Lab() as lab:
        place = lab.make_directory("bench")
        zone = plain_zone(place, ZONE, 100)
        Primary(lab, [zone]).start()
        made, threads = rates.framer(lab), rates.Threads(lab)
        samples = place / "samples"

        def measured(load: Load, spoil: bool = False) -> tuple[dict[str, float], str]:
            prepared = rates.prepare(lab, load, place, made)
            if spoil:
                prepared.expected[0] = prepared.expected[0][:-1] + b"\xff"
            pids = [*threads.pin(), *subject.pids()]
            seen = rates.generate(lab, prepared, PLAN, subject, pids, samples)
            quiet = {**seen, "idle": 0, "stolen": 0, "busy": seen["tasks"]}
            return seen, rates.doubt(quiet, subject, rates.wrong_samples(prepared, samples))

        with KINDS["peregrine"](lab, [zone], rates.SERVER_CPU) as subject:
            subject.wait_serving()
            seen, why = measured(asking(0, 1))
            assert seen["replies"] > 1000 and seen["tasks"] > 0 and not seen["lost"]
            assert (seen["wrong"], why) == (0, "")
            assert measured(asking(3, 1))[1] == "wrong replies"
            assert measured(asking(0, 2))[1] == "wrong replies"
            assert measured(asking(0, 1), spoil=True)[1] == "wrong records"
        with KINDS["reflect"](lab, [], rates.SERVER_CPU) as subject:
            subject.settle()
            seen, _ = measured(asking(0, 1))
            assert seen["replies"] > 1000 and seen["wrong"] >= seen["replies"]


def test_servers_by_turns() -> None:
    """Two servers, of which one says nothing true: its replies are wrong in each turn, the other's in none."""

    class Liar(KINDS["reflect"]):  # type: ignore[misc]
        name, answers = "liar", True

        def wait_serving(self, timeout: float = 0) -> None:
            """It has no zones to wait for."""

    plan = rates.Plan(QUICK, rounds=2, seconds=0.05, warm=0.02, turns=3)
    [row] = rates.Rates(plan, [KINDS["peregrine"], Liar], untold, "a-thousand").run()
    right, wrong = row.series["peregrine"], row.series["liar"]
    assert len(right.values) == len(wrong.values) == 2 and right.median > 1
    assert rates.together([{"wrong": 0}, {"wrong": 1}, {"wrong": 0}]) == {"wrong": 1}, "one turn is enough"
    assert wrong.doubts == ["wrong replies"] and not any("wrong" in why for why in right.doubts)


def test_transfers_are_timed() -> None:
    """One server's turn, with small zones: every row gets its figure."""
    plan = Plan(names=500, rounds=1, changes=1, many=100)
    rows = rows_of(Transfers(plan, [KINDS["peregrine"]], untold))
    for key in ("axfr", "axfr-tls", "one-large", "one-small", "many"):
        assert 0 < rows[key].series["peregrine"].median < 60_000, key
    if "memory" in rows and rows["memory"].series:
        assert rows["memory-ratio"].series["peregrine"].median >= 1


def test_under_pressure() -> None:
    """An open loop at a rate and a flood with another client beside it: all are answered, counted and timed."""
    rows = rows_of(pressure.Pressure(pressure.Plan(1, 0.3), [KINDS["peregrine"]], untold))
    sustained = rows["sustained"].series["peregrine"]
    slowest, median = rows["latency"].series["peregrine"], rows["latency-median"].series["peregrine"].median
    # Where others are at work nothing may come in time: that must be said then.
    assert (sustained.median > 1) != (sustained.doubts == ["no rate is sustained"])
    assert 0 < median <= slowest.median or set(slowest.doubts) & {rates.DISTURBED, rates.LIMITED}
    assert rows["flood"].series["peregrine"].median > 1
    assert rows["steady"].series["peregrine"].median < 100
    for row in rows.values():
        assert not any("wrong" in why for why in row.series["peregrine"].doubts), row


def test_the_highest_rate_is_found() -> None:
    def server(most: float) -> float:
        return pressure.sustained(1e6, lambda rate: {"replies": 0.1 * min(rate, most), "seconds": 0.1})

    for most in (2e6, 7e5, 1e5):
        assert 0.8 * min(most, 1e6) < server(most) < 1.1 * most
    assert server(1e4) == 0
    tries = itertools.count()  # of a machine that is disturbed every other time
    half = pressure.sustained(1e6, lambda rate: {"replies": 0.1 * min(rate, 7e5) * (next(tries) % 2), "seconds": 0.1})
    assert 5.6e5 < half < 7.7e5


def test_what_is_sent_too_late_is_not_timed() -> None:
    """No window counts in which the generator had no time for what was due; of a rate that it can do, some do, if not
    in the first runs: other tests are at work on the generator's CPU.
    """
    with Lab() as lab:
        place = lab.make_directory("bench")
        zone = plain_zone(place, ZONE, 100)
        with Primary(lab, [zone]):
            threads = rates.Threads(lab, client=False)
            prepared = rates.prepare(lab, asking(0, 1), place, rates.framer(lab))

        def windows(rate: int) -> Any:
            plan = rates.Plan(QUICK, 1, 0.5, 0.1)
            seen = rates.generate(lab, prepared, plan, subject, [], place / "s", "--rate", str(rate))
            assert seen["windows"] + seen["late_windows"] == 10, seen
            return seen

        with KINDS["reflect"](lab, [zone], rates.SERVER_CPU) as subject:
            subject.settle()
            threads.pin()
            late = windows(9_000_000)
            assert late["windows"] == 0, late
            timely = next((seen for seen in (windows(20_000) for _ in range(30)) if seen["windows"]), None)
            assert timely and 0 < timely["median"] < 8_000, timely


def test_a_generator_that_is_mostly_late_is_the_limit() -> None:
    def doubt(**windows: int) -> str:
        quiet = {"wrong": 0, "strange": 0, "busy": 0.1, "tasks": 0.1, "stolen": 0, "seconds": 0.5}
        return pressure.open_doubt({**quiet, **windows}, [], timed=True)

    assert doubt(windows=6, late_windows=4) == ""
    assert doubt(windows=5, late_windows=5) == doubt(windows=0, late_windows=10) == rates.LIMITED


@pytest.mark.timeout(300)
def test_instructions_are_counted() -> None:
    """About the same number each time, in whatever hurry the machine is; a limit for what a positive answer may take."""
    words = ("bench-instructions", f"BUILD={BUILD}", "BENCH=--only 'A, one name'")
    said = run("make", "--no-print-directory", "-C", str(ROOT), *words, timeout=280)
    lines = said.partition("instructions a packet")[2].splitlines()[1:]
    counted = {line[:40].strip(): int(line[40:]) for line in lines}
    assert 10 < counted["reflect"] < 60
    assert 500 < counted["A, one name"] < 1_850


def test_two_cpus() -> None:
    rows = rows_of(scale.Scale(scale.Plan(1, 1, 0.2), [KINDS["peregrine"], KINDS["reflect"]], untold))
    for key, row in rows.items():
        assert set(row.series) == ({"reflect"} if key == "scale-counted" else {"peregrine", "reflect"})
        for series in row.series.values():
            assert series.median > 0 and not set(series.doubts) - {rates.LIMITED, "queries were lost"}, row
    assert rows["scale-gain"].series["reflect"].median > 0.3


def test_kernel_threads_are_kept_off_and_let_back() -> None:
    def affinities() -> dict[int, set[int]]:
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (place / "stat").read_text().rpartition(")")[2].split()[1] == "2":
                    found[int(place.name)] = os.sched_getaffinity(int(place.name))
        return found

    before = affinities()
    with ServingCpu(rates.SERVER_CPU) as kept:
        within = affinities()
        assert kept.moved and all(within.get(pid, set()) == before[pid] - {rates.SERVER_CPU} for pid in kept.moved)
    after = affinities()
    assert all(after[pid] == known for pid, known in kept.moved.items() if pid in after)


def test_over_tcp() -> None:
    rows = rows_of(tcp.Tcp(tcp.Plan(1, 0.2, 50), [KINDS["peregrine"]], untold))
    assert rows["tcp"].series["peregrine"].median > 1
    assert not set(rows["tcp"].series["peregrine"].doubts) - {rates.DISTURBED, rates.LIMITED}


def test_every_reply_over_tcp_is_checked() -> None:
    """Right ones are; with another RCODE, ANCOUNT or contents asked for they are wrong."""
    with Lab() as lab:
        place = lab.make_directory("bench")
        zone = plain_zone(place, ZONE, 100)
        Primary(lab, [zone]).start()
        made, threads = rates.framer(lab), rates.Threads(lab)
        part = tcp.Tcp(tcp.Plan(1, 0.2, 0), [], untold)

        def why(load: Load, spoil: bool = False) -> str:
            prepared = rates.prepare(lab, replace(load, make=lambda chance: [*load.make(chance)] * 5), place, made)
            if spoil:
                prepared.expected[0] = prepared.expected[0][:-1] + b"\xff"
            return part.pipelined(rates.Seat(lab, subject, threads.pin()), prepared)[1]

        with KINDS["peregrine"](lab, [zone], rates.SERVER_CPU) as subject:
            subject.wait_serving()
            assert why(asking(0, 1)) in ("", rates.DISTURBED, rates.LIMITED)
            assert why(asking(3, 1)) == why(asking(0, 2)) == "wrong replies"
            assert why(asking(0, 1), spoil=True) == "wrong records"


def test_a_connection_that_is_closed_is_told(tmp_path: Path) -> None:
    """Replies that are none, a message of no octets, and an end: all three are counted. So is a file of something else."""
    file, client = tmp_path / "queries", [str(BUILD / "peregrine-tcp-client"), "--address"]
    framed = Framer(Path4and6(b"\0" * 6, ("127.0.0.1", "::1"), ("127.0.0.1", "::1")))
    write_queries(file, [Query(wire(f"{host(k)}.{ZONE}", A)) for k in range(10)], [], framed, 128)
    with Lab() as lab, in_namespace(lab.client.name, lambda: socket.create_server(("127.0.0.1", 53))) as server:
        argv = lab.client.command(*client, "127.0.0.1", "--queries", str(file), "--connections", "1", "--at-once", "2")
        with subprocess.Popen([*argv, "--seconds", "0.2"], stdout=subprocess.PIPE) as child:
            with server.accept()[0] as taken:
                query = taken.recv(2 + len(wire(f"{host(0)}.{ZONE}", A)))
                taken.sendall(query + query + b"\0\0")  # not a reply, one to what was answered, nothing
            seen = json.loads(child.communicate(timeout=20)[0])
    assert (seen["wrong"], seen["strange"], seen["closed"]) == (1, 2, 1)
    file.write_bytes(b"\xff" * 1280)
    assert subprocess.run([*client, "127.0.0.1", "--queries", str(file), "--at-once", "2"], capture_output=True).returncode == 1


def test_growth_and_catalogs() -> None:
    rows = rows_of(growth.Growth(growth.Plan((500,), 100, 1, 0.2), [KINDS["peregrine"]], untold))
    for key in ("growth-time-500", "growth-load-500", "signed-load"):
        assert rows[key].series["peregrine"].median > 0, key
    rows = rows_of(many_zones.ManyZones(many_zones.Plan(50, 1, 30), [KINDS["peregrine"]], untold))
    for key in ("catalog-all", "catalog-added", "catalog-restart"):
        assert 0 < rows[key].series["peregrine"].median < 30_000, key
    assert rows["catalog-restart"].series["peregrine"].median > 0.1  # none loads its program sooner: it is not the old one's


def test_what_a_run_came_to_is_put_into_the_readme(tmp_path: Path) -> None:
    row, point = Row("a", "A of all", "ms", aims=(Aim(0.6, "knot", most=True),)), Row("b", "B", "ns", place=("time", 1000))
    for value in (1.0, 1.1, 1.2, 1.1):
        row.add("peregrine", value)
        row.add("knot", 2 * value)
        point.add("peregrine", value)
    kinds = [KINDS["peregrine"], KINDS["knot"]]
    report.write(tmp_path / "bench", [("Part one", [row]), ("Growth", [point])], kinds)
    (tmp_path / "README.md").write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    readme.main([tmp_path / "bench"], tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| A of all | ms | 1.10 | 2.20 |" in text and "| A of all | × Knot DNS" not in text
    assert "| A of all | Knot DNS | 0.50 | ≤ 0.6 | met |" in text and report.heading() in text
    for name in ("part-one.svg", "growth.svg"):
        assert f"docs/plots/{name}" in text and (tmp_path / "docs/plots" / name).read_text().startswith("<svg")
    point.add("peregrine", 3)
    report.write(tmp_path / "more", [("Growth", [point])], kinds)
    (tmp_path / "more/machine.txt").write_text("another day\n")
    readme.main([tmp_path / "bench", tmp_path / "more"], tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "**Growth** (another day)" in text and "| B | ns | 1.10? |" in text and "| A of all | ms | 1.10 | 2.20 |" in text


def test_nothing_is_compared_that_is_in_doubt() -> None:
    row = Row("a", "A", "thousand/s", "more", aims=(Aim(0.6, "reflect", loop=True), Aim(5, "knot-xdp")))
    for value in (100.0, 101.0, 102.0):
        row.add("peregrine", value)
        row.add("reflect", 2 * value)
        row.add("knot-xdp", value / 10 if value > 100 else value / 20)
    assert row.ratio("peregrine", "reflect") == 0.5
    assert row.ratio("peregrine", "knot-xdp") is None and row.ratio("peregrine", "knot-xdp", force=True) == 10
    kinds = [KINDS[name] for name in ("peregrine", "reflect", "knot-xdp")]
    peers = ["knot-xdp"]
    shown = "\n".join(report.lines([row], kinds, force=False))
    assert "spread over 15%" in shown and "?" in shown
    said = [(figure, said) for _, _, figure, _, said in report.aims([row], kinds, force=False)]
    assert said == [("0.67", "met"), ("–", "in doubt; met in 3 of 3 rounds")]  # of its loop: 2 × 0.5 / 1.5
    assert row.doubted(peers)
    row.aims = row.aims[:1]
    assert not row.doubted(peers)  # what is common to both servers' rounds is not the ratio's
    row.add("peregrine", 101, "wrong replies")
    row.add("reflect", 202)
    assert row.ratio("peregrine", "reflect") is None and row.doubted(peers)
    assert replace(row, series={}).best(["reflect"]) is None


def test_an_interrupted_run_leaves_nothing() -> None:
    argv = [sys.executable, str(PEERS / "main.py"), "--quick", "--parts", "loads", "--servers", "reflect"]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not list(Path("/run/netns").glob(f"pglab-{child.pid}-*server")) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1)
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 128 + signal.SIGTERM
    left = [*Path("/run/netns").glob(f"pglab-{child.pid}-*"), *Path("/tmp").glob(f"pglab-{child.pid}-*")]
    left += [*Path("/sys/fs/cgroup").glob(f"**/pgbench-{child.pid}-*"), *Path("/sys/fs/bpf").glob(f"*-{child.pid}*")]
    assert not left
