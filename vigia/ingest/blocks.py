"""Data messages ready to be written, side by side: who sent them under which number, and the readings they hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vigia.ingest.events import Letter
from vigia.ingest.inbox import Message
from vigia.sparkplug.columns import NONE
from vigia.store.commands import Result
from vigia.store.ledger import NO_READING, Heard, Piece, Ranges
from vigia.store.telemetry import Readings


@dataclass(frozen=True)
class Block:
    """Columns by message; readings `first[i]` until `first[i + 1]` are those of message i.

    `epoch` and `eseq` are NONE where a message has no number. `live_ts` is the oldest moment, in microseconds since 1970 UTC, of the
    readings that are not marked historical, 0 without any. By message, where there are some: `letters` that go with it, why it is
    `buried`, so that its number is explained and nothing of it is stored, and `results` of commands. `message` gives one as it came.
    """

    edge_node_id: NDArray[np.int32]
    epoch: NDArray[np.int64]
    eseq: NDArray[np.int64]
    first: NDArray[np.int64]
    readings: Readings
    message: Callable[[int], Message] = field(repr=False)
    live_ts: int = 0
    letters: Mapping[int, tuple[Letter, ...]] = field(default_factory=dict)
    buried: Mapping[int, str] = field(default_factory=dict)
    results: Mapping[int, tuple[Result, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.edge_node_id)

    @property
    def rows(self) -> NDArray[np.int64]:
        """How many readings each message holds."""
        return np.diff(self.first)

    def part(self, begin: int, end: int) -> "Block":
        """Messages `begin` until `end`."""
        if (begin, end) == (0, len(self)):
            return self
        low, high = int(self.first[begin]), int(self.first[end])
        whole = self.readings
        return replace(
            self,
            edge_node_id=self.edge_node_id[begin:end],
            epoch=self.epoch[begin:end],
            eseq=self.eseq[begin:end],
            first=self.first[begin : end + 1] - low,
            readings=Readings(whole.point_id[low:high], whole.ts[low:high], whole.value[low:high], whole.quality[low:high]),
            message=lambda index: self.message(begin + index),
            letters={index - begin: letters for index, letters in self.letters.items() if begin <= index < end},
            buried={index - begin: reason for index, reason in self.buried.items() if begin <= index < end},
            results={index - begin: results for index, results in self.results.items() if begin <= index < end},
        )

    def halves(self) -> tuple["Block", "Block"]:
        """The first and the second half of its messages."""
        middle = len(self) // 2
        return self.part(0, middle), self.part(middle, len(self))

    def chunks(self, rows: int) -> list["Block"]:
        """Parts of about `rows` readings, none without a message."""
        if int(self.first[-1]) <= rows:
            return [self] if len(self) else []
        cuts = np.unique(np.searchsorted(self.first, np.arange(rows, int(self.first[-1]), rows)))
        bounds = [0, *(int(cut) for cut in cuts if 0 < cut < len(self)), len(self)]
        return [self.part(begin, end) for begin, end in pairwise(bounds)]

    def given_up(self, reason: str, letter: Letter) -> "Block":
        """The one message of this block, of which only the letter and the number are written."""
        nothing = self.readings.take(np.zeros(0, np.intp))
        return replace(self, first=np.zeros(2, np.int64), readings=nothing, letters={0: (letter,)}, buried={0: reason}, results={})

    def of(self, chosen: NDArray[np.bool_]) -> Readings:
        """The readings of the `chosen` messages."""
        return self.readings if chosen.all() else self.readings.take(np.repeat(chosen, self.rows))

    def heard(self, chosen: NDArray[np.bool_]) -> Heard:
        """The edges of the `chosen` messages, ascending, each with its newest reading."""
        edges, place = np.unique(self.edge_node_id, return_inverse=True)
        newest = np.full(len(edges), NO_READING, np.int64)
        _newest(self.first, self.readings.ts, place, chosen, newest)
        wanted = np.zeros(len(edges), np.bool_)
        wanted[place[chosen]] = True
        return Heard(edges[wanted], newest[wanted])


def joined(blocks: Sequence[Block]) -> Block:
    """The messages of all `blocks`, at least one, those of each behind those of the one before."""
    if len(blocks) == 1:
        return blocks[0]
    begin = np.cumsum([0, *(len(block) for block in blocks)])

    def message(index: int) -> Message:
        which = int(np.searchsorted(begin, index, "right")) - 1
        return blocks[which].message(index - int(begin[which]))

    return Block(
        np.concatenate([block.edge_node_id for block in blocks]),
        np.concatenate([block.epoch for block in blocks]),
        np.concatenate([block.eseq for block in blocks]),
        np.append(np.zeros(1, np.int64), np.cumsum(np.concatenate([block.rows for block in blocks]))),
        concatenate([block.readings for block in blocks]),
        message,
        min((block.live_ts for block in blocks if block.live_ts), default=0),
        {int(start) + i: letters for start, block in zip(begin, blocks, strict=False) for i, letters in block.letters.items()},
        {int(start) + i: reason for start, block in zip(begin, blocks, strict=False) for i, reason in block.buried.items()},
        {int(start) + i: results for start, block in zip(begin, blocks, strict=False) for i, results in block.results.items()},
    )


def concatenate(readings: Sequence[Readings]) -> Readings:
    """All readings one after the other."""
    if not readings:
        return Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0), np.empty(0, np.int16))
    return Readings(
        np.concatenate([one.point_id for one in readings]),
        np.concatenate([one.ts for one in readings]),
        np.concatenate([one.value for one in readings]),
        np.concatenate([one.quality for one in readings]),
    )


class Numbers:
    """The numbered messages of a block: which are new, and the ranges they make."""

    def __init__(self, block: Block) -> None:
        numbered = np.flatnonzero(block.eseq != NONE)
        keys = block.eseq[numbered], block.epoch[numbered], block.edge_node_id[numbered]
        self._block = block
        self._order = numbered[np.lexsort(keys)]  # stable: of two with the same number the first to arrive
        self.fresh = np.ones(len(block), np.bool_)
        order = self._order
        same = (block.eseq[order[1:]] == block.eseq[order[:-1]]) & (block.epoch[order[1:]] == block.epoch[order[:-1]])
        same &= block.edge_node_id[order[1:]] == block.edge_node_id[order[:-1]]
        self.fresh[order[1:][same]] = False

    def without(self, pieces: Sequence[Piece]) -> None:
        """Messages whose number is in one of the sorted `pieces` are not new."""
        if not pieces:
            return
        known = np.array([(piece.edge_node_id, piece.epoch, piece.first, piece.last) for piece in pieces], np.int64)
        block, order = self._block, self._order
        _forget(order, block.edge_node_id, block.epoch, block.eseq, known, self.fresh)

    def ranges(self, chosen: NDArray[np.bool_] | None = None) -> Ranges:
        """The runs of numbers of the new messages, or of those of them that are `chosen`."""
        block = self._block
        order = self._order[(self.fresh if chosen is None else self.fresh & chosen)[self._order]]
        edge, epoch, eseq = block.edge_node_id[order], block.epoch[order], block.eseq[order]
        goes_on = (edge[1:] == edge[:-1]) & (epoch[1:] == epoch[:-1]) & (eseq[1:] == eseq[:-1] + 1)
        begin = np.flatnonzero(np.append(np.ones(min(len(order), 1), np.bool_), ~goes_on))
        end = np.append(begin[1:], len(order)) - 1 if len(order) else begin
        rows = np.add.reduceat(block.rows[order], begin) if len(order) else begin
        return Ranges(edge[begin], epoch[begin], eseq[begin], eseq[end], rows)

    def epochs(self) -> set[tuple[int, int]]:
        """Every (edge_node_id, epoch) that a message names."""
        edge, epoch = self._block.edge_node_id[self._order], self._block.epoch[self._order]
        if not len(edge):
            return set()
        begin = np.flatnonzero(np.append([True], (edge[1:] != edge[:-1]) | (epoch[1:] != epoch[:-1])))
        return set(zip(edge[begin].tolist(), epoch[begin].tolist(), strict=True))


@njit(cache=True, nogil=True)
def _newest(
    first: NDArray[np.int64], ts: NDArray[np.int64], place: NDArray[np.int64], chosen: NDArray[np.bool_], newest: NDArray[np.int64]
) -> None:
    """Fill `newest`, a row an edge, with the newest `ts` of the chosen messages; `place` is the edge's row of each message."""
    for i in range(len(place)):
        if chosen[i]:
            for row in range(first[i], first[i + 1]):
                newest[place[i]] = max(newest[place[i]], ts[row])


@njit(cache=True, nogil=True)
def _forget(  # noqa: PLR0913, PLR0917 - columns
    order: NDArray[np.int64],
    edge: NDArray[np.int32],
    epoch: NDArray[np.int64],
    eseq: NDArray[np.int64],
    known: NDArray[np.int64],
    fresh: NDArray[np.bool_],
) -> None:
    """Clear `fresh` for each message, taken in the sorted `order`, whose number lies in a row of `known`, sorted likewise."""
    piece = 0
    for i in order:
        while piece < len(known) and (
            known[piece, 0] < edge[i]
            or (known[piece, 0] == edge[i] and (known[piece, 1] < epoch[i] or (known[piece, 1] == epoch[i] and known[piece, 3] < eseq[i])))
        ):
            piece += 1
        if piece == len(known):
            return
        if known[piece, 0] == edge[i] and known[piece, 1] == epoch[i] and known[piece, 2] <= eseq[i]:
            fresh[i] = False


def warm_up() -> None:
    """Compile for the types above."""
    one, yes = np.zeros(1, np.int64), np.ones(1, np.bool_)
    _newest(np.zeros(2, np.int64), one, one, yes, one)
    _forget(one, one.astype(np.int32), one, one, np.zeros((1, 4), np.int64), yes)
