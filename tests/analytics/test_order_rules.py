"""What a contract says things cost decides when its machines' orders are raised: real engines, real runner, store and worker."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from vigia.analytics import training
from vigia.analytics.config import RunnerConfig
from vigia.analytics.evaluate import cmapss
from vigia.analytics.prognosis import decision
from vigia.analytics.prognosis import model as model_file
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.runner import Runner, open_runner
from vigia.analytics.training import Trained
from vigia.cli.contract_costs import costs_of
from vigia.errors import ConfigError
from vigia.store import fleet, installations, jobs, models, points, telemetry
from vigia.store.database import Database
from vigia.store.fleet import NewRole
from vigia.store.points import NewPoint
from vigia.store.telemetry import Readings, Writer
from vigia.workflows import promote_model

pytestmark = pytest.mark.xdist_group("prognosis")

START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL, MODE = "cmapss-fd001", "hpc_degradation"
NAMES = ("state", *cmapss.SETTINGS, *cmapss.SENSORS)
KINDS = ("state", *("setting" for _ in cmapss.SETTINGS), *("measurement" for _ in cmapss.SENSORS))
FAILURES_ARE_DEAR = {"failure": 5_000_000, "visit": 1_000, "lost_life": 1}
LIFE_IS_DEAR = {"failure": 10_000, "visit": 1_000, "lost_life": 900}


@dataclass
class Pair:
    """The same engine's run flown for two customers (north, south), whose contracts have one lead and other costs."""

    database: Database
    dsn: str
    run: cmapss.Run
    points: dict[str, dict[str, int]]

    async def send(self, first: int, last: int) -> None:
        """The hours `first` to `last` of both."""
        async with self.database.transaction() as tx:
            for ids in self.points.values():
                columns = (np.ones(last - first + 1), *self.run.settings[first - 1 : last].T, *self.run.sensors[first - 1 : last].T)
                values = np.column_stack(columns)
                at = telemetry.to_us(START) + np.arange(first, last + 1) * 3_600_000_000
                point = np.tile(np.array([ids[name] for name in NAMES], np.int32), len(values))
                quality = np.full(values.size, telemetry.GOOD, np.int16)
                await Writer().add(tx, Readings(point, np.repeat(at, len(NAMES)), values.ravel(), quality))

    async def cost(self, customer: str, costs: dict[str, int]) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(
                "insert into contract_cost select k.customer_id, k.contract_id, m.asset_model_id, %(failure)s, %(visit)s, %(lost_life)s "
                "from contract k join customer c using (customer_id) cross join asset_model m where c.code = %(customer)s "
                "on conflict (contract_id, asset_model_id) do update set failure = excluded.failure, visit = excluded.visit, "
                "lost_life = excluded.lost_life",
                {**costs, "customer": customer},
            )

    async def work(self) -> None:
        """A worker of its own does every job."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vigia", "worker", "run", "--dsn", self.dsn, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(60):
                while await self._waiting():
                    await asyncio.sleep(0.05)
        finally:
            process.terminate()
            await process.wait()

    async def _waiting(self) -> int:
        async with self.database.transaction() as tx:
            return await jobs.waiting(tx)

    async def orders(self) -> dict[str, tuple[float, dict[str, object], dict[str, object]]]:
        """By customer: true life left at its first order, the rule of the order's reason, the rule of the alarm's."""
        async with self.database.transaction() as tx:
            found = await (
                await tx.execute(
                    "select c.code, min(w.created_at), min((w.reason -> 'rule')::text)::jsonb, min((a.reason -> 'rule')::text)::jsonb "
                    "from work_order w join customer c using (customer_id) join alarm a using (failure_case_id) "
                    "where a.condition like 'failure_predicted%' group by c.code"
                )
            ).fetchall()
        life = len(self.run.cycles)
        return {code: (life - (at - START) / timedelta(hours=1), ordered, alarmed) for code, at, ordered, alarmed in found}


@pytest.fixture
async def pair(service: Database, dsn: str, runs: list[cmapss.Run]) -> Pair:
    found: dict[str, dict[str, int]] = {}
    async with service.transaction() as tx:
        model_id = await fleet.add_asset_model(tx, MODEL, "Turbofan", "{cycle}")
        for code in ("north", "south"):
            customer_id = await fleet.add_customer(tx, code, code)
            site_id = await fleet.add_site(tx, customer_id, "site", "Site", "UTC")
            line_id = await fleet.add_line(tx, customer_id, await fleet.add_area(tx, customer_id, site_id, "Ramp"), "Aircraft")
            role_id = await fleet.add_role(tx, NewRole(customer_id, line_id, model_id, "Engine"))
            asset_id = await fleet.add_asset(tx, model_id, f"ESN-{code}")
            await installations.install(tx, customer_id, role_id, asset_id, START)
            found[code] = await points.ensure_points(tx, asset_id, [NewPoint(*both) for both in zip(NAMES, KINDS, strict=True)])
            await tx.execute(
                "insert into contract (customer_id, name, tier, starts_at, currency, rate_per_hour, guaranteed_availability, "
                "credit_per_point, credit_cap, predictive_lead, corrective_lead, visit_duration) "
                "values (%s, 'hours', 'gold', %s, 'EUR', 1, 1, 0, 0, '8 hours', '2 days', '4 hours')",
                (customer_id, START),
            )
    return Pair(service, dsn, runs[11], found)


async def runner(pair: Pair, model: Prognosis, home: Path, *, tried: bool = True) -> Runner:
    """With the small model in charge."""
    sha256 = model_file.save(model, training.models_folder(home) / models.file_name(MODE, "1"))
    metrics = model.metrics if tried else {name: value for name, value in model.metrics.items() if name != "rules"}
    async with pair.database.transaction() as tx:
        made = await training.register(tx, MODEL, Trained(MODE, "1", sha256, metrics, ""))
        await promote_model.handle(tx, made.model_version_id, START, None)
    return await open_runner(pair.database, RunnerConfig(pair.dsn, home, champion_check_s=0.0))


async def drain(made: Runner) -> None:
    while await made.tick():
        pass


def rule(model: Prognosis, costs: dict[str, int], lead: float = 8.0) -> dict[str, object]:
    """By brute force over what the model keeps, at one cycle an hour."""
    cost = decision.Costs(**{name: float(value) for name, value in costs.items()}, lead=lead)
    tried = [
        decision.Trial(
            decision.Decision(one["probability"], one["consecutive"], one["clear_probability"]),
            one["machines"],
            one["ordered"],
            tuple(one["at_order"]),
        )
        for one in model.metrics["rules"]
    ]
    best = min(tried, key=lambda trial: decision.expected(trial, cost).cost).rule
    return {"probability": best.probability, "consecutive": best.consecutive, "by_cost": True}


async def test_opposite_costs_raise_the_orders_of_one_life_at_different_times(pair: Pair, model: Prognosis, tmp_path: Path) -> None:
    await pair.cost("north", FAILURES_ARE_DEAR)
    await pair.cost("south", LIFE_IS_DEAR)
    made = await runner(pair, model, tmp_path)
    await pair.send(1, len(pair.run.cycles))
    await drain(made)
    await pair.work()
    orders = await pair.orders()
    assert orders["north"][0] > orders["south"][0] + 3
    for customer, costs in (("north", FAILURES_ARE_DEAR), ("south", LIFE_IS_DEAR)):
        assert orders[customer][1] == orders[customer][2] == rule(model, costs)


async def test_costs_that_change_hold_without_a_restart_and_none_leave_the_models_own_rule(
    pair: Pair, model: Prognosis, tmp_path: Path
) -> None:
    await pair.cost("north", FAILURES_ARE_DEAR)
    made = await runner(pair, model, tmp_path)
    await pair.send(1, 40)
    await drain(made)
    await pair.cost("north", LIFE_IS_DEAR)
    await pair.send(41, len(pair.run.cycles))
    await drain(made)
    await pair.work()
    orders = await pair.orders()
    assert orders["north"][1] == rule(model, LIFE_IS_DEAR)
    own = {"probability": model.decision.probability, "consecutive": model.decision.consecutive, "by_cost": False}
    assert orders["south"][1] == orders["south"][2] == own
    assert orders["north"][0] != orders["south"][0]


async def test_a_back_test_takes_a_contracts_costs_and_lead(pair: Pair, model: Prognosis, tmp_path: Path) -> None:
    await pair.cost("north", LIFE_IS_DEAR)
    async with pair.database.transaction() as tx:
        with pytest.raises(ConfigError, match="several contracts have that name"):
            await costs_of(tx, "hours", MODEL, 10.0)
        with pytest.raises(ConfigError, match="no contract has that name"):
            await costs_of(tx, "days", MODEL, 10.0)
        await tx.execute("update contract set name = 'north' from customer c where c.customer_id = contract.customer_id and code = 'north'")
        with pytest.raises(ConfigError, match="states no costs"):
            await costs_of(tx, "hours", MODEL, 10.0)
        assert await costs_of(tx, "north", MODEL, 10.0) == decision.Costs(10_000.0, 1_000.0, 900.0, 10.0)
        await tx.execute("update contract set predictive_lead = '12 hours'")
    made = await runner(pair, model, tmp_path)
    await pair.send(1, 9)
    await drain(made)
    async with pair.database.transaction() as tx:
        await tx.execute("update edge_node set last_reading_at = %s", (START + timedelta(hours=9),))
        assert await costs_of(tx, "north", MODEL, 10.0) == decision.Costs(10_000.0, 1_000.0, 900.0, 12.0)


async def test_a_model_that_kept_no_trials_raises_by_its_own_rule(pair: Pair, model: Prognosis, tmp_path: Path) -> None:
    await pair.cost("north", LIFE_IS_DEAR)
    made = await runner(pair, model, tmp_path, tried=False)
    await pair.send(1, len(pair.run.cycles))
    await drain(made)
    async with pair.database.transaction() as tx:
        asked = await (
            await tx.execute(
                "select p.at, count(*), count(args ->> 'model_rule_id') from jobs.procrastinate_jobs join prediction p "
                "on p.prediction_id = (args ->> 'prediction_id')::int where task_name = 'prediction_to_alarm' group by p.at"
            )
        ).fetchall()
    assert asked
    assert {(asking, named) for _, asking, named in asked} == {(2, 0)}
