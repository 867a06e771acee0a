"""Failure cases."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from vigia.domain.failure_cases import FailureCase
from vigia.store import queries
from vigia.store.database import Transaction


@dataclass(frozen=True)
class NewCase:
    """A case to be opened; `failed_at` when the machine has failed already."""

    customer_id: int
    role_id: int
    asset_id: int
    failure_mode: str
    opened_at: datetime
    failed_at: datetime | None = None
    prediction_id: int | None = None
    model_rule_id: int | None = None
    """the rule that opens it, if the contract's costs chose it"""


@dataclass(frozen=True)
class RoleFailures:
    """How often the machines of a role failed."""

    role_id: int
    failures: int


@dataclass(frozen=True)
class _Since:
    asset_id: int
    at: datetime


async def get(tx: Transaction, failure_case_id: int) -> FailureCase | None:
    """The case, or None if there is none or the caller may not see it."""
    return await queries.first(tx, "failure_case", FailureCase, failure_case_id=failure_case_id)


async def open_of_asset(tx: Transaction, asset_id: int) -> list[FailureCase]:
    """The asset's open cases, those with an open order first."""
    return await queries.rows(tx, "failure_cases_open_of_asset", FailureCase, asset_id=asset_id)


async def open_case(tx: Transaction, new: NewCase) -> FailureCase:
    """Open a case; the one that is open already for this asset and failure mode, if there is one."""
    opened = await queries.first(
        tx,
        "failure_case_open",
        FailureCase,
        customer_id=new.customer_id,
        role_id=new.role_id,
        asset_id=new.asset_id,
        failure_mode=new.failure_mode,
        opened_at=new.opened_at,
        failed_at=new.failed_at,
        prediction_id=new.prediction_id,
        model_rule_id=new.model_rule_id,
    )
    if opened is None:
        opened = await queries.first(tx, "failure_case_open_of_mode", FailureCase, asset_id=new.asset_id, failure_mode=new.failure_mode)
    assert opened is not None  # noqa: S101 - the conflicting row is visible once the insert has waited for it
    return opened


async def record_failure(tx: Transaction, failure_case_id: int, at: datetime) -> bool:
    """Note that the machine failed at `at`; False if a failure was noted before."""
    return await queries.execute(tx, "failure_case_failed", failure_case_id=failure_case_id, at=at) == 1


async def close(tx: Transaction, failure_case_id: int, at: datetime) -> None:
    """Close the case."""
    await queries.execute(tx, "failure_case_close", failure_case_id=failure_case_id, at=at)


async def close_all_of_asset(tx: Transaction, asset_id: int, at: datetime) -> None:
    """Close every open case of an asset: it has left its role."""
    await queries.execute(tx, "failure_cases_close_of_asset", asset_id=asset_id, at=at)


async def by_role(tx: Transaction, start: datetime, end: datetime, customer_id: int | None = None) -> dict[int, int]:
    """Failures per role_id after `start` up to and including `end`; roles without one are left out."""
    found = await queries.rows(tx, "failures_by_role", RoleFailures, start=start, end=end, customer_id=customer_id)
    return {row.role_id: row.failures for row in found}


async def open_since(tx: Transaction) -> dict[int, datetime]:
    """Every asset with an open case, and since when."""
    return {row.asset_id: row.at for row in await queries.rows(tx, "failure_cases_open_since", _Since)}


async def last_closed(tx: Transaction, asset_ids: Collection[int]) -> dict[int, datetime]:
    """When the last closed case of each of these assets was closed; assets without one are left out."""
    found = await queries.rows(tx, "failure_cases_last_closed", _Since, asset_ids=list(asset_ids))
    return {row.asset_id: row.at for row in found}
