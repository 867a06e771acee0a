"""One sensor, a reading a second."""

import numpy as np
from numpy.typing import NDArray

from vigia.analytics import detectors
from vigia.analytics.detectors import Readings, Sign, about_of, new_state

SECOND_US = 1_000_000


def watched(
    values: NDArray[np.float64], detector: str | None = None, ts: NDArray[np.int64] | None = None, limits: tuple[float, float] | None = None
) -> list[Sign]:
    """What `detector`, or any, says of them; `limits` is the sensor's range."""
    n = len(values)
    about = about_of(np.zeros(1, np.int64))
    if limits is not None:
        about.low[:], about.high[:] = limits
    times = np.arange(1, n + 1) * SECOND_US if ts is None else ts
    sure = detectors.DEFAULTS._replace(usual=0.0)
    signs = detectors.score(new_state(1), Readings(np.zeros(n, np.int64), times, values, about), sure).signs
    return [sign for sign in signs if detector in {None, sign.detector}]
