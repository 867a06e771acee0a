import asyncio
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from vigia.store.migrate import MigrationError, install_from_migrations, migrate, status

CATALOGUE = sql.SQL((Path(__file__).parent / "catalogue.sql").read_text())


def catalogue(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        connection.execute("set search_path = pg_catalog")
        return [line for (line,) in connection.execute(CATALOGUE)]


def test_schema_and_migrations_give_the_same_database(dsn: str, empty_dsn: str) -> None:
    asyncio.run(install_from_migrations(empty_dsn))
    assert catalogue(empty_dsn) == catalogue(dsn)


@pytest.mark.timescale
def test_schema_and_migrations_give_the_same_database_with_timescaledb(timescale_dsn: str, timescale_empty_dsn: str) -> None:
    asyncio.run(install_from_migrations(timescale_empty_dsn))
    assert catalogue(timescale_empty_dsn) == catalogue(timescale_dsn)


@pytest.mark.parametrize("profile", ["plain", pytest.param("timescale", marks=pytest.mark.timescale)])
async def test_a_new_database_gets_everything_and_a_second_run_does_nothing(profile: str, request: pytest.FixtureRequest) -> None:
    either_empty_dsn = request.getfixturevalue("empty_dsn" if profile == "plain" else "timescale_empty_dsn")
    first = await migrate(either_empty_dsn)
    second = await migrate(either_empty_dsn)
    assert first.fresh
    assert first.applied
    assert (second.fresh, second.applied) == (False, ())
    found = await status(either_empty_dsn)
    assert (found.version, found.pending, found.profile) == (first.version, (), first.profile)
    assert {"telemetry", "customer", "procrastinate_jobs"} <= found.sizes.keys()


async def test_the_status_of_an_empty_database_tells_what_would_be_done(empty_dsn: str) -> None:
    found = await status(empty_dsn)
    assert (found.version, found.profile, found.sizes) == (None, "plain", {})
    assert found.pending[0] == "0001_initial"


async def test_starts_that_race_migrate_once(empty_dsn: str) -> None:
    reports = await asyncio.gather(*(migrate(empty_dsn) for _ in range(4)))
    assert sorted(report.fresh for report in reports) == [False, False, False, True]


async def test_a_newer_database_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into vigia.schema_migration (component, name) values ('vigia', '9999_from_tomorrow')")
    with pytest.raises(MigrationError, match="newer than this program"):
        await migrate(dsn)


async def test_a_schema_of_somebody_else_is_left_alone(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("create schema vigia; create table vigia.theirs (id int)")
    with pytest.raises(MigrationError, match="did not make"):
        await migrate(empty_dsn)


async def test_a_migration_that_fails_leaves_no_trace(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(empty_dsn)
    first = ("0001_initial.sql", "")
    broken = ("0002_next.sql", "create table half (id int); select 1/0")
    mended = ("0002_next.sql", "create table whole (id int)")
    monkeypatch.setattr("vigia.store.migrate._migration_files", lambda: [first, broken])
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(empty_dsn)
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("select to_regclass('vigia.half')").fetchone() == (None,)
    monkeypatch.setattr("vigia.store.migrate._migration_files", lambda: [first, mended])
    assert (await migrate(empty_dsn)).applied == ("0002_next",)


async def test_an_ordinary_owner_of_the_database_can_migrate_it(server_dsn: str, empty_dsn: str, dsn: str) -> None:
    del dsn  # the roles exist
    name = psycopg.conninfo.conninfo_to_dict(empty_dsn)["dbname"]
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute("drop role if exists ordinary")
        connection.execute("create role ordinary createrole")
        connection.execute("grant vigia_owner, vigia_service, vigia_app, vigia_reporter to ordinary")
        connection.execute(sql.SQL("alter database {} owner to ordinary").format(sql.Identifier(str(name))))
    try:
        report = await migrate(psycopg.conninfo.make_conninfo(empty_dsn, options="-c role=ordinary"))
        assert report.fresh
    finally:
        with psycopg.connect(empty_dsn, autocommit=True) as connection:
            connection.execute("reassign owned by ordinary to postgres; drop owned by ordinary; drop role ordinary")
