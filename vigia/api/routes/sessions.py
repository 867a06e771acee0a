"""Log in and out over REST."""

from datetime import datetime

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field

from vigia.api import session
from vigia.api.fields import Name
from vigia.api.problems import declared
from vigia.api.session import Caller
from vigia.api.state import state_of

router = APIRouter(prefix="/api/v1", tags=["session"])


class Credentials(BaseModel):
    """What a person or program knows."""

    model_config = ConfigDict(extra="forbid")

    login: Name = Field(examples=["ana@aurora.example"])
    password: str = Field(min_length=1, max_length=1000, examples=["a long sentence"])


class OpenedSession(BaseModel):
    """A session. The token is shown once."""

    token: str = Field(description="For programs: send it as `Authorization: Bearer <token>`.")
    csrf_token: str = Field(description="For pages: send it in X-CSRF-Token with every unsafe request.")
    expires_at: datetime = Field(description="Use before this moment renews the session.", examples=["2026-03-01T12:00:00Z"])


@router.post("/session", status_code=status.HTTP_201_CREATED, operation_id="log_in", responses=declared(401, 403, 429))
async def log_in(credentials: Credentials, request: Request, response: Response) -> OpenedSession:
    """Log in. Sets the session cookie and returns the same token for programs."""
    opened = await session.log_in(request, credentials.login, credentials.password)
    session.set_cookie(request, response, opened)
    return OpenedSession(token=opened.token, csrf_token=opened.session.csrf_token, expires_at=opened.session.expires_at)


@router.delete("/session", status_code=status.HTTP_204_NO_CONTENT, operation_id="log_out", responses=declared(401, 403))
async def log_out(caller: Caller, request: Request, response: Response) -> None:
    """End this session everywhere it is used."""
    await session.log_out(request)
    state_of(request).hub.end(caller)
    session.clear_cookie(request, response)
