"""The gate signs configurations, so that a gateway believes them from its own server only, and only those meant for it."""

from vigia.authority.issuing import Authority
from vigia.sparkplug import statements
from vigia.store import rollouts
from vigia.store.database import Transaction


async def handle(tx: Transaction, authority: Authority) -> int:
    """Sign every configuration that waits; how many."""
    waiting = await rollouts.unsigned(tx)
    for one in waiting:
        message = statements.configuration(one.group_id, one.node_id, one.version, one.toml)
        await rollouts.sign(tx, one.edge_configuration_id, authority.sign(message))
    return len(waiting)
