"""Failure models: which there are, which is in charge, which predicts in its shadow. For the manufacturer's staff."""

from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from vigia.api.fields import Id
from vigia.api.paging import Listing, Page, PageAsked, RowModel
from vigia.api.problems import declared
from vigia.api.session import ServiceManager, Staff, Transaction
from vigia.workflows import promote_model, shadow_model

router = APIRouter(prefix="/api/v1", tags=["models"])


class ModelRow(RowModel):
    """A version of a failure model."""

    model_version_id: int = Field(examples=[3])
    asset_model: str = Field(examples=["cmapss-fd001"])
    failure_mode: str = Field(examples=["hpc_degradation"])
    version: str = Field(examples=["20260101T120000Z-1a2b3c4d"])
    state: Literal["champion", "shadow", "withdrawn", "registered"] = Field(
        description="champion: its predictions act; shadow: it predicts beside it and nothing follows; withdrawn: it was rolled back."
    )
    metrics: dict[str, Any] = Field(description="Figures on machines that it had not seen, and the numbers its orders are decided by.")
    sha256: str = Field(description="Of the model file.")
    data_sha256: str | None = Field(description="Of what it learned from.")
    code_version: str | None = Field(description="Of the program that trained it.", examples=["0.1.0"])
    approved_by: int | None = Field(description="The account that put it in charge; null: nobody in person.")
    approved_at: datetime | None = Field(description="When it was put in charge last.")
    replaced_id: int | None = Field(description="The version in charge before it, to which a roll-back returns.")
    withdrawn_at: datetime | None
    drift: dict[str, Any] | None = Field(
        description="What was found last in charge: `day` of the fleet's time; `inputs`, the population stability index of each "
        "as it is and beside machines as worn; `resolved`, Brier score and share of lives in the 80 % interval where the outcome is known; "
        "`warnings` (`inputs`, `brier`, `interval`), what is beyond its limit."
    )
    created_at: datetime


MODELS = Listing("models", "list_models", ModelRow, lambda row: row.model_version_id)


@router.get("/models", operation_id="list_models", responses=declared(403))
async def list_models(_caller: Staff, tx: Transaction, asked: PageAsked) -> Page[ModelRow]:
    """Models, newest first."""
    return await MODELS.page(tx, asked)


@router.post("/models/{model_version_id}/promote", operation_id="promote_model", responses=declared(403, 404, 409))
async def promote(model_version_id: Id, caller: ServiceManager, tx: Transaction) -> ModelRow:
    """Put it in charge; the prognosis changes over by itself. The one before stays registered."""
    return await MODELS.one(tx, (await promote_model.handle(tx, model_version_id, datetime.now(UTC), caller.account_id)).model_version_id)


@router.post("/models/{model_version_id}/roll-back", operation_id="roll_back_model", responses=declared(403, 404, 409))
async def roll_back(model_version_id: Id, caller: ServiceManager, tx: Transaction) -> ModelRow:
    """Take it out of charge: the answer is the one before it, which is in charge again."""
    before = await promote_model.roll_back(tx, model_version_id, datetime.now(UTC), caller.account_id)
    return await MODELS.one(tx, before.model_version_id)


@router.post("/models/{model_version_id}/begin-shadow", operation_id="begin_shadow", responses=declared(403, 404, 409))
async def begin_shadow(model_version_id: Id, caller: ServiceManager, tx: Transaction) -> ModelRow:
    """Let it predict beside the one in charge, and nothing follow. Another one in the shadow leaves it."""
    return await MODELS.one(tx, (await shadow_model.begin(tx, model_version_id, caller.account_id)).model_version_id)


@router.post("/models/{model_version_id}/end-shadow", operation_id="end_shadow", responses=declared(403, 404, 409))
async def end_shadow(model_version_id: Id, caller: ServiceManager, tx: Transaction) -> ModelRow:
    """Take it out of the shadow; what it said there is kept."""
    return await MODELS.one(tx, (await shadow_model.end(tx, model_version_id, caller.account_id)).model_version_id)
