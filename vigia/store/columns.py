"""Numpy columns in PostgreSQL's binary formats: a COPY of many rows, and array parameters. No Python per row.

Timestamps are int64 microseconds since 1970 UTC on our side. NaN, and whatever `null` marks, travels as null.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01, in microseconds since 1970
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
INT2, INT4, INT8, FLOAT8, TIMESTAMPTZ = 21, 23, 20, 701, 1184
_WIRE: dict[int, np.dtype[Any]] = {
    INT2: np.dtype(">i2"),
    INT4: np.dtype(">i4"),
    INT8: np.dtype(">i8"),
    FLOAT8: np.dtype(">f8"),
    TIMESTAMPTZ: np.dtype(">i8"),
}


@dataclass(frozen=True)
class Column:
    """Values of one PostgreSQL type, given by its oid (INT2 ... TIMESTAMPTZ). Of FLOAT8, NaN is null."""

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


class ArrayParameter:
    """A query parameter that is an array; the classes below say of what."""

    element: ClassVar[int]
    oid: ClassVar[int]

    def __init__(self, values: NDArray[Any]) -> None:
        column = Column(self.element, values)
        header = struct.pack("!5i", 1, column.null() is not None, self.element, len(values), 1)
        self.data = header + _records([column], field_count=False)


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


def _register() -> None:
    for kind in (Int2s, Int4s, Int8s, Float8s, Timestamps):

        class ArrayDumper(Dumper):
            format = Format.BINARY
            oid = kind.oid

            def dump(self, obj: ArrayParameter) -> Buffer:
                return obj.data

        psycopg.adapters.register_dumper(kind, ArrayDumper)


_register()
