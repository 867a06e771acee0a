"""Failure cases: one asset, one failure mode, from the first sign to the fix."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from vigia.api.fields import Id, IdFilter
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction

router = APIRouter(prefix="/api/v1", tags=["alarms"])


class FailureCaseRow(RowModel):
    """A failure that is expected or has happened."""

    failure_case_id: int = Field(examples=[8])
    customer_id: int = Field(examples=[2])
    role_id: int = Field(examples=[5])
    role: str = Field(examples=["A320-07 left"])
    asset_id: int = Field(examples=[12])
    serial_number: str = Field(examples=["ESN-0081"])
    failure_mode: str = Field(examples=["hpc_degradation"])
    opened_at: datetime
    closed_at: datetime | None = Field(description="Null while open.")
    failed_at: datetime | None = Field(description="When the machine did fail; null if it did not.")
    prediction_id: int | None = Field(description="The prediction that opened it.", examples=[9001])
    work_order_id: int | None = Field(description="The newest order for it.", examples=[4])


FAILURE_CASES = Listing("failure-cases", "list_failure_cases", FailureCaseRow, lambda row: row.failure_case_id)


@router.get("/failure-cases", operation_id="list_failure_cases")
async def list_failure_cases(
    tx: Transaction, asked: PageAsked, state: Annotated[Literal["open", "closed"] | None, Query()] = None, asset_id: IdFilter = None
) -> Page[FailureCaseRow]:
    """Failure cases, newest first."""
    return await FAILURE_CASES.page(tx, asked, open=None if state is None else state == "open", asset_id=asset_id)


@router.get("/failure-cases/{failure_case_id}", operation_id="get_failure_case", responses=declared(404))
async def get_failure_case(failure_case_id: Id, tx: Transaction) -> FailureCaseRow:
    """One failure case."""
    return await FAILURE_CASES.one(tx, failure_case_id)
