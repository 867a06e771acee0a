"""Log-ins: opened with a token that only its bearer knows, found again by the token's SHA-256."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vigia.store import queries
from vigia.store.accounts import AccountKind, Language
from vigia.store.database import Caller, Transaction

FRONT_DESK = Caller(staff=True)
"""Who asks before it is known who asks: looking up a log-in and a session."""


@dataclass(frozen=True)
class Session:
    """A valid log-in and whose it is."""

    token_sha256: bytes
    csrf_token: str
    created_at: datetime
    expires_at: datetime
    account_id: int
    customer_id: int | None
    kind: AccountKind
    login: str
    name: str
    language: Language
    preferences: Mapping[str, Any]

    @property
    def caller(self) -> Caller:
        """For whom the database answers."""
        return Caller(account_id=self.account_id, customer_id=self.customer_id, staff=self.customer_id is None)


async def open_session(tx: Transaction, account_id: int, now: datetime, expires_at: datetime) -> str:
    """A new session's token: 256 random bits, url-safe. It cannot be read again."""
    token = secrets.token_urlsafe(32)
    await queries.execute(
        tx,
        "open_session",
        token_sha256=_sha256(token),
        account_id=account_id,
        now=now,
        expires_at=expires_at,
        csrf_token=secrets.token_urlsafe(32),
    )
    return token


async def session(tx: Transaction, token: str, now: datetime) -> Session | None:
    """The session of `token`, or None if it never was, has ended, or the account is disabled."""
    return await queries.first(tx, "session_by_token", Session, token_sha256=_sha256(token), now=now)


async def still_open(tx: Transaction, found: Session, now: datetime) -> bool:
    """Whether a session found before has neither ended nor lost its account."""
    return await queries.first(tx, "session_by_token", Session, token_sha256=found.token_sha256, now=now) is not None


async def renew_session(tx: Transaction, found: Session, expires_at: datetime) -> None:
    """Let the session last until `expires_at`."""
    await queries.execute(tx, "renew_session", token_sha256=found.token_sha256, expires_at=expires_at)


async def close_session(tx: Transaction, token: str) -> None:
    """End the session; one that never was is no error."""
    await queries.execute(tx, "close_session", token_sha256=_sha256(token))


async def close_sessions_of_account(tx: Transaction, account_id: int) -> None:
    """End every session of the account."""
    await queries.execute(tx, "close_sessions_of_account", account_id=account_id)


async def delete_expired_sessions(tx: Transaction, now: datetime) -> int:
    """Forget sessions that ended; how many."""
    return await queries.execute(tx, "delete_expired_sessions", now=now)


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
