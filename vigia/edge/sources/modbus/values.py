"""What registers and bits mean."""

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


def _text(raw: bytes) -> str | None:
    """The text up to the first zero byte, without the blanks that fill it up."""
    try:
        return raw.split(b"\0", 1)[0].decode().rstrip()
    except UnicodeDecodeError:
        return None
