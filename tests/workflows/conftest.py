"""A small plant in a real database: one customer with two roles, an engine in each, two spares, a contract, two technicians."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from vigia.store import telemetry
from vigia.store.database import Database, Transaction
from vigia.workflows import record_state

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MODE = "hpc_degradation"

SET_UP = """
insert into customer (code, name) values ('north', 'North Air');
insert into site (customer_id, code, name, time_zone) values (1, 'mad', 'Madrid', 'Europe/Madrid');
insert into area (customer_id, site_id, name) values (1, 1, 'Apron');
insert into line (customer_id, area_id, name) values (1, 1, 'EC-001');
insert into asset_model (code, name, life_unit) values ('cmapss-fd001', 'Turbofan', '{cycle}');
insert into role (customer_id, line_id, asset_model_id, name) values (1, 1, 1, 'left'), (1, 1, 1, 'right');
insert into asset (asset_model_id, serial_number)
values (1, 'ESN-0001'), (1, 'ESN-0002'), (1, 'ESN-S001'), (1, 'ESN-S002');
insert into installation (customer_id, role_id, asset_id, installed_at) values (1, 1, 1, '2026-01-01Z'), (1, 2, 2, '2026-01-01Z');
insert into point (asset_id, name, kind) select asset_id, 'state', 'state' from asset;
insert into point (asset_id, name, kind) select asset_id, name, 'measurement' from asset, unnest(array['T50', 'Ps30']) as name;
insert into model_version (asset_model_id, failure_mode, version, sha256, metrics, champion)
values (1, 'hpc_degradation', 'v1', '', '{"decision": {"probability": 0.5, "consecutive": 2, "clear_probability": 0.2}}', true);
insert into account (customer_id, kind, login, name, password_hash, preferences)
values (null, 'technician', 'ana', 'Ana', '', '{"time_zone": "Europe/Madrid"}'),
       (null, 'technician', 'rui', 'Rui', '', '{"time_zone": "America/Sao_Paulo"}'),
       (1, 'customer', 'north', 'Nora', '', '{}');
insert into contract (customer_id, name, tier, starts_at, currency, rate_per_hour, guaranteed_availability, credit_per_point, credit_cap,
                      predictive_lead, corrective_lead, visit_duration)
