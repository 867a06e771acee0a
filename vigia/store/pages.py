"""What the portal's pages show, one function a page's question. The caller's transaction decides which rows exist."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vigia.store import queries
from vigia.store.database import Transaction

MOST_ROWS = 500


@dataclass(frozen=True)
class EngineRow:
    """A role, the machine that stands in it and what is open about it. Lives and `horizon` are in `life_unit`."""

    role_id: int
    role: str
    customer_id: int
    customer: str
    site_id: int
    site: str
    time_zone: str
    model: str
    life_unit: str
    asset_id: int | None
    serial_number: str | None
    installed_at: datetime | None
    predicted_at: datetime | None
    failure_mode: str | None
    horizon: float | None
    probability: float | None
    life_p10: float | None
    life_p50: float | None
    life_p90: float | None
    reading_at: datetime | None
    failed_at: datetime | None
    conditions: list[str]
    unseen_alarms: int
    work_order_id: int | None
    order_kind: str | None
    order_state: str | None
    order_priority: str | None
    planned_from: datetime | None
    planned_until: datetime | None
    started_at: datetime | None


@dataclass(frozen=True)
class SiteRow:
    """A site and the account of its gateway's numbered batches."""

    site_id: int
    site: str
    customer_id: int
    customer: str
    time_zone: str
    online: bool
    reading_at: datetime | None
    committed: int
    dropped: int
    missing: int


@dataclass(frozen=True)
class LifeRow:
    """One prediction of a machine's remaining life."""

    at: datetime
    life_p10: float
    life_p50: float
    life_p90: float
    probability: float
    health: float


@dataclass(frozen=True)
class ReasonRow:
    """A prediction with its contributions, largest first."""

    at: datetime
    failure_mode: str
    horizon: float
    probability: float
    probabilities: list[dict[str, float]]
    life_p10: float
    life_p50: float
    life_p90: float
    health: float
    contributions: list[dict[str, Any]]
    similar_cases: list[dict[str, Any]]
    model_version: str
    method: str


@dataclass(frozen=True)
class SensorRow:
    """Hourly means of one measurement, oldest first."""

    point_id: int
    name: str
    unit: str
    at: list[datetime]
    mean: list[float | None]


@dataclass(frozen=True)
class InstallationRow:
    """A machine's time in the role; `removed_at` None: it stands there now."""

    serial_number: str
    asset_id: int
    installed_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True)
class HappenedRow:
    """One entry of a role's timeline. `kind` says what `subject` is; `second_opinion` is that of an alarm's finding."""

    at: datetime
    kind: str
    subject: str
    work_order_id: int | None
    priority: str | None
    second_opinion: dict[str, Any] | None


@dataclass(frozen=True)
class FindingRow:
    """A sensor's findings, counted."""

    point: str
    unit: str
    detector: str
    first_at: datetime
    last_at: datetime
    count: int
    score: float


@dataclass(frozen=True)
class AlarmRow:
    """An alarm with the machine's newest prediction, its open order and what a closer look at its finding said."""

    alarm_id: int
    role_id: int
    role: str
    serial_number: str
    customer: str
    site: str
    time_zone: str
    life_unit: str
    condition: str
    state: str
    priority: str
    raised_at: datetime
    acknowledged_at: datetime | None
    cleared_at: datetime | None
    shelved_until: datetime | None
    acknowledged_by: str | None
    life_p10: float | None
    life_p50: float | None
    life_p90: float | None
    probability: float | None
    horizon: float | None
    work_order_id: int | None
    planned_from: datetime | None
    second_opinion: dict[str, Any] | None


@dataclass(frozen=True)
class AlarmCounts:
    """How many alarms there are of each sort."""

    open: int
    unseen: int
    shelved: int
    past: int


@dataclass(frozen=True)
class OrderRow:
    """A work order with its place and its last visit."""

    work_order_id: int
    role_id: int
    role: str
    serial_number: str
    asset_id: int
    customer: str
    site: str
    time_zone: str
    life_unit: str
    failure_mode: str
    kind: str
    state: str
    priority: str
    reason: dict[str, Any]
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    verdict: str | None
    cause_code: str | None
    note: str
    replaced_by_serial: str | None
    failed_at: datetime | None
    technician_id: int | None
    technician: str | None
    planned_from: datetime | None
    planned_until: datetime | None
    started_at: datetime | None
    visit_finished_at: datetime | None


@dataclass(frozen=True)
class OrderCounts:
    """How many work orders are open and finished."""

    open: int
    past: int


@dataclass(frozen=True)
class StepRow:
    """One step of a job."""

    position: int
    code: str
    done_at: datetime | None


@dataclass(frozen=True)
class OrderEventRow:
    """A state an order reached, and who brought it there (None: nobody, or nobody the caller may name)."""

    at: datetime
    state: str
    person: str | None


