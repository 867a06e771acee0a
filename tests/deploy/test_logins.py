"""deploy/database/logins.sql: each process logs in as itself, and can act in its own role only."""

import asyncio

import psycopg
import pytest
from deployed import as_user
from psycopg import errors
from psycopg.conninfo import make_conninfo

from vigia.store.database import Database
from vigia.store.migrate import migrate

pytestmark = pytest.mark.xdist_group("deployed-database")
ROLE_OF = {"ingest": "vigia_service", "analytics": "vigia_service", "worker": "vigia_service", "gate": "vigia_service", "api": "vigia_app"}
ROLES = ["vigia_owner", "vigia_service", "vigia_app", "vigia_reporter"]


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
