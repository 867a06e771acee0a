"""Train a failure model from machines that ran to failure, and from others of which something is known.

Everything that is tuned on data (calibration, conformal intervals, the decision's numbers, the reported figures) rests on
predictions of machines that the predicting trees had not seen: folds split by machine, never by row.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.compute import Compute, InProcess
from vigia.analytics.prognosis import boosting, decision, features, horizons
from vigia.analytics.prognosis.boosting import Boosters
from vigia.analytics.prognosis.calibration import LifeIntervals, OutOfUnit, ProbabilityCalibration, caution, reliability
from vigia.analytics.prognosis.conditions import Conditions
from vigia.analytics.prognosis.errors import TrainingDataError
from vigia.analytics.prognosis.features import FeatureSpec
from vigia.analytics.prognosis.horizons import Horizons
from vigia.analytics.prognosis.model import Forecast, Judge, Method, Prognosis
from vigia.analytics.prognosis.raw import Raw
from vigia.analytics.prognosis.reference import spread
from vigia.analytics.prognosis.similar import Known, Library
from vigia.analytics.prognosis.spread import Spread
from vigia.analytics.prognosis.survival import Survival, Weibull
from vigia.analytics.prognosis.wear import Wear

FEW = 10
"""With fewer failures, what is learned is how far machines wear, or only how old they become, whichever foretells the others better."""
LEAST = 2
CONFIRMED = 5.0
"""Life units before a technician confirmed a failure on its way in which the machine counts as failing soon. How soon nobody saw, so
nothing else is learned from them: a model that took the replacement for the failure would replace earlier with each training."""
FURTHEST = 1.25
"""In caps: the moments of a machine's life that intervals are fitted on. Further away every life is alike, and easily held."""
FOLDS = 5
FOLD_SEED = 0
IN_PROCESS = InProcess()
HEALTHY_QUANTILE = 0.1
"""So many of the machines that are far from their end have less than full health."""


class Ended(StrEnum):
    """How a machine's record ended, by what the technician found."""

    FAILED = "failed"
    CONFIRMED = "confirmed"
    """replaced before it failed; the failure was on its way"""
    SOUND = "sound"
    """nothing was found"""
    OPEN = "open"
    """replaced, and nobody can say"""


@dataclass(frozen=True)
class History:
    """One machine from new to the end of its record, one row a cycle; NaN: not measured."""

    settings: NDArray[np.float64]
    sensors: NDArray[np.float64]
    ages: NDArray[np.float64]
    """cycles flown"""
    remaining: NDArray[np.float64]
    """life units to the end of the record; the true remaining life where the machine failed, and less than that where it did not"""
    ended: Ended = Ended.FAILED
    known: Known = field(default_factory=Known)
    """where it comes from"""


@dataclass(frozen=True)
class TrainingOptions:
    """What to learn."""

    failure_mode: str
    settings: tuple[str, ...]
    sensors: tuple[str, ...]
    horizon: float = 30.0
    """The probability by which orders are raised is that of a failure within this life."""
    horizons: tuple[float, ...] = (10.0, 30.0, 60.0)
    """Probabilities are told of these as well."""
    life_cap: float = 125.0
    """Remaining life is learned up to here: far from its end a machine shows no wear to tell by."""
    levels: tuple[float, ...] = (0.1, 0.5, 0.9)
    """Of the remaining life, rising: the median and the ends of intervals, each lower with its upper; 0.1, 0.5 and 0.9 must be there."""
    with_age: bool = False
    """Let the model see how many cycles were flown. On FD001's units 1-80, out of fold, it lowers the error of the median from 10.4 to 9.7
    cycles and the Brier score from 0.014 to 0.012, but catches the same 80 of 80: the engines all started new, which a fleet does not."""
    trees: int = 100
    """Of the boosted classifier."""

    @property
    def others(self) -> tuple[float, ...]:
        """All horizons but the one by which orders are raised, shortest first."""
        return tuple(sorted({*self.horizons} - {self.horizon}))


