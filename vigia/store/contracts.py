"""Contracts and the roles they cover."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from vigia.domain.contracts import Contract, ContractCosts
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class _Covered:
    customer_id: int
    role_id: int


@dataclass(frozen=True)
class StatedCosts:
    """What a contract says things cost for machines of one model, in its currency."""

    asset_model: str
    """its code"""
    failure: Decimal
    visit: Decimal
    lost_life: Decimal
    """each of its `life_unit`"""
    life_unit: str


@dataclass(frozen=True)
class Terms:
    """What the contract in force says of a machine that stands in a role, and how much life it used of late."""

    customer_id: int
    role_id: int
    asset_id: int
    contract_id: int
    lead: timedelta
    """from the order to the visit"""
    asset_model: str
    life_unit: str
    failure: float
    visit: float
    lost_life: float
    units: int
    """life units used in `span`"""
    span: timedelta


async def get(tx: Transaction, contract_id: int) -> Contract | None:
    """The contract, or None if there is none or the caller may not see it."""
    return await queries.first(tx, "contract", Contract, contract_id=contract_id)


async def in_force(tx: Transaction, customer_id: int, at: datetime) -> Contract | None:
    """The customer's contract at `at`, or None."""
    return await queries.first(tx, "contract_at", Contract, customer_id=customer_id, at=at)


async def named(tx: Transaction, name: str) -> list[Contract]:
    """The contracts of that name, one a customer."""
    return await queries.rows(tx, "contracts_named", Contract, name=name)


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


async def costs(tx: Transaction, contract_id: int) -> list[StatedCosts]:
    """What the contract says things cost, by asset model; none: it states no costs, or the caller is a customer."""
    return await queries.rows(tx, "contract_costs", StatedCosts, contract_id=contract_id)


async def set_costs(tx: Transaction, contract_id: int, asset_model: str, stated: ContractCosts | None) -> bool:
    """State the costs for machines of that model, or state them no more (None); False if there is no such contract, model or statement."""
    key = {"contract_id": contract_id, "asset_model": asset_model}
    if stated is None:
        return await queries.execute(tx, "contract_costs_withdraw", **key) == 1
    return await queries.execute(tx, "contract_costs_set", **key, **asdict(stated)) == 1


async def terms(
    tx: Transaction, failure_mode: str, at: datetime, *, asset_ids: Sequence[int] | None = None, contract_id: int | None = None
) -> list[Terms]:
    """The terms at `at` of machines whose contract states costs, of those named or all of one contract; `failure_mode` is predicted."""
    wanted = None if asset_ids is None else list(asset_ids)
    return await queries.rows(tx, "contract_terms", Terms, failure_mode=failure_mode, at=at, asset_ids=wanted, contract_id=contract_id)
