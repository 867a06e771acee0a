"""Messages that could not be used: kept with their reason, for a person to read, and to be brought back when its cause is mended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from vigia.sparkplug.names import MAX_PAYLOAD_BYTES
from vigia.store import queries
from vigia.store.columns import Byteas
from vigia.store.database import Transaction

KEPT_BYTES: Final = MAX_PAYLOAD_BYTES
BEGINNING_BYTES: Final = 64 * 1024  # of a larger one, which no one can bring back: enough to see what it is
LONGEST_DETAIL: Final = 2_000
KEEP: Final = timedelta(days=90)
MOST_BYTES: Final = 2_000_000_000


@dataclass(frozen=True)
class NewDeadLetter:
    """`reason` is a short sentence of a fixed wording that can be counted; `detail` says what of this message, and the remedy."""

    topic: str
    reason: str
    detail: str
    payload: bytes


@dataclass(frozen=True)
class DeadLetter:
    """`size` is how many bytes the payload had, `complete` whether all of them are kept; `payload` is as much as was asked for."""

    dead_letter_id: int
    received_at: datetime
    topic: str
    reason: str
    detail: str
    size: int
    complete: bool
    payload: bytes


@dataclass(frozen=True)
class ReasonCount:
    """How often a reason occurred and when last."""

    reason: str
    count: int
    newest: datetime


async def add(tx: Transaction, *letters: NewDeadLetter) -> None:
    """Keep `letters` in one statement; of a payload larger than any that is accepted only the beginning."""
    await queries.execute(
        tx,
        "bury_letters",
        topic=[_text(letter.topic) for letter in letters],
        reason=[_text(letter.reason) for letter in letters],
        detail=[_text(letter.detail)[:LONGEST_DETAIL] for letter in letters],
        payload=_payloads([_kept(letter.payload) for letter in letters]),
        size=[len(letter.payload) for letter in letters],
    )


async def newest(tx: Transaction, limit: int = 50, shown_bytes: int = 64, reason: str | None = None) -> list[DeadLetter]:
    """The newest `limit` dead letters, of one reason or of all, newest first, with the first bytes of their payloads."""
    return await queries.rows(tx, "dead_letters", DeadLetter, limit=limit, shown=shown_bytes, reason=reason)


async def counts(tx: Transaction, reason: str | None = None) -> list[ReasonCount]:
    """How many there are of each reason, the most frequent first."""
    return await queries.rows(tx, "dead_letter_counts", ReasonCount, reason=reason)


async def samples(tx: Transaction, shown_bytes: int = 200, reason: str | None = None) -> dict[str, DeadLetter]:
    """The newest letter of each reason, by reason."""
    return {letter.reason: letter for letter in await queries.rows(tx, "dead_letter_samples", DeadLetter, shown=shown_bytes, reason=reason)}


async def ids(tx: Transaction, reason: str | None = None, among: Sequence[int] | None = None) -> list[int]:
    """The letters of `reason`, those of `among`, or without either all, oldest first: the order in which they came."""
    rows = await (
        await tx.execute(queries.sql("dead_letter_ids"), {"reason": reason, "ids": None if among is None else list(among)})
    ).fetchall()
    return [dead_letter_id for (dead_letter_id,) in rows]


async def take(tx: Transaction, dead_letter_id: int) -> DeadLetter | None:
    """Remove a letter and give it with its whole payload; None when it is gone already.

    What is made of it in the same transaction is made exactly once, and a transaction that fails leaves the letter where it was.
    """
    return await queries.first(tx, "take_dead_letter", DeadLetter, dead_letter_id=dead_letter_id)


async def trim(tx: Transaction, keep: timedelta = KEEP, most_bytes: int = MOST_BYTES) -> int:
    """Drop the letters older than `keep`, and the oldest beyond `most_bytes` of payload; how many went."""
    return await queries.execute(tx, "trim_dead_letters", keep=keep, most_bytes=most_bytes)


def _kept(payload: bytes) -> bytes:
    return payload if len(payload) <= KEPT_BYTES else payload[:BEGINNING_BYTES]


def _payloads(kept: Sequence[bytes]) -> Byteas:
    first = np.cumsum([0, *(len(payload) for payload in kept)], dtype=np.int64)
    return Byteas(np.frombuffer(bytearray().join(kept), np.uint8), first)


def _text(value: str) -> str:
    """`value` as PostgreSQL can keep it: no NUL, no lone surrogate."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
