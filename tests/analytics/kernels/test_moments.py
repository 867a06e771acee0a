import numpy as np
import pytest

from vigia.analytics.kernels.moments import Places, by_machine

PLACES = Places(np.array([0, 0, -1, 2, 1, 2, 2], np.int32), np.array([0, 1, 0, 0, 0, 1, 2], np.int16))


def columns(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Readings of PLACES's points and of some beyond them, at few moments far and near, so that many are equal."""
    ts = rng.integers(0, max(n // 3, 1), n) * 10 ** rng.integers(0, 17, n)
    return rng.integers(0, 9, n).astype(np.int32), ts, rng.normal(size=n)


@pytest.mark.parametrize("order", ["none", "by point", "by time", "falling"])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 300])
def test_each_machines_readings_are_by_time_and_of_equal_times_as_they_came(n: int, order: str) -> None:
    for seed in range(20):
        point, ts, value = columns(np.random.default_rng(seed), n)
        by = {"none": np.arange(n), "by point": np.lexsort((ts, point)), "by time": np.argsort(ts), "falling": np.argsort(-ts)}[order]
        point, ts, value = point[by], ts[by], value[by]
        rows = by_machine(PLACES, np.zeros(3, np.int64), point, ts, value)
        for m in range(3):
            its = np.flatnonzero(np.isin(point, np.flatnonzero(PLACES.machine == m)))
            its = its[np.argsort(ts[its], kind="stable")]
            part = slice(rows.first[m], rows.first[m + 1])
            assert np.array_equal(rows.ts[part], ts[its])
            assert np.array_equal(rows.value[part], value[its])
            assert np.array_equal(rows.column[part], PLACES.column[point[its]])


def test_points_of_nobody_and_unknown_ones_are_left_out() -> None:
    rows = by_machine(PLACES, np.zeros(4, np.int64), np.array([2, 7, 100], np.int32), np.zeros(3, np.int64), np.zeros(3))
    assert rows.first.tolist() == [0, 0, 0, 0, 0]
    assert len(rows.ts) == 0


def test_what_is_older_than_its_machines_moment_is_left_out() -> None:
    since = np.array([100, 0, 100])
    rows = by_machine(PLACES, since, np.array([0, 0, 4, 3, 3], np.int32), np.array([99, 100, 99, 101, 98]), np.arange(5.0))
    assert rows.first.tolist() == [0, 1, 2, 3]
    assert rows.value.tolist() == [1.0, 2.0, 3.0]
