"""Train a failure model from machines that ran to failure.

Everything that is tuned on data (calibration, conformal correction, the decision's numbers, the reported figures) rests on
predictions of machines that the predicting trees had not seen: folds split by machine, never by row.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.prognosis import boosting, decision, features
from vigia.analytics.prognosis.calibration import OutOfUnit, ProbabilityCalibration, QuantileCorrection
from vigia.analytics.prognosis.conditions import Conditions
from vigia.analytics.prognosis.errors import TrainingDataError
from vigia.analytics.prognosis.features import FeatureSpec
from vigia.analytics.prognosis.model import Forecast, Prognosis

FOLDS = 5
FOLD_SEED = 0
HEALTHY_QUANTILE = 0.1


@dataclass(frozen=True)
class History:
    """One machine from new to its failure, one row a cycle; NaN: not measured."""

    settings: NDArray[np.float64]
    sensors: NDArray[np.float64]
    ages: NDArray[np.float64]
    """cycles flown"""
    remaining: NDArray[np.float64]
    """true remaining life, in life units"""


@dataclass(frozen=True)
class TrainingOptions:
    """What to learn."""

    failure_mode: str
    settings: tuple[str, ...]
    sensors: tuple[str, ...]
    horizon: float = 30.0
    """The probability is that of a failure within this life."""
    life_cap: float = 125.0
    """Remaining life is learned up to here: far from its end a machine shows no wear to tell by."""
    levels: tuple[float, ...] = (0.1, 0.5, 0.9)
    """Quantiles of remaining life; 0.1, 0.5 and 0.9 must be among them."""
    with_age: bool = False
    """Let the model see how many cycles were flown: a better fit on machines that all started new, none of the wear itself."""


@dataclass(frozen=True)
class _Rows:
    """All rows of all machines, in their order."""

    unit: NDArray[np.int64]
    remaining: NDArray[np.float64]
    capped: NDArray[np.float64]
    fails: NDArray[np.bool_]


def _rows(histories: Sequence[History], options: TrainingOptions) -> _Rows:
    unit = np.repeat(np.arange(len(histories)), [len(history.remaining) for history in histories])
    remaining = np.concatenate([history.remaining for history in histories])
    return _Rows(unit, remaining, np.minimum(remaining, options.life_cap), remaining <= options.horizon)


def _inputs(histories: Sequence[History]) -> list[NDArray[np.float64]]:
    return [np.hstack((history.settings, history.sensors)) for history in histories]


def _spec(histories: Sequence[History], options: TrainingOptions) -> FeatureSpec:
    """The features of a fleet; a row with a missing value does not count for what is normal."""
    both = np.vstack(_inputs(histories))
    whole = both[np.isfinite(both).all(axis=1)]
    if not len(whole):
        message = "The training histories have no row with all settings and sensors."
        raise TrainingDataError(message)
    split = len(options.settings)
    return FeatureSpec(options.settings, options.sensors, Conditions.fit(whole[:, :split], whole[:, split:]), options.with_age)


def _features(spec: FeatureSpec, histories: Sequence[History]) -> NDArray[np.float64]:
    return np.vstack(features.of_histories(spec, _inputs(histories), [history.ages for history in histories]))


def folds(machines: int) -> NDArray[np.int64]:
    """int64[machines]: the fold in which each machine is predicted; the same for the same number of machines."""
    return np.asarray(np.random.default_rng(FOLD_SEED).permutation(machines) % FOLDS, dtype=np.int64)


def _out_of_fold(
    histories: Sequence[History], rows: _Rows, options: TrainingOptions
) -> tuple[NDArray[np.float64], dict[float, NDArray[np.float64]]]:
    """Each row's raw probability and quantiles from trees trained on the machines of the other folds."""
    probability = np.zeros(len(rows.unit))
    quantiles = {level: np.zeros(len(rows.unit)) for level in options.levels}
    fold_of_row = folds(len(histories))[rows.unit]
    for fold in range(FOLDS):
        learned = fold_of_row != fold
        spec = _spec([history for index, history in enumerate(histories) if folds(len(histories))[index] != fold], options)
        x = _features(spec, histories)
        trees = boosting.fit(x[learned], rows.fails[learned], rows.capped[learned], options.levels)
        probability[~learned] = trees.probability(x[~learned])
        for level in options.levels:
            quantiles[level][~learned] = trees.life(x[~learned], level)
    return probability, quantiles


