"""Contracts: what is promised, and what was delivered."""

from datetime import datetime, timedelta
from decimal import Decimal

from fastapi import APIRouter
from pydantic import Field

from vigia.api.fields import Id, IdFilter
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction

router = APIRouter(tags=["outcome"])


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
