"""The Numenta Anomaly Benchmark's score, from its published definition: early detection in a window counts, false alarms cost.

A. Lavin and S. Ahmad, "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark" (2015), section III.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PROBATION_SHARE, PROBATION_MOST = 0.15, 750
_FAR = 3.0  # windows behind the last one, from which on a false alarm costs all it can


@dataclass(frozen=True)
class Profile:
    """What a window found is worth, and what a false alarm and a window missed cost."""

    found: float
    false_alarm: float
    missed: float


PROFILES = {"standard": Profile(1.0, 0.11, 1.0), "low_fp": Profile(1.0, 0.22, 1.0), "low_fn": Profile(1.0, 0.11, 2.0)}


@dataclass(frozen=True)
class Scored:
    """The scores a detector gave to the rows of one file; `windows` are its anomalies' first and last rows, in their order."""

    scores: NDArray[np.float64]
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Result:
    """The benchmark's score, 100 for all windows found at their first row and no false alarm, 0 for no alarm; and its threshold."""

    score: float
    threshold: float


def evaluate(files: Sequence[Scored], profile: Profile) -> Result:
    """The score at the one threshold, for all files, at which it is best: the benchmark's own protocol."""
    scores, gains = _steps(files, profile)
    order = np.argsort(-scores, kind="stable")
    total = np.concatenate(([0.0], np.cumsum(gains[order])))
    ends = np.concatenate(([True], np.append(scores[order][1:] != scores[order][:-1], [True] if len(order) else [])))
    best = int(np.flatnonzero(ends)[np.argmax(total[ends])])
    return Result(_normal(files, profile, float(total[best])), float(scores[order][best - 1]) if best else float("inf"))


def at_threshold(files: Sequence[Scored], profile: Profile, threshold: float) -> float:
    """The score when each row of `threshold` or more is an alarm."""
    scores, gains = _steps(files, profile)
    return _normal(files, profile, float(gains[scores >= threshold].sum()))


def _normal(files: Sequence[Scored], profile: Profile, gained: float) -> float:
    """`gained` over saying nothing, as a share of what could be."""
    windows = sum(len(file.windows) for file in files)
    return 100.0 * gained / (windows * (profile.found + profile.missed)) if windows else (0.0 if gained == 0 else float("-inf"))


def _steps(files: Sequence[Scored], profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds and what the total gains over saying nothing when the threshold falls to each."""
    parts = [_steps_of(file, profile) for file in files]
    return np.concatenate([np.zeros(0), *(part[0] for part in parts)]), np.concatenate([np.zeros(0), *(part[1] for part in parts)])


def _steps_of(file: Scored, profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = np.arange(len(file.scores))
    counts = rows >= min(int(PROBATION_SHARE * len(rows)), PROBATION_MOST)
    outside = counts.copy()
    scores, gains = [], []
    for first, last in file.windows:
        inside = (rows >= first) & (rows <= last)
        outside &= ~inside
        at = np.flatnonzero(inside & counts)
        at = at[np.argsort(-file.scores[at], kind="stable")]
        worth = profile.found * _sigmoid(-(last - at + 1) / (last - first + 1)) / _sigmoid(np.array(-1.0))
        best = np.maximum.accumulate(np.concatenate(([-profile.missed], worth)))
        scores.append(file.scores[at])
        gains.append(np.diff(best))
    at = np.flatnonzero(outside)
    scores.append(file.scores[at])
    gains.append(profile.false_alarm * _sigmoid(_behind(at, file.windows)))
    return np.concatenate(scores), np.concatenate(gains)


def _behind(rows: NDArray[np.int64], windows: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """How many widths of the last window before it each row is behind that window; infinite before any."""
    behind = np.full(len(rows), np.inf)
    for first, last in windows:
        after = rows > last
        behind[after] = (rows[after] - last) / max(last - first, 1)
    return behind


def _sigmoid(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Worth at a position: -1 is a window's first row, 0 its end."""
    return np.asarray(np.where(position > _FAR, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, _FAR))) - 1.0))
