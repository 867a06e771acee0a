"""The gate signs what gateways have requested."""

from collections.abc import Collection
from datetime import datetime, timedelta

from vigia.authority.issuing import Authority
from vigia.domain.identities import identity_of
from vigia.store import audit, identities
from vigia.store.audit import Action
from vigia.store.database import Transaction
from vigia.store.identities import Identity, Signature


async def handle(tx: Transaction, authority: Authority, life: timedelta, admitted: Collection[Identity], now: datetime) -> list[str]:
    """Sign every request that waits, of those whom the broker admits; the identities that have a new certificate."""
    signed = []
    for request in await identities.unsigned(tx):
        if Identity(request.group_id, request.node_id) not in admitted:
            continue
        identity = identity_of(request.group_id, request.node_id)
        issued = authority.issue(request.request, identity, now, life)
        made = Signature(issued.serial_number, issued.chain, issued.valid_from, issued.valid_until)
        await identities.sign(tx, request.edge_certificate_id, made)
        detail = {"serial_number": issued.serial_number, "valid_until": issued.valid_until.isoformat()}
        await audit.record(tx, Action(None, request.customer_id, "issue_certificate", f"edge_node:{request.edge_node_id}", detail))
        signed.append(identity)
    return signed
