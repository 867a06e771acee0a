"""The buffer on disk: every batch gets its number in the transaction that stores it, and stays until the host acknowledged it.

SQLite in WAL mode with `synchronous=FULL`: what `append` returned survives a power cut. A disk error is answered, never a crash:
full means the oldest and least important batches are dropped, each drop recorded as a tombstone; a damaged file is set aside and
a new one begins a new epoch.
"""

import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from vigia.edge import EdgeError
from vigia.edge.buffer_file import (
    BufferStatus,
    State,
    buffer_status,
    damaged,
    now_ms,
    open_file,
    read_births,
    read_state,
    replace_file,
    write_state,
)
from vigia.edge.buffer_records import Batch, Birth, Tombstone, by_device, priority_of, read_samples, runs, write_device, write_samples
from vigia.edge.samples import Device, Tick
from vigia.sparkplug.session import next_seq

__all__ = ["BufferStatus", "BufferUnavailableError", "EdgeBuffer", "UnbornDeviceError", "buffer_status"]

log = structlog.get_logger()

RESERVE_BYTES = 1024 * 1024  # more than the write-ahead log ever holds, so that it can always be emptied
EVICT_ATTEMPTS = 3
SPARE_PAGES = 64
SETTLE_AT_ONCE = 500
SETTLE_WHEN_FULL = 10
DISK_FULL = "disk full"
EVICT_SHARE = 0.1  # of the limit, so that a full buffer is not trimmed at every tick
EVICT_BYTES = 64 * 1024


class BufferUnavailableError(EdgeError):
    """The buffer cannot be written now; nothing was stored, try again."""


class BufferFullError(BufferUnavailableError):
    """The disk that holds the buffer is full."""


class UnbornDeviceError(EdgeError):
    """A source gave samples of a device that it has not announced."""


