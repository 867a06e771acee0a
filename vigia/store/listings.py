"""What the REST lists show: pages in key order (stable under inserts), each row complete enough to be shown alone."""

from typing import cast

from vigia.store import queries
from vigia.store.database import Transaction


async def migration(tx: Transaction) -> int:
    """Number of the newest migration this database has had."""
    return cast("int", await queries.value(tx, "newest_migration"))
