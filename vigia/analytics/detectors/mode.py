"""Whether a machine works as it did while a sensor's baseline was learned.

At another speed every sensor reads otherwise, and nothing is wrong. A setting has levels where its values stand clearly apart, and a home:
the level at which most of the baseline was learned. A baseline that was learned at many levels has none, and holds for all of them.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors.drift import DEFAULTS

LEARNED: Final = DEFAULTS.learn
"""Readings from the beginning that a baseline is learned from."""
RECENT: Final = 12
"""Readings that end with the finding's."""
AWAY: Final = 3
"""So many of them at another level are another mode; after a change it takes a while until nothing of it is left in a sensor."""
GAP: Final = 0.2
"""Two levels of a setting are at least this share of its range apart."""


class Moved(NamedTuple):
    """A setting that is not where it was: its column, its home and where it is."""

    column: int
    home: float
    now: float


def moved(learned: NDArray[np.float64], recent: NDArray[np.float64]) -> Moved | None:
    """The first setting that is away from home; float64[readings, settings] each, NaN where a setting had said nothing yet."""
    for column in range(learned.shape[1]):
        before, now = (part[np.isfinite(part)] for part in (learned[:, column], recent[:, column]))
        if not len(before):
            continue
        level = _levels(np.concatenate((before, now)))
        of_before, of_now = level[: len(before)], level[len(before) :]
        home = int(np.bincount(of_before).argmax())
        if 2 * np.sum(of_before == home) >= len(before) and np.sum(of_now != home) >= AWAY:
            return Moved(column, float(np.median(before[of_before == home])), float(np.median(now[of_now != home])))
    return None


def _levels(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of each value's level, from the lowest."""
    ordered = np.sort(values)
    gaps = np.diff(ordered)
    cuts = ordered[:-1][gaps > GAP * (ordered[-1] - ordered[0])]
    return np.searchsorted(cuts, values, side="left").astype(np.int64)
