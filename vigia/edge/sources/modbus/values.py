"""What registers and bits mean, and what to write so that they mean a value."""

import math
import struct
from collections.abc import Sequence

from vigia.edge.samples import Value
from vigia.edge.sources.modbus.config import DeviceConfig, PointConfig, Type

_FORMATS: dict[Type, str] = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}
_FLOATS: tuple[Type, ...] = ("float32", "float64")


def value_of(point: PointConfig, device: DeviceConfig, words: Sequence[int]) -> Value | None:
    """The value of `point`, in its unit, from its own bits or registers. None when they hold none: NaN, infinity, no text."""
    if point.type == "bool":
        return bool(words[0])
    byte_order = point.byte_order or device.byte_order
    if point.type == "string":
        return _text(b"".join(word.to_bytes(2, byte_order) for word in words))
    if (point.word_order or device.word_order) == "little":
        words = words[::-1]
    raw = b"".join(word.to_bytes(2, byte_order) for word in words)
    if point.bit is not None:
        return bool(int.from_bytes(raw, "big") >> point.bit & 1)
    (number,) = struct.unpack(_FORMATS[point.type], raw)
    if point.is_scaled:
        number = number * point.factor + point.offset
    return number if math.isfinite(number) else None


class UnwritableValueError(ValueError):
    """The value does not fit into the point's registers."""


def words_of(point: PointConfig, device: DeviceConfig, value: Value) -> list[int]:
    """The bit or the registers from which `value_of` reads `value`, a whole number as near as one comes. Raises UnwritableValueError."""
    if point.type == "bool":
        return [int(bool(value))]
    byte_order = point.byte_order or device.byte_order
    raw = _text_bytes(point, value) if point.type == "string" else _number_bytes(point, value)
    words = [int.from_bytes(raw[at : at + 2], byte_order) for at in range(0, len(raw), 2)]
    is_reversed = point.type != "string" and (point.word_order or device.word_order) == "little"
    return words[::-1] if is_reversed else words


def _text_bytes(point: PointConfig, value: Value) -> bytes:
    raw = str(value).encode()
    if len(raw) > 2 * point.width:
        raise UnwritableValueError(f"{point.name} holds {2 * point.width} bytes, this text has {len(raw)}")
    return raw.ljust(2 * point.width, b"\0")


def _number_bytes(point: PointConfig, value: Value) -> bytes:
    try:
        number = (float(value) - point.offset) / point.factor if point.is_scaled else value
        return struct.pack(_FORMATS[point.type], number if point.type in _FLOATS else round(float(number)) if point.is_scaled else number)
    except (struct.error, OverflowError, ValueError):
        raise UnwritableValueError(f"{value} does not fit into the {point.type} of {point.name}") from None


def _text(raw: bytes) -> str | None:
    """The text up to the first zero byte, without the blanks that fill it up."""
    try:
        return raw.split(b"\0", 1)[0].decode().rstrip()
    except UnicodeDecodeError:
        return None
