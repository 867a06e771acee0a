import numpy as np
import pytest

from vigia.analytics.baselines import learned, rows_of
from vigia.analytics.detectors.sign import End, Sign
from vigia.analytics.detectors.subspace import BaselineError
from vigia.analytics.detectors.together import Baseline, Told, Watch

DAY = 1_440
MINUTE_US = 60_000_000
NAMES = ["T", "P", "F", "V", "speed"]
POINTS = (0, 1, 2, 3, 4)


def machine(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Four channels that follow a hidden load, at two speeds at which all of them read differently; int64[rows] and float64[rows, 5]."""
    rng = np.random.default_rng(seed)
    speed = np.where(np.arange(rows) // 40 % 2 == 0, 1_000.0, 3_000.0)
    load = np.convolve(rng.normal(size=rows + 19), np.full(20, 0.2), "valid")
    level = np.array([80.0, 5.0, 30.0, 1.0]) * np.where(speed > 2_000, 1.5, 1.0)[:, None]
    width = np.array([2.0, 0.1, 1.0, 0.05])
    channels = level + width * (load[:, None] + 0.5 * rng.normal(size=(rows, 4)))
    ts = 10**15 + MINUTE_US * np.arange(rows) + rng.integers(0, MINUTE_US // 4, rows)
    return ts, np.column_stack((channels, speed))


def baseline(days: int = 3) -> Baseline:
    ts, rows = machine(1, days * DAY)
    return learned(ts, rows[:, :4], rows[:, 4:])


def watching(asset: int = 7) -> Watch:
    watch = Watch()
    watch.change({asset: (baseline(), POINTS)})
    return watch


def tell(watch: Watch, ts: np.ndarray, rows: np.ndarray, cut: int = 1_000) -> list[Told]:
    """In batches, the readings of a batch in no order, as several gateways send them."""
    found = []
    for begin in range(0, len(ts), cut):
        part = slice(begin, begin + cut)
        point = np.tile(np.array(POINTS, np.int32), len(ts[part]))
        order = np.random.default_rng(begin).permutation(len(point))
        found += watch.score(point[order], np.repeat(ts[part], 5)[order], rows[part].ravel()[order], NAMES.__getitem__)
    return found


def test_a_healthy_week_keeps_the_budget_of_false_alarms() -> None:
    alarms = [sum(isinstance(one.what, Sign) for one in tell(watching(), *machine(seed, 7 * DAY))) for seed in range(2, 8)]
    assert sum(alarms) <= len(alarms)


def test_a_channel_that_leaves_the_others_is_found_and_named_though_its_value_is_usual() -> None:
    ts, rows = machine(2, 2 * DAY)
    rows[DAY:, 1] = rows[DAY - 40 * 3 : DAY, 1].mean() + 0 * rows[DAY:, 1]
    rows[DAY:, 1] += 0.2 * np.sin(np.arange(DAY))
    found = tell(watching(), ts, rows)
    assert [asset for asset, _, _ in found][:1] == [7]
    assert ts[DAY] <= found[0][1] <= ts[DAY + 200]
    sign = found[0].what
    assert isinstance(sign, Sign)
    assert NAMES[sign.reading] == "P"
    assert str(sign.why["channels"]).startswith("P ")
    assert float(sign.why["p_value"]) < 0.01


def test_a_change_of_the_operating_mode_is_no_finding() -> None:
    ts, rows = machine(3, DAY)
    slow = rows[:, 4] < 2_000
    assert tell(watching(), ts[slow], rows[slow]) == []


@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_where_readings_are_cut_into_batches_changes_nothing(cut: int) -> None:
    ts, rows = machine(2, 700)
    rows[400:, 2] += 8.0
    assert [one[:2] for one in tell(watching(), ts, rows, cut)] == [one[:2] for one in tell(watching(), ts, rows, 300)]


def test_sensors_read_one_after_the_other_make_one_row() -> None:
    ts, rows = machine(2, 700)
    rows[400:, 2] += 8.0
    apart = np.repeat(ts, 5) + np.tile(np.arange(5) * 2_000_000, len(ts))
    found = watching().score(np.tile(np.array(POINTS, np.int32), len(ts)), apart, rows.ravel(), NAMES.__getitem__)
    assert [one[:2] for one in found] == [one[:2] for one in tell(watching(), ts, rows)]
    read = np.full((len(apart), 5), np.nan)
    read[np.arange(len(apart)), np.tile(np.arange(5), len(ts))] = rows.ravel()
    made_ts, made = rows_of(apart, read)
    assert np.array_equal(made_ts, ts)
    assert np.array_equal(made, rows)


def test_a_transaction_that_fails_leaves_no_trace() -> None:
    ts, rows = machine(2, 700)
    rows[400:, 2] += 8.0
    watch, other = watching(), watching()
    tell(watch, ts[:300], rows[:300])
    tell(other, ts[:300], rows[:300])
    watch.done()
    tell(watch, ts[300:], rows[300:], 10_000)
    watch.undo()
    assert [one[:2] for one in tell(watch, ts[300:], rows[300:])] == [one[:2] for one in tell(other, ts[300:], rows[300:])] != []


def test_missing_and_late_readings_are_borne() -> None:
    ts, rows = machine(4, DAY)
    rng = np.random.default_rng(0)
    rows[rng.random(rows.shape) < 0.03] = np.nan
    watch = watching()
    assert tell(watch, ts, rows) == []
    assert tell(watch, ts[:100], rows[:100] + 50.0) == []


def test_another_machines_baseline_leaves_this_ones_memory() -> None:
    ts, rows = machine(2, 700)
    rows[400:, 2] += 8.0
    watch, other = watching(), watching()
    tell(watch, ts[:403], rows[:403])
    tell(other, ts[:403], rows[:403])
    watch.change({3: (baseline(), (5, 6, 7, 8, 9))})
    assert [one[:2] for one in tell(watch, ts[403:], rows[403:])] == [one[:2] for one in tell(other, ts[403:], rows[403:])] != []
    watch.change({}, [7])
    assert tell(watch, ts, rows) == []
    assert len(watch) == 1


def test_a_baseline_is_kept_as_bytes() -> None:
    one = baseline()
    other = Baseline.from_bytes(one.to_bytes())
    assert other.shape == one.shape
    assert all(np.array_equal(a, b) for a, b in zip(one.healthy, other.healthy, strict=True))
    assert np.array_equal(one.usual, other.usual)


@pytest.mark.parametrize("kept", [b"", b"something else", baseline().to_bytes()[:100]])
def test_bytes_of_something_else_are_refused(kept: bytes) -> None:
    with pytest.raises(BaselineError, match="another program"):
        Baseline.from_bytes(kept)


def test_too_little_to_learn_from_is_refused() -> None:
    ts, rows = machine(1, 300)
    with pytest.raises(BaselineError, match="at least 500"):
        learned(ts, rows[:, :4], rows[:, 4:])
    ts, rows = machine(1, 600)
    rows[:, 1:4] = 3.0
    for channels in (rows[:, :4], rows[:, :0]):
        with pytest.raises(BaselineError, match="each must vary"):
            learned(ts, channels, rows[:, 4:])


def parted(alone: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A channel leaves the others for 100 rows from `alone` on."""
    ts, rows = machine(2, 700)
    rows[alone : alone + 100, 2] += 8.0
    return ts, rows


def test_channels_that_come_back_end_their_alarm() -> None:
    ts, rows = parted()
    start, end = tell(watching(), ts, rows)
    assert isinstance(start.what, Sign)
    assert isinstance(end.what, End)
    assert ts[400] <= start.ts < ts[420]
    assert ts[500] < end.ts < ts[560]


@pytest.mark.parametrize("alone", [300, 400])
def test_an_alarm_that_was_told_before_a_start_ends_once_and_never_starts_again(alone: int) -> None:
    ts, rows = parted(alone)
    watch = Watch()
    watch.change({7: (baseline(), POINTS)}, alarmed=[7])
    (told,) = tell(watch, ts[400:], rows[400:])
    assert isinstance(told.what, End)


def test_a_machine_of_one_channel_keeps_the_budget_too() -> None:
    ts, rows = machine(1, 3 * DAY)
    one = learned(ts, rows[:, :1], rows[:, 4:])
    alarms = 0
    for seed in range(2, 6):
        watch = Watch()
        watch.change({7: (one, (0, 1))})
        ts, rows = machine(seed, 7 * DAY)
        rows[-300:, 0] += 40.0
        told = watch.score(np.tile(np.array([0, 1], np.int32), len(ts)), np.repeat(ts, 2), rows[:, [0, 4]].ravel(), str)
        starts = [each.ts for each in told if isinstance(each.what, Sign)]
        assert ts[-300] <= starts[-1] < ts[-270]
        alarms += len(starts) - 1
    assert alarms <= 4
