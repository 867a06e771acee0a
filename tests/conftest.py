"""Fixtures for every room: a real PostgreSQL, one for the whole run, and a fresh migrated database for each test that asks."""

import asyncio
import io
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock
from uuid import uuid4

import psycopg
import pytest
import structlog
from argon2 import PasswordHasher
from psycopg import sql
from psycopg.conninfo import make_conninfo

from vigia import cli
from vigia.api import passwords
from vigia.demo import fleet as demo_fleet
from vigia.demo.fleet import Credentials, Role
from vigia.store.database import Caller, Database
from vigia.store.embedded import EmbeddedPostgres
from vigia.store.migrate import migrate
from vigia.supervisor.broker import RunningBroker, running_broker

TEMPLATE = "vigia_template"
TIMESCALE = "VIGIA_TEST_TIMESCALE_DSN"

# Nothing here survives a power cut, so nothing waits for the disk.
FAST: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "min_wal_size": "80MB",
    "max_wal_size": "256MB",
}

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

# A database is a thousand files: copying it is ten times quicker where no disk keeps them.
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made there has a name of the run's own
MEMORY_NEEDED = 2 * 1024**3
ABANDONED_S = 3600.0


@pytest.fixture(scope="session")
def server_dsn(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Iterator[str]:
    """The run's own PostgreSQL, in memory if there is room, shared by all xdist workers: the last one stops and removes it."""
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent
    in_memory = MEMORY / f"vigia-tests-{testrun_uid}"
    _remove_abandoned()
    if in_memory.is_dir() or (MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED):
        home = in_memory
    with EmbeddedPostgres(home, FAST) as server:
        yield server.dsn
    if home == in_memory and not server.running():
        shutil.rmtree(home, ignore_errors=True)  # both workers may be the last


def _remove_abandoned() -> None:
    """What runs that were killed left in memory, once their servers are gone."""
    for home in MEMORY.glob("vigia-tests-*"):
        with suppress(OSError):
            if time.time() - home.stat().st_mtime > ABANDONED_S and not EmbeddedPostgres(home).running():
                shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server_dsn: str) -> str:
    """A migrated database that is never connected to, only copied."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(1)")
        if connection.execute("select from pg_database where datname = %s", (TEMPLATE,)).rowcount == 0:
            connection.execute("drop database if exists vigia_new_template")
            connection.execute("create database vigia_new_template")
            asyncio.run(migrate(make_conninfo(server_dsn, dbname="vigia_new_template")))
            connection.execute(sql.SQL("alter database vigia_new_template rename to {}").format(sql.Identifier(TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def dsn(server_dsn: str, template: str) -> Iterator[str]:
    """A fresh, migrated, empty database (plain profile) of the test's own; its superuser's connection string."""
    with _fresh_database(server_dsn, template) as made:
        yield made


@pytest.fixture
def empty_dsn(server_dsn: str) -> Iterator[str]:
    """A fresh database without any schema."""
    with _fresh_database(server_dsn, None) as made:
        yield made


@pytest.fixture
def timescale_empty_dsn() -> Iterator[str]:
    """A fresh database without any schema on the server with TimescaleDB."""
    with _fresh_database(_timescale_server(), None) as made:
        yield made


@pytest.fixture
def timescale_dsn() -> Iterator[str]:
    """A fresh, migrated, empty database with the TimescaleDB profile. Mark the test `timescale`."""
    with _fresh_database(_timescale_server(), None) as made:
        asyncio.run(migrate(made))
        yield made


def _timescale_server() -> str:
    server = os.environ.get(TIMESCALE)
    if not server:
        pytest.skip(f"NOT RUN ON TIMESCALEDB: set {TIMESCALE} to a superuser's DSN of a server that has it")
    return server


@pytest.fixture(params=["plain", pytest.param("timescale", marks=pytest.mark.timescale)])
def either_dsn(request: pytest.FixtureRequest) -> str:
    """Like `dsn`, once for each profile."""
    made: str = request.getfixturevalue("dsn" if request.param == "plain" else "timescale_dsn")
    return made


@pytest.fixture
async def service(dsn: str) -> AsyncIterator[Database]:
    """The test's database in the role of ingest, analytics and worker: sees all customers."""
    async with Database(dsn, "vigia_service") as database:
        yield database


