"""The broker was seen to refuse revoked certificates, and their sessions have ended."""

from collections.abc import Sequence
from datetime import datetime

from vigia.store import audit, births, identities
from vigia.store.audit import Action
from vigia.store.changes import announce
from vigia.store.database import Transaction
from vigia.store.identities import EdgeCertificate, Identity


async def handle(tx: Transaction, certificates: Sequence[EdgeCertificate], now: datetime) -> None:
    """Write down when; a gateway that has no other certificate in force is offline now, and its readings stale."""
    await identities.shut_out(tx, [one.edge_certificate_id for one in certificates], now)
    admitted = await identities.in_force(tx, now)
    for edge_node_id, one in {one.edge_node_id: one for one in certificates}.items():
        took_s = round((now - one.revoked_at).total_seconds(), 1) if one.revoked_at is not None else None
        await audit.record(tx, Action(None, one.customer_id, "shut_out_edge", f"edge_node:{edge_node_id}", {"seconds": took_s}))
        if Identity(one.group_id, one.node_id) not in admitted:
            await births.node_died(tx, edge_node_id)
            await announce(tx, "telemetry", one.customer_id)
