"""The streaming detectors' memory of all points: advanced with the readings, saved in their transaction, undone if it fails.

What is remembered of a machine's channels together is not saved: after a start it is at rest, and moves again with the next readings.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from vigia.analytics import detectors
from vigia.analytics.detectors.sign import End, Sign
from vigia.analytics.detectors.subspace import BaselineError
from vigia.analytics.detectors.together import Baseline, Watch
from vigia.analytics.kernels.newest import last_of_each
from vigia.ingest.points import Points
from vigia.store import baselines, failure_cases, findings, telemetry
from vigia.store.database import Transaction
from vigia.store.findings import NewFinding
from vigia.store.telemetry import Readings

log = structlog.get_logger()

BASELINES_EVERY_S = 5.0


class Senders(NamedTuple):
    """Which edge node sent a reading of which point: columns of the same length."""

    point_id: NDArray[np.int32]
    edge_node_id: NDArray[np.int32]


class Over(NamedTuple):
    """What `detector` found in a point is over since the reading at `at`."""

    asset_id: int
    point_id: int
    detector: str
    at: datetime


class Scoring:
    """Scores readings. After `score` say how the transaction ended.

    A snapshot in the database belongs to an edge node and has a version: when another process wrote a newer one, that is loaded first.
    """

    def __init__(self, points: Points) -> None:
        self._points = points
        self._state = detectors.new_state(0)  # a row a point id; what is never touched takes no memory
        self._edge_of = np.zeros(0, np.int32)  # likewise
        self._rows_of: dict[int, NDArray[np.int32]] = {}
        self._versions: dict[int, datetime] = {}
        self._new_versions: dict[int, datetime] = {}
        self._in_case: set[int] = set()
        self._together = Watch()
        self._learned: dict[int, datetime] = {}
        self._looked = -BASELINES_EVERY_S
        self._undo: list[tuple[NDArray[np.int64], NDArray[np.void]]] = []

    def committed(self) -> None:
        """What was scored is durable."""
        self._together.done()
        self._versions |= self._new_versions
        self._forget()

    def failed(self) -> None:
        """The transaction was rolled back, and the memory with it."""
        for rows, state in reversed(self._undo):
            self._state[rows] = state
        self._together.undo()
        self._forget()

    def _forget(self) -> None:
        self._new_versions = {}
        self._undo.clear()

    async def score(self, tx: Transaction, readings: Readings, senders: Senders) -> list[NewFinding | Over]:
        """What starts and ends in `readings` (sorted by point and time), in the order of time.

        The caller holds the locks of the edges of `senders`.
        """
        measured = self._points.measurements(readings)
        if not len(measured):
            return []
        points = measured.point_id[last_of_each(measured.point_id)]
        self._reach(int(points[-1]))
        self._edge_of[senders.point_id] = senders.edge_node_id
        edge = self._edge_of[points]
        order = np.argsort(edge, kind="stable")
        begin = np.flatnonzero(np.append([True], edge[order][1:] != edge[order][:-1]))
        edges: list[int] = edge[order][begin].tolist()
        await self._take_newer(tx, edges)
        await self._take_cases(tx)
        for one, some in zip(edges, np.split(points[order], begin[1:]), strict=True):
            self._remember(one, some)
        await self._take_baselines(tx)
        told = sorted((*self._advance(measured), *self._advance_together(readings)), key=_when)
        self._new_versions = await self._save(tx, edges)
        return told

    def _reach(self, point_id: int) -> None:
        self._points.reach(point_id)
        if len(self._state) < len(self._points):
            self._edge_of = np.zeros(len(self._points), np.int32)
            grown = detectors.new_state(len(self._points))
            for rows in self._rows_of.values():
                grown[rows] = self._state[rows]
            self._state = grown

    async def _take_newer(self, tx: Transaction, edges: Sequence[int]) -> None:
        versions = await findings.versions(tx, edges)
        for edge in edges:
            if edge in versions and versions[edge] != self._versions.get(edge):
                await self._load(tx, edge)

    async def _load(self, tx: Transaction, edge: int) -> None:
        snapshot = await findings.load(tx, edge)
        if snapshot is None or len(snapshot.state) != len(snapshot.point_ids) * detectors.STATE.itemsize or not snapshot.point_ids:
            return  # none, or one of detectors that remembered something else: they learn anew
        rows = np.array(snapshot.point_ids, np.int32)
        self._reach(int(rows.max()))
        self._remember(edge, rows)
        self._keep(rows.astype(np.int64))
        await self._renew(tx, {self._points[row].asset_id for row in snapshot.point_ids if row in self._points})
        self._state[rows] = np.frombuffer(snapshot.state, detectors.STATE)

    async def _take_cases(self, tx: Transaction) -> None:
        """While a case of an asset is open nothing of it is learned; when it is closed, the work is done: a new baseline begins."""
        since = await failure_cases.open_since(tx)
        for asset_id in since.keys() - self._in_case:
            self._points.hold(asset_id, telemetry.to_us(since[asset_id]))
        await self._renew(tx, self._in_case - since.keys())
        self._in_case = set(since)

    async def _renew(self, tx: Transaction, asset_ids: Collection[int]) -> None:
        if asset_ids:
            for asset_id, at in (await failure_cases.last_closed(tx, asset_ids)).items():
                self._points.renew(asset_id, telemetry.to_us(at))

    async def _take_baselines(self, tx: Transaction) -> None:
        now = time.monotonic()
        if now < self._looked + BASELINES_EVERY_S:
            return
        self._looked = now
        valid = await baselines.valid(tx)
        fresh = [asset for asset, at in valid.items() if self._learned.get(asset) != at]
        left = [asset for asset in self._learned if asset not in valid]
        if not fresh and not left:
            return
        taken: dict[int, tuple[Baseline, tuple[int, ...]]] = {}
        for one in await baselines.load(tx, fresh):
            try:
                taken[one.asset_id] = Baseline.from_bytes(one.body), tuple(one.point_ids)
            except BaselineError as error:  # readings must not be refused for it: the machine is watched channel by channel
                log.warning("baseline left out", asset=one.asset_id, reason=str(error))
                left.append(one.asset_id)
        self._together.change(taken, left, await baselines.alarmed(tx, taken))
        self._learned = valid

    def _advance_together(self, readings: Readings) -> Iterator[NewFinding | Over]:
        if len(self._together):
            value = np.where(readings.good, readings.value, np.nan)
            for one in self._together.score(readings.point_id, readings.ts, value, self._points.name):
                yield self._told(one.what, one.what.reading, one.ts)

    def _remember(self, edge: int, points: NDArray[np.int32]) -> None:
        known = self._rows_of.get(edge)
        if known is None:
            self._rows_of[edge] = np.sort(points)
        elif len(known) < len(points) or not np.isin(points, known).all():
            self._rows_of[edge] = np.union1d(known, points).astype(np.int32)

    def _keep(self, rows: NDArray[np.int64]) -> None:
        self._undo.append((rows, self._state[rows]))

    def _advance(self, readings: Readings) -> Iterator[NewFinding | Over]:
        given = detectors.Readings(readings.point_id.astype(np.int64), readings.ts, readings.value, self._points.about)
        self._keep(detectors.touched(given))
        scored = detectors.score(self._state, given)
        told: list[Sign | End] = [*scored.ends, *scored.signs]
        for one in told:
            yield self._told(one, int(readings.point_id[one.reading]), int(readings.ts[one.reading]))

    async def _save(self, tx: Transaction, edges: Sequence[int]) -> dict[int, datetime]:
        rows = [self._rows_of[edge] for edge in edges]
        every = np.concatenate(rows)
        lengths = np.array([len(one) for one in rows], np.int32)
        return await findings.save_all(tx, findings.Memory(np.array(edges, np.int32), lengths, every, self._state[every]))

    def _told(self, sign: Sign | End, point_id: int, ts: int) -> NewFinding | Over:
        info = self._points[point_id]
        if isinstance(sign, End):
            return Over(info.asset_id, point_id, sign.detector, telemetry.from_us(ts))
        return NewFinding(
            customer_id=info.customer_id,
            asset_id=info.asset_id,
            point_id=point_id,
            detector=sign.detector,
            at=telemetry.from_us(ts),
            score=sign.score,
            why={"point": info.name, **sign.why},
        )


def _when(told: NewFinding | Over) -> tuple[datetime, bool]:
    """What ends makes room first."""
    return told.at, isinstance(told, NewFinding)
