"""The ledger: which numbered batches of an edge are committed, which numbers are explained, and what is missing.

A batch is named by its edge, the epoch of the edge's buffer and its number in it, from 1. A transaction of readings locks its edges, asks
which of its ranges are known, leaves those out, and enters the rest: three statements whatever the number of edges.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray
from psycopg.errors import CheckViolation

from vigia.store import queries
from vigia.store.columns import Int4s, Int8s, Timestamps
from vigia.store.database import StoreError, Transaction

NO_READING = 0
"""Of an edge that was heard without a reading."""


class AlreadyCommittedError(StoreError):
    """One of these batches is in the ledger already; try the transaction again and it is a replay."""


@dataclass(frozen=True)
class Ranges:
    """Batches `first` to `last` of an edge's epoch, with the number of their `rows`; columns of the same length, no number twice."""

    edge_node_id: NDArray[np.int32]
    epoch: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Heard:
    """The edges of a commit, each once, numbered or not; `last_reading_at` is microseconds since 1970 UTC, or NO_READING."""

    edge_node_id: NDArray[np.int32]
    last_reading_at: NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Piece:
    """Numbers `first` to `last` of an edge's epoch."""

    edge_node_id: int
    epoch: int
    first: int
    last: int


@dataclass(frozen=True)
class Watermarks:
    """Everything of `epoch` up to number `eseq` is committed or explained, 0 when not even the first is; one row an edge and epoch."""

    edge_node_id: NDArray[np.int32]
    epoch: NDArray[np.int64]
    eseq: NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Batch:
    """The name of a numbered batch."""

    edge_node_id: int
    epoch: int
    eseq: int


@dataclass(frozen=True)
class Watermark:
    """Everything of the edge's epoch up to number `eseq` is committed or explained; 0 when not even the first is."""

    edge_node_id: int
    epoch: int
    eseq: int


@dataclass(frozen=True)
class EdgeLedger:
    """What the database knows of one epoch of an edge; `epoch` is None for an edge that never sent a numbered batch.

    `newest` is the highest number announced or seen, `committed` and `buried` count numbers, `holes` are [first, last] pairs that
    nothing explains. Numbers still on their way are holes for a moment.
    """

    edge_node_id: int
    group_id: str
    node_id: str
    epoch: int | None
    newest: int | None
    committed: int
    buried: int
    watermark: int
    holes: list[list[int]]
    online: bool
    last_reading_at: datetime | None
    last_commit_at: datetime | None

    @property
    def completeness(self) -> float | None:
        """Share of the numbers given out that is committed; None before the first."""
        return self.committed / self.newest if self.newest else None


async def lock(tx: Transaction, edge_node_ids: Collection[int] | NDArray[np.int32]) -> None:
    """Be the only writer of these edges until the transaction ends."""
    if len(edge_node_ids):
        ids = edge_node_ids if isinstance(edge_node_ids, np.ndarray) else np.fromiter(edge_node_ids, np.int32)
        await queries.execute(tx, "lock_edges", edge_node_ids=Int4s(ids))


async def known(tx: Transaction, ranges: Ranges) -> list[Piece]:
    """The pieces of `ranges` that are committed or explained already, sorted: replays. Their edges are locked."""
    if not len(ranges.first):
        return []
    return await queries.rows(
        tx,
        "known_ranges",
        Piece,
        edge_node_id=Int4s(ranges.edge_node_id),
        epoch=Int8s(ranges.epoch),
        first=Int8s(ranges.first),
        last=Int8s(ranges.last),
    )


