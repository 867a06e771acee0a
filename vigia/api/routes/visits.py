"""Visits: a technician booked for a work order."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from vigia.api.fields import Id, IdFilter
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction

router = APIRouter(prefix="/api/v1", tags=["work"])


class VisitRow(RowModel):
    """When someone comes."""

    visit_id: int = Field(examples=[6])
    customer_id: int = Field(examples=[2])
    work_order_id: int = Field(examples=[4])
    technician_id: int = Field(description="The technician's account.", examples=[9])
    technician: str | None = Field(examples=["Marta Gil"])
    site_id: int = Field(examples=[3])
    site: str = Field(examples=["Barcelona"])
    time_zone: str = Field(description="Of the site.", examples=["Europe/Madrid"])
    planned_from: datetime
    planned_until: datetime
    started_at: datetime | None
    finished_at: datetime | None


VISITS = Listing("visits", "list_visits", VisitRow, lambda row: row.visit_id)


@router.get("/visits", operation_id="list_visits")
async def list_visits(
    tx: Transaction,
    asked: PageAsked,
    state: Annotated[Literal["open", "finished"] | None, Query()] = None,
    work_order_id: IdFilter = None,
    technician_id: IdFilter = None,
) -> Page[VisitRow]:
    """Visits, newest first."""
    is_open = None if state is None else state == "open"
    return await VISITS.page(tx, asked, open=is_open, work_order_id=work_order_id, technician_id=technician_id)


@router.get("/visits/{visit_id}", operation_id="get_visit", responses=declared(404))
async def get_visit(visit_id: Id, tx: Transaction) -> VisitRow:
    """One visit."""
    return await VISITS.one(tx, visit_id)
