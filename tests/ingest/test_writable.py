"""What a birth says that its device can be told, and what of it is kept."""

from typing import Any

import pytest
from ingest_harness import Edge, Line, query
from test_command_results import commandable

from vigia.domain.commands import Writable
from vigia.ingest.writable import writable
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload

WORDS = Metric(names.COMMAND, datatype=DataType.STRING)


def told(datatype: DataType, **properties: Any) -> tuple[Writable, ...]:  # noqa: ANN401
    return writable(Payload(metrics=(WORDS, Metric("m", datatype=datatype, properties={names.WRITABLE: True, **properties}))))


def test_a_metric_comes_with_its_bounds() -> None:
    (found,) = told(DataType.DOUBLE, engUnit="bar", engLow=0.0, engHigh=16.0, writeLow=2.0, writeHigh=8.0, critical=True)
    assert found == Writable("m", DataType.DOUBLE, "number", "bar", 2.0, 8.0, (), critical=True)
    (found,) = told(DataType.BOOLEAN, writeAllowed="[true]")
    assert found == Writable("m", DataType.BOOLEAN, "boolean", "1", None, None, (True,), critical=False)
    (found,) = told(DataType.INT16)
    assert (found.low, found.high) == (-32768, 32767)


@pytest.mark.parametrize(
    "said",
    [
        {"writable": False},
        {"writeLow": "2"},
        {"writeHigh": float("nan")},
        {"writeAllowed": "[]"},
        {"writeAllowed": "[NaN]"},
        {"writeAllowed": "[1e999]"},
        {"writeAllowed": "[[1]]"},
        {"writeAllowed": "no JSON"},
        {"writeAllowed": "[" * 100_000},
        {"writeAllowed": 3},
    ],
)
def test_what_is_not_clear_is_not_told(said: dict[str, Any]) -> None:
    assert told(DataType.DOUBLE, **said) == ()


def test_a_device_that_hears_no_words_is_told_nothing() -> None:
    assert told(DataType.DATA_SET) == ()
    metric = Metric("m", datatype=DataType.DOUBLE, properties={names.WRITABLE: True})
    assert writable(Payload(metrics=(metric,))) == ()


async def test_the_last_birth_says_what_can_be_told(wire: Line, edge: Edge, seeded: str) -> None:
    kept = "select jsonb_path_query_array(writable, '$[*].name') from birth where device_id = 'R1'"
    await wire.hear(edge.node_birth(), commandable(edge.device_birth("R1", "SN-R1")))
    assert query(seeded, kept) == [(["Device Control/Restart", "Device Control/Trim"],)]
    await wire.hear(edge.device_birth("R1", "SN-R1"))
    assert query(seeded, kept) == [([],)]
