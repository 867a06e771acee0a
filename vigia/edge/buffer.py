"""The buffer on disk: every batch gets its number in the transaction that stores it, and stays until the host acknowledged it.

SQLite in WAL mode with `synchronous=FULL`: what `append` returned survives a power cut. A disk error is answered, never a crash:
full means the oldest and least important batches are dropped, each drop recorded as a tombstone; a damaged file is set aside and
a new one begins a new epoch.
"""

import contextlib
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import structlog

from vigia.edge.buffer_births import begin_birth, end_births, forget_births, read_births
from vigia.edge.buffer_columns import Layout, UnknownPointError, UnreadableBatchError
from vigia.edge.buffer_disk import Disk
from vigia.edge.buffer_drops import drop, drop_older, forget, make_room
from vigia.edge.buffer_errors import BufferFullError, BufferUnavailableError, UnbornDeviceError
from vigia.edge.buffer_file import (
    BufferStatus,
    InUseError,
    State,
    buffer_status,
    damaged,
    has_earlier_tombstones,
    lock_file,
    open_file,
    page_use,
    primary_code,
    read_state,
    replace_file,
    write_state,
)
from vigia.edge.buffer_records import Batch, Birth, News, Tombstone, by_device
from vigia.edge.clock import now_ms
from vigia.edge.samples import Sample, Tick
from vigia.sparkplug.session import next_seq

__all__ = ["BufferStatus", "BufferUnavailableError", "EdgeBuffer", "UnbornDeviceError", "buffer_status"]

log = structlog.get_logger()

EVICT_ATTEMPTS = 3
SETTLE_AT_ONCE = 500
SETTLE_WHEN_FULL = 10
DISK_FULL = "disk full"
DAMAGED = "damaged on disk"
EVICT_SHARE = 0.1  # of the file, so that a full buffer is not trimmed at every tick
SAMPLE_BYTES = 24  # with all that belongs to it; hardly ever more
SPARE_BYTES = 16 * 1024


