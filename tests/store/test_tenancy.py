"""Two customers and direct SQL: nobody sees or writes what is not theirs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from vigia.demo.fleet import FLEET_START, Role
from vigia.store import fleet as equipment
from vigia.store import installations
from vigia.store.database import Caller, Database, Transaction

STAFF = Caller(staff=True)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


async def column(tx: Transaction, statement: str, *params: object) -> list[object]:
    return [row[0] for row in await (await tx.execute(statement.encode(), params or None)).fetchall()]


async def customers(database: Database) -> tuple[int, int]:
    async with database.transaction(STAFF) as tx:
        first, second, *_ = await column(tx, "select customer_id from customer order by code")
    assert isinstance(first, int)
    assert isinstance(second, int)
    return first, second


@pytest.fixture
async def flown(service: Database, fleet: Sequence[Role]) -> Sequence[Role]:
    """An hour's reading of every engine's T50, with rollups and latest value."""
    at = FLEET_START + HOUR
    async with service.transaction(STAFF) as tx:
        await tx.execute("select ensure_telemetry_room(%s, %s)", (at, at + 40 * DAY))
        await tx.execute("insert into telemetry select point_id, %s, 1400, 0 from point where name = 'T50'", (at,))
        for rollup, rest in (("telemetry_1m", "good_mask"), ("telemetry_1h", "good_seconds")):
            await tx.execute(
                f"insert into {rollup} (point_id, bucket, count, sum, min, max, last_ts, last, {rest})"  # noqa: S608 - names from two lines above
                " select point_id, %(at)s, 1, 1400, 1400, 1400, %(at)s, 1400, 1 from point where name = 'T50'".encode(),
                {"at": at},
            )
        await tx.execute("insert into point_latest select point_id, %s, 1400, 0 from point where name = 'T50'", (at,))
        await tx.execute(
            "insert into ledger (edge_node_id, epoch, eseqs, committed, rows) select edge_node_id, 1, '{[1,5)}', 4, 4 from edge_node"
        )
    return fleet


@pytest.mark.usefixtures("flown")
async def test_a_customer_sees_only_its_own_rows_in_every_table(app_db: Database, service: Database) -> None:
    mine, other = await customers(service)
    async with app_db.transaction(Caller(customer_id=mine)) as tx:
        tables = await column(
            tx,
            "select c.relname from pg_attribute a join pg_class c on c.oid = a.attrelid"
            " where a.attname = 'customer_id' and c.relkind in ('r', 'v')"
            " and c.relnamespace = 'vigia'::regnamespace and has_table_privilege(c.oid, 'select')",
        )
        assert {"site", "role", "installation", "work_order", "contract", "account", "prediction"} <= set(tables)
        for table in tables:
            seen = set(await column(tx, f"select distinct customer_id from {table}"))  # noqa: S608
            assert other not in seen, table
            assert seen <= {mine} | ({None} if table == "person" else set()), table


@pytest.mark.usefixtures("flown")
@pytest.mark.parametrize(
    "view", ["telemetry_visible", "telemetry_1m_visible", "telemetry_1h_visible", "point_latest_visible", "point", "asset", "ledger"]
)
async def test_a_customer_sees_its_share_and_staff_see_all(app_db: Database, service: Database, view: str) -> None:
    mine, other = await customers(service)
    counted = []
    for caller in (Caller(customer_id=mine), Caller(customer_id=other), STAFF, None):
        async with app_db.transaction(caller) as tx:
            (number,) = await column(tx, f"select count(*) from {view}")  # noqa: S608
            counted.append(number)
    first, _, everything, nothing = counted
    assert isinstance(first, int)
    assert isinstance(everything, int)
    assert nothing == 0
    assert 0 < first < everything


@pytest.mark.usefixtures("flown")
@pytest.mark.parametrize(
    "statement",
    [
        "select * from telemetry",
        "select * from telemetry_day.d20260101",
        "select * from telemetry_1h",
        "select * from point_latest",
        "select * from detector_snapshot",
        "select password_hash from vigia.account_secret",
        "select args from jobs.procrastinate_jobs",
        "update ledger set rows = 0",
        "delete from customer",
        "create table mine (id int)",
        "set local role vigia_owner; select * from customer",
        "alter table customer no force row level security",
    ],
)
async def test_the_app_is_refused(dsn: str, statement: str) -> None:
    # As a process of its own log-in would be: a member of vigia_app and of nothing else.
    with psycopg.connect(dsn, options="-c search_path=vigia,jobs") as connection:
        connection.execute("set session authorization vigia_app")
        with pytest.raises(psycopg.errors.ProgrammingError) as refused:
            connection.execute(statement.encode())
    assert isinstance(refused.value, psycopg.errors.InsufficientPrivilege | psycopg.errors.UndefinedTable)


@pytest.mark.usefixtures("flown")
async def test_a_customer_writes_no_other_customers_rows(app_db: Database, service: Database) -> None:
    mine, other = await customers(service)
    caller = Caller(customer_id=mine)
    async with app_db.transaction(caller) as tx:
        assert (await tx.execute("update alarm set priority = 'low' where customer_id = %s", (other,))).rowcount == 0
        assert (await tx.execute("update role set name = 'x'")).rowcount == 0
        assert (await tx.execute("update account set kind = 'customer'")).rowcount == 0
    for statement in (
        "insert into audit_event (customer_id, action, subject) values (%(other)s, 'a', 's')",
        "insert into customer (code, name) values ('x', 'x')",
        "insert into site (customer_id, code, name, time_zone) values (%(mine)s, 'x', 'x', 'UTC')",
        "insert into account (customer_id, kind, login, name, password_hash) values (%(mine)s, 'customer', 'x', 'x', 'x')",
        "insert into account (kind, login, name, password_hash) values ('service_manager', 'x', 'x', 'x')",
        "insert into asset (asset_model_id, serial_number) values (1, 'ESN-0081')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with app_db.transaction(caller) as tx:
                await tx.execute(statement.encode(), {"mine": mine, "other": other})


@pytest.mark.usefixtures("flown")
async def test_a_customer_cannot_make_itself_staff(app_db: Database, service: Database) -> None:
    mine, _ = await customers(service)
    async with service.transaction(STAFF) as tx:
        (me,) = await column(tx, "select account_id from account where customer_id = %s", mine)
    assert isinstance(me, int)
    caller = Caller(account_id=me, customer_id=mine)
    async with app_db.transaction(caller) as tx:
        assert (await tx.execute("update account set language = 'es'")).rowcount == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with app_db.transaction(caller) as tx:
            await tx.execute("update account set kind = 'service_manager', customer_id = null")


@pytest.mark.usefixtures("flown")
async def test_a_view_is_no_way_round_with_a_function_that_leaks(app_db: Database, service: Database, dsn: str) -> None:
    mine, _ = await customers(service)
    with psycopg.connect(dsn, options="-c search_path=vigia") as connection:
        # Cheap, so that the planner would like to call it on every row before the view's own condition.
        connection.execute(
            "create function public.leak(p int) returns boolean language plpgsql cost 0.0001"
            " as $$ begin raise notice 'saw %', p; return true; end $$"
        )
    seen: list[str] = []
    async with app_db.transaction(Caller(customer_id=mine)) as tx:
        tx.add_notice_handler(lambda notice: seen.append(notice.message_primary or ""))
        visible = await column(tx, "select point_id from telemetry_visible where leak(point_id)")
    assert {f"saw {point_id}" for point_id in visible} == set(seen)


async def test_a_machine_that_moves_on_leaves_its_past_with_whom_it_served(
    app_db: Database, service: Database, flown: Sequence[Role]
) -> None:
    first, second = await customers(service)
    moved_at, left_at = FLEET_START + 10 * HOUR, FLEET_START + 9 * HOUR
    times = [FLEET_START, FLEET_START + HOUR, left_at, left_at + timedelta(minutes=30), moved_at, moved_at + HOUR]
    async with service.transaction(STAFF) as tx:
        place = next(place for place in await equipment.roles(tx) if place.customer_id == first)
        target = next(place for place in await equipment.roles(tx) if place.customer_id == second)
        assert place.asset_id is not None
        assert target.asset_id is not None
        for asset_id in (place.asset_id, target.asset_id):
            standing = await installations.current(tx, asset_id)
            assert standing is not None
            await installations.remove(tx, standing, left_at)
        await installations.install(tx, second, target.role_id, place.asset_id, moved_at)
        (point_id,) = await column(tx, "select point_id from point where asset_id = %s and name = 'T30'", place.asset_id)
        for at in times:
            await tx.execute("insert into telemetry values (%s, %s, 1, 0)", (point_id, at))
    seen = {}
    for caller in (Caller(customer_id=first), Caller(customer_id=second), STAFF):
        async with app_db.transaction(caller) as tx:
            seen[caller.customer_id] = await column(tx, "select ts from telemetry_visible where point_id = %s order by ts", point_id)
    # A reading speaks for the time before it; between the two no customer has the machine.
    assert seen == {first: times[1:3], second: times[5:], None: times}
    assert len(flown) == 20


async def test_a_session_and_a_login_are_found_by_staff_only(app_db: Database, service: Database, fleet: Sequence[Role]) -> None:
    mine, _ = await customers(service)
    async with service.transaction(STAFF) as tx:
        (me,) = await column(tx, "select account_id from account where customer_id = %s", mine)
        (stranger,) = await column(tx, "select account_id from account where kind = 'service_manager'")
        for account in (me, stranger):
            await tx.execute(
                "insert into login_session (token_sha256, account_id, expires_at, csrf_token) values (%s, %s, %s, 'x')",
                (str(account).encode(), account, datetime(2030, 1, 1, tzinfo=UTC)),
            )
    assert isinstance(me, int)
    counted = {}
    for name, caller in {"nobody": None, "me": Caller(account_id=me, customer_id=mine), "staff": STAFF}.items():
        async with app_db.transaction(caller) as tx:
            counted[name] = (await column(tx, "select count(*) from login_session"), await column(tx, "select count(*) from account"))
    assert counted["nobody"] == ([0], [0])
    assert counted["me"] == ([1], [1])
    assert counted["staff"][0] == [2]
    assert len(fleet) == 20


@pytest.mark.usefixtures("fleet")
async def test_what_a_contract_costs_the_manufacturer_is_not_its_customers_to_see(app_db: Database, service: Database) -> None:
    mine, _ = await customers(service)
    async with service.transaction() as tx:
        await tx.execute(
            "insert into model_version (asset_model_id, failure_mode, version, sha256, metrics) select asset_model_id, 'm', 'v', '', '{}' "
            "from asset_model"
        )
        await tx.execute(
            "insert into model_rule (model_version_id, probability, consecutive, clear_probability, machines, ordered, at_order) "
            "select model_version_id, 0.5, 2, 0.2, 1, 1, '{20}' from model_version"
        )
        await tx.execute(
            "insert into contract_cost select customer_id, contract_id, asset_model_id, 1, 1, 1 from contract cross join asset_model "
            "on conflict do nothing"
        )
    for table in ("contract_cost", "model_rule"):
        for caller, sees in ((Caller(customer_id=mine), False), (None, False), (STAFF, True)):
            async with app_db.transaction(caller) as tx:
                (number,) = await column(tx, f"select count(*) from {table}")  # noqa: S608
                assert bool(number) is sees, (table, caller)
    async with app_db.transaction(Caller(customer_id=mine)) as tx:
        assert (await tx.execute("update contract_cost set failure = 0")).rowcount == 0
        assert (await tx.execute("delete from contract_cost")).rowcount == 0
