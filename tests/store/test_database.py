import asyncio
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vigia.store import queries
from vigia.store.changes import Change, announce, listen
from vigia.store.database import (
    BadDsnError,
    Caller,
    Database,
    DatabaseUnavailableError,
    NotMigratedError,
    TransactionConflictError,
)
from vigia.store.embedded import EmbeddedPostgres
from vigia.store.migrate import migrate

END_OTHERS = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()"


async def count(database: Database) -> int:
    async with database.transaction(Caller(staff=True)) as tx:
        row = await (await tx.execute("select count(*) from customer")).fetchone()
        assert row is not None
        return int(row[0])


async def add(tx: psycopg.AsyncConnection[tuple[object, ...]], code: str) -> None:
    await tx.execute("insert into customer (code, name) values (%s, %s)", (code, code))


async def test_a_transaction_commits_on_leaving(service: Database) -> None:
    async with service.transaction() as tx:
        await add(tx, "a")
    assert await count(service) == 1


async def test_a_transaction_rolls_back_on_an_exception(service: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with service.transaction() as tx:
            await add(tx, "a")
            raise ZeroDivisionError
    assert await count(service) == 0


async def test_a_caller_does_not_outlive_its_transaction(app_db: Database) -> None:
    for caller in (Caller(account_id=3, customer_id=7, staff=True), None):
        async with app_db.transaction(caller) as tx:
            row = await (await tx.execute("select caller_account(), caller_customer(), caller_is_staff()")).fetchone()
            assert row == ((3, 7, True) if caller else (None, None, False))


async def test_an_error_of_a_statement_stays_what_it_is(service: Database) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with service.transaction() as tx:
            await add(tx, "a")
            await add(tx, "a")
    with pytest.raises(psycopg.errors.QueryCanceled):
        async with service.transaction() as tx:
            await tx.execute("set local statement_timeout = 10")
            await tx.execute("select pg_sleep(5)")


async def test_a_deadlock_is_a_conflict_for_one_and_nothing_for_the_other(service: Database) -> None:
    async with service.transaction() as tx:
        await add(tx, "a")
        await add(tx, "b")
    gate = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with service.transaction() as tx:
            await tx.execute("update customer set name = 'x' where code = %s", (first,))
            await gate.wait()
            await tx.execute("update customer set name = 'x' where code = %s", (second,))

    outcomes = await asyncio.gather(lock("a", "b"), lock("b", "a"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [TransactionConflictError]


async def test_a_lost_connection_is_an_unavailable_database_and_the_next_transaction_works(service: Database, dsn: str) -> None:
    with pytest.raises(DatabaseUnavailableError):
        async with service.transaction() as tx:
            with psycopg.connect(dsn, autocommit=True) as other:
                other.execute("select pg_terminate_backend(%s)", (tx.info.backend_pid,))
            await tx.execute("select 1")
    assert await count(service) == 0


async def test_connections_that_died_while_idle_are_not_lent(service: Database, dsn: str) -> None:
    await asyncio.gather(*(count(service) for _ in range(8)))
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(END_OTHERS)
    assert await asyncio.gather(*(count(service) for _ in range(8))) == [0] * 8


async def test_without_a_server_the_first_start_says_so_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match=r"no database answers \(.+\); check"):
        async with Database("postgresql://127.0.0.1:1/none", "vigia_service"):
            pass
    assert time.monotonic() - started < 2


async def test_an_unreadable_dsn_is_named(empty_dsn: str) -> None:
    with pytest.raises(BadDsnError):
        async with Database("nonsense", "vigia_service"):
            pass
    with pytest.raises(NotMigratedError):
        async with Database(empty_dsn, "vigia_service"):
            pass


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path, {"fsync": "off", "shared_buffers": "16MB"}) as server:
        yield server


async def test_a_server_that_comes_back_is_used_again(own_server: EmbeddedPostgres) -> None:
    await migrate(own_server.dsn)
    async with Database(own_server.dsn, "vigia_service") as database:
        assert await count(database) == 0
        own_server.stop()
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailableError):
            await count(database)
        assert time.monotonic() - started < 8
        own_server.start()
        assert await count(database) == 0


async def test_changes_are_told_after_the_commit_and_once(service: Database, dsn: str) -> None:
    async with listen(dsn) as changes:
        with pytest.raises(ZeroDivisionError):
            async with service.transaction() as tx:
                await announce(tx, "alarm", 1, 2)
                raise ZeroDivisionError
        async with service.transaction() as tx:
            await announce(tx, "telemetry", 1)
            await announce(tx, "telemetry", 1)
            await announce(tx, "prediction", 1, 5)
        assert [await anext(changes), await anext(changes)] == [Change("telemetry", 1), Change("prediction", 1, 5)]


async def test_a_listener_whose_connection_is_lost_is_told(dsn: str) -> None:
    async with listen(dsn) as changes:
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute(END_OTHERS)
        with pytest.raises(DatabaseUnavailableError):
            await anext(changes)


async def test_a_listener_can_be_cancelled(dsn: str) -> None:
    async def wait() -> None:
        async with listen(dsn) as changes:
            async for _ in changes:
                pass

    task = asyncio.create_task(wait())
    with psycopg.connect(dsn, autocommit=True) as other:
        while not other.execute("select 1 from pg_stat_activity where datname = current_database() and query like 'listen%'").fetchone():
            await asyncio.sleep(0.01)
    task.cancel()
    with warnings.catch_warnings(), pytest.raises(asyncio.CancelledError):
        warnings.simplefilter("error")
        await task


async def test_a_query_that_does_not_exist_is_named(service: Database) -> None:
    async with service.transaction() as tx:
        with pytest.raises(queries.UnknownQueryError, match="no_such_query"):
            await queries.value(tx, "no_such_query")
