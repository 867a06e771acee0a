"""A person stands behind a critical command; with the second one it may be sent."""

from datetime import datetime

from vigia.domain.commands import State, approved, check_approver
from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.store import audit, commands
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Transaction


async def handle(tx: Transaction, command_id: int, now: datetime, account_id: int) -> None:
    """Approving again changes nothing. Raises NotFoundError, TransitionRefusedError when the approval cannot count."""
    command = await commands.locked(tx, command_id)
    if command is None:
        raise NotFoundError
    approvers = await commands.approvers(tx, command_id)
    if account_id in approvers:
        return
    check_approver(command.requested_by, account_id, critical=command.critical)
    if command.state != State.REQUESTED:
        raise TransitionRefusedError(f"The command waits for no approval: it is {command.state}.")
    if now >= command.expires_at:
        raise TransitionRefusedError("The command has expired: request it anew.")
    await commands.approve(tx, command_id, account_id, now)
    if approved(command.requested_by, [*approvers, account_id]):
        await commands.set_state(tx, command_id, State.APPROVED, now)
    detail = {"metric": command.metric, "value": command.value, "approvers": len(approvers) + 1}
    await audit.record(tx, Action(account_id, command.customer_id, "approve_command", f"command:{command_id}", detail))
    await announce(tx, "command", command.customer_id, command.role_id)
