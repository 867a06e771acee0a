"""Receive, decode, score, commit, acknowledge: what waits in the queue becomes a transaction, again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Protocol, TypeVar

import structlog

from vigia.ingest.births import DeviceTable, table
from vigia.ingest.commands import acknowledgement, rebirth
from vigia.ingest.config import Limits
from vigia.ingest.events import DeviceBirth, DeviceData, DeviceDeath, Event, Letter, NodeBirth, NodeDeath
from vigia.ingest.heartbeat import newest_of
from vigia.ingest.inbox import Inbox
from vigia.ingest.prepare import Preparation
from vigia.ingest.sessions import UNKNOWN_NODE, Sessions
from vigia.ingest.write import Part, SessionEvent, Store, Written
from vigia.sparkplug.decode import decode_columns
from vigia.store import refusals
from vigia.store.ledger import AlreadyCommittedError

log = structlog.get_logger()

IDLE_S = 0.25  # how often lost messages are looked for while nothing comes
FIRST_PAUSE_S = 0.05
KNOW_EVERY_S = 2.0
MOST_REMEMBERED = 10_000
REFUSED = "refused by the database"
FAULTY = "internal error"
Done = TypeVar("Done")


class Outlet(Protocol):
    """What the pipeline wants of the broker's side; `Host` is one."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a command if a broker is there."""

    def pause(self) -> None:
        """Let the edges keep their data."""

    def resume(self) -> None:
        """Let them send it."""


