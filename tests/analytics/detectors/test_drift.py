"""The drift detector on what a newcomer would try first, against pure noise and against engines that wear."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vigia.analytics import detectors
from vigia.analytics.detectors import DEFAULTS, DetectorError, Readings, Sign, about_of, new_state
from vigia.analytics.evaluate import cmapss

STEP_US = 1_800_000_000  # half an hour: fifty of them are more than a day


def one_point(values: NDArray[np.float64], after: int = 0) -> Readings:
    n = len(values)
    return Readings(np.zeros(n, np.int64), np.arange(after + 1, after + n + 1) * STEP_US, values, about_of(np.zeros(1, np.int64)))


def drifts(values: NDArray[np.float64], state: NDArray[np.void] | None = None) -> list[Sign]:
    signs = detectors.score(new_state(1) if state is None else state, one_point(values)).signs
    return [sign for sign in signs if sign.detector == "drift"]


def starts(values: NDArray[np.float64]) -> list[int]:
    return [sign.reading for sign in drifts(values)]


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
    (sign,) = drifts(values)
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


def test_the_end_of_a_drift_is_told_with_the_reading_that_brings_it_back() -> None:
    values = np.random.default_rng(5).normal(0.0, 1.0, 400)
    values[100:150] += 5.0
    signs, ends = detectors.score(new_state(1), one_point(values))
    assert [sign.reading // 50 for sign in signs] == [2]
    assert [(end.detector, 150 <= end.reading < 160) for end in ends] == [("drift", True)]


def test_of_drifts_that_were_not_told_no_end_is() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(0.0, 1.0, (5, 200))
    values[:, 100:150] += 5.0
    about = about_of(np.zeros(5, np.int64))
    ts = np.tile(np.arange(1, 201) * STEP_US, 5)
    signs, ends = detectors.score(new_state(5), Readings(np.repeat(np.arange(5), 200), ts, values.ravel(), about))
    assert sorted(end.reading // 200 for end in ends) == sorted(sign.reading // 200 for sign in signs)
    assert len(ends) == 3


def test_until_a_usual_day_is_known_it_takes_ten_times_as_much() -> None:
    """A machine that swings once a day is healthy; its first fifty readings do not tell, when they come by the minute."""
    minute = np.arange(4_000)
    values = 0.6 * np.sin(2 * np.pi * minute / 1_440) + np.random.default_rng(6).normal(0.0, 0.3, len(minute))
    readings = Readings(np.zeros(len(minute), np.int64), (1 + minute) * 60_000_000, values, about_of(np.zeros(1, np.int64)))
    bold = detectors.score(new_state(1), readings, DEFAULTS._replace(unsure=1.0)).signs
    (far,) = detectors.score(new_state(1), replace(readings, value=values + 6.0 * (minute > 1_000))).signs[:1]
    assert len(bold) > 0
    assert detectors.score(new_state(1), readings).signs == []
    assert 1_000 < far.reading < 1_060
    assert 1.0 <= far.score < 1.1
    assert far.why["learned_over_h"] == 0.817


def test_a_constant_sensor_says_nothing_and_one_wild_reading_neither() -> None:
    constant = np.full(1000, 518.67)
    assert starts(constant) == []
    constant[500] = 1e6
    assert starts(constant) == []
    noisy = np.random.default_rng(1).normal(0.0, 1.0, 1000)
    noisy[[300, 600]] = 1e9
    assert starts(noisy) == []


def test_the_level_follows_what_is_slow_and_small_but_only_so_far() -> None:
    """An hour of warming up by one sigma is the machine's day; ten sigmas in the same slow way are a drift."""
    noise = np.random.default_rng(7).normal(0.0, 1.0, 60_000)
    ramp = np.linspace(0.0, 1.0, len(noise))
    assert starts(noise + ramp) == []
    assert starts(noise + 10.0 * ramp) != []
    state = new_state(1)
    drifts(noise + ramp, state)
    assert 0.6 < state["level"][0] < 1.6


def test_what_is_awaited_long_weighs_more_but_never_much() -> None:
    """The level follows by the time between readings, and no reading after a pause decides it alone."""
    rng = np.random.default_rng(8)
    often, seldom, paused = new_state(1), new_state(1), new_state(1)
    healthy, later = one_point(rng.normal(0.0, 1.0, 50)), np.full(100, 0.9) + rng.normal(0.0, 0.1, 100)
    for state, step in ((often, STEP_US), (seldom, 5 * STEP_US), (paused, 10**6 * STEP_US)):
        detectors.score(state, healthy)
        ts = healthy.ts[-1] + np.arange(1, 101) * step
        detectors.score(state, Readings(np.zeros(100, np.int64), ts, later, healthy.about))
    assert 0 < often["level"][0] < seldom["level"][0] < paused["level"][0] < 0.9
    detectors.score(often, one_point(np.array([50.0]), after=10**7))
    assert often["level"][0] < 0.2


