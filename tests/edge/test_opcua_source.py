"""Machines that speak OPC UA: told is what their server says, with its own time and quality, and nobody waits for a missing node."""

import base64
import json
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from asyncua import ua
from opcua_harness import count, last_position, points, rows, source
from opcua_machine import PLANT, START_US, Machine, moment
from source_harness import entered, golden, load_sample, samples, until
from structlog.testing import capture_logs

from vigia.edge.samples import Point, Sample
from vigia.edge.sources.opcua.units import UNECE
from vigia.sparkplug.datatypes import DataType

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.xdist_group("opcua")

START_MS = START_US // 1000


# ── golden machines ──


def plain(kind: str, value: Any) -> Any:  # noqa: ANN401
    """A value of a golden server, which JSON cannot hold."""
    if value in ("nan", "inf"):
        return float(value)
    makers: dict[str, Callable[[Any], object]] = {
        "DateTime": datetime.fromisoformat,
        "Guid": uuid.UUID,
        "LocalizedText": ua.LocalizedText,
        "QualifiedName": lambda name: ua.QualifiedName(name, 1),
        "StatusCode": ua.StatusCode,
        "ByteString": base64.b64decode,
    }
    return makers[kind](value) if kind in makers else value


def data_value(kind: str, said: dict[str, Any]) -> ua.DataValue:
    value, ms = said["value"], said.get("ms", 0)
    return ua.DataValue(
        ua.Variant() if value is None else ua.Variant(plain(kind, value), ua.VariantType[kind]),
        ua.StatusCode(getattr(ua.StatusCodes, said.get("status", "Good"))),
        SourceTimestamp=None if ms is None else moment(START_US + ms * 1000),
    )


def build(machine: Machine, case: str, name: str, said: dict[str, Any]) -> None:
    declared = ua.NodeId.from_string(said.get("declared", f"i={ua.VariantType[said['type']].value}"))
    machine.add_told(f"{case}.{name}", data_value(said["type"], said), declared)
    if "range" in said:
        machine.add_property(f"{case}.{name}", "EURange", ua.Range(*said["range"]))
    if "unit" in said:
        namespace, number, shown = said["unit"]
        unit = ua.EUInformation(UNECE if namespace == "cefact" else namespace, number, ua.LocalizedText(shown), ua.LocalizedText(shown))
        machine.add_property(f"{case}.{name}", "EngineeringUnits", unit)
    if "description" in said:
        machine.describe(f"{case}.{name}", said["description"])


@pytest.mark.parametrize("case", golden("opcua"), ids=lambda case: case.name)
async def test_the_golden_servers_are_read(opcua_machine: Machine, case: Path) -> None:
    server = json.loads((case / "server.json").read_text())
    expected = json.loads((case / "expected.json").read_text())
    for name, said in server.items():
        build(opcua_machine, case.name, name, said)
    configured = case / "source.toml"
    said = (
        tomllib.loads(configured.read_text())["point"]
        if configured.exists()
        else [{"name": name, "node": f"nsu={PLANT};s={case.name}.{name}"} for name in server]
    )
    with capture_logs() as logs:
        async with entered(source(opcua_machine.url, said)) as stream:
            first = [name for name, wanted in expected["samples"].items() if wanted[0][0] == 0 or wanted[0][0] is None]
            ticks = await until(stream, lambda got: {sample.point for sample in samples(got)} >= set(first))
            for name, node in server.items():
                for write in node.get("writes", []):
                    opcua_machine.tell(f"{case.name}.{name}", data_value(node["type"], write))
            wanted = sum(len(told) for told in expected["samples"].values())
            if count(ticks) < wanted:
                ticks += await until(stream, lambda got: count(ticks + got) >= wanted)
    born = {point.name: point for point in ticks[0].births[0].points}
    if "points" in expected:
        assert [(p.name, p.datatype.name, p.unit, p.low, p.high, p.kind, p.documentation) for p in born.values()] == [
            tuple(point) for point in expected["points"]
        ]
    else:
        assert {name: point.datatype.name for name, point in born.items()} == expected["datatypes"]
    for name, told in expected["samples"].items():
        got = [(sample.ts, sample.value, sample.quality) for sample in samples(ticks) if sample.point == name]
        assert len(got) == len(told), name
        for (ts, value, quality), (ms, *rest) in zip(got, told, strict=True):
            assert (value, quality) == tuple(rest), name
            assert type(value) is type(rest[0]), name
            assert ms is None or ts == START_MS + ms, name
    assert {log["point"].removeprefix("press/"): log["why"] for log in logs if log["event"] == "point cannot be read"} == expected[
        "problems"
    ]


