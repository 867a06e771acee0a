"""Contracts and the roles they cover."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime

from vigia.domain.contracts import Contract
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class _Covered:
    customer_id: int
    role_id: int


async def get(tx: Transaction, contract_id: int) -> Contract | None:
    """The contract, or None if there is none or the caller may not see it."""
    return await queries.first(tx, "contract", Contract, contract_id=contract_id)


async def in_force(tx: Transaction, customer_id: int, at: datetime) -> Contract | None:
    """The customer's contract at `at`, or None."""
    return await queries.first(tx, "contract_at", Contract, customer_id=customer_id, at=at)


async def within(tx: Transaction, start: datetime, until: datetime, customer_id: int | None = None) -> list[Contract]:
    """Contracts in force at some time from `start` to `until`."""
    return await queries.rows(tx, "contracts_within", Contract, start=start, end=until, customer_id=customer_id)


async def covered_roles(tx: Transaction, customer_id: int | None = None) -> dict[int, list[int]]:
    """Per customer_id, the role_ids its contract covers."""
    found: dict[int, list[int]] = defaultdict(list)
    for row in await queries.rows(tx, "contract_roles", _Covered, customer_id=customer_id):
        found[row.customer_id].append(row.role_id)
    return found


async def add(tx: Transaction, new: Contract) -> None:
    """Add a contract (its contract_id is given by the database) unless the customer has one of that name."""
    await queries.execute(tx, "add_contract", **asdict(new))
