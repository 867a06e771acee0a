"""Contracts: what is promised, and what was delivered."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from vigia.api.errors import BadRangeError, NotInForceError
from vigia.api.fields import From, Id, IdFilter, Until
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction
from vigia.domain.availability import COUNTED_DOWN, COUNTED_UP, Category, Elements
from vigia.store import fleet
from vigia.workflows import close_period

router = APIRouter(prefix="/api/v1", tags=["outcome"])
HOUR = timedelta(hours=1)


class ContractRow(RowModel):
    """Power by the hour with a guaranteed availability. Money is a decimal string in `currency`."""

    contract_id: int = Field(examples=[1])
    customer_id: int = Field(examples=[2])
    name: str = Field(examples=["Power by the hour"])
    tier: str = Field(examples=["gold"])
    starts_at: datetime
    ends_at: datetime | None
    currency: str = Field(description="ISO 4217.", examples=["EUR"])
    rate_per_hour: Decimal = Field(description="For each hour delivered, in currency.", examples=["420.00"])
    guaranteed_availability: float = Field(description="Share of the counted time, 0 to 1.", examples=[0.985])
    credit_per_point: float = Field(description="Share of the fee credited per percentage point below the guarantee.", examples=[0.02])
    credit_cap: float = Field(description="Largest share of the fee that can be credited.", examples=[0.25])
    predictive_lead: timedelta = Field(description="From the order to the visit, failure predicted (ISO 8601).", examples=["PT8H"])
    corrective_lead: timedelta = Field(description="From the failure to the visit (ISO 8601).", examples=["P2D"])
    visit_duration: timedelta = Field(description="ISO 8601.", examples=["PT4H"])


CONTRACTS = Listing("contracts", "list_contracts", ContractRow, lambda row: row.contract_id)


@router.get("/contracts", operation_id="list_contracts")
async def list_contracts(tx: Transaction, asked: PageAsked, customer_id: IdFilter = None) -> Page[ContractRow]:
    """Contracts."""
    return await CONTRACTS.page(tx, asked, customer_id=customer_id)


@router.get("/contracts/{contract_id}", operation_id="get_contract", responses=declared(404))
async def get_contract(contract_id: Id, tx: Transaction) -> ContractRow:
    """One contract."""
    return await CONTRACTS.one(tx, contract_id)


class TimeInCategory(BaseModel):
    """Time that fell into one IEC 61400-26 category."""

    category: Category
    hours: float = Field(examples=[719.5])
    counted: Literal["up", "down", "excluded"] = Field(description="How the guarantee counts it.")


class RoleOutcome(BaseModel):
    """One place's part of the outcome."""

    role_id: int = Field(examples=[5])
    operating_hours: float = Field(examples=[700])
    failures: int = Field(examples=[0])
    contract_availability: float | None = Field(description="Counted up / (counted up + counted down); null when no time counts.")
    time: list[TimeInCategory] = Field(description="Every category that took any time.")


class Outcome(BaseModel):
    """What a contract's period came to. Ratios are made of sums over all places. Money is a decimal string in `currency`."""

    contract_id: int = Field(examples=[1])
    since: datetime = Field(serialization_alias="from", description="Not before the contract's start.")
    until: datetime = Field(description="Not after the contract's end.")
    hours_delivered: Decimal = Field(examples=["2870"])
    guaranteed_availability: float = Field(examples=[0.985])
    contract_availability: float | None = Field(description="Counted up / (counted up + counted down).", examples=[0.991])
    time_based_availability: float | None = Field(description="EN 15341 M10.", examples=[0.992])
    restoration_based_availability: float | None = Field(description="EN 15341 M12.", examples=[0.995])
    failures: int = Field(examples=[1])
    mtbf_hours: float | None = Field(description="Mean operating time between failures; null without a failure.")
    mtbf_hours_at_least: float | None = Field(description="Without a failure: the mean exceeded with 95 % confidence.")
    mttr_hours: float | None = Field(description="Mean time to restoration; null without a failure.")
    currency: str = Field(description="ISO 4217.", examples=["EUR"])
    fee: Decimal = Field(examples=["1205400.00"])
    points_below: Decimal = Field(description="Percentage points below the guarantee.", examples=["0"])
    credit: Decimal = Field(description="Given back to the customer.", examples=["0.00"])
    net: Decimal = Field(examples=["1205400.00"])
    time: list[TimeInCategory] = Field(description="Over all places: every category that took any time.")
    roles: list[RoleOutcome]


@router.get("/contracts/{contract_id}/outcome", operation_id="get_outcome", responses=declared(404))
async def get_outcome(contract_id: Id, tx: Transaction, since: From = None, until: Until = None) -> Outcome:
    """What was delivered and earned, by default from the contract's start until now (fleet time)."""
    contract = await CONTRACTS.one(tx, contract_id)
    start, end = since or contract.starts_at, until or await fleet.now(tx)
    if end <= start:
        raise BadRangeError
    period = await close_period.handle(tx, start, end, contract.customer_id)
    for part in period.contracts:
        if part.contract.contract_id == contract_id:
            return _outcome(part)
    raise NotInForceError


def _outcome(part: close_period.ContractOutcome) -> Outcome:
    total, money = part.elements, part.earnings
    return Outcome(
        contract_id=part.contract.contract_id,
        since=part.start,
        until=part.until,
        hours_delivered=money.hours_delivered,
        guaranteed_availability=float(part.contract.guaranteed_availability),
        contract_availability=total.contract_availability,
        time_based_availability=total.time_based_availability,
        restoration_based_availability=total.restoration_based_availability,
        failures=total.failures,
        mtbf_hours=_hours(total.mtbf),
        mtbf_hours_at_least=_hours(total.mtbf_lower_bound()),
        mttr_hours=_hours(total.mttr),
        currency=part.contract.currency,
        fee=money.fee,
        points_below=money.points_below,
        credit=money.credit,
        net=money.net,
        time=_time(total),
        roles=[
            RoleOutcome(
                role_id=role.role_id,
                operating_hours=role.elements.operating / HOUR,
                failures=role.elements.failures,
                contract_availability=role.elements.contract_availability,
                time=_time(role.elements),
            )
            for role in part.roles
        ],
    )


def _time(elements: Elements) -> list[TimeInCategory]:
    return [
        TimeInCategory(category=category, hours=elements.of(category) / HOUR, counted=_counted(category))
        for category in Category
        if elements.of(category)
    ]


def _counted(category: Category) -> Literal["up", "down", "excluded"]:
    if category in COUNTED_UP:
        return "up"
    return "down" if category in COUNTED_DOWN else "excluded"


def _hours(time: timedelta | None) -> float | None:
    return None if time is None else time / HOUR
