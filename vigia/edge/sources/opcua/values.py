"""A server's values as samples have them: type, value, quality, time."""

import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from asyncua import ua

from vigia.edge.samples import Value
from vigia.sparkplug import PayloadError
from vigia.sparkplug.datatypes import DataType, write_value
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD, QUALITY_UNCERTAIN

WAITING: Final = 0x80320000  # BadWaitingForInitialData: the server has not looked yet
NO_NODE: Final = (0x80330000, 0x80340000)  # BadNodeIdInvalid, BadNodeIdUnknown
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INFO_IS_OF_VALUE: Final = 0x0400
_OVERFLOW: Final = 0x0080
_ENUMERATION: Final = 29
_SCALAR: Final = -1

_DATATYPES: Final = {
    ua.VariantType.Boolean: DataType.BOOLEAN,
    ua.VariantType.SByte: DataType.INT8,
    ua.VariantType.Byte: DataType.UINT8,
    ua.VariantType.Int16: DataType.INT16,
    ua.VariantType.UInt16: DataType.UINT16,
    ua.VariantType.Int32: DataType.INT32,
    ua.VariantType.UInt32: DataType.UINT32,
    ua.VariantType.Int64: DataType.INT64,
    ua.VariantType.UInt64: DataType.UINT64,
    ua.VariantType.Float: DataType.FLOAT,
    ua.VariantType.Double: DataType.DOUBLE,
    ua.VariantType.String: DataType.STRING,
    ua.VariantType.DateTime: DataType.DATE_TIME,
    ua.VariantType.Guid: DataType.UUID,
    ua.VariantType.StatusCode: DataType.UINT32,
    ua.VariantType.QualifiedName: DataType.STRING,
    ua.VariantType.LocalizedText: DataType.STRING,
}
# Types of the standard that have no values of their own, only subtypes.
_ABSTRACT: Final = {24: DataType.DOUBLE, 26: DataType.DOUBLE, 27: DataType.INT64, 28: DataType.UINT64, _ENUMERATION: DataType.INT32}


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of a node. `us` is the source's time in microseconds since 1970 UTC; `overflow`: values before it were lost."""

    us: int
    value: Value | None
    quality: int
    overflow: bool = False
    received_ms: int | None = None

    @property
    def ms(self) -> int:
        """The time as samples have it."""
        return self.us // 1000


def datatype_of_variant(kind: ua.VariantType) -> DataType | None:
    """The Sparkplug data type that holds values of `kind`; None when none does."""
    return _DATATYPES.get(kind)


def datatype_of_standard(number: int) -> DataType | None:
    """The data type of the node `i=<number>` of the standard namespace; None when no metric can hold it."""
    if number in _ABSTRACT:
        return _ABSTRACT[number]
    return _DATATYPES.get(ua.VariantType(number)) if number <= max(ua.VariantType) else None


def is_array(value_rank: int, value: object) -> bool:
    """Whether a variable holds several values."""
    return value_rank > _SCALAR or isinstance(value, list)


def to_us(when: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (when.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """The moment `us` microseconds after 1970 UTC."""
    return _EPOCH + timedelta(microseconds=us)


def read(data: ua.DataValue, datatype: DataType, index: int | None, received_ms: int) -> Reading:
    """What `data` says for a point of `datatype`; `index` is its element of an array. Its time is the source's, else the server's."""
    status = ua.StatusCode() if data.StatusCode is None else data.StatusCode
    stamps = (to_us(stamp) for stamp in (data.SourceTimestamp, data.ServerTimestamp) if stamp is not None)
    us = next((stamp for stamp in stamps if stamp > 0), received_ms * 1000)
    overflow = status.value & (_INFO_IS_OF_VALUE | _OVERFLOW) == _INFO_IS_OF_VALUE | _OVERFLOW
    value = None if status.is_bad() or data.Value is None else _value(data.Value.Value, datatype, index)
    if value is None:
        return Reading(us, None, QUALITY_BAD, overflow)
    return Reading(us, value, QUALITY_UNCERTAIN if status.is_uncertain() else QUALITY_GOOD, overflow)


def _value(raw: object, datatype: DataType, index: int | None) -> Value | None:
    """`raw` as the value of a metric; None when it cannot be one."""
    if isinstance(raw, list):
        # A server answers with the element alone or, if it knows no ranges, with the whole array.
        at = 0 if len(raw) == 1 else index
        if at is None or at >= len(raw):
            return None
        raw = raw[at]
    value = _plain(raw)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if datatype in (DataType.DOUBLE, DataType.FLOAT) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    try:
        write_value(datatype, value)
    except PayloadError:
        return None
    return value


def _plain(raw: object) -> Value | None:
    plain: Value | None = None
    match raw:
        case bool() | float() | str():
            plain = raw
        case int():
            plain = int(raw)  # an enumeration's number
        case datetime():
            plain = to_us(raw) // 1000
        case ua.LocalizedText():
            plain = raw.Text or ""
        case ua.QualifiedName():
            plain = raw.Name or ""
        case ua.StatusCode():
            plain = int(raw.value)
        case uuid.UUID():
            plain = str(raw)
    return plain