class EdgeBuffer:
    """The buffer of one edge node; safe to call from several threads. `max_bytes` bounds its file, `max_age_s` what waits in it.

    A batch grows old while the gateway runs: a clock that jumps makes none of them old. Opening creates or repairs the file. Raises
    BufferUnavailableError when the folder cannot be written, or another gateway uses the buffer.
    """

    def __init__(self, path: Path, max_bytes: int = 256 * 1024 * 1024, max_age_s: float = 30 * 86_400.0) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.drops: Counter[str] = Counter()  # batches dropped since it was opened, by reason
        self._lock = threading.RLock()
        self._closed = False
        self._disk = Disk(path)
        self._news = News()
        self._layouts: dict[int, Layout] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._held = lock_file(path)
        except InUseError:
            raise BufferUnavailableError(f"another gateway uses the buffer {path}; stop that one first") from None
        except OSError as error:
            raise self._cannot_open(error) from None
        try:
            self._connection: sqlite3.Connection | None = self._disk.with_reserve(lambda: open_file(path))
            self._state = read_state(self._connection)
            self._births = read_births(self._connection)
            self._mourns = has_earlier_tombstones(self._connection, self._state.epoch)
        except (OSError, sqlite3.Error) as error:
            self._held.close()
            raise self._cannot_open(error) from None
        self._opened = time.monotonic() - self._state.running_s
        self._disk.keep_reserve()

    # ── what a node reads ──

    @property
    def epoch(self) -> int:
        """Changes only when the buffer was lost."""
        return self._state.epoch

    @property
    def newest(self) -> int:
        """The newest number given out in this epoch; 0 before the first."""
        return self._state.newest

    @property
    def acknowledged(self) -> int:
        """Everything up to this number is the host's."""
        return self._state.acknowledged

    @property
    def dropped(self) -> int:
        """How many samples were ever dropped on purpose."""
        return self._state.samples_dropped

    @property
    def position(self) -> str | None:
        """How far the source got, as its last stored tick told it."""
        return self._state.position

    @property
    def next_bd_seq(self) -> int:
        """The bdSeq of the next connection: one more than the last that was used, also across restarts; 0..255."""
        return next_seq(self._state.bd_seq)

    @property
    def mourns(self) -> bool:
        """Whether there are tombstones of epochs gone by that the host has not acknowledged."""
        return self._mourns

    def births(self) -> dict[int, Birth]:
        """By id: the devices that are alive, and earlier births that stored batches still belong to."""
        return self._births

    def take(self, first: int, last: int, limit: int) -> list[Batch]:
        """Stored batches numbered `first` to `last`, the lowest first, at most `limit`. They stay stored until settled.

        Raises BufferUnavailableError.
        """
        with self._lock, self._answered() as connection:
            rows = connection.execute(
                "select eseq, birth_id, body from batch where eseq between ? and ? order by eseq limit ?", (first, last, limit)
            ).fetchall()
            found = [self._batch(*row) for row in rows]
        unreadable = [eseq for (eseq, *_), batch in zip(rows, found, strict=True) if batch is None]
        if unreadable:
            with self._lock, self._transaction() as (connection, state):
                self._say_dropped(drop(connection, unreadable, DAMAGED, state), DAMAGED)
        return [batch for batch in found if batch is not None]

    def tombstones(self) -> list[Tombstone]:
        """Drops that the host has not acknowledged yet, those of earlier epochs first. Raises BufferUnavailableError."""
        with self._lock, self._answered() as connection:
            rows = connection.execute("select epoch, first, last, reason from tombstone order by epoch, first").fetchall()
            return [Tombstone(*row) for row in rows]

    # ── what changes it ──

    def append(self, *ticks: Tick) -> list[Batch]:
        """Store `ticks` and the source's position in one transaction; returns the numbered batches, on disk when this returns.

        Raises BufferUnavailableError when the disk refuses even after the oldest batches were dropped, UnbornDeviceError.
        """
        with self._lock:
            for _ in range(EVICT_ATTEMPTS):
                with contextlib.suppress(BufferFullError):
                    return self._append(ticks)
                self._make_room()
            return self._append(ticks)

    def settle(self, watermark: int, epoch: int | None = None) -> None:
        """The host has everything of `epoch`, by default the present one, up to `watermark`: forget it.

        A number below the last watermark changes nothing. Of an epoch gone by only tombstones are left. Raises BufferUnavailableError;
        the next acknowledgement then tells the watermark again.
        """
        with self._lock:
            if epoch not in (None, self.epoch):
                with self._transaction() as (connection, state):
                    connection.execute("delete from tombstone where epoch = ? and last <= ?", (epoch, watermark))
                    self._mourns = has_earlier_tombstones(connection, state.epoch)
                return
            watermark = min(watermark, self.newest)
            while self.acknowledged < watermark:
                try:
                    self._settle(watermark, SETTLE_AT_ONCE)
                except BufferFullError:
                    # Deleting needs room as well, for the log of what is deleted.
                    self._use_reserve()
                    self._settle(watermark, SETTLE_WHEN_FULL)

    def drop_old(self) -> int:
        """Drop batches older than the allowed age, each drop a tombstone; returns how many. Raises BufferUnavailableError."""
        with self._lock, self._transaction() as (connection, state):
            self._disk.keep_reserve()
            reason = f"older than {self.max_age_s / 3600:g} h"
            return self._say_dropped(drop_older(connection, state.running_s - int(self.max_age_s), reason, state), reason)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction on what else the file holds, on disk when it is left. Raises BufferUnavailableError."""
        with self._lock, self._transaction() as (connection, _):
            yield connection

    def use_bd_seq(self, bd_seq: int) -> None:
        """A CONNECT that carries this number may leave now.

        A disk that refuses is no reason not to connect, for then what waits must be sent all the more: the number is remembered.
        """
        with self._lock:
            try:
                with self._transaction() as (_, state):
                    state.bd_seq = bd_seq
            except BufferUnavailableError as error:
                log.warning("the number of this connection is not on disk", bd_seq=bd_seq, why=str(error))
                self._state = replace(self._state, bd_seq=bd_seq)

    def close(self) -> None:
        """Close the file; whoever still wants something of it gets BufferUnavailableError."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
            self._held.close()

    # ── inside ──

    def _append(self, ticks: tuple[Tick, ...]) -> list[Batch]:
        births = dict(self._births)
        batches: list[Batch] = []
        try:
            with self._transaction() as (connection, state):
                self._make_room_for(connection, sum(len(tick.samples) for tick in ticks), state)
                for tick in ticks:
                    batches += self._insert_tick(connection, tick, births, state)
        except BaseException:
            self._news.discard()
            raise
        self._news.keep()
        self._births = births
        return batches

    def _insert_tick(self, connection: sqlite3.Connection, tick: Tick, births: dict[int, Birth], state: State) -> list[Batch]:
        for device_id in tick.deaths:
            end_births(connection, device_id, births, state.newest)
        for device in tick.births:
            begin_birth(connection, device, births, state.newest)
        state.position = tick.position if tick.position is not None else state.position
        alive = {birth.device.device_id: birth for birth in births.values() if birth.alive}
        batches = []
        for device_id, samples in by_device(tick.samples):
            if device_id not in alive:
                raise UnbornDeviceError(f"samples of device {device_id!r}, which was not announced")
            batches.append(self._insert(connection, alive[device_id], samples, state))
        return batches

    def _insert(self, connection: sqlite3.Connection, birth: Birth, samples: tuple[Sample, ...], state: State) -> Batch:
        device_id = birth.device.device_id
        try:
            body = self._layout(birth).write(samples)
        except UnknownPointError as error:
            raise UnbornDeviceError(f"a sample of point {error.args[0]!r}, which device {device_id!r} has not announced") from None
        state.newest += 1
        state.waiting_batches += 1
        state.waiting_bytes += len(body)
        state.waiting_samples += len(samples)
        state.samples_stored += len(samples)
        connection.execute(
            "insert into batch (eseq, birth_id, stored_ms, stored_s, priority, samples, body) values (?, ?, ?, ?, ?, ?, ?)",
            (state.newest, birth.birth_id, now_ms(), state.running_s, self._news.priority(birth, samples), len(samples), body),
        )
        return Batch(state.epoch, state.newest, birth.birth_id, device_id, samples)

    def _make_room_for(self, connection: sqlite3.Connection, samples: int, state: State) -> None:
        """Drop what the file, or the disk, has no room for beside so many samples.

        Before they are stored: a file that does not grow can be written even when others have filled the disk.
        """
        needed = samples * SAMPLE_BYTES + min(SPARE_BYTES, self.max_bytes // 8)
        use = page_use(connection)
        share = int(use.held * EVICT_SHARE)
        if use.held + needed > self.max_bytes:
            reason = f"the buffer's limit of {self.max_bytes} bytes"
            self._say_dropped(make_room(connection, use.held + needed + share - self.max_bytes, reason, state), reason)
        elif use.spare < needed and self._disk.is_scarce():
            self._say_dropped(make_room(connection, needed + share - use.spare, DISK_FULL, state), DISK_FULL)

    def _say_dropped(self, batches: int, reason: str) -> int:
        if batches:
            self.drops[reason] += batches
            log.warning("batches dropped", buffer=self.path.name, batches=batches, reason=reason)
        return batches

    def _settle(self, watermark: int, at_once: int) -> None:
        """Forget the next `at_once` batches up to the watermark."""
        births = self._births
        with self._transaction() as (connection, state):
            after = connection.execute(
                "select eseq from batch where eseq <= ? order by eseq limit 1 offset ?", (watermark, at_once)
            ).fetchone()
            reached = after[0] - 1 if after else watermark
            forget(connection, 0, reached, state)
            connection.execute("delete from tombstone where epoch = ? and last <= ?", (state.epoch, reached))
            state.acknowledged, state.acknowledged_ms = max(reached, state.acknowledged), now_ms()
            over = forget_births(connection, births, state.acknowledged)
        if over:
            self._births = {birth_id: birth for birth_id, birth in births.items() if birth_id not in over}
            self._layouts = {birth_id: layout for birth_id, layout in self._layouts.items() if birth_id not in over}
            self._news.forget(over)

    def _layout(self, birth: Birth) -> Layout:
        if birth.birth_id not in self._layouts:
            self._layouts[birth.birth_id] = Layout(birth.device)
        return self._layouts[birth.birth_id]

    def _batch(self, eseq: int, birth_id: int, body: bytes) -> Batch | None:
        """The batch, or None when its bytes make no sense."""
        birth = self._births.get(birth_id)
        if birth is None:
            return None
        try:
            return Batch(self.epoch, eseq, birth_id, birth.device.device_id, self._layout(birth).read(body))
        except UnreadableBatchError:
            return None

    def _make_room(self) -> None:
        """The disk is full: give back the reserve, so that the dropping itself can be written, and drop a share of the batches."""
        self._use_reserve()
        with self._transaction() as (connection, state):
            wanted = SPARE_BYTES + int(page_use(connection).held * EVICT_SHARE)
            self._say_dropped(make_room(connection, wanted, DISK_FULL, state), DISK_FULL)
        self._empty_log()

    def _use_reserve(self) -> None:
        self._disk.give_reserve()
        self._empty_log()

    def _empty_log(self) -> None:
        """Let the write-ahead log be written anew from its beginning, if that can be done now. It keeps its room on the disk."""
        with contextlib.suppress(sqlite3.OperationalError):
            self._open().execute("pragma wal_checkpoint(passive)").fetchone()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[tuple[sqlite3.Connection, State]]:
        """Write inside; the given counters are stored with it. Nothing is changed, in memory or on disk, when it fails."""
        state = replace(self._state, running_s=int(time.monotonic() - self._opened))
        with self._answered() as connection:
            try:
                connection.execute("begin immediate")
                yield connection, state
                write_state(connection, state)
                connection.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("rollback")
                raise
        self._state = state

    @contextlib.contextmanager
    def _answered(self) -> Iterator[sqlite3.Connection]:
        """Turn an error of the disk into one of ours; a damaged file is replaced before."""
        try:
            yield self._open()
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.Error as error:
            if damaged(error):
                self._replace()
                raise BufferUnavailableError(f"the buffer {self.path} was damaged and has been replaced") from None
            code = primary_code(error)
            if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and self._disk.is_full()):
                raise BufferFullError(f"the disk of {self.path} is full") from None
            raise BufferUnavailableError(f"the buffer {self.path} cannot be used: {error}") from None

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise BufferUnavailableError(f"the buffer {self.path} is closed")
        if self._connection is None:
            self._replace()
        assert self._connection is not None  # noqa: S101 - just made
        return self._connection

    def _replace(self) -> None:
        """Go on with a new file; when none can be made now, at the next use."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
        try:
            made = replace_file(self.path, self._state, list(self._births.values()))
        except (OSError, sqlite3.Error) as error:
            raise BufferUnavailableError(f"the buffer {self.path} was damaged and cannot be replaced: {error}") from None
        self._connection = made
        self._state, self._births = read_state(made), read_births(made)
        self._mourns = has_earlier_tombstones(made, self._state.epoch)
        self._layouts, self._news = {}, News()

    def _cannot_open(self, error: Exception) -> BufferUnavailableError:
        return BufferUnavailableError(f"the buffer {self.path} cannot be opened ({error}); choose a folder that can be written in [buffer]")
