"""Partials of a batch against a plain count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigia.analytics.kernels.rollup import MINUTE_US, SECOND_US, Readings, by_minute

START = 1_767_225_600_000_000
reading = st.tuples(
    st.integers(1, 3), st.integers(-200_000, 200_000), st.one_of(st.just(np.nan), st.integers(-9, 9).map(float)), st.booleans()
)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(reading, max_size=60))
def test_partials_are_what_a_plain_count_says(rows: list[tuple[int, int, float, bool]]) -> None:
    ordered = sorted(((p, START + ms * 1000, v, good and not np.isnan(v)) for p, ms, v, good in rows), key=lambda row: row[:2])
    columns = list(zip(*ordered, strict=True)) or [(), (), (), ()]
    out = by_minute(
        Readings(
            np.array(columns[0], np.int32), np.array(columns[1], np.int64), np.array(columns[2], float), np.array(columns[3], np.bool_)
        )
    )
    keys = sorted({(p, ts - ts % MINUTE_US) for p, ts, _, _ in ordered})
    assert list(zip(out.point_id.tolist(), out.bucket.tolist(), strict=True)) == keys
    for i, (point, bucket) in enumerate(keys):
        of_minute = [(ts, v, good) for p, ts, v, good in ordered if p == point and ts - ts % MINUTE_US == bucket]
        values = [v for _, v, good in of_minute if good]
        assert out.counted[i] == len(values)
        assert out.total[i] == sum(values)
        assert np.array_equal([out.minimum[i], out.maximum[i]], [min(values), max(values)] if values else [np.nan, np.nan], equal_nan=True)
        newest = max(ts for ts, _, _ in of_minute)
        last = [v for ts, v, _ in of_minute if ts == newest and not np.isnan(v)]
        assert out.last_ts[i] == newest
        assert np.array_equal(out.last[i], max(last) if last else np.nan, equal_nan=True)
        assert int(out.good_mask[i]).bit_count() == len({ts // SECOND_US for ts, _, good in of_minute if good})


def test_columns_must_be_sorted_and_of_one_length() -> None:
    one, two = np.array([1], np.int32), np.array([2, 1], np.int32)
    with pytest.raises(ValueError, match="different length"):
        by_minute(Readings(one, np.zeros(2, np.int64), np.zeros(1), np.ones(1, np.bool_)))
    with pytest.raises(ValueError, match="not sorted"):
        by_minute(Readings(two, np.zeros(2, np.int64), np.zeros(2), np.ones(2, np.bool_)))


def test_a_moment_before_the_last_of_its_point_is_refused_in_any_minute() -> None:
    point = np.array([1, 1, 2], np.int32)
    for late in (START, START - 1, START - MINUTE_US, START - 2 * MINUTE_US):
        ts = np.array([START + 5, late, late], np.int64)
        with pytest.raises(ValueError, match="not sorted"):
            by_minute(Readings(point, ts, np.zeros(3), np.ones(3, np.bool_)))
    fine = by_minute(Readings(point, np.array([START, START, START - 1]), np.zeros(3), np.ones(3, np.bool_)))
    assert fine.counted.tolist() == [2, 1]
