# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalog zones (RFC 9432) of NSD, Knot DNS and BIND: members come, go, change over, and are known after a start."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from catalogs import CATALOG, catalog_zone, eventually, members, rcode, settings
from lab import Bind, Key, Knot, Lab, NameServer, Nsd, Peregrine, Zone
from wire import NS
from zones import serial_zone

pytestmark = pytest.mark.timeout(90)

SECOND = "second.invalid."
NAMES = ("one.example.", "two.example.", "three.example.")
REFUSED = 5


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def follow(lab: Lab, *catalogs: Mapping[str, Any], **more: Any) -> Peregrine:
    listed = catalogs or ({"name": CATALOG, "primaries": ["origin"]},)
    return lab.peregrine([], key=Key(), change=settings(*listed, **more))


def wait_serving(agent: Peregrine, names: Sequence[str], serial: int = 1) -> None:
    """Waits for members: they are not known before their catalog is."""

    def seen() -> bool:
        entries = {entry["zone"].rstrip("."): entry for entry in agent.cli("zone-status")}
        found = [entries.get(name.rstrip("."), {}) for name in names]
        return all((entry.get("state"), entry.get("serial")) == ("serving", serial) for entry in found)

    eventually(seen, f"{names} are served with serial {serial}")


def serve(lab: Lab, kind: type[NameServer], *catalogs: Zone, names: tuple[str, ...] = NAMES) -> NameServer:
    place = lab.make_directory("zones")
    zones = [serial_zone(3, 1, name).write(place) for name in names]
    return lab.primary_server(kind, [*catalogs, *zones], key=Key())


@pytest.mark.parametrize("kind", [Nsd, Knot, Bind])
def test_members_come_and_go(lab: Lab, kind: type[NameServer]) -> None:
    """Members are added, removed and reset; a broken catalog changes nothing; the catalog itself is not for clients."""
    place = lab.make_directory("catalog")
    primary = serve(lab, kind, catalog_zone(place, 1, f"a {NAMES[0]}", f"b {NAMES[1]}"))
    with follow(lab) as agent:
        wait_serving(agent, NAMES[:2])
        assert (rcode(lab, NAMES[0]), rcode(lab, NAMES[1]), rcode(lab, NAMES[2])) == (0, 0, REFUSED)
        # Of the catalog there is the SOA, for secondaries, and nothing else.
        assert (rcode(lab, CATALOG), rcode(lab, CATALOG, NS), rcode(lab, f"version.{CATALOG}")) == (0, REFUSED, REFUSED)
        assert agent.zone_status(NAMES[0])["catalog"].rstrip(".") == CATALOG.rstrip(".")
        assert agent.zone_status(CATALOG)["role"] == "catalog"

        catalog_zone(place, 2, f"b {NAMES[1]}", f"c {NAMES[2]}")
        primary.reload(CATALOG, 2)
        eventually(lambda: rcode(lab, NAMES[2]) == 0, "a member that was added is served")
        eventually(lambda: rcode(lab, NAMES[0]) == REFUSED, "a member that was removed is not served")
        assert members(agent) == {name.rstrip(".") for name in NAMES[1:]}

        for serial, records, version in ((3, (), '"1"'), (4, (f"a {NAMES[0]}", f"b {NAMES[0]}"), '"2"')):
            catalog_zone(place, serial, *records, version=version)
            primary.reload(CATALOG, serial)
            eventually(lambda: agent.zone_status(CATALOG)["error"], "a broken catalog is said to be one")
            assert "broken catalog" in agent.zone_status(CATALOG)["error"]
            assert members(agent) == {name.rstrip(".") for name in NAMES[1:]}
            assert (rcode(lab, NAMES[0]), rcode(lab, NAMES[1])) == (REFUSED, 0)

        catalog_zone(place, 5, f"a {NAMES[0]}", f"c {NAMES[2]}")
        primary.reload(CATALOG, 5)
        eventually(lambda: members(agent) == {NAMES[0].rstrip("."), NAMES[2].rstrip(".")}, "the broken catalog is mended")
        wait_serving(agent, (NAMES[0], NAMES[2]))


