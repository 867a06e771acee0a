"""A command ends: as its gateway says, or because nobody said anything in time."""

from datetime import datetime

from vigia.domain.commands import State, repeats
from vigia.store import audit, commands
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.commands import Ended, Result
from vigia.store.database import Transaction

_ACTIONS = {
    State.DONE: "complete_command",
    State.REFUSED: "refuse_command",
    State.FAILED: "fail_command",
    State.EXPIRED: "expire_command",
}


async def handle(tx: Transaction, result: Result, now: datetime) -> None:
    """Take the gateway's word; the first one counts. It corrects `failed` for want of an answer."""
    if repeats(result.outcome, result.reason):
        return
    ended = await commands.end(tx, result, now)
    if ended is not None:
        await _tell(tx, ended)


async def overdue(tx: Transaction, now: datetime) -> int:
    """End what was not sent by its expiry, and what was sent and not answered; how many."""
    ended = await commands.end_overdue(tx, now)
    for one in ended:
        await _tell(tx, one)
    return len(ended)


async def _tell(tx: Transaction, ended: Ended) -> None:
    action = _ACTIONS[State(ended.state)]
    await audit.record(tx, Action(None, ended.customer_id, action, f"command:{ended.command_id}", {"reason": ended.detail}))
    await announce(tx, "command", ended.customer_id, ended.role_id)
