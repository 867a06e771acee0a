"""Findings of the streaming detectors, and the detectors' memory, written with the readings they come from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from vigia.store import queries
from vigia.store.columns import Int4s
from vigia.store.database import Transaction


@dataclass(frozen=True)
class NewFinding:
    """A detector's word on a point: since the reading at `at`, `score` times the detector's threshold, because of `why`."""

    customer_id: int
    asset_id: int
    point_id: int
    detector: str
    at: datetime
    score: float
    why: Mapping[str, float | str]


@dataclass(frozen=True)
class Channel:
    """The point a finding is about, whose machine counts as healthy from `healthy_from` until the finding."""

    finding_id: int
    customer_id: int
    role_id: int
    asset_id: int
    point_id: int
    detector: str
    at: datetime
    healthy_from: datetime


@dataclass(frozen=True)
class SensorFault:
    """What a point told was none of the machine: its last `readings` readings up to `at`, and all before `over_at` (None: it still is)."""

    point_id: int
    at: datetime
    over_at: datetime | None
    readings: int


@dataclass(frozen=True)
class Snapshot:
    """The detectors' memory of one edge: `state` holds as many bytes for each of `point_ids`."""

    edge_node_id: int
    point_ids: list[int]
    state: bytes
    updated_at: datetime


@dataclass(frozen=True)
class Memory:
    """The detectors' memory of many edges, each once.

    The first `points[0]` rows of `point_id` and `state` are the first edge's, the next `points[1]` the second's, and so on.
    """

    edge_node_id: NDArray[np.int32]
    points: NDArray[np.int32]
    point_id: NDArray[np.int32]
    state: NDArray[Any]


@dataclass(frozen=True)
class _Over:
    finding_id: int


@dataclass(frozen=True)
class _Version:
    edge_node_id: int
    updated_at: datetime


async def add(tx: Transaction, finding: NewFinding) -> int:
    """Keep `finding`; its id."""
    finding_id: int = await queries.value(
        tx,
        "add_finding",
        customer_id=finding.customer_id,
        asset_id=finding.asset_id,
        point_id=finding.point_id,
        detector=finding.detector,
        at=finding.at,
        score=finding.score,
        why=Jsonb(dict(finding.why)),
    )
    return finding_id


async def channel(tx: Transaction, finding_id: int) -> Channel | None:
    """What the finding is about; None if there is none of that id, or its machine stood in no role."""
    return await queries.first(tx, "finding_channel", Channel, finding_id=finding_id)


async def keep_second_opinion(tx: Transaction, finding_id: int, opinion: Mapping[str, float | str]) -> None:
    """Keep what a closer look said of the finding, in place of what an earlier one did."""
    await queries.execute(tx, "finding_second_opinion", finding_id=finding_id, opinion=Jsonb(dict(opinion)))


async def sensor_faults(tx: Transaction, asset_id: int, since: datetime, until: datetime) -> list[SensorFault]:
    """The faults of a machine's sensors that lasted between `since` and `until`, by time."""
    return await queries.rows(tx, "sensor_faults", SensorFault, asset_id=asset_id, since=since, until=until)


async def end(tx: Transaction, asset_id: int, point_id: int, detector: str, at: datetime) -> set[int]:
    """What `detector` had told of the point (of channels together: of any) is over since `at`; the ids of those findings."""
    over = await queries.rows(tx, "finding_over", _Over, asset_id=asset_id, point_id=point_id, detector=detector, at=at)
    return {row.finding_id for row in over}


async def explain(tx: Transaction, finding_id: int, more: Mapping[str, float | str]) -> None:
    """Add to why the finding was made, or why nothing follows."""
    await queries.execute(tx, "explain_finding", finding_id=finding_id, more=Jsonb(dict(more)))


async def versions(tx: Transaction, edge_node_ids: Collection[int]) -> dict[int, datetime]:
    """When the snapshot of each edge was written, so that a process sees whether its own memory is the newest."""
    found = await queries.rows(tx, "detector_versions", _Version, edge_node_ids=list(edge_node_ids))
    return {row.edge_node_id: row.updated_at for row in found}


async def load(tx: Transaction, edge_node_id: int) -> Snapshot | None:
    """The newest snapshot of the edge, or None before the first."""
    return await queries.first(tx, "detector_snapshot", Snapshot, edge_node_id=edge_node_id)


async def save_all(tx: Transaction, memory: Memory) -> dict[int, datetime]:
    """Replace the snapshots of these edges, in one statement; the version each edge now has."""
    if not len(memory.edge_node_id):
        return {}
    saved = await queries.rows(
        tx,
        "save_detector_snapshots",
        _Version,
        edge_node_id=Int4s(memory.edge_node_id),
        points=Int4s(memory.points),
        until=Int4s(np.cumsum(memory.points)),
        point_id=Int4s(memory.point_id),
        state=memory.state.tobytes(),
        width=memory.state[:1].nbytes,
    )
    return {row.edge_node_id: row.updated_at for row in saved}
