"""Reads what the server kept: each hole of a point is filled from the server's record, page by page."""

import time
from dataclasses import dataclass
from typing import Final

import structlog
from asyncua import ua
from asyncua.client.ua_session import UaSession

from vigia.edge.sources.opcua.items import Item
from vigia.edge.sources.opcua.values import Reading, from_us, read

log = structlog.get_logger()

# A server may write its record a moment after it has told a value. It is asked again until the record has come that far.
PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
_CONTINUATION_LOST: Final = (ua.StatusCodes.BadContinuationPointInvalid, ua.StatusCodes.BadNoContinuationPoints)


@dataclass
class _Work:
    item: Item
    continuation: bytes | None = None
    tries: int = 0
    due: float = 0.0


class History:
    """The holes to fill. One request at a time: a server need not keep more than one continuation point a session."""

    def __init__(self, session: UaSession, page: int) -> None:
        self._session = session
        self._page = page
        self._waiting: list[_Work] = []

    def add(self, item: Item) -> None:
        """`item` has a hole."""
        if all(work.item is not item for work in self._waiting):
            self._waiting.append(_Work(item))

    def forget(self, item: Item) -> None:
        """`item` is read no more."""
        self._waiting = [work for work in self._waiting if work.item is not item]

    def due_in(self) -> float | None:
        """Seconds until `step` has something to do; None when no hole is left."""
        return max(0.0, min(work.due for work in self._waiting) - time.monotonic()) if self._waiting else None

    async def step(self) -> tuple[Item, list[Reading]]:
        """One request: an item, and what may be told of it now. Call it when something is due."""
        work = min(self._waiting, key=lambda one: one.due)
        hole = work.item.track.hole
        if hole is None:
            return work.item, self._done(work)
        result = await self._ask(work, hole.since_us, hole.until_us)
        if result.StatusCode is not None and result.StatusCode.is_bad():
            return work.item, self._refused(work, result.StatusCode)
        kept = getattr(result.HistoryData, "DataValues", None) or []
        datatype, index = work.item.point.datatype, work.item.config.index
        before = hole.since_us
        told = work.item.track.past(read(data, datatype, index, 0) for data in kept)
        work.continuation = result.ContinuationPoint or None
        # A server that ends a full page without a continuation point is asked for what comes after it.
        if work.continuation is None and not (len(kept) >= self._page and hole.since_us > before):
            told += self._ended(work, told_any=bool(told))
        return work.item, told

    async def _ask(self, work: _Work, since_us: int, until_us: int) -> ua.HistoryReadResult:
        # The end is asked for too: when the record holds the value that was told there, it holds all before it.
        details = ua.ReadRawModifiedDetails(
            IsReadModified=False,
            StartTime=from_us(since_us),
            EndTime=from_us(until_us + 1),
            NumValuesPerNode=self._page,
            ReturnBounds=False,
        )
        wanted = ua.HistoryReadValueId(NodeId=work.item.described and work.item.described.node_id, ContinuationPoint=work.continuation)
        if work.item.config.index is not None:
            wanted.IndexRange = str(work.item.config.index)
        parameters = ua.HistoryReadParameters(
            HistoryReadDetails=details,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ReleaseContinuationPoints=False,
            NodesToRead=[wanted],
        )
        (result,) = await self._session.history_read(parameters)
        return result

    def _ended(self, work: _Work, *, told_any: bool) -> list[Reading]:
        hole = work.item.track.hole
        if told_any:
            work.tries = 0
        if hole is not None and not hole.reached and self._later(work):
            return []
        return self._done(work)

    def _refused(self, work: _Work, status: ua.StatusCode) -> list[Reading]:
        if status.value in _CONTINUATION_LOST and work.continuation is not None:
            work.continuation = None
            return []
        work.continuation = None
        if self._later(work):
            return []
        log.warning("history cannot be read; what was missed is lost", point=work.item.name, why=f"{status.name}: {status.doc}")
        return self._done(work)

    def _later(self, work: _Work) -> bool:
        """Put the work off for a while; False when it was put off often enough."""
        if work.tries == len(PAUSES_S):
            return False
        work.due = time.monotonic() + PAUSES_S[work.tries]
        work.tries += 1
        return True

    def _done(self, work: _Work) -> list[Reading]:
        self._waiting.remove(work)
        return work.item.track.close()
