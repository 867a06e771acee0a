"""Commands whose turn has come go to their gateways."""

from datetime import datetime

from vigia.domain.commands import State, answers_until
from vigia.store import audit, commands
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.commands import Outgoing
from vigia.store.database import Transaction


async def handle(tx: Transaction, now: datetime) -> list[Outgoing]:
    """What to publish before `tx` is committed; it counts as sent with the commit.

    Should it come to no commit, they are published again, which is harmless: a gateway acts once at most on each. The rows are locked, so
    that of several workers one sends each.
    """
    due = await commands.sendable(tx, now)
    for one in due:
        await commands.sent(tx, one.command_id, now, answers_until(now, one.expires_at))
        detail = {"gateway": f"{one.group_id}/{one.node_id}", "device": one.device_id, "uid": str(one.uid)}
        await audit.record(tx, Action(None, one.customer_id, "send_command", f"command:{one.command_id}", detail))
        await announce(tx, "command", one.customer_id, one.role_id)
    return due


async def unsendable(tx: Transaction, one: Outgoing, reason: str, now: datetime) -> None:
    """Of the commands to publish, this one cannot be put on the wire: nothing was done."""
    await commands.set_state(tx, one.command_id, State.REFUSED, now, reason)
    await audit.record(tx, Action(None, one.customer_id, "refuse_command", f"command:{one.command_id}", {"reason": reason}))
    await announce(tx, "command", one.customer_id, one.role_id)
