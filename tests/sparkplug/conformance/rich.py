"""Transcripts that also have what ours never do: templates, data sets, MQTT 5. All of it as it should be."""

from typing import Any

from conformance.edge_play import SCRIPTED
from conformance.mutating import at, chain, packet, payload
from conformance.packets import Connect, Disconnect
from conformance.reading import Message, Reading
from conformance.transcript import Transcript
from vigia.sparkplug.datatypes import DataType

TEMPLATE, INSTANCE, TABLE = "Pump", "Pump 1", "Table"
ALIAS = {INSTANCE: 9_001, TABLE: 9_002}
_DATA_SET = {
    "num_of_columns": 2,
    "columns": ["at", "what"],
    "types": [DataType.DATE_TIME, DataType.STRING],
    "rows": [{"elements": [{"long_value": 1}, {"string_value": "on"}]}],
}
_MEMBERS = [
    {"name": "speed", "datatype": DataType.DOUBLE, "double_value": 1.0},
    {"name": "on", "datatype": DataType.BOOLEAN, "boolean_value": True},
]
_PARAMETERS = [{"name": "size", "type": DataType.INT32, "int_value": 3}]
_DEFINITION = {"version": "1", "is_definition": True, "metrics": _MEMBERS, "parameters": _PARAMETERS}
_INSTANCE = {"version": "1", "is_definition": False, "template_ref": TEMPLATE, "metrics": _MEMBERS, "parameters": _PARAMETERS}


def scripted(message: Message) -> bool:
    """Whether it is a message of the third act, in which the rest is put."""
    return message.levels[3] == SCRIPTED.split("/")[1]


def rich_edge(transcript: Transcript) -> Transcript:
    """With a template, an instance, a data set, and the last connection in MQTT 5."""
    last = len(list(transcript.packets(Connect))) - 1
    farewell = len(list(transcript.packets(Disconnect))) - 1
    return chain(
        payload("NBIRTH", _define, where=scripted),
        payload("DBIRTH", _bear, where=scripted),
        payload("DDATA", _tell, n=-1, where=scripted),
        packet(Connect, last, level=5),
        packet(Disconnect, farewell, reason=4),
    )(transcript)


def _define(message: Any) -> None:  # noqa: ANN401 - protobuf classes are built at run time
    message.metrics.add(name=TEMPLATE, timestamp=message.timestamp, datatype=DataType.TEMPLATE, template_value=_DEFINITION)


def _bear(message: Any) -> None:  # noqa: ANN401
    now = message.timestamp
    message.metrics.add(name=INSTANCE, alias=ALIAS[INSTANCE], timestamp=now, datatype=DataType.TEMPLATE, template_value=_INSTANCE)
    message.metrics.add(name=TABLE, alias=ALIAS[TABLE], timestamp=now, datatype=DataType.DATA_SET, dataset_value=_DATA_SET)


def _tell(message: Any) -> None:  # noqa: ANN401
    partial = {**_INSTANCE, "metrics": _MEMBERS[:1]}
    message.metrics.add(alias=ALIAS[INSTANCE], timestamp=message.timestamp, template_value=partial)


def rich_host(transcript: Transcript) -> Transcript:
    """With a connection in MQTT 5, and an end that closes without DISCONNECT."""
    return _without_farewell(packet(Connect, 0, level=5)(transcript))


def _without_farewell(transcript: Transcript) -> Transcript:
    """Of the second host, which stops last."""
    line = next(line for line in Reading(transcript).lines if line.server == "B" and line.of("STATE"))
    assert line.left is not None
    return at(transcript, line.left)