@dataclass(frozen=True)
class _Rows:
    """All rows of all machines, in their order."""

    unit: NDArray[np.int64]
    remaining: NDArray[np.float64]
    capped: NDArray[np.float64]
    horizon: float
    lived: NDArray[np.bool_]
    """is its capped remaining life known?"""
    ended: NDArray[np.str_]
    """how the machine's record ended"""

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Whether it is of a machine that failed."""
        return np.asarray(self.ended == Ended.FAILED)

    @property
    def fails(self) -> NDArray[np.bool_]:
        """Whether the machine fails within the horizon by which orders are raised."""
        return self.within(self.horizon)[0]

    @property
    def told(self) -> NDArray[np.bool_]:
        """Whether that is known."""
        return self.within(self.horizon)[1]

    def within(self, horizon: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which rows are of machines that fail within the horizon, and of which that is known."""
        near, seen = self.remaining <= horizon, (self.ended == Ended.CONFIRMED) & (self.remaining < CONFIRMED)
        return self.failed & near | seen, self.failed | ~near | seen | (self.ended == Ended.SOUND)


def _rows(histories: Sequence[History], options: TrainingOptions) -> _Rows:
    unit = np.repeat(np.arange(len(histories)), [len(history.remaining) for history in histories])
    remaining = np.concatenate([history.remaining for history in histories])
    ended = np.array([history.ended for history in histories])[unit]
    capped, lived = np.minimum(remaining, options.life_cap), (ended == Ended.FAILED) | (remaining >= options.life_cap)
    return _Rows(unit, remaining, capped, options.horizon, lived, ended)


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


def _failures(histories: Sequence[History]) -> int:
    return sum(history.ended is Ended.FAILED for history in histories)


def _folds(histories: Sequence[History]) -> NDArray[np.int64]:
    """As `folds`, of those that failed and of the others each."""
    found, failed = np.empty(len(histories), dtype=np.int64), np.array([history.ended is Ended.FAILED for history in histories])
    found[failed] = folds(int(failed.sum()))
    found[~failed] = folds(int((~failed).sum())) % (int(found[failed].max()) + 1)
    return found


def folds(machines: int) -> NDArray[np.int64]:
    """int64[machines]: the fold in which each machine is predicted; the same for the same number of machines. Few have one each."""
    count = machines if machines < FEW else FOLDS
    return np.asarray(np.random.default_rng(FOLD_SEED).permutation(machines) % count, dtype=np.int64)


@dataclass(frozen=True)
class _Unseen:
    """Raw predictions of each row by a judge trained on the machines of the other folds."""

    raw: Raw
    chances: NDArray[np.float64]
    """float64[rows, other horizons]"""
    fold: NDArray[np.int64]


def _fit(method: Method, histories: Sequence[History], options: TrainingOptions) -> tuple[FeatureSpec, Judge]:
    rows, spec = _rows(histories, options), _spec(histories, options)
    if method is Method.SURVIVAL:
        lives = np.array([history.ages[-1] for history in histories])
        failed = np.array([history.ended is Ended.FAILED for history in histories])
        return spec, Survival(Weibull.fit(lives, failed), options.horizon, options.life_cap)
    x = _features(spec, histories)
    if method is Method.WEAR:
        return spec, Wear.fit(x[rows.lived], rows.capped[rows.lived], len(spec.used), options.horizon)
    told, lived = boosting.Examples(x[rows.told], rows.fails[rows.told]), boosting.Examples(x[rows.lived], rows.capped[rows.lived])
    return spec, Boosters.fit(told, lived, options.trees)


@dataclass(frozen=True)
class _Task:
    """What is learned from, and what."""

    histories: Sequence[History]
    options: TrainingOptions


def _learn_from(task: _Task, unit: tuple[Method, int | None]) -> tuple[FeatureSpec, Judge] | _Unseen:
    """A unit of work: what is learned from all machines, or how the machines of a fold are judged by what is learned from the others."""
    method, fold = unit
    if fold is None:
        return _fit(method, task.histories, task.options)
    fold_of = _folds(task.histories)
    spec, judge = _fit(method, [history for history, its in zip(task.histories, fold_of, strict=True) if its != fold], task.options)
    x = _features(spec, [history for history, its in zip(task.histories, fold_of, strict=True) if its == fold])
    raw = judge(x)
    return _Unseen(raw, judge.chances(x, raw.life, task.options.others), np.full(len(x), fold))


def _in_order(histories: Sequence[History], judged: Sequence[_Unseen]) -> _Unseen:
    """The rows of all folds in the order of the histories."""
    fold = np.repeat(_folds(histories), [len(history.remaining) for history in histories])
    place = np.argsort(np.argsort(fold, kind="stable"))
    raw = Raw(*(np.concatenate(column)[place] for column in zip(*(one.raw for one in judged), strict=True)))
    return _Unseen(raw, np.concatenate([one.chances for one in judged])[place], fold)


