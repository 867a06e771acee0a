"""A person has seen an alarm (acknowledges it) or has acted on it (confirms it)."""

from datetime import datetime

from vigia.domain.alarms import Event
from vigia.store import alarms, audit
from vigia.store.alarms import StoredAlarm
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.workflows.step_alarm import locked, step


async def handle(tx: Transaction, alarm_id: int, now: datetime, account_id: int | None) -> StoredAlarm:
    """The alarm, acknowledged; acknowledging twice changes nothing.

    Raises NotFoundError, TransitionRefusedError when there is nothing to acknowledge.
    """
    return await _person(tx, alarm_id, Event.ACKNOWLEDGE, now, account_id)


async def confirm(tx: Transaction, alarm_id: int, now: datetime, account_id: int | None) -> StoredAlarm:
    """The alarm, with its corrective action confirmed. Raises NotFoundError, TransitionRefusedError unless it is acknowledged."""
    return await _person(tx, alarm_id, Event.CONFIRM, now, account_id)


async def _person(tx: Transaction, alarm_id: int, event: Event, now: datetime, account_id: int | None) -> StoredAlarm:
    alarm = await locked(tx, alarm_id)
    if await step(tx, alarm, event, now, account_id):
        await audit.record(tx, Action(account_id, alarm.customer_id, f"{event}_alarm", f"alarm:{alarm_id}", {"at": now.isoformat()}))
    return await alarms.get(tx, alarm_id) or alarm
