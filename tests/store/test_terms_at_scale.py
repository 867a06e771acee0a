"""What a machine's contract says is asked at each prediction: the work for it follows the machines asked about, not the fleet."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from vigia.store import queries

AT = datetime(2026, 3, 1, tzinfo=UTC)
EACH = 50
"""Machines under a contract."""
FEW, MANY = 40, 160
"""Contracts, the second four times the first: work that grows with the square is sixteen times as much."""
SAME_PLAN = "-c search_path=vigia -c max_parallel_workers_per_gather=0 -c enable_bitmapscan=off"
"""Else the plan depends on whether other tests' transactions let vacuum mark the pages as visible."""

SEED = """
insert into asset_model (code, name) values ('m', 'M');
insert into customer (code, name) select 'c' || n, 'C' from generate_series(1, {contracts}) n;
insert into site (customer_id, code, name, time_zone) select customer_id, 's', 'S', 'UTC' from customer;
insert into area (customer_id, site_id, name) select customer_id, site_id, 'A' from site;
insert into line (customer_id, area_id, name) select customer_id, area_id, 'L' from area;
insert into role (customer_id, line_id, asset_model_id, name)
select customer_id, line_id, 1, n::text from line, generate_series(1, {each}) n;
insert into asset (asset_model_id, serial_number) select 1, role_id::text from role;
insert into installation (customer_id, role_id, asset_id, installed_at) select customer_id, role_id, role_id, '2026-01-01Z' from role;
insert into contract (customer_id, name, tier, starts_at, currency, rate_per_hour, guaranteed_availability, credit_per_point, credit_cap,
    predictive_lead, corrective_lead, visit_duration)
select customer_id, 'C', 'gold', '2026-01-01Z', 'EUR', 1, 0.9, 0.1, 0.3, '1 day', '2 days', '4 hours' from customer;
insert into contract_cost select customer_id, contract_id, 1, 60000, 8000, 60 from contract where contract_id % 4 <> 0;
insert into model_version (asset_model_id, failure_mode, version, sha256, metrics) values (1, 'wear', 'v', '', '{{}}');
insert into prediction (customer_id, role_id, asset_id, failure_mode, at, horizon, probability, life_p10, life_p50, life_p90, health,
    contributions, model_version_id)
select customer_id, role_id, role_id, 'wear', timestamptz '2026-02-01Z' + n * interval '1 hour', 30, 0.1, 10, 50, 90, 90, '[]', 1
from role, generate_series(1, 40) n;
"""


def work(node: dict[str, Any]) -> float:
    """Rows that the plan's nodes gave or threw away."""
    thrown = sum(rows for name, rows in node.items() if name.startswith("Rows Removed"))
    return float((node["Actual Rows"] + thrown) * node["Actual Loops"] + sum(work(part) for part in node.get("Plans", ())))


def asked(dsn: str, contracts: int) -> dict[str, float]:
    """The work for each way to ask, in a fleet of so many contracts."""
    some = list(range(1, 101))
    ways: dict[str, dict[str, object]] = {"all": {}, "one contract": {"contract_id": 7}, "some machines": {"asset_ids": some}}
    found = {}
    with psycopg.connect(dsn, autocommit=True, options=SAME_PLAN) as db:
        db.execute(SEED.format(contracts=contracts, each=EACH).encode())
        db.execute("vacuum analyze")
        for way, params in ways.items():
            told = {"failure_mode": "wear", "at": AT, "asset_ids": None, "contract_id": None, **params}
            row = db.execute(b"explain (analyze, format json) " + queries.sql("contract_terms").encode(), told).fetchone()
            assert row is not None
            found[way] = work(row[0][0]["Plan"])
    return found


@pytest.fixture
def more_machines(server_dsn: str, template: str) -> str:
    name = "test_terms_of_many"
    with psycopg.connect(server_dsn, autocommit=True) as db:
        db.execute(f"drop database if exists {name}")
        db.execute(f"create database {name} template {template}")
    return psycopg.conninfo.make_conninfo(server_dsn, dbname=name)


def test_terms_cost_as_many_rows_as_machines_are_asked_about(dsn: str, more_machines: str) -> None:
    few, many = asked(dsn, FEW), asked(more_machines, MANY)
    assert few["all"] > FEW * EACH  # every machine was looked at
    assert many["all"] < 6 * few["all"]
    assert many["one contract"] < MANY * EACH  # no pass over the fleet
    assert many["some machines"] < 6 * few["some machines"]
    assert many["some machines"] < many["all"] / 5
