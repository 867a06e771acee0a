"""Data messages as columns: no I/O, no session, one pass over the payloads of a batch. Needs numpy; the gateway does not import it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from vigia.sparkplug.names import MAX_METRICS, MAX_PAYLOAD_BYTES, QUALITY, QUALITY_GOOD
from vigia.sparkplug.payload_schema import PayloadMessage

NONE: Final = -1  # where a number is absent; no seq, alias or timestamp that is used here can be it


class Form(IntEnum):
    """In which protobuf field a value came."""

    NULL = 0
    INTEGER = 1  # int_value or long_value: in `whole`, unsigned as on the wire
    FLOAT = 2  # float_value or double_value
    BOOLEAN = 3
    OTHER = 4  # text, bytes, data set, template, or nothing at all


@dataclass(frozen=True)
class Columns:
    """The metrics of several payloads. Metrics `first[i]` until `first[i + 1]` are those of payload i.

    A payload: seq and timestamp (milliseconds since 1970 UTC), NONE where absent; `faults` says of an unreadable one why.
    A metric: alias and timestamp, NONE where absent; its datatype, 0 where absent; form, value, whole and Quality property.
    `names` holds, by metric, the names of those without an alias; `texts` the values that are text.
    """

    seq: NDArray[np.int64]
    sent: NDArray[np.int64]
    first: NDArray[np.int64]
    alias: NDArray[np.int64]
    ts: NDArray[np.int64]
    datatype: NDArray[np.int64]
    form: NDArray[np.int8]
    value: NDArray[np.float64]
    whole: NDArray[np.uint64]
    quality: NDArray[np.int64]
    faults: dict[int, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)


_FORMS: Final = {
    "int_value": Form.INTEGER,
    "long_value": Form.INTEGER,
    "float_value": Form.FLOAT,
    "double_value": Form.FLOAT,
    "boolean_value": Form.BOOLEAN,
}
_LARGEST: Final = (1 << 63) - 1


def decode_columns(payloads: Sequence[bytes]) -> Columns:
    """The payloads' metrics. One that cannot be read has no metrics and its fault; it never spoils its neighbours."""
    reader = _Reader()
    for payload in payloads:
        reader.read(payload)
    return reader.columns()


class _Reader:
    def __init__(self) -> None:
        self.payloads: list[tuple[int, int]] = []
        self.first = [0]
        self.metrics: list[tuple[int, int, int, int, float, int, int]] = []
        self.faults: dict[int, str] = {}
        self.names: dict[int, str] = {}
        self.texts: dict[int, str] = {}

    def read(self, payload: bytes) -> None:
        message: Any = PayloadMessage()
        fault = None
        if len(payload) > MAX_PAYLOAD_BYTES:
            fault = f"{len(payload)} bytes, more than the {MAX_PAYLOAD_BYTES} accepted"
        else:
            try:
                message.ParseFromString(payload)
            except DecodeError:
                fault = "not a protobuf message of Sparkplug B"
                message = PayloadMessage()
        if len(message.metrics) > MAX_METRICS:
            fault = f"{len(message.metrics)} metrics, more than the {MAX_METRICS} accepted"
        if fault is not None:
            self.faults[len(self.payloads)] = fault
        else:
            for metric in message.metrics:
                self._read_metric(metric)
        seq = message.seq if message.HasField("seq") else NONE
        self.payloads.append((min(seq, _LARGEST), _number(message, "timestamp")))
        self.first.append(len(self.metrics))

    def _read_metric(self, metric: Any) -> None:  # noqa: ANN401  # protobuf classes are built at run time
        alias = _number(metric, "alias")
        if alias == NONE and metric.HasField("name") and isinstance(metric.name, str):
            self.names[len(self.metrics)] = metric.name
        form, value, whole = Form.NULL, np.nan, 0
        if not metric.is_null:
            of = metric.WhichOneof("value")
            form = _FORMS.get(of, Form.OTHER)
            if form is Form.INTEGER:
                whole = getattr(metric, of)
            elif form is not Form.OTHER:
                value = float(getattr(metric, of))
            elif of == "string_value" and isinstance(metric.string_value, str):  # bytes when it is not UTF-8
                self.texts[len(self.metrics)] = metric.string_value
        quality = _quality(metric.properties) if metric.HasField("properties") else QUALITY_GOOD
        self.metrics.append((alias, _number(metric, "timestamp"), metric.datatype, form, value, whole, quality))

    def columns(self) -> Columns:
        payloads = np.array(self.payloads, np.int64).reshape(-1, 2)
        alias, ts, datatype, form, value, whole, quality = zip(*self.metrics, strict=True) if self.metrics else ((),) * 7
        return Columns(
            seq=payloads[:, 0],
            sent=payloads[:, 1],
            first=np.array(self.first, np.int64),
            alias=np.array(alias, np.int64),
            ts=np.array(ts, np.int64),
            datatype=np.array(datatype, np.int64),
            form=np.array(form, np.int8),
            value=np.array(value, np.float64),
            whole=np.array(whole, np.uint64),
            quality=np.array(quality, np.int64),
            faults=self.faults,
            names=self.names,
            texts=self.texts,
        )


def _number(message: Any, name: str) -> int:  # noqa: ANN401
    """An unsigned field, cut at what an int64 holds; NONE when absent."""
    return min(getattr(message, name), _LARGEST) if message.HasField(name) else NONE


def _quality(properties: Any) -> int:  # noqa: ANN401
    for key, value in zip(properties.keys, properties.values, strict=False):
        if key == QUALITY and not value.is_null and value.WhichOneof("value") in ("int_value", "long_value"):
            quality: int = value.int_value or value.long_value
            return min(quality, _LARGEST)
    return QUALITY_GOOD
