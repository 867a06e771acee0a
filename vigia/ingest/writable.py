"""What a birth says that its device can be told."""

import json

import numpy as np

from vigia.domain.commands import Value, ValueKind, Writable
from vigia.ingest.resolve import INTEGER_BITS
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import COMMAND, CRITICAL, ENG_UNIT, WRITABLE, WRITE_ALLOWED, WRITE_HIGH, WRITE_LOW
from vigia.sparkplug.payload import Metric, Payload

_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_KINDS: dict[DataType, ValueKind] = {
    DataType.BOOLEAN: "boolean",
    DataType.FLOAT: "number",
    DataType.DOUBLE: "number",
    DataType.STRING: "text",
    DataType.TEXT: "text",
    **dict.fromkeys(INTEGER_BITS, "integer"),
}


def writable(payload: Payload) -> tuple[Writable, ...]:
    """The metrics that a DCMD with the words of a Vigía host may write; none of a device that does not hear such words.

    One whose bounds cannot be read is left out: better not told than told what was not meant.
    """
    if payload.metric(COMMAND) is None:
        return ()
    found = {metric.name: one for metric in payload.metrics if metric.name and (one := _writable(metric)) is not None}
    return tuple(found.values())


def _writable(metric: Metric) -> Writable | None:
    said, datatype = metric.properties, metric.datatype
    kind = None if datatype is None else _KINDS.get(datatype)
    if said.get(WRITABLE) is not True or datatype is None or kind is None:
        return None
    unit = said.get(ENG_UNIT)
    try:
        low, high, allowed = _bound(said.get(WRITE_LOW)), _bound(said.get(WRITE_HIGH)), _allowed(said.get(WRITE_ALLOWED))
    except ValueError:
        return None
    least, most = _limits(datatype)
    return Writable(
        name=metric.name or "",
        datatype=int(datatype),
        kind=kind,
        unit=unit if isinstance(unit, str) and unit else "1",
        low=least if low is None else low,
        high=most if high is None else high,
        allowed=allowed,
        critical=said.get(CRITICAL) is True,
    )


def _bound(said: object) -> float | None:
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int | float) or not np.isfinite(said):
        raise ValueError
    return float(said)


def _allowed(said: object) -> tuple[Value, ...]:
    if said is None:
        return ()
    try:
        values = json.loads(said, parse_constant=_bound) if isinstance(said, str) else None
    except RecursionError as error:
        raise ValueError from error
    if not isinstance(values, list) or not values or not all(isinstance(one, bool | int | float | str) for one in values):
        raise ValueError
    if not all(np.isfinite(one) for one in values if isinstance(one, float)):
        raise ValueError
    return tuple(values)


def _limits(datatype: DataType) -> tuple[float | None, float | None]:
    """What the data type itself can hold, where that is less than a double."""
    if datatype is DataType.FLOAT:
        return -_LARGEST_FLOAT, _LARGEST_FLOAT
    if datatype not in INTEGER_BITS:
        return None, None
    bits, signed = INTEGER_BITS[datatype]
    return (-float(1 << (bits - 1)), float((1 << (bits - 1)) - 1)) if signed else (0.0, float((1 << bits) - 1))