values (1, 'Power by the hour', 'gold', '2026-01-01Z', 'EUR', 100, 0.98, 0.02, 0.15, '8 hours', '48 hours', '4 hours');
"""


def at(hour: float) -> datetime:
    """Fleet time: hours since the first installation."""
    return T0 + timedelta(hours=hour)


@dataclass
class Plant:
    """Ids: role 1 and 2 with asset 1 and 2; spares 3 and 4; technicians 1 (Madrid) and 2; customer's account 3; contract 1."""

    service: Database
    flown: dict[int, float] = field(default_factory=dict)

    async def rows(self, query: str, **params: object) -> list[tuple[Any, ...]]:
        async with self.service.transaction() as tx:
            return await (await tx.execute(query, params)).fetchall()

    async def value(self, query: str, **params: object) -> Any:  # noqa: ANN401 - the column's own type
        found = await self.rows(query, **params)
        return found[0][0] if found else None

    async def fly(self, asset_id: int, first: int, last: int) -> None:
        """Operating readings at the hours from `first` to `last`, as ingest leaves them, and the state they report."""
        async with self.service.transaction() as tx:
            await self._readings(tx, asset_id, range(first, last + 1), 1)
            if asset_id not in self.flown:
                await record_state.handle(tx, asset_id, 1, at(first))
            self.flown[asset_id] = last

    async def fail(self, asset_id: int, hour: int) -> None:
        """A failure reading at that hour."""
        async with self.service.transaction() as tx:
            await self._readings(tx, asset_id, [hour], 0)
            await record_state.handle(tx, asset_id, 0, at(hour))

    async def predict(self, asset_id: int, hour: int, probability: float, life: float = 25) -> int:
        """A stored prediction; its id."""
        async with self.service.transaction() as tx:
            cursor = await tx.execute(
                """insert into prediction (customer_id, role_id, asset_id, failure_mode, at, horizon, probability, probabilities,
                                           life_p10, life_p50, life_p90, health, contributions, model_version_id)
                   select 1, role_id, asset_id, 'hpc_degradation', %s, 30, %s,
                          '[{"horizon": 10, "probability": 0.1}, {"horizon": 30, "probability": 0.6}]', %s, %s, %s, 50,
                          '[{"point": "T50", "share": 0.6, "value": 1425, "healthy": 1400, "unit": "[degR]"}]', 1
                   from installation where asset_id = %s and removed_at is null
                   returning prediction_id""",
                (at(hour), probability, life * 0.8, life, life * 1.2, asset_id),
            )
            row = await cursor.fetchone()
            assert row is not None
            return int(row[0])

    async def find(self, asset_id: int, hour: int, point: str = "T50", detector: str = "drift") -> int:
        """A stored finding; its id."""
        async with self.service.transaction() as tx:
            cursor = await tx.execute(
                """insert into finding (customer_id, asset_id, point_id, detector, at, score, why)
                   select 1, asset_id, point_id, %s, %s, 1.2, '{}' from point where asset_id = %s and name = %s
                   returning finding_id""",
                (detector, at(hour), asset_id, point),
            )
            row = await cursor.fetchone()
            assert row is not None
            return int(row[0])

    async def beat(self, hours: int, odd_from: int) -> None:
        """T50 of the first machine, hourly: a beat of 40 hours, and from `odd_from` on one of 7."""
        hour = np.arange(1, hours + 1)
        value = np.sin(hour * 2 * np.pi / np.where(hour < odd_from, 40, 7)) + np.random.default_rng(1).normal(0, 0.05, hours)
        point_id = await self.value("select point_id from point where asset_id = 1 and name = 'T50'")
        ts = telemetry.to_us(T0) + hour * 3_600_000_000
        async with self.service.transaction() as tx:
            good = np.full(hours, telemetry.GOOD, np.int16)
            await telemetry.Writer().add(tx, telemetry.Readings(np.full(hours, point_id, np.int32), ts, value, good))

    async def say(self, name: str, hours: Sequence[float], values: Sequence[float]) -> None:
        """What a point of the first machine said at those hours; a setting that is not known yet is made."""
        async with self.service.transaction() as tx:
            await tx.execute("insert into point (asset_id, name, kind) values (1, %s, 'setting') on conflict do nothing", (name,))
            found = await (await tx.execute("select point_id from point where asset_id = 1 and name = %s", (name,))).fetchone()
            assert found is not None
            ts = telemetry.to_us(T0) + (np.array(hours) * 3_600_000_000).astype(np.int64)
            n = len(ts)
            good = np.full(n, telemetry.GOOD, np.int16)
            await telemetry.Writer().add(tx, telemetry.Readings(np.full(n, found[0], np.int32), ts, np.array(values, np.float64), good))

    async def _readings(self, tx: Transaction, asset_id: int, hours: Sequence[int], state: int) -> None:
        async with tx.cursor() as cursor:
            await cursor.executemany(
                """insert into telemetry_1h (point_id, bucket, count, sum, min, max, last_ts, last, good_seconds)
                   select point_id, %(ts)s, 1, %(state)s, %(state)s, %(state)s, %(ts)s, %(state)s, 1 from point
                   where asset_id = %(asset_id)s and kind = 'state'""",
                [{"ts": at(hour), "state": state, "asset_id": asset_id} for hour in hours],
            )


@pytest.fixture
async def plant(service: Database) -> Plant:
    async with service.transaction() as tx:
        for statement in SET_UP.split(";\n"):
            if statement.strip():
                await tx.execute(statement)
    return Plant(service)