@dataclass(frozen=True)
class _Learned:
    """A method, what it learned from all machines, and how it judged those it had not seen."""

    method: Method
    spec: FeatureSpec
    judge: Judge
    judged: "_Judged"
    figures: dict[str, float]


def _learn(methods: Sequence[Method], histories: Sequence[History], options: TrainingOptions, where: Compute) -> list[_Learned]:
    """What each method learns. The units of all are worked on at once."""
    ways = [None, *range(int(_folds(histories).max()) + 1)]
    found = where.map(_learn_from, _Task(histories, options), [(method, way) for method in methods for way in ways])
    rows, learned = _rows(histories, options), []
    for first, method in zip(range(0, len(found), len(ways)), methods, strict=True):
        its = found[first : first + len(ways)]
        judged = _judge(rows, _in_order(histories, [one for one in its if isinstance(one, _Unseen)]), method, options)
        (spec, judge), *_ = (one for one in its if not isinstance(one, _Unseen))
        learned.append(_Learned(method, spec, judge, judged, figures(judged.forecast, rows)))
    return learned


def _best(histories: Sequence[History], options: TrainingOptions, where: Compute) -> tuple[_Learned, TrainingOptions]:
    """What is learned by the method that judges unseen machines best, and the options it took. Raises TrainingDataError."""
    if _failures(histories) < LEAST:
        raise TrainingDataError
    rows = _rows(histories, options)
    if rows.fails[rows.told].all():
        raise TrainingDataError(f"No machine lived longer than the horizon of {options.horizon:g}; give a shorter --horizon.")
    methods: tuple[Method, ...] = (Method.TREES,)
    if _failures(histories) < FEW:
        methods, options = (Method.WEAR, Method.SURVIVAL), replace(options, with_age=True)
    return min(_learn(methods, histories, options, where), key=lambda one: one.figures["brier"]), options


def unseen(histories: Sequence[History], options: TrainingOptions, where: Compute = IN_PROCESS) -> tuple[Method, Forecast]:
    """Each machine's forecast, cycle by cycle, by a model trained without it, and that model's method. Raises TrainingDataError."""
    learned, _ = _best(histories, options, where)
    return learned.method, learned.judged.forecast


def raw_unseen(histories: Sequence[History], options: TrainingOptions, where: Compute = IN_PROCESS) -> tuple[Raw, NDArray[np.int64]]:
    """What trees tell of each row of machines they had not seen, not calibrated, and the fold of each row."""
    ways = [(Method.TREES, fold) for fold in range(int(_folds(histories).max()) + 1)]
    found = where.map(_learn_from, _Task(histories, options), ways)
    unseen = _in_order(histories, [one for one in found if isinstance(one, _Unseen)])
    return unseen.raw, unseen.fold


def train(histories: Sequence[History], options: TrainingOptions, where: Compute = IN_PROCESS) -> Prognosis:
    """A model of `histories`, of which some failed at the end. Deterministic, wherever it is computed. Raises TrainingDataError."""
    started = time.perf_counter()
    learned, options = _best(histories, options, where)
    rows, judged = _rows(histories, options), learned.judged
    ends = np.cumsum([len(history.remaining) for history in histories])[:-1]
    complete = [index for index, history in enumerate(histories) if history.ended is Ended.FAILED]
    probabilities, remaining = (
        [parts[index] for index in complete] for parts in (np.split(judged.forecast.probability, ends), np.split(rows.remaining, ends))
    )
    chosen = decision.choose(probabilities, remaining)
    metrics: dict[str, Any] = {
        "method": learned.method.value,
        "machines": len(histories),
        "failures": len(complete),
        "rows": len(rows.unit),
        "horizon": options.horizon,
        "life_cap": options.life_cap,
        "with_age": options.with_age,
        "decision": chosen.as_dict(),
        "reliability": reliability(judged.forecast.probability[rows.told], rows.fails[rows.told]),
        "horizons": horizons.figures(judged.forecast.within, rows.within),
        "out_of_fold": {**learned.figures, "orders": decision.timing(probabilities, remaining, chosen).summary()},
        "inputs": spread((*options.settings, *options.sensors), np.vstack(_inputs(histories)), judged.forecast.p50, options.life_cap),
        "rules": [trial.as_dict() for trial in decision.trials(probabilities, remaining)],
        "train_s": round(time.perf_counter() - started, 1),
    }
    return Prognosis(
        failure_mode=options.failure_mode,
        spec=learned.spec,
        method=learned.method,
        judge=learned.judge,
        calibration=judged.calibration,
        horizons=judged.horizons,
        spread=judged.spread,
        intervals=judged.intervals,
        caution=judged.caution,
        horizon=options.horizon,
        life_cap=options.life_cap,
        healthy_life=judged.healthy_life,
        decision=chosen,
        library=_library(learned, histories, options),
        metrics=metrics,
    )


