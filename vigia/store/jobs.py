"""What the job queue says about itself, and which asset a job is about."""

from vigia.store import queries
from vigia.store.database import Transaction


async def asset_of(tx: Transaction, subject: str, subject_id: int) -> int | None:
    """The asset that finding, prediction or failure case `subject_id` is about; None if there is none of that id."""
    found: int | None = await queries.value(tx, f"asset_of_{subject.removesuffix('_id')}", id=subject_id)
    return found


async def waiting(tx: Transaction) -> int:
    """How many jobs are not done: waiting, running or to be tried again."""
    count: int = await queries.value(tx, "jobs_waiting")
    return count


async def failed(tx: Transaction) -> int:
    """How many jobs were given up after all their tries."""
    count: int = await queries.value(tx, "jobs_failed")
    return count