def test_after_a_restart(lab: Lab) -> None:
    """What the catalog lists is known without its primary; what it lists no more is gone."""
    place = lab.make_directory("catalog")
    primary = serve(lab, Nsd, catalog_zone(place, 1, f"a {NAMES[0]}", f"b {NAMES[1]}"))
    with follow(lab) as agent:
        wait_serving(agent, NAMES[:2])
        primary.stop()
        agent.kill()
        assert rcode(lab, NAMES[1]) == 0
        agent.start()
        assert members(agent) == {name.rstrip(".") for name in NAMES[:2]}
        assert (rcode(lab, NAMES[0]), rcode(lab, NAMES[1]), rcode(lab, CATALOG, NS)) == (0, 0, REFUSED)
        agent.stop()
        agent.write_config({"catalogs": [], "zones": [{"name": NAMES[0], "primaries": ["origin"]}]})
        agent.start()
        assert (members(agent), rcode(lab, NAMES[0])) == (set(), 0)
        eventually(lambda: rcode(lab, NAMES[1]) == REFUSED, "a member is gone with its catalog")


def test_configured_first_and_reload(lab: Lab) -> None:
    """A configured zone beats a member of its name; a catalog gives up its members with its entry, and gets them back."""
    place = lab.make_directory("catalog")
    serve(lab, Nsd, catalog_zone(place, 1, f"a {NAMES[0]}", f"b {NAMES[1]}"))
    zones = [{"name": NAMES[0], "primaries": ["origin"]}]
    with follow(lab, zones=zones) as agent:
        wait_serving(agent, NAMES[:2])
        eventually(lambda: f"its member {NAMES[0]} is left out" in agent.log(), "the clash is told")
        assert agent.log().count("is left out") == 1
        assert agent.zone_status(NAMES[0])["role"] == "configured"
        agent.write_config({"zones": []})
        agent.cli("reload")
        assert (agent.zone_status(NAMES[0])["role"], rcode(lab, NAMES[0])) == ("member", 0)
        agent.write_config({"catalogs": [], "zones": zones})
        agent.cli("reload")
        assert agent.zone_status(NAMES[0])["role"] == "configured" and rcode(lab, NAMES[0]) == 0
        assert rcode(lab, NAMES[1]) == REFUSED and members(agent) == set()
        agent.write_config(settings({"name": CATALOG, "primaries": ["origin"]}))
        agent.cli("reload")
        wait_serving(agent, NAMES[:2])
        assert members(agent) == {name.rstrip(".") for name in NAMES[:2]}


def test_change_of_ownership(lab: Lab) -> None:
    """With `coo` a member changes over: with its data where the id stays, anew where it is another one."""
    place = lab.make_directory("catalog")
    first = catalog_zone(place, 1, f"a {NAMES[0]}", f"b {NAMES[1]}", f"c {NAMES[2]}")
    second = catalog_zone(place, 1, name=SECOND)
    primary = serve(lab, Knot, first, second)
    both = ({"name": CATALOG, "primaries": ["origin"]}, {"name": SECOND, "primaries": ["origin"]})
    with follow(lab, *both) as agent:
        wait_serving(agent, NAMES)
        wait_serving(agent, (SECOND,))
        time.sleep(1.1)  # times are in seconds
        before = {name: agent.zone_status(name)["last_transfer"] for name in NAMES}

        # Listed by both without a word from the first: a clash.
        catalog_zone(place, 2, f"a {NAMES[0]}", f"x {NAMES[1]}", f"c {NAMES[2]}", name=SECOND)
        primary.reload(SECOND, 2)
        eventually(lambda: "which had it first" in agent.log(), "the clash is told")
        first, second = agent.cli("catalog-status")
        assert (first["listed"], first["members"], second["listed"], second["members"]) == (3, 3, 3, 0)
        assert second["left_out"][0]["reason"] == f"it is a member of catalog {CATALOG}"
        assert all(agent.zone_status(name)["catalog"] == CATALOG for name in NAMES)
        catalog_zone(
            place,
            2,
            *(f"a {NAMES[0]}", f"b {NAMES[1]}", f"c {NAMES[2]}"),
            *(f".coo.a.zones PTR {SECOND}", f".coo.b.zones PTR {SECOND}"),
        )
        primary.reload(CATALOG, 2)
        wait_serving(agent, (CATALOG,), 2)
        # Not before the new owner's next version (section 4.3.1).
        assert all(agent.zone_status(name)["catalog"] == CATALOG for name in NAMES)
        catalog_zone(place, 3, f"a {NAMES[0]}", f"x {NAMES[1]}", f"c {NAMES[2]}", name=SECOND)
        primary.reload(SECOND, 3)
        eventually(lambda: agent.zone_status(NAMES[1])["catalog"] == SECOND, "the member changed over")
        wait_serving(agent, NAMES)
        assert [agent.zone_status(name)["catalog"] for name in NAMES] == [SECOND, SECOND, CATALOG]
        after = {name: agent.zone_status(name)["last_transfer"] for name in NAMES}
        assert after[NAMES[0]] == before[NAMES[0]] and after[NAMES[2]] == before[NAMES[2]]
        assert after[NAMES[1]] > before[NAMES[1]]
        # What was stored of the one that went is nothing to the one that came.
        assert "from the store" not in agent.log()

        # The first lets go of the one that was left to it: the second has it already.
        catalog_zone(place, 4, name=CATALOG)
        primary.reload(CATALOG, 4)
        eventually(lambda: agent.zone_status(NAMES[2])["catalog"] == SECOND, "the member is the other's now")
        assert [agent.zone_status(name)["catalog"] for name in NAMES] == [SECOND] * 3


