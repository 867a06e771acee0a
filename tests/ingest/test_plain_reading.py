"""Plain messages become the readings they mean, or are refused whole with a reason and a remedy."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from plain_harness import NOW_MS, Bench, bench, default_bench, entry

from vigia.ingest.events import DeviceBirth, DeviceData, Letter
from vigia.ingest.plain import MISFIT, TOO_MANY, UNDATED, UNDECLARED, UNKNOWN_SENDER, UNREADABLE
from vigia.ingest.plain.devices import Plain
from vigia.ingest.plain.table import load, parse
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.decode import decode_columns
from vigia.store.births import EdgeNode

EXAMPLE_TABLE = Path(__file__).parents[2] / "docs" / "examples" / "topics.toml"
DAY = "2026-01-31T12:00:00"
DAY_MS = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1000)


def values(one: Bench) -> dict[str, float | None]:
    return {name: value for _, name, _, value, _ in one.rows}


# ── the shapes of the examples ──


EXAMPLES: Mapping[str, tuple[str, str, set[tuple[str, str, int, float | None, int]]]] = {
    "tasmota": (
        "tele/plug-7/SENSOR",
        '{"Time": "2026-01-31T12:00:00", "ENERGY": {"Power": 210, "Voltage": 229, "Total": 12.3}, "TempUnit": "C"}',
        {
            (p, n, DAY_MS - 3_600_000, v, 192)
            for p, n, v in [("plug-7", "power", 210), ("plug-7", "ENERGY/Voltage", 229), ("plug-7", "energy", 12.3)]
        },
    ),
    "shelly": (
        "shellies/hall-1/status/switch:0",
        '{"id":0,"source":"init","output":false,"apower":8.9,"voltage":237.5,"aenergy":{"total":6.5,"by_minute":[45.2,47.1]}}',
        {("hall-1", "output", NOW_MS, 0.0, 192), ("hall-1", "power", NOW_MS, 8.9, 192), ("hall-1", "energy", NOW_MS, 6.5, 192)},
    ),
    "thingsboard": (
        "v1/acme-plant/R1/telemetry",
        '{"ts": 1767225600123, "values": {"T50": 1577.2, "running": true, "P15": null}}',
        {("R1", "T50", 1767225600123, 1577.2, 192), ("R1", "running", 1767225600123, 1.0, 192), ("R1", "P15", 1767225600123, None, 192)},
    ),
    "records": (
        "plant/line-1/batch",
        """{"sent": "x", "data": [{"tag": "T50", "v": 1577.2, "t": 1767225600.25, "uom": "K", "q": "ok"},
        {"tag": "T50", "v": 1577.3, "t": 1767225601.25, "uom": "K"}, {"tag": "P15", "v": 3, "t": 1767225600.5, "q": "fault"}]}""",
        {
            ("line-1", "T50", 1767225600250, 1577.2, 192),
            ("line-1", "T50", 1767225601250, 1577.3, 192),
            ("line-1", "P15", 1767225600500, 3.0, 0),
        },
    ),
    "arrays": (
        "bursts/R1",
        '{"t": [1767225600000, 1767225600010], "x": [0.1, 0.2], "y": [0.3, null]}',
        {
            ("R1", "x", 1767225600000, 0.1, 192),
            ("R1", "x", 1767225600010, 0.2, 192),
            ("R1", "y", 1767225600000, 0.3, 192),
            ("R1", "y", 1767225600010, None, 192),
        },
    ),
    "homie": ("homie/boiler/sensor/temperature", "61.5", {("boiler", "sensor/temperature", NOW_MS, 61.5, 192)}),
    "homie switch": ("homie/boiler/relay/on", "true", {("boiler", "relay/on", NOW_MS, 1.0, 192)}),
    "homie word": ("homie/boiler/relay/on", "ON", {("boiler", "relay/on", NOW_MS, 1.0, 192)}),
    "csv": (
        "csv/R1",
        "1767225600;21.5;;ok\r\n1767225660;21.6;-3e0;\r\n",
        {
            ("R1", "T_room", 1767225600000, 21.5, 192),
            ("R1", "T_outside", 1767225600000, None, 192),
            ("R1", "T_room", 1767225660000, 21.6, 192),
            ("R1", "T_outside", 1767225660000, -3.0, 192),
        },
    ),
    "lines": (
        "lines/R1",
        '{"ts": "2026-01-31T12:00:00Z", "a": 1}\n\n{"ts": "2026-01-31T12:00:00.5Z", "a": 2, "b": {"c": 3}}\n',
        {("R1", "a", DAY_MS, 1.0, 192), ("R1", "a", DAY_MS + 500, 2.0, 192), ("R1", "b/c", DAY_MS + 500, 3.0, 192)},
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_table_reads_what_its_comments_say(example: str) -> None:
    topic, payload, rows = EXAMPLES[example]
    plain = Plain(load(str(EXAMPLE_TABLE)))
    one = Bench(plain, frozenset({"plug-7", "hall-1", "R1", "line-1", "boiler"}))
    one.sessions.know([edge(i, name) for i, name in enumerate(["acme-plugs", "acme-plant", "acme-homie"], 10)])
    one.hear((topic, payload))
    assert one.letters == []
    assert set(one.rows) == rows
    assert len(one.rows) == len(rows)


def edge(edge_node_id: int, node_id: str) -> EdgeNode:
    return EdgeNode(edge_node_id, 1, "acme", node_id, None, None)


def test_what_is_declared_to_be_left_out_is_no_letter() -> None:
    plain = Plain(load(str(EXAMPLE_TABLE)))
    one = Bench(plain)
    one.sessions.know([edge(10, "acme-plugs"), edge(11, "acme-homie")])
    assert one.hear(("homie/boiler/sensor/$name", "Boiler"), ("shellies/hall-1/status/wifi", '{"rssi": -60}')) == []


def test_the_default_table_needs_no_file() -> None:
    one = default_bench()
    one.hear(
        ("vigia/acme/acme-one/R1", '{"ts": 1767225600000, "values": {"T50": 1577.2}}'),
        ("vigia/acme/acme-one/R1", f'[{{"ts": "{DAY}Z", "values": {{"T50": 1}}}}, {{"ts": "{DAY}+01:00", "values": {{"T50": 2}}}}]'),
        ("vigia/acme/acme-one/R2/Ps30", "47.5"),
        ("vigia/ACME/Acme-One/R2/Ps30", "-1"),
    )
    assert one.letters == []
    assert sorted(one.rows) == [
        ("R1", "T50", 1767225600000, 1577.2, 192),
        ("R1", "T50", DAY_MS - 3_600_000, 2.0, 192),
        ("R1", "T50", DAY_MS, 1.0, 192),
        ("R2", "Ps30", NOW_MS, -1.0, 192),
        ("R2", "Ps30", NOW_MS, 47.5, 192),
    ]


# ── times ──


@pytest.mark.parametrize(
    ("keys", "said", "ms"),
    [
        ({}, f'"{DAY}Z"', DAY_MS),
        ({}, f'"{DAY}.123456789Z"', DAY_MS + 123),
        ({}, f'"{DAY}.5+01:00"', DAY_MS - 3_600_000 + 500),
        ({}, '"2026-01-31 12:00:00z"', DAY_MS),
        ({"time_zone": "Europe/Madrid"}, f'"{DAY}"', DAY_MS - 3_600_000),
        ({"time_zone": "Europe/Madrid"}, f'"{DAY}Z"', DAY_MS),
        ({"time_unit": "s"}, "1767225600", 1767225600000),
        ({"time_unit": "s"}, "1767225600.0625", 1767225600062),
        ({"time_unit": "ms"}, "1767225600123", 1767225600123),
        ({"time_unit": "us"}, "1767225600123456", 1767225600123),
        ({"time_unit": "ns"}, "1767225600123456789", 1767225600123),
        ({"time_unit": "s", "text": "number"}, '"1767225600"', 1767225600000),
    ],
    ids=str,
)
def test_times_are_read(keys: dict[str, object], said: str, ms: int) -> None:
    one = bench(time="t", **keys)
    one.hear(("x/y", f'{{"t": {said}, "a": 1}}'))
    assert one.rows == [("R1", "a", ms, 1.0, 192)]


@pytest.mark.parametrize(
    ("keys", "said", "remedy"),
    [
        ({}, "1767225600", "declare time_unit"),
        ({}, f'"{DAY}"', "declare time_zone"),
        ({}, '"yesterday"', "is no RFC 3339 time"),
        ({}, '"2026-02-31T12:00:00Z"', "is no moment"),
        ({}, '"2026-01-31T12:00:60Z"', "is no moment"),
        ({}, '"1970-01-01T00:00:00Z"', "set the device's clock"),
        ({}, '"9999-12-31T23:59:59-23:59"', "set the device's clock"),
        ({"time_unit": "ms"}, "1767225600", "correct time_unit"),
        ({"time_unit": "s"}, "1767225600000", "correct time_unit"),
        ({"time_unit": "s"}, '"1767225600"', "is no RFC 3339 time"),
        ({"time_unit": "s"}, "true", "is no time"),
        ({"time_unit": "s"}, "null", "is no time"),
        ({"time_unit": "s"}, "1e300", "correct time_unit"),
    ],
    ids=str,
)
def test_times_that_say_no_moment_are_refused(keys: dict[str, object], said: str, remedy: str) -> None:
    one = bench(time="t", **keys)
    one.hear(("x/y", f'{{"t": {said}, "a": 1}}'))
    assert [letter.reason for letter in one.letters] == [UNDATED]
    assert remedy in one.letters[0].detail


def test_a_missing_time_is_refused() -> None:
    one = bench(time="a.t")
    one.hear(("x/y", '{"v": 1}'), ("x/y", '{"a": 1}'))
    assert [letter.reason for letter in one.letters] == [UNDATED, UNDATED]
    assert one.letters[0].detail == "'a.t' is not there: send it, or correct the entry"


# ── values ──


def test_values_are_kept_as_floats() -> None:
    one = bench()
    one.hear(("x/y", '{"big": 9007199254740993, "huge": 123456789012345678901234567890, "no": false, "none": null}'))
    one.hear(("x/y", '{"twice": 1, "twice": 2}'))
    assert values(one) == {"big": 9007199254740992.0, "huge": 1.2345678901234568e29, "no": 0.0, "none": None, "twice": 2.0}


@pytest.mark.parametrize(
    ("keys", "payload", "reason", "remedy"),
    [
        ({}, "{", UNREADABLE, "not JSON"),
        ({}, "", UNREADABLE, "an empty message"),
        ({}, b"\xff", UNREADABLE, "not JSON"),
        ({}, '{"a": NaN}', UNREADABLE, "send null instead"),
        ({}, '{"a": Infinity}', UNREADABLE, "send null instead"),
        ({}, '{"a": 1e400}', UNREADABLE, "send null instead"),
        ({}, " " * 1_000_001, UNREADABLE, "more than the 1000000 accepted"),
        ({}, "{}", MISFIT, "it holds no value"),
        ({}, "[]", MISFIT, "it holds no value"),
        ({}, "3", MISFIT, "declare point"),
        ({}, '{"a": "3"}', MISFIT, 'declare text = "number"'),
        ({}, '{"a": [1]}', MISFIT, "'a' is a list"),
        ({}, '{"": 1}', MISFIT, "cannot name a point"),
        ({}, '{"a\\u0000": 1}', MISFIT, "cannot name a point"),
        ({}, '{"Vigia/Epoch": 1}', MISFIT, "gives a meaning"),
        ({}, '{"a":' * 9 + "1" + "}" * 9, MISFIT, "too deep"),
        ({"values": "v"}, '{"a": 1}', MISFIT, "'v' is not there"),
        ({"records": "v"}, '{"v": [1]}', MISFIT, "declare point"),
        ({"text": "number"}, '{"a": "x"}', MISFIT, "its number in words"),
        ({"text": "number"}, '{"a": "1e400"}', MISFIT, "larger than a float"),
        ({"time": "t", "time_unit": "s"}, '{"t": [1767225600], "a": [1, 2]}', MISFIT, "no list of 1 values"),
        ({"name": "n", "value": "v"}, '{"n": 1, "v": 1}', MISFIT, "send text"),
        ({"name": "n", "value": "v"}, '{"n": "a"}', MISFIT, "'v' is not there"),
        ({"name": "n", "value": "v", "unit": "u"}, '{"n": "a", "v": 1, "u": 3}', MISFIT, "is no unit"),
        ({"quality": "q"}, '{"q": "so so", "a": 1}', MISFIT, "declare it in qualities"),
        ({"decoder": "number", "point": "p"}, b"\xff", UNREADABLE, "not UTF-8"),
        ({"decoder": "number", "point": "p"}, "{" * 101, UNREADABLE, "declare another decoder"),
        ({"decoder": "number", "point": "p"}, "NaN", MISFIT, "is the text 'NaN'"),
        ({"decoder": "number", "point": "p"}, "1_000", MISFIT, "is the text"),
        ({"decoder": "number", "point": "p"}, "9" * 400, UNREADABLE, "no number"),
        ({"decoder": "number", "point": "p"}, "9e999", MISFIT, "larger than a float"),
        ({"decoder": "csv-row", "columns": ["a", "b"]}, "1", UNREADABLE, "row 1 has 1 cells, and columns names 2"),
        ({"decoder": "csv-row", "columns": ["a", "b"]}, '"1,2', UNREADABLE, "not a row of CSV"),
        ({"decoder": "json-lines"}, '{"a": 1}\n{', UNREADABLE, "line 2: not JSON"),
        ({"decoder": "json-lines"}, "\n" * 20_001 + "1", UNREADABLE, "more than the 20000 lines"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_message_with_a_fault_is_refused_whole(keys: dict[str, object], payload: bytes | str, reason: str, remedy: str) -> None:
    one = bench(**keys)
    events = one.hear(("x/y", payload))
    assert [type(event) for event in events] == [Letter]
    assert one.letters[0].reason == reason
    assert remedy in one.letters[0].detail
    assert one.letters[0].message.topic == "x/y"
    assert len(one.letters[0].detail) < 400


def test_senders_that_cannot_be_placed() -> None:
    one = default_bench()
    one.hear(
        ("vigia/acme/none/R1/a", "1"),
        ("vigia/acme/numbered/R1/a", "1"),
        ("other/topic", "1"),
        ("vigia/acme/acme-one//a", "1"),
        ("vigia/acme/acme-one/R1/", "1"),
    )
    assert [letter.reason for letter in one.letters] == [UNKNOWN_SENDER, MISFIT, UNDECLARED, MISFIT, MISFIT]
    assert "no edge node acme/none is registered: add it to its customer's site" in one.letters[0].detail
    assert "register another one for plain devices" in one.letters[1].detail
    assert one.rows == []


def test_the_table_knows_which_senders_are_registered() -> None:
    one = default_bench()
    topics = ["vigia/acme/acme-one/R1", "vigia/acme/none/R1", "other/topic", "vigia/acme/acme-one//a"]
    assert [one.plain.knows(topic, one.sessions.find) for topic in topics] == [True, False, True, True]


def test_declared_points_are_renamed_and_others_left_out() -> None:
    one = bench(others="ignore", points={"a/b": {"name": "T", "unit": "K", "kind": "setting"}, "c": {}})
    one.hear(("x/y", '{"a": {"b": 1, "x": "text"}, "c": 2, "d": [3]}'))
    assert values(one) == {"T": 1.0, "c": 2.0}
    said = {metric.name: dict(metric.properties) for metric in one.births[0].payload.metrics}
    assert said == {"T": {"kind": "setting", "engUnit": "K"}, "c": {}}


def test_words_stand_for_numbers() -> None:
    one = bench(words={"ON": 1, "OFF": 0}, text="ignore")
    one.hear(("x/y", '{"power": "ON", "other": "text"}'))
    assert values(one) == {"power": 1.0}


@pytest.mark.parametrize(
    ("said", "quality"), [('"GOOD"', 192), ('"bad"', 0), ('"ok"', 64), ("true", 192), ("false", 0), ("192", 192), ("500", 500), ("70", 64)]
)
def test_qualities_are_read(said: str, quality: int) -> None:
    one = bench(quality="q", qualities={"ok": "uncertain"})
    one.hear(("x/y", f'{{"q": {said}, "a": 1}}'))
    assert one.rows == [("R1", "a", NOW_MS, 1.0, quality)]


# ── births ──


def test_a_device_is_born_once_and_again_when_it_says_something_new() -> None:
    one = bench()
    one.hear_all("x/y", ['{"a": 1}', '{"b": true}', '{"a": 2}'])
    one.hear(("x/y", '{"a": 3}'))
    assert [[(m.name, m.datatype) for m in birth.payload.metrics] for birth in one.births] == [
        [("a", DataType.DOUBLE), ("b", DataType.BOOLEAN)]
    ]
    one.hear(("x/y", '{"c": null}'))
    one.hear(("x/y", '{"c": 1}'))
    assert [[metric.name for metric in birth.payload.metrics] for birth in one.births[1:]] == [["a", "b", "c"]]
    assert len(one.rows) == 6


def test_births_come_before_letters_and_data() -> None:
    events = bench().hear_all("x/y", ['{"a": 1}', "{", '{"b": 2}'])
    assert [type(event) for event in events] == [DeviceBirth, Letter, DeviceData, DeviceData]


def test_a_birth_says_since_when_the_machine_stands_there() -> None:
    one = bench(time="t", time_unit="ms")
    one.hear_all(
        "x/y", [f'{{"t": {NOW_MS + 5}, "a": 1}}', f'{{"t": {NOW_MS - 7}, "b": 2, "c": null}}', f'{{"t": {NOW_MS - 9}, "c": null}}']
    )
    valued = [metric for metric in one.births[0].payload.metrics if metric.value is not None]
    assert [(metric.name, metric.timestamp, metric.value) for metric in valued] == [("b", NOW_MS - 7, 2.0)]


def test_true_and_false_that_turn_into_numbers_are_numbers_from_then_on() -> None:
    one = bench()
    one.hear(("x/y", '{"a": true}'))
    one.hear(("x/y", '{"a": 7}'))
    one.hear(("x/y", '{"a": false}'))
    assert [value for _, _, _, value, _ in one.rows] == [1.0, 7.0, 0.0]
    assert [birth.payload.metrics[0].datatype for birth in one.births] == [DataType.BOOLEAN, DataType.DOUBLE]


def test_a_device_without_a_role_is_presented_again_after_a_while() -> None:
    one = default_bench()
    for ms in (0, 1_000, 9_999, 10_000, 10_001):
        one.hear(("vigia/acme/acme-one/R9/a", "1"), now_ms=NOW_MS + ms)
    assert len(one.births) == 2
    one.roles |= {"R9"}
    one.hear(("vigia/acme/acme-one/R9/a", "1"), now_ms=NOW_MS + 20_000)
    assert one.rows == [("R9", "a", NOW_MS + 20_000, 1.0, 192)]


def test_a_node_that_forgets_its_devices_hears_of_them_again() -> None:
    one = default_bench()
    one.hear(("vigia/acme/acme-one/R1/a", "1"))
    node = one.sessions.find("acme", "acme-one")
    assert node is not None
    node.forget_devices()
    one.hear(("vigia/acme/acme-one/R1/b", "1"))
    assert [[metric.name for metric in birth.payload.metrics] for birth in one.births] == [["a"], ["a", "b"]]


def test_a_unit_is_learnt_and_may_not_change() -> None:
    one = bench(name="n", value="v", unit="u")
    one.hear(("x/y", '{"n": "a", "v": 1}'))
    one.hear(("x/y", '{"n": "a", "v": 1, "u": "K"}'))
    one.hear(("x/y", '{"n": "a", "v": 1}'))
    one.hear(("x/y", '[{"n": "b", "v": 1}, {"n": "a", "v": 1, "u": "Cel"}]'))
    assert [dict(birth.payload.metrics[0].properties) for birth in one.births] == [{}, {"engUnit": "K"}]
    assert [letter.detail for letter in one.letters] == [
        "'a' came in 'K' before and now in 'Cel': send one unit, or restart ingest after a change"
    ]
    assert len(one.rows) == 3


def test_names_without_end_are_refused() -> None:
    one = bench()
    one.hear_all("x/y", ["{" + ",".join(f'"p{i}-{j}": 1' for j in range(1_000)) + "}" for i in range(6)])
    assert [letter.reason for letter in one.letters] == [TOO_MANY]
    assert len(one.rows) == 5_000
    one.hear(("x/y", '{"p0-1": 2}'))
    assert one.rows[-1][1] == "p0-1"


def test_plain_text_holds_no_sparkplug_metric() -> None:
    # The pipeline reads a foreign birth's values out of the message that brought it: a plain one must hold none.
    payloads = [payload.encode() for _, payload, _ in EXAMPLES.values()]
    assert len(decode_columns(payloads).alias) == 0


def test_two_tables_of_the_same_text_are_equal() -> None:
    table = parse(entry(), "a")
    table.route("x/y")
    assert table == parse(entry(), "b")
