"""A sensor leaves the level it had when the machine was healthy, and stays away.

Each point's baseline (mean and deviation) is learned over its first readings and then frozen: a slow decline must not become
the new normal. A two-sided CUSUM adds up what deviates by more than `slack` sigma; at `threshold` sigma a drift starts, and it ends when
the recent mean deviation is back under `clear`. A single wild reading counts no more than `clip`, so it takes several to start one.

False alarms: with a known baseline and normal noise the two-sided CUSUM alarms on average once in more than 10^20 readings at the
defaults (Siegmund: (exp(2 k b) - 2 k b - 1) / 4 k^2, k = slack, b = threshold + 1.17). What limits it is the learned baseline: with 50
readings the mean is off by up to half a sigma (3.5 standard errors), which leaves k = 1 and 10^17 readings. Noise that is not normal, or
an operating point that moves, shortens this: a point whose level follows a setting does not belong under this detector alone.

One cause moves many sensors of a machine. While `shown` drifts of a group are under way, further ones start silently: the
first to leave are the ones reported.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors.sign import Sign
from vigia.analytics.kernels import drift as kernel

if TYPE_CHECKING:
    from vigia.analytics.detectors import Readings

DEFAULTS = kernel.Settings(learn=50, slack=1.5, threshold=20.0, clip=5.0, clear=1.0, weight=0.2, shown=3)


class Drift:
    """The drift detector; `settings` in multiples of sigma and in readings."""

    width = kernel.STATE_WIDTH

    def __init__(self, settings: kernel.Settings = DEFAULTS) -> None:
        self.settings = settings

    def score(self, state: NDArray[np.float64], readings: "Readings") -> list[Sign]:
        """The drifts that start, in the order of time; `state` (float64[points, width]) advances in place."""
        columns = kernel.Readings(readings.row, readings.ts, readings.value)
        starts = kernel.watch_drift(state, readings.groups, columns, self.settings)
        return [self._sign(state, readings, *start) for start in zip(*(column.tolist() for column in starts), strict=True)]

    def _sign(self, state: NDArray[np.float64], readings: "Readings", reading: int, size: float, total: float) -> Sign:
        why = _why(state[readings.row[reading]].tolist(), readings.value.item(reading), size)
        return Sign("drift", reading, total / self.settings.threshold, why)


def _why(s: list[float], value: float, size: float) -> dict[str, float | str]:
    return {
        "direction": "up" if size > 0 else "down",
        "sigmas": round(abs(size), 2),
        "value": value,
        "baseline": s[kernel.MEAN],
        "sigma": math.sqrt(s[kernel.VARIANCE] * s[kernel.LEARNED] / (s[kernel.LEARNED] - 1.0)),
        "learned_from": int(s[kernel.LEARNED]),
    }
