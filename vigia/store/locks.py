"""Who waits for whom. Held until the transaction ends.

A workflow that changes what happens in a role takes the role's lock first, and the dispatcher's after it: one order, no deadlock.
What must never be, whoever forgets a lock, is a constraint in the schema.
"""

from vigia.store import queries
from vigia.store.database import Transaction


async def lock_role(tx: Transaction, role_id: int) -> None:
    """One at a time in this role: its alarms, case, orders, states and the machine that stands in it."""
    await queries.execute(tx, "lock_role", role_id=role_id)


async def lock_dispatch(tx: Transaction) -> None:
    """One at a time books technicians."""
    await queries.execute(tx, "lock_dispatch")