class EdgeBuffer:
    """The buffer of one edge node; safe to call from several threads. `max_bytes` bounds the samples' bytes, `max_age_s` their age.

    Opening creates or repairs the file. Raises BufferUnavailableError when the folder cannot be written.
    """

    def __init__(self, path: Path, max_bytes: int = 256 * 1024 * 1024, max_age_s: float = 30 * 86_400.0) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = open_file(path)
            self._state = read_state(self._connection)
            self._births = read_births(self._connection)
        except (OSError, sqlite3.Error) as error:
            raise BufferUnavailableError(
                f"the buffer {path} cannot be opened ({error}); choose a folder that can be written in [buffer]"
            ) from None
        self._keep_reserve()

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

    def births(self) -> dict[int, Birth]:
        """By id: the devices that are alive, and earlier births that stored batches still belong to."""
        return self._births

    def take(self, first: int, last: int, limit: int) -> list[Batch]:
        """Stored batches numbered `first` to `last`, the lowest first, at most `limit`. They stay stored until settled.

        Raises BufferUnavailableError.
        """
        with self._lock, self._answered():
            rows = self._connection.execute(
                "select eseq, birth_id, body from batch where eseq between ? and ? order by eseq limit ?", (first, last, limit)
            ).fetchall()
            return [self._batch(*row) for row in rows]

    def waiting_devices(self) -> set[int]:
        """The births that stored batches belong to. Raises BufferUnavailableError."""
        with self._lock, self._answered():
            return {birth_id for (birth_id,) in self._connection.execute("select distinct birth_id from batch")}

    def tombstones(self) -> list[Tombstone]:
        """Drops that the host has not acknowledged yet. Raises BufferUnavailableError."""
        with self._lock, self._answered():
            rows = self._connection.execute("select first, last, reason from tombstone order by first").fetchall()
            return [Tombstone(self.epoch, *row) for row in rows]

    # ── what changes it ──

    def append(self, tick: Tick) -> list[Batch]:
        """Store `tick` and the source's position in one transaction; returns the numbered batches, on disk when this returns.

        Raises BufferUnavailableError when the disk refuses even after the oldest batches were dropped, UnbornDeviceError.
        """
        with self._lock:
            for _ in range(EVICT_ATTEMPTS):
                try:
                    return self._append(tick)
                except BufferFullError:
                    self._make_room()
            return self._append(tick)

    def settle(self, watermark: int) -> None:
        """The host has everything up to `watermark`: forget it. A number below the last watermark changes nothing.

        Raises BufferUnavailableError; the next acknowledgement then tells the watermark again.
        """
        with self._lock:
            watermark = min(watermark, self.newest)
            while self.acknowledged < watermark:
                try:
                    self._settle(watermark, SETTLE_AT_ONCE)
                except BufferFullError:
                    # Deleting needs room as well, for the log of what is deleted.
                    self._reserve.unlink(missing_ok=True)
                    self._empty_log()
                    self._settle(watermark, SETTLE_WHEN_FULL)

    def drop_old(self) -> int:
        """Drop batches older than the allowed age, each drop a tombstone; returns how many. Raises BufferUnavailableError."""
        with self._lock, self._transaction() as state:
            self._keep_reserve()
            cutoff = now_ms() - int(self.max_age_s * 1000)
            old = self._connection.execute("select eseq from batch where stored_ms < ? order by eseq", (cutoff,)).fetchall()
            return self._drop([eseq for (eseq,) in old], f"older than {self.max_age_s / 3600:g} h", state)

    def use_bd_seq(self, bd_seq: int) -> None:
        """A CONNECT that carries this number may leave now. Raises BufferUnavailableError."""
        with self._lock, self._transaction() as state:
            state.bd_seq = bd_seq

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # ── inside ──

    def _append(self, tick: Tick) -> list[Batch]:
        births = dict(self._births)
        with self._transaction() as state:
            for device_id in tick.deaths:
                self._end_births(device_id, births)
            for device in tick.births:
                self._begin_birth(device, births)
            alive = {birth.device.device_id: birth for birth in births.values() if birth.alive}
            batches: list[Batch] = []
            stored_ms = now_ms()
            for device_id, samples in by_device(tick.samples):
                if device_id not in alive:
                    raise UnbornDeviceError(f"samples of device {device_id!r}, which was not announced")
                birth = alive[device_id]
                body = write_samples(samples)
                state.newest += 1
                state.waiting_bytes += len(body)
                self._connection.execute(
                    "insert into batch (eseq, birth_id, stored_ms, priority, samples, bytes, body) values (?, ?, ?, ?, ?, ?, ?)",
                    (state.newest, birth.birth_id, stored_ms, priority_of(birth.device, samples), len(samples), len(body), body),
                )
                batches.append(Batch(state.epoch, state.newest, birth.birth_id, device_id, samples))
            state.position = tick.position if tick.position is not None else state.position
            state.samples_stored += len(tick.samples)
            state.waiting_batches += len(batches)
            if state.waiting_bytes > self.max_bytes:
                excess = state.waiting_bytes - int(self.max_bytes * (1 - EVICT_SHARE))
                self._drop_least(excess, f"the buffer's limit of {self.max_bytes} bytes", state)
            elif batches and self._disk_is_scarce():
                self._drop_least(max(int(state.waiting_bytes * EVICT_SHARE), EVICT_BYTES), DISK_FULL, state)
        self._births = births
        return batches

    def _settle(self, watermark: int, at_once: int) -> None:
        """Forget the next `at_once` batches up to the watermark."""
        with self._transaction() as state:
            after = self._connection.execute(
                "select eseq from batch where eseq <= ? order by eseq limit 1 offset ?", (watermark, at_once)
            ).fetchone()
            reached = after[0] - 1 if after else watermark
            self._forget(0, reached, state)
            self._connection.execute("delete from tombstone where last <= ?", (reached,))
            self._connection.execute("delete from birth where alive = 0 and birth_id not in (select birth_id from batch)")
            births = read_births(self._connection)
            state.acknowledged, state.acknowledged_ms = max(reached, state.acknowledged), now_ms()
        self._births = births

    def _begin_birth(self, device: Device, births: dict[int, Birth]) -> None:
        if any(birth.alive and birth.device == device for birth in births.values()):
            return
        self._end_births(device.device_id, births)
        made = self._connection.execute("insert into birth (definition, alive) values (?, 1)", (write_device(device),))
        birth_id = made.lastrowid or 0
        births[birth_id] = Birth(birth_id, device, alive=True)

    def _end_births(self, device_id: str, births: dict[int, Birth]) -> None:
        for birth in list(births.values()):
            if birth.alive and birth.device.device_id == device_id:
                self._connection.execute("update birth set alive = 0 where birth_id = ?", (birth.birth_id,))
                births[birth.birth_id] = replace(birth, alive=False)

    def _drop_least(self, wanted_bytes: int, reason: str, state: State) -> None:
        """Drop the least important batches, the oldest first, until `wanted_bytes` are freed."""
        chosen: list[int] = []
        for eseq, size in self._connection.execute("select eseq, bytes from batch order by priority, eseq"):
            if wanted_bytes <= 0:
                break
            chosen.append(eseq)
            wanted_bytes -= size
        self._drop(sorted(chosen), reason, state)

    def _drop(self, eseqs: Sequence[int], reason: str, state: State) -> int:
        for first, last in runs(eseqs):
            state.samples_dropped += self._forget(first, last, state)
            # Neighbours dropped for one reason share a tombstone: a long outage leaves few of them.
            row = self._connection.execute("select first from tombstone where last = ? and reason = ?", (first - 1, reason)).fetchone()
            begin = row[0] if row else first
            self._connection.execute("insert or replace into tombstone (first, last, reason) values (?, ?, ?)", (begin, last, reason))
        if eseqs:
            log.warning("batches dropped", buffer=self.path.name, batches=len(eseqs), reason=reason)
        return len(eseqs)

    def _forget(self, first: int, last: int, state: State) -> int:
        """Delete batches by number; returns how many samples they held."""
        count, size, samples = self._connection.execute(
            "select count(*), coalesce(sum(bytes), 0), coalesce(sum(samples), 0) from batch where eseq between ? and ?", (first, last)
        ).fetchone()
        self._connection.execute("delete from batch where eseq between ? and ?", (first, last))
        state.waiting_batches -= count
        state.waiting_bytes -= size
        return int(samples)

    def _batch(self, eseq: int, birth_id: int, body: str) -> Batch:
        device_id = self._births[birth_id].device.device_id
        return Batch(self.epoch, eseq, birth_id, device_id, read_samples(device_id, body))

    def _make_room(self) -> None:
        """The disk is full: give back the reserve, so that the dropping itself can be written, and drop a share of the batches."""
        self._reserve.unlink(missing_ok=True)
        self._empty_log()
        with self._transaction() as state:
            self._drop_least(max(int(state.waiting_bytes * EVICT_SHARE), EVICT_BYTES), DISK_FULL, state)
        self._empty_log()

    def _empty_log(self) -> None:
        """Give the write-ahead log's space back, if that can be done now."""
        with contextlib.suppress(sqlite3.OperationalError):
            self._connection.execute("pragma wal_checkpoint(truncate)").fetchone()

    @property
    def _reserve(self) -> Path:
        return self.path.with_name(f"{self.path.name}.reserve")

    def _keep_reserve(self) -> None:
        """Hold some disk space back for the moment when other programs leave none; not when it is scarce already."""
        with contextlib.suppress(OSError):
            disk = shutil.disk_usage(self.path.parent)
            size = min(RESERVE_BYTES, disk.total // 8)
            if not self._reserve.exists() and disk.free > 4 * size:
                self._reserve.write_bytes(bytes(size))

    def _disk_is_scarce(self) -> bool:
        """Whether the file should grow no more: what is left is for the write-ahead log, without which nothing can be dropped."""
        try:
            disk = shutil.disk_usage(self.path.parent)
        except OSError:
            return False
        if disk.free > min(RESERVE_BYTES, disk.total // 4):
            return False
        spare: int = self._connection.execute("pragma freelist_count").fetchone()[0]
        return spare < SPARE_PAGES

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[State]:
        """Write inside; the given counters are stored with it. Nothing is changed, in memory or on disk, when it fails."""
        state = replace(self._state)
        with self._answered():
            try:
                self._connection.execute("begin immediate")
                yield state
                write_state(self._connection, state)
                self._connection.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("rollback")
                raise
        self._state = state

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        """Turn an error of the disk into one of ours; a damaged file is replaced before."""
        try:
            yield
        except sqlite3.Error as error:
            if isinstance(error, sqlite3.ProgrammingError) or damaged(error):
                self._replace()
                raise BufferUnavailableError(f"the buffer {self.path} was damaged and has been replaced") from None
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise BufferFullError(f"the disk of {self.path} is full") from None
            raise BufferUnavailableError(f"the buffer {self.path} cannot be used: {error}") from None

    def _replace(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        try:
            self._connection = replace_file(self.path, self._state, list(self._births.values()))
            self._state = read_state(self._connection)
            self._births = read_births(self._connection)
        except (OSError, sqlite3.Error) as error:
            raise BufferUnavailableError(f"the buffer {self.path} was damaged and cannot be replaced: {error}") from None
