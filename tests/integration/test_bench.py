# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench beside the peers works, and refuses what it must. Its figures are not judged here."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lab import BUILD, ROOT, Lab, run

PEERS = ROOT / "tools/bench/peers"
sys.path.insert(0, str(PEERS))

import rates  # noqa: E402
import report  # noqa: E402
from figures import Aim, Row  # noqa: E402
from frames import Query  # noqa: E402
from loads import QUICK, Load  # noqa: E402
from place import Primary  # noqa: E402
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


def test_transfers_are_timed() -> None:
    """One server's turn, with small zones: every row gets its figure."""
    plan = Plan(names=500, rounds=1, changes=1, many=100)
    rows = {row.key: row for row in Transfers(plan, [KINDS["peregrine"]], lambda weight, what: None).run()}
    for key in ("axfr", "one-large", "one-small", "many"):
        assert 0 < rows[key].series["peregrine"].median < 60_000, key
    if "memory" in rows and rows["memory"].series:
        assert rows["memory-ratio"].series["peregrine"].median >= 1


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
    assert said == [("0.67", "met"), ("–", "in doubt")]  # of its loop: 2 × 0.5 / 1.5
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