def test_groups_and_primaries(lab: Lab) -> None:
    """A group's template says where its members come from; so does the catalog itself, as BIND has it."""
    place = lab.make_directory("catalog")
    address = lab.primary_addresses[0]
    serve(
        lab,
        Bind,
        catalog_zone(
            place,
            1,
            *(f"a {NAMES[0]}", f"b {NAMES[1]}", f"c {NAMES[2]}"),
            *(".group.a.zones TXT unknown", ".group.a.zones TXT special", ".group.b.zones TXT other"),
            *(f".k.primaries.ext.c.zones A {address}", f'.k.primaries.ext.c.zones TXT "{Key().name}"'),
        ),
    )
    catalog = {
        "name": CATALOG,
        "primaries": ["origin"],
        "template": "plain",
        "groups": [{"group": "special", "template": "sixth"}],
    }
    key = Key().name
    primaries = [
        {"name": "origin", "addresses": list(lab.primary_addresses), "key": key},
        {"name": "four", "addresses": [address], "key": key},
        {"name": "six", "addresses": [lab.primary_addresses[1]], "key": key},
    ]
    templates = [{"name": "plain", "primaries": ["four"]}, {"name": "sixth", "primaries": ["six"]}]
    with follow(lab, catalog, primaries=primaries, templates=templates) as agent:
        wait_serving(agent, NAMES)
        told = [agent.zone_status(name)["primary"].split()[0].rstrip(".") for name in NAMES]
        assert told == ["six", "four", CATALOG.rstrip(".")]
        templates[1]["primaries"] = ["four"]
        agent.write_config({"templates": templates})
        agent.cli("reload")
        eventually(
            lambda: agent.zone_status(NAMES[0])["primary"].startswith("four"), "members follow their template"
        )


class Generating(Knot):
    """Knot DNS as the producer of a catalog."""

    def configuration(self) -> str:
        lines = []
        for line in super().configuration().splitlines():
            lines.append(line)
            if line.startswith("  - domain:"):
                lines += ["    catalog-role: member", f"    catalog-zone: {CATALOG}", "    catalog-group: blue"]
        lines += [f"  - domain: {CATALOG}", "    catalog-role: generate"]
        return "\n".join(lines) + "\n"


def test_made_by_knot(lab: Lab) -> None:
    """A catalog that Knot makes of the zones that it serves, as they come and go."""
    place = lab.make_directory("zones")
    zones = [serial_zone(3, 1, name).write(place) for name in NAMES]
    primary = lab.primary_server(Generating, zones[:2], key=Key())
    catalog = {"name": CATALOG, "primaries": ["origin"], "groups": [{"group": "blue", "template": "blue"}]}
    with follow(lab, catalog, templates=[{"name": "blue", "primaries": ["origin"]}]) as agent:
        wait_serving(agent, NAMES[:2])
        primary.zones = zones[1:]
        primary.config.write_text(primary.configuration())
        primary.control("reload")
        eventually(lambda: rcode(lab, NAMES[2]) == 0, "a zone that Knot got is served")
        eventually(lambda: rcode(lab, NAMES[0]) == REFUSED, "a zone that Knot lost is not served")
        assert members(agent) == {name.rstrip(".") for name in NAMES[1:]}


