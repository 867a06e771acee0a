"""A gateway says which configuration it runs, or why it went back to the one before: its roll-out goes on, or stops."""

from dataclasses import dataclass
from datetime import datetime

from vigia.domain.rollouts import Part, Stage, State, stage_after
from vigia.store import audit, rollouts
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.rollouts import RolloutPart


@dataclass(frozen=True)
class Report:
    """What a gateway runs: a version, None for its own file; and the newest version that it tried and left, with the reason."""

    version: int | None = None
    failed: int | None = None
    why: str = ""


async def handle(tx: Transaction, edge_node_id: int, report: Report, now: datetime) -> None:
    """Write down what is new in the report, and what follows for the other gateways."""
    changed = [
        await _record(tx, edge_node_id, report.failed, State.FAILED, report.why, now),
        await _record(tx, edge_node_id, report.version, State.APPLIED, "", now),
    ]
    for rollout_id in sorted({part.rollout_id for part in changed if part is not None}):
        await _move_on(tx, rollout_id, now)


async def _record(  # noqa: PLR0913, PLR0917 - who, what, why, when
    tx: Transaction, edge_node_id: int, version: int | None, state: State, why: str, now: datetime
) -> RolloutPart | None:
    """The part, if the report changes it: each is decided once, also when it was withdrawn too late."""
    part = None if version is None else await rollouts.of_version(tx, edge_node_id, version)
    if part is None or part.state not in (State.RELEASED, State.WITHDRAWN):
        return None
    await rollouts.set_state(tx, part, state, why, now)
    action = "fail_configuration" if state is State.FAILED else "apply_configuration"
    detail = {"version": version, "rollout": part.rollout_id, **({"why": why} if why else {})}
    await audit.record(tx, Action(None, part.customer_id, action, f"edge_node:{edge_node_id}", detail))
    return part


async def _move_on(tx: Transaction, rollout_id: int, now: datetime) -> None:
    rollout = await rollouts.locked(tx, rollout_id)
    if rollout is None:
        return
    parts = [Part(part.canary, State(part.state)) for part in await rollouts.parts(tx, rollout_id)]
    stage = stage_after(Stage(rollout.stage), parts)
    if stage is Stage(rollout.stage):
        return
    await rollouts.set_stage(tx, rollout_id, stage, now)
    if stage is Stage.REST:
        await rollouts.release_rest(tx, rollout_id, now)
    if stage is Stage.HALTED:
        await rollouts.withdraw(tx, rollout_id, now)
    await audit.record(tx, Action(None, None, "move_rollout", f"rollout:{rollout_id}", {"stage": str(stage)}))
