"""Power by the hour: what a contract promises, what a period earned under it and what is credited back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

_CENT = Decimal("0.01")
_POINTS = Decimal(100)


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
