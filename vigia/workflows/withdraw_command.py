"""Staff takes a command back before it is sent."""

from datetime import datetime

from vigia.domain.commands import WAITING, State
from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.store import audit, commands
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Transaction


async def handle(tx: Transaction, command_id: int, now: datetime, account_id: int) -> None:
    """Withdrawing again changes nothing. Raises NotFoundError, TransitionRefusedError when it was sent or has ended."""
    command = await commands.locked(tx, command_id)
    if command is None:
        raise NotFoundError
    if command.state == State.WITHDRAWN:
        return
    if command.state not in WAITING:
        raise TransitionRefusedError(f"The command cannot be taken back: it is {command.state}.")
    await commands.set_state(tx, command_id, State.WITHDRAWN, now)
    await audit.record(tx, Action(account_id, command.customer_id, "withdraw_command", f"command:{command_id}", {}))
    await announce(tx, "command", command.customer_id, command.role_id)
