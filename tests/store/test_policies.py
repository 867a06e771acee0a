"""Walks the catalogue: whatever escapes the rules of tenancy fails here, also what is added later."""

from collections.abc import Iterator

import psycopg
import pytest

Connection = psycopg.Connection[tuple[object, ...]]

# Why each is without row-level security. The app has no grant on any of them, which is tested too.
WITHOUT_POLICIES = {
    "telemetry": "TimescaleDB refuses policies beside the columnstore; read through telemetry_visible",
    "telemetry_1m": "a rollup of it; read through telemetry_1m_visible",
    "telemetry_1h": "a rollup of it; read through telemetry_1h_visible",
    "point_latest": "its newest rows; read through point_latest_visible",
}
TELEMETRY = tuple(WITHOUT_POLICIES)

# Views that hide nothing, so have nothing to guard; callers read the *_visible views above them. The app has no grant on these either.
HIDING_NOTHING = {
    "rollup_1m": "all of telemetry_1m and every open minute",
    "rollup_1h": "all of telemetry_1h and every open minute",
}


@pytest.fixture
def connection(either_dsn: str) -> Iterator[Connection]:
    with psycopg.connect(either_dsn, options="-c search_path=vigia") as connection:
        connection.execute("select ensure_telemetry_room('2026-01-01', '2026-01-03')")
        connection.execute("insert into telemetry values (1, '2026-01-01', 1, 0), (1, '2026-01-03', 1, 0)")
        yield connection


def names(connection: Connection, statement: str) -> set[object]:
    return {row[0] for row in connection.execute(statement.encode())}


def test_every_table_has_forced_row_level_security_or_a_reason(connection: Connection) -> None:
    open_tables = names(
        connection,
        "select relname from pg_class where relnamespace = 'vigia'::regnamespace and relkind in ('r', 'p')"
        " and not (relrowsecurity and relforcerowsecurity)",
    )
    assert open_tables == set(WITHOUT_POLICIES)


def test_every_table_with_policies_has_one_for_the_service_and_none_for_everybody(connection: Connection) -> None:
    tables = names(connection, "select relname from pg_class where relnamespace = 'vigia'::regnamespace and relrowsecurity")
    served = names(connection, "select tablename from pg_policies where schemaname = 'vigia' and 'vigia_service' = any(roles)")
    assert tables == served
    assert names(connection, "select tablename from pg_policies where schemaname = 'vigia' and 'public' = any(roles)") == set()


def test_what_the_app_may_write_is_checked(connection: Connection) -> None:
    unchecked = names(
        connection,
        "select tablename || ': ' || policyname from pg_policies where schemaname = 'vigia' and 'vigia_app' = any(roles)"
        " and cmd in ('ALL', 'INSERT', 'UPDATE') and with_check is null",
    )
    assert unchecked == set()


def test_the_app_has_no_way_to_the_readings_but_the_views(connection: Connection) -> None:
    granted = names(
        connection,
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where (c.relname = any('{telemetry,telemetry_1m,telemetry_1h,point_latest,rollup_1m,rollup_1h}')"
        " or n.nspname = 'telemetry_day') and c.relkind in ('r', 'p', 'v')"
        " and has_table_privilege('vigia_app', c.oid, 'select, insert, update, delete')",
    )
    assert granted == set()


def test_views_are_security_barriers_or_run_as_their_caller(connection: Connection) -> None:
    leaky = names(
        connection,
        "select relname from pg_class where relnamespace = 'vigia'::regnamespace and relkind in ('v', 'm') and ("
        " relkind = 'm' or not coalesce(reloptions && '{security_barrier=true,security_invoker=true}', false))",
    )
    assert leaky == set(HIDING_NOTHING)


def test_no_security_barrier_is_a_union(connection: Connection) -> None:
    # PostgreSQL flattens a UNION ALL and then calls a leaky function before the view's own condition.
    unions = names(
        connection,
        "select relname from pg_class where relnamespace = 'vigia'::regnamespace and relkind = 'v'"
        " and reloptions @> '{security_barrier=true}' and pg_get_viewdef(oid) ~* 'union'",
    )
    assert unions == set()


def test_no_function_runs_with_its_owners_rights(connection: Connection) -> None:
    ours = "pronamespace in (select oid from pg_namespace where nspname in ('vigia', 'jobs', 'telemetry_day'))"
    assert names(connection, f"select oid::regprocedure::text from pg_proc where prosecdef and {ours}") == set()  # noqa: S608


def test_the_roles_have_no_power_beyond_their_grants(connection: Connection) -> None:
    powerful = names(
        connection,
        "select rolname from pg_roles where rolname like 'vigia%'"
        " and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)",
    )
    assert powerful == set()
    members = names(
        connection,
        "select m.roleid::regrole::text || ' to ' || m.member::regrole from pg_auth_members m"
        " where m.member::regrole::text in ('vigia_app', 'vigia_reporter', 'vigia_service')",
    )
    assert members == set()


def test_the_app_and_the_reporter_own_nothing(connection: Connection) -> None:
    owned = names(
        connection,
        "select oid::regclass::text from pg_class where relowner in ('vigia_app'::regrole, 'vigia_reporter'::regrole)"
        " union all select oid::regprocedure::text from pg_proc where proowner in ('vigia_app'::regrole, 'vigia_reporter'::regrole)",
    )
    assert owned == set()
    service_owns = names(
        connection,
        "select relname from pg_class where relowner = 'vigia_service'::regrole"
        " and relnamespace = 'vigia'::regnamespace and relkind in ('r', 'p')",
    )
    assert service_owns == {"telemetry"}


def test_nobody_makes_objects_in_the_schemas(connection: Connection) -> None:
    creators = names(
        connection,
        "select r || ' in ' || s from unnest('{vigia_app,vigia_reporter,vigia_service}'::text[]) r, unnest('{vigia,jobs}'::text[]) s"
        " where has_schema_privilege(r, s, 'create')",
    )
    assert creators == set()


def test_the_reporter_writes_nothing_and_reads_no_password(connection: Connection) -> None:
    writable = names(
        connection,
        "select oid::regclass::text from pg_class where relnamespace = 'vigia'::regnamespace and relkind in ('r', 'p', 'v')"
        " and has_table_privilege('vigia_reporter', oid, 'insert, update, delete, truncate')",
    )
    assert writable == set()
    assert not has_column(connection, "vigia_reporter", "account", "password_hash")
    assert not has_column(connection, "vigia_reporter", "login_session", "token_sha256")
    assert not has_column(connection, "vigia_reporter", "edge_token", "token_sha256")


def has_column(connection: Connection, role: str, table: str, column: str) -> bool:
    row = connection.execute("select has_column_privilege(%s, %s, %s, 'select')", (role, table, column)).fetchone()
    return row == (True,)
