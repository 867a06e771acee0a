"""Similar past cases: the moments of known machines' lives that are most like a machine's present one, and what became of them.

Two moments are alike when the sensors have left their machine's own baseline as far and move as fast, in deviations of the known moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.kernels.similar import nearest
from vigia.analytics.prognosis.features import PER_SENSOR

KINDS = ("fast", "slope")
"""How far each sensor has left the machine's own baseline, and how fast it moves."""
CASES = 3
MOMENTS = 1_000
"""So many are kept at most, and of each machine at least LEAST_MOMENTS: of more machines the last ones."""
LEAST_MOMENTS = 5


@dataclass(frozen=True)
class Known:
    """Where a known machine's record comes from, and how it ended."""

    run: str = ""
    """its name in the training file; empty: it is of a closed order"""
    work_order_id: int = 0
    customer_id: int = 0
    """whose order it is: nobody else is told which"""
    asset_id: int = 0
    ended: str = ""


class Case(NamedTuple):
    """A known machine that once was like this one."""

    known: Known
    lived_on: float
    """from then to the end of its record, in life units"""
    distance: float
    """root mean square over the features, in deviations"""

    def told(self, customer_id: int) -> dict[str, object]:
        """As `customer_id` may know it: that an order is another customer's, and which, is nobody else's business."""
        known = self.known
        return {
            "run": known.run or None,
            "work_order_id": known.work_order_id if known.work_order_id and known.customer_id == customer_id else None,
            "lived_on": self.lived_on,
            "ended": known.ended,
            "distance": round(self.distance, 3),
        }


_made: Any = partial(tuple.__new__, Case)  # by the hundred thousand: half the time of calling the class


@dataclass(frozen=True)
class Library:
    """Moments of known machines, machine after machine."""

    columns: NDArray[np.int64]
    """of the features, that count"""
    scale: NDArray[np.float64]
    """float64[columns], their deviations"""
    points: NDArray[np.float32]
    """float32[columns, moments], in deviations"""
    first: NDArray[np.int64]
    """int64[machines + 1], where each machine's moments begin"""
    lived_on: NDArray[np.float64]
    """float64[moments]"""
    known: tuple[Known, ...]

    @classmethod
    def of(
        cls, known: Sequence[Known], lives: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], sensors: int, furthest: float
    ) -> Self:
        """Keep some moments of each machine.

        lives : features (float64[cycles, features]) and life to the end of the record (float64[cycles]) of each of `known`
        sensors : of which there are features
        furthest : moments further from the end of the record show nothing
        """
        most = MOMENTS // LEAST_MOMENTS
        known, lives = known[-most:], lives[-most:]
        columns = np.concatenate([np.arange(sensors) + PER_SENSOR.index(kind) * sensors for kind in KINDS])
        kept = [_spread(np.flatnonzero(left <= furthest), MOMENTS // max(len(known), 1)) for _, left in lives]
        points = np.vstack([np.empty((0, len(columns))), *(x[rows][:, columns] for (x, _), rows in zip(lives, kept, strict=True))])
        scale = points.std(axis=0) if len(points) else np.ones(len(columns))
        scale = np.where(scale > 0, scale, 1.0)
        return cls(
            columns,
            scale,
            np.ascontiguousarray((points / scale).T, dtype=np.float32),
            np.cumsum([0, *map(len, kept)]),
            np.concatenate([np.empty(0), *(left[rows] for (_, left), rows in zip(lives, kept, strict=True))]),
            tuple(known),
        )

    def cases(self, features: NDArray[np.float64], rows: NDArray[np.intp], own: NDArray[np.int64]) -> list[list[Case]]:
        """The CASES known machines most like each of `rows`, nearest first, never itself.

        features : float64[machines, features]
        own : int64[rows], each one's asset; 0: not known
        """
        moment, apart = np.empty((len(rows), CASES), np.int64), np.empty((len(rows), CASES), np.float32)
        asked = np.ascontiguousarray(features[np.ix_(rows, self.columns)] / self.scale, dtype=np.float32)
        of_asset = np.array([one.asset_id for one in self.known], dtype=np.int64)
        nearest(asked, own, self.points, self.first, of_asset, moment, apart)
        there = (moment >= 0).sum(axis=1).tolist()
        if not len(self.known):
            return [[] for _ in there]
        machine = np.searchsorted(self.first, moment.ravel(), side="right") - 1
        distance = np.sqrt(apart.ravel().astype(np.float64) / len(self.columns))
        columns = ([self.known[at] for at in machine.tolist()], self.lived_on[moment.ravel()].tolist(), distance.tolist())
        every: list[Case] = list(map(_made, zip(*columns, strict=True)))
        return [every[row * CASES : row * CASES + some] for row, some in enumerate(there)]


def _spread(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most `count` of `rows`, evenly, the last among them."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(int)]
