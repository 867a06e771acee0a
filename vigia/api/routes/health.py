"""For whoever operates the process."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from vigia.api.state import state_of
from vigia.store import listings

router = APIRouter(tags=["operation"])


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """The process can serve: the database answers."""

    status: Literal["ready"] = "ready"
    migration: str = Field(description="Name of the newest migration the database has had.", examples=["0001_initial"])


@router.get("/live", operation_id="live")
async def live() -> Live:
    """Is the process alive? Asks nothing else."""
    return Live()


@router.get("/ready", operation_id="ready")
async def ready(request: Request) -> Ready:
    """Can the process serve? 503 while the database is away."""
    async with state_of(request).database.transaction() as tx:
        return Ready(migration=await listings.migration(tx))
