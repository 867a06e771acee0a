"""Predictions: failure probability and remaining life, with the reason."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from vigia.api.errors import NotFoundError
from vigia.api.fields import BigId, From, Id, IdFilter, Name, Until
from vigia.api.paging import Listing, Page, PageAsked, Paging, RowModel
from vigia.api.problems import declared
from vigia.api.session import Transaction

router = APIRouter(prefix="/api/v1", tags=["predictions"])


class HorizonProbability(BaseModel):
    """How likely a machine is to fail within a horizon."""

    horizon: float = Field(description="In life_unit.", examples=[60])
    probability: float = Field(description="0 to 1; never less than that of a shorter horizon.", examples=[0.97])


class PredictionRow(RowModel):
    """What was expected of a machine at one moment."""

    prediction_id: int = Field(examples=[9001])
    customer_id: int = Field(examples=[2])
    role_id: int = Field(examples=[5])
    asset_id: int = Field(examples=[12])
    serial_number: str = Field(examples=["ESN-0081"])
    failure_mode: str = Field(examples=["hpc_degradation"])
    at: datetime = Field(description="Source time of the newest reading used.")
    horizon: float = Field(description="In life_unit.", examples=[30])
    probability: float = Field(description="Of a failure within the horizon, 0 to 1.", examples=[0.83])
    probabilities: list[HorizonProbability] = Field(
        description="Of a failure within several horizons, shortest first; `horizon` and its `probability` are among them."
    )
    life_p10: float = Field(description="Lower end of the interval that holds the remaining life with 80 %, in life_unit.", examples=[14])
    life_p50: float = Field(description="Median remaining life, in life_unit.", examples=[22])
    life_p90: float = Field(description="Upper end of that interval, in life_unit.", examples=[35])
    life_unit: str = Field(description="UCUM.", examples=["{cycle}"])
    health: float = Field(description="0 (failed) to 100 (as new).", examples=[41.5])
    contributions: list[dict[str, Any]] = Field(
        description="Why, of every prediction: the points that moved it most, largest first. `lost` is the life that each has cost, in "
        "life_unit, beside the machine's own healthy values; below 0 it speaks for a longer life. `share` is that of the life lost, or "
        "of 5 where less is lost: where nothing points to a failure all are small. The point `age` is the machine's age, where nothing "
        "else counts.",
        examples=[[{"point": "Ps30", "share": 0.31, "lost": 24.2, "value": 48.1, "healthy": 47.3, "unit": "[psi]"}]],
    )
    similar_cases: list[dict[str, Any]] = Field(
        description="Where something points to a failure, known machines that once were most like this one, nearest first: a run of the "
        "training data or an order of the same customer (neither: another machine), the life it lived on from then in life_unit, how that "
        "ended (failed; confirmed: replaced with the failure on its way; sound: nothing was found), and how far apart they are in "
        "deviations.",
        examples=[[{"run": "12", "work_order_id": None, "lived_on": 38, "ended": "failed", "distance": 0.41}]],
    )
    model_version: str = Field(examples=["cmapss-fd001-hpc_degradation-1"])
    method: Literal["trees", "wear", "survival"] = Field(
        description="What it rests on: trees; with fewer than 10 known failures wear (how far the machine has worn) or survival (its age)."
    )


@dataclass(frozen=True)
class PredictionFilter:
    """Which predictions."""

    asset_id: IdFilter = None
    failure_mode: Annotated[Name | None, Query(examples=["hpc_degradation"])] = None
    since: From = None
    until: Until = None


PREDICTIONS = Listing("predictions", "list_predictions", PredictionRow, lambda row: row.prediction_id)


@router.get("/predictions", operation_id="list_predictions")
async def list_predictions(tx: Transaction, asked: PageAsked, only: Annotated[PredictionFilter, Depends()]) -> Page[PredictionRow]:
    """Predictions, newest first."""
    return await PREDICTIONS.page(tx, asked, **vars(only))


@router.get("/predictions/{prediction_id}", operation_id="get_prediction", responses=declared(404))
async def get_prediction(prediction_id: BigId, tx: Transaction) -> PredictionRow:
    """One prediction."""
    return await PREDICTIONS.one(tx, prediction_id)


@router.get("/assets/{asset_id}/predictions/latest", operation_id="get_latest_prediction", responses=declared(404))
async def get_latest_prediction(asset_id: Id, tx: Transaction) -> PredictionRow:
    """The newest prediction for an asset; 404 also when nothing is predicted yet."""
    latest = await PREDICTIONS.page(tx, Paging(limit=1), asset_id=asset_id)
    if not latest.items:
        raise NotFoundError
    return latest.items[0]
