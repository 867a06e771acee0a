"""An alarm takes a step here: the rule decides, the step is logged, live pages are told."""

from collections.abc import Sequence
from datetime import datetime

from vigia.domain import alarms as rules
from vigia.domain.alarms import Event, Shelve, State
from vigia.domain.errors import NotFoundError
from vigia.store import alarms
from vigia.store.alarms import StoredAlarm
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.locks import lock_role


async def step(tx: Transaction, alarm: StoredAlarm, event: Event | Shelve, now: datetime, account_id: int | None = None) -> bool:
    """Let `event` happen to the alarm; False if it changed nothing. The role is locked.

    Raises TransitionRefusedError or InvalidValueError as `domain.alarms.after` does.
    """
    changed = await alarms.save(tx, alarm, rules.after(alarm.status, event, now), now, account_id)
    if changed:
        await announce(tx, "alarm", alarm.customer_id, alarm.role_id)
    return changed


async def locked(tx: Transaction, alarm_id: int) -> StoredAlarm:
    """The alarm, with its role locked. Raises NotFoundError."""
    seen = await alarms.get(tx, alarm_id)
    if seen is None:
        raise NotFoundError
    await lock_role(tx, seen.role_id)
    alarm = await alarms.get(tx, alarm_id)
    assert alarm is not None  # noqa: S101 - alarms are never deleted
    return alarm


async def show_most_important(tx: Transaction, asset_id: int, now: datetime) -> None:
    """Leave one alarm of a machine in front of people; the others, which its cause explains, are suppressed by design.

    Sensors at fault are a matter of their own: of those, too, one stays in front.
    """
    active = [alarm for alarm in await alarms.open_of_asset(tx, asset_id) if alarm.status.active]
    for of_sensors in (False, True):
        await _show_first(tx, [alarm for alarm in active if alarm.condition.startswith(alarms.SENSOR) == of_sensors], now)


async def _show_first(tx: Transaction, active: Sequence[StoredAlarm], now: datetime) -> None:
    if not active:
        return
    top = min(active, key=lambda alarm: (_rank(alarm.condition), alarm.alarm_id))
    for alarm in active:
        state = alarm.status.state
        if alarm is top and state is State.SUPPRESSED:
            await step(tx, alarm, Event.UNSUPPRESS, now)
        elif alarm is not top and state in {State.UNACKNOWLEDGED, State.ACKNOWLEDGED}:
            await step(tx, alarm, Event.SUPPRESS, now)


async def retire_all(tx: Transaction, asset_id: int, now: datetime, account_id: int | None) -> None:
    """End every alarm of a machine: the work is done."""
    for alarm in await alarms.open_of_asset(tx, asset_id):
        await step(tx, alarm, Event.RETIRE, now, account_id)


def _rank(condition: str) -> int:
    if condition == alarms.FAILED:
        return 0
    return 1 if condition.startswith(alarms.FAILURE_PREDICTED) else 2
