"""The buffer's SQLite file: its schema, opening and checking it, setting a damaged one aside, reading its counters from outside."""

import contextlib
import sqlite3
import time
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import structlog

from vigia.edge.buffer_records import Birth, read_device, write_device

log = structlog.get_logger()

BUSY_TIMEOUT_S = 10.0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

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
    waiting_bytes   integer not null
);
create table birth (
    birth_id   integer primary key autoincrement,
    definition text not null,
    alive      integer not null
);
create table batch (
    eseq      integer primary key,
    birth_id  integer not null,
    stored_ms integer not null,
    priority  integer not null,
    samples   integer not null,
    bytes     integer not null,
    body      text not null
);
create index batch_priority on batch (priority, eseq);
create index batch_birth on batch (birth_id);
create table tombstone (
    first  integer primary key,
    last   integer not null,
    reason text not null
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


_COLUMNS = ", ".join(field.name for field in fields(State))
_MARKS = ", ".join("?" for _ in fields(State))


@dataclass(frozen=True, slots=True)
class BufferStatus:
    """A buffer's counters. `samples_stored` and `samples_dropped` count since the buffer was first made, restarts included."""

    epoch: int
    newest: int
    acknowledged: int
    acknowledged_ms: int | None
    samples_stored: int
    samples_dropped: int
    waiting_batches: int
    waiting_bytes: int
    oldest_waiting_ms: int | None


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def buffer_status(path: Path) -> BufferStatus | None:
    """The counters of the buffer at `path`, also while its gateway runs; None when there is no buffer yet."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            connection.execute("begin")
            state = read_state(connection)
            oldest = connection.execute("select stored_ms from batch order by eseq limit 1").fetchone()
    except sqlite3.Error:
        # Being made, being replaced, or damaged: the gateway that owns it answers that.
        return None
    counters = {field.name: getattr(state, field.name) for field in fields(BufferStatus) if field.name != "oldest_waiting_ms"}
    return BufferStatus(**counters, oldest_waiting_ms=oldest[0] if oldest else None)


def read_state(connection: sqlite3.Connection) -> State:
    """The row of counters."""
    return State(*connection.execute(f"select {_COLUMNS} from state").fetchone())  # noqa: S608 - our own column names


def write_state(connection: sqlite3.Connection, state: State) -> None:
    """Replace the row of counters."""
    connection.execute(f"insert or replace into state (one, {_COLUMNS}) values (1, {_MARKS})", astuple(state))  # noqa: S608


def read_births(connection: sqlite3.Connection) -> dict[int, Birth]:
    """Every birth the file knows, by its id."""
    rows = connection.execute("select birth_id, definition, alive from birth")
    return {birth_id: Birth(birth_id, read_device(definition), bool(alive)) for birth_id, definition, alive in rows}


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

    It goes on with the counters and the source's position of `state` and the living devices of `births`; the batches that waited
    are lost, and the host will know from the old epoch's missing numbers.
    """
    aside = path.with_name(f"{path.name}.damaged-{now_ms()}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    log.error(
        "the buffer was damaged; it was set aside and a new one begun",
        buffer=str(path),
        aside=aside.name,
        lost_batches=state.waiting_batches,
    )
    connection = _open(path)
    fresh = replace(
        state, epoch=max(now_ms(), state.epoch + 1), newest=0, acknowledged=0, acknowledged_ms=None, waiting_batches=0, waiting_bytes=0
    )
    connection.execute("begin immediate")
    write_state(connection, fresh)
    for birth in births:
        if birth.alive:
            connection.execute("insert into birth (definition, alive) values (?, 1)", (write_device(birth.device),))
    connection.execute("commit")
    return connection


def damaged(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file itself is broken."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in DAMAGED


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        # A short log: what it holds needs its room twice while it is emptied, which counts when the disk is full.
        connection.execute("pragma wal_autocheckpoint = 100")
        connection.execute("pragma journal_size_limit = 1048576")
        answer = connection.execute("pragma quick_check(1)").fetchone()[0]
        _require(answer == "ok", answer)
        if not connection.execute("select count(*) from sqlite_master where name = 'state'").fetchone()[0]:
            connection.executescript(f"begin immediate; {SCHEMA}")
            write_state(connection, State(epoch=now_ms()))
            connection.execute("commit")
        read_state(connection)
        read_births(connection)
    except (ValueError, TypeError):
        connection.close()
        _require(False, "its content cannot be read")  # noqa: FBT003
        raise
    except BaseException:
        connection.close()
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
    except (sqlite3.Error, ValueError, TypeError):
        return State(), []