class Interpreting(Knot):
    """Knot DNS as a consumer of a catalog of ours, and a secondary of ours for its members."""

    def configuration(self) -> str:
        address = self.lab.back_addresses[0]
        lines = super().configuration().split("template:")[0].splitlines()
        lines += ["remote:", "  - id: ours", f"    address: {address}", "acl:", "  - id: ours"]
        lines += [f"    address: {address}", "    action: notify", "template:", "  - id: default", "    master: ours"]
        lines += ["    acl: ours", "    zonefile-sync: -1", "  - id: members", "    master: ours", "    acl: ours"]
        lines += ["    zonefile-sync: -1", "zone:", f"  - domain: {CATALOG}", "    catalog-role: interpret"]
        return "\n".join([*lines, "    catalog-template: members"]) + "\n"


def test_made_here(lab: Lab) -> None:
    """A catalog of the zones that are served here, followed by Knot: it gets and loses what we do, by IXFR."""
    place = lab.make_directory("zones")
    names = [serial_zone(3, 1, name).write(place).name for name in NAMES]
    lab.primary_server(Nsd, [Zone(name, place / f"{name.rstrip('.')}.zone") for name in names], key=Key(), notify=False)
    other = lab.primary_addresses[0]
    default = {"name": "default", "primaries": ["origin"], "allow-transfer": [other], "notify": ["knot"]}
    secondaries = [{"name": "knot", "addresses": [f"{other}@5353"]}]

    def zones(*served: str) -> list[dict[str, Any]]:
        return [{"name": name, "catalog": CATALOG, "group": "blue"} for name in served]

    change = {
        "server": {"listen": [*lab.service, lab.back_addresses[0]]},
        "templates": [default],
        "secondaries": secondaries,
        "catalogs": [{"name": CATALOG, "produce": True}],
        "zones": zones(*NAMES[:2]),
    }
    with lab.peregrine([], key=Key(), change=change) as agent:
        wait_serving(agent, NAMES[:2])
        consumer = Interpreting(lab, lab.primary, [], addresses=[other], port=5353)
        with consumer.start():
            for name in NAMES[:2]:
                consumer.wait_for(name, 1)
            made = agent.zone_status(CATALOG)
            assert (made["role"], made["state"]) == ("produced", "serving")
            agent.write_config({"zones": zones(*NAMES[1:])})
            agent.cli("reload")
            consumer.wait_for(NAMES[2], 1)
            eventually(lambda: consumer.serial(NAMES[0]) is None, "a zone that is served no more is not in the catalog")
            assert "IXFR, incoming" in consumer.log()
            assert agent.cli("catalog-status", CATALOG)[0]["listed"] == 2
            # The same zones after a start are the same catalog.
            serial = agent.zone_status(CATALOG)["serial"]
            agent.stop()
            agent.start()
            time.sleep(0.5)
            assert agent.zone_status(CATALOG)["serial"] == serial > made["serial"]


def test_made_here_of_members(lab: Lab) -> None:
    """What is made here of another catalog's members is not made anew before these are known."""
    place = lab.make_directory("catalog")
    made = "made.invalid."

    def change(followed: str) -> dict[str, Any]:
        catalogs = [{"name": made, "produce": True}, {"name": followed, "primaries": ["origin"], "template": "listed"}]
        return settings(*catalogs, templates=[{"name": "listed", "catalog": made}])

    primary = serve(lab, Nsd, catalog_zone(place, 1, f"a {NAMES[0]}", f"b {NAMES[1]}"))
    agent = lab.peregrine([], key=Key(), change=change(CATALOG))
    with agent:
        wait_serving(agent, NAMES[:2])
        eventually(lambda: listed(agent, made) == 2, "both stand in the catalog made here")
        primary.stop()
        agent.stop()
        # One of which nothing is known yet is followed in the other's place.
        agent.write_config(change(SECOND))
        agent.start()
        time.sleep(1)
        assert listed(agent, made) == 2
        serve(lab, Nsd, catalog_zone(place, 1, f"b {NAMES[1]}", name=SECOND))
        agent.cli("zone-reload", SECOND)
        wait_serving(agent, NAMES[1:2])
        eventually(lambda: listed(agent, made) == 1, "it is made of what the other lists")


def listed(agent: Peregrine, catalog: str) -> int:
    return agent.cli("catalog-status", catalog)[0]["listed"]
