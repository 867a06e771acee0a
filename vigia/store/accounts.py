"""Accounts: who may log in, as what, for which customer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from psycopg.types.json import Jsonb

from vigia.store import queries
from vigia.store.database import Transaction

AccountKind = Literal["customer", "technician", "service_manager"]
Language = Literal["en", "es", "pt"]


@dataclass(frozen=True)
class Account:
    """A person. `customer_id` is None for the manufacturer's staff."""

    account_id: int
    customer_id: int | None
    kind: AccountKind
    login: str
    name: str
    password_hash: str
    language: Language
    preferences: Mapping[str, Any]
    disabled_at: datetime | None


async def account_by_login(tx: Transaction, login: str) -> Account | None:
    """The account of `login`, whatever its case; disabled ones too."""
    return await queries.first(tx, "account_by_login", Account, login=login)


async def account(tx: Transaction, account_id: int) -> Account | None:
    """The account, or None."""
    return await queries.first(tx, "account_by_id", Account, account_id=account_id)


async def accounts_of_kind(tx: Transaction, kind: AccountKind) -> list[Account]:
    """The enabled accounts of a kind, oldest first."""
    return await queries.rows(tx, "accounts_of_kind", Account, kind=kind)


@dataclass(frozen=True)
class NewAccount:
    """An account to add. `password_hash` is argon2id (vigia.api.passwords.hash_password)."""

    kind: AccountKind
    login: str
    name: str
    password_hash: str
    customer_id: int | None = None
    language: Language = "en"


async def add_account(tx: Transaction, new: NewAccount) -> int:
    """The id of the account; a login that exists keeps its id and takes the new password."""
    found = await queries.value(
        tx,
        "add_account",
        customer_id=new.customer_id,
        kind=new.kind,
        login=new.login,
        name=new.name,
        password_hash=new.password_hash,
        language=new.language,
    )
    return cast("int", found)


async def set_preferences(tx: Transaction, account_id: int, language: Language | None, preferences: Mapping[str, Any]) -> None:
    """Change the language (None keeps it) and merge `preferences` into those stored."""
    await queries.execute(tx, "set_account_preferences", account_id=account_id, language=language, preferences=Jsonb(dict(preferences)))
