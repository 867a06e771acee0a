"""Staff asks a machine to do something from afar: a command that is not critical is sent at once, another waits for its approvers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from vigia.domain.commands import LONGEST, SHORTEST, Value, Writable, fitting
from vigia.domain.errors import InvalidValueError, NotFoundError, TransitionRefusedError
from vigia.store import audit, commands, fleet
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.commands import Commandable, NewCommand
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Wanted:
    """What to write to which metric, why, and how long it may wait to be sent. The same `key` asks for the same command again."""

    metric: str
    value: Value
    reason: str
    valid_for: timedelta
    key: UUID | None = None


async def handle(tx: Transaction, asset_id: int, wanted: Wanted, now: datetime, account_id: int) -> int:
    """The command's id.

    Raises NotFoundError; InvalidValueError for what the machine cannot be told; TransitionRefusedError while another command to the same
    metric has not ended, and for a key that was used for something else.
    """
    if await fleet.asset(tx, asset_id) is None:
        raise NotFoundError
    if not SHORTEST <= wanted.valid_for <= LONGEST:
        raise InvalidValueError(f"A command may wait for {SHORTEST.total_seconds():g} s to {LONGEST.total_seconds() / 3600:g} h.")
    if wanted.key is not None and (before := await _before(tx, asset_id, wanted, wanted.key)) is not None:
        return before
    to = await commands.commandable(tx, asset_id)
    metric = _metric(to, wanted.metric)
    value = fitting(metric, wanted.value)
    new = NewCommand(asset_id, wanted.key or uuid4(), metric, value, wanted.reason, account_id, now + wanted.valid_for)
    assert to is not None  # noqa: S101 - it has the metric
    command_id = await commands.add(tx, to, new, now)
    if command_id is None:
        before = None if wanted.key is None else await _before(tx, asset_id, wanted, wanted.key)
        if before is None:
            raise TransitionRefusedError(f"Another command to {metric.name} has not ended: withdraw it, or wait for its outcome.")
        return before
    detail = {"metric": metric.name, "value": value, "unit": metric.unit, "reason": wanted.reason, "critical": metric.critical}
    await audit.record(tx, Action(account_id, to.customer_id, "request_command", f"command:{command_id}", detail))
    await announce(tx, "command", to.customer_id, to.role_id)
    return command_id


async def _before(tx: Transaction, asset_id: int, wanted: Wanted, key: UUID) -> int | None:
    command = await commands.of_uid(tx, key)
    if command is None:
        return None
    if (command.asset_id, command.metric, command.value) != (asset_id, wanted.metric, wanted.value):
        raise TransitionRefusedError("That key was used for another command: give a new one.")
    return command.command_id


def _metric(to: Commandable | None, name: str) -> Writable:
    metrics = [] if to is None else to.metrics
    if not metrics:
        raise InvalidValueError("This machine can be told nothing: no gateway that speaks for it where it stands now allows a command.")
    found = next((one for one in metrics if one.name == name), None)
    if found is None:
        raise InvalidValueError(f"This machine can be told: {', '.join(one.name for one in metrics)}.")
    return found
