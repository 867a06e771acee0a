"""The demo's fleet after a week of flying, written through the store and the workflows: engines in every state a page can show.

Readings are the recorded ones of C-MAPSS FD001. Predictions follow the recorded remaining life with a repeatable error, so that no
model has to be trained; what they cause (alarms, orders, visits, swaps) is done by the real workflows.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean

import numpy as np

import vigia.demo
from vigia.api.passwords import hash_password
from vigia.demo import fleet as demo
from vigia.demo.credentials import PEOPLE, Account, Credentials
from vigia.domain.work_orders import Autonomy
from vigia.edge.sources.replay.recording import POINTS, Row, read_recording
from vigia.store import (
    failure_cases,
    findings,
    fleet,
    ledger,
    model_rules,
    models,
    points,
    predictions,
    telemetry,
    visits,
    work_orders,
)
from vigia.store.database import Database, Transaction
from vigia.store.findings import NewFinding
from vigia.store.fleet import RolePlace
from vigia.store.ledger import Batch
from vigia.store.models import NewModelVersion
from vigia.store.points import NewPoint
from vigia.store.predictions import NewPrediction
from vigia.workflows import (
    acknowledge_alarm,
    case_to_work_order,
    complete_step,
    dispatch_day,
    finding_to_alarm,
    finish_work_order,
    record_state,
    start_work_order,
)
from vigia.workflows.finish_work_order import WorkReport

PASSWORD = "blue-heron-42"  # noqa: S105 - of invented people
HOURS = 168
SILENT_SITE, SILENT_FROM = "Manaus Rio Negro", 155
NODE_EPOCH = 1
CAP, HORIZON = 125.0, 30.0
LEADERS = ("Ps30", "T50", "phi", "W31", "BPR", "T24", "P30", "Nc")

CHANGED_EARLY = {"CS-V01-L": "confirmed", "EC-V03-L": "confirmed", "OB-V01-R": "early"}
FAILED = "HK-V01-R"
ALARM_AT = {"CS-V01-L": 108, "EC-V03-L": 126, "OB-V01-R": 112, "PR-V02-L": 164, "CS-V02-L": 161, "PR-V01-L": 158, "EC-V01-R": 166}
IN_WORK, ACKNOWLEDGED = "PR-V01-L", "CS-V02-L"
DRIFTING = "PR-V02-R"
OPINION: Mapping[str, float | str] = {
    "method": "matrix_profile",
    "at": "2026-01-07T05:00:00+00:00",
    "distance": 5.2,
    "p_value": 1 / 61,
    "compared": 60,
    "nearest_at": "2026-01-03T02:00:00+00:00",
    "past_from": "2025-12-01T00:00:00+00:00",
    "past_until": "2026-01-05T00:00:00+00:00",
    "step_s": 3600.0,
    "window_s": 86400.0,
}


def at(hour: float) -> datetime:
    """Fleet time."""
    return demo.FLEET_START + timedelta(hours=hour)


def _tried() -> list[dict[str, object]]:
    """What rules would have done to ten machines: the later the rule, the less life is left at the order."""
    return [
        {
            "probability": level / 100,
            "consecutive": times,
            "clear_probability": level / 250,
            "machines": 10,
            "ordered": 10,
            "at_order": [34.0 + 2 * k - 0.3 * (level - 50) - times for k in range(10)],
        }
        for level in range(30, 95, 5)
        for times in (3, 4, 5)
    ]


@dataclass
class Flight:
    """One engine's time in a role: hours (first, last] of the recorded life `rows`."""

    place: RolePlace
    asset_id: int
    rows: tuple[Row, ...]
    first: int
    last: int

    @property
    def failed(self) -> bool:
        return self.last - self.first > len(self.rows)

    def cycles(self) -> Iterator[tuple[int, Row]]:
        """Hour and readings of each cycle flown."""
        for hour in range(self.first + 1, min(self.last, self.first + len(self.rows)) + 1):
            yield hour, self.rows[hour - self.first - 1]


@dataclass
class Flown:
    """What the tests need to find their way: ids by name."""

    roles: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    model: int = 0


def people() -> Credentials:
    """Everybody of the demo with the same password."""
    hashed = hash_password(PASSWORD)
    return Credentials(tuple(Account(**asdict(person), password=PASSWORD, password_hash=hashed) for person in PEOPLE))