def test_the_sample_configuration_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESS_PASSWORD", "secret")
    config = load_sample("opcua")
    assert [node.source["type"] for node in config.nodes] == ["opcua"]


# ── told, not asked ──


async def test_changes_are_told_with_their_own_time_and_when_they_came(opcua_machine: Machine) -> None:
    opcua_machine.add("told", 1.0)
    async with entered(source(opcua_machine.url, points("told"))) as stream:
        ticks = await until(stream, lambda got: count(got) == 1)
        before = datetime.now(UTC).timestamp() * 1000
        for step in range(1, 6):
            opcua_machine.write("told", 1.0 + step, START_US + step * 1000)
        ticks += await until(stream, lambda got: count(got) == 5)
    assert rows(samples(ticks)) == [("told", START_MS + step, 1.0 + step) for step in range(6)]
    first, *others = samples(ticks)
    assert first.received is None, "it may be old"
    assert all(before - 1 <= (sample.received or 0) <= datetime.now(UTC).timestamp() * 1000 for sample in others)


async def test_the_server_keeps_the_dead_band(opcua_machine: Machine) -> None:
    opcua_machine.add("banded", 10.0)
    opcua_machine.add("ranged", 10.0)
    opcua_machine.add_property("ranged", "EURange", ua.Range(0.0, 200.0))
    said = [*points("banded", dead_band=0.5), *points("ranged", dead_band_percent=1.0)]
    async with entered(source(opcua_machine.url, said)) as stream:
        await until(stream, lambda got: count(got) == 2)
        filters = opcua_machine.filters()
        for name, band in (("banded", 0.5), ("ranged", 2.0)):
            opcua_machine.write(name, 10.0 + 0.9 * band, START_US + 1)
            opcua_machine.write(name, 10.0 + 3 * band, START_US + 2000)
        ticks = await until(stream, lambda got: count(got) == 2)
    assert {name: (one.DeadbandType, one.DeadbandValue) for name, one in filters.items()} == {
        "banded": (ua.DeadbandType.Absolute, 0.5),
        "ranged": (ua.DeadbandType.Absolute, 2.0),
    }
    assert sorted(rows(samples(ticks))) == [("banded", START_MS + 2, 11.5), ("ranged", START_MS + 2, 16.0)]


async def test_a_dead_band_that_the_server_does_not_know_is_kept_by_the_gateway(opcua_machine: Machine) -> None:
    opcua_machine.add("simple", 10.0)
    with opcua_machine.without_filters():
        async with entered(source(opcua_machine.url, points("simple", dead_band=0.5))) as stream:
            ticks = await until(stream, lambda got: count(got) == 1)
            for step, value in enumerate((10.4, 9.6, 10.6, 10.2, 11.2), 1):
                opcua_machine.write("simple", value, START_US + step * 1000)
            ticks += await until(stream, lambda got: count(got) == 2)
    assert [value for *_, value in rows(samples(ticks))] == [10.0, 10.6, 11.2]
    assert json.loads(last_position(ticks) or "") == {"press": {"simple": START_US + 5000}}


