"""Bring a database to this version's schema: `schema.sql` for a new one, the numbered `migrations/` for an old one.

A migration is `migrations/NNNN_name.sql` for every database, or `NNNN_name.plain.sql` and `NNNN_name.timescale.sql` where the two profiles
differ (run before the common file of that number). Each number is one transaction and is recorded in `schema_migration`.
The jobs' schema belongs to procrastinate and follows its packaged files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import LiteralString

import psycopg
from procrastinate.schema import SchemaManager
from psycopg import sql

from vigia.store import queries
from vigia.store.database import StoreError, Transaction, connect, unavailable

OLDEST_SERVER = 180000
LOCK = "select pg_advisory_lock(hashtext('vigia'), hashtext('migrate'))"
SET_UP = "set local search_path = vigia, public; set local role vigia_owner; select set_config('vigia.staff', 'on', true)"


class MigrationError(StoreError):
    """The database cannot be brought to this version."""


@dataclass(frozen=True)
class MigrationReport:
    """What `migrate` did: `applied` names the steps, empty when there was nothing to do."""

    profile: str
    version: str
    fresh: bool
    applied: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """The database's state. `version` is the newest applied migration, None before the first; sizes in bytes, largest first."""

    version: str | None
    profile: str
    server: str
    pending: tuple[str, ...]
    sizes: dict[str, int]


@dataclass(frozen=True)
class _Migration:
    name: str
    scripts: tuple[str, ...]


async def migrate(dsn: str) -> MigrationReport:
    """Make or update the schema in the database `dsn`; its user must be a superuser or own the database and be allowed to make roles.

    Several may call at once: one works, the others wait and find it done.
    Raises MigrationError when the database is of a newer version or not ours, DatabaseUnavailableError when none answers or its disk is
    full.
    """
    try:
        return await _migrate(dsn)
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


async def _migrate(dsn: str) -> MigrationReport:
    async with await _connect(dsn) as connection:
        if connection.info.server_version < OLDEST_SERVER:
            raise MigrationError(f"PostgreSQL {connection.info.server_version // 10000} is too old; Vigía needs 18 or newer")
        await connection.execute(LOCK)
        timescale = await _timescale_wanted(connection)
        async with connection.transaction():
            await connection.execute(_text("roles.sql"))
        applied = await _applied(connection, "vigia")
        if applied is None:
            return await _install(connection, "timescale" if timescale else "plain")
        return await _update(connection, applied)


async def status(dsn: str) -> Status:
    """What is in the database `dsn` and what `migrate` would do. Raises DatabaseUnavailableError."""
    async with await _connect(dsn) as connection:
        applied = await _applied(connection, "vigia")
        profile = await _profile(connection) if applied else "timescale" if await _timescale_wanted(connection, create=False) else "plain"
        done = applied or []
        return Status(
            version=done[-1] if done else None,
            profile=await _profile_text(connection, profile),
            server=connection.info.parameter_status("server_version") or "",
            pending=tuple(step.name for step in _migrations(profile) if step.name not in done),
            sizes=await _sizes(connection, profile),
        )


async def _install(connection: Transaction, profile: str) -> MigrationReport:
    steps = [step.name for step in _migrations(profile)]
    async with connection.transaction():
        await _open_schema(connection)
        await connection.execute(_text(f"profile_{profile}.sql"))
        await connection.execute(_text("schema.sql"))
        await connection.execute(_text("policies.sql"))
        await _record(connection, "vigia", steps)
    await _update_jobs(connection)
    return MigrationReport(await _profile_text(connection, profile), steps[-1], fresh=True, applied=tuple(steps))


async def _update(connection: Transaction, applied: list[str]) -> MigrationReport:
    profile = await _profile(connection)
    steps = _migrations(profile)
    if unknown := [name for name in applied if name not in {step.name for step in steps}]:
        raise MigrationError(f"the database is newer than this program (it has {', '.join(unknown)}); install the newer Vigía")
    todo = [step for step in steps if step.name not in applied]
    for step in todo:
        async with connection.transaction():
            await connection.execute(SET_UP)
            for script in step.scripts:
                await connection.execute(script)
            await _record(connection, "vigia", [step.name])
    await _update_jobs(connection)
    return MigrationReport(await _profile_text(connection, profile), steps[-1].name, fresh=False, applied=tuple(step.name for step in todo))


async def install_from_migrations(dsn: str) -> None:
    """Make the schema in an empty database by running every migration from the first: what an old database went through."""
    async with await _connect(dsn) as connection:
        profile = "timescale" if await _timescale_wanted(connection) else "plain"
        async with connection.transaction():
            await connection.execute(_text("roles.sql"))
            await _open_schema(connection)
            for step in _migrations(profile):
                for script in step.scripts:
                    await connection.execute(script)
            await _record(connection, "vigia", [step.name for step in _migrations(profile)])
        await _update_jobs(connection)


