# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of small zones, which a catalog (RFC 9432) lists: until all are served, one more of them, a start anew."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import BEST, Aim, Row
from place import Lab, LabError, Zone, soa_serial
from servers import Nsd
from subjects import Subject
from transfers import NOTIFY

from ask import ask, ask_many, udp_socket
from wire import AA, SOA, wire

CATALOG = "catalog.bench."
MEMBER = "@ 300 SOA ns hostmaster 1 3600 600 1209600 300\n@ 300 NS ns\nns 300 A 192.0.2.99\nwww 300 A 192.0.2.80\n"
SAMPLED = 200  # members that have to answer after a start
REST = 0.5
SILENT = 20.0  # seconds within which a server that was killed has to be gone


@dataclass(frozen=True)
class Plan:
    members: int
    added: int  # members, one after another
    limit: float = 900.0

    def turn(self) -> float:
        return 8 + self.members / 1500 + self.added * 2


def member(number: int) -> str:
    return f"m{number:06d}.members.bench."


def rows(plan: Plan) -> list[Row]:
    count = f"{plan.members:,} members"
    return [
        Row("catalog-all", f"{count}, from the catalog's NOTIFY until all are served", "s"),
        Row("catalog-added", f"a member added to {count}, NOTIFY of the catalog to served", "ms",
            aims=(Aim(1000, most=True), Aim(1, BEST, most=True))),
        Row("catalog-notify", "NOTIFY acknowledged, the slowest, while members come", "ms", aims=(Aim(100, most=True),)),
        Row("catalog-restart", f"{count}, started anew without its primary, until they are answered", "s",
            aims=(Aim(5, most=True),)),
        Row("catalog-memory", f"memory with {count}", "MB"),
    ]  # fmt: skip


class ManyZones:
    """The part of the bench. `step` is told what begins, with its weight in seconds."""

    title = "Many zones by a catalog"

    def __init__(self, plan: Plan, kinds: Sequence[type[Subject]], step: Callable[[float, str], None]) -> None:
        self.plan, self.step = plan, step
        self.kinds = [kind for kind in kinds if kind.follows_catalogs]
        self.rows = {row.key: row for row in rows(plan)}
        self.serial = 1
        self.chance = random.Random(1)

    def seconds(self) -> float:
        return 3 + self.plan.members / 4000 + len(self.kinds) * self.plan.turn()

    def run(self) -> list[Row]:
        """Measures; gives the rows."""
        for kind in self.kinds:
            with Lab() as lab:
                self.step(3 + self.plan.members / 4000 / len(self.kinds), "catalog: the primary loads its zones")
                primary = self.primary(lab)
                self.step(self.plan.turn(), f"catalog: {kind.title}")
                with kind(lab, [], catalog=CATALOG) as subject:
                    self.one(lab, subject, primary)
        return list(self.rows.values())

    def primary(self, lab: Lab) -> Nsd:
        """NSD: it starts quickest with so many zones. It has those already that will be added."""
        place = lab.make_directory("zones")
        file = place / "member.zone"
        file.write_text(MEMBER)
        names = [member(number) for number in range(self.plan.members + self.plan.added)]
        catalog = self.write(place / "catalog", 1, self.plan.members)
        made = Nsd(lab, lab.primary, [catalog, *(Zone(name, file) for name in names)], allow=lab.back_addresses)
        made.config.write_text(made.configuration())
        made.process = lab.start(lab.primary, made.command(), log=made.directory / "log", name="nsd")
        made.wait_for(names[-1], timeout=self.plan.limit)
        return made

    def write(self, path: Path, serial: int, members: int) -> Zone:
        lines = [f"$ORIGIN {CATALOG}", "$TTL 0", f"@ SOA invalid. invalid. {serial} 3600 600 864000 0", "@ NS invalid."]
        lines += ['version TXT "2"', *(f"id{number}.zones PTR {member(number)}" for number in range(members))]
        partial = path.with_suffix(".partial")
        partial.write_text("\n".join(lines) + "\n")
        partial.rename(path)
        return Zone(CATALOG, path)

    def one(self, lab: Lab, subject: Subject, primary: Nsd) -> None:
        """One server's turn."""
        subject.wait_answering()
        told = Told(lab, subject, self.plan.limit)
        begun = time.perf_counter()
        self.rows["catalog-notify"].add(subject.name, told.until_all(self.names(self.plan.members)) * 1000)
        self.rows["catalog-all"].add(subject.name, time.perf_counter() - begun)
        subject.settle()
        took = []
        for number in range(self.plan.added):
            count = self.plan.members + number + 1
            self.write(primary.zones[0].path, 2 + number, count)
            primary.reload(CATALOG, 2 + number)
            time.sleep(REST)
            took.append(told.until(member(count - 1)) * 1000)
        self.rows["catalog-added"].add(subject.name, statistics.median(took))
        memory = subject.account.now()
        if memory:
            self.rows["catalog-memory"].add(subject.name, memory / 1e6)
        subject.settle()
        primary.stop()
        subject.kill()
        told.until_silent(member(0))
        begun = time.perf_counter()
        subject.start()
        told.until_up(member(self.plan.members - 1))
        told.until_all(self.names(self.plan.members), notify=False)
        self.rows["catalog-restart"].add(subject.name, time.perf_counter() - begun)
        told.close()

    def names(self, members: int) -> list[str]:
        """Some of them, the last one always."""
        return [member(number) for number in {*self.chance.sample(range(members), min(SAMPLED, members)), members - 1}]


