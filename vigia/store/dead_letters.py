"""Messages that could not be used: kept with their reason, for a person to read."""

from dataclasses import dataclass
from datetime import datetime

from vigia.store import queries
from vigia.store.database import Transaction

KEPT_BYTES = 64 * 1024
LONGEST_DETAIL = 2_000


@dataclass(frozen=True)
class NewDeadLetter:
    """`reason` is a short sentence of a fixed wording that can be counted; `detail` says what of this message, and the remedy."""

    topic: str
    reason: str
    detail: str
    payload: bytes


@dataclass(frozen=True)
class DeadLetter:
    """`size` is how many bytes of the payload are kept, `payload` its beginning."""

    dead_letter_id: int
    received_at: datetime
    topic: str
    reason: str
    detail: str
    size: int
    payload: bytes


@dataclass(frozen=True)
class ReasonCount:
    """How often a reason occurred and when last."""

    reason: str
    count: int
    newest: datetime


async def add(tx: Transaction, letter: NewDeadLetter) -> None:
    """Keep `letter`; of its payload the first 64 KiB."""
    await queries.execute(
        tx,
        "bury_letter",
        topic=_text(letter.topic),
        reason=_text(letter.reason),
        detail=_text(letter.detail)[:LONGEST_DETAIL],
        payload=letter.payload[:KEPT_BYTES],
    )


async def newest(tx: Transaction, limit: int = 50, shown_bytes: int = 64) -> list[DeadLetter]:
    """The newest `limit` dead letters, newest first, with the first bytes of their payloads."""
    return await queries.rows(tx, "dead_letters", DeadLetter, limit=limit, shown=shown_bytes)


async def counts(tx: Transaction) -> list[ReasonCount]:
    """How many there are of each reason, the most frequent first."""
    return await queries.rows(tx, "dead_letter_counts", ReasonCount)


def _text(value: str) -> str:
    """`value` as PostgreSQL can keep it: no NUL, no lone surrogate."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
