"""Staff gives gateways new configurations: a share of them tries first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vigia.domain.errors import InvalidValueError, NotFoundError, TransitionRefusedError
from vigia.domain.rollouts import canaries, check_configuration
from vigia.store import audit, fleet, rollouts
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.rollouts import NewPart


@dataclass(frozen=True)
class Order:
    """What to roll out, and why: for each edge node its configuration (TOML). The first `canary_share` of them try first."""

    reason: str
    canary_share: float
    configurations: Sequence[tuple[int, str]]


async def handle(tx: Transaction, order: Order, now: datetime, account_id: int | None) -> int:
    """The roll-out's id; it has begun.

    Raises NotFoundError, InvalidValueError for what cannot be a configuration, and TransitionRefusedError when one of the edge nodes is
    part of a roll-out that has not ended.
    """
    nodes = [edge_node_id for edge_node_id, _ in order.configurations]
    if not nodes or len(set(nodes)) < len(nodes):
        raise InvalidValueError("A roll-out brings one configuration to each of its gateways, of which there is at least one.")
    first = canaries(len(nodes), order.canary_share)
    rollout_id = await rollouts.begin(tx, order.reason, order.canary_share, now, account_id)
    for number, (edge_node_id, toml) in enumerate(order.configurations):
        check_configuration(toml)
        node = await fleet.edge_node_of_id(tx, edge_node_id)
        if node is None:
            raise NotFoundError
        if await rollouts.open_of_edge(tx, edge_node_id) is not None:
            raise TransitionRefusedError(f"{node.group_id}/{node.node_id} is part of a roll-out that has not ended; halt that one first.")
        await rollouts.add_part(tx, rollout_id, NewPart(node.customer_id, edge_node_id, number < first, toml), now)
        detail = {"rollout": rollout_id, "reason": order.reason, "canary": number < first}
        await audit.record(tx, Action(account_id, node.customer_id, "roll_out", f"edge_node:{edge_node_id}", detail))
    await rollouts.release_canaries(tx, rollout_id, now)
    return rollout_id
