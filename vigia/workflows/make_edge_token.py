"""Staff lets a gateway enrol once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vigia.domain.errors import NotFoundError
from vigia.domain.identities import identity_of, token_ends
from vigia.store import audit, fleet, identities
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.identities import TokenTerms


@dataclass(frozen=True)
class MadeToken:
    """The token, which is shown this once, and until when it can be used."""

    token: str
    expires_at: datetime


async def handle(tx: Transaction, edge_node_id: int, life: timedelta, now: datetime, account_id: int | None) -> MadeToken:
    """A token for the edge node; earlier ones of it that were not used are void.

    Raises NotFoundError, InvalidValueError for a life out of bounds or a node whose name cannot stand on a certificate.
    """
    expires_at = token_ends(now, life)
    node = await fleet.edge_node_of_id(tx, edge_node_id)
    if node is None:
        raise NotFoundError
    identity_of(node.group_id, node.node_id)
    await identities.void_tokens(tx, edge_node_id, now)
    token = await identities.add_token(tx, TokenTerms(node.customer_id, edge_node_id, expires_at, account_id), now)
    detail = {"expires_at": expires_at.isoformat()}
    await audit.record(tx, Action(account_id, node.customer_id, "make_edge_token", f"edge_node:{edge_node_id}", detail))
    return MadeToken(token, expires_at)
