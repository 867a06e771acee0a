"""What each number means: one page, one place a number, linked from wherever the number stands."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from vigia.api.session import Visitor
from vigia.portal.rendering import answer, plain_ui

router = APIRouter()


@dataclass(frozen=True)
class DefinitionsPage:
    """The page has no data of its own."""


@router.get("/definitions")
async def show(request: Request, caller: Visitor) -> Response:
    """The definitions; no log-in is needed."""
    return answer("everyone/definitions.html", DefinitionsPage(), plain_ui(request, caller))
