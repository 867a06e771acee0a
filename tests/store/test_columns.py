"""Columns on their way to PostgreSQL: the fast stream is the plain one byte for byte, and arrays arrive as they were."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from vigia.store import queries, telemetry
from vigia.store.columns import FLOAT8, INT2, INT4, TIMESTAMPTZ, Bools, Byteas, Column, copy_binary, copy_telemetry
from vigia.store.database import Database
from vigia.store.telemetry import Writer

Columns = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64], NDArray[np.int16]]


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    n = draw(st.integers(0, 30))
    least = -(2**63) + 946_684_800_000_000  # earlier moments do not fit the server's type
    return (
        draw(arrays.arrays(np.int32, n)),
        draw(arrays.arrays(np.int64, n, elements=st.integers(least, 2**63 - 1))),
        draw(arrays.arrays(np.float64, n, elements=st.one_of(st.floats(), st.just(np.nan)))),
        draw(arrays.arrays(np.int16, n)),
    )


def plainly(point_id: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.float64], quality: NDArray[np.int16]) -> bytes:
    return copy_binary([Column(INT4, point_id), Column(TIMESTAMPTZ, ts), Column(FLOAT8, value), Column(INT2, quality)])


@settings(max_examples=300, deadline=None)
@given(rows=columns())
def test_the_telemetry_stream_is_the_plain_one_byte_for_byte(rows: Columns) -> None:
    assert bytes(copy_telemetry(*rows)) == plainly(*rows)


def test_every_kind_of_nan_is_null_and_infinity_is_not() -> None:
    bits = np.array([0x7FF0000000000000, 0x7FF0000000000001, 0x7FF8000000000000, 0xFFF0000000000000, 0xFFFFFFFFFFFFFFFF], np.uint64)
    value = bits.view(np.float64)
    n = len(value)
    rows = np.arange(n, dtype=np.int32), np.arange(n), value, np.zeros(n, np.int16)
    assert bytes(copy_telemetry(*rows)) == plainly(*rows)
    assert len(copy_telemetry(*rows)) == 19 + 2 * 40 + 3 * 32 + 2


def test_columns_of_different_length_are_refused() -> None:
    one = np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="different length"):
        copy_telemetry(one.astype(np.int32), one, np.zeros(2), one.astype(np.int16))


async def test_the_server_stores_what_the_stream_says(service: Database) -> None:
    n = 10_000  # more than is sent in one piece
    rng = np.random.default_rng(3)
    ts = telemetry.to_us(datetime(2026, 3, 1, tzinfo=UTC)) + np.arange(n) * 1000
    value = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    quality = rng.choice([192, 64, 500, 0], n).astype(np.int16)
    async with service.transaction() as tx:
        await Writer().make_room(tx, ts)
        async with tx.cursor() as cursor, cursor.copy(queries.sql("copy_telemetry")) as stream:
            await stream.write(copy_telemetry(np.arange(1, n + 1, dtype=np.int32), ts, value, quality))
        rows = await (await tx.execute("select point_id, ts, value, quality from telemetry order by point_id")).fetchall()
    assert [row[0] for row in rows] == list(range(1, n + 1))
    assert [row[1] for row in rows] == [telemetry.from_us(at) for at in ts]
    assert [row[2] for row in rows] == [None if np.isnan(one) else one for one in value.tolist()]
    assert [row[3] for row in rows] == quality.tolist()


async def test_bytes_and_booleans_arrive_as_they_are(service: Database) -> None:
    state = np.arange(12, dtype=np.float64).reshape(4, 3)
    flags = np.array([True, False, True])
    cut = Byteas(state, np.array([0, 1, 1, 4]))
    async with service.transaction() as tx:
        row = await (await tx.execute("select %s, %s, %s, %s", (Byteas(state), cut, Byteas(state[:0]), Bools(flags)))).fetchone()
    assert row is not None
    assert row[0] == [one.tobytes() for one in state]
    assert row[1] == [state[:1].tobytes(), b"", state[1:].tobytes()]
    assert row[2] == []
    assert row[3] == flags.tolist()


def test_stretches_outside_the_values_are_refused() -> None:
    state = np.zeros((4, 3))
    for first in ([], [-1, 2], [0, 5], [3, 2]):
        with pytest.raises(ValueError, match="do not ascend"):
            Byteas(state, np.array(first, np.int64))
    with pytest.raises(TypeError, match="memory"):
        Byteas(state[:, :2])
