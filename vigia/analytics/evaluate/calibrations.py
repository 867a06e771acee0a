"""Ways to calibrate a failure probability, compared on engines that neither the trees nor the calibration has seen.

Both learn from the engines of the other folds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from vigia.analytics.compute import Compute
from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis.calibration import EDGE, ProbabilityCalibration
from vigia.analytics.prognosis.horizons import of_life
from vigia.analytics.prognosis.train import FEW, IN_PROCESS, raw_unseen

HORIZONS = (10.0, 30.0, 60.0)
Calibrate = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _isotonic(probability: NDArray[np.float64], fails: NDArray[np.bool_]) -> Calibrate:
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probability, fails)
    return lambda asked: np.asarray(fitted.predict(asked))


WAYS: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.bool_]], Calibrate]] = {
    "none": lambda *_: lambda asked: asked,
    "logistic": lambda probability, fails: ProbabilityCalibration.fit(probability, fails, np.inf),
    "isotonic": _isotonic,
    "beta": ProbabilityCalibration.fit,
}


@dataclass(frozen=True)
class Compared:
    """The ways on one score, over all rows."""

    horizon: float
    """flight cycles within which a failure counts"""
    score: str
    """"trees": of a classifier of this horizon; "life": the predicted remaining life"""
    brier_of_the_base_rate: float
    brier: dict[str, float]
    """by way"""
    log_loss: dict[str, float]
    """by way; a certainty counts as one in a million left"""


@dataclass(frozen=True)
class Calibrations:
    """The horizons that every engine outlives."""

    subset: str
    units: int
    compared: list[Compared]


def evaluate(folder: Path, subset: str, where: Compute = IN_PROCESS) -> Calibrations:
    """Compare on `train_<subset>` in `folder`, without engine age, as the service's model. Raises CmapssError."""
    learned = turbofan.read_learned(folder, subset)
    if len(learned) < FEW:
        message = f"train_{subset} holds {len(learned)} engines; trees are learned from {FEW} or more."
        raise cmapss.CmapssError(message)
    remaining, compared = np.concatenate([history.remaining for history in learned]), []
    shortest = min(history.remaining[0] for history in learned)
    for horizon in (one for one in HORIZONS if one < shortest):
        raw, fold = raw_unseen(learned, replace(turbofan.options(horizon), horizons=(horizon,)), where)
        for score, probability in (("trees", raw.probability), ("life", of_life(raw.life, (horizon,))[:, 0])):
            compared.append(_compare(horizon, score, (probability, remaining <= horizon), fold))
    return Calibrations(subset, len(learned), compared)


def _compare(horizon: float, score: str, known: tuple[NDArray[np.float64], NDArray[np.bool_]], fold: NDArray[np.int64]) -> Compared:
    told, fails = known
    brier, log_loss = {}, {}
    for name, way in WAYS.items():
        said = np.empty(len(told))
        for one in np.unique(fold):
            its = fold == one
            said[its] = way(told[~its], fails[~its])(told[its])
        brier[name] = round(float(np.mean(np.square(said - fails))), 5)
        log_loss[name] = round(float(-np.mean(np.log(np.clip(np.where(fails, said, 1 - said), EDGE, 1)))), 5)
    return Compared(horizon, score, round(float(np.mean(np.square(fails.mean() - fails))), 5), brier, log_loss)
