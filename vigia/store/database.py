"""Connections and transactions. A process opens one `Database` in its role; whoever opens the transaction commits it."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NoReturn, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from vigia.errors import VigiaError

# The pool would log each of its attempts; the process that waits says so itself, once.
logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)

Transaction = AsyncConnection[TupleRow]
"""A connection with an open transaction. Workflows and store take it; only the entry point commits."""

Clock = Literal["wall", "fleet"]

Role = Literal["vigia_owner", "vigia_service", "vigia_app", "vigia_reporter"]

# A server that vanished without a word is noticed within a minute.
KEEP_ALIVE: Mapping[str, Any] = MappingProxyType(
    {"connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
)

AWAY_CLASSES = ("08", "53", "57P", "58", "XX")  # connection lost, no resources, shutting down, its disk fails, damaged
CONFLICTS = ("40001", "40P01", "55P03")  # not serializable, deadlock, lock not available
TRANSACTION_WAIT_S = 5.0
RECONNECT_S = 1.0


class StoreError(VigiaError):
    """The database refused."""


class DatabaseUnavailableError(StoreError):
    """No database answers; check that it runs and that --dsn (VIGIA_DSN) names it."""


class BadDsnError(StoreError):
    """The DSN cannot be read; write postgresql://user:password@host:port/database."""


class NotMigratedError(StoreError):
    """The database is not set up for Vigía; run `vigia db migrate`."""


class TransactionConflictError(StoreError):
    """Another transaction was in the way; nothing was changed, try again."""


@dataclass(frozen=True)
class Caller:
    """Who a transaction acts for: staff see every customer, others their own only."""

    account_id: int | None = None
    customer_id: int | None = None
    staff: bool = False


async def connect(dsn: str, application_name: str, options: str = "") -> Transaction:
    """A connection of its own in autocommit mode. Raises BadDsnError or DatabaseUnavailableError, which says why."""
    try:
        given: dict[str, Any] = {"options": options} if options else {}  # else those of the DSN count
        return await AsyncConnection.connect(dsn, autocommit=True, application_name=application_name, **given, **KEEP_ALIVE)
    except psycopg.ProgrammingError as error:
        raise BadDsnError(f"the DSN cannot be read ({str(error).strip()}); write postgresql://user:password@host:port/database") from None
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


class Database:
    """A pool of connections in one database role. Entering connects; leaving closes.

    `clock` "fleet" makes `fleet.now` the time of the newest reading: a replayed fleet lives in its own time.
    """

    def __init__(self, dsn: str, role: Role, max_size: int = 8, clock: Clock = "wall") -> None:
        self.dsn = dsn
        self._role = role
        self._options = f"-c role={role} -c search_path=vigia,jobs,public -c timezone=UTC -c vigia.clock={clock}"
        self._pool: AsyncConnectionPool[Transaction] = AsyncConnectionPool(
            dsn,
            open=False,
            min_size=1,
            max_size=max_size,
            timeout=TRANSACTION_WAIT_S,
            # After this it tries anew whenever someone asks, instead of ever more seldom.
            reconnect_timeout=RECONNECT_S,
            check=AsyncConnectionPool.check_connection,
            kwargs={**KEEP_ALIVE, "options": self._options, "application_name": role},
        )

    async def __aenter__(self) -> Self:
        """Raise BadDsnError, DatabaseUnavailableError or NotMigratedError at once instead of waiting for a better time."""
        try:
            async with await connect(self.dsn, self._role, self._options) as connection:
                cursor = await connection.execute("select to_regclass('vigia.schema_migration') is not null")
                if await cursor.fetchone() != (True,):
                    raise NotMigratedError
        except DatabaseUnavailableError as error:
            said = str(error.__cause__)
            if 'parameter "role"' in said or "set role" in said or f'role "{self._role}" does not exist' in said:
                raise NotMigratedError from error
            raise
        await self._pool.open()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, caller: Caller | None = None, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        """One transaction, committed on leaving, rolled back on an exception.

        `caller` is set for row-level security with SET LOCAL semantics; without it the app role sees nothing. With `snapshot` all its
        queries see one moment, and it may only read.

        Raises DatabaseUnavailableError when no connection can be had within five seconds or the server goes away; if that happens while
        committing, the transaction may be committed or not. Raises TransactionConflictError when another transaction was in the way.
        """
        connection: Transaction | None = None
        try:
            async with self._pool.connection() as connection, connection.transaction():
                if snapshot:
                    await connection.execute("set transaction isolation level repeatable read, read only")
                if caller is not None:
                    await connection.execute(
                        "select set_config('vigia.customer_id', %s, true), set_config('vigia.account_id', %s, true),"
                        " set_config('vigia.staff', %s, true)",
                        (_setting(caller.customer_id), _setting(caller.account_id), "on" if caller.staff else "off"),
                    )
                yield connection
        except (PoolTimeout, PoolClosed) as error:
            raise DatabaseUnavailableError from error
        except psycopg.Error as error:
            _translate(error, connection)


def _translate(error: psycopg.Error, connection: Transaction | None) -> NoReturn:
    """Raise what callers outside store can understand; an error of the statement itself stays as it is."""
    state = error.sqlstate or ""
    if connection is None or connection.closed or state.startswith(AWAY_CLASSES):
        raise unavailable(error) from error
    if state in CONFLICTS:
        raise TransactionConflictError from error
    raise error


def unavailable(error: psycopg.Error) -> DatabaseUnavailableError:
    """What a caller outside store is told of a server that did not answer, or gave up."""
    if isinstance(error, psycopg.errors.DiskFull):
        return DatabaseUnavailableError("no space is left on the database's disk; make room and try again")
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[0].removeprefix("connection failed: ").strip()
    return DatabaseUnavailableError(f"no database answers ({reason}); check that it runs and that --dsn (VIGIA_DSN) names it")


def _setting(number: int | None) -> str:
    return "" if number is None else str(number)
