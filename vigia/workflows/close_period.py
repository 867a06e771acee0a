"""What a period came to, by contract and for the fleet: hours delivered, availability with its categories, failures, credits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import add

from vigia.domain import availability
from vigia.domain.availability import NOTHING, Elements
from vigia.domain.contracts import Contract, Earnings, earnings
from vigia.domain.errors import InvalidValueError
from vigia.domain.states import CYCLE
from vigia.store import contracts, failure_cases, states
from vigia.store.database import Transaction

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class RoleOutcome:
    """One role's part. `elements` holds time per category, operating time and failures."""

    role_id: int
    elements: Elements


@dataclass(frozen=True)
class ContractOutcome:
    """One contract's part of the period, from `start` to `until`; `elements` is the sum over its roles."""

    contract: Contract
    start: datetime
    until: datetime
    roles: tuple[RoleOutcome, ...]
    elements: Elements
    earnings: Earnings


@dataclass(frozen=True)
class Outcome:
    """A period over several contracts. Figures of `elements` are made of sums; credits are per currency."""

    start: datetime
    until: datetime
    contracts: tuple[ContractOutcome, ...]
    elements: Elements

    @property
    def hours_delivered(self) -> Decimal:
        """Hours in which a state point said operating."""
        return sum((part.earnings.hours_delivered for part in self.contracts), Decimal(0))

    @property
    def credits(self) -> dict[str, Decimal]:
        """What is credited to customers, by currency."""
        totals: dict[str, Decimal] = {}
        for part in self.contracts:
            totals[part.contract.currency] = totals.get(part.contract.currency, Decimal(0)) + part.earnings.credit
        return totals


async def handle(tx: Transaction, start: datetime, until: datetime, customer_id: int | None = None) -> Outcome:
    """The outcome from `start` to `until`: of one customer, or of all the caller may see.

    Each contract counts from its own start and to its own end. Raises InvalidValueError unless `until` is after `start`.
    """
    if until <= start:
        raise InvalidValueError("A period must end after it starts.")
    covered = await contracts.covered_roles(tx, customer_id)
    parts = [
        await _contract(tx, contract, start, until, covered.get(contract.customer_id, []))
        for contract in await contracts.within(tx, start, until, customer_id)
    ]
    return Outcome(start, until, tuple(parts), reduce(add, (part.elements for part in parts), NOTHING))


async def _contract(tx: Transaction, contract: Contract, start: datetime, until: datetime, role_ids: list[int]) -> ContractOutcome:
    start = max(start, contract.starts_at)
    until = until if contract.ends_at is None else min(until, contract.ends_at)
    intervals = await states.intervals(tx, start, until, contract.customer_id)
    evidence = await states.evidence(tx, start, until, contract.customer_id)
    hours = await states.operating_hours(tx, start, until, contract.customer_id)
    failures = await failure_cases.by_role(tx, start, until, contract.customer_id)
    roles = tuple(
        RoleOutcome(
            role_id,
            availability.elements(start, until, intervals.get(role_id, []), evidence.get(role_id, []))
            + Elements({}, operating=hours.get(role_id, 0) * CYCLE, failures=failures.get(role_id, 0)),
        )
        for role_id in role_ids
    )
    total = reduce(add, (role.elements for role in roles), NOTHING)
    return ContractOutcome(contract, start, until, roles, total, earnings(contract, _hours(total.operating), _share(total)))


def _hours(time: timedelta) -> Decimal:
    return Decimal(time // timedelta(seconds=1)) / Decimal(_HOUR // timedelta(seconds=1))


def _share(elements: Elements) -> Decimal | None:
    """Contract availability, exactly: money must not depend on how a float rounds."""
    up, down = (Decimal(time // timedelta(microseconds=1)) for time in (elements.counted_up, elements.counted_down))
    return up / (up + down) if up + down else None
