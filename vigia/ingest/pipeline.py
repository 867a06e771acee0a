"""Receive, decode, score, commit, acknowledge: what waits in the queue becomes a transaction, again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TypeVar

import numpy as np
import structlog

from vigia.ingest.births import DeviceTable, table
from vigia.ingest.blocks import Block, joined
from vigia.ingest.commands import acknowledgements, rebirth
from vigia.ingest.config import Limits
from vigia.ingest.events import DeviceBirth, DeviceData, DeviceDeath, Event, Letter, NodeBirth, NodeDeath
from vigia.ingest.heartbeat import newest_of
from vigia.ingest.inbox import Inbox, Message, merge
from vigia.ingest.letters import Letters
from vigia.ingest.neighbours import Observer, Outlet, Unwatched
from vigia.ingest.ordinary import Ordinary, Read
from vigia.ingest.plain.devices import Plain
from vigia.ingest.prepare import Part, Preparation, block_of
from vigia.ingest.sessions import Sessions
from vigia.ingest.write import SessionEvent, Store, Written
from vigia.sparkplug.columns import NONE
from vigia.sparkplug.decode import decode_columns
from vigia.store import refusals
from vigia.store.ledger import AlreadyCommittedError

log = structlog.get_logger()

IDLE_S = 0.25  # how often lost messages are looked for while nothing comes
FIRST_PAUSE_S = 0.05
LARGE_BYTES = 64 * 1024
KNOW_EVERY_S = 2.0
REFUSED = "refused by the database"
FAULTY = "internal error"
Done = TypeVar("Done")


class Pipeline:
    """The writing side. One task runs `run`; `finish` lets it write what waits and end.

    While a block is being written, the next is read: `flush` does both and waits for both.
    """

    def __init__(  # noqa: PLR0913 - its neighbours, and what may be left out
        self,
        inbox: Inbox,
        host: Outlet,
        store: Store,
        limits: Limits,
        *,
        plain: Plain | None = None,
        watch: Observer | None = None,
        shared: bool = False,
    ) -> None:
        self._inbox = inbox
        self._host = host
        self._store = store
        self._limits = limits
        self._watch: Observer = Unwatched() if watch is None else watch
        self._sessions = Sessions(limits, plain, shared=shared)
        self._ordinary = Ordinary(self._sessions, shared=shared)
        self._preparation = Preparation(self._sessions)
        self._writing: asyncio.Task[int] | None = None
        self._finishing = False
        self._known_at = 0.0
        self._letters = Letters(limits)

    async def run(self) -> None:
        """Work until cancelled, or until `finish` and an empty queue."""
        await self.know()
        rows = 0
        try:
            while True:
                if rows >= self._limits.busy_rows:
                    await self._inbox.plenty(0.0 if self._finishing else self._limits.busy_wait_s)  # larger transactions cost less a row
                waiting = await self._inbox.wait(0.0 if self._finishing else IDLE_S)
                if self._finishing and not waiting:
                    await self._settle()
                    return
                rows = await self._turn()
        finally:
            if self._writing is not None:
                self._writing.cancel()
                await asyncio.wait((self._writing,))

    def finish(self) -> None:
        """Nothing more will come."""
        self._finishing = True

    async def know(self) -> None:
        """Learn which edge nodes are registered."""
        self._sessions.know(await self._persist(self._store.edge_nodes))
        self._known_at = time.monotonic()

    async def flush(self) -> int:
        """Write what waits now; the number of rows stored."""
        await self._turn()
        return await self._settle()

    async def _turn(self) -> int:
        """Read what waits and begin to write it; the number of rows."""
        rows = 0
        await self._events(self._sessions.overdue(time.monotonic()))
        for _, run in groupby(self._inbox.take(), attrgetter("session")):
            delivery = merge(list(run))
            self._watch.received(len(delivery), delivery.nbytes)
            read = self._ordinary.read
            large = delivery.nbytes >= LARGE_BYTES  # the loop, and with it the write before this one, goes on meanwhile
            found = await asyncio.to_thread(read, delivery) if large else read(delivery)
            rows += await self._at_once(found)
            if len(found.others):
                rows += await self._slowly([delivery.message(index) for index in found.others.tolist()])
        for edge in self._sessions.rebirths(time.monotonic()):
            log.info("rebirth requested", group=edge.group_id, node=edge.node_id)
            self._host.publish(*rebirth(edge))
        return rows

    async def _settle(self) -> int:
        """Wait until the block that is being written is; its rows."""
        writing, self._writing = self._writing, None
        if writing is None:
            return 0
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._writing = writing
            raise

    async def _at_once(self, found: Read) -> int:
        """Begin to write what came in its turn, all of it in one block; the number of rows."""
        parts = await self._prepared(found.odd, found.letters)
        blocks = ([] if found.block is None else [found.block]) + ([block_of(parts)] if parts else [])
        if not blocks:
            return 0
        block = joined(blocks)
        await self._settle()
        self._writing = asyncio.create_task(self._write_all(block))
        return int(block.first[-1])

    async def _slowly(self, messages: Sequence[Message]) -> int:
        """What is not ordinary, one message after the other; the number of rows."""
        if time.monotonic() >= self._known_at + KNOW_EVERY_S and not all(self._sessions.knows(message.topic) for message in messages):
            await self.know()
        return await self._events(self._sessions.take(messages, time.monotonic()))

    async def _events(self, events: Sequence[Event]) -> int:
        rows = 0
        if events:
            await self._settle()
        for of_data, run in groupby(events, lambda event: isinstance(event, DeviceData)):
            if of_data:
                rows += await self._data([event for event in run if isinstance(event, DeviceData)])
            else:
                await self._other(list(run))
        return rows

    # ── births, deaths, heartbeats, letters ──

    async def _other(self, events: Sequence[Event]) -> None:
        await self._bury([event for event in events if isinstance(event, Letter)])
        await self._session([event for event in events if not isinstance(event, Letter | DeviceData)])

    async def _session(self, events: Sequence[SessionEvent]) -> None:
        if not events:
            return
        try:
            written = await self._persist(self._store.write_session, events)
        except _RefusedError as refused:
            if len(events) > 1:
                for event in events:
                    await self._session([event])
            elif isinstance(events[0], DeviceBirth):
                await self._refuse_birth(events[0], refused)
            else:
                log.warning("session message refused", kind=type(events[0]).__name__, reason=str(refused))
            return
        for birth, born in zip((event for event in events if isinstance(event, DeviceBirth)), written.tables, strict=True):
            if born.device is None:
                self._watch.set_aside(born.refusal)
                self._letters.fresh(
                    [Letter(birth.message, born.refusal, "")]
                )  # a plain message is birth and data in one: one letter is enough
        self._apply(events, written)
        self._acknowledge(written)
        # What a numbered node's birth tells came in a batch, or will; a foreign one says it only here.
        births = [event for event in events if isinstance(event, DeviceBirth) and not event.node.numbered and event.is_taken]
        await self._data(
            [DeviceData(birth.node, birth.device_id, decode_columns([birth.message.payload]), 0, birth.message) for birth in births]
        )

    async def _refuse_birth(self, event: DeviceBirth, refused: "_RefusedError") -> None:
        await self._bury([Letter(event.message, refused.reason, str(refused))])
        event.node.tables[event.device_id] = table(event.payload, self._store.unknown(event), None, refused.reason)

    def _apply(self, events: Sequence[SessionEvent], written: Written) -> None:
        """What the committed `events` change in the sessions, in their order."""
        tables: Iterator[DeviceTable] = iter(written.tables)
        for event in events:
            node = event.node
            match event:
                case NodeBirth():
                    node.forget_devices()
                    announced = newest_of(event.payload, {}, None)
                    node.epoch = None if announced is None else announced.epoch
                    log.info("node born", group=node.edge.group_id, node=node.edge.node_id, numbered=node.numbered)
                case NodeDeath():
                    node.forget_devices()
                    log.info("node died", group=node.edge.group_id, node=node.edge.node_id)
                case DeviceBirth():
                    node.tables[event.device_id] = next(tables)
                    self._ordinary.born(event)
                case DeviceDeath():
                    node.tables.pop(event.device_id, None)

    async def _bury(self, letters: Sequence[Letter]) -> None:
        fresh = self._letters.fresh(letters)
        if fresh:
            log.warning("messages set aside", count=len(fresh), first_topic=fresh[0].message.topic, first_reason=fresh[0].reason)
            await self._persist(self._store.write_letters, fresh)
            for letter in fresh:
                self._watch.set_aside(letter.reason)

    # ── readings ──

    async def _data(self, events: Sequence[DeviceData]) -> int:
        parts = await self._prepared(events)
        return await self._write_all(block_of(parts)) if parts else 0

    async def _prepared(self, events: Sequence[DeviceData], letters: Sequence[Letter] = ()) -> list[Part]:
        """What of `events` can be written; the letters of what cannot go with the `letters` that are there already."""
        parts: list[Part] = []
        unusable = list(letters)
        for event in events:
            needed = self._preparation.machine_needed(event)
            if needed is not None:
                known, serial_number, at = needed
                event.node.others[event.device_id, serial_number] = await self._persist(
                    self._store.meet, event.node.edge, known, serial_number, at
                )
            prepared = self._prepare(event)
            if isinstance(prepared, Part):
                parts.append(prepared)
            elif prepared is not None:
                unusable.append(prepared)
        await self._bury(unusable)
        return parts

    def _prepare(self, event: DeviceData) -> Part | Letter | None:
        try:
            return self._preparation.prepare(event)
        except Exception as error:
            log.exception("internal error", topic=event.message.topic)
            return Letter(event.message, FAULTY, f"{type(error).__name__}: {error}")

    async def _write_all(self, block: Block) -> int:
        return sum([await self._write(chunk) for chunk in block.chunks(self._limits.flush_rows)])

    async def _write(self, block: Block) -> int:
        begun = time.monotonic()
        try:
            written = await self._persist(self._store.write_data, block)
        except _RefusedError as refused:
            if len(block) > 1:
                return sum([await self._write(half) for half in block.halves()])
            await self._give_up(block, refused)
            return 0
        self._sessions.worked(np.unique(block.edge_node_id).tolist())
        if written.replayed:
            log.info("replay skipped", rows=written.replayed)
        self._acknowledge(written)
        lag_s = time.time() - block.live_ts / 1e6 if block.live_ts else None
        self._watch.stored(written.rows, written.replayed, time.monotonic() - begun, lag_s)
        for letters in block.letters.values():
            for letter in letters:
                self._watch.set_aside(letter.reason)
        return written.rows

    async def _give_up(self, block: Block, refused: "_RefusedError") -> None:
        """A message that will never be stored: kept as a letter. Its number is explained, unless the fault is ours and may be mended."""
        message = block.message(0)
        letter = Letter(message, refused.reason, str(refused))
        if refused.reason != REFUSED or block.eseq[0] == NONE or block.buried:
            await self._bury([letter])
            return
        log.warning("batch refused", topic=message.topic, reason=str(refused))
        self._acknowledge(await self._persist(self._store.write_data, block.given_up(REFUSED, letter)))
        self._watch.set_aside(REFUSED)

    def _acknowledge(self, written: Written) -> None:
        known = ((self._sessions.edge(watermark.edge_node_id), watermark) for watermark in written.watermarks)
        told = acknowledgements((edge, watermark) for edge, watermark in known if edge is not None)
        if told:
            self._host.send(told)

    # ── the database's moods ──

    async def _persist(self, write: Callable[..., Awaitable[Done]], *given: object) -> Done:
        """Run the transaction `write` until it commits, however long the database is away.

        Raises _RefusedError when the database refuses these very values, or our own code does.
        """
        pause = FIRST_PAUSE_S
        away_since: float | None = None
        while True:
            try:
                done = await write(*given)
            except AlreadyCommittedError:
                continue
            except Exception as error:
                cause = refusals.cause(error)
                if cause == "values":
                    raise _RefusedError(REFUSED, _first_line(error)) from error
                if cause is None:
                    log.exception("internal error")
                    raise _RefusedError(FAULTY, f"{type(error).__name__}: {_first_line(error)}") from error
                if away_since is None:
                    away_since = time.monotonic()
                    log.warning("database away", reason=_first_line(error))
                    self._watch.database_away()
                elif time.monotonic() - away_since >= self._limits.offline_after_s:
                    self._host.pause()
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._limits.longest_retry_pause_s)
            else:
                if away_since is not None:
                    log.info("database back", away_s=round(time.monotonic() - away_since, 1))
                    self._host.resume()
                    self._watch.database_back()
                return done


class _RefusedError(Exception):
    """These events cannot be written; `reason` is the dead letter's."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ if error.__cause__ is not None else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
