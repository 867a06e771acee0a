"""Whatever arrives on a declared topic becomes events or a letter, never an exception; and what is good is kept to the last value."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_harness import NOW_MS, Bench, bench, default_bench

from vigia.ingest.events import DeviceBirth, DeviceData, Letter
from vigia.ingest.plain import REASONS
from vigia.ingest.plain.devices import Plain
from vigia.ingest.plain.table import load

TABLES: dict[str, dict[str, object]] = {
    "flat": {},
    "dated": {"time": "ts", "time_unit": "ms", "values": "values"},
    "text": {"time": "ts", "time_unit": "s", "time_zone": "Europe/Madrid", "text": "number", "quality": "q"},
    "records": {"records": "values", "name": "name", "value": "value", "time": "/ts", "time_unit": "ms", "unit": "unit", "quality": "q"},
    "lines": {"decoder": "json-lines", "time": "ts", "time_unit": "ms"},
    "number": {"decoder": "number", "point": "{2}", "words": {"ON": 1}},
    "csv": {"decoder": "csv-row", "columns": ["ts", "", "a"], "time": "ts", "time_unit": "ms", "quality": None},
}
SEEDS = [
    b'{"ts": 1767225600000, "values": {"T50": 1577.2, "running": true, "P15": null}}',
    b'{"ts": "2026-01-31T12:00:00.5+01:00", "q": "good", "values": [{"name": "T50", "value": 1e3, "unit": "K", "q": 192}]}',
    b'{"ts": [1767225600000, 1767225600001], "values": {"a": [1, 2], "b": {"c": [null, "3"]}}}',
    b'{"a": 1}\n{"a": -0.5, "ts": 1767225600000}\n',
    b"1767225600000,x,2.5\n1767225600001,,\n",
    b'{"ts": "2026-01-31T12:00:00", "a": "3", "q": true}',
    b"-12.5e-3",
    b"ON",
]
INSERTED = [b'"', b"{", b"[", b"]", b"}", b",", b"\n", b"1e999", b"NaN", b"null", b"9" * 30, b"\\u0000", b"\x00"]
TOPICS = ["x/y", "x/", "x/a\0b", "x/\ud800", "x", "x/y/z", "", "vigia/acme/acme-one/R1", "spBv1.0/acme/DDATA/acme-one/R1"]


def check(one: Bench, *said: tuple[str, bytes]) -> None:
    """Every message has its data, or a letter of a known reason, or holds nothing but what is declared to be left out."""
    before = len(one.letters)
    events = one.hear(*said)
    letters = [event for event in events if isinstance(event, Letter)]
    data = [event for event in events if isinstance(event, DeviceData)]
    assert len(letters) == len(one.letters) - before
    assert {letter.reason for letter in letters} <= set(REASONS)
    assert all(letter.detail for letter in letters)
    of_births = [event for event in events if isinstance(event, DeviceBirth)]
    assert len(letters) + len(data) + len(of_births) == len(events)
    assert len(letters) + len(data) == len(said)


def mutated(rng: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                data[at : at + rng.randint(1, 8)] = b""
            case 2:
                data[at:at] = rng.choice(INSERTED)
            case _:
                other = rng.choice(SEEDS)
                data[at:at] = other[rng.randrange(len(other)) :]
    return bytes(data)


@pytest.mark.parametrize("table", TABLES)
def test_mutated_messages_never_raise(table: str) -> None:
    rng = random.Random(f"plain {table}")  # noqa: S311 - no secret, only variety
    one = bench(**TABLES[table])
    for _ in range(2_000):  # 14,000 messages over all tables
        check(one, (rng.choice(TOPICS[:2]), mutated(rng, rng.choice(SEEDS))))
    assert one.rows
    assert one.letters


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), 1 << 64) | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["ts", "values", "name", "value", "unit", "q", "a", "b", "a/b", ""]), inner, max_size=5)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(said=st.lists(st.tuples(st.sampled_from(TOPICS), json), max_size=4), table=st.sampled_from(sorted(TABLES)))
def test_any_json_on_any_topic(said: list[tuple[str, Any]], table: str) -> None:
    check(bench(**TABLES[table]), *((topic, _dumps(one)) for topic, one in said))


@settings(max_examples=300, deadline=None)
@given(said=st.lists(st.tuples(st.sampled_from(TOPICS), st.binary(max_size=40)), max_size=4))
def test_any_bytes_on_any_topic(said: list[tuple[str, bytes]]) -> None:
    check(default_bench(), *said)


names = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=5)
value = st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=300, deadline=None)
@given(messages=st.lists(st.tuples(st.integers(0, 10**9), st.dictionaries(names, value, min_size=1, max_size=6)), min_size=1, max_size=6))
def test_every_value_of_a_sound_message_is_a_reading(messages: list[tuple[int, dict[str, float | bool | None]]]) -> None:
    one = default_bench()
    payloads = [_dumps({"ts": NOW_MS + ms, "values": values}) for ms, values in messages]
    at_once = len(messages) % 2
    if at_once:
        one.hear_all("vigia/acme/acme-one/R1", payloads)
    else:
        for payload in payloads:
            one.hear(("vigia/acme/acme-one/R1", payload))
    assert one.letters == []
    wanted = [
        ("R1", name, NOW_MS + ms, None if said is None else float(said), 192) for ms, values in messages for name, said in values.items()
    ]
    assert one.rows == wanted


def test_messages_that_differ_in_every_name_stay_within_bounds() -> None:
    one = Bench(Plain(load("default")))
    for i in range(0, 6_000, 500):
        check(one, *((f"vigia/acme/acme-one/R1/p{j}", b"1") for j in range(i, i + 500)))
    assert len(one.births) == 10
    assert len(one.rows) == 5_000


def _dumps(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS, default=str) if _fits(document) else repr(document).encode()


def _fits(document: object) -> bool:
    """Whether orjson can write it: integers of 64 bits."""
    match document:
        case bool() | None | float() | str():
            return True
        case int():
            return -(1 << 63) <= document < 1 << 64
        case list():
            return all(map(_fits, document))
        case dict():
            return all(map(_fits, document.values()))
    return False
