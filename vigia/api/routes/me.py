"""The caller's own account."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from vigia.api.session import Caller
from vigia.store.accounts import AccountKind, Language

router = APIRouter(prefix="/api/v1", tags=["session"])


class Me(BaseModel):
    """Who the session belongs to."""

    account_id: int = Field(examples=[7])
    customer_id: int | None = Field(description="Null for the manufacturer's staff.", examples=[2])
    kind: AccountKind
    login: str = Field(examples=["ana@aurora.example"])
    name: str = Field(examples=["Ana Ruiz"])
    language: Language
    expires_at: datetime = Field(description="When the session ends if it is not used.", examples=["2026-03-01T12:00:00Z"])


@router.get("/me", operation_id="me")
async def me(caller: Caller) -> Me:
    """The account the session belongs to."""
    return Me(
        account_id=caller.account_id,
        customer_id=caller.customer_id,
        kind=caller.kind,
        login=caller.login,
        name=caller.name,
        language=caller.language,
        expires_at=caller.expires_at,
    )
