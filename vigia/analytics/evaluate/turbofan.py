"""The turbofan failure model on C-MAPSS: how it is trained, and how good it is by the benchmark's own protocol.

Protocol: train on all units of `train_<subset>`, predict the remaining life of each unit of `test_<subset>` at its last recorded
cycle, compare with `RUL_<subset>`. Nothing is chosen on the test files.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.compute import Compute
from vigia.analytics.evaluate import cmapss
from vigia.analytics.prognosis import horizons
from vigia.analytics.prognosis.calibration import phm08, reliability
from vigia.analytics.prognosis.model import Forecast, Prognosis
from vigia.analytics.prognosis.score import Machine, judge_fleet, taken
from vigia.analytics.prognosis.similar import Known
from vigia.analytics.prognosis.train import IN_PROCESS, History, TrainingOptions, train

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
SPEED_ROWS = 10_000


def histories(runs: Sequence[cmapss.Run]) -> list[History]:
    """Training runs as the trainer wants them."""
    return [History(run.settings, run.sensors, run.cycles.astype(float), run.remaining(), known=Known(run=str(run.unit))) for run in runs]


def options(horizon: float, levels: tuple[float, ...] = (0.1, 0.5, 0.9), *, with_age: bool = False, trees: int = 100) -> TrainingOptions:
    """How the turbofan model is trained; the horizon is in flight cycles."""
    return TrainingOptions(
        cmapss.FAILURE_MODE, cmapss.SETTINGS, cmapss.SENSORS, horizon=horizon, levels=levels, with_age=with_age, trees=trees
    )


@dataclass(frozen=True)
class Figures:
    """Figures on the test units, at their last cycle unless said. Lives in flight cycles; `d` is predicted less true."""

    rmse_capped: float
    """of the cautious estimate, true lives capped at `life_cap`"""
    rmse_raw: float
    """true lives as they are"""
    score_capped: float
    """PHM08: sum of exp(-d/13)-1 for d < 0, exp(d/10)-1 else"""
    score_raw: float
    rmse_of_the_mean: float
    """rmse_capped of the expected life, which is not cautious"""
    score_of_the_mean: float
    caution: float
    """flight cycles that the cautious estimate is below the expected life, chosen by the score on unseen training units"""
    coverage80: float
    """share of capped lives between p10 and p90, nominal 0.80"""
    coverage90: float
    """between p05 and p95, nominal 0.90"""
    width90: float
    brier: float
    """of the probability to fail within the horizon, over the test units' last cycles"""
    brier_all_rows: float
    """over all rows of the test units"""
    reliability: list[dict[str, float]]
    """over all rows of the test units: what probability was said, and the share that failed"""
    horizons: list[dict[str, Any]]
    """within each horizon, over the test units' last cycles: Brier score, that of saying their own base rate, and reliability"""
    horizons_all_rows: list[dict[str, Any]]
    """over all rows of the test units"""
    out_of_fold_reliability: list[dict[str, float]]
    """as `reliability`, over rows of training units that the predicting trees had not seen"""
    out_of_fold_rmse: float
    """of the expected life over all rows of training units that the predicting trees had not seen"""
    train_s: float
    predict_rows_per_s: float
    """features known, without explanations"""


@dataclass(frozen=True)
class CmapssResult(Figures):
    """The figures of the model that was the better one on unseen training units, then those of both.

    One has engine age as a feature, one has not, as the service's: here all engines start new, which a fleet's do not.
    """

    subset: str
    train_units: int
    test_units: int
    horizon: float
    life_cap: float
    base_rate_brier: float
    """what saying the test units' own base rate would get, over the last cycles"""
    constant_rmse: float
    """rmse_capped of always saying the training rows' mean"""
    chosen: str
    """"with_age" or "without_age" """
    with_age: Figures
    without_age: Figures


@dataclass(frozen=True)
class Predicted:
    """True and predicted lives of the test units at their last cycle, by unit, from the chosen model."""

    true: NDArray[np.float64]
    estimate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class _Data:
    learned: list[History]
    tests: list[cmapss.Run]
    truth: NDArray[np.float64]


def evaluate(folder: Path, subset: str, horizon: float = 30.0, where: Compute = IN_PROCESS) -> tuple[CmapssResult, Predicted]:
    """Train on `train_<subset>` and report on `test_<subset>` in `folder`. Raises CmapssError."""
    data = _read(folder, subset)
    longest = max(history.remaining[0] for history in data.learned)
    if horizon >= longest:
        message = f"No engine of train_{subset} lives longer than {longest:g} cycles; give a shorter --horizon than {horizon:g}."
        raise cmapss.CmapssError(message)
    found = {
        "without_age": _figures(data, horizon, where, with_age=False),
        "with_age": _figures(data, horizon, where, with_age=True),
    }
    chosen = min(found, key=lambda name: found[name][0].out_of_fold_rmse)
    figures, model, at_last = found[chosen]
    capped = np.minimum(data.truth, model.life_cap)
    mean_life = float(np.concatenate([np.minimum(history.remaining, model.life_cap) for history in data.learned]).mean())
    fails = data.truth <= horizon
    result = CmapssResult(
        **asdict(figures),
        subset=subset,
        train_units=len(data.learned),
        test_units=len(data.tests),
        horizon=horizon,
        life_cap=model.life_cap,
        base_rate_brier=float(np.mean(np.square(fails.mean() - fails))),
        constant_rmse=_rmse(np.full(len(capped), mean_life), capped),
        chosen=chosen,
        with_age=found["with_age"][0],
        without_age=found["without_age"][0],
    )
    return result, Predicted(capped, at_last.cautious, at_last.quantiles[0.05], at_last.quantiles[0.95])


