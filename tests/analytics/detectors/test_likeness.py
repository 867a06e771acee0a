"""Whether a shape was ever seen in health: ranks, gaps, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from vigia.analytics.detectors.likeness import (
    NO_SHAPE,
    PAST_TOO_SHORT,
    STRETCH,
    WINDOW,
    Floats,
    TooLittleError,
    compare,
    normalised,
    on_grid,
    usual_step,
)

STEP = 60_000_000


def naive(window: Floats, series: Floats) -> Floats:
    """The definition: distances of z-normalised windows; NaN where a reading is missing or none differs."""
    windows = np.lib.stride_tricks.sliding_window_view(series, WINDOW)
    with np.errstate(invalid="ignore"):
        normal = (windows - windows.mean(axis=1, keepdims=True)) / windows.std(axis=1, keepdims=True)
    return np.asarray(np.linalg.norm(normal - (window - window.mean()) / window.std(), axis=1))


def beats(readings: int) -> tuple[np.ndarray, Floats]:
    """A machine's beat every 40 steps, with noise."""
    ts = np.arange(readings, dtype=np.int64) * STEP
    return ts, np.sin(np.arange(readings) * 2 * np.pi / 40) + np.random.default_rng(1).normal(0, 0.05, readings)


def test_a_shape_never_seen_in_health_is_the_rarest() -> None:
    ts, value = beats(700)
    value[660:690] = np.sin(np.arange(30) * 2 * np.pi / 7)
    found = compare(ts, value, 0, int(ts[690]))
    assert found.p_value == 1 / (found.compared + 1) < 0.05
    assert 640 * STEP <= found.at_us <= 690 * STEP


def test_a_familiar_shape_names_its_likeness_whatever_its_level() -> None:
    ts, value = beats(700)
    value[600:] += 50.0
    found = compare(ts, value, 0, int(ts[690]))
    assert found.p_value > 0.05
    assert abs((found.at_us - found.nearest_us) / STEP / 40 - round((found.at_us - found.nearest_us) / STEP / 40)) < 0.1
    assert (found.past_from_us, found.step_us) == (0, STEP)
    assert found.past_until_us < found.at_us


def test_health_makes_every_rank_as_likely() -> None:
    rng, ranks = np.random.default_rng(2), []
    for _ in range(30):
        value = np.convolve(rng.normal(0, 1, 460), np.ones(5), "valid")
        ts = np.arange(len(value), dtype=np.int64) * STEP
        ranks.append(compare(ts, value, 0, int(ts[-1])).p_value)
    assert 0.3 < np.mean(ranks) < 0.7
    assert np.mean(np.array(ranks) <= 0.1) <= 0.2


def test_holes_are_left_out_and_nothing_is_drawn_across_them() -> None:
    ts, value = beats(800)
    kept = np.ones(800, np.bool_)
    kept[200:230] = False
    kept[300:302] = False
    value[400] = np.nan
    grid = on_grid(ts[kept], value[kept], ts, STEP)
    assert np.isnan(grid[200:230]).all()
    assert not np.isnan(np.delete(grid, np.arange(200, 230))).any()
    value[500], value[720] = np.inf, -np.inf
    whole, holed = compare(ts, value, 0, int(ts[-1])), compare(ts[kept], value[kept], 0, int(ts[-1]))
    assert 19 <= holed.compared < whole.compared


def test_readings_at_uneven_times_are_put_on_the_usual_step() -> None:
    ts = np.array([0, 10, 20, 31, 40], np.int64)
    assert usual_step(ts) == 10
    assert on_grid(ts, ts * 2.0, np.array([5, 25, 45], np.int64), 10) == pytest.approx([10, 50, np.nan], nan_ok=True)


@pytest.mark.parametrize(("readings", "healthy_from"), [(0, 0), (2, 0), (60, 0), (300, 0), (700, 500)])
def test_too_little_past_is_said_plainly(readings: int, healthy_from: int) -> None:
    ts, value = beats(readings)
    with pytest.raises(TooLittleError, match=PAST_TOO_SHORT):
        compare(ts, value, healthy_from * STEP, int(ts[-1]) if readings else 0)


def test_a_stretch_that_never_changes_or_has_holes_has_no_shape() -> None:
    ts, value = beats(700)
    value[660:] = 3.0
    with pytest.raises(TooLittleError, match=NO_SHAPE):
        compare(ts, value, 0, int(ts[-1]))
    kept = np.r_[0:670, 680:700]
    ts, value = beats(700)
    with pytest.raises(TooLittleError, match=NO_SHAPE):
        compare(ts[kept], value[kept], 0, int(ts[-1]))


def test_distances_are_those_of_the_definition() -> None:
    _, value = beats(700)
    value[100:110] = np.nan
    value[200:240] = 1.0
    shapes = normalised(value)
    for at in (0, 300, 650):
        window = value[at : at + WINDOW]
        distance = np.linalg.norm(shapes - shapes[at], axis=1)
        expected = naive(window, value)
        shaped = ~np.isnan(expected) & (np.lib.stride_tricks.sliding_window_view(value, WINDOW).std(axis=1) > 0)
        assert distance[shaped] == pytest.approx(expected[shaped], rel=1e-9, abs=1e-9)


@pytest.mark.slow
def test_stumpy_says_the_same() -> None:
    """An AB join of the recent stretch with the past: its largest distance, and where."""
    import stumpy  # noqa: PLC0415 - it compiles for half a minute

    ts, value = beats(700)
    value[100:110] += 3.0
    value[660:690] = np.sin(np.arange(30) * 2 * np.pi / 7)
    found = compare(ts, value, 0, int(ts[690]))
    past, recent = value[: 700 - 2 * STRETCH], value[700 - STRETCH :]
    assert (int(found.past_until_us / STEP), int(ts[-1] / STEP)) == (len(past) - 1, 699)
    profile = stumpy.stump(recent, WINDOW, past, ignore_trivial=False)[:: WINDOW // 4]
    worst = int(np.argmax(profile[:, 0].astype(float)))
    assert found.distance == pytest.approx(float(profile[worst, 0]), rel=1e-6)
    assert found.at_us == (700 - STRETCH + worst * WINDOW // 4) * STEP
    assert found.nearest_us == int(profile[worst, 1]) * STEP