def _library(learned: _Learned, histories: Sequence[History], options: TrainingOptions) -> Library:
    """The moments of machines of which it is known what became; none where only age counts."""
    told = [history for history in histories if history.ended is not Ended.OPEN and learned.method is not Method.SURVIVAL]
    known = [replace(history.known, ended=history.ended.value) for history in told]
    ages = [history.ages for history in told]
    x = features.of_histories(learned.spec, _inputs(told), ages) if told else []
    lives = list(zip(x, [history.remaining for history in told], strict=True))
    return Library.of(known, lives, len(learned.spec.used), options.life_cap)


@dataclass(frozen=True)
class _Judged:
    """What the unseen machines teach, and the forecast they would have had."""

    calibration: ProbabilityCalibration
    horizons: Horizons
    spread: Spread
    intervals: LifeIntervals
    caution: float
    healthy_life: float
    forecast: Forecast


def _judge(rows: _Rows, unseen: _Unseen, method: Method, options: TrainingOptions) -> _Judged:
    probability, life = unseen.raw.probability, unseen.raw.life
    calibration = ProbabilityCalibration.fit(probability[rows.told], rows.fails[rows.told])
    around, told = _spread(rows, unseen, method, options.levels)
    counted = rows.failed & (rows.remaining <= FURTHEST * options.life_cap)
    seen = OutOfUnit(life[counted], rows.capped[counted], rows.unit[counted])
    intervals, off = LifeIntervals.fit(options.levels, told[:, counted], seen, options.life_cap), caution(seen, options.life_cap)
    quantiles = intervals(told, life)
    far = rows.remaining >= options.life_cap
    healthy_life = float(np.quantile(quantiles[0.5][far], HEALTHY_QUANTILE)) if far.any() else options.life_cap
    expected, cautious = (np.clip(life - less, 0.0, options.life_cap) for less in (0.0, off))
    calibrated, others = calibration(probability), options.others
    further = Horizons.fit(options.horizon, others, unseen.chances, [rows.within(one) for one in others])
    kept = unseen.chances[:, [others.index(one) for one in further.calibrations]]
    forecast = Forecast(calibrated, further(calibrated, kept), quantiles, expected, cautious, np.zeros(0))
    return _Judged(calibration, further, around, intervals, off, healthy_life, forecast)


def _spread(rows: _Rows, unseen: _Unseen, method: Method, levels: Sequence[float]) -> tuple[Spread, NDArray[np.float64]]:
    """What is learned from all machines, and the quantiles of each (float64[levels, rows]) by what is learned from the other folds."""
    signs, life = unseen.raw.signs, rows.capped
    if method is not Method.TREES:
        mean = Spread(tuple(levels), ())
        return mean, mean(signs)
    told = np.empty((len(levels), len(life)))
    for fold in np.unique(unseen.fold):
        others, its = rows.lived & (unseen.fold != fold), unseen.fold == fold
        told[:, its] = Spread.fit(levels, signs[others], life[others])(signs[its])
    return Spread.fit(levels, signs[rows.lived], life[rows.lived]), told


def figures(forecast: Forecast, rows: _Rows) -> dict[str, float]:
    """How good a forecast was: error of the expected life, coverage of p10-p90, Brier score and calibration error, where it is known."""
    life, lived, probability, fails = rows.capped[rows.lived], rows.lived, forecast.probability[rows.told], rows.fails[rows.told]
    gaps = [abs(one["said"] - one["failed"]) * one["rows"] / len(fails) for one in reliability(probability, fails)]
    low, high = forecast.p10[lived], forecast.p90[lived]
    found = {
        "rmse_capped": float(np.sqrt(np.mean(np.square(forecast.expected[lived] - life)))),
        "coverage80": float(np.mean((low <= life) & (life <= high))),
        "width80": float(np.mean(high - low)),
        "brier": float(np.mean(np.square(probability - fails))),
        "brier_of_the_base_rate": float(np.mean(np.square(fails.mean() - fails))),
        "calibration_error": float(sum(gaps)),
    }
    return {name: round(number, 4) for name, number in found.items()}
