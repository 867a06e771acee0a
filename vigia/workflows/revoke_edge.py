"""Staff shuts a gateway out: no certificate and no token of it counts any more."""

from datetime import datetime

from vigia.domain.errors import NotFoundError, TransitionRefusedError
from vigia.store import audit, fleet, identities
from vigia.store.audit import Action
from vigia.store.database import Transaction


async def handle(tx: Transaction, edge_node_id: int, because: str, now: datetime, account_id: int | None) -> int:
    """How many certificates were revoked. The gate tells the broker, which drops the gateway's sessions.

    Raises NotFoundError, TransitionRefusedError when the edge node has no certificate to revoke.
    """
    node = await fleet.edge_node_of_id(tx, edge_node_id)
    if node is None:
        raise NotFoundError
    await identities.void_tokens(tx, edge_node_id, now)
    revoked = await identities.revoke(tx, edge_node_id, because, now)
    if not revoked:
        raise TransitionRefusedError("The gateway has no certificate in force.")
    detail = {"certificates": revoked, "because": because}
    await audit.record(tx, Action(account_id, node.customer_id, "revoke_edge", f"edge_node:{edge_node_id}", detail))
    return revoked
