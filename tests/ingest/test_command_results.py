"""What a gateway says of commands is stored as no reading and is no dead letter; its number counts like any other."""

from dataclasses import replace

from ingest_harness import START_MS, Edge, Line, check_all_stored_once, letters, query

from vigia.ingest.inbox import Message
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, decode, encode

RESULT, COMMAND, RESTART, TRIM = 71, 72, 73, 74


def commandable(birth: Message) -> Message:
    """The DBIRTH of a device that takes commands."""
    payload = decode(birth.payload)
    more = (
        Metric(names.COMMAND_RESULT, RESULT, START_MS, DataType.STRING, properties={"kind": "state"}),
        Metric(names.COMMAND, COMMAND, START_MS, DataType.STRING),
        Metric("Device Control/Restart", RESTART, START_MS, DataType.BOOLEAN, properties={names.WRITABLE: True}),
        Metric("Device Control/Trim", TRIM, START_MS, DataType.DOUBLE, properties={names.WRITABLE: True, "engUnit": "bar"}),
    )
    return replace(birth, payload=encode(replace(payload, metrics=payload.metrics + more)))


async def test_a_result_is_acknowledged_and_no_reading(wire: Line, edge: Edge, seeded: str) -> None:
    births = [edge.node_birth(), commandable(edge.device_birth("R1", "SN-R1"))]
    text = '{"id":"r-1","command":"Device Control/Restart","outcome":"done","reason":"","at":1767225600000}'
    result = edge.raw("R1", [Metric(None, RESULT, START_MS, DataType.STRING, text)])
    again = edge.raw("R1", [Metric(None, RESULT, START_MS, DataType.STRING, text, is_historical=True)], eseq=1)
    await wire.hear(*births, result, again, edge.data("R1", 1))
    check_all_stored_once(seeded, edge)
    assert (wire.host.acknowledged, letters(seeded)) == (2, [])
    announced = query(seeded, "select name from point where name like 'Device Control/%' or name like 'Vigia/%'")
    assert announced == []
