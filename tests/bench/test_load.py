"""The load of a measurement: every reading once, in numbered batches without gaps, the same for the same seed."""

from collections import defaultdict

import numpy as np
import pytest

from vigia.bench.load import Batch, Load, batches, following, readings
from vigia.errors import ConfigError
from vigia.sparkplug.decode import decode_columns

LOAD = Load(rows=1_003, metrics=28, edges=4, points=7)


def numbers(*loads: Load) -> dict[int, list[int]]:
    found = defaultdict(list)
    for load in loads:
        for batch in batches(load):
            found[batch.edge].append(batch.eseq)
    return found


@pytest.mark.parametrize("load", [LOAD, Load(rows=50, metrics=1, edges=3, points=2), Load(rows=100, metrics=3, edges=2), Load(rows=1)])
def test_every_reading_is_sent_once(load: Load) -> None:
    every = readings(load)
    assert len(every.ts) == load.rows == sum(batch.rows for batch in batches(load))
    assert len(set(zip(every.edge.tolist(), every.point.tolist(), every.ts.tolist(), strict=True))) == load.rows


def test_numbers_go_on_without_a_gap_into_the_load_that_follows() -> None:
    found = numbers(LOAD, following(LOAD, rows=100, metrics=7, period_ms=20))
    assert sorted(found) == [0, 1, 2, 3]
    assert all(each == list(range(1, len(each) + 1)) for each in found.values())


def test_the_load_that_follows_repeats_no_moment() -> None:
    assert readings(following(LOAD, rows=100, metrics=7, period_ms=20)).ts.min() > readings(LOAD).ts.max()


def test_time_in_the_data_runs_like_a_clock() -> None:
    load = Load(rows=60_000, metrics=500, edges=10, points=10, period_ms=10)
    every = readings(load)
    assert load.rows_per_s == 10_000
    assert every.ts.max() - every.ts.min() == pytest.approx(1_000 * load.rows / load.rows_per_s, rel=0.1)
    one = every.ts[(every.edge == 3) & (every.point == 4)]
    assert np.array_equal(np.diff(one), np.full(len(one) - 1, load.period_ms))


def test_a_part_of_the_readings_is_that_part() -> None:
    every, part = readings(LOAD), readings(LOAD, 5, 9)
    for whole, some in zip(vars(every).values(), vars(part).values(), strict=True):
        assert np.array_equal(whole[5 * 28 : 9 * 28], some)


def test_messages_that_would_say_some_points_more_often_are_refused() -> None:
    with pytest.raises(ConfigError, match="no multiple of the 10 points"):
        Load(rows=1, metrics=15, points=10)


def test_the_messages_say_what_the_readings_are() -> None:
    made: list[Batch] = list(batches(LOAD))
    columns = decode_columns([batch.numbered(i) for i, batch in enumerate(made)])
    assert columns.faults == {}
    assert columns.seq.tolist() == list(range(len(made)))
    said = columns.alias >= 10
    assert np.array_equal(columns.value[said], readings(LOAD).value)
    assert np.array_equal(columns.ts[said], readings(LOAD).ts)


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert list(batches(LOAD)) == list(batches(LOAD))
