"""The buffer's SQLite file: its schema, opening and checking it, setting a damaged one aside, reading its counters from outside."""

import contextlib
import fcntl
import sqlite3
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import IO

import structlog

from vigia.edge.buffer_births import read_births, write_birth
from vigia.edge.buffer_records import Birth, Tombstone
from vigia.edge.buffer_upgrade import VERSION, upgrade
from vigia.edge.clock import now_ms

log = structlog.get_logger()

BUSY_TIMEOUT_S = 10.0
# A constraint is violated when the file contradicts itself, as after an incomplete restore.
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT)
KEPT_ASIDE = 2  # damaged files; a disk that damages one after the other must not fill up with them

SCHEMA = """
create table state (
    one             integer primary key check (one = 1),
    epoch           integer not null,  -- ms since 1970 when this file was begun
    newest          integer not null,  -- newest batch number given out
    acknowledged    integer not null,  -- everything up to here is the host's
    acknowledged_ms integer,
    position        text,              -- how far the source got
    bd_seq          integer not null,
    samples_stored  integer not null,  -- ever, over all epochs that could be counted
    samples_dropped integer not null,
    waiting_batches integer not null,
    waiting_bytes   integer not null,
    running_s       integer not null default 0, -- how long this buffer has been in use: the clock by which batches grow old
    waiting_samples integer not null default 0
);
create table birth (
    birth_id   integer primary key autoincrement,
    definition text not null,
    ended      integer                 -- no batch after this number belongs to it; null while it lives
);
create table batch (
    eseq      integer primary key,
    birth_id  integer not null,
    stored_ms integer not null,        -- wall clock, for people
    stored_s  integer not null,        -- by state.running_s
    priority  integer not null,
    samples   integer not null,
    body      blob not null            -- see buffer_columns
);
create index batch_priority on batch (priority, eseq);
create table tombstone (
    epoch  integer not null,
    first  integer not null,
    last   integer not null,
    reason text not null,
    primary key (epoch, first)
) without rowid;
create table command (
    id         text primary key,       -- of a command that acted: it never acts again
    device_id  text not null,
    name       text not null,
    expires_at integer not null,
    ended      integer not null default 0
) without rowid;
create table command_result (          -- those that wait until their device is there to tell them
    number    integer primary key,
    device_id text not null,
    at        integer not null,
    body      text not null
);
"""


@dataclass(slots=True)
class State:
    """The buffer's one row of counters; see SCHEMA."""

    epoch: int = 0
    newest: int = 0
    acknowledged: int = 0
    acknowledged_ms: int | None = None
    position: str | None = None
    bd_seq: int = -1
    samples_stored: int = 0
    samples_dropped: int = 0
    waiting_batches: int = 0
    waiting_bytes: int = 0
    running_s: int = 0
    waiting_samples: int = 0


_COLUMNS = ", ".join(field.name for field in fields(State))
_MARKS = ", ".join("?" for _ in fields(State))


@dataclass(frozen=True, slots=True)
class BufferStatus:
    """A buffer's counters. `samples_stored` and `samples_dropped` count since the buffer was first made, restarts included.

    `used_bytes` is what of the file is in use; `set_aside` names the damaged files beside it, the newest last.
    """

    epoch: int
    newest: int
    acknowledged: int
    acknowledged_ms: int | None
    samples_stored: int
    samples_dropped: int
    waiting_batches: int
    waiting_bytes: int
    oldest_waiting_ms: int | None
    waiting_samples: int = 0
    used_bytes: int = 0
    set_aside: tuple[str, ...] = ()


class InUseError(OSError):
    """Another gateway uses this buffer."""


def buffer_status(path: Path) -> BufferStatus | None:
    """The counters of the buffer at `path`, also while its gateway runs; None when there is no buffer yet."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute("begin")
            state = read_state(connection)
            oldest = connection.execute("select stored_ms from batch order by eseq limit 1").fetchone()
            used = page_use(connection).held
    except sqlite3.Error:
        # Being made, being replaced, or damaged: the gateway that owns it answers that.
        return None
    found = ("oldest_waiting_ms", "used_bytes", "set_aside")
    counters = {field.name: getattr(state, field.name) for field in fields(BufferStatus) if field.name not in found}
    aside = tuple(one.name for one in files_aside(path))
    return BufferStatus(**counters, oldest_waiting_ms=oldest[0] if oldest else None, used_bytes=used, set_aside=aside)


@dataclass(frozen=True, slots=True)
class PageUse:
    """Bytes of the file's pages that hold something, and of those that are filled again before it grows."""

    held: int
    spare: int


