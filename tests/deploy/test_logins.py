"""deploy/database/logins.sql: each process logs in as itself, and can act in its own role only."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg import errors
from psycopg.conninfo import make_conninfo

from vigia.store import embedded_programs
from vigia.store.database import Database
from vigia.store.embedded import EmbeddedPostgres
from vigia.store.migrate import migrate

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "database" / "logins.sql"
ENVIRONMENT = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["database"]["environment"]
PASSWORDS = {name: f"pass-of-{name}" for name in ENVIRONMENT if name.endswith("_PASSWORD")}
ROLE_OF = {"ingest": "vigia_service", "analytics": "vigia_service", "worker": "vigia_service", "api": "vigia_app"}
ROLES = ["vigia_owner", "vigia_service", "vigia_app", "vigia_reporter"]


def psql() -> str:
    bundled = embedded_programs.find(Path("/nowhere")).folder / "psql"
    found = str(bundled) if bundled.exists() else shutil.which("psql")
    if found is None:
        pytest.skip("NOT RUN: no psql is installed")
    return found


def run_script(dsn: str) -> None:
    done = subprocess.run(
        [psql(), "--no-psqlrc", "--dbname", dsn, "--file", str(SCRIPT)],
        env={**os.environ, **PASSWORDS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def as_user(dsn: str, user: str) -> str:
    return make_conninfo(dsn, user=user, password=PASSWORDS[f"{user.upper()}_PASSWORD"])


@pytest.fixture(scope="module")
def deployed_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own that asks for passwords, as the container does, migrated by the login that does so there."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("server"), {"fsync": "off"}) as server:
        (server.folder / "data" / "pg_hba.conf").write_text("local all postgres peer map=vigia\nlocal all all scram-sha-256\n")
        with psycopg.connect(server.dsn) as connection:
            connection.execute("select pg_reload_conf()")
        run_script(server.dsn)
        run_script(server.dsn)  # as when passwords are changed
        asyncio.run(migrate(as_user(server.dsn, "migrate")))
        yield server.dsn


def test_passwords_are_asked_for(deployed_dsn: str) -> None:
    for login in [*ROLE_OF, "migrate"]:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(make_conninfo(deployed_dsn, user=login, password=login))


def test_each_process_acts_in_its_role(deployed_dsn: str) -> None:
    async def who(login: str, role: str) -> tuple[str, str]:
        async with Database(as_user(deployed_dsn, login), role, max_size=1) as database, database.transaction() as tx:  # type: ignore[arg-type]
            row = await (
                await tx.execute("select session_user, current_user from vigia.customer right join (values (1)) on true")
            ).fetchone()
            assert row is not None
            return row[0], row[1]

    for login, role in ROLE_OF.items():
        assert asyncio.run(who(login, role)) == (login, role)


@pytest.mark.parametrize(
    ("login", "role"), [(login, role) for login, own in ROLE_OF.items() for role in [*ROLES, "postgres"] if role != own]
)
def test_no_process_takes_another_role(deployed_dsn: str, login: str, role: str) -> None:
    with psycopg.connect(as_user(deployed_dsn, login)) as connection, pytest.raises((errors.InsufficientPrivilege, errors.UndefinedObject)):
        connection.execute(f"set role {role}")  # type: ignore[arg-type]


def test_login_without_its_role_reads_nothing(deployed_dsn: str) -> None:
    for login in ROLE_OF:
        with psycopg.connect(as_user(deployed_dsn, login)) as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute("select * from vigia.customer")


def test_logins_have_no_power_over_the_server(deployed_dsn: str) -> None:
    with psycopg.connect(deployed_dsn) as connection:
        powerful = connection.execute(
            "select rolname from pg_roles"
            " where rolname = any(%s) and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication)",
            [[*ROLE_OF, "migrate", *ROLES]],
        ).fetchall()
    assert powerful == []


def test_migrating_again_as_its_login_changes_nothing(deployed_dsn: str) -> None:
    assert asyncio.run(migrate(as_user(deployed_dsn, "migrate"))).applied == ()
