"""Channels watched together."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vigia.analytics.detectors.subspace import LEAST_ROWS, BaselineError, Subspace

ROWS = 600


def made(seed: int = 1, rows: int = ROWS) -> NDArray[np.float64]:
    """Four channels, three of which follow the same load, on scales that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    load = np.convolve(rng.normal(size=rows + 9), np.ones(10) / 10, "valid")
    noise = rng.normal(size=(rows, 4)) * 0.1
    return (np.column_stack((load, 2 * load, -load, np.zeros(rows))) + noise) * [1.0, 1e3, 1e-3, 1.0] + [5.0, 0.0, 1.0, -3.0]


def test_the_healthy_baseline_and_what_is_like_it_do_not_alarm() -> None:
    learned = Subspace.fit(made())
    assert learned.watch(made()).ratio.max() < 1.0
    assert learned.watch(made(seed=2)).ratio.max() < 1.0


def test_a_channel_that_leaves_the_others_is_found_and_named_although_its_value_is_usual() -> None:
    healthy, later = made(), made(seed=2)
    later[300:, 0] = healthy[300:, 0]  # usual in itself, but not with this load
    watched = Subspace.fit(healthy).watch(later)
    assert watched.ratio[:300].max() < 1.0
    assert (watched.ratio[310:] > 1.0).mean() > 0.5
    assert watched.contribution[310:].sum(axis=0).argmax() == 0


def test_the_parts_and_the_contributions_sum_to_the_statistic() -> None:
    watched = Subspace.fit(made()).watch(made(seed=3) * 1.1)
    assert np.allclose(watched.t2 + watched.spe, watched.ratio)
    assert np.allclose(watched.contribution.sum(axis=1), watched.ratio)


def test_a_channel_that_drifts_while_healthy_alarms_less() -> None:
    drifting = made()
    drifting[:, 3] += np.linspace(0, 2, ROWS)
    moved = made(seed=2)
    moved[:, 3] += 3.0
    assert Subspace.fit(drifting).watch(moved).ratio.mean() < Subspace.fit(made()).watch(moved).ratio.mean() / 10


def test_no_row_depends_on_a_later_one() -> None:
    rows = made(seed=4)
    learned = Subspace.fit(made())
    assert np.allclose(learned.watch(rows[:200]).ratio, learned.watch(rows).ratio[:200])


def test_a_missing_value_is_read_as_the_one_before_it() -> None:
    rows, filled = made(seed=5), made(seed=5)
    rows[100:103, 1] = np.nan
    filled[100:103, 1] = filled[99, 1]
    learned = Subspace.fit(made())
    assert np.array_equal(learned.watch(rows).ratio, learned.watch(filled).ratio)


def test_a_constant_channel_that_moves_is_found() -> None:
    healthy = np.column_stack((made(), np.full(ROWS, 7.0)))
    later = healthy.copy()
    later[300:, 4] = 7.5
    watched = Subspace.fit(healthy).watch(later)
    assert (watched.ratio[300:] > 1).all()
    assert watched.contribution[-1].argmax() == 4


def test_a_short_or_empty_baseline_is_refused() -> None:
    with pytest.raises(BaselineError, match=f"at least {LEAST_ROWS}"):
        Subspace.fit(made(rows=LEAST_ROWS - 1))
    empty = made()
    empty[:, 2] = np.nan
    with pytest.raises(BaselineError, match="channel 2 has no value"):
        Subspace.fit(empty)
