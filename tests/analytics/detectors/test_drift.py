"""The drift detector against its slow truth, against pure noise and against engines that wear."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vigia.analytics import detectors
from vigia.analytics.detectors import DetectorError, Readings, groups_of
from vigia.analytics.detectors.drift import DEFAULTS, Drift
from vigia.analytics.evaluate import cmapss
from vigia.analytics.kernels import drift as kernel

SECOND_US = 1_000_000
QUICK = DEFAULTS._replace(learn=5, slack=0.5, threshold=4.0, shown=1)


def one_point(values: NDArray[np.float64]) -> Readings:
    n = len(values)
    return Readings(np.zeros(n, np.int64), np.arange(1, n + 1) * SECOND_US, values, groups_of(np.zeros(1, np.int64)))


def starts(values: NDArray[np.float64], detector: Drift | None = None) -> list[int]:
    state = np.zeros((1, kernel.STATE_WIDTH))
    return [sign.reading for sign in (detector or Drift()).score(state, one_point(values))]


def naive(values: list[float], s: kernel.Settings) -> list[int]:
    """The same rules for one point, word for word, slowly."""
    found: list[int] = []
    n, mean, variance, up, down, direction, recent = 0, 0.0, 0.0, 0.0, 0.0, 0, 0.0
    for i, x in enumerate(values):
        if math.isnan(x):
            continue
        if n < s.learn or not variance > 0:
            n += 1
            d = x - mean
            if n == 1:
                mean = x
                continue
            if n > kernel.OUTLIER_AFTER and variance > 0:
                limit = kernel.OUTLIER_SIGMA * math.sqrt(variance)
                d = max(-limit, min(limit, d))
            mean += d / n
            variance += (d * (d - d / n) - variance) / n
            continue
        z = max(-s.clip, min(s.clip, (x - mean) / math.sqrt(variance * n / (n - 1))))
        recent += s.weight * (z - recent)
        if direction:
            if recent * direction < s.clear:
                up, down, direction = 0.0, 0.0, 0
            continue
        up, down = max(0.0, up + z - s.slack), max(0.0, down - z - s.slack)
        if max(up, down) > s.threshold:
            direction = 1 if up > down else -1
            found.append(i)
    return found


reading = st.one_of(st.just(math.nan), st.floats(-5, 5), st.sampled_from([0.0, 1.0, 50.0, -50.0]))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(reading, max_size=80))
def test_the_kernel_does_what_the_slow_rules_say(values: list[float]) -> None:
    assert starts(np.array(values, float), Drift(QUICK)) == naive(values, QUICK)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(reading, max_size=60), cut=st.integers(0, 60))
def test_batches_may_be_cut_anywhere(values: list[float], cut: int) -> None:
    detector = Drift(QUICK)
    whole = one_point(np.array(values, float))
    state = np.zeros((1, kernel.STATE_WIDTH))
    parts = []
    for begin, end in ((0, cut), (cut, len(values))):
        part = Readings(whole.row[begin:end], whole.ts[begin:end], whole.value[begin:end], whole.groups)
        parts += [begin + sign.reading for sign in detector.score(state, part)]
    assert parts == starts(whole.value, detector)


def test_a_year_of_noise_raises_nothing() -> None:
    rng = np.random.default_rng(11)
    for _ in range(20):
        assert starts(rng.normal(500.0, 2.0, 50_000)) == []


def test_a_shift_of_three_sigma_is_found_within_twenty_readings_and_said_once() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        values = rng.normal(10.0, 1.0, 300)
        values[200:] += 3.0
        (first,) = starts(values)
        assert 200 <= first < 225


def test_a_finding_says_why() -> None:
    values = np.random.default_rng(3).normal(10.0, 1.0, 300)
    values[200:] -= 3.0
    (sign,) = Drift().score(np.zeros((1, kernel.STATE_WIDTH)), one_point(values))
    assert sign.detector == "drift"
    assert 1.0 <= sign.score < 1.3
    assert sign.why["direction"] == "down"
    assert sign.why["learned_from"] == 50
    assert abs(float(sign.why["baseline"]) - 10.0) < 0.6
    assert 0.6 < float(sign.why["sigma"]) < 1.4
    assert 1.0 < float(sign.why["sigmas"]) < 5.0


def test_a_drift_that_ends_may_start_again() -> None:
    values = np.random.default_rng(5).normal(0.0, 1.0, 400)
    values[100:150] += 5.0
    values[250:300] += 5.0
    assert len(starts(values)) == 2


def test_a_constant_sensor_says_nothing_and_one_wild_reading_neither() -> None:
    constant = np.full(1000, 518.67)
    assert starts(constant) == []
    constant[500] = 1e6
    assert starts(constant) == []
    noisy = np.random.default_rng(1).normal(0.0, 1.0, 1000)
    noisy[[300, 600]] = 1e9
    assert starts(noisy) == []


def test_missing_and_late_readings_change_nothing() -> None:
    values = np.random.default_rng(2).normal(0.0, 1.0, 100)
    state, other = np.zeros((1, kernel.STATE_WIDTH)), np.zeros((1, kernel.STATE_WIDTH))
    Drift().score(state, one_point(values))
    Drift().score(other, one_point(values))
    late = one_point(values[:50] + 100.0)
    assert Drift().score(other, late) == []
    np.testing.assert_array_equal(state, other)
    with_gaps = np.repeat(values, 2)
    with_gaps[1::2] = np.nan
    assert [reading // 2 for reading in starts(with_gaps)] == starts(values)


def test_one_cause_in_many_sensors_is_told_by_the_first_three() -> None:
    rng = np.random.default_rng(4)
    points, n = 14, 200
    values = rng.normal(0.0, 1.0, (points, n))
    values[:, 100:] += 4.0
    row = np.repeat(np.arange(points), n)
    ts = np.tile(np.arange(1, n + 1) * SECOND_US, points)
    together = Readings(row, ts, values.ravel(), groups_of(np.zeros(points, np.int64)))
    apart = Readings(row, ts, values.ravel(), groups_of(np.arange(points)))
    assert len(Drift().score(np.zeros((points, kernel.STATE_WIDTH)), together)) == 3
    assert len(Drift().score(np.zeros((points, kernel.STATE_WIDTH)), apart)) == points


def test_columns_that_do_not_fit_are_refused_before_anything_changes() -> None:
    state = detectors.new_state(1)
    good = one_point(np.ones(3))
    for bad in (
        Readings(good.row, good.ts[:2], good.value, good.groups),
        Readings(good.row + 1, good.ts, good.value, good.groups),
        Readings(good.row - 1, good.ts, good.value, good.groups),
        Readings(good.row, good.ts[::-1].copy(), good.value, good.groups),
        Readings(good.row, good.ts, good.value, groups_of(np.zeros(2, np.int64))),
    ):
        with pytest.raises(DetectorError):
            detectors.score(state, bad)
    assert not state.any()


def test_it_is_quiet_on_engines_that_wear(training_file: Path) -> None:
    """At most a handful of findings in an engine's life, none in its first thirty cycles; on training units only."""
    counts, leads = [], []
    for run in cmapss.read_runs(training_file, range(1, 81)):
        cycles, sensors = run.sensors.shape
        row = np.repeat(np.arange(sensors), cycles)
        ts = np.tile(np.arange(1, cycles + 1) * 3600 * SECOND_US, sensors)
        readings = Readings(row, ts, run.sensors.T.ravel(), groups_of(np.zeros(sensors, np.int64)))
        signs = detectors.score(detectors.new_state(sensors), readings)
        counts.append(len(signs))
        leads += [cycles - signs[0].reading % cycles] if signs else []
        assert all(sign.reading % cycles >= 30 for sign in signs)
    assert max(counts) <= 5
    assert np.median(leads) > 40