def train(histories: Sequence[History], options: TrainingOptions) -> Prognosis:
    """A model of `histories`, all of machines that failed at the end. Deterministic. Raises TrainingDataError."""
    if len(histories) < FOLDS:
        raise TrainingDataError
    started = time.perf_counter()
    rows = _rows(histories, options)
    raw_probability, raw_quantiles = _out_of_fold(histories, rows, options)
    calibration = ProbabilityCalibration.fit(raw_probability, rows.fails)
    edges = np.array([options.life_cap * 0.32, options.life_cap * 0.72])
    corrections = {
        level: QuantileCorrection.fit(level, OutOfUnit(raw, raw_quantiles[0.5], rows.capped, rows.unit), edges)
        for level, raw in raw_quantiles.items()
    }
    median = corrections[0.5](raw_quantiles[0.5], raw_quantiles[0.5])
    far = rows.remaining >= options.life_cap
    healthy_life = float(np.quantile(median[far], HEALTHY_QUANTILE)) if far.any() else options.life_cap
    ends = np.cumsum([len(history.remaining) for history in histories])[:-1]
    probabilities, remaining = np.split(calibration(raw_probability), ends), np.split(rows.remaining, ends)
    chosen = decision.choose(probabilities, remaining)
    spec = _spec(histories, options)
    trees = boosting.fit(_features(spec, histories), rows.fails, rows.capped, options.levels)
    ordered = np.clip(
        np.sort([corrections[level](raw_quantiles[level], raw_quantiles[0.5]) for level in sorted(corrections)], axis=0),
        0.0,
        options.life_cap,
    )
    forecast = Forecast(calibration(raw_probability), dict(zip(sorted(corrections), ordered, strict=True)), np.zeros(0))
    metrics: dict[str, Any] = {
        "machines": len(histories),
        "rows": len(rows.unit),
        "horizon": options.horizon,
        "life_cap": options.life_cap,
        "with_age": options.with_age,
        "decision": chosen.as_dict(),
        "out_of_fold": {
            **figures(forecast, rows.remaining, options.horizon, options.life_cap),
            "orders": decision.timing(probabilities, remaining, chosen).summary(),
        },
        "train_s": round(time.perf_counter() - started, 1),
    }
    return Prognosis(
        options.failure_mode, spec, trees, calibration, corrections, options.horizon, options.life_cap, healthy_life, chosen, metrics
    )


def figures(forecast: Forecast, remaining: NDArray[np.float64], horizon: float, cap: float) -> dict[str, float]:
    """How good a forecast was: error of the median, coverage of p10-p90, Brier score and calibration error, over all rows."""
    life, fails = np.minimum(remaining, cap), remaining <= horizon
    band = np.minimum((forecast.probability * 10).astype(int), 9)
    gaps = [
        abs(float(forecast.probability[band == b].mean() - fails[band == b].mean())) * float(np.mean(band == b)) for b in np.unique(band)
    ]
    found = {
        "rmse_capped": float(np.sqrt(np.mean(np.square(forecast.p50 - life)))),
        "coverage80": float(np.mean((forecast.p10 <= life) & (life <= forecast.p90))),
        "width80": float(np.mean(forecast.p90 - forecast.p10)),
        "brier": float(np.mean(np.square(forecast.probability - fails))),
        "brier_of_the_base_rate": float(np.mean(np.square(fails.mean() - fails))),
        "calibration_error": float(sum(gaps)),
    }
    return {name: round(number, 4) for name, number in found.items()}
