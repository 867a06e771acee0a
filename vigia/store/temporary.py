"""A database for the length of a measurement, on a server that holds others: nothing of theirs is touched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege

from vigia.store.database import StoreError, connect


class MayNotCreateError(StoreError):
    """The DSN's user may not create a database; name one who may with --dsn (VIGIA_DSN), or leave it out for the embedded server."""


@asynccontextmanager
async def temporary_database(dsn: str) -> AsyncIterator[str]:
    """The DSN of a new, empty database on the server of `dsn`, dropped on leaving.

    Raises BadDsnError, DatabaseUnavailableError or MayNotCreateError.
    """
    name = f"vigia_{uuid4().hex[:12]}"
    try:
        await _run(dsn, sql.SQL("create database {}").format(sql.Identifier(name)))
    except InsufficientPrivilege:
        raise MayNotCreateError from None
    try:
        yield make_conninfo(dsn, dbname=name)
    finally:
        await _run(dsn, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


async def commit_without_waiting(dsn: str) -> None:
    """Connections made from now on do not wait for the disk when they commit: the same is stored, sooner."""
    await _run(dsn, sql.SQL("do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$"))


async def settle(dsn: str) -> None:
    """Do now what the server's own housekeeping does soon: dead rows away, statistics and visibility known."""
    await _run(dsn, sql.SQL("vacuum (analyze)"))
    await _run(dsn, sql.SQL("checkpoint"))


async def _run(dsn: str, statement: sql.SQL | sql.Composed) -> None:
    async with await connect(dsn, "vigia") as connection:
        await connection.execute(statement)
