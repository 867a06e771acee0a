import numpy as np
import pytest

from vigia.analytics.detectors.mode import AWAY, LEARNED, RECENT, Moved, moved

RNG = np.random.default_rng(1)


def column(*values: object) -> np.ndarray:
    return np.concatenate([np.atleast_1d(np.asarray(part, float)) for part in values])[:, None]


def test_a_set_point_that_left_is_told_with_both_values() -> None:
    steady = np.full((LEARNED, 1), 20.0)
    learned = np.hstack((steady, column(np.full(LEARNED, 1_000.0))))
    recent = np.hstack((steady[:RECENT], column(np.full(RECENT - AWAY, 1_000.0), np.full(AWAY, 3_000.0))))
    assert moved(learned, recent) == Moved(1, 1_000.0, 3_000.0)


def test_a_baseline_that_saw_the_other_level_now_and_then_still_has_its_home() -> None:
    learned = column(np.full(40, 1_000.0), np.full(10, 3_000.0))
    assert moved(learned, column(np.full(RECENT, 3_000.0))) is not None
    assert moved(learned, column(np.full(RECENT, 1_000.0))) is None


@pytest.mark.parametrize("noise", [RNG.normal, RNG.uniform, RNG.laplace], ids=["normal", "uniform", "heavy tails"])
def test_a_setting_that_only_wavers_has_not_moved(noise: object) -> None:
    assert callable(noise)
    assert sum(moved(noise(size=(LEARNED, 3)), noise(size=(RECENT, 3))) is not None for _ in range(2_000)) <= 2


def test_a_baseline_learned_at_many_levels_holds_for_all_of_them() -> None:
    levels = np.array([0.0, 10.0, 20.0, 25.0, 35.0, 42.0])
    learned, recent = (RNG.choice(levels, (rows, 1)) for rows in (LEARNED, RECENT))
    assert moved(learned, recent) is None


def test_a_single_odd_value_is_no_mode() -> None:
    learned = column(np.full(LEARNED, 5.0))
    assert moved(learned, column(np.full(RECENT - 1, 5.0), 500.0)) is None


@pytest.mark.parametrize("shape", [(0, 0), (LEARNED, 0), (0, 1)])
def test_where_nothing_is_known_nothing_has_moved(shape: tuple[int, int]) -> None:
    assert moved(np.zeros(shape), np.zeros((RECENT, shape[1]))) is None
    assert moved(np.full((LEARNED, 1), np.nan), np.zeros((RECENT, 1))) is None
    assert moved(np.zeros((LEARNED, 1)), np.full((RECENT, 1), np.nan)) is None