async def _open_schema(connection: Transaction) -> None:
    cursor = await connection.execute("select 1 from pg_namespace where nspname in ('vigia', 'jobs')")
    if cursor.rowcount:
        raise MigrationError("the database has a schema vigia or jobs that Vigía did not make; use an empty database")
    await connection.execute("create schema vigia authorization vigia_owner; create schema jobs authorization vigia_owner")
    await connection.execute(
        sql.SQL("grant create on database {} to vigia_owner").format(sql.Identifier(connection.info.dbname)),
    )
    await connection.execute(SET_UP)


async def _update_jobs(connection: Transaction) -> None:
    """The tables of procrastinate: whole for a new database, its packaged migrations for an old one."""
    applied = await _applied(connection, "jobs") or []
    packaged = sorted(file.name for file in resources.files("procrastinate.sql.migrations").iterdir() if file.name.endswith(".sql"))
    todo = [name for name in packaged if name not in applied]
    if not todo:
        return
    async with connection.transaction():
        await connection.execute(SET_UP)
        await connection.execute("set local search_path = jobs")
        if applied:
            for name in todo:
                await connection.execute((resources.files("procrastinate.sql.migrations") / name).read_text("utf-8"))
        else:
            await connection.execute(SchemaManager.get_schema())
        await connection.execute("set local search_path = vigia, jobs")
        await connection.execute(_text("jobs_grants.sql"))
        await _record(connection, "jobs", todo)


async def _record(connection: Transaction, component: str, names: list[str]) -> None:
    for name in names:
        await connection.execute("insert into vigia.schema_migration (component, name) values (%s, %s)", (component, name))


async def _applied(connection: Transaction, component: str) -> list[str] | None:
    """Names recorded for `component`, in order; None when the database has no record at all."""
    cursor = await connection.execute("select to_regclass('vigia.schema_migration') is not null")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return None
    async with connection.transaction():
        await connection.execute("set local role vigia_owner")
        cursor = await connection.execute("select name from vigia.schema_migration where component = %s order by name", (component,))
        return [name for (name,) in await cursor.fetchall()]


async def _timescale_wanted(connection: Transaction, *, create: bool = True) -> bool:
    """Whether the server offers TimescaleDB; makes the extension in this database."""
    cursor = await connection.execute(
        "select 1 from pg_available_extensions"
        " where name = 'timescaledb' and current_setting('shared_preload_libraries') like '%timescaledb%'"
    )
    if not cursor.rowcount:
        return False
    if create:
        await connection.execute("create extension if not exists timescaledb with schema public")
    return True


async def _profile(connection: Transaction) -> str:
    cursor = await connection.execute("select relkind = 'p' from pg_class where oid = to_regclass('vigia.telemetry')")
    row = await cursor.fetchone()
    return "plain" if row is None or row[0] else "timescale"


async def _profile_text(connection: Transaction, profile: str) -> str:
    if profile == "plain":
        return "plain"
    cursor = await connection.execute(
        "select coalesce(installed_version, default_version) from pg_available_extensions where name = 'timescaledb'"
    )
    row = await cursor.fetchone()
    return f"timescaledb {row[0] if row else 'unknown'}"


async def _sizes(connection: Transaction, profile: str) -> dict[str, int]:
    cursor = await connection.execute(queries.sql("table_sizes"))
    sizes = {name: int(size) for name, size in await cursor.fetchall()}
    if profile == "timescale" and "telemetry" in sizes:
        cursor = await connection.execute(queries.sql("hypertable_size"))
        row = await cursor.fetchone()
        sizes["telemetry"] = int(row[0] or 0) if row else 0
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _migrations(profile: str) -> list[_Migration]:
    scripts: dict[str, list[str]] = {}
    for name, text in _migration_files():
        found = re.fullmatch(r"(\d{4}_\w+)(?:\.(plain|timescale))?\.sql", name)
        if found is None:
            raise MigrationError(f"the migration {name} is not named NNNN_name[.plain|.timescale].sql")
        if found[2] == profile:
            scripts.setdefault(found[1], []).insert(0, text)
        elif found[2] is None:
            scripts.setdefault(found[1], []).append(text)
    return [_Migration(name, tuple(texts)) for name, texts in sorted(scripts.items())]


def _migration_files() -> Iterator[tuple[str, str]]:
    for file in (resources.files("vigia.store") / "migrations").iterdir():
        if file.name.endswith(".sql"):
            yield file.name, file.read_text("utf-8")


def _text(name: str) -> LiteralString:
    return (resources.files("vigia.store") / name).read_text("utf-8")


async def _connect(dsn: str) -> Transaction:
    return await connect(dsn, "vigia migrate", "-c client_min_messages=warning")
