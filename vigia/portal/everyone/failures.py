"""Error pages in the look of the others: what happened, and what to do now."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from vigia.api.problems import Problem
from vigia.api.session import optional_caller
from vigia.errors import VigiaError
from vigia.portal.language import N_
from vigia.portal.rendering import answer, plain_ui
from vigia.store.sessions import Session


@dataclass(frozen=True)
class ErrorPage:
    """An error for a person. `incident` is the id under which it is logged, empty if it is not."""

    title: str
    advice: str
    icon: str
    incident: str
    retry: bool


_PAGES: Mapping[int, tuple[str, str, str]] = {
    403: (
        N_("This page is not for your account"),
        N_("Your account may not see or do this. If you need it, ask your service contact."),
        "lock",
    ),
    404: (
        N_("There is nothing here"),
        N_("The address may be old, or what it names belongs to someone else. Start again from the first page."),
        "info",
    ),
    422: (N_("That could not be understood"), N_("Part of the address or the form is not valid. Go back and try again."), "info"),
    429: (N_("Too many attempts"), N_("Wait a little, then try again."), "clock"),
    500: (
        N_("Something failed on our side"),
        N_("Nothing you did is wrong. Try again; if it stays, tell us the incident number."),
        "failure",
    ),
    503: (
        N_("The system is restarting"),
        N_("The database does not answer. No reading is lost: the gateways keep them. This page tries again by itself."),
        "lost",
    ),
}


async def error_page(request: Request, problem: Problem) -> Response | None:
    """The page for `problem`; the log-in when that is what is missing; None for a program, which gets problem+json."""
    if "text/html" not in request.headers.get("Accept", "") or request.url.path == "/openapi.json":
        return None
    if problem.status == HTTPStatus.UNAUTHORIZED:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        target = f"/login?next={quote(path)}" if request.method == "GET" and path != "/" else "/login"
        return RedirectResponse(target, 303)
    ui = plain_ui(request, await _caller(request))
    title, advice, icon = _PAGES.get(problem.status) or _PAGES[500 if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else 422]
    page = ErrorPage(
        title=ui.language.text(title),
        advice=ui.language.text(advice),
        icon=icon,
        incident=str(problem.extra.get("incident", "")),
        retry=problem.status == HTTPStatus.SERVICE_UNAVAILABLE,
    )
    response = answer("everyone/error.html", page, ui, problem.status)
    response.headers.update(problem.headers)
    return response


async def _caller(request: Request) -> Session | None:
    """Who asks, for the menu; nobody when that cannot be found out now."""
    try:
        return await optional_caller(request)
    except VigiaError:
        return None
