"""Similar past cases: the moments of known machines' lives that are most like a machine's present one, and what became of them.

Two moments are alike when the sensors have left their machine's own baseline as far and move as fast, in deviations of the known moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, Self, overload

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

    def cases(self, features: NDArray[np.float64], rows: NDArray[np.intp], own: NDArray[np.int64]) -> "Cases":
        """The CASES known machines most like each of `rows`, nearest first, never itself.

        features : float64[machines, features]
        own : int64[rows], each one's asset; 0: not known
        """
        moment, apart = np.empty((len(rows), CASES), np.int64), np.empty((len(rows), CASES), np.float32)
        asked = np.ascontiguousarray(features[np.ix_(rows, self.columns)] / self.scale, dtype=np.float32)
        of_asset = np.array([one.asset_id for one in self.known], dtype=np.int64)
        nearest(asked, own, self.points, self.first, of_asset, moment, apart)
        return Cases(self, np.arange(len(rows)), moment, apart)


@dataclass(frozen=True, eq=False)
class Cases(Sequence[Sequence[Case]]):
    """The similar past cases of each of many machines, kept in arrays: a machine's are made when it is asked for."""

    library: Library
    place: NDArray[np.intp]
    """int[machines], row of what follows; -1: it has none"""
    moment: NDArray[np.int64]
    """int64[rows, CASES], nearest first; -1: there is none"""
    apart: NDArray[np.float32]
    """float32[rows, CASES], squared distance"""

    def __len__(self) -> int:
        """So many machines."""
        return len(self.place)

    @overload
    def __getitem__(self, row: int) -> list[Case]: ...
    @overload
    def __getitem__(self, row: slice) -> list[list[Case]]: ...
    def __getitem__(self, row: int | slice) -> list[Case] | list[list[Case]]:
        """Those of one machine, nearest first."""
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        at = self.place[row]
        if at < 0:
            return []
        some = slice(at * CASES, at * CASES + self._there[at])
        return list(map(_made, zip(*(column[some] for column in self._columns), strict=True)))

    @cached_property
    def _there(self) -> list[int]:
        """So many cases has each row."""
        found: list[int] = (self.moment >= 0).sum(axis=1).tolist()
        return found

    @cached_property
    def _columns(self) -> tuple[list[Any], ...]:
        """The fields of all Cases, row after row."""
        library = self.library
        if not library.known:
            return [], [], []
        known = np.empty(len(library.known), dtype=object)
        known[:] = library.known
        machine = np.searchsorted(library.first, self.moment, side="right") - 1
        distance = np.sqrt(self.apart.astype(np.float64) / len(library.columns))
        return tuple(each.ravel().tolist() for each in (known[machine], library.lived_on[self.moment], distance))


def _spread(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most `count` of `rows`, evenly, the last among them."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(int)]
