"""The order of a batch against the slow one, and the shapes of batch that could make it slow or wrong."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia.analytics.kernels.order import RUN, SPARSE, Rows, by_slot

row = st.tuples(
    st.integers(0, 4),
    st.integers(0, 6),
    st.one_of(st.just(np.nan), st.integers(-2, 2).map(float), st.sampled_from([-0.0, 1e308, np.inf])),
    st.sampled_from([0, 64, 192, 500]),
)


def rows_of(rows: list[tuple[int, int, float, int]]) -> Rows:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return Rows(np.array(columns[0], np.int32), np.array(columns[1], np.int64), np.array(columns[2], float), np.array(columns[3], np.int16))


def random_rows(n: int, slots: int, moments: int) -> Rows:
    rng = np.random.default_rng(n)
    value = np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 3, n).astype(float))
    return Rows(rng.integers(0, slots, n).astype(np.int32), rng.integers(0, moments, n), value, rng.choice([0, 192], n).astype(np.int16))


def check(rows: Rows, slots: int) -> None:
    order, ordered = by_slot(rows, slots)
    for ours, column in zip(ordered, rows, strict=True):
        np.testing.assert_array_equal(ours, column[order])
        assert ours.dtype == column.dtype
    value = np.where(np.isnan(rows.value), -np.inf, rows.value)
    np.testing.assert_array_equal(order, np.lexsort((rows.quality, value, rows.ts, rows.slot)))  # stable too


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(row, max_size=70), slots=st.sampled_from([5, 70 * SPARSE]))
def test_the_order_is_that_of_the_slow_sort(rows: list[tuple[int, int, float, int]], slots: int) -> None:
    check(rows_of(rows), slots)


@pytest.mark.parametrize("n", [RUN - 1, RUN, RUN + 1, 2 * RUN, 3 * RUN + 1, 5_000])
@pytest.mark.parametrize("slots", [1, 3, 2_000_000])
@pytest.mark.parametrize("moments", [7, 1_000_000])
def test_stretches_of_every_length_are_repaired(n: int, slots: int, moments: int) -> None:
    check(random_rows(n, slots, moments), slots)


def test_no_value_stands_before_the_least_value() -> None:
    rows = rows_of([(0, 1, -np.inf, 0), (0, 1, np.nan, 192)])
    assert by_slot(rows, 1)[0].tolist() == [1, 0]


def test_one_slot_in_reverse_is_no_catastrophe() -> None:
    n = 200_000
    rows = Rows(np.zeros(n, np.int32), np.arange(n)[::-1].copy(), np.zeros(n), np.zeros(n, np.int16))
    by_slot(rows, 1)
    begin = time.thread_time()
    order, ordered = by_slot(rows, 1)
    assert time.thread_time() - begin < 0.1
    np.testing.assert_array_equal(order, np.arange(n)[::-1])
    np.testing.assert_array_equal(ordered.ts, np.arange(n))


def test_columns_that_do_not_fit_are_refused() -> None:
    one = rows_of([(1, 0, 0.0, 0)])
    for slots in (0, 1):
        with pytest.raises(ValueError, match="outside"):
            by_slot(one, slots)
    with pytest.raises(ValueError, match="outside"):
        by_slot(one._replace(slot=np.array([-1], np.int32)), 5)
    for short in (
        one._replace(ts=np.empty(0, np.int64)),
        one._replace(value=np.empty(0)),
        one._replace(quality=np.empty(0, np.int16)),
    ):
        with pytest.raises(ValueError, match="different length"):
            by_slot(short, 5)
