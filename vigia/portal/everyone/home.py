"""The address `/`: each kind of account has its own first page."""

from fastapi import APIRouter, Request, Response

from vigia.api.session import Caller, Transaction
from vigia.portal.customer import overview
from vigia.portal.operations import worklist
from vigia.portal.technician import today

router = APIRouter()


@router.get("/")
async def show(request: Request, caller: Caller, tx: Transaction) -> Response:
    """The first page of the caller."""
    match caller.kind:
        case "customer":
            return await overview.show(request, caller, tx)
        case "service_manager":
            return await worklist.show(request, caller, tx)
        case "technician":
            return await today.show(request, caller, tx)
