"""Many points at once: state and signs are those of the slow rules, read one by one in the order of time."""

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vigia.analytics import detectors
from vigia.analytics.detectors import Readings, groups_of, touched
from vigia.analytics.detectors.drift import DEFAULTS, Drift
from vigia.analytics.kernels import drift as kernel

Row = tuple[int, int, float]  # row of the state, microseconds, value
QUICK = DEFAULTS._replace(learn=4, slack=0.5, threshold=4.0, shown=2)


def sorted_readings(rows: Sequence[Row], group: NDArray[np.int64]) -> Readings:
    ordered = sorted(rows, key=lambda one: one[:2])
    row, ts, value = zip(*ordered, strict=True) if ordered else ((), (), ())
    return Readings(np.array(row, np.int64), np.array(ts, np.int64), np.array(value, float), groups_of(group))


def learn(s: NDArray[np.float64], x: float) -> None:
    s[kernel.LEARNED] += 1
    d = x - s[kernel.MEAN]
    if s[kernel.LEARNED] == 1:
        s[kernel.MEAN] = x
        return
    if s[kernel.LEARNED] > kernel.OUTLIER_AFTER and s[kernel.VARIANCE] > 0:
        limit = kernel.OUTLIER_SIGMA * math.sqrt(s[kernel.VARIANCE])
        d = max(-limit, min(limit, d))
    step = d / s[kernel.LEARNED]
    s[kernel.MEAN] += step
    s[kernel.VARIANCE] += (d * (d - step) - s[kernel.VARIANCE]) / s[kernel.LEARNED]


def watch(s: NDArray[np.float64], x: float, how: kernel.Settings) -> int:
    sigma = math.sqrt(s[kernel.VARIANCE] * s[kernel.LEARNED] / (s[kernel.LEARNED] - 1))
    z = max(-how.clip, min(how.clip, (x - s[kernel.MEAN]) / sigma))
    s[kernel.RECENT] += how.weight * (z - s[kernel.RECENT])
    if s[kernel.DIRECTION]:
        if s[kernel.RECENT] * s[kernel.DIRECTION] >= how.clear:
            return 0
        s[[kernel.SUM_UP, kernel.SUM_DOWN, kernel.DIRECTION]] = 0.0
        return -1
    s[kernel.SUM_UP] = max(0.0, s[kernel.SUM_UP] + z - how.slack)
    s[kernel.SUM_DOWN] = max(0.0, s[kernel.SUM_DOWN] - z - how.slack)
    if max(s[kernel.SUM_UP], s[kernel.SUM_DOWN]) <= how.threshold:
        return 0
    s[kernel.DIRECTION] = 1.0 if s[kernel.SUM_UP] > s[kernel.SUM_DOWN] else -1.0
    return 1


def slowly(state: NDArray[np.float64], readings: Readings, group: NDArray[np.int64], how: kernel.Settings) -> list[tuple[int, float]]:
    """Which readings start a drift that is shown, and their scores: every reading by itself, in the order of (ts, row)."""
    found = []
    for i in np.lexsort((readings.row, readings.ts)).tolist():
        row, ts, x = int(readings.row[i]), int(readings.ts[i]), float(readings.value[i])
        s = state[row]
        if math.isnan(x) or ts <= s[kernel.LAST_TS]:
            continue
        s[kernel.LAST_TS] = ts
        if s[kernel.LEARNED] < how.learn or not s[kernel.VARIANCE] > 0:
            learn(s, x)
            continue
        change = watch(s, x, how)
        shown = np.count_nonzero(state[group == group[row], kernel.SHOWN])
        if change == 1 and shown < how.shown:
            s[kernel.SHOWN] = 1.0
            found.append((i, max(s[kernel.SUM_UP], s[kernel.SUM_DOWN]) / how.threshold))
        elif change == -1:
            s[kernel.SHOWN] = 0.0
    return found