def page_use(connection: sqlite3.Connection) -> PageUse:
    """How the file is used, as the connection's transaction sees it."""
    pages, spare, size = (connection.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size"))
    return PageUse((pages - spare) * size, spare * size)


def files_aside(path: Path) -> list[Path]:
    """The damaged files that were set aside, the oldest first."""
    return sorted(one for one in path.parent.glob(f"{path.name}.damaged-*") if not one.name.endswith(("-wal", "-shm")))


def lock_file(path: Path) -> IO[str]:
    """Keep other gateways away from the buffer at `path` until the returned file is closed, or this process ends.

    Two that number batches at the same time would give a number twice. Raises InUseError, OSError.
    """
    file = path.with_name(f"{path.name}.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUseError from None
    return file


def read_state(connection: sqlite3.Connection) -> State:
    """The row of counters."""
    return State(*connection.execute(f"select {_COLUMNS} from state").fetchone())  # noqa: S608 - our own column names


def write_state(connection: sqlite3.Connection, state: State) -> None:
    """Replace the row of counters."""
    connection.execute(f"insert or replace into state (one, {_COLUMNS}) values (1, {_MARKS})", astuple(state))  # noqa: S608


def open_file(path: Path) -> sqlite3.Connection:
    """The buffer's file, checked; made when missing, replaced when damaged. Raises OSError or sqlite3.Error when neither can be done."""
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if not damaged(error):
            raise
    kept = _salvage(path)
    return replace_file(path, *kept)


def replace_file(path: Path, state: State, births: list[Birth]) -> sqlite3.Connection:
    """Set the damaged file at `path` aside and begin a new one with a new epoch.

    It goes on with the counters and the source's position of `state` and the living devices of `births`. The batches that waited are
    lost: a tombstone of the old epoch says so.
    """
    aside = _set_aside(path)
    reason = f"the buffer was damaged; set aside as {aside.name}"
    log.error(
        "the buffer was damaged; it was set aside and a new one begun",
        buffer=str(path),
        aside=aside.name,
        lost_batches=state.waiting_batches,
    )
    connection = _open(path)
    fresh = replace(
        state,
        epoch=max(now_ms(), state.epoch + 1),
        newest=0,
        acknowledged=0,
        acknowledged_ms=None,
        waiting_batches=0,
        waiting_bytes=0,
        waiting_samples=0,
    )
    connection.execute("begin immediate")
    write_state(connection, fresh)
    for birth in births:
        if birth.alive:
            write_birth(connection, birth.device)
    if state.newest > state.acknowledged:
        write_tombstone(connection, Tombstone(state.epoch, state.acknowledged + 1, state.newest, reason))
    connection.execute("commit")
    return connection


def write_tombstone(connection: sqlite3.Connection, tombstone: Tombstone) -> None:
    """Add `tombstone`, or let one that begins at the same number grow."""
    row = (tombstone.epoch, tombstone.first, tombstone.last, tombstone.reason)
    connection.execute("insert or replace into tombstone (epoch, first, last, reason) values (?, ?, ?, ?)", row)


def has_earlier_tombstones(connection: sqlite3.Connection, epoch: int) -> bool:
    """Whether there are tombstones of other epochs than this."""
    return connection.execute("select 1 from tombstone where epoch <> ? limit 1", (epoch,)).fetchone() is not None


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{now_ms()}")
    while aside.exists():  # the clock stands still, or was set back
        aside = aside.with_name(f"{aside.name}x")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    for old in files_aside(path)[:-KEPT_ASIDE]:
        log.warning("a damaged buffer that was set aside earlier is removed", buffer=old.name)
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return aside


def damaged(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file itself is broken."""
    return primary_code(error) in DAMAGED


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its details; SQLITE_OK where there is none."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("pragma page_size = 4096")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        # A short log: what it holds needs its room twice while it is emptied, which counts when the disk is full.
        connection.execute("pragma wal_autocheckpoint = 100")
        connection.execute("pragma journal_size_limit = 1048576")
        answer = connection.execute("pragma quick_check(1)").fetchone()[0]
        _require(answer == "ok", answer)
        if not connection.execute("select count(*) from sqlite_master where name = 'state'").fetchone()[0]:
            connection.executescript(f"begin immediate; {SCHEMA}; pragma user_version = {VERSION}")
            write_state(connection, State(epoch=now_ms()))
            connection.execute("commit")
        upgrade(connection)
        newest = connection.execute("select coalesce(max(eseq), 0) from batch").fetchone()[0]
        _require(read_state(connection).newest >= newest, "a batch has a number that was not given out")
        read_births(connection)
    except BaseException as error:
        connection.close()
        senseless = isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_ERROR  # a table or a column is missing
        _require(not senseless and not isinstance(error, (ValueError, TypeError, LookupError)), "its content cannot be read")
        raise
    return connection


def _require(ok: bool, why: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Treat what SQLite itself does not notice like damage that it does."""
    if not ok:
        error = sqlite3.DatabaseError(why)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _salvage(path: Path) -> tuple[State, list[Birth]]:
    """What a damaged file still tells: position and devices together, or neither, for one without the other would mislead."""
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return read_state(connection), list(read_births(connection).values())
    except (sqlite3.Error, ValueError, TypeError, LookupError):
        return State(), []