def read_learned(folder: Path, subset: str) -> list[History]:
    """The engines of `train_<subset>`. Raises CmapssError."""
    learned = histories(cmapss.read_runs(cmapss.find(folder, f"train_{subset}.txt")))
    if not any(np.ptp(history.sensors[np.isfinite(history.sensors).all(axis=1)], axis=0).any() for history in learned):
        message = f"train_{subset} holds no sensor that ever changes; there is nothing to learn from."
        raise cmapss.CmapssError(message)
    return learned


def _read(folder: Path, subset: str) -> _Data:
    learned = read_learned(folder, subset)
    tests = cmapss.read_runs(cmapss.find(folder, f"test_{subset}.txt"))
    truth = cmapss.read_remaining(cmapss.find(folder, f"RUL_{subset}.txt"))
    if len(truth) != len(tests):
        message = f"RUL_{subset} has {len(truth)} lines for the {len(tests)} units of test_{subset}; the files do not belong together."
        raise cmapss.CmapssError(message)
    if not (np.isfinite(truth) & (truth >= 0)).all():
        message = f"RUL_{subset} holds a line that is not 0 or more cycles."
        raise cmapss.CmapssError(message)
    return _Data(learned, tests, truth)


def _figures(data: _Data, horizon: float, where: Compute, *, with_age: bool) -> tuple[Figures, Prognosis, Forecast]:
    started = time.perf_counter()
    model = train(data.learned, options(horizon, LEVELS, with_age=with_age), where)
    train_s = time.perf_counter() - started
    fleet = [Machine(np.hstack((run.settings, run.sensors)), run.cycles.astype(float)) for run in data.tests]
    rows, everything = judge_fleet(model, fleet, where)
    last = np.cumsum([len(run.cycles) for run in data.tests]) - 1
    remaining = np.concatenate([run.remaining(int(left)) for run, left in zip(data.tests, data.truth, strict=True)])
    at_last = taken(everything, last)
    fails, capped = data.truth <= horizon, np.minimum(data.truth, model.life_cap)
    figures = Figures(
        rmse_capped=_rmse(at_last.cautious, capped),
        rmse_raw=_rmse(at_last.cautious, data.truth),
        score_capped=phm08_score(at_last.cautious, capped),
        score_raw=phm08_score(at_last.cautious, data.truth),
        rmse_of_the_mean=_rmse(at_last.expected, capped),
        score_of_the_mean=phm08_score(at_last.expected, capped),
        caution=model.caution,
        coverage80=float(np.mean((at_last.p10 <= capped) & (capped <= at_last.p90))),
        coverage90=float(np.mean((at_last.quantiles[0.05] <= capped) & (capped <= at_last.quantiles[0.95]))),
        width90=float(np.mean(at_last.quantiles[0.95] - at_last.quantiles[0.05])),
        brier=float(np.mean(np.square(at_last.probability - fails))),
        brier_all_rows=float(np.mean(np.square(everything.probability - (remaining <= horizon)))),
        reliability=reliability(everything.probability, remaining <= horizon),
        horizons=_by_horizon(at_last, data.truth),
        horizons_all_rows=_by_horizon(everything, remaining),
        out_of_fold_reliability=model.metrics["reliability"],
        out_of_fold_rmse=float(model.metrics["out_of_fold"]["rmse_capped"]),
        train_s=train_s,
        predict_rows_per_s=_rows_per_s(model, rows),
    )
    return figures, model, at_last


def _by_horizon(said: Forecast, remaining: NDArray[np.float64]) -> list[dict[str, Any]]:
    return horizons.figures(said.within, lambda horizon: (remaining <= horizon, np.ones(len(remaining), np.bool_)))


def phm08_score(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """The challenge's score, lower is better: predicting too long a life costs more than too short a one."""
    return float(np.sum(phm08(predicted - true)))


def _rmse(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(predicted - true))))


def _rows_per_s(model: Prognosis, rows: NDArray[np.float64]) -> float:
    sample = rows[:SPEED_ROWS]
    started = time.perf_counter()
    model.forecast(sample)
    return len(sample) / (time.perf_counter() - started)
