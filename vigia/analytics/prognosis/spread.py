"""How far the remaining life may be from the mean that was predicted: quantiles, boosted by the pinball loss.

They learn from means that were predicted without the machine, since what trees say of a machine they have seen is hardly ever wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.prognosis import boosting
from vigia.analytics.prognosis.forest import Forest


@dataclass(frozen=True)
class Spread:
    """Quantile = mean + what its forest says."""

    levels: tuple[float, ...]
    """rising"""
    forests: tuple[Forest, ...]
    """one a level; none where failures are too few to tell more than the mean"""

    @classmethod
    def fit(cls, levels: Sequence[float], signs: NDArray[np.float64], life: NDArray[np.float64]) -> Self:
        """Learn from rows of machines that were not seen: their signs (`Raw.signs`), and how long they lived (float64[rows], capped)."""
        with boosting.one_thread():
            fitted = [boosting.quantile(level).fit(signs, life - signs[:, 0]) for level in levels]
        return cls(tuple(levels), tuple(Forest.of(one) for one in fitted))

    def __call__(self, signs: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[levels, machines]: their quantiles, not yet calibrated."""
        apart = np.array([forest(signs) for forest in self.forests]) if self.forests else np.zeros((len(self.levels), len(signs)))
        return np.asarray(signs[:, 0] + apart)
