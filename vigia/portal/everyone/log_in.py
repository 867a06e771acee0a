"""Logging in and out."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from vigia.api.errors import LogInRefusedError, TooManyAttemptsError
from vigia.api.session import Visitor, clear_cookie, log_in, log_out, set_cookie
from vigia.portal.language import N_, NAMES, language_of
from vigia.portal.look import look_of, remember
from vigia.portal.rendering import answer, plain_ui

router = APIRouter()

REFUSED = N_("The login or the password is wrong. Check both and try again.")
EMPTY = N_("Enter your login and your password.")
WAIT = N_("Too many failed attempts. Try again in %(duration)s.")


@dataclass(frozen=True)
class LogInPage:
    """The log-in form. `error` is empty at first; `login` keeps what was typed; `next_path` is where to go afterwards."""

    error: str = ""
    login: str = ""
    next_path: str = "/"


@router.get("/login")
async def show(request: Request, caller: Visitor, next: str = "/") -> Response:  # noqa: A002 - the address's own word
    """The form; who is logged in already goes on."""
    if caller is not None:
        return RedirectResponse(_inside(next), 303)
    return answer("everyone/log_in.html", LogInPage(next_path=_inside(next)), plain_ui(request))


@router.post("/login")
async def enter(
    request: Request,
    login: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the form's own word
) -> Response:
    """Open a session, or say what is wrong and keep the login."""
    language = language_of(look_of(request, None).language)
    try:
        if not login.strip() or not password:
            return _again(request, language.text(EMPTY), login, next)
        logged_in = await log_in(request, login, password)
    except LogInRefusedError:
        return _again(request, language.text(REFUSED), login, next)
    except TooManyAttemptsError as error:
        minutes = max(1, -(-error.retry_after_s // 60))
        duration = language.plural("%(count)s minute", "%(count)s minutes", minutes)
        return _again(request, language.text(WAIT, duration=duration), login, next, 429)
    response = RedirectResponse(_inside(next), 303)
    set_cookie(request, response, logged_in)
    remember(request, response, look_of(request, logged_in.session))
    return response


@router.post("/logout")
async def leave(request: Request, caller: Visitor) -> Response:
    """End the session; without one there is nothing to end."""
    if caller is not None:
        await log_out(request)
    response = RedirectResponse("/login", 303)
    clear_cookie(request, response)
    return response


@router.post("/language")
async def choose_language(request: Request, language: Annotated[str, Form()], next: Annotated[str, Form()] = "/login") -> Response:  # noqa: A002
    """The language of the log-in page, kept in this browser."""
    response = RedirectResponse(_inside(next), 303)
    if language in NAMES:
        remember(request, response, look_of(request, None).with_choices({"language": language}))
    return response


def _again(request: Request, error: str, login: str, next_path: str, status: int = 401) -> Response:
    return answer("everyone/log_in.html", LogInPage(error, login[:200], _inside(next_path)), plain_ui(request), status)


def _inside(path: str) -> str:
    """`path` if it is a page of ours, else the first page: a link may not lead elsewhere after log-in."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path and "\r" not in path else "/"
