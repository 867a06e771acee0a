"""A small model and real engines, for the tests of the prognosis."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import psycopg
import pytest

from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.prognosis.train import train
from vigia.store import fleet, installations, points, telemetry
from vigia.store.database import Database
from vigia.store.fleet import NewRole
from vigia.store.points import NewPoint
from vigia.store.telemetry import Readings, Writer

sys.path.insert(0, str(Path(__file__).parent))
TRAINING_FILE = Path(str(resources.files("vigia.demo") / "data" / "train_FD001.txt.gz"))
START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = "cmapss-fd001"
NAMES = ("cycle", *cmapss.SETTINGS, *cmapss.SENSORS)
KINDS = ("counter", *("setting" for _ in cmapss.SETTINGS), *("measurement" for _ in cmapss.SENSORS))
ORDERS = [(11, "confirmed", False), (12, "confirmed", True), (13, "wrong", False), (14, "inconclusive", False)]


@pytest.fixture(scope="session")
def training_file() -> Path:
    return TRAINING_FILE


@pytest.fixture(scope="session")
def runs() -> list[cmapss.Run]:
    return cmapss.read_runs(TRAINING_FILE, range(1, 17))


@pytest.fixture(scope="session")
def model(runs: list[cmapss.Run]) -> Prognosis:
    """Trained on units 1-10 with fewer trees; units 11-16 are unseen."""
    return train(turbofan.histories(runs[:10]), turbofan.options(30.0, trees=40))


@pytest.fixture(scope="session")
def history() -> Callable[[cmapss.Run], np.ndarray]:
    """An engine's settings and sensors, one row a cycle."""

    def inputs(run: cmapss.Run) -> np.ndarray:
        return np.hstack((run.settings, run.sensors))

    return inputs


def names() -> Sequence[str]:
    return (*cmapss.SETTINGS, *cmapss.SENSORS)


@pytest.fixture
async def flown(service: Database, dsn: str, runs: list[cmapss.Run]) -> list[cmapss.Run]:
    """Engines 11-14 of the file, each with a closed order at its last cycle."""
    async with service.transaction() as tx:
        model_id = await fleet.add_asset_model(tx, MODEL, "Turbofan", "{cycle}")
        customer_id = await fleet.add_customer(tx, "airline", "Airline")
        site_id = await fleet.add_site(tx, customer_id, "site", "Site", "UTC")
        line_id = await fleet.add_line(tx, customer_id, await fleet.add_area(tx, customer_id, site_id, "Ramp"), "Aircraft")
        for unit, verdict, failed in ORDERS:
            run = runs[unit - 1]
            role_id = await fleet.add_role(tx, NewRole(customer_id, line_id, model_id, f"Engine {unit}"))
            asset_id = await fleet.add_asset(tx, model_id, f"ESN-{unit:04}")
            await installations.install(tx, customer_id, role_id, asset_id, START)
            ids = await points.ensure_points(tx, asset_id, [NewPoint(name, kind) for name, kind in zip(NAMES, KINDS, strict=True)])
            values = np.column_stack((run.cycles, run.settings, run.sensors))
            at = telemetry.to_us(START) + run.cycles * 3_600_000_000
            point = np.tile(np.array([ids[name] for name in NAMES], np.int32), len(values))
            quality = np.full(values.size, telemetry.GOOD, np.int16)
            await Writer().add(tx, Readings(point, np.repeat(at, len(NAMES)), values.ravel(), quality))
            ended = START + timedelta(hours=len(run.cycles))
            key = {"customer": customer_id, "role": role_id, "asset": asset_id, "at": ended, "failed": ended if failed else None}
            await tx.execute(
                "insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at, closed_at, failed_at) "
                "values (%(customer)s, %(role)s, %(asset)s, 'hpc_degradation', %(at)s, %(at)s, %(failed)s)",
                key,
            )
            await tx.execute(
                "insert into work_order (customer_id, role_id, asset_id, failure_case_id, failure_mode, kind, state, priority, reason, "
                "created_at, due_at, finished_at, verdict) select customer_id, role_id, asset_id, failure_case_id, failure_mode, "
                "'predictive', 'closed', 'high', '{}', opened_at, opened_at, opened_at, %(verdict)s "
                "from failure_case where asset_id = %(asset)s",
                {**key, "verdict": verdict},
            )
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from vigia.work_order").fetchone() == (len(ORDERS),)
    return [runs[unit - 1] for unit, *_ in ORDERS]