class Pipeline:
    """The writing side. One task runs `run`; `finish` lets it write what waits and end."""

    def __init__(self, inbox: Inbox, host: Outlet, store: Store, limits: Limits) -> None:
        self._inbox = inbox
        self._host = host
        self._store = store
        self._limits = limits
        self._sessions = Sessions(limits)
        self._preparation = Preparation(self._sessions)
        self._finishing = False
        self._known_at = 0.0
        self._letters: dict[bytes, float] = {}

    async def run(self) -> None:
        """Work until cancelled, or until `finish` and an empty queue."""
        await self.know()
        rows = 0
        while True:
            busy = rows >= self._limits.busy_rows and len(self._inbox) > 0
            if busy:  # larger transactions cost less a row
                await asyncio.sleep(self._limits.busy_wait_s)
            waiting = await self._inbox.wait(0.0 if self._finishing else IDLE_S)
            if self._finishing and not waiting:
                return
            rows = await self.flush()

    def finish(self) -> None:
        """Nothing more will come."""
        self._finishing = True

    async def know(self) -> None:
        """Learn which edge nodes are registered."""
        self._sessions.know(await self._persist(self._store.edge_nodes))
        self._known_at = time.monotonic()

    async def flush(self) -> int:
        """Write what waits now; the number of rows stored."""
        messages = [message for delivery in self._inbox.take() for message in delivery.messages()]
        if time.monotonic() >= self._known_at + KNOW_EVERY_S and not all(self._sessions.knows(message.topic) for message in messages):
            await self.know()
        events = self._sessions.overdue(time.monotonic())
        events += self._sessions.take(messages, time.monotonic())
        rows = 0
        for of_data, run in groupby(events, lambda event: isinstance(event, DeviceData)):
            if of_data:
                rows += await self._data([event for event in run if isinstance(event, DeviceData)])
            else:
                await self._other(list(run))
        for edge in self._sessions.rebirths(time.monotonic()):
            log.info("rebirth requested", group=edge.group_id, node=edge.node_id)
            self._host.publish(*rebirth(edge))
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
        self._apply(events, written)
        self._acknowledge(written)
        # A numbered node repeats its births' values in batches; a foreign one says them only here.
        births = [event for event in events if isinstance(event, DeviceBirth) and not event.node.numbered]
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
                case DeviceDeath():
                    node.tables.pop(event.device_id, None)

    async def _bury(self, letters: Sequence[Letter]) -> None:
        fresh = [letter for letter in letters if self._is_fresh(letter)]
        if fresh:
            log.warning("messages set aside", count=len(fresh), first_topic=fresh[0].message.topic, first_reason=fresh[0].reason)
            await self._persist(self._store.write_letters, fresh)

    def _is_fresh(self, letter: Letter) -> bool:
        """Whether this is not the letter of a moment ago again: an edge repeats what is not acknowledged."""
        now = time.monotonic()
        payload = b"" if letter.reason == UNKNOWN_NODE else letter.message.payload
        key = blake2b(f"{letter.message.topic}\0{letter.reason}\0".encode("utf-8", "replace") + payload, digest_size=16).digest()
        if self._letters.get(key, 0.0) > now:
            return False
        if len(self._letters) >= MOST_REMEMBERED:
            self._letters = {key: until for key, until in self._letters.items() if until > now}
        if len(self._letters) < MOST_REMEMBERED:
            self._letters[key] = now + (self._limits.unknown_node_s if letter.reason == UNKNOWN_NODE else self._limits.same_letter_s)
        return True

    # ── readings ──

    async def _data(self, events: Sequence[DeviceData]) -> int:
        parts: list[Part] = []
        for event in events:
            needed = self._preparation.machine_needed(event)
            if needed is not None:
                known, serial_number, at = needed
                event.node.others[event.device_id, serial_number] = await self._persist(self._store.meet, known, serial_number, at)
            prepared = self._prepare(event)
            if isinstance(prepared, Part):
                parts.append(prepared)
            elif prepared is not None:
                await self._bury([prepared])
        rows = 0
        for chunk in _chunks(parts, self._limits.flush_rows):
            rows += await self._write(chunk)
        return rows

    def _prepare(self, event: DeviceData) -> Part | Letter | None:
        try:
            return self._preparation.prepare(event)
        except Exception as error:
            log.exception("internal error", topic=event.message.topic)
            return Letter(event.message, FAULTY, f"{type(error).__name__}: {error}")

    async def _write(self, parts: Sequence[Part]) -> int:
        try:
            written = await self._persist(self._store.write_data, parts)
        except _RefusedError as refused:
            if len(parts) > 1:
                middle = len(parts) // 2
                return await self._write(parts[:middle]) + await self._write(parts[middle:])
            await self._give_up(parts[0], refused)
            return 0
        for part in parts:
            part.event.node.rebirths.worked()
        if written.replayed:
            log.info("replay skipped", rows=written.replayed)
        self._acknowledge(written)
        return written.rows

    async def _give_up(self, part: Part, refused: "_RefusedError") -> None:
        """A message that will never be stored: kept as a letter. Its number is explained, unless the fault is ours and may be mended."""
        letter = Letter(part.event.message, refused.reason, str(refused))
        if refused.reason != REFUSED or part.batch is None or part.buried is not None:
            await self._bury([letter])
            return
        log.warning("batch refused", topic=part.event.message.topic, reason=str(refused))
        self._acknowledge(await self._persist(self._store.write_data, [part.in_the_ground(REFUSED, letter)]))

    def _acknowledge(self, written: Written) -> None:
        for watermark in written.watermarks:
            edge = self._sessions.edge(watermark.edge_node_id)
            if edge is not None:
                self._host.publish(*acknowledgement(edge, watermark))

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
                elif time.monotonic() - away_since >= self._limits.offline_after_s:
                    self._host.pause()
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._limits.longest_retry_pause_s)
            else:
                if away_since is not None:
                    log.info("database back", away_s=round(time.monotonic() - away_since, 1))
                    self._host.resume()
                return done


class _RefusedError(Exception):
    """These events cannot be written; `reason` is the dead letter's."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ if error.__cause__ is not None else error
    return (str(cause).splitlines() or [type(cause).__name__])[0]


def _chunks(parts: Sequence[Part], rows: int) -> Iterator[list[Part]]:
    """The parts in groups of about `rows` readings, none empty."""
    group: list[Part] = []
    size = 0
    for part in parts:
        group.append(part)
        size += len(part.resolved.readings)
        if size >= rows:
            yield group
            group, size = [], 0
    if group:
        yield group
