"""Customers and their sites."""

from fastapi import APIRouter
from pydantic import Field

from vigia.api.fields import Id, IdFilter
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction

router = APIRouter(prefix="/api/v1", tags=["equipment"])


class CustomerRow(RowModel):
    """A customer of the manufacturer."""

    customer_id: int = Field(examples=[2])
    code: str = Field(description="Also the group id on the wire.", examples=["aurora"])
    name: str = Field(examples=["Aurora Air"])


class SiteRow(RowModel):
    """A place where machines stand."""

    site_id: int = Field(examples=[3])
    customer_id: int = Field(examples=[2])
    customer: str = Field(examples=["Aurora Air"])
    code: str = Field(examples=["aurora-bcn"])
    name: str = Field(examples=["Barcelona"])
    time_zone: str = Field(examples=["Europe/Madrid"])
    assets: int = Field(description="Machines that stand there now.", examples=[4])


CUSTOMERS = Listing("customers", "list_customers", CustomerRow, lambda row: row.customer_id)
SITES = Listing("sites", "list_sites", SiteRow, lambda row: row.site_id)


@router.get("/customers", operation_id="list_customers")
async def list_customers(tx: Transaction, asked: PageAsked) -> Page[CustomerRow]:
    """Customers: for staff all of them, for a customer its own."""
    return await CUSTOMERS.page(tx, asked)


@router.get("/customers/{customer_id}", operation_id="get_customer", responses=declared(404))
async def get_customer(customer_id: Id, tx: Transaction) -> CustomerRow:
    """One customer."""
    return await CUSTOMERS.one(tx, customer_id)


@router.get("/sites", operation_id="list_sites")
async def list_sites(tx: Transaction, asked: PageAsked, customer_id: IdFilter = None) -> Page[SiteRow]:
    """Sites."""
    return await SITES.page(tx, asked, customer_id=customer_id)


@router.get("/sites/{site_id}", operation_id="get_site", responses=declared(404))
async def get_site(site_id: Id, tx: Transaction) -> SiteRow:
    """One site."""
    return await SITES.one(tx, site_id)