async def fly(database: Database) -> Flown:
    """Seed the fleet and let it fly."""
    recording = read_recording(Path(vigia.demo.__file__).parent / "data" / "train_FD001.txt.gz")
    flown = Flown()
    async with database.transaction() as tx:
        await demo.seed(tx, demo.ROLES, people())
        version = await models.register(
            tx,
            NewModelVersion(
                demo.ASSET_MODEL,
                demo.FAILURE_MODE,
                "2026.1",
                "0" * 64,
                {"decision": {"probability": 0.5, "consecutive": 3, "clear_probability": 0.2}},
            ),
        )
        await models.promote(tx, version, None, None, version.created_at)
        flown.model = version.model_version_id
        places = await fleet.roles(tx)
    for place in places:
        flown.roles[place.name] = place.role_id
        async with database.transaction() as tx:
            await _fly_role(tx, place, recording, flown)
    async with database.transaction() as tx:
        for node in await fleet.edge_nodes(tx):
            site = next(place.site for place in places if place.edge_node_id == node.edge_node_id)
            newest = SILENT_FROM if site == SILENT_SITE else HOURS
            await ledger.record(tx, {Batch(node.edge_node_id, NODE_EPOCH, number): 26 for number in range(1, newest + 1)})
            await ledger.advance(tx, node.edge_node_id, at(newest), Batch(node.edge_node_id, NODE_EPOCH, newest))
        await model_rules.add(tx, flown.model, _tried())
    return flown


async def _fly_role(tx: Transaction, place: RolePlace, recording: Mapping[int, tuple[Row, ...]], flown: Flown) -> None:
    assert place.serial_number is not None
    rows = recording[demo.unit_of(place.serial_number)]
    last = SILENT_FROM if place.site == SILENT_SITE else HOURS
    assert place.asset_id is not None
    swap = ALARM_AT[place.name] + 12 if place.name in CHANGED_EARLY else None
    flight = Flight(place, place.asset_id, rows, 0, last if swap is None else swap - 4)
    await _write(tx, flight, flown.model)
    await record_state.handle(tx, flight.asset_id, 1, at(1))
    if place.name == DRIFTING:
        await _drift(tx, flight)
    if place.name in ALARM_AT:
        await _order(tx, flight, ALARM_AT[place.name], flown)
    if swap is not None:
        order = flown.orders[place.name]
        technician = await visits.open_of_order(tx, order)
        assert technician is not None
        await start_work_order.handle(tx, order, at(swap - 4), technician.technician_id)
        report = WorkReport(
            CHANGED_EARLY[place.name],
            "wear" if CHANGED_EARLY[place.name] == "confirmed" else "none",
            "Leading edges of stages 3 and 4 worn.",
        )
        await finish_work_order.handle(tx, order, report, at(swap), technician.technician_id)
        role = next(one for one in await fleet.roles(tx) if one.role_id == place.role_id)
        assert role.asset_id is not None
        assert role.serial_number is not None
        second = Flight(role, role.asset_id, recording[demo.unit_of(role.serial_number)], swap, last)
        await _write(tx, second, flown.model)
        await record_state.handle(tx, second.asset_id, 1, at(swap + 1))
    if place.name == FAILED:
        await record_state.handle(tx, flight.asset_id, 0, at(len(rows) + 1))
        await _dispatch(tx, flight.asset_id, at(len(rows) + 1), flown, place.name)
    if place.name == IN_WORK:
        order = flown.orders[place.name]
        visit = await visits.open_of_order(tx, order)
        assert visit is not None
        await start_work_order.handle(tx, order, visit.planned_from, visit.technician_id)
        for position in (1, 2):
            await complete_step.handle(tx, order, position, visit.planned_from + timedelta(minutes=20 * position), visit.technician_id)


async def _order(tx: Transaction, flight: Flight, hour: int, flown: Flown) -> None:
    newest = await predictions.history(tx, flight.asset_id, demo.FAILURE_MODE)
    raising = next(one for one in newest if one.at == at(hour + 2))
    case = await finding_to_alarm.handle_prediction(tx, raising.prediction_id)
    assert case is not None
    order = await case_to_work_order.handle(tx, case, Autonomy.AUTO, raising.at)
    assert order is not None
    flown.orders[flight.place.name] = order
    await dispatch_day.handle(tx, raising.at)
    if flight.place.name == ACKNOWLEDGED:
        cursor = await tx.execute("select alarm_id from alarm where asset_id = %s", (flight.asset_id,))
        alarm = await cursor.fetchone()
        manager = await (await tx.execute("select account_id from account where kind = 'service_manager'")).fetchone()
        assert alarm is not None
        assert manager is not None
        await acknowledge_alarm.handle(tx, alarm[0], at(HOURS - 1), manager[0])


