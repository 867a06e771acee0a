"""The codec gives back what it was given, and answers rubbish with one error type and a reason."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia.sparkplug import PayloadError
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import MAX_METRICS, MAX_PAYLOAD_BYTES
from vigia.sparkplug.payload import Metric, Payload, decode, encode, typed
from vigia.sparkplug.payload_schema import PayloadMessage

UINT64 = st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


VALUES: dict[DataType, st.SearchStrategy[Any]] = {
    DataType.INT8: integers(8, signed=True),
    DataType.INT16: integers(16, signed=True),
    DataType.INT32: integers(32, signed=True),
    DataType.INT64: integers(64, signed=True),
    DataType.UINT8: integers(8, signed=False),
    DataType.UINT16: integers(16, signed=False),
    DataType.UINT32: integers(32, signed=False),
    DataType.UINT64: UINT64,
    DataType.FLOAT: st.floats(width=32, allow_nan=False),
    DataType.DOUBLE: st.floats(allow_nan=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: TEXT,
    DataType.TEXT: TEXT,
    DataType.UUID: st.uuids().map(str),
    DataType.DATE_TIME: UINT64,
    DataType.BYTES: st.binary(max_size=30),
    DataType.INT32_ARRAY: st.binary(max_size=30),
}
KEYS = TEXT.filter(lambda key: key != "Quality")
PROPERTIES = st.recursive(
    st.dictionaries(KEYS, st.none() | st.booleans() | integers(64, signed=True) | st.floats(allow_nan=False) | TEXT, max_size=4),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=2), max_size=3),
    max_leaves=4,
)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    datatype = draw(st.sampled_from(list(VALUES)))
    return Metric(
        name=draw(TEXT),
        alias=draw(st.none() | UINT64),
        timestamp=draw(st.none() | UINT64),
        datatype=datatype,
        value=draw(st.none() | VALUES[datatype]),
        is_historical=draw(st.booleans()),
        is_transient=draw(st.booleans()),
        properties=draw(PROPERTIES),
    )


PAYLOADS = st.builds(
    Payload, timestamp=st.none() | UINT64, metrics=st.lists(metrics(), max_size=5).map(tuple), seq=st.none() | st.integers(0, 255)
)


def reason_against(data: bytes) -> str | None:
    try:
        decode(data)
    except PayloadError as error:
        return str(error)
    return None


@given(PAYLOADS)
def test_a_payload_survives_the_wire(payload: Payload) -> None:
    assert decode(encode(payload)) == payload


@given(st.lists(metrics(), max_size=5))
def test_data_under_an_alias_reads_with_the_data_type_of_the_birth(born: list[Metric]) -> None:
    sent = tuple(Metric(alias=alias, datatype=metric.datatype, value=metric.value) for alias, metric in enumerate(born))
    datatypes: dict[str | int, DataType] = {alias: metric.datatype for alias, metric in enumerate(born) if metric.datatype is not None}

    data = encode(Payload(metrics=sent))

    assert decode(data, datatypes).metrics == sent
    assert tuple(typed(metric, datatypes[alias]) for alias, metric in enumerate(decode(data).metrics)) == sent


def test_data_under_an_alias_carries_no_data_type() -> None:
    assert decode(encode(Payload(metrics=(Metric(alias=0, datatype=DataType.DOUBLE, value=1.0),)))).metrics[0].datatype is None


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_rubbish_is_refused_with_a_reason_or_read(data: bytes) -> None:
    assert reason_against(data) != ""


@given(PAYLOADS, st.data())
def test_a_payload_with_bytes_changed_is_refused_with_a_reason_or_read(payload: Payload, data: st.DataObject) -> None:
    wire = bytearray(encode(payload) + b"\x00")
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    assert reason_against(bytes(wire)) != ""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("datatype", [DataType.FLOAT, DataType.DOUBLE])
def test_floats_that_are_no_number_travel_too(value: float, datatype: DataType) -> None:
    metric = decode(encode(Payload(metrics=(Metric("x", datatype=datatype, value=value),)))).metrics[0]
    assert isinstance(metric.value, float)
    assert math.isnan(metric.value) if math.isnan(value) else metric.value == value


@pytest.mark.parametrize(
    ("datatype", "raw"), [(DataType.INT8, 0xFD), (DataType.INT8, 0xFFFFFFFD), (DataType.INT16, 0xFFFD), (DataType.INT32, 0xFFFFFFFD)]
)
def test_a_negative_number_reads_from_either_width_of_twos_complement(datatype: DataType, raw: int) -> None:
    message: Any = PayloadMessage()
    message.metrics.add(name="x", datatype=datatype, int_value=raw)
    assert decode(message.SerializeToString()).metrics[0].value == -3


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "x", "datatype": 10, "int_value": 3}, "metric x: a DOUBLE cannot be read from int_value"),
        ({"name": "x", "datatype": 1, "int_value": 300}, "metric x: 300 does not fit in 8 bits"),
        ({"name": "x", "datatype": 99, "int_value": 3}, "metric x: unknown data type 99"),
        ({"alias": 7, "datatype": 10}, "metric alias 7: neither a value nor marked as null"),
        ({"datatype": 10, "double_value": 1.0}, "a metric has neither name nor alias"),
        ({"name": "x", "datatype": 16, "string_value": ""}, "metric x: a DATA_SET cannot be read from string_value"),
        ({"name": "x", "datatype": 12, "dataset_value": {}}, "metric x: a STRING cannot be read from dataset_value"),
        ({"name": "x", "datatype": 3, "int_value": 1, "properties": {"keys": ["a"]}}, "metric x: a property set has 1 keys and 0 values"),
        (
            {"name": "x", "datatype": 3, "int_value": 1, "properties": {"keys": ["a"], "values": [{"type": 3}]}},
            "metric x: property 'a' has no value",
        ),
    ],
)
def test_a_poisonous_metric_is_named_with_its_reason(fields: dict[str, Any], reason: str) -> None:
    message: Any = PayloadMessage()
    message.metrics.add(**fields)
    with pytest.raises(PayloadError) as caught:
        decode(message.SerializeToString())
    assert str(caught.value) == reason


@pytest.mark.parametrize("data", [b"\x12\x03\x0a\x01\xff", b"\x12\x08\x0a\x01a\x20\x0c\x7a\x01\xff"])
def test_text_that_is_not_utf8_is_refused(data: bytes) -> None:
    with pytest.raises(PayloadError, match="not valid UTF-8"):
        decode(data)


def test_a_payload_beyond_the_limits_is_refused() -> None:
    with pytest.raises(PayloadError, match="more than the 1000000 accepted"):
        decode(bytes(MAX_PAYLOAD_BYTES + 1))
    crowd = Payload(metrics=(Metric(alias=1),) * (MAX_METRICS + 1))
    with pytest.raises(PayloadError, match="5001 metrics"):
        decode(encode(crowd))


@pytest.mark.parametrize(
    "metric",
    [
        Metric("x", datatype=DataType.INT8, value=128),
        Metric("x", datatype=DataType.UINT64, value=-1),
        Metric("x", datatype=DataType.DOUBLE, value="1"),
        Metric("x", datatype=DataType.INT32, value=True),
        Metric("x", datatype=DataType.DATA_SET, value=b"\xff"),
        Metric("x", value=1),
        Metric("x", datatype=DataType.STRING, value="\ud800"),
        Metric("x", timestamp=-1),
        Metric(value=1, datatype=DataType.INT8),
    ],
)
def test_a_value_that_does_not_fit_is_not_sent(metric: Metric) -> None:
    with pytest.raises(PayloadError):
        encode(Payload(metrics=(metric,)))


SET = {"num_of_columns": 2, "columns": ["a", "b"], "types": [3, 12], "rows": [{"elements": [{"int_value": 1}, {"string_value": "x"}]}]}
INSTANCE = {"is_definition": False, "template_ref": "pump", "parameters": [{"name": "size", "type": 3, "int_value": 1}]}


@pytest.mark.parametrize(
    ("field", "shape", "reason"),
    [
        ("dataset_value", {"num_of_columns": 3}, "a data set of 3 columns has 2 headers"),
        ("dataset_value", {"columns": ["a"]}, "a data set of 2 columns has 1 headers"),
        ("dataset_value", {"types": []}, "a data set of 2 columns has 0 types"),
        ("dataset_value", {"types": [3, 16]}, "a column has data type 16, which is none of the basic ones"),
        ("dataset_value", {"types": [0, 3]}, "a column has data type 0, which is none of the basic ones"),
        ("dataset_value", {"rows": [{"elements": []}]}, "a data set of 2 columns has a row of 0 values"),
        ("template_value", {"is_definition": None}, "a template does not say whether it is a definition"),
        ("template_value", {"is_definition": True}, "a template's definition refers to another template"),
        ("template_value", {"template_ref": None}, "a template's instance does not say of which template"),
        ("template_value", {"parameters": [{"type": 3}]}, "a template's parameter has no name"),
        ("template_value", {"parameters": [{"name": "p"}]}, "the parameter 'p' has data type 0, which is none of the basic ones"),
    ],
)
def test_a_misshapen_data_set_or_template_is_neither_read_nor_sent(field: str, shape: dict[str, Any], reason: str) -> None:
    whole = {**(SET if field == "dataset_value" else INSTANCE), **shape}
    datatype = DataType.DATA_SET if field == "dataset_value" else DataType.TEMPLATE
    message: Any = PayloadMessage()
    message.metrics.add(name="x", datatype=datatype, **{field: {key: value for key, value in whole.items() if value is not None}})
    with pytest.raises(PayloadError) as caught:
        decode(message.SerializeToString())
    assert str(caught.value) == f"metric x: {reason}"
    with pytest.raises(PayloadError) as caught:
        encode(Payload(metrics=(Metric("x", datatype=datatype, value=getattr(message.metrics[0], field).SerializeToString()),)))
    assert str(caught.value) == f"metric 'x': {reason}"


def test_data_sets_and_templates_pass_untouched() -> None:
    message: Any = PayloadMessage()
    message.metrics.add(name="set", datatype=16, dataset_value=SET)
    message.metrics.add(name="one", datatype=19, template_value=INSTANCE)
    message.metrics.add(name="kind", datatype=19, template_value={"version": "1", "is_definition": True})
    wire = message.SerializeToString()
    assert encode(decode(wire)) == wire


def test_quality_travels_as_int32_and_absent_means_good() -> None:
    data = encode(Payload(metrics=(Metric("x", datatype=DataType.DOUBLE, value=1.0, properties={"Quality": 0}),)))
    message: Any = PayloadMessage()
    message.ParseFromString(data)
    assert message.metrics[0].properties.values[0].type == DataType.INT32
    assert decode(data).metrics[0].quality == 0
    assert Metric("x").quality == 192
