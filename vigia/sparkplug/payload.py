"""Sparkplug B payloads as Python values, both ways.

Null is `value=None`. Integers are plain ints whatever their width; the wire's two's complement stays inside this package.
`DateTime` is int milliseconds since 1970 UTC. Arrays and files are bytes, passed on untouched; so are data sets and
templates, once it is sure that they have the shape they must have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from vigia.sparkplug import PayloadError
from vigia.sparkplug.datatypes import DataType, Scalar, read_value, write_value
from vigia.sparkplug.names import MAX_METRICS, MAX_PAYLOAD_BYTES, QUALITY, QUALITY_GOOD
from vigia.sparkplug.payload_schema import DataSetMessage, PayloadMessage, TemplateMessage
from vigia.sparkplug.shapes import CHECKS

Property = bool | int | float | str | None | Mapping[str, "Property"] | Sequence[Mapping[str, "Property"]]

_BY_NUMBER: Final = {int(kind): kind for kind in DataType}
_NO_PROPERTIES: Final[Mapping[str, Property]] = {}
_NO_DATATYPES: Final[Mapping[str | int, DataType]] = {}
_PROPERTY_DATATYPES: Final = {bool: DataType.BOOLEAN, int: DataType.INT64, float: DataType.DOUBLE, str: DataType.STRING}
_SUB_MESSAGES: Final[dict[DataType, tuple[str, type[Message]]]] = {
    DataType.DATA_SET: ("dataset_value", DataSetMessage),
    DataType.TEMPLATE: ("template_value", TemplateMessage),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One named value at one moment.

    `name`, `alias` or both say what it is. `timestamp` is milliseconds since 1970 UTC. `datatype` None means the sender left it
    to the birth and the reader had no birth: `value` is then what the protobuf field holds, integers unsigned.
    """

    name: str | None = None
    alias: int | None = None
    timestamp: int | None = None
    datatype: DataType | None = None
    value: Scalar | None = None
    is_historical: bool = False
    is_transient: bool = False
    properties: Mapping[str, Property] = field(default_factory=dict)

    @property
    def quality(self) -> int:
        """0 bad, 192 good, 500 stale, or what the sender wrote; absent means good."""
        quality = self.properties.get(QUALITY, QUALITY_GOOD)
        return quality if isinstance(quality, int) else QUALITY_GOOD

    @property
    def label(self) -> str:
        """Name or alias, for messages to people."""
        return repr(self.name) if self.name is not None else f"alias {self.alias}"


@dataclass(frozen=True, slots=True)
class Payload:
    """One message: when it was sent (milliseconds since 1970 UTC), its metrics, and 0..255 for messages that are numbered."""

    timestamp: int | None = None
    metrics: tuple[Metric, ...] = ()
    seq: int | None = None

    def metric(self, name: str) -> Metric | None:
        """The first metric called `name`, or None."""
        return next((metric for metric in self.metrics if metric.name == name), None)


def encode(payload: Payload) -> bytes:
    """The bytes of `payload`. A metric's data type travels with its name; under its alias alone the birth has told it.

    Raises PayloadError when a value does not fit its data type, or a metric has neither name nor alias.
    """
    message: Any = PayloadMessage()
    try:
        if payload.timestamp is not None:
            message.timestamp = payload.timestamp
        if payload.seq is not None:
            message.seq = payload.seq
        for metric in payload.metrics:
            _write_metric(message.metrics.add(), metric)
        data: bytes = message.SerializeToString()
    except (ValueError, TypeError) as error:
        raise PayloadError(f"cannot be encoded: {error}") from None
    return data


def decode(data: bytes, datatypes: Mapping[str | int, DataType] = _NO_DATATYPES) -> Payload:
    """What `data` says. `datatypes`, keyed by alias or name, are those of the births, for metrics that come without one.

    Raises PayloadError with the reason for anything that is not a sound Sparkplug B payload.
    """
    if len(data) > MAX_PAYLOAD_BYTES:
        raise PayloadError(f"{len(data)} bytes, more than the {MAX_PAYLOAD_BYTES} accepted")
    message: Any = PayloadMessage()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise PayloadError("not a protobuf message of Sparkplug B") from None
    if len(message.metrics) > MAX_METRICS:
        raise PayloadError(f"{len(message.metrics)} metrics, more than the {MAX_METRICS} accepted")
    return Payload(
        timestamp=message.timestamp if message.HasField("timestamp") else None,
        metrics=tuple([_read_metric(raw, datatypes) for raw in message.metrics]),
        seq=message.seq if message.HasField("seq") else None,
    )