def check(batches: Sequence[Sequence[Row]], group: NDArray[np.int64], how: kernel.Settings) -> int:
    """How many signs both saw."""
    ours, theirs = (np.zeros((len(group), kernel.STATE_WIDTH)) for _ in range(2))
    seen = 0
    for batch in batches:
        readings = sorted_readings(batch, group)
        before = ours.copy()
        signs = [(sign.reading, sign.score) for sign in Drift(how).score(ours, readings)]
        assert signs == slowly(theirs, readings, group, how)
        np.testing.assert_array_equal(ours, theirs)
        untouched = np.setdiff1d(np.arange(len(group)), touched(readings))
        np.testing.assert_array_equal(ours[untouched], before[untouched])
        ours_again = ours.copy()
        ours_again[touched(readings)] = before[touched(readings)]
        np.testing.assert_array_equal(ours_again, before)
        seen += len(signs)
    return seen


reading = st.tuples(
    st.integers(0, 5), st.integers(-1, 40), st.one_of(st.just(math.nan), st.floats(-3, 3), st.sampled_from([0.0, 50.0, 50.0, -50.0]))
)


@settings(max_examples=200, deadline=None)
@given(batches=st.lists(st.lists(reading, max_size=60), min_size=1, max_size=3), group=st.lists(st.integers(-1, 1), min_size=6, max_size=6))
def test_any_readings_give_what_the_slow_rules_say(batches: list[list[Row]], group: list[int]) -> None:
    check(batches, np.array(group, np.int64), QUICK)


def test_drifts_that_come_and_go_together_are_shown_as_the_slow_rules_say() -> None:
    rng = np.random.default_rng(8)
    seen = 0
    for _ in range(15):
        points, per = 12, 30
        group = rng.integers(0, 3, points)
        batches = []
        for batch in range(8):
            level = np.where(rng.random(points) < 0.4, 6.0 * rng.choice([-1, 1], points), 0.0)
            ts = rng.integers(0, 60, (points, per)) + 45 * batch  # moments that tie and arrive late
            value = rng.normal(level[:, None], 1.0, (points, per))
            value[rng.random((points, per)) < 0.1] = np.nan
            row = np.repeat(np.arange(points), per)
            batches.append(list(zip(row.tolist(), ts.ravel().tolist(), value.ravel().tolist(), strict=True)))
        seen += check(batches, group, QUICK)
    assert seen > 100


def test_of_starts_at_the_same_moment_the_lowest_rows_are_shown_and_an_end_makes_room() -> None:
    how = DEFAULTS._replace(learn=20, shown=1)
    ts = np.arange(1, 61)
    noise = np.random.default_rng(5).normal(0.0, 1.0, len(ts))
    first, second = noise.copy(), noise.copy()
    first[20:30] += 30.0
    second[20:30] += 30.0
    second[50:] += 30.0
    rows = [(0, int(at), x) for at, x in zip(ts, first, strict=True)] + [(1, int(at), x) for at, x in zip(ts, second, strict=True)]
    readings = sorted_readings(rows, np.array([7, 7]))
    signs = Drift(how).score(np.zeros((2, kernel.STATE_WIDTH)), readings)
    assert [int(readings.row[sign.reading]) for sign in signs] == [0, 1]
    assert [int(readings.ts[sign.reading]) > 50 for sign in signs] == [False, True]


@settings(max_examples=100, deadline=None)
@given(number=st.lists(st.integers(-3, 3), max_size=12))
def test_every_row_meets_its_group_once_on_a_walk_round(number: list[int]) -> None:
    groups = groups_of(np.array(number, np.int64))
    for row in range(len(number)):
        met, at = [row], int(groups.peer[row])
        while at != row and len(met) <= len(number):
            met.append(at)
            at = int(groups.peer[at])
        assert sorted(met) == [other for other in range(len(number)) if number[other] == number[row]]
        assert {int(groups.leader[other]) for other in met} == {min(met)}


def test_a_state_that_was_read_back_goes_on_as_if_never_stored() -> None:
    rng = np.random.default_rng(9)
    group = np.zeros(4, np.int64)
    rows = [(row, at, float(rng.normal(8.0 if at > 100 else 0.0))) for row in range(4) for at in range(1, 160)]
    whole, parts = detectors.new_state(4), detectors.new_state(4)
    signs = detectors.score(whole, sorted_readings(rows, group))
    assert len(signs) == DEFAULTS.shown
    for begin, end in ((0, 104), (104, 108), (108, 200)):
        detectors.score(parts, sorted_readings([one for one in rows if begin <= one[1] < end], group))
        parts = np.frombuffer(parts.tobytes()).reshape(4, -1).copy()
    np.testing.assert_array_equal(whole, parts)
