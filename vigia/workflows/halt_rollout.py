"""Staff stops a roll-out: who has not fetched a new configuration keeps the one before."""

from datetime import datetime

from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.domain.rollouts import Stage
from vigia.store import audit, rollouts
from vigia.store.audit import Action
from vigia.store.database import Transaction


async def handle(tx: Transaction, rollout_id: int, now: datetime, account_id: int | None) -> None:
    """Raises NotFoundError, TransitionRefusedError when it has ended."""
    rollout = await rollouts.locked(tx, rollout_id)
    if rollout is None:
        raise NotFoundError
    if Stage(rollout.stage) in (Stage.DONE, Stage.HALTED):
        raise TransitionRefusedError("The roll-out has ended.")
    await rollouts.withdraw(tx, rollout_id, now)
    await rollouts.set_stage(tx, rollout_id, Stage.HALTED, now)
    await audit.record(tx, Action(account_id, None, "halt_rollout", f"rollout:{rollout_id}", {}))
