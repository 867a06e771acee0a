"""Power by the hour: what a contract promises, what a period earned under it and what is credited back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Self

from vigia.domain.errors import InvalidValueError

_CENT = Decimal("0.01")
_POINTS = Decimal(100)
_TOO_MUCH = Decimal(10) ** 12
_LEAST_UNITS = 5
_TIME_UNITS = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "wk": timedelta(weeks=1),
    "a": timedelta(days=365.25),
}
"""Life units that are times (UCUM)."""


@dataclass(frozen=True)
class Contract:
    """A customer's contract. Shares are between 0 and 1; money is in `currency`.

    credit_per_point : share of the fee credited per percentage point of availability below the guarantee
    credit_cap : the largest share of the fee that can be credited
    predictive_lead, corrective_lead : from the order (the failure) to the visit
    """

    contract_id: int
    customer_id: int
    name: str
    tier: str
    starts_at: datetime
    ends_at: datetime | None
    currency: str
    rate_per_hour: Decimal
    guaranteed_availability: Decimal
    credit_per_point: Decimal
    credit_cap: Decimal
    predictive_lead: timedelta
    corrective_lead: timedelta
    visit_duration: timedelta


@dataclass(frozen=True)
class ContractCosts:
    """What the manufacturer pays under a contract for machines of one model, in the contract's currency; the orders are timed by it.

    failure : a failure that no visit forestalled: repair, secondary damage, credits, a replacement in haste
    visit : a planned visit with what it replaces
    lost_life : each life unit that a machine had left when it was replaced
    """

    failure: Decimal
    visit: Decimal
    lost_life: Decimal

    def __post_init__(self) -> None:
        """Raise InvalidValueError for what is no amount of money."""
        if not all(amount.is_finite() and 0 <= amount < _TOO_MUCH for amount in (self.failure, self.visit, self.lost_life)):
            raise InvalidValueError("Costs are three amounts of money, each 0 or more: a failure, a visit, a life unit thrown away.")

    @classmethod
    def of(cls, failure: Decimal | None, visit: Decimal | None, lost_life: Decimal | None) -> Self | None:
        """The costs, None where none is stated. Raises InvalidValueError for a part of them, and for what is no amount of money."""
        if failure is None and visit is None and lost_life is None:
            return None
        if failure is None or visit is None or lost_life is None:
            raise InvalidValueError("State all three costs, a failure, a visit and a life unit thrown away, or none of them.")
        return cls(failure, visit, lost_life)


def life_within(time: timedelta, life_unit: str, *, units: int, span: timedelta) -> float | None:
    """The life that a machine uses in `time`, in its life unit; None if nobody can tell yet.

    Where that is a time (UCUM), the clock's, which no machine outruns; else at the pace at which it used `units` in `span` of late, of
    which there must be a few.
    """
    if life_unit in _TIME_UNITS:
        return time / _TIME_UNITS[life_unit]
    return time / span * units if units >= _LEAST_UNITS and span else None


@dataclass(frozen=True)
class Earnings:
    """What a period came to. `credit_share` is the share of `fee` given back as `credit`; `net` is the rest."""

    hours_delivered: Decimal
    fee: Decimal
    points_below: Decimal
    credit_share: Decimal
    credit: Decimal
    net: Decimal


def earnings(contract: Contract, hours_delivered: Decimal, availability: Decimal | None) -> Earnings:
    """What the period earned: hours times rate, less the credit for availability below the guarantee.

    Fractions of a percentage point are credited in proportion. `availability` is None when no time counted: then nothing is
    credited. Money is rounded half up to the cent, once, at the end.
    """
    fee = hours_delivered * contract.rate_per_hour
    below = Decimal(0) if availability is None else max(Decimal(0), contract.guaranteed_availability - availability) * _POINTS
    share = min(contract.credit_cap, below * contract.credit_per_point)
    rounded_fee = fee.quantize(_CENT, ROUND_HALF_UP)
    credit = (fee * share).quantize(_CENT, ROUND_HALF_UP)
    return Earnings(hours_delivered, rounded_fee, below, share, credit, rounded_fee - credit)
