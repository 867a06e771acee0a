"""The job queue's connections, what it says about itself, and which asset a job is about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg_pool import AsyncConnectionPool, PoolTimeout

from vigia.store import queries
from vigia.store.database import KEEP_ALIVE, RECONNECT_S, TRANSACTION_WAIT_S, DatabaseUnavailableError, Transaction

# Taking and reporting a job need not reach the disk: after a power cut the job runs again, and its workflow absorbs that.
_OPTIONS = "-c role=vigia_service -c search_path=jobs,vigia,public -c timezone=UTC -c synchronous_commit=off"


@asynccontextmanager
async def pool(dsn: str, size: int) -> AsyncIterator[AsyncConnectionPool]:
    """Connections for a worker to take and report jobs, `size` of them at most. Raises DatabaseUnavailableError when there are none."""
    connections = AsyncConnectionPool(
        dsn,
        open=False,
        min_size=1,
        max_size=size,
        timeout=TRANSACTION_WAIT_S,
        reconnect_timeout=RECONNECT_S,
        check=AsyncConnectionPool.check_connection,
        kwargs={**KEEP_ALIVE, "options": _OPTIONS, "application_name": "vigia_worker"},
    )
    try:
        await connections.open(wait=True, timeout=TRANSACTION_WAIT_S)
        yield connections
    except PoolTimeout as error:
        raise DatabaseUnavailableError from error
    finally:
        await connections.close()


async def asset_of(tx: Transaction, subject: str, subject_id: int) -> int | None:
    """The asset that finding, prediction or failure case `subject_id` is about; None if there is none of that id."""
    found: int | None = await queries.value(tx, f"asset_of_{subject.removesuffix('_id')}", id=subject_id)
    return found


async def waiting(tx: Transaction) -> int:
    """How many jobs are not done: waiting, running or to be tried again."""
    count: int = await queries.value(tx, "jobs_waiting")
    return count


async def failed(tx: Transaction) -> int:
    """How many jobs were given up after all their tries."""
    count: int = await queries.value(tx, "jobs_failed")
    return count
