"""Findings: what a detector found unusual in a point's readings."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from vigia.api.fields import BigId, From, IdFilter, Until
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction

router = APIRouter(prefix="/api/v1", tags=["predictions"])


class FindingRow(RowModel):
    """Something unusual, and why it is."""

    finding_id: int = Field(examples=[77])
    customer_id: int = Field(examples=[2])
    asset_id: int = Field(examples=[12])
    serial_number: str = Field(examples=["ESN-0081"])
    point_id: int = Field(examples=[101])
    point: str = Field(examples=["T50"])
    unit: str = Field(description="Of the point (UCUM).", examples=["[degR]"])
    detector: str = Field(examples=["drift"])
    at: datetime = Field(description="Source time of the reading.")
    over_at: datetime | None = Field(description="Source time of the reading it was over with; null while it is under way.")
    score: float = Field(description="In multiples of the detector's threshold.", examples=[1.4])
    why: dict[str, Any] = Field(description="What the detector compared.")
    second_opinion: dict[str, Any] | None = Field(
        description="Whether the channel's recent shape was ever seen in health, told shortly after the alarm by a matrix profile: "
        "`p_value` is the share of healthy stretches as unlike the rest, `nearest_at` its nearest healthy likeness; "
        "`refused` says why there is no answer.",
    )


FINDINGS = Listing("findings", "list_findings", FindingRow, lambda row: row.finding_id)


@router.get("/findings", operation_id="list_findings")
async def list_findings(
    tx: Transaction, asked: PageAsked, asset_id: IdFilter = None, since: From = None, until: Until = None
) -> Page[FindingRow]:
    """Findings, newest first."""
    return await FINDINGS.page(tx, asked, asset_id=asset_id, since=since, until=until)


@router.get("/findings/{finding_id}", operation_id="get_finding", responses=declared(404))
async def get_finding(finding_id: BigId, tx: Transaction) -> FindingRow:
    """One finding."""
    return await FINDINGS.one(tx, finding_id)
