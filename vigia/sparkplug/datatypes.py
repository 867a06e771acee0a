"""Sparkplug B data types and how each one's value travels in a protobuf field."""

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from vigia.sparkplug import PayloadError

Scalar = bool | int | float | str | bytes


class DataType(IntEnum):
    """Data types of metrics, properties and arrays by their Sparkplug numbers."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14
    UUID = 15
    DATA_SET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATE_TIME_ARRAY = 34

    @property
    def is_number(self) -> bool:
        """Whether a value is an int or a float (Boolean and DateTime are not counted as numbers)."""
        return DataType.INT8 <= self <= DataType.DOUBLE


# Bits and sign of each integer type.
_INTEGERS: Final = {
    DataType.INT8: (8, True),
    DataType.INT16: (16, True),
    DataType.INT32: (32, True),
    DataType.INT64: (64, True),
    DataType.UINT8: (8, False),
    DataType.UINT16: (16, False),
    DataType.UINT32: (32, False),
    DataType.UINT64: (64, False),
    DataType.DATE_TIME: (64, False),
}
_TEXTS: Final = (DataType.STRING, DataType.TEXT, DataType.UUID)
_BLOBS: Final = (DataType.BYTES, DataType.FILE, *(t for t in DataType if t >= DataType.INT8_ARRAY))
_WORD_BITS: Final = 32


def _integer_reader(bits: int, *, signed: bool, word: int) -> Callable[[int], int]:
    """How to read an integer of `bits` from an unsigned field of `word` bits."""
    top, half = 1 << bits, 1 << (bits - 1)
    word_top, low = 1 << word, (1 << word) - half

    def read_unsigned(raw: int) -> int:
        if raw >= top:
            raise PayloadError(f"{raw} does not fit in {bits} bits")
        return raw

    def read_signed(raw: int) -> int:
        if raw < half:
            return raw
        if raw >= low:  # two's complement of the whole word, as most clients write it
            return raw - word_top
        if raw < top:  # two's complement of the type's own width
            return raw - top
        raise PayloadError(f"{raw} does not fit in {bits} bits")

    return read_signed if signed else read_unsigned


def _readers() -> dict[DataType, dict[str, Callable[..., Scalar] | None]]:
    readers: dict[DataType, dict[str, Callable[..., Scalar] | None]] = {
        kind: {
            # Clients disagree on the field of UInt32 and small types; the type says what is meant.
            "int_value": _integer_reader(bits, signed=signed and bits <= _WORD_BITS, word=_WORD_BITS),
            "long_value": _integer_reader(bits, signed=signed, word=64),
        }
        for kind, (bits, signed) in _INTEGERS.items()
    }
    readers |= {kind: {"float_value": None, "double_value": None} for kind in (DataType.FLOAT, DataType.DOUBLE)}
    readers |= {kind: {"string_value": None} for kind in _TEXTS}
    readers |= {kind: {"bytes_value": None} for kind in _BLOBS}
    readers[DataType.BOOLEAN] = {"boolean_value": None}
    return readers


_READERS: Final = _readers()


def read_value(datatype: DataType, field: str, raw: Scalar) -> Scalar:
    """The value of a metric of `datatype` found as `raw` in the protobuf field `field`. Raises PayloadError when they do not fit."""
    try:
        reader = _READERS[datatype][field]
    except KeyError:
        raise PayloadError(f"a {datatype.name} cannot be read from {field}") from None
    return raw if reader is None else reader(raw)


def write_value(datatype: DataType, value: object) -> tuple[str, Scalar]:
    """The protobuf field and what to put there, so that it reads back as `value`. Raises PayloadError when `value` is no `datatype`."""
    if datatype in (DataType.DOUBLE, DataType.FLOAT):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return ("double_value" if datatype is DataType.DOUBLE else "float_value"), float(value)
    elif datatype in _INTEGERS:
        if isinstance(value, int) and not isinstance(value, bool):
            return _write_integer(datatype, value)
    elif datatype is DataType.BOOLEAN:
        if isinstance(value, bool):
            return "boolean_value", value
    elif datatype in _TEXTS:
        if isinstance(value, str):
            return "string_value", value
    elif datatype in _BLOBS and isinstance(value, bytes):
        return "bytes_value", value
    raise PayloadError(f"{str(value)[:40]!r} ({type(value).__name__}) cannot be sent as {datatype.name}")


def _write_integer(datatype: DataType, value: int) -> tuple[str, int]:
    bits, signed = _INTEGERS[datatype]
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    if not low <= value < high:
        raise PayloadError(f"{value} is out of the range of {datatype.name}")
    word = _WORD_BITS if bits <= _WORD_BITS else 64
    return ("int_value" if word == _WORD_BITS else "long_value"), value % (1 << word)