async def _dispatch(tx: Transaction, asset_id: int, now: datetime, flown: Flown, name: str) -> None:
    for case in await failure_cases.open_of_asset(tx, asset_id):
        await case_to_work_order.handle(tx, case.failure_case_id, Autonomy.AUTO, now)
    await dispatch_day.handle(tx, now)
    for order in await work_orders.open_of_asset(tx, asset_id):
        flown.orders[name] = order.work_order_id


async def _drift(tx: Transaction, flight: Flight) -> None:
    point = await points.point(tx, flight.asset_id, "T50")
    assert point is not None
    finding = NewFinding(flight.place.customer_id, flight.asset_id, point.point_id, "drift", at(HOURS - 7), 1.3, {"direction": "up"})
    finding_id = await findings.add(tx, finding)
    await finding_to_alarm.handle_finding(tx, finding_id)
    await findings.keep_second_opinion(tx, finding_id, OPINION)


async def _write(tx: Transaction, flight: Flight, model: int) -> None:
    ids = await points.ensure_points(
        tx, flight.asset_id, [NewPoint(point.name, point.kind, point.unit, point.documentation, point.low, point.high) for point in POINTS]
    )
    names = [point.name for point in POINTS]
    columns: list[tuple[int, int, float]] = []
    for hour, row in flight.cycles():
        stamp = telemetry.to_us(at(hour))
        for name, value in zip(names, (1.0, float(hour - flight.first), *row), strict=True):
            columns.append((ids[name], stamp, value))
    if flight.failed:
        columns.append((ids["state"], telemetry.to_us(at(flight.first + len(flight.rows) + 1)), 0.0))
    point_id, ts, value = (np.array(column) for column in zip(*columns, strict=True))
    await telemetry.Writer().add(
        tx,
        telemetry.Readings(
            point_id.astype(np.int32), ts.astype(np.int64), value.astype(np.float64), np.full(len(ts), telemetry.GOOD, np.int16)
        ),
    )
    await predictions.insert(tx, list(_predictions(flight, model)))


def _predictions(flight: Flight, model: int) -> Iterator[NewPrediction]:
    noise = random.Random(flight.asset_id)  # noqa: S311 - repeatable, not secret
    units = {point.name: point.unit for point in POINTS}
    index = {point.name: position for position, point in enumerate(POINTS[2:])}
    healthy = {name: fmean(row[index[name]] for row in flight.rows[:20]) for name in LEADERS}
    error = 0.0
    for hour, row in flight.cycles():
        error = 0.9 * error + noise.gauss(0, 2.5)
        left = flight.first + len(flight.rows) - hour
        alarm = ALARM_AT.get(flight.place.name, 10_000) if flight.first == 0 else 10_000
        left = min(left, max(3, alarm + 27 - hour) if hour > alarm - 60 else left)
        life = max(1.0, min(CAP, left) + error * min(1.0, left / 60))
        chance = 1 / (1 + math.exp(-(hour - alarm + 0.5) / 1.4)) if hour > alarm - 20 else 0.02 + max(0.0, 0.3 * (50 - life) / 50)
        shifts = {
            name: abs(row[index[name]] - healthy[name]) / (0.002 * healthy[name]) * (1.6 if place == 0 else 1.0)
            for place, name in enumerate(LEADERS)
        }
        total = sum(shifts.values()) or 1.0
        lost = max(0.0, CAP - life)
        largest = sorted(LEADERS, key=lambda name: -shifts[name])[:5]
        yield NewPrediction(
            customer_id=flight.place.customer_id,
            role_id=flight.place.role_id,
            asset_id=flight.asset_id,
            failure_mode=demo.FAILURE_MODE,
            at=at(hour),
            horizon=HORIZON,
            probability=min(0.985, chance),
            probabilities=[
                {"horizon": horizon, "probability": min(0.985, chance) ** (HORIZON / horizon)} for horizon in (10.0, HORIZON, 60.0)
            ],
            life_p10=max(0.0, life * 0.78 - 3),
            life_p50=life,
            life_p90=life * 1.18 + 5,
            health=100 * min(1.0, life / CAP),
            contributions=[
                {
                    "point": name,
                    "share": shifts[name] / total * lost / max(lost, 5.0),
                    "lost": shifts[name] / total * lost,
                    "value": row[index[name]],
                    "healthy": healthy[name],
                    "unit": units[name],
                }
                for name in largest
            ],
            model_version_id=model,
            similar_cases=[
                {"run": "12", "work_order_id": None, "lived_on": life + 4, "ended": "failed", "distance": 0.4},
                {"run": None, "work_order_id": None, "lived_on": life - 2, "ended": "confirmed", "distance": 0.6},
            ]
            if life < 110
            else [],
        )
