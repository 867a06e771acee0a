"""The outcome of a period as pages show it: availability against the guarantee, hours, fee and credits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from vigia.domain.availability import Category, Elements
from vigia.portal.charts import StackPart, percent, stack
from vigia.workflows.close_period import ContractOutcome, Outcome

# From what counts for the guarantee to what does not: the order of bars and tables.
SHOWN = (
    Category.UP,
    Category.DERATED,
    Category.SUPPLIER_PLANNED_EXCESS,
    Category.SUPPLIER_DOWN,
    Category.PLANNED_AGREED,
    Category.CUSTOMER_IDLE,
    Category.CUSTOMER_CAUSED,
    Category.EXTERNAL_UTILITY,
    Category.FORCE_MAJEURE,
    Category.DATA_UNKNOWN,
)

_LOWEST_SHOWN = 0.9
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Period:
    """A stretch of fleet time and its name in the address: a month ('2026-01') or 'all'."""

    code: str
    start: datetime
    until: datetime


@dataclass(frozen=True)
class TimeUse:
    """Hours by category, of a role or of many. `availability` is the contract's; None when no time counted."""

    parts: tuple[StackPart, ...]
    hours: Mapping[str, float]
    total: float
    availability: float | None
    m10: float | None
    m12: float | None
    operating: float
    failures: int


@dataclass(frozen=True)
class ContractView:
    """A contract's part of the period. `margin` is availability less guarantee, in percentage points; None without data."""

    contract_id: int
    customer_id: int
    name: str
    tier: str
    currency: str
    rate: Decimal
    guarantee: float
    margin: float | None
    met: bool
    hours: float
    fee: Decimal
    credit: Decimal
    net: Decimal
    credit_cap: float
    credit_per_point: float
    value_at: str
    aim_at: str
    time: TimeUse
    roles: Mapping[int, TimeUse]


def time_use(elements: Elements) -> TimeUse:
    """Hours of each category and the figures made of them."""
    hours = {category.value: elements.of(category) / _HOUR for category in SHOWN}
    return TimeUse(
        parts=stack([(category.value, hours[category.value]) for category in SHOWN]),
        hours=hours,
        total=elements.total / _HOUR,
        availability=elements.contract_availability,
        m10=elements.time_based_availability,
        m12=elements.restoration_based_availability,
        operating=elements.operating / _HOUR,
        failures=elements.failures,
    )


def contract_view(part: ContractOutcome) -> ContractView:
    """A contract's outcome, ready to be shown."""
    contract, earned = part.contract, part.earnings
    share = part.elements.contract_availability
    guarantee = float(contract.guaranteed_availability)
    lowest = min(_LOWEST_SHOWN, guarantee - 0.05, (share if share is not None else 1.0) - 0.02)
    return ContractView(
        contract_id=contract.contract_id,
        customer_id=contract.customer_id,
        name=contract.name,
        tier=contract.tier,
        currency=contract.currency,
        rate=contract.rate_per_hour,
        guarantee=guarantee,
        margin=None if share is None else 100 * (share - guarantee),
        met=share is None or share >= guarantee,
        hours=float(earned.hours_delivered),
        fee=earned.fee,
        credit=earned.credit,
        net=earned.net,
        credit_cap=float(contract.credit_cap),
        credit_per_point=float(contract.credit_per_point),
        value_at=percent(((share if share is not None else lowest) - lowest) / (1 - lowest)),
        aim_at=percent((guarantee - lowest) / (1 - lowest)),
        time=time_use(part.elements),
        roles={role.role_id: time_use(role.elements) for role in part.roles},
    )


def contract_views(outcome: Outcome) -> tuple[ContractView, ...]:
    """Every contract of the outcome; those with least margin first."""
    views = [contract_view(part) for part in outcome.contracts]
    return tuple(sorted(views, key=lambda view: (view.margin is None, view.margin or 0.0)))


def month_of(now: datetime) -> Period:
    """The month so far; at its very start, its first hour."""
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Period(f"{start:%Y-%m}", start, max(now, start + _HOUR))


def periods(earliest: datetime, now: datetime) -> tuple[Period, ...]:
    """'all' and every month from `earliest` to `now`, newest first."""
    months = [month_of(now)]
    while months[-1].start > earliest:
        last = months[-1].start
        months.append(month_of(last - _HOUR))
        months[-1] = Period(months[-1].code, months[-1].start, last)
    return (Period("all", earliest, max(now, earliest + _HOUR)), *months)


def chosen(offered: Sequence[Period], code: str | None) -> Period:
    """The period of that code, else the month so far."""
    return next((period for period in offered if period.code == code), offered[1])
