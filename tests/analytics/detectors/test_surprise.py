"""The detector of surprises in one series."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vigia.analytics.detectors.surprise import THRESHOLD, Surprise
from vigia.analytics.kernels.surprise import HOLD

MINUTE_US = 60_000_000
Series = tuple[NDArray[np.int64], NDArray[np.float64]]


def made(rows: int = 3_000, seed: int = 1) -> Series:
    return np.arange(rows) * 5 * MINUTE_US, np.random.default_rng(seed).normal(20.0, 1.0, rows)


def findings(ts: NDArray[np.int64], value: NDArray[np.float64]) -> list[int]:
    return np.flatnonzero(Surprise().score(ts, value) >= THRESHOLD).tolist()


def test_a_spike_is_told_where_it_is() -> None:
    ts, value = made()
    value[2_000] += 15
    scores = Surprise().score(ts, value)
    assert scores.argmax() == 2_000
    assert scores[2_000] > 2 * THRESHOLD


def test_a_small_lasting_shift_is_told_soon() -> None:
    ts, value = made()
    value[2_000:] += 3
    found = findings(ts, value)
    assert any(2_000 <= at < 2_040 for at in found)


def test_noise_seldom_surprises() -> None:
    found = [findings(*made(seed=seed)) for seed in range(10)]
    assert sum(len(one) for one in found) <= 30_000 / HOLD / 3


def test_a_series_that_always_spikes_does_not_surprise_by_spiking() -> None:
    ts, value = made()
    spikes = np.random.default_rng(2).random(len(value)) < 0.05
    value[spikes] += 15
    calm_ts, calm = made()
    calm[2_500] += 15
    spiky = Surprise().score(ts, value)[2_000:].max()
    assert spiky < Surprise().score(calm_ts, calm)[2_500] / 3


def test_the_time_of_day_is_no_surprise_and_its_absence_is() -> None:
    ts, value = made(rows=12 * 24 * 21)
    value += 10 * np.sin(2 * np.pi * ts / (24 * 60 * MINUTE_US))
    day = slice(12 * 24 * 18, 12 * 24 * 19)
    usual = Surprise().score(ts, value)[day].max()
    value[day] = 20 + np.random.default_rng(3).normal(0, 1, 12 * 24)
    assert Surprise().score(ts, value)[day].max() > max(THRESHOLD, 1.5 * usual)


@pytest.mark.parametrize("cut", [1, 7, 500])
def test_pieces_give_what_the_whole_gives(cut: int) -> None:
    ts, value = made(1_000)
    value[800] += 10
    streaming = Surprise()
    parts = [streaming.score(ts[at : at + cut], value[at : at + cut]) for at in range(0, len(ts), cut)]
    assert np.array_equal(np.concatenate(parts), Surprise().score(ts, value))


def test_missing_and_late_readings_change_nothing() -> None:
    ts, value = made(1_000)
    expected = Surprise().score(ts, value)
    again = np.sort(np.concatenate((ts, ts[::10])))  # every tenth moment twice
    where = np.searchsorted(again, ts)
    doubled = np.full(len(again), 1e6)
    doubled[where] = value
    scores = Surprise().score(again, doubled)
    assert np.array_equal(scores[where], expected)
    holes = np.insert(value, 500, np.nan)
    assert np.array_equal(np.delete(Surprise().score(np.insert(ts, 500, ts[500] - 1), holes), 500), expected)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_unit_does_not_matter(scale: float) -> None:
    ts, value = made()
    value[2_000] += 15
    assert np.allclose(Surprise().score(ts, value * scale), Surprise().score(ts, value), rtol=1e-6, atol=1e-6)


def test_a_flat_series_never_surprises_and_its_first_move_does() -> None:
    ts = np.arange(2_000) * MINUTE_US
    value = np.full(2_000, 45.0)
    assert not findings(ts, value)
    value[1_500:] = 46.0
    assert 1_500 in findings(ts, value)
