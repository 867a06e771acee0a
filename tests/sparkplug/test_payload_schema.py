"""The messages built in code are those of Sparkplug B: bytes put together by hand, field by field, from the specification's numbers."""

import struct

import pytest

from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload, decode, encode

# Field numbers of Payload and Payload.Metric in the specification.
TIMESTAMP, METRICS, SEQ = 1, 2, 3
NAME, ALIAS, METRIC_TIMESTAMP, DATATYPE, IS_HISTORICAL, IS_TRANSIENT, IS_NULL, PROPERTIES = 1, 2, 3, 4, 5, 6, 7, 9
INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING, BYTES = 10, 11, 12, 13, 14, 15, 16
KEYS, VALUES, TYPE, PROPERTY_STRING = 1, 2, 1, 8


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def message(*metric: bytes) -> bytes:
    return number(TIMESTAMP, 1_700_000_000_000) + chunk(METRICS, b"".join(metric)) + number(SEQ, 7)


@pytest.mark.parametrize(
    ("datatype", "value", "encoded"),
    [
        (DataType.INT32, 5, number(INT, 5)),
        (DataType.INT64, 5, number(LONG, 5)),
        (DataType.FLOAT, 1.5, varint(FLOAT << 3 | 5) + struct.pack("<f", 1.5)),
        (DataType.DOUBLE, 1.5, varint(DOUBLE << 3 | 1) + struct.pack("<d", 1.5)),
        (DataType.BOOLEAN, True, number(BOOLEAN, 1)),
        (DataType.STRING, "ok", chunk(STRING, b"ok")),
        (DataType.BYTES, b"\x00\xff", chunk(BYTES, b"\x00\xff")),
    ],
)
def test_each_kind_of_value_has_its_field(datatype: DataType, value: object, encoded: bytes) -> None:
    head = chunk(NAME, b"T50") + number(ALIAS, 3) + number(METRIC_TIMESTAMP, 1_700_000_000_001) + number(DATATYPE, int(datatype))
    read = decode(message(head, number(IS_HISTORICAL, 1), encoded))
    expected = Metric("T50", 3, 1_700_000_000_001, datatype, value, is_historical=True)  # type: ignore[arg-type]
    assert read == Payload(1_700_000_000_000, (expected,), 7)
    assert decode(encode(read)) == read


def test_a_null_and_a_property_have_their_fields() -> None:
    unit = chunk(KEYS, b"engUnit") + chunk(VALUES, number(TYPE, int(DataType.STRING)) + chunk(PROPERTY_STRING, b"Cel"))
    metric = decode(
        message(chunk(NAME, b"T50"), number(DATATYPE, int(DataType.DOUBLE)), number(IS_NULL, 1), chunk(PROPERTIES, unit))
    ).metrics[0]
    assert metric.value is None
    assert metric.properties["engUnit"] == "Cel"


def test_what_we_write_has_the_specifications_numbers() -> None:
    written = encode(Payload(1, (Metric("a", 2, 3, DataType.INT32, 4, is_historical=True, is_transient=True),), 5))
    inside = [
        chunk(NAME, b"a"), number(ALIAS, 2), number(METRIC_TIMESTAMP, 3), number(DATATYPE, int(DataType.INT32)),
        number(IS_HISTORICAL, 1), number(IS_TRANSIENT, 1), number(INT, 4),
    ]  # fmt: skip
    assert written == number(TIMESTAMP, 1) + chunk(METRICS, b"".join(inside)) + number(SEQ, 5)
