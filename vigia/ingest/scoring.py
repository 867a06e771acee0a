"""The streaming detectors' memory, one an edge node: advanced with the readings, saved in their transaction, kept only if it commits."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from vigia.analytics import detectors
from vigia.analytics.detectors.sign import Sign
from vigia.store import findings, telemetry
from vigia.store.database import Transaction
from vigia.store.findings import NewFinding
from vigia.store.telemetry import Readings


@dataclass(frozen=True)
class PointInfo:
    """Whose point it is, and what for."""

    point_id: int
    name: str
    kind: str
    asset_id: int
    customer_id: int


@dataclass(frozen=True)
class _Memory:
    """Rows of `state` belong to `point_ids`, which are sorted. `version` None: not saved yet."""

    point_ids: NDArray[np.int32]
    state: NDArray[np.float64]
    version: datetime | None


_NOTHING = _Memory(np.empty(0, np.int32), detectors.new_state(0), None)


class Scoring:
    """Scores readings edge by edge. After `score` say how the transaction ended."""

    def __init__(self, points: dict[int, PointInfo]) -> None:
        self._points = points
        self._memories: dict[int, _Memory] = {}
        self._advanced: dict[int, _Memory] = {}

    def committed(self) -> None:
        """What was scored is durable."""
        self._memories |= self._advanced
        self._advanced.clear()

    def failed(self) -> None:
        """The transaction was rolled back, and the memory with it."""
        self._advanced.clear()

    async def score(self, tx: Transaction, readings_of: dict[int, Readings]) -> list[NewFinding]:
        """The findings that start in the readings of each edge, given by its id. The caller holds the edges' lock."""
        versions = await findings.versions(tx, readings_of)
        found: list[NewFinding] = []
        for edge_node_id, readings in readings_of.items():
            measured = readings.take(self._is_measurement(readings.point_id) & readings.good)
            if not len(measured):
                continue
            memory = self._memories.get(edge_node_id, _NOTHING)
            if memory.version != versions.get(edge_node_id):  # another process wrote it, or we have just started
                memory = await _load(tx, edge_node_id)
            memory = _with_points(memory, np.unique(measured.point_id))
            signs = self._advance(memory, measured)
            version = await findings.save(tx, edge_node_id, memory.point_ids.tolist(), memory.state.tobytes())
            self._advanced[edge_node_id] = _Memory(memory.point_ids, memory.state, version)
            found += signs
        return found

    def _is_measurement(self, point_id: NDArray[np.int32]) -> NDArray[np.bool_]:
        each, row = np.unique(point_id, return_inverse=True)
        wanted = np.array([self._points[int(one)].kind == "measurement" for one in each], np.bool_)
        return wanted[row]

    def _advance(self, memory: _Memory, readings: Readings) -> list[NewFinding]:
        readings = readings.sorted()
        row = np.searchsorted(memory.point_ids, readings.point_id).astype(np.int64)
        groups = detectors.groups_of(np.array([self._asset(int(one)) for one in memory.point_ids], np.int64))
        signs = detectors.score(memory.state, detectors.Readings(row, readings.ts, readings.value, groups))
        return [self._finding(sign, int(readings.point_id[sign.reading]), int(readings.ts[sign.reading])) for sign in signs]

    def _asset(self, point_id: int) -> int:
        # A point of a machine that left long ago is not among those known: a group of its own.
        info = self._points.get(point_id)
        return -point_id if info is None else info.asset_id

    def _finding(self, sign: Sign, point_id: int, ts: int) -> NewFinding:
        info = self._points[point_id]
        return NewFinding(
            customer_id=info.customer_id,
            asset_id=info.asset_id,
            point_id=point_id,
            detector=sign.detector,
            at=telemetry.from_us(ts),
            score=sign.score,
            why={"point": info.name, **sign.why},
        )


async def _load(tx: Transaction, edge_node_id: int) -> _Memory:
    snapshot = await findings.load(tx, edge_node_id)
    if snapshot is None or len(snapshot.state) != len(snapshot.point_ids) * detectors.STATE_WIDTH * 8:
        return _NOTHING  # none, or one of detectors that remembered something else: they learn anew
    state = np.frombuffer(snapshot.state, np.float64).reshape(-1, detectors.STATE_WIDTH)
    return _Memory(np.array(snapshot.point_ids, np.int32), state, snapshot.updated_at)


def _with_points(memory: _Memory, point_ids: NDArray[np.int32]) -> _Memory:
    """A copy that has rows for `point_ids` too, to be changed freely."""
    every = np.union1d(memory.point_ids, point_ids).astype(np.int32)
    state = detectors.new_state(len(every))
    state[np.searchsorted(every, memory.point_ids)] = memory.state
    return _Memory(every, state, memory.version)
