"""A trained failure model: from one cycle of many machines to probabilities, remaining life, health and reasons."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import joblib
import numpy as np
from numpy.typing import NDArray

from vigia.analytics.prognosis.boosting import ROWS_AT_ONCE
from vigia.analytics.prognosis.calibration import LifeIntervals, ProbabilityCalibration
from vigia.analytics.prognosis.decision import Decision
from vigia.analytics.prognosis.errors import ModelFileError
from vigia.analytics.prognosis.explain import AGE, LEAST_HEALTH, LEAST_LOSS, LEAST_PROBABILITY, Reasons
from vigia.analytics.prognosis.features import FeatureBank, FeatureSpec, Observed
from vigia.analytics.prognosis.horizons import Horizons
from vigia.analytics.prognosis.raw import Raw
from vigia.analytics.prognosis.similar import Cases, Library
from vigia.analytics.prognosis.spread import Spread

FORMAT = 7
"""Raised when the stored classes change: an older file is refused with a sentence instead of failing inside."""
REPORTED = 5


class Method(StrEnum):
    """What a model rests on: enough failures for trees, or, with few of them, how far machines have worn, or only how old they become."""

    TREES = "trees"
    WEAR = "wear"
    SURVIVAL = "survival"


class Judge(Protocol):
    """What was learned: `Boosters`, `Wear` or `Survival`."""

    def __call__(self, features: NDArray[np.float64]) -> Raw:
        """What is told of each row of features."""
        ...

    def chances(self, features: NDArray[np.float64], life: NDArray[np.float64], horizons: Sequence[float]) -> NDArray[np.float64]:
        """Failure probability within each of `horizons` (float64[machines, horizons]), not calibrated; `life` as was just predicted."""
        ...

    def contributions(self, features: NDArray[np.float64], healthy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Life lost to each sensor (float64[machines, sensors]), or to age where only that counts (float64[machines, 1])."""
        ...


@dataclass(frozen=True)
class Forecast:
    """What a model says of many machines at once; arrays have one entry a machine, lives are in the model's life unit."""

    probability: NDArray[np.float64]
    """of a failure within the model's horizon"""
    within: Mapping[float, NDArray[np.float64]]
    """the same by horizon, shortest first; the model's own is among them"""
    quantiles: Mapping[float, NDArray[np.float64]]
    expected: NDArray[np.float64]
    """mean remaining life, capped"""
    cautious: NDArray[np.float64]
    """as much less as is best when too long a life costs more than too short a one (PHM08)"""
    health: NDArray[np.float64]
    """0-100, of this cycle alone; `lowest_health` makes it monotone"""

    @property
    def p10(self) -> NDArray[np.float64]:
        """Lower end of the interval that holds the remaining life with 80 % probability."""
        return self.quantiles[0.1]

    @property
    def p50(self) -> NDArray[np.float64]:
        """Median remaining life."""
        return self.quantiles[0.5]

    @property
    def p90(self) -> NDArray[np.float64]:
        """Upper end of that interval; the cap where the machine is far from its end."""
        return self.quantiles[0.9]


@dataclass(frozen=True)
class Prognosis:
    """A failure model of one asset model and failure mode. Built by `train.train`."""

    failure_mode: str
    spec: FeatureSpec
    method: Method
    judge: Judge
    calibration: ProbabilityCalibration
    horizons: Horizons
    spread: Spread
    intervals: LifeIntervals
    caution: float
    """what the cautious estimate is below the mean, in life units"""
    horizon: float
    life_cap: float
    healthy_life: float
    """median remaining life from which on health is 100"""
    decision: Decision
    library: Library
    """known machines, to name those that once were alike"""
    metrics: Mapping[str, Any]
    """figures on machines that the model had not seen, JSON-ready"""

    def bank(self) -> FeatureBank:
        """An empty feature state for machines this model is to follow."""
        return FeatureBank(self.spec)

    def forecast(self, features: NDArray[np.float64]) -> Forecast:
        """Predict from features (float64[machines, features], as `FeatureBank.step` returns them)."""
        raw, life, signs = self.judge(features)
        quantiles = self.intervals(self.spread(signs), life)
        health = 100.0 * np.clip(quantiles[0.5] / self.healthy_life, 0.0, 1.0)
        expected, cautious = np.clip(life, 0.0, self.life_cap), np.clip(life - self.caution, 0.0, self.life_cap)
        probability = self.calibration(raw)
        within = self.horizons(probability, self.judge.chances(features, life, tuple(self.horizons.calibrations)))
        return Forecast(probability, within, quantiles, expected, cautious, health)

    def reasons(self, seen: Observed) -> Reasons:
        """Why, for each row: its largest contributions. A machine that is well has them too, and they are small."""
        lost = np.vstack([self.judge.contributions(some.features, some.healthy()) for some in seen.blocks(ROWS_AT_ONCE)])
        if self.method is Method.SURVIVAL:
            age = seen.features[:, -1:]
            return Reasons.of((AGE,), lost, age, np.zeros_like(age), REPORTED)
        return Reasons.of(self.spec.used, lost, *seen.readings(self.spec), REPORTED)

    def similar(self, seen: Observed, forecast: Forecast, reasons: Reasons, own: NDArray[np.int64]) -> Cases:
        """Known machines that once were like each row that may fail; `own` (int64[rows]): the rows' own assets, 0: unknown."""
        pointed = (forecast.probability > LEAST_PROBABILITY) | (forecast.health < LEAST_HEALTH)
        chosen = np.flatnonzero(pointed & (reasons.loss >= LEAST_LOSS))
        place = np.full(len(pointed), -1, dtype=np.intp)
        place[chosen] = np.arange(len(chosen))
        return replace(self.library.cases(seen.features, chosen, own[chosen]), place=place)


def lowest_health(previous: float | None, health: float) -> float:
    """Health between repairs only falls: the lower of this cycle's health and the last one reported since the installation."""
    return health if previous is None else min(previous, health)


def save(model: Prognosis, path: Path) -> str:
    """Write the model to `path` (its folder is made); the sha256 of the file, to be kept apart from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    joblib.dump({"format": FORMAT, "model": model}, part, compress=3)
    part.replace(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(path: Path, sha256: str) -> Prognosis:
    """Read a model written by `save`. Nothing is unpickled unless the file has that sha256. Raises ModelFileError naming the file."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        message = f"The model file {path} cannot be read ({error.strerror}); train it again with `vigia analytics train`."
        raise ModelFileError(message) from None
    if found != sha256:
        message = (
            f"The model file {path} is not the one that was registered (sha256 {found[:12]}... instead of {sha256[:12]}...); "
            "train it again with `vigia analytics train`."
        )
        raise ModelFileError(message)
    content = joblib.load(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("model"), Prognosis):
        message = f"The model file {path} was written by another version of Vigía; train it again with `vigia analytics train`."
        raise ModelFileError(message)
    model: Prognosis = content["model"]
    return model
