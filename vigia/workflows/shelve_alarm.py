"""A person puts an alarm out of sight for a limited time, or takes it back; a shelving that has run out ends here."""

from datetime import datetime

from vigia.domain.alarms import Event, Shelve, expired
from vigia.store import alarms, audit
from vigia.store.alarms import StoredAlarm
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.workflows.step_alarm import locked, step


async def handle(tx: Transaction, alarm_id: int, shelve: Shelve, now: datetime, account_id: int | None) -> StoredAlarm:
    """The alarm, shelved until `shelve.until`; a second time replaces the first.

    Raises NotFoundError, TransitionRefusedError when its state forbids it, InvalidValueError for a time in the past or beyond
    MAX_TIME_SHELVED.
    """
    alarm = await locked(tx, alarm_id)
    if await step(tx, alarm, shelve, now, account_id):
        detail = {"at": now.isoformat(), "until": shelve.until.isoformat(), "one_shot": shelve.one_shot}
        await audit.record(tx, Action(account_id, alarm.customer_id, "shelve_alarm", f"alarm:{alarm_id}", detail))
    return await alarms.get(tx, alarm_id) or alarm


async def unshelve(tx: Transaction, alarm_id: int, now: datetime, account_id: int | None) -> StoredAlarm:
    """The alarm, in the state its condition warrants now. Raises NotFoundError, TransitionRefusedError unless it is shelved."""
    alarm = await locked(tx, alarm_id)
    await step(tx, alarm, Event.UNSHELVE, now, account_id)
    await audit.record(tx, Action(account_id, alarm.customer_id, "unshelve_alarm", f"alarm:{alarm_id}", {"at": now.isoformat()}))
    return await alarms.get(tx, alarm_id) or alarm


async def end_expired(tx: Transaction, now: datetime) -> int:
    """Bring back every alarm whose shelving has run out by `now`; how many."""
    due = await alarms.shelving_over(tx, now)
    for seen in due:
        alarm = await locked(tx, seen.alarm_id)
        if await alarms.save(tx, alarm, expired(alarm.status, now), now):
            await announce(tx, "alarm", alarm.customer_id, alarm.role_id)
    return len(due)