def test_missing_and_late_readings_change_nothing() -> None:
    values = np.random.default_rng(2).normal(0.0, 1.0, 100)
    state, other = new_state(1), new_state(1)
    detectors.score(state, one_point(values))
    detectors.score(other, one_point(values))
    late = one_point(values[:50] + 100.0)
    assert detectors.score(other, late) == ([], [])
    assert np.array_equal(state, other)
    with_gaps = np.repeat(values, 2)
    with_gaps[1::2] = np.nan
    assert [reading // 2 for reading in starts(with_gaps)] == starts(values)


def test_historical_readings_that_come_in_order_count_as_live_ones_do() -> None:
    values = np.random.default_rng(3).normal(10.0, 1.0, 300)
    values[200:] += 3.0
    state = new_state(1)
    found = [
        50 * batch + sign.reading
        for batch in range(6)
        for sign in detectors.score(state, one_point(values[50 * batch :][:50], 50 * batch)).signs
    ]
    assert found == starts(values)


def test_nothing_is_learned_while_a_case_is_open_and_a_new_baseline_begins_after_the_work() -> None:
    rng = np.random.default_rng(4)
    healthy, during, after = rng.normal(10.0, 1.0, 200), rng.normal(11.0, 1.0, 200), rng.normal(14.0, 2.0, 200)
    readings = one_point(np.concatenate((healthy, during, after)))
    readings.about.held_from[0] = readings.ts[199]
    state = new_state(1)
    detectors.score(state, Readings(readings.row[:200], readings.ts[:200], readings.value[:200], readings.about))
    level = state["level"].copy()
    detectors.score(state, Readings(readings.row[200:400], readings.ts[200:400], readings.value[200:400], readings.about))
    assert state["level"] == level
    readings.about.new_from[0] = readings.ts[399]
    signs = detectors.score(state, Readings(readings.row[400:], readings.ts[400:], readings.value[400:], readings.about))
    assert signs == ([], [])
    assert 13.0 < state["mean"][0] < 15.0
    assert state["epoch"] == readings.ts[399] // 1_000_000


def test_one_cause_in_many_sensors_is_told_by_the_first_three() -> None:
    rng = np.random.default_rng(4)
    points, n = 14, 200
    values = rng.normal(0.0, 1.0, (points, n))
    values[:, 100:] += 4.0
    row = np.repeat(np.arange(points), n)
    ts = np.tile(np.arange(1, n + 1) * STEP_US, points)
    together = Readings(row, ts, values.ravel(), about_of(np.zeros(points, np.int64)))
    apart = Readings(row, ts, values.ravel(), about_of(np.arange(points)))
    assert len(detectors.score(new_state(points), together).signs) == 3
    assert len(detectors.score(new_state(points), apart).signs) == points


def test_columns_that_do_not_fit_are_refused_before_anything_changes() -> None:
    state = new_state(1)
    good = one_point(np.ones(3))
    for bad in (
        Readings(good.row, good.ts[:2], good.value, good.about),
        Readings(good.row + 1, good.ts, good.value, good.about),
        Readings(good.row - 1, good.ts, good.value, good.about),
        Readings(good.row, good.ts[::-1].copy(), good.value, good.about),
        Readings(good.row, good.ts, good.value, about_of(np.zeros(2, np.int64))),
    ):
        with pytest.raises(DetectorError):
            detectors.score(state, bad)
    assert np.array_equal(state, new_state(1))


def test_it_is_quiet_on_engines_that_wear(training_file: Path) -> None:
    """At most a handful of findings in an engine's life, none in its first thirty cycles; on training units only."""
    counts, leads = [], []
    for run in cmapss.read_runs(training_file, range(1, 81)):
        cycles, sensors = run.sensors.shape
        row = np.repeat(np.arange(sensors), cycles)
        ts = np.tile(np.arange(1, cycles + 1) * 2 * STEP_US, sensors)
        readings = Readings(row, ts, run.sensors.T.ravel(), about_of(np.zeros(sensors, np.int64)))
        signs = detectors.score(new_state(sensors), readings).signs
        counts.append(len(signs))
        leads += [cycles - signs[0].reading % cycles] if signs else []
        assert all(sign.reading % cycles >= 30 for sign in signs)
    assert max(counts) <= 5
    assert np.median(leads) > 40
