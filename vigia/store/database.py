"""Connections and transactions. A process opens one `Database` in its role; whoever opens the transaction commits it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Self

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from vigia.errors import VigiaError

Transaction = AsyncConnection[TupleRow]
"""A connection with an open transaction. Workflows and store take it; only the entry point commits."""

Role = Literal["vigia_owner", "vigia_service", "vigia_app", "vigia_reporter"]


# A server that vanished without a word is noticed within a minute.
KEEP_ALIVE: Mapping[str, Any] = MappingProxyType(
    {"connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
)


class StoreError(VigiaError):
    """The database refused."""


class DatabaseUnavailableError(StoreError):
    """No database answers; check that it runs and that --dsn (VIGIA_DSN) names it."""


@dataclass(frozen=True)
class Caller:
    """Who a transaction acts for: staff see every customer, others their own only."""

    account_id: int | None = None
    customer_id: int | None = None
    staff: bool = False


class Database:
    """A pool of connections in one database role. Entering connects; leaving closes."""

    def __init__(self, dsn: str, role: Role, max_size: int = 8) -> None:
        self.dsn = dsn
        self._pool: AsyncConnectionPool[Transaction] = AsyncConnectionPool(
            dsn,
            open=False,
            min_size=1,
            max_size=max_size,
            timeout=10.0,
            kwargs={
                **KEEP_ALIVE,
                "options": f"-c role={role} -c search_path=vigia,jobs,public -c timezone=UTC",
                "application_name": role,
            },
        )

    async def __aenter__(self) -> Self:
        try:
            await self._pool.open(wait=True, timeout=10.0)
        except PoolTimeout:
            await self._pool.close()
            raise DatabaseUnavailableError from None
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, caller: Caller | None = None) -> AsyncIterator[Transaction]:
        """One transaction, committed on leaving, rolled back on an exception.

        `caller` is set for row-level security with SET LOCAL semantics; without it the app role sees nothing.
        Raises DatabaseUnavailableError when no connection can be had or the server goes away.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                if caller is not None:
                    await connection.execute(
                        "select set_config('vigia.customer_id', %s, true), set_config('vigia.account_id', %s, true),"
                        " set_config('vigia.staff', %s, true)",
                        (_setting(caller.customer_id), _setting(caller.account_id), "on" if caller.staff else "off"),
                    )
                yield connection
        except (PoolTimeout, OperationalError) as error:
            raise DatabaseUnavailableError from error


def _setting(number: int | None) -> str:
    return "" if number is None else str(number)
