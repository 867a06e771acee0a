"""Who is asking. Logging in and out, and the dependencies by which a route names its caller.

    async def finish(order_id: Id, caller: Technician, tx: Transaction) -> Finished: ...

reads: a technician's session is required, and `tx` shows what that technician may see. `tx` commits before the response leaves.
A browser sends the cookie, and with every unsafe request its CSRF token; a program sends `Authorization: Bearer <token>`.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from vigia.api import passwords
from vigia.api.errors import ForbiddenError, ForgedRequestError, LogInRefusedError, NotLoggedInError
from vigia.api.state import state_of
from vigia.store import accounts, sessions
from vigia.store.accounts import AccountKind
from vigia.store.database import DatabaseUnavailableError
from vigia.store.database import Transaction as StoreTransaction
from vigia.store.sessions import FRONT_DESK, Session

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

bearer_scheme = HTTPBearer(auto_error=False, description="The token that POST /api/v1/session returns.")


@dataclass(frozen=True)
class LoggedIn:
    """A log-in that has just succeeded: the token is known only now."""

    token: str
    session: Session


async def log_in(request: Request, login: str, password: str) -> LoggedIn:
    """Open a session for the account.

    Raises LogInRefusedError (same time and words whether the login exists or not), TooManyAttemptsError,
    ForgedRequestError when a page of another site sent the request.
    """
    _refuse_other_origin(request)
    state = state_of(request)
    login, address = login.strip().lower(), request.client.host if request.client else ""
    state.attempts.check(login, address)
    async with state.database.transaction(FRONT_DESK) as tx:
        account = await accounts.account_by_login(tx, login)
    known = await passwords.matches(password, account.password_hash if account else None)
    if account is None or not known or account.disabled_at is not None:
        state.attempts.failed(login, address)
        raise LogInRefusedError
    state.attempts.succeeded(login, address)
    now = datetime.now(UTC)
    async with state.database.transaction(FRONT_DESK) as tx:
        await sessions.delete_expired_sessions(tx, now)
        token = await sessions.open_session(tx, account.account_id, now, now + state.config.session_lifetime)
        found = await sessions.session(tx, token, now)
    if found is None:
        raise LogInRefusedError
    return LoggedIn(token, found)


async def log_out(request: Request) -> None:
    """End the session the request came with, if any."""
    token, _ = _token_of(request)
    if token is not None:
        state = state_of(request)
        async with state.database.transaction(FRONT_DESK) as tx:
            await sessions.close_session(tx, token)


def set_cookie(request: Request, response: Response, logged_in: LoggedIn) -> None:
    """Give the browser the session. The server decides when it ends; the cookie only outlives it."""
    config = state_of(request).config
    response.set_cookie(
        config.cookie_name,
        logged_in.token,
        max_age=int(config.session_limit.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Take the session from the browser."""
    response.delete_cookie(state_of(request).config.cookie_name, path="/")


async def still_valid(request: Request, caller: Session) -> bool:
    """Whether the session of a long answer still stands. True also while the database is away: it will be asked again."""
    state = state_of(request)
    try:
        async with state.database.transaction(FRONT_DESK) as tx:
            return await sessions.still_open(tx, caller, datetime.now(UTC))
    except DatabaseUnavailableError:
        return True


async def optional_caller(request: Request) -> Session | None:
    """The caller, or None without a valid session. For pages that also a visitor sees.

    Raises ForgedRequestError on an unsafe request that came by cookie without its CSRF token.
    """
    token, by_cookie = _token_of(request)
    if token is None:
        return None
    state, now = state_of(request), datetime.now(UTC)
    async with state.database.transaction(FRONT_DESK) as tx:
        found = await sessions.session(tx, token, now)
        if found is None or now >= found.created_at + state.config.session_limit:
            return None
        if found.expires_at - now < state.config.session_lifetime / 2:
            await sessions.renew_session(tx, found, min(now + state.config.session_lifetime, found.created_at + state.config.session_limit))
    if by_cookie and request.method not in SAFE_METHODS:
        await _refuse_without_csrf_token(request, found)
    return found


async def current_caller(
    caller: Annotated[Session | None, Depends(optional_caller)],
    _documented: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer_scheme)],
) -> Session:
    """The caller; NotLoggedInError without a valid session."""
    if caller is None:
        raise NotLoggedInError
    return caller


class Only:
    """A dependency: the caller, if its account is of one of the kinds; else ForbiddenError."""

    def __init__(self, *kinds: AccountKind) -> None:
        self.kinds = kinds

    async def __call__(self, caller: Annotated[Session, Depends(current_caller)]) -> Session:
        """The caller; ForbiddenError for another kind of account."""
        if caller.kind not in self.kinds:
            raise ForbiddenError
        return caller


async def caller_transaction(request: Request, caller: Annotated[Session, Depends(current_caller)]) -> AsyncIterator[StoreTransaction]:
    """A transaction that shows what the caller may see; committed before the response leaves, rolled back on an error.

    What only reads sees one moment: the numbers of a page never contradict each other.
    """
    async with state_of(request).database.transaction(caller.caller, snapshot=request.method in SAFE_METHODS) as tx:
        yield tx


Visitor = Annotated[Session | None, Depends(optional_caller)]
Caller = Annotated[Session, Depends(current_caller)]
Customer = Annotated[Session, Depends(Only("customer"))]
Technician = Annotated[Session, Depends(Only("technician"))]
ServiceManager = Annotated[Session, Depends(Only("service_manager"))]
Staff = Annotated[Session, Depends(Only("technician", "service_manager"))]
Transaction = Annotated[StoreTransaction, Depends(caller_transaction, scope="function")]


def _token_of(request: Request) -> tuple[str | None, bool]:
    """The token, and whether it came by cookie. A program's explicit header wins over the browser's cookie."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip(), False
    return request.cookies.get(state_of(request).config.cookie_name), True


async def _refuse_without_csrf_token(request: Request, found: Session) -> None:
    sent: object = request.headers.get(CSRF_HEADER)
    if sent is None and request.headers.get("Content-Type", "").startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        sent = (await request.form()).get(CSRF_FIELD)
    if not isinstance(sent, str) or not secrets.compare_digest(sent.encode("utf-8", "replace"), found.csrf_token.encode()):
        raise ForgedRequestError


def _refuse_other_origin(request: Request) -> None:
    """A log-in has no CSRF token yet: a browser says instead from which site's page it comes."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
        raise ForgedRequestError
