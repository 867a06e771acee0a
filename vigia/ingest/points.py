"""What ingest knows of each point, by its id: whose it is, and what for."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors import NEVER, about_of
from vigia.store.telemetry import GOOD, Readings

_ROOM = 1024


@dataclass(frozen=True)
class PointInfo:
    """Whose point it is, and what for."""

    point_id: int
    name: str
    kind: str
    asset_id: int
    customer_id: int
    low: float | None = None
    high: float | None = None


class Points:
    """Columns by point id, which are dense: they come from one sequence. Rows of points never met count for nothing.

    `about`: the points of an asset are a group.
    """

    def __init__(self) -> None:
        self._infos: dict[int, PointInfo] = {}
        self._of_asset: dict[int, set[int]] = {}
        self._held_from: dict[int, int] = {}
        self._new_from: dict[int, int] = {}
        self._measured = np.zeros(0, np.bool_)
        self._is_state = np.zeros(0, np.bool_)
        self.about = about_of(np.zeros(0, np.int64))

    def __getitem__(self, point_id: int) -> PointInfo:
        return self._infos[point_id]

    def __contains__(self, point_id: int) -> bool:
        return point_id in self._infos

    def __len__(self) -> int:
        """One more than the greatest id there is a row for."""
        return len(self._measured)

    def name(self, point_id: int) -> str:
        """As its machine calls it; its number when it was never met."""
        info = self._infos.get(point_id)
        return str(point_id) if info is None else info.name

    def learn(self, infos: Iterable[PointInfo]) -> None:
        """Take these points, or what is new of them."""
        changed: set[int] = set()
        for info in infos:
            if self._infos.get(info.point_id) == info:
                continue
            self.reach(info.point_id)
            self._infos[info.point_id] = info
            self._measured[info.point_id] = info.kind == "measurement"
            self._is_state[info.point_id] = info.kind == "state"
            self.about.low[info.point_id] = np.nan if info.low is None else info.low
            self.about.high[info.point_id] = np.nan if info.high is None else info.high
            self._of_asset.setdefault(info.asset_id, set()).add(info.point_id)
            changed.add(info.asset_id)
        for asset_id in changed:
            ring = np.array(sorted(self._of_asset[asset_id]), np.int64)
            self.about.leader[ring] = ring[0]
            self.about.peer[ring] = np.roll(ring, -1)
            self._note_times(asset_id)

    def hold(self, asset_id: int, from_us: int) -> None:
        """Nothing is to be learned from the asset's readings after that moment, microseconds since 1970 UTC."""
        self._held_from[asset_id] = from_us
        self._note_times(asset_id)

    def renew(self, asset_id: int, from_us: int) -> None:
        """The asset's readings after that moment make a new baseline."""
        self._new_from[asset_id] = from_us
        self._note_times(asset_id)

    def _note_times(self, asset_id: int) -> None:
        rows = list(self._of_asset.get(asset_id, ()))
        self.about.held_from[rows] = self._held_from.get(asset_id, NEVER)
        self.about.new_from[rows] = self._new_from.get(asset_id, 0)

    def reach(self, point_id: int) -> None:
        """Have a row for it."""
        old = len(self)
        if point_id < old:
            return
        size = max(_ROOM, 2 * old, point_id + 1)
        self._measured, self._is_state = _grown(self._measured, size), _grown(self._is_state, size)
        about = about_of(np.arange(size))
        for grown, known in zip(about, self.about, strict=True):
            grown[:old] = known
        self.about = about

    def measurements(self, readings: Readings) -> Readings:
        """The readings of measurements; those that are not good without a value."""
        measured = readings.take(self._measured[readings.point_id])
        bad = measured.quality != GOOD
        return replace(measured, value=np.where(bad, np.nan, measured.value)) if bad.any() else measured

    def states(self, readings: Readings) -> Readings | None:
        """The readings of state points, None when there are none."""
        of_states = self._is_state[readings.point_id]
        return readings.take(of_states) if of_states.any() else None


def _grown(flags: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    grown = np.zeros(size, np.bool_)
    grown[: len(flags)] = flags
    return grown
