"""A back-test replays machines that the model had not seen, and counts what the orders would have cost."""

from pathlib import Path

import numpy as np

from vigia.analytics.evaluate import cmapss, plots, turbofan
from vigia.analytics.evaluate.back_test import back_test
from vigia.analytics.prognosis.decision import Costs, cheapest, timing, trials

COSTS = Costs(failure=100.0, visit=10.0, lost_life=0.1, lead=10.0)


def test_a_machine_costs_the_visit_and_the_life_lost_or_the_failure() -> None:
    assert COSTS.of(np.array([10.0, 60.0, 9.0, np.nan])).tolist() == [10.0, 15.0, 110.0, 100.0]


def test_dear_failures_and_cheap_life_raise_orders_earlier() -> None:
    lives = [np.arange(200.0)[::-1]] * 10
    probabilities = [np.clip(1 - life / (60 + 12 * index), 0, 1) for index, life in enumerate(lives)]
    leads = []
    for lost_life in (0.01, 5.0):
        chosen = cheapest(trials(probabilities, lives), Costs(100.0, 10.0, lost_life, 10.0))
        leads.append(np.nanmedian(timing(probabilities, lives, chosen.rule).remaining))
    assert leads[0] > leads[1] + 3


def test_real_engines_are_replayed(runs: list[cmapss.Run], tmp_path: Path) -> None:
    found, replayed = back_test(turbofan.histories(runs[:8]), turbofan.options(30.0), COSTS, 1_000.0)
    assert (found.machines, found.method) == (8, "wear")
    assert found.orders == np.isfinite(replayed.at_order).sum()
    assert found.caught + found.early + found.missed == 8
    assert found.cost < found.cost_without_prediction == 100.0
    assert 0 < found.orders_per_asset_year < 1_000 / 128
    assert set(found.alpha_lambda) == {"0.25", "0.5", "0.75"}
    assert found.prognostic_horizon_median > 0
    curve = [{"said": 0.1, "failed": 0.0, "rows": 9}, {"said": 0.9, "failed": 1.0, "rows": 4}]
    assert plots.reliability(tmp_path / "reliability.png", "engines", {"all": curve}).stat().st_size > 0
    path = plots.orders(tmp_path / "orders.png", replayed.at_order, replayed.remaining, replayed.median)
    assert path.read_bytes().startswith(b"\x89PNG")