def typed(metric: Metric, datatype: DataType) -> Metric:
    """`metric`, decoded without its birth, read as `datatype`. Raises PayloadError when its value cannot be one."""
    if metric.value is None:
        return replace(metric, datatype=datatype)
    written = type(metric.value)
    fields = {bool: "boolean_value", int: "long_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
    value = metric.value
    # An unsigned 32-bit word of a small type reads the same from the shorter field.
    name = "int_value" if written is int and isinstance(value, int) and value < 1 << 32 and datatype <= DataType.INT32 else fields[written]
    return replace(metric, datatype=datatype, value=read_value(datatype, name, value))


def _read_metric(raw: Any, datatypes: Mapping[str | int, DataType]) -> Metric:  # noqa: ANN401  # protobuf classes are built at run time
    name = _text(raw.name) if raw.HasField("name") else None
    alias = raw.alias if raw.HasField("alias") else None
    if name is None and alias is None:
        raise PayloadError("a metric has neither name nor alias")
    try:
        datatype = _datatype(raw.datatype, alias, name, datatypes)
        value = None if raw.is_null else _read_metric_value(raw, datatype)
        properties = _read_properties(raw.properties) if raw.HasField("properties") else _NO_PROPERTIES
    except PayloadError as error:
        raise PayloadError(f"metric {name if name is not None else f'alias {alias}'}: {error}") from None
    return Metric(
        name,
        alias,
        raw.timestamp if raw.HasField("timestamp") else None,
        datatype,
        value,
        raw.is_historical,
        raw.is_transient,
        properties,
    )


def _text(value: object) -> str:
    """`value` if it is text: protobuf hands over bytes where a string field of proto2 is not UTF-8."""
    if isinstance(value, str):
        return value
    raise PayloadError("a text is not valid UTF-8")


def _datatype(number: int, alias: int | None, name: str | None, datatypes: Mapping[str | int, DataType]) -> DataType | None:
    if number:
        datatype = _BY_NUMBER.get(number)
        if datatype is None:
            raise PayloadError(f"unknown data type {number}")
        return datatype
    found = datatypes.get(alias) if alias is not None else None
    return found if found is not None or name is None else datatypes.get(name)


def _read_metric_value(raw: Any, datatype: DataType | None) -> Scalar:  # noqa: ANN401
    field_name = raw.WhichOneof("value")
    if field_name is None:
        raise PayloadError("neither a value nor marked as null")
    if field_name in ("dataset_value", "template_value", "extension_value"):
        expected = _SUB_MESSAGES.get(datatype, ("", None))[0] if datatype is not None else field_name
        if field_name != expected:
            raise PayloadError(f"a {datatype.name if datatype is not None else 'metric'} cannot be read from {field_name}")
        if field_name in CHECKS:
            CHECKS[field_name](getattr(raw, field_name))
        blob: bytes = getattr(raw, field_name).SerializeToString()
        return blob
    value: Scalar = getattr(raw, field_name)
    if field_name == "string_value":
        _text(value)
    return value if datatype is None else read_value(datatype, field_name, value)


def _write_metric(raw: Any, metric: Metric) -> None:  # noqa: ANN401
    if metric.name is not None:
        raw.name = metric.name
        raw.datatype = metric.datatype or 0
    elif metric.alias is None:
        raise PayloadError("a metric has neither name nor alias")
    if metric.alias is not None:
        raw.alias = metric.alias
    if metric.timestamp is not None:
        raw.timestamp = metric.timestamp
    if metric.is_historical:
        raw.is_historical = True
    if metric.is_transient:
        raw.is_transient = True
    if metric.properties:
        _write_properties(raw.properties, metric.properties)
    try:
        _write_metric_value(raw, metric.datatype, metric.value)
    except PayloadError as error:
        raise PayloadError(f"metric {metric.label}: {error}") from None


def _write_metric_value(raw: Any, datatype: DataType | None, value: Scalar | None) -> None:  # noqa: ANN401
    if value is None:
        raw.is_null = True
        return
    if datatype is None:
        raise PayloadError("no data type")
    if datatype in _SUB_MESSAGES:
        field_name, message_class = _SUB_MESSAGES[datatype]
        if not isinstance(value, bytes):
            raise PayloadError(f"a {datatype.name} is given as the bytes of its message")
        try:
            getattr(raw, field_name).CopyFrom(message_class.FromString(value))
        except DecodeError:
            raise PayloadError(f"these bytes are no {datatype.name}") from None
        CHECKS[field_name](getattr(raw, field_name))
        return
    setattr(raw, *write_value(datatype, value))


def _read_properties(raw: Any) -> dict[str, Property]:  # noqa: ANN401
    if len(raw.keys) != len(raw.values):
        raise PayloadError(f"a property set has {len(raw.keys)} keys and {len(raw.values)} values")
    return {_text(key): _read_property(key, value) for key, value in zip(raw.keys, raw.values, strict=True)}


def _read_property(key: str, raw: Any) -> Property:  # noqa: ANN401
    field_name = raw.WhichOneof("value")
    if raw.is_null:
        return None
    if field_name is None or field_name == "extension_value":
        raise PayloadError(f"property {key!r} has no value")
    value = getattr(raw, field_name)
    if field_name == "propertyset_value":
        return _read_properties(value)
    if field_name == "propertysets_value":
        return [_read_properties(one) for one in value.propertyset]
    datatype = _BY_NUMBER.get(raw.type)
    if not datatype:
        raise PayloadError(f"property {key!r} has unknown data type {raw.type}")
    if field_name == "string_value":
        return _text(value)
    read: Property = read_value(datatype, field_name, value)  # type: ignore[assignment]  # a property has no field for bytes
    return read


def _write_properties(raw: Any, properties: Mapping[str, Property]) -> None:  # noqa: ANN401
    for key, value in properties.items():
        raw.keys.append(key)
        _write_property(raw.values.add(), key, value)


def _write_property(raw: Any, key: str, value: Property) -> None:  # noqa: ANN401
    """Write `value` under the data type its Python type has: the wire allows any, readers agree on these."""
    if isinstance(value, Mapping):
        raw.type = DataType.PROPERTY_SET
        raw.propertyset_value.SetInParent()
        _write_properties(raw.propertyset_value, value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        raw.type = DataType.PROPERTY_SET_LIST
        raw.propertysets_value.SetInParent()
        for one in value:
            _write_properties(raw.propertysets_value.propertyset.add(), one)
    elif value is None:
        raw.type = DataType.INT32 if key == QUALITY else DataType.STRING
        raw.is_null = True
    else:
        datatype = DataType.INT32 if key == QUALITY else _PROPERTY_DATATYPES.get(type(value), DataType.STRING)
        raw.type = datatype
        setattr(raw, *write_value(datatype, value))
