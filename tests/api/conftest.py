"""Two airlines with one of everything each, and people of every kind: whatever an operation can show, both have."""

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from vigia.api.app import create_app
from vigia.api.config import ApiConfig

PASSWORD = "correct horse battery staple"  # noqa: S105 - of people who do not exist
START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 48
NOW = START + timedelta(hours=HOURS)

# One hash for all, as cheap as argon2 allows.
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


@dataclass
class Tenant:
    """One customer's ids, by the name of the path parameter that takes them, and a word that occurs in its rows only."""

    word: str
    ids: dict[str, int] = field(default_factory=dict)


@dataclass
class World:
    """What the database holds. Tokens open sessions: aurora, boreal (customers), technician, service_manager."""

    dsn: str
    aurora: Tenant
    boreal: Tenant
    accounts: dict[str, int]

    @property
    def roles(self) -> tuple[str, ...]:
        return ("aurora", "technician", "service_manager")


def bearer(who: str) -> dict[str, str]:
    """Headers of a program that acts for `who`."""
    return {"Authorization": f"Bearer token-of-{who}"}


@pytest.fixture
def world(dsn: str) -> World:
    """The test's own world, to change at will."""
    return make_world(dsn)


@pytest.fixture(scope="module")
def shared_world(server_dsn: str, template: str) -> Iterator[World]:
    """One world for the tests of a module that only read."""
    name = sql.Identifier(f"api_{uuid4().hex[:12]}")
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template {}").format(name, sql.Identifier(template)))
        try:
            yield make_world(make_conninfo(server_dsn, dbname=name._obj[0]))
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app on the test's own world."""
    async with serving(world.dsn) as (_, http):
        yield http


@pytest.fixture
async def reader(shared_world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app on the shared world."""
    async with serving(shared_world.dsn) as (_, http):
        yield http


@asynccontextmanager
async def serving(dsn: str, config: ApiConfig | None = None) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The app in this process and a client that speaks to it."""
    app = create_app(config or ApiConfig(dsn=dsn, clock="fleet"))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 12345))
        async with httpx.AsyncClient(transport=transport, base_url="http://vigia.test", timeout=30) as http:
            yield app, http


@pytest.fixture(scope="module")
def served(shared_world: World) -> Iterator[str]:
    """The address of `vigia api run` on the shared world: a process of its own, as in production."""
    with running(shared_world.dsn) as (address, _):
        yield address


