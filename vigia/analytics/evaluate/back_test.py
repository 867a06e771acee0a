"""What orders would have been raised for machines that the model had not seen, what they would have cost, and how good its lives were.

Every machine is judged by a model trained on the others' folds; the threshold, too, is chosen on the machines of the other folds.
Prognostic horizon and alpha-lambda accuracy as in Saxena, Celaya, Saha, Saha and Goebel, Metrics for Offline Evaluation of Prognostic
Performance, International Journal of Prognostics and Health Management 1, 2010.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.compute import Compute
from vigia.analytics.prognosis import decision
from vigia.analytics.prognosis.decision import Costs, Decision, cheapest, trials
from vigia.analytics.prognosis.train import IN_PROCESS, History, TrainingOptions, folds, unseen

ALPHA = 0.2
LAMBDAS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class BackTest:
    """Figures over all machines; lives in life units, money per machine from new to its order or failure."""

    machines: int
    method: str
    orders: int
    caught: int
    early: int
    missed: int
    lead_p10: float | None
    lead_median: float | None
    lead_p90: float | None
    orders_per_asset_year: float
    cost: float
    """by the orders as they would have been raised"""
    cost_without_prediction: float
    """every machine runs to failure"""
    cost_at_best_age: float
    """every machine is replaced at one age, the best there was; it is chosen on these very machines"""
    decision: dict[str, float | int]
    """the threshold that is chosen on all machines"""
    prognostic_horizon_median: float
    """life left from which on the median life stays within 20 % of the whole life; 0: never"""
    alpha_lambda: dict[str, float]
    """share of machines whose median life is within 20 % of the truth at this share of the way from the cap to the failure"""


@dataclass(frozen=True)
class Replay:
    """Each machine's true life left, median and 80 % interval, cycle by cycle."""

    remaining: list[NDArray[np.float64]]
    low: list[NDArray[np.float64]]
    median: list[NDArray[np.float64]]
    high: list[NDArray[np.float64]]
    at_order: NDArray[np.float64]
    """life left at the order; NaN: none"""


def back_test(
    histories: Sequence[History], options: TrainingOptions, costs: Costs, units_per_year: float, where: Compute = IN_PROCESS
) -> tuple[BackTest, Replay]:
    """Replay `histories`, all of machines that failed at the end. Raises TrainingDataError."""
    method, forecast = unseen(histories, options, where)
    ends = np.cumsum([len(history.remaining) for history in histories])[:-1]
    remaining = [history.remaining for history in histories]
    probabilities = np.split(forecast.probability, ends)
    median = np.split(forecast.p50, ends)
    at_order = _orders(probabilities, remaining, costs)
    when = decision.Timing(at_order)
    lives = np.array([len(history.remaining) for history in histories], dtype=np.float64)
    used = lives - np.nan_to_num(at_order)
    summary = when.summary()
    horizons = [_horizon(said, left) for said, left in zip(median, remaining, strict=True)]
    found = BackTest(
        machines=len(histories),
        method=method,
        orders=int(np.isfinite(at_order).sum()),
        caught=when.caught,
        early=when.early,
        missed=when.missed,
        lead_p10=summary["lead_p10"],
        lead_median=summary["lead_median"],
        lead_p90=summary["lead_p90"],
        orders_per_asset_year=float(np.isfinite(at_order).sum() / used.sum() * units_per_year),
        cost=float(costs.of(at_order).mean()),
        cost_without_prediction=costs.failure,
        cost_at_best_age=min(float(costs.of(np.where(lives >= age, lives - age, np.nan)).mean()) for age in np.unique(lives)),
        decision=cheapest(trials(probabilities, remaining), costs).rule.as_dict(),
        prognostic_horizon_median=float(np.median(horizons)),
        alpha_lambda={
            str(share): float(np.mean([_within(said, left, share, options.life_cap) for said, left in zip(median, remaining, strict=True)]))
            for share in LAMBDAS
        },
    )
    return found, Replay(remaining, np.split(forecast.p10, ends), median, np.split(forecast.p90, ends), at_order)


def _orders(probabilities: Sequence[NDArray[np.float64]], remaining: Sequence[NDArray[np.float64]], costs: Costs) -> NDArray[np.float64]:
    """Life left at each machine's order, by the threshold chosen on the machines of the other folds."""
    fold_of, at_order = folds(len(remaining)), np.full(len(remaining), np.nan)
    for fold in np.unique(fold_of):
        others, these = np.flatnonzero(fold_of != fold).tolist(), np.flatnonzero(fold_of == fold).tolist()
        rule: Decision = cheapest(trials([probabilities[i] for i in others], [remaining[i] for i in others]), costs).rule
        at_order[these] = decision.timing([probabilities[i] for i in these], [remaining[i] for i in these], rule).remaining
    return at_order


def _horizon(said: NDArray[np.float64], left: NDArray[np.float64]) -> float:
    """Life left from which on `said` stays within ALPHA of the whole life."""
    outside = np.flatnonzero(np.abs(said - left) > ALPHA * (left[0] + 1))
    first = 0 if not len(outside) else int(outside[-1]) + 1
    return float(left[first]) if first < len(left) else 0.0


def _within(said: NDArray[np.float64], left: NDArray[np.float64], share: float, cap: float) -> bool:
    """Whether `said` is within ALPHA of the life left, at `share` of the way from the cap (or the first cycle) to the failure."""
    at = int(np.argmin(np.abs(left - (1 - share) * min(cap, float(left[0])))))
    return bool(abs(said[at] - left[at]) <= ALPHA * left[at])
