"""Alarms and every step they took."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from vigia.domain.alarms import Alarm, State
from vigia.store import queries
from vigia.store.database import Transaction

FAILURE_PREDICTED = "failure_predicted:"
"""Prefix of the condition of a predicted failure; the failure mode follows."""

DRIFT = "drift:"
"""Prefix of the condition of a drifting sensor; the point's name follows."""

RATE = "rate:"
"""Prefix of the condition of a sensor that changes faster than ever; the point's name follows."""

SENSOR = "sensor:"
"""Prefix of the condition of a sensor that is itself at fault; the point's name follows. It says nothing of the machine."""

TOGETHER = "together:"
"""Prefix of the condition of a machine whose sensors no longer move together; the name of the point that tells most follows."""

FAILED = "failed"
"""The condition of a machine that has failed."""


@dataclass(frozen=True)
class StoredAlarm:
    """One row of `alarm`."""

    alarm_id: int
    customer_id: int
    role_id: int
    asset_id: int
    condition: str
    failure_case_id: int | None
    state: str
    priority: str
    raised_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: int | None
    confirmed_at: datetime | None
    confirmed_by: int | None
    cleared_at: datetime | None
    shelved_until: datetime | None
    shelved_once: bool
    reason: dict[str, Any]

    @property
    def status(self) -> Alarm:
        """Where it stands, for the rules in `domain.alarms`."""
        return Alarm(
            State(self.state),
            active=self.cleared_at is None,
            acknowledged=self.acknowledged_at is not None,
            confirmed=self.confirmed_at is not None,
            shelved_until=self.shelved_until,
            one_shot=self.shelved_once,
        )


@dataclass(frozen=True)
class NewAlarm:
    """An alarm to be raised."""

    customer_id: int
    role_id: int
    asset_id: int
    condition: str
    failure_case_id: int | None
    priority: str
    at: datetime
    reason: Mapping[str, object]


@dataclass(frozen=True)
class AlarmEvent:
    """One step of an alarm; `account_id` is None when no person took it."""

    at: datetime
    state: str
    account_id: int | None


@dataclass(frozen=True)
class ActiveCondition:
    """A condition that holds now."""

    asset_id: int
    condition: str


async def get(tx: Transaction, alarm_id: int) -> StoredAlarm | None:
    """The alarm, or None if there is none or the caller may not see it."""
    return await queries.first(tx, "alarm", StoredAlarm, alarm_id=alarm_id)


async def open_of_asset(tx: Transaction, asset_id: int) -> list[StoredAlarm]:
    """The asset's alarms that are not back to normal, oldest first."""
    return await queries.rows(tx, "alarms_open_of_asset", StoredAlarm, asset_id=asset_id)


async def predicted_failures(tx: Transaction) -> set[tuple[int, str]]:
    """(asset_id, failure_mode) of every predicted failure whose condition holds now; what `domain.risk` calls active."""
    found = await queries.rows(tx, "alarm_active_conditions", ActiveCondition, prefix=FAILURE_PREDICTED)
    return {(row.asset_id, row.condition.removeprefix(FAILURE_PREDICTED)) for row in found}


async def shelving_over(tx: Transaction, now: datetime) -> list[StoredAlarm]:
    """Shelved alarms whose time has run out by `now`."""
    return await queries.rows(tx, "alarms_shelving_over", StoredAlarm, now=now)


async def raise_new(tx: Transaction, new: NewAlarm) -> StoredAlarm | None:
    """Raise an alarm, unacknowledged; None if one is open for this asset and condition."""
    raised = await queries.first(
        tx,
        "alarm_raise",
        StoredAlarm,
        customer_id=new.customer_id,
        role_id=new.role_id,
        asset_id=new.asset_id,
        condition=new.condition,
        failure_case_id=new.failure_case_id,
        priority=new.priority,
        at=new.at,
        reason=Jsonb(dict(new.reason)),
    )
    if raised is not None:
        await _log(tx, raised, raised.status, new.at, None)
    return raised


async def of_other_sensors(tx: Transaction, new: NewAlarm, since: datetime) -> bool:
    """Whether a single sensor of the machine has raised an alarm after `since` and up to `new`: one that is over, or another's."""
    found: bool = await queries.value(tx, "alarms_of_sensors", asset_id=new.asset_id, condition=new.condition, since=since, until=new.at)
    return found


async def save(tx: Transaction, alarm: StoredAlarm, status: Alarm, at: datetime, account_id: int | None = None) -> bool:
    """Bring `alarm` to `status` and log the step; False if it was there already."""
    if status == alarm.status:
        return False
    await queries.execute(
        tx,
        "alarm_save",
        alarm_id=alarm.alarm_id,
        state=status.state,
        active=status.active,
        acknowledged=status.acknowledged,
        confirmed=status.confirmed,
        shelved_until=status.shelved_until,
        one_shot=status.one_shot,
        at=at,
        account_id=account_id,
    )
    await _log(tx, alarm, status, at, account_id)
    return True


async def describe(
    tx: Transaction, alarm: StoredAlarm, priority: str, reason: Mapping[str, object], failure_case_id: int | None = None
) -> None:
    """Give an open alarm a new priority and reason, and its case once there is one."""
    await queries.execute(
        tx, "alarm_describe", alarm_id=alarm.alarm_id, priority=priority, reason=Jsonb(dict(reason)), failure_case_id=failure_case_id
    )


async def events(tx: Transaction, alarm_id: int) -> list[AlarmEvent]:
    """Every step of the alarm, oldest first."""
    return await queries.rows(tx, "alarm_events", AlarmEvent, alarm_id=alarm_id)


async def _log(tx: Transaction, alarm: StoredAlarm, status: Alarm, at: datetime, account_id: int | None) -> None:
    await queries.execute(
        tx, "alarm_log", customer_id=alarm.customer_id, alarm_id=alarm.alarm_id, at=at, state=status.state, account_id=account_id
    )
