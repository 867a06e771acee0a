"""What the watch over ingest asks of the database."""

from dataclasses import dataclass

from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class Missing:
    """Runs of batch numbers that nothing explains, and how many `batches` they are. Those on their way count for a moment."""

    holes: int
    batches: int


async def missing(tx: Transaction) -> Missing:
    """What is missing of all edges now."""
    found = await queries.first(tx, "watched_holes", Missing)
    assert found is not None  # noqa: S101 - an aggregate has one row
    return found