async def test_a_node_that_changes_its_type_is_bad_and_said_once(opcua_machine: Machine) -> None:
    opcua_machine.add_told("fickle", ua.DataValue(ua.Variant(1, ua.VariantType.Int32)), ua.NodeId(ua.ObjectIds.Number))
    with opcua_machine.of_any_type(), capture_logs() as logs:
        async with entered(source(opcua_machine.url, points("fickle"))) as stream:
            ticks = await until(stream, lambda got: count(got) == 1)
            for value in (1.5, 2.5):
                opcua_machine.tell("fickle", ua.DataValue(ua.Variant(value, ua.VariantType.Double)))
                ticks += await until(stream, lambda got: count(got) == 1)
    assert [(sample.value, sample.quality) for sample in samples(ticks)] == [(1, 192), (None, 0), (None, 0)]
    assert [log["event"] for log in logs] == ["a value is no INT32; it is told as bad"]


async def test_a_percentage_of_no_range_is_said(opcua_machine: Machine) -> None:
    opcua_machine.add("rangeless", 1.0)
    with capture_logs() as logs:
        async with entered(source(opcua_machine.url, points("rangeless", dead_band_percent=1.0))) as stream:
            await until(stream, lambda got: count(got) == 1)
    assert [log["event"] for log in logs] == ["dead_band_percent needs a range that the server does not tell; write low and high"]


async def test_the_same_value_measured_again_is_told_when_that_is_wanted(opcua_machine: Machine) -> None:
    opcua_machine.add("again", 1.0)
    group = {"name": "each", "publishing_s": 0.05, "sampling_s": 0, "trigger": "timestamp"}
    async with entered(source(opcua_machine.url, points("again", group="each"), group=[group])) as stream:
        ticks = await until(stream, lambda got: count(got) == 1)
        opcua_machine.write("again", 1.0, START_US + 1000)
        ticks += await until(stream, lambda got: count(got) == 1)
    assert rows(samples(ticks)) == [("again", START_MS, 1.0), ("again", START_MS + 1, 1.0)]


async def test_more_nodes_than_the_server_takes_at_once_are_all_read(opcua_machine: Machine) -> None:
    names = [f"many {number}" for number in range(23)]
    for name in names:
        opcua_machine.add(name, 1.0)
    with opcua_machine.limited(read=7, translate=5, monitor=4, items=10):
        async with entered(source(opcua_machine.url, points(*names))) as stream:
            ticks = await until(stream, lambda got: count(got) == len(names))
            opcua_machine.write(names[-1], 2.0, START_US + 1000)
            ticks += await until(stream, lambda got: count(got) == 1)
        assert opcua_machine.largest == {"read": 7, "translate": 5, "monitor": 4, "subscriptions": 3}
    assert {point for point, *_ in rows(samples(ticks))} == set(names)


# ── what is missing ──


async def test_a_missing_node_is_said_once_and_bad_and_the_others_are_read(opcua_machine: Machine) -> None:
    opcua_machine.add("there", 1.0)
    one = source(opcua_machine.url, points("there", "nowhere"))
    with capture_logs() as logs:
        for _ in range(2):
            async with entered(one) as stream:
                ticks = await until(stream, lambda got: count(got) == 2)
            one.resume(None)
    assert [(s.value, s.quality) for s in samples(ticks) if s.point == "nowhere"] == [(None, 0)]
    assert [(s.value, s.quality) for s in samples(ticks) if s.point == "there"] == [(1.0, 192)]
    assert [(log["event"], log["point"], log["why"]) for log in logs] == [
        ("point cannot be read", "press/nowhere", "the server has no such node")
    ]


async def test_a_missing_namespace_is_one_line_however_many_points_it_stops(opcua_machine: Machine) -> None:
    said = [{"name": f"p{number}", "node": "nsu=http://nobody.example;i=7"} for number in range(7)]
    with capture_logs() as logs:
        async with entered(source(opcua_machine.url, said)) as stream:
            await until(stream, lambda got: count(got) == 7)
    assert [(log["point"], log["why"]) for log in logs] == [
        ("press/p0, press/p1, press/p2, press/p3, press/p4 and 2 more", "the server has no namespace http://nobody.example")
    ]


