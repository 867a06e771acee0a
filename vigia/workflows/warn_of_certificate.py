"""A gateway's certificate ends soon and was not renewed: somebody should look why."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vigia.domain.identities import WARNING_DAYS, identity_of, warning_due
from vigia.store import audit, identities
from vigia.store.audit import Action
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Warned:
    """The identity whose certificate ends within so many days."""

    identity: str
    within_days: int
    valid_until: datetime


async def handle(tx: Transaction, now: datetime) -> list[Warned]:
    """Warnings that were not given yet, the nearest end first; each is on record and not given again."""
    given = []
    for one in await identities.ending(tx, now, timedelta(days=max(WARNING_DAYS))):
        due = warning_due(one.valid_until, now, one.warned_days)
        if due is None:
            continue
        await identities.warned(tx, one.edge_certificate_id, due)
        detail = {"within_days": due, "valid_until": one.valid_until.isoformat()}
        await audit.record(tx, Action(None, one.customer_id, "warn_of_certificate", f"edge_node:{one.edge_node_id}", detail))
        given.append(Warned(identity_of(one.group_id, one.node_id), due, one.valid_until))
    return given