class Told:
    """Asks for members, and notifies of the catalog and of members."""

    def __init__(self, lab: Lab, subject: Subject, limit: float) -> None:
        self.lab, self.subject, self.limit = lab, subject, limit
        self.questions = udp_socket(lab.client.name, subject.service)
        self.notifies = udp_socket(lab.primary.name, subject.service, source=lab.primary_addresses[0])

    def notify(self, zone: str) -> float:
        """Seconds until it is acknowledged; 0 if it is not within a second, as by who does not know the zone."""
        begun = time.perf_counter()
        reply = ask(self.notifies, wire(zone, SOA, opcode=NOTIFY, flags=AA, id=7), 1.0)
        return time.perf_counter() - begun if reply else 0.0

    def until(self, name: str) -> float:
        """Seconds from the catalog's NOTIFY until this member is served."""
        begun = time.perf_counter()
        self.notify(CATALOG)
        question = wire(name, SOA, id=5)
        while soa_serial(ask(self.questions, question, 0.2)) is None:
            self.check(begun, name)
            time.sleep(0.001)
        return time.perf_counter() - begun

    def until_up(self, name: str) -> None:
        """Waits until this member is answered: asked often, since what is asked before a server is up is lost."""
        begun, question = time.perf_counter(), wire(name, SOA, id=8)
        while soa_serial(ask(self.questions, question, 0.02)) is None:
            self.check(begun, name)
            time.sleep(0.002)

    def until_all(self, names: Sequence[str], notify: bool = True) -> float:
        """Waits until all these are served; the slowest acknowledgement of a NOTIFY meanwhile, in seconds."""
        begun, slowest = time.perf_counter(), 0.0
        left = list(names)
        while left:
            if notify:
                slowest = max(slowest, self.notify(CATALOG))
            replies = ask_many(self.questions, [wire(name, SOA) for name in left], timeout=0.3)
            left = [name for name, reply in zip(left, replies) if soa_serial(reply) is None]
            self.check(begun, f"{len(left)} members")
            time.sleep(0.02)
        return slowest

    def until_silent(self, name: str) -> None:
        """Waits until nobody answers: the kernel takes a program off its interface some time after its pin is gone."""
        end = time.monotonic() + SILENT
        while ask(self.questions, wire(name, SOA, id=6), 0.2) is not None:
            if time.monotonic() > end:
                raise LabError(f"{self.subject.title} answers though it is gone")
            time.sleep(0.01)

    def check(self, begun: float, what: str) -> None:
        self.subject.check()
        if time.perf_counter() - begun > self.limit:
            late = f"{self.subject.title} does not serve {what} after {self.limit:.0f} s"
            raise LabError(f"{late}\n{self.subject.log_tail()}")

    def close(self) -> None:
        self.questions.close()
        self.notifies.close()