@contextmanager
def running(dsn: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The api's process and its address; killed at the end if it still runs."""
    command = [sys.executable, "-m", "vigia", "api", "run", "--dsn", dsn, "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            address = None
            lines = []
            while address is None:
                lines.append(process.stderr.readline())
                assert lines[-1], "".join(lines)
                address = re.search(r"address=(\S+)", lines[-1])
            drain = threading.Thread(target=process.stderr.read, daemon=True)  # a full pipe would stop the server
            drain.start()
            yield address[1], process
        finally:
            process.kill()
            drain.join(5)


def make_world(dsn: str) -> World:
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=vigia,public") as db:
        made = World(dsn, Tenant("Aurora"), Tenant("Boreal"), {})
        model_id = _one(
            db, "insert into asset_model (code, name, life_unit) values ('engine', 'Engine', '{cycle}') returning asset_model_id"
        )
        version_id = _one(
            db,
            "insert into model_version (asset_model_id, failure_mode, version, sha256, metrics, champion) "
            "values (%s, 'wear', 'engine-wear-1', '00', '{}', true) returning model_version_id",
            model_id,
        )
        for probability, life in ((0.3, 40), (0.9, 11)):
            db.execute(
                "insert into model_rule (model_version_id, probability, consecutive, clear_probability, machines, ordered, at_order) "
                "values (%s, %s, 2, 0.1, 2, 2, %s)",
                (version_id, probability, [float(life), life + 4.0]),
            )
        for kind in ("technician", "service_manager"):
            made.accounts[kind] = _account(db, kind, kind, None)
        for tenant in (made.aurora, made.boreal):
            _Filler(db, tenant).fill(model_id, version_id, made.accounts["technician"])
            made.accounts[tenant.word.lower()] = _account(db, "customer", tenant.word.lower(), tenant.ids["customer_id"])
        db.execute("insert into asset (asset_model_id, serial_number) values (%s, 'SPARE-1'), (%s, 'SPARE-2')", (model_id, model_id))
    return made


def _one(db: psycopg.Connection[Any], statement: str, *params: object) -> int:
    row = db.execute(statement.encode(), params).fetchone()
    assert row is not None
    return int(row[0])


def _account(db: psycopg.Connection[Any], kind: str, login: str, customer_id: int | None) -> int:
    account_id = _one(
        db,
        "insert into account (customer_id, kind, login, name, password_hash) values (%s, %s, %s, %s, %s) returning account_id",
        customer_id,
        kind,
        login,
        f"{login} person",
        PASSWORD_HASH,
    )
    db.execute(
        "insert into login_session (token_sha256, account_id, expires_at, csrf_token) values (%s, %s, now() + interval '11 hours', %s)",
        (hashlib.sha256(f"token-of-{login}".encode()).digest(), account_id, f"csrf-of-{login}"),
    )
    return account_id


@dataclass
class _Filler:
    """Gives one tenant one of everything."""

    db: psycopg.Connection[Any]
    tenant: Tenant

    def add(self, table: str, **columns: object) -> int:
        statement = sql.SQL("insert into {} ({}) values ({}) returning {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            sql.Identifier(f"{table}_id"),
        )
        row = self.db.execute(statement, list(columns.values())).fetchone()
        assert row is not None
        self.tenant.ids[f"{table}_id"] = row[0]
        return int(row[0])

    def fill(self, model_id: int, version_id: int, technician_id: int) -> None:
        standing = self.equipment(model_id)
        self.known(standing, version_id)
        self.work(standing, technician_id)
        self.contract(standing)

    def equipment(self, model_id: int) -> dict[str, int]:
        word, ids = self.tenant.word, self.tenant.ids
        own = {"customer_id": self.add("customer", code=word.lower(), name=f"{word} Air")}
        site_id = self.add("site", **own, code=f"{word}-bcn", name=f"{word} Barcelona", time_zone="Europe/Madrid")
        area_id = self.add("area", **own, site_id=site_id, name=f"{word} fleet")
        line_id = self.add("line", **own, area_id=area_id, name=f"{word} A320-07")
        wire = {"group_id": word, "node_id": f"{word}-bcn", "last_reading_at": NOW, "epoch": 1, "newest_eseq": 10}
        edge_node_id = self.add("edge_node", **own, site_id=site_id, **wire)
        place = {"line_id": line_id, "asset_model_id": model_id, "name": f"{word} left", "edge_node_id": edge_node_id, "device_id": word}
        standing = {**own, "role_id": self.add("role", **own, **place)}
        standing["asset_id"] = self.add("asset", asset_model_id=model_id, serial_number=f"{word}-1")
        self.add("installation", **standing, installed_at=START)
        for name, kind, unit, value in (("state", "state", "1", "1"), ("T50", "measurement", "[degR]", "1400 + n")):
            self.add("point", asset_id=standing["asset_id"], name=name, kind=kind, unit=unit, description=f"{word} {name}")
            _readings(self.db, ids["point_id"], value)
        self.told({**standing, "edge_node_id": edge_node_id, "device_id": word})
        rollout_id = self.add("rollout", reason=f"{word} first", canary_share=1, created_at=NOW)
        parts = {"rollout_id": rollout_id, "version": 1, "canary": True, "toml": f"# {word}", "sha256": word, "changed_at": NOW}
        self.add("edge_configuration", **own, edge_node_id=edge_node_id, **parts)
        self.db.execute(
            "insert into ledger (edge_node_id, epoch, eseqs, committed, rows) values (%s, 1, '{[1,11)}', 10, 96)", (edge_node_id,)
        )
        return standing

    def told(self, to: dict[str, Any]) -> None:
        """A machine that can be told a set-point and a restart, and was told one."""
        rules: dict[str, Any] = {"unit": "1", "low": None, "high": None, "allowed": [], "critical": False}
        setpoint = {**rules, "name": f"{self.tenant.word} setpoint", "datatype": 10, "kind": "number", "unit": "bar", "low": 2, "high": 8}
        restart = {**rules, "name": "restart", "datatype": 11, "kind": "boolean", "allowed": [True], "critical": True}
        self.db.execute(
            "insert into birth (edge_node_id, device_id, bd_seq, born_at, asset_id, metrics, writable)"
            " values (%s, %s, 0, %s, %s, '[]', %s)",
            (to["edge_node_id"], to["device_id"], NOW, to["asset_id"], Jsonb([setpoint, restart])),
        )
        who = _account(self.db, "technician", f"{self.tenant.word.lower()}-requester", None)
        about = {"metric": "trim", "datatype": 10, "unit": "bar", "value": Jsonb(4), "critical": False, "reason": self.tenant.word}
        times = {"requested_at": NOW, "requested_by": who, "expires_at": NOW + timedelta(hours=1)}
        self.add("command", **to, **about, **times, uid=uuid4())

    def known(self, standing: dict[str, int], version_id: int) -> None:
        numbers = {"horizon": 30, "probability": 0.8, "life_p10": 10, "life_p50": 20, "life_p90": 30, "health": 40}
        why = Jsonb([{"point": "T50", "share": 0.5, "value": 1.0, "healthy": 0.9, "unit": "[degR]"}])
        within = Jsonb([{"horizon": 10, "probability": 0.2}, {"horizon": 30, "probability": 0.8}])
        about = {"failure_mode": "wear", "at": NOW, "probabilities": within, "contributions": why, "model_version_id": version_id}
        self.add("prediction", **standing, **numbers, **about)
        found = {"point_id": self.tenant.ids["point_id"], "detector": "drift", "at": NOW, "score": 1.5, "why": Jsonb({"mean": 1.0})}
        self.add("finding", customer_id=standing["customer_id"], asset_id=standing["asset_id"], **found)

    def work(self, standing: dict[str, int], technician_id: int) -> None:
        own, reason = {"customer_id": standing["customer_id"]}, Jsonb({"word": self.tenant.word})
        mode = {"failure_mode": "wear"}
        cause = {"opened_at": NOW, "prediction_id": self.tenant.ids["prediction_id"]}
        case = {"failure_case_id": self.add("failure_case", **standing, **mode, **cause)}
        alarm = {"condition": "failure_predicted:wear", "state": "unacknowledged", "raised_at": NOW}
        self.add("alarm", **standing, **case, **alarm, priority="high", reason=reason)
        times = {"created_at": NOW, "due_at": NOW + timedelta(hours=12)}
        about = {"kind": "predictive", "state": "dispatched", "priority": "high", "reason": reason}
        order = {"work_order_id": self.add("work_order", **standing, **case, **mode, **about, **times)}
        planned = {"planned_from": NOW + timedelta(hours=8), "planned_until": NOW + timedelta(hours=12)}
        self.add("visit", **own, **order, technician_id=technician_id, **planned)
        self.add("work_order_event", **own, **order, at=NOW, state="dispatched")
        self.db.execute(
            "insert into work_order_step (customer_id, work_order_id, position, code) select %s, %s, n, code "
            "from unnest(%s::text[]) with ordinality as steps (code, n)",
            (*own.values(), *order.values(), ["secure_aircraft", "remove_engine", "install_engine"]),
        )

    def contract(self, standing: dict[str, int]) -> None:
        self.add("state_interval", **standing, category="up", started_at=START)
        leads = {"predictive_lead": timedelta(hours=8), "corrective_lead": timedelta(hours=48), "visit_duration": timedelta(hours=4)}
        money = {"currency": "EUR", "rate_per_hour": 420, "credit_per_point": 0.02, "credit_cap": 0.25, "guaranteed_availability": 0.985}
        name = f"{self.tenant.word} power by the hour"
        contract_id = self.add("contract", customer_id=standing["customer_id"], name=name, tier="gold", starts_at=START, **money, **leads)
        self.db.execute(
            "insert into contract_cost select %s, %s, asset_model_id, 900, 50, 1 from asset_model", (standing["customer_id"], contract_id)
        )


def _readings(db: psycopg.Connection[Any], point_id: int, value: str) -> None:
    """One reading an hour, n = 1 to HOURS, with its rollups and the latest."""
    db.execute("select ensure_telemetry_room(%s, %s)", (START, NOW))
    db.execute(
        f"insert into telemetry select %s, %s + n * interval '1 hour', {value}, 192 from generate_series(1, %s) n".encode(),  # noqa: S608
        (point_id, START, HOURS),
    )
    for table, length in (("telemetry_1m", "1 minute"), ("telemetry_1h", "1 hour")):
        db.execute(
            f"insert into {table} select point_id, date_bin('{length}', ts, '2000-01-01Z'), 1, value, value, value, ts, value, 1 "  # noqa: S608
            "from telemetry where point_id = %s".encode(),
            (point_id,),
        )
    db.execute(
        "insert into point_latest select point_id, ts, value, quality from telemetry where point_id = %s order by ts desc limit 1",
        (point_id,),
    )
