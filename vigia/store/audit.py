"""Who did what: one event for every action of a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Action:
    """What a person did. `subject` names the thing, such as `work_order:12`; `detail` holds JSON values."""

    account_id: int | None
    customer_id: int | None
    action: str
    subject: str
    detail: Mapping[str, object]


@dataclass(frozen=True)
class AuditEvent:
    """One row of `audit_event`; `at` is wall-clock time."""

    audit_event_id: int
    customer_id: int | None
    account_id: int | None
    at: datetime
    action: str
    subject: str
    detail: dict[str, Any]


async def record(tx: Transaction, action: Action) -> None:
    """Write the action down."""
    await queries.execute(
        tx,
        "audit_record",
        customer_id=action.customer_id,
        account_id=action.account_id,
        action=action.action,
        subject=action.subject,
        detail=Jsonb(dict(action.detail)),
    )


async def of_subject(tx: Transaction, subject: str) -> list[AuditEvent]:
    """Everything people did to one thing, oldest first."""
    return await queries.rows(tx, "audit_of_subject", AuditEvent, subject=subject)