@pytest.fixture
async def app_db(dsn: str) -> AsyncIterator[Database]:
    """The test's database in the role of the api and portal: sees what the transaction's caller may."""
    async with Database(dsn, "vigia_app") as database:
        yield database


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as cheaply as argon2 allows: those of the demo's nine people cost a second and a half otherwise."""
    monkeypatch.setattr(passwords, "_hasher", CHEAP)


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """The demo's people with their passwords, hashed cheaply."""
    with mock.patch.object(passwords, "_hasher", CHEAP):
        return demo_fleet.credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture
async def fleet(service: Database, credentials: Credentials) -> Sequence[Role]:
    """The test's database holds the demo's fleet: 4 airlines, 8 sites, 20 engines in their roles since FLEET_START, 20 spares, the people.

    The value is the roles; look up ids with vigia.store.fleet.
    """
    async with service.transaction(Caller(staff=True)) as tx:
        await demo_fleet.seed(tx, demo_fleet.ROLES, credentials)
    return demo_fleet.ROLES


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """A broker of the test's own on a free port of 127.0.0.1: `broker.url`; it can be killed and started again."""
    with running_broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def vigia() -> Callable[..., CompletedProcess[str]]:
    """`vigia ARGUMENTS` with the VIGIA_* variables given and no others, run in this process, which spares the start of another.

    For commands that end by themselves, not from within an event loop. A traceback fails the test.
    """

    def run(*arguments: str, **variables: str) -> CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
        out, err, code = io.StringIO(), io.StringIO(), None
        with (
            mock.patch.dict(os.environ, {**environment, **variables}, clear=True),
            mock.patch.object(sys, "argv", ["vigia", *arguments]),
            _logs_and_signals_as_before(),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                cli.main()
            except SystemExit as ended:
                code = ended.code
        return CompletedProcess(arguments, int(code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def printed(vigia: Callable[..., CompletedProcess[str]]) -> Callable[..., str]:
    """What `vigia ARGUMENTS` prints when it succeeds."""

    def run(*arguments: str, **variables: str) -> str:
        done = vigia(*arguments, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@contextmanager
def _logs_and_signals_as_before() -> Iterator[None]:
    root, told = logging.getLogger(), structlog.get_config()
    level, handlers, on_sigterm = root.level, [*root.handlers], signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, on_sigterm)
        structlog.configure(**told)
        root.setLevel(level)
        root.handlers[:] = handlers


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Give the fault matrix's counts, and say loudly when the production database was left out."""
    for report in (*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])):
        for name, value in report.user_properties:
            if name == "fault matrix":
                terminalreporter.write_line(value)
    if not os.environ.get(TIMESCALE) and any("timescale" in report.keywords for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_sep("!", f"NOT TESTED ON TIMESCALEDB: set {TIMESCALE}", red=True, bold=True)


class _fresh_database:  # noqa: N801 - used like a function
    """A database for the length of a `with`, dropped afterwards even if someone is still connected."""

    def __init__(self, server_dsn: str, template: str | None) -> None:
        self._server_dsn = server_dsn
        self._template = sql.SQL(" template {} strategy file_copy").format(sql.Identifier(template)) if template else sql.SQL("")
        self._name = sql.Identifier(f"test_{uuid4().hex[:12]}")

    def __enter__(self) -> str:
        self._run(sql.SQL("create database {}{}").format(self._name, self._template))
        return make_conninfo(self._server_dsn, dbname=self._name._obj[0])

    def __exit__(self, *_exc: object) -> None:
        self._run(sql.SQL("drop database {} with (force)").format(self._name))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server_dsn, autocommit=True) as connection:
            connection.execute(statement)
