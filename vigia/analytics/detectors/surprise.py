"""Whether a reading surprises, given the series before it: for a series looked at alone, its time of day and week included.

It learns as it goes and needs no healthy part to begin with. The settings were chosen on the public part of the Numenta benchmark and
are the same for every series.
"""

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.kernels import surprise as kernel

SETTINGS = kernel.Settings(
    mean=0.05, day=0.2, week=0.5, missed=0.01, trust=6.0, spread=0.0005, clip=4.0, run=0.1, wild=0.05, far=6.0, tail=0.02, warm=100
)
THRESHOLD = 3.0
"""A score from here on is a finding: by chance about one reading in a thousand, and at most one in HOLD, would have it."""


class Surprise:
    """One series, streaming: `score` may be called any number of times, each with what came since."""

    def __init__(self) -> None:
        self._state = kernel.new_state()

    def score(self, ts: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[n], 0 or more; from THRESHOLD on it is a finding. An event is told at its first peak and when it gets worse.

        ts : microseconds since 1970 UTC, rising; what is not newer than the newest reading scores 0, as a NaN value does
        """
        return kernel.surprise(self._state, np.ascontiguousarray(ts, np.int64), np.ascontiguousarray(value, np.float64), SETTINGS)
