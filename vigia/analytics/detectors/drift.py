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
        order = np.lexsort((readings.row, readings.ts))
        columns = kernel.Readings(readings.row[order], readings.ts[order], readings.value[order])
        starts = kernel.Starts(np.empty(len(order), np.int64), np.empty(len(order)), np.empty(len(order)))
        work = np.ascontiguousarray(state)
        found = kernel.watch_drift(work, _dense(readings.group), columns, self.settings, starts)
        state[:] = work
        signs = []
        for i in range(found):
            reading = int(order[starts.reading[i]])
            why = _why(work[readings.row[reading]], float(readings.value[reading]), float(starts.size[i]))
            signs.append(Sign("drift", reading, float(starts.total[i]) / self.settings.threshold, why))
        return signs


def _why(s: NDArray[np.float64], value: float, size: float) -> dict[str, float | str]:
    sigma = float(np.sqrt(s[kernel.VARIANCE] * s[kernel.LEARNED] / (s[kernel.LEARNED] - 1.0)))
    return {
        "direction": "up" if size > 0 else "down",
        "sigmas": round(abs(size), 2),
        "value": value,
        "baseline": float(s[kernel.MEAN]),
        "sigma": sigma,
        "learned_from": int(s[kernel.LEARNED]),
    }


def _dense(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, numbered from 0."""
    return np.unique(group, return_inverse=True)[1].astype(np.int64)
