"""Many points at once: state and signs are those of the slow rules, read one by one in the order of time."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_watch import slowly

from vigia.analytics import detectors
from vigia.analytics.detectors import DEFAULTS, DETECTORS, NEVER, About, Readings, Settings, about_of, new_state, touched
from vigia.analytics.kernels import level
from vigia.analytics.kernels import watch as kernel

Row = tuple[int, int, float]  # row of the state, seconds, value
QUICK = DEFAULTS._replace(
    learn=4,
    slack=0.5,
    threshold=4.0,
    usual=40.0,
    unsure=2.0,
    guard=2.0,
    memory=2.0,
    heaviest=0.2,
    faulty=2,
    flat=3,
    flat_ratio=1,
    fast=2.0,
    climbs=2,
    shown=2,
)


def sorted_readings(rows: Sequence[Row], about: About) -> Readings:
    ordered = sorted(rows, key=lambda one: one[:2])
    row, ts, value = zip(*ordered, strict=True) if ordered else ((), (), ())
    return Readings(np.array(row, np.int64), np.array(ts, np.int64) * kernel.US, np.array(value, float), about)


def check(batches: Sequence[Sequence[Row]], about: About, how: Settings) -> int:
    """How many signs both saw."""
    ours, theirs = (new_state(len(about.leader)) for _ in range(2))
    seen = 0
    for batch in batches:
        readings = sorted_readings(batch, about)
        before = ours.copy()
        scored, told = detectors.score(ours, readings, how), slowly(theirs, readings, how)
        signs = [(sign.reading, sign.detector) for sign in scored.signs]
        assert signs == [(reading, DETECTORS[kind].name) for reading, kind, change in told if change > 0]
        assert scored.ends == [(DETECTORS[kind].name, reading) for reading, kind, change in told if change < 0]
        for name in detectors.STATE.names or ():
            np.testing.assert_array_equal(ours[name], theirs[name], name)
        untouched = np.setdiff1d(np.arange(len(ours)), touched(readings))
        assert np.array_equal(ours[untouched], before[untouched])
        ours_again = ours.copy()
        ours_again[touched(readings)] = before[touched(readings)]
        assert np.array_equal(ours_again, before)
        seen += len(signs)
    return seen


reading = st.tuples(
    st.integers(0, 5),
    st.integers(-1, 40),
    st.one_of(st.just(math.nan), st.just(math.inf), st.floats(-3, 3), st.sampled_from([0.0, 7.0, 7.5, 50.0, 50.0, -50.0])),
)
moment = st.one_of(st.just(NEVER), st.integers(0, 40).map(lambda second: second * kernel.US))


@settings(max_examples=300, deadline=None)
@given(
    batches=st.lists(st.lists(reading, max_size=60), min_size=1, max_size=3),
    group=st.lists(st.integers(-1, 1), min_size=6, max_size=6),
    limits=st.lists(st.sampled_from([(math.nan, math.nan), (-3.0, 50.0), (0.0, 7.0), (8.0, 7.0)]), min_size=6, max_size=6),
    times=st.lists(st.tuples(moment, moment), min_size=6, max_size=6),
)
def test_any_readings_give_what_the_slow_rules_say(
    batches: list[list[Row]], group: list[int], limits: list[tuple[float, float]], times: list[tuple[int, int]]
) -> None:
    about = about_of(np.array(group, np.int64))
    about.low[:], about.high[:] = zip(*limits, strict=True)
    about.held_from[:] = [held for held, _ in times]
    about.new_from[:] = [0 if renewed == NEVER else renewed for _, renewed in times]
    check(batches, about, QUICK)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(reading, max_size=120), cuts=st.lists(st.integers(0, 40), max_size=4), seed=st.integers(0, 9))
def test_neither_cutting_nor_shuffling_nor_late_readings_change_anything(rows: list[Row], cuts: list[int], seed: int) -> None:
    """Batches are cut between moments; of several readings of a point at one moment the first in the order of ingest counts."""
    about = about_of(np.array([0, 0, 0, 1, 1, 1]))
    rows = [one for one in {(row, second): (row, second, value) for row, second, value in rows}.values() if one[1] > 0]
    whole, parts = new_state(6), new_state(6)
    at_once = sorted_readings(rows, about)
    signs = [
        (int(at_once.ts[one.reading]), int(at_once.row[one.reading]), one.detector, one.why)
        for one in detectors.score(whole, at_once, QUICK).signs
    ]
    rng = np.random.default_rng(seed)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    found = []
    edges = [0, *sorted(cuts), 41]
    for begin, end in pairwise(edges):
        part = sorted_readings([one for one in shuffled if begin <= one[1] < end], about)
        found += [
            (int(part.ts[one.reading]), int(part.row[one.reading]), one.detector, one.why)
            for one in detectors.score(parts, part, QUICK).signs
        ]
        known = [(row, int(ts) // kernel.US, 1e9) for row, ts in enumerate(parts["last_ts"].tolist()) if ts > 0]
        before = parts.copy()
        assert detectors.score(parts, sorted_readings(known, about), QUICK) == ([], [])  # late: not newer than the newest
        assert np.array_equal(parts, before)
    assert found == signs
    assert np.array_equal(whole, parts)


def test_drifts_that_come_and_go_together_are_shown_as_the_slow_rules_say() -> None:
    rng = np.random.default_rng(8)
    seen = 0
    for _ in range(15):
        points, per = 12, 30
        group = rng.integers(0, 3, points)
        batches = []
        for batch in range(8):
            level = np.where(rng.random(points) < 0.4, 6.0 * rng.choice([-1, 1], points), 0.0)
            ts = rng.integers(1, 60, (points, per)) + 45 * batch  # moments that tie and arrive late
            value = rng.normal(level[:, None], 1.0, (points, per))
            value[rng.random((points, per)) < 0.1] = np.nan
            row = np.repeat(np.arange(points), per)
            batches.append(list(zip(row.tolist(), ts.ravel().tolist(), value.ravel().tolist(), strict=True)))
        seen += check(batches, about_of(group), QUICK)
    assert seen > 100


def test_of_starts_at_the_same_moment_the_lowest_rows_are_shown_and_an_end_makes_room() -> None:
    how = DEFAULTS._replace(learn=20, shown=1, usual=0.0)
    ts = np.arange(1, 61)
    noise = np.random.default_rng(5).normal(0.0, 1.0, len(ts))
    first, second = noise.copy(), noise.copy()
    first[20:30] += 30.0
    second[20:30] += 30.0
    second[50:] += 30.0
    rows = [(0, int(at), x) for at, x in zip(ts, first, strict=True)] + [(1, int(at), x) for at, x in zip(ts, second, strict=True)]
    readings = sorted_readings(rows, about_of(np.array([7, 7])))
    signs = [sign for sign in detectors.score(new_state(2), readings, how).signs if sign.detector == "drift"]
    assert [int(readings.row[sign.reading]) for sign in signs] == [0, 1]
    assert [int(readings.ts[sign.reading]) > 50 * kernel.US for sign in signs] == [False, True]


@settings(max_examples=100, deadline=None)
@given(number=st.lists(st.integers(-3, 3), max_size=12))
def test_every_row_meets_its_group_once_on_a_walk_round(number: list[int]) -> None:
    groups = about_of(np.array(number, np.int64))
    for row in range(len(number)):
        met, at = [row], int(groups.peer[row])
        while at != row and len(met) <= len(number):
            met.append(at)
            at = int(groups.peer[at])
        assert sorted(met) == [other for other in range(len(number)) if number[other] == number[row]]
        assert {int(groups.leader[other]) for other in met} == {min(met)}


def test_a_state_that_was_read_back_goes_on_as_if_never_stored() -> None:
    rng = np.random.default_rng(9)
    about = about_of(np.zeros(4, np.int64))
    rows = [(row, at, float(rng.normal(8.0 if at > 100 else 0.0))) for row in range(4) for at in range(1, 160)]
    whole, parts = new_state(4), new_state(4)
    quick = DEFAULTS._replace(usual=0.0)
    signs = detectors.score(whole, sorted_readings(rows, about), quick).signs
    assert [sign.detector for sign in signs].count("drift") == DEFAULTS.shown
    for begin, end in ((0, 104), (104, 108), (108, 200)):
        detectors.score(parts, sorted_readings([one for one in rows if begin <= one[1] < end], about), quick)
        parts = np.frombuffer(parts.tobytes(), detectors.STATE).copy()
    assert np.array_equal(whole, parts)


def test_a_table_is_watched_as_its_readings_are() -> None:
    """Level and sums of points abreast, whatever is missing; the last block is not full, the first rows are the baseline."""
    rng = np.random.default_rng(6)
    points, rows = 150, 300
    values = rng.normal(0.0, 1.0, (rows, points)) + np.where(rng.random(points) < 0.3, 1.0, 0.0) * np.linspace(0, 6, rows)[:, None]
    values[rng.random(values.shape) < 0.05] = np.nan
    ts = np.cumsum(rng.integers(1, 5 * kernel.US, rows))
    about = about_of(np.arange(points))
    one_by_one, table = new_state(points), new_state(points)
    readings = Readings(np.repeat(np.arange(points), rows), np.tile(ts, points), values.T.ravel(), about)
    calm = DEFAULTS._replace(faulty=100, usual=60.0)
    signs = {
        (sign.reading // rows, sign.reading % rows)
        for sign in detectors.score(one_by_one, readings, calm).signs
        if sign.detector == "drift"
    }
    found = set()
    for begin, end in ((0, 120), (120, 121), (121, rows)):
        crossed = level.watch_table(table, ts[begin:end], values[begin:end], calm)
        found |= set(zip(crossed.point.tolist(), (crossed.row + begin).tolist(), strict=True))
    assert len(signs) > 20
    assert found == signs
    for name in ("last_ts", "last", "mean", "variance", "level", "spread", "up", "down", "recent", "direction"):
        np.testing.assert_array_equal(table[name], one_by_one[name], name)
