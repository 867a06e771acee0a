"""Every error leaves as a problem (RFC 9457). One table says which error has which status; nothing else does.

A problem never contains an id the caller asked for: another customer's id and a missing one give the same body.
"""

import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from vigia.api import errors
from vigia.domain.errors import (
    IdentityRefusedError,
    InvalidValueError,
    NotFoundError,
    SpareUnavailableError,
    TokenRefusedError,
    TransitionRefusedError,
)
from vigia.errors import VigiaError
from vigia.store.database import DatabaseUnavailableError, TransactionConflictError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5

log = structlog.get_logger()


@dataclass(frozen=True)
class Kind:
    """A sort of problem: the last part of its type, its status and title."""

    name: str
    status: int
    title: str


KINDS: Mapping[type[VigiaError], Kind] = {
    errors.NotLoggedInError: Kind("not-logged-in", 401, "Not logged in"),
    errors.LogInRefusedError: Kind("log-in-refused", 401, "Log-in refused"),
    errors.TooManyAttemptsError: Kind("too-many-attempts", 429, "Too many attempts"),
    errors.ForgedRequestError: Kind("forged-request", 403, "CSRF token missing or wrong"),
    errors.ForbiddenError: Kind("forbidden", 403, "Not allowed"),
    errors.NotFoundError: Kind("not-found", 404, "Not found"),
    errors.BadCursorError: Kind("bad-cursor", 400, "Cursor not understood"),
    errors.BadRangeError: Kind("bad-range", 400, "Range not understood"),
    errors.NotInForceError: Kind("not-in-force", 400, "Contract not in force"),
    errors.TooMuchDataError: Kind("too-much-data", 400, "Too much data"),
    errors.UnknownPointError: Kind("unknown-point", 422, "No such point"),
    NotFoundError: Kind("not-found", 404, "Not found"),
    InvalidValueError: Kind("invalid-value", 422, "Value not accepted"),
    TransitionRefusedError: Kind("transition-refused", 409, "Not possible in this state"),
    SpareUnavailableError: Kind("no-spare", 409, "No spare available"),
    TokenRefusedError: Kind("token-refused", 401, "Token refused"),
    IdentityRefusedError: Kind("identity-refused", 401, "Identity refused"),
    DatabaseUnavailableError: Kind("database-unavailable", 503, "Database unavailable"),
    TransactionConflictError: Kind("conflict", 503, "Others were in the way"),
}

# Whoever raised it, these have one wording: the first must not tell what exists for others, the second not where the database is.
FIXED_DETAILS = {404: str(errors.NotFoundError()), 503: "The database does not answer just now; try again."}

INVALID = Kind("invalid", 422, "Input not valid")
INTERNAL = Kind("internal", 500, "Something failed here")


@dataclass(frozen=True)
class Problem:
    """One error as it is told to the caller."""

    kind: Kind
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.status

    def body(self) -> dict[str, Any]:
        """The problem+json object."""
        return {
            "type": f"/problems/{self.kind.name}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            **self.extra,
        }

    def response(self) -> Response:
        """The problem+json response."""
        return JSONResponse(self.body(), self.kind.status, headers=dict(self.headers), media_type=MEDIA_TYPE)


class InvalidField(BaseModel):
    """One fault of the input."""

    where: str = Field(description="Path, query, header or body field.", examples=["query.limit"])
    message: str = Field(examples=["Input should be less than or equal to 1000"])


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="What sort of problem; the address explains it.", examples=["/problems/not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["Nothing with that id is visible to you."])
    errors: list[InvalidField] | None = Field(default=None, description="Only for invalid input: each fault.")
    incident: str | None = Field(default=None, description="Only for failures of the server: the id under which it is logged.")


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may fail with these statuses."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        for status in sorted(statuses)
    }


def problem_of(error: Exception) -> Problem:
    """How `error` is told; what nobody foresaw is logged under an incident id and told without detail."""
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        phrase = HTTPStatus(error.status_code).phrase
        kind = Kind(phrase.lower().replace(" ", "-"), error.status_code, phrase)
        return Problem(kind, str(error.detail), dict(error.headers or {}))
    for cls in type(error).__mro__:
        kind_of_error = KINDS.get(cls)
        if kind_of_error is not None:
            return Problem(kind_of_error, FIXED_DETAILS.get(kind_of_error.status, str(error)), _headers(error, kind_of_error))
    incident = str(uuid.uuid4())
    # Formatted here: a renderer that shows local variables would write people's data into the log.
    log.error("request failed", incident=incident, traceback="".join(traceback.format_exception(error)))
    return Problem(INTERNAL, "The failure is logged under the incident id.", extra={"incident": incident})


def _headers(error: Exception, kind: Kind) -> dict[str, str]:
    if kind.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="vigia"'}
    if kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(error, errors.TooManyAttemptsError):
        return {"Retry-After": str(error.retry_after_s)}
    return {}


def _invalid(error: RequestValidationError) -> Problem:
    faults = [{"where": ".".join(str(part) for part in fault["loc"]), "message": fault["msg"]} for fault in error.errors()]
    return Problem(INVALID, "The input does not have the form the documentation gives.", extra={"errors": faults})


ErrorPage = Callable[[Request, Problem], Awaitable[Response | None]]
Answer = Callable[[Request, Exception], Awaitable[Response]]


def answering(error_page: ErrorPage | None = None) -> Answer:
    """A handler that answers every error with a problem.

    Outside /api a person may be reading: `error_page` is asked first and may return a page, or None to leave it to problem+json.
    """

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if error_page is not None and not request.url.path.startswith("/api/"):
            page = await error_page(request, problem)
            if page is not None:
                return page
        return problem.response()

    return answer


def install(app: FastAPI, answer: Answer) -> None:
    """Let `answer` handle what `app`'s routes raise on purpose; the rest reaches the guard."""
    for kind in (VigiaError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