async def test_a_node_that_comes_later_is_found_and_its_device_born_again(opcua_machine: Machine) -> None:
    opcua_machine.add("early", 1.0)
    async with entered(source(opcua_machine.url, points("early", "late"), look_again_s=0.2)) as stream:
        await until(stream, lambda got: count(got) == 2)
        opcua_machine.add("late", 7, ua.VariantType.Int32)
        ticks = await until(stream, lambda got: count(got) == 1)
    (born,) = [tick for tick in ticks if tick.births]
    assert [(point.name, point.datatype) for point in born.births[0].points] == [("early", DataType.DOUBLE), ("late", DataType.INT32)]
    assert born.standing == (Sample("press", "early", START_MS, 1.0),), "its birth repeats what still stands"
    assert rows(samples(ticks)) == [("late", START_MS, 7)]


async def test_a_node_that_is_taken_away_is_bad_and_found_again(opcua_machine: Machine) -> None:
    opcua_machine.add("fleeting", 1.0)
    async with entered(source(opcua_machine.url, points("fleeting"), look_again_s=0.1)) as stream:
        await until(stream, lambda got: count(got) == 1)
        gone = ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)
        opcua_machine.tell("fleeting", ua.DataValue(ua.Variant(), gone, moment(START_US + 1000)))
        (told,) = samples(await until(stream, lambda got: count(got) == 1))
        assert (told.value, told.quality) == (None, 0)
        opcua_machine.write("fleeting", 3.0, START_US + 2000)
        ticks = await until(stream, lambda got: count(got) == 1)
        assert [tick.births[0].device_id for tick in ticks if tick.births] == ["press"]
        opcua_machine.write("fleeting", 4.0, START_US + 3000)
        ticks += await until(stream, lambda got: count(got) == 1)
    assert rows(samples(ticks)) == [("fleeting", START_MS + 2, 3.0), ("fleeting", START_MS + 3, 4.0)]


async def test_a_machine_that_is_swapped_is_born_with_its_own_serial_number(opcua_machine: Machine) -> None:
    opcua_machine.add("speed", 1.0)
    opcua_machine.add("serial", "SN-7", ua.VariantType.String)
    device = {"device_id": "press", "serial_node": f"nsu={PLANT};s=serial", "model": "m", "point": points("speed")}
    async with entered(source(opcua_machine.url, [], device=[device], look_again_s=0.1)) as stream:
        first = await until(stream, lambda got: count(got) == 1)
        opcua_machine.write("serial", "SN-8", START_US + 1000)
        second = await until(stream, lambda got: bool(got[-1].births))
    assert [tick.births[0].serial for tick in (*first, *second) if tick.births] == ["SN-7", "SN-8"]
    assert second[-1].standing == (), "the other machine told those"


async def test_a_value_that_stands_since_an_earlier_run_is_repeated_by_the_birth_only(opcua_machine: Machine) -> None:
    opcua_machine.add("steady", 5.0)
    one = source(opcua_machine.url, points("steady"))
    async with entered(one) as stream:
        position = last_position(await until(stream, lambda got: count(got) == 1))
    again = source(opcua_machine.url, points("steady"))
    again.resume(position)
    async with entered(again) as stream:
        birth = await anext(stream)
        opcua_machine.write("steady", 6.0, START_US + 1000)
        ticks = await until(stream, lambda got: count(got) == 1)
    assert birth.standing == (Sample("press", "steady", START_MS, 5.0),)
    assert rows(samples(ticks)) == [("steady", START_MS + 1, 6.0)]


async def test_the_address_of_a_point_can_be_asked(opcua_machine: Machine) -> None:
    opcua_machine.add("addressed", 5.0)
    one = source(opcua_machine.url, points("addressed"))
    async with entered(one):
        assert one.items[0].described is not None
        assert one.items[0].described.node_id == opcua_machine.nodes["addressed"].nodeid
    assert one.items[0].point == Point("addressed", DataType.DOUBLE, documentation="addressed")
