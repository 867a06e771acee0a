"""Payloads to columns by the protobuf classes, a Python object a metric: what decides about every payload that is not plain."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from vigia.sparkplug.columns import LARGEST, LARGEST_SHORT, NONE, Columns, Form
from vigia.sparkplug.names import MAX_METRICS, MAX_PAYLOAD_BYTES, QUALITY, QUALITY_GOOD
from vigia.sparkplug.payload_schema import PayloadMessage

_FORMS: Final = {
    "int_value": Form.INTEGER,
    "long_value": Form.INTEGER,
    "float_value": Form.FLOAT,
    "double_value": Form.FLOAT,
    "boolean_value": Form.BOOLEAN,
}


def read_columns(payloads: Iterable[bytes]) -> Columns:
    """The payloads' metrics. One that cannot be read has no metrics and its fault; it never spoils its neighbours."""
    reader = _Reader()
    for payload in payloads:
        reader.read(payload)
    return reader.columns()


class _Reader:
    def __init__(self) -> None:
        self.payloads: list[tuple[int, int]] = []
        self.first = [0]
        self.metrics: list[tuple[int, int, int, int, float, int, int, bool]] = []
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
        self.payloads.append((_number(message, "seq"), _number(message, "timestamp")))
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
        datatype = min(metric.datatype, LARGEST_SHORT)
        self.metrics.append((alias, _number(metric, "timestamp"), datatype, form, value, whole, quality, metric.is_historical))

    def columns(self) -> Columns:
        payloads = np.array(self.payloads, np.int64).reshape(-1, 2)
        alias, ts, datatype, form, value, whole, quality, historical = zip(*self.metrics, strict=True) if self.metrics else ((),) * 8
        return Columns(
            seq=payloads[:, 0],
            sent=payloads[:, 1],
            first=np.array(self.first, np.int64),
            alias=np.array(alias, np.int64),
            ts=np.array(ts, np.int64),
            datatype=np.array(datatype, np.int32),
            form=np.array(form, np.int8),
            value=np.array(value, np.float64),
            whole=np.array(whole, np.uint64),
            quality=np.array(quality, np.int32),
            historical=np.array(historical, np.bool_),
            faults=self.faults,
            names=self.names,
            texts=self.texts,
        )


def _number(message: Any, name: str) -> int:  # noqa: ANN401
    """An unsigned field, cut at what an int64 holds; NONE when absent."""
    return min(getattr(message, name), LARGEST) if message.HasField(name) else NONE


def _quality(properties: Any) -> int:  # noqa: ANN401
    for key, value in zip(properties.keys, properties.values, strict=False):
        if key == QUALITY and not value.is_null and value.WhichOneof("value") in ("int_value", "long_value"):
            quality: int = value.int_value or value.long_value
            return min(quality, LARGEST_SHORT)
    return QUALITY_GOOD