async def enter(tx: Transaction, ranges: Ranges, heard: Heard) -> Watermarks:
    """Account for new ranges and keep when their edges were heard; the watermark of each epoch of `ranges`. Their edges are locked.

    Raises AlreadyCommittedError when a number is accounted for already or stands in two ranges; the transaction can only be rolled back.
    """
    try:
        cursor = await tx.cursor(binary=True).execute(
            queries.sql("enter_ranges"),
            {
                "edge_node_id": Int4s(ranges.edge_node_id),
                "epoch": Int8s(ranges.epoch),
                "first": Int8s(ranges.first),
                "last": Int8s(ranges.last),
                "rows": Int8s(ranges.rows),
                "heard_edge_node_id": Int4s(heard.edge_node_id),
                "heard_at": Timestamps(heard.last_reading_at),
            },
        )
    except CheckViolation as error:
        if error.diag.constraint_name == "ledger_counted_once":
            raise AlreadyCommittedError from None
        raise
    edge_node_id, epoch, eseq = await cursor.fetchone() or (None, None, None)
    return Watermarks(_array(edge_node_id, 4).astype(np.int32), _array(epoch, 8), _array(eseq, 8))


def _array(sent: bytes | None, width: int) -> NDArray[np.int64]:
    """The values of an integer array without nulls in the server's binary format: a header, then size and value of each."""
    if sent is None:
        return np.empty(0, np.int64)
    return np.frombuffer(sent, [("size", ">i4"), ("value", f">i{width}")], offset=20)["value"].astype(np.int64)


async def record(tx: Transaction, rows_of: dict[Batch, int]) -> None:
    """Enter new batches, with the number of rows of each. Raises AlreadyCommittedError when another writer was faster."""
    if not rows_of:
        return
    runs = _runs(sorted(rows_of))
    ranges = Ranges(
        np.array([batches[0].edge_node_id for batches in runs], np.int32),
        np.array([batches[0].epoch for batches in runs], np.int64),
        np.array([batches[0].eseq for batches in runs], np.int64),
        np.array([batches[-1].eseq for batches in runs], np.int64),
        np.array([sum(rows_of[batch] for batch in batches) for batches in runs], np.int64),
    )
    await enter(tx, ranges, Heard(np.empty(0, np.int32), np.empty(0, np.int64)))


async def bury(tx: Transaction, first: Batch, last: int, reason: str) -> None:
    """Explain the numbers from `first` to `last`: they will never come, for this reason."""
    await queries.execute(tx, "bury_range", edge_node_id=first.edge_node_id, epoch=first.epoch, first=first.eseq, last=last, reason=reason)


async def watermarks(tx: Transaction, edges: Collection[tuple[int, int]]) -> list[Watermark]:
    """The watermark of each (edge_node_id, epoch)."""
    if not edges:
        return []
    ordered = sorted(edges)
    return await queries.rows(
        tx,
        "watermarks",
        Watermark,
        edge_node_id=Int4s(np.array([edge for edge, _ in ordered])),
        epoch=Int8s(np.array([epoch for _, epoch in ordered])),
    )


async def announce_newest(tx: Transaction, edge_node_id: int, epoch: int, newest: int) -> None:
    """Keep what an edge says is its newest batch, so that a lost tail shows as a hole."""
    await queries.execute(tx, "announce_newest", edge_node_id=edge_node_id, epoch=epoch, newest=newest)


async def advance(tx: Transaction, edge_node_id: int, last_reading_at: datetime | None, newest: Batch | None) -> None:
    """Keep the edge's newest reading and newest batch of a commit."""
    await queries.execute(
        tx,
        "advance_edge",
        edge_node_id=edge_node_id,
        last_reading_at=last_reading_at,
        epoch=None if newest is None else newest.epoch,
        eseq=None if newest is None else newest.eseq,
    )


async def status(tx: Transaction) -> list[EdgeLedger]:
    """Every edge and epoch, by group and node."""
    return await queries.rows(tx, "edge_ledgers", EdgeLedger)


def _runs(batches: Sequence[Batch]) -> list[list[Batch]]:
    """Runs of consecutive numbers of the sorted `batches`."""
    runs = []
    for _, of_epoch in groupby(batches, attrgetter("edge_node_id", "epoch")):
        numbered = enumerate(of_epoch)
        runs += [[batch for _, batch in run] for _, run in groupby(numbered, lambda item: item[1].eseq - item[0])]
    return runs