@dataclass(frozen=True)
class AvoidedRow:
    """What predictions came to in a period."""

    avoided: int
    early: int
    failed: int


async def engines(tx: Transaction, role_id: int | None = None, customer_id: int | None = None) -> list[EngineRow]:
    """Every role the caller may see, by customer, site and name."""
    return await queries.rows(tx, "page_engines", EngineRow, role_id=role_id, customer_id=customer_id)


async def sites(tx: Transaction) -> list[SiteRow]:
    """Every site the caller may see."""
    return await queries.rows(tx, "page_sites", SiteRow)


async def life(tx: Transaction, asset_id: int, role_id: int, limit: int = MOST_ROWS) -> list[LifeRow]:
    """The machine's predictions in the role, oldest first."""
    return await queries.rows(tx, "page_life", LifeRow, asset_id=asset_id, role_id=role_id, limit=limit)


async def reason(tx: Transaction, asset_id: int, role_id: int) -> ReasonRow | None:
    """What the newest prediction rests on."""
    return await queries.first(tx, "page_reason", ReasonRow, asset_id=asset_id, role_id=role_id)


async def sensors(tx: Transaction, asset_id: int, since: datetime) -> list[SensorRow]:
    """Hourly means of the machine's measurements from `since` on."""
    return await queries.rows(tx, "page_sensors", SensorRow, asset_id=asset_id, since=since)


async def installations(tx: Transaction, role_id: int) -> list[InstallationRow]:
    """The machines that have stood in the role, newest first."""
    return await queries.rows(tx, "page_installations", InstallationRow, role_id=role_id)


async def timeline(tx: Transaction, role_id: int, limit: int = 40) -> list[HappenedRow]:
    """What happened in the role, newest first."""
    return await queries.rows(tx, "page_timeline", HappenedRow, role_id=role_id, limit=limit)


async def findings(tx: Transaction, asset_id: int) -> list[FindingRow]:
    """Sensors that left their normal range, newest first."""
    return await queries.rows(tx, "page_findings", FindingRow, asset_id=asset_id)


async def alarms(tx: Transaction, *, open_only: bool, limit: int = 200) -> list[AlarmRow]:
    """Open alarms by consequence, or those that are over, newest first."""
    return await queries.rows(tx, "page_alarms", AlarmRow, open=open_only, limit=limit)


async def alarm_counts(tx: Transaction) -> AlarmCounts:
    """How many alarms the caller may see."""
    return await queries.first(tx, "page_alarm_counts", AlarmCounts) or AlarmCounts(0, 0, 0, 0)


async def orders(
    tx: Transaction, *, open_only: bool | None = None, role_id: int | None = None, technician_id: int | None = None, limit: int = 200
) -> Sequence[OrderRow]:
    """Work orders: the open ones by visit, then the finished ones, newest first. What is None does not filter."""
    return await queries.rows(
        tx, "page_orders", OrderRow, work_order_id=None, open=open_only, role_id=role_id, technician_id=technician_id, limit=limit
    )


async def order(tx: Transaction, work_order_id: int) -> OrderRow | None:
    """One work order, or None if there is none or the caller may not see it."""
    return await queries.first(
        tx, "page_orders", OrderRow, work_order_id=work_order_id, open=None, role_id=None, technician_id=None, limit=1
    )


async def order_counts(tx: Transaction) -> OrderCounts:
    """How many work orders the caller may see."""
    return await queries.first(tx, "page_order_counts", OrderCounts) or OrderCounts(0, 0)


async def order_steps(tx: Transaction, work_order_id: int) -> list[StepRow]:
    """The steps of a job in their order."""
    return await queries.rows(tx, "page_order_steps", StepRow, work_order_id=work_order_id)


async def order_events(tx: Transaction, work_order_id: int) -> list[OrderEventRow]:
    """The states an order went through."""
    return await queries.rows(tx, "page_order_events", OrderEventRow, work_order_id=work_order_id)


async def avoided(tx: Transaction, since: datetime, until: datetime, customer_id: int | None = None) -> AvoidedRow:
    """What predictions came to between `since` and `until`."""
    return await queries.first(tx, "page_avoided", AvoidedRow, since=since, until=until, customer_id=customer_id) or AvoidedRow(0, 0, 0)


@dataclass(frozen=True)
class AssetModelRow:
    """A model of machine."""

    code: str
    name: str
    life_unit: str


async def models_of_contract(tx: Transaction, contract_id: int) -> list[AssetModelRow]:
    """The models of the machines that the contract covers."""
    return await queries.rows(tx, "page_contract_models", AssetModelRow, contract_id=contract_id)


async def customer_name(tx: Transaction, customer_id: int) -> str:
    """The customer's name; empty if there is none."""
    name: str | None = await queries.value(tx, "page_customer_name", customer_id=customer_id)
    return name or ""
