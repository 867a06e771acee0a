"""Numpy columns in PostgreSQL's binary formats: a COPY of many rows, and array parameters. No Python per row.

Timestamps are int64 microseconds since 1970 UTC on our side. NaN, and whatever `null` marks, travels as null.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import psycopg
from numba import njit
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01, in microseconds since 1970
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
BOOL, BYTEA, INT2, INT4, INT8, FLOAT8, TIMESTAMPTZ = 16, 17, 21, 23, 20, 701, 1184
_WIRE: dict[int, np.dtype[Any]] = {
    BOOL: np.dtype("?"),
    INT2: np.dtype(">i2"),
    INT4: np.dtype(">i4"),
    INT8: np.dtype(">i8"),
    FLOAT8: np.dtype(">f8"),
    TIMESTAMPTZ: np.dtype(">i8"),
}


@dataclass(frozen=True)
class Column:
    """Values of one PostgreSQL type, given by its oid (BOOL, INT2 ... TIMESTAMPTZ). Of FLOAT8, NaN is null."""

    oid: int
    values: NDArray[Any]

    def on_wire(self) -> NDArray[Any]:
        """The values as the server reads them."""
        values = self.values - POSTGRES_EPOCH_US if self.oid == TIMESTAMPTZ else self.values
        on_wire: NDArray[Any] = values.astype(_WIRE[self.oid])
        return on_wire

    def null(self) -> NDArray[np.bool_] | None:
        """Which values are null; None when none is."""
        if self.oid != FLOAT8:
            return None
        null = np.isnan(self.values)
        return null if null.any() else None


def copy_binary(columns: Sequence[Column]) -> bytes:
    """The rows made of `columns`, all of the same length, as one binary COPY stream."""
    return COPY_HEADER + _records(columns, field_count=True) + COPY_TRAILER


def _records(columns: Sequence[Column], *, field_count: bool) -> bytes:
    fields: list[tuple[str, Any]] = [("fields", ">i2")] if field_count else []
    for i, column in enumerate(columns):
        fields += [(f"size{i}", ">i4"), (f"value{i}", _WIRE[column.oid])]
    records = np.empty(len(columns[0].values), np.dtype(fields))
    if field_count:
        records["fields"] = len(columns)
    keep = None
    for i, column in enumerate(columns):
        records[f"size{i}"] = _WIRE[column.oid].itemsize
        records[f"value{i}"] = column.on_wire()
        null = column.null()
        if null is not None:  # a null is the size -1 and no bytes: cut them out afterwards
            records[f"size{i}"][null] = -1
            keep = np.ones((len(records), records.itemsize), np.bool_) if keep is None else keep
            begin = records.dtype.fields[f"value{i}"][1] if records.dtype.fields else 0
            keep[null, begin : begin + _WIRE[column.oid].itemsize] = False
    if keep is None:
        return records.tobytes()
    return records.view(np.uint8).reshape(keep.shape)[keep].tobytes()


# A telemetry row is 40 bytes, or 32 when its value is null: whole words of 8, in line because header and trailer are
# put around them. It holds, big-endian: 4 fields; 4 bytes, the point; 8 bytes, the moment; 8 bytes, the value; 2 bytes, the quality.
_WORD = 8
_ROWS_AT = 24  # where the rows begin: the first multiple of a word that leaves room for the header
_LONGEST = 5  # words


@njit(cache=True, nogil=True)
def _swapped(word: np.uint64) -> np.uint64:
    """The bytes of `word` in reverse; compiles to one instruction."""
    pairs = ((word & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8)) | ((word >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF))
    fours = ((pairs & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16)) | ((pairs >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF))
    return np.uint64((fours << np.uint64(32)) | (fours >> np.uint64(32)))


@njit(cache=True, nogil=True)
def _telemetry_words(
    point_id: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.uint64], quality: NDArray[np.int16], out: NDArray[np.uint64]
) -> int:
    """Fill `out` (5 words a row) with the rows; return how many words they took. `value` is the bits of float64."""
    b16, b48, low16 = np.uint64(16), np.uint64(48), np.uint64(0xFFFF)
    infinity = np.uint64(0x7FF0000000000000)
    sign = np.uint64(0x7FFFFFFFFFFFFFFF)
    at = 0
    for i in range(len(ts)):
        point = np.uint64(np.uint32(point_id[i]))
        moment = np.uint64(ts[i] - POSTGRES_EPOCH_US)
        bits = value[i]
        last = np.uint64(2 << 16) | np.uint64(np.uint16(quality[i]))
        out[at] = _swapped(np.uint64(0x0004_00000004_0000) | (point >> b16))
        out[at + 1] = _swapped(((point & low16) << b48) | np.uint64(8 << 16) | (moment >> b48))
        if bits & sign > infinity:  # NaN: the size -1 and no bytes
            out[at + 2] = _swapped((moment << b16) | low16)
            out[at + 3] = _swapped((low16 << b48) | last)
            at += 4
        else:
            out[at + 2] = _swapped(moment << b16)
            out[at + 3] = _swapped(np.uint64(8 << 48) | (bits >> b16))
            out[at + 4] = _swapped(((bits & low16) << b48) | last)
            at += 5
    return at


def copy_telemetry(
    point_id: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.float64], quality: NDArray[np.int16]
) -> memoryview:
    """What `copy_binary` gives for the columns INT4, TIMESTAMPTZ, FLOAT8, INT2, much faster; the view owns its memory."""
    if not len(point_id) == len(ts) == len(value) == len(quality):
        raise ValueError("columns of different length")
    first = _ROWS_AT // _WORD
    words = np.empty(first + _LONGEST * len(ts) + 1, np.uint64)
    end = _ROWS_AT + _WORD * _telemetry_words(point_id, ts, value.view(np.uint64), quality, words[first:])
    stream = words.data.cast("B")
    begin = _ROWS_AT - len(COPY_HEADER)
    stream[begin:_ROWS_AT] = COPY_HEADER
    stream[end : end + len(COPY_TRAILER)] = COPY_TRAILER
    return stream[begin : end + len(COPY_TRAILER)]


class ArrayParameter:
    """A query parameter that is an array; the classes below say of what."""

    element: ClassVar[int]
    oid: ClassVar[int]

    def __init__(self, values: NDArray[Any]) -> None:
        column = Column(self.element, values)
        header = struct.pack("!5i", 1, column.null() is not None, self.element, len(values), 1)
        self.data = header + _records([column], field_count=False)


class Bools(ArrayParameter):
    """boolean[]."""

    element, oid = BOOL, 1000


class Int2s(ArrayParameter):
    """smallint[]."""

    element, oid = INT2, 1005


class Int4s(ArrayParameter):
    """int[]."""

    element, oid = INT4, 1007


class Int8s(ArrayParameter):
    """bigint[]."""

    element, oid = INT8, 1016


class Float8s(ArrayParameter):
    """float8[]; NaN is null."""

    element, oid = FLOAT8, 1022


class Timestamps(ArrayParameter):
    """timestamptz[], from microseconds since 1970 UTC."""

    element, oid = TIMESTAMPTZ, 1185


class Byteas(ArrayParameter):
    """bytea[]: stretches of a C-contiguous array, as its bytes lie in memory.

    Element i is values[first[i]:first[i + 1]]; without `first` each of `values` is an element. Raises ValueError when `first` does not
    ascend within `values`, TypeError when `values` is not C-contiguous.
    """

    element, oid = BYTEA, 1001

    def __init__(self, values: NDArray[Any], first: NDArray[np.int64] | None = None) -> None:
        if not values.flags.c_contiguous:
            raise TypeError("the values do not lie in memory row by row")
        first = np.arange(len(values) + 1, dtype=np.int64) if first is None else first
        if not len(first) or first[0] < 0 or first[-1] > len(values) or np.any(first[1:] < first[:-1]):
            raise ValueError("the elements do not ascend within the values")
        stride = values.nbytes // max(len(values), 1)
        elements = len(first) - 1
        out = np.empty(4 * elements + stride * int(first[-1] - first[0]), np.uint8)
        _sized_pieces(values.reshape(-1).view(np.uint8), first * stride, out)
        self.data = struct.pack("!5i", 1, 0, self.element, elements, 1) + out.tobytes()


@njit(cache=True, nogil=True)
def _sized_pieces(flat: NDArray[np.uint8], first: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    """Fill `out` with flat[first[i]:first[i + 1]] for each i, its length as four big-endian bytes before it."""
    at = 0
    for i in range(len(first) - 1):
        size = first[i + 1] - first[i]
        for byte in range(4):
            out[at + byte] = size >> (24 - 8 * byte) & 0xFF
        out[at + 4 : at + 4 + size] = flat[first[i] : first[i + 1]]
        at += 4 + size


def warm_up() -> None:
    """Compile for the types of the signatures above."""
    one = np.zeros(1, np.int64)
    copy_telemetry(one.astype(np.int32), one, np.zeros(1), one.astype(np.int16))
    Byteas(np.zeros((1, 1)))


def _register() -> None:
    for kind in (Bools, Int2s, Int4s, Int8s, Float8s, Timestamps, Byteas):

        class ArrayDumper(Dumper):
            format = Format.BINARY
            oid = kind.oid

            def dump(self, obj: ArrayParameter) -> Buffer:
                return obj.data

        psycopg.adapters.register_dumper(kind, ArrayDumper)


_register()
