"""Around every request: security headers, an access log line without personal data, and no exception past this point.

Plain ASGI, so that streams are passed on byte by byte.
"""

from time import perf_counter

import structlog
from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vigia.api.problems import Answer

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
}
HSTS = "max-age=31536000"

log = structlog.get_logger()


class Guard:
    """Wraps the app. What it serves is private unless a route says otherwise: no cache keeps it."""

    def __init__(self, app: ASGIApp, answer: Answer) -> None:
        self.app = app
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = perf_counter(), 0

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(scope, MutableHeaders(scope=message))
            await send(message)

        try:
            await self.app(scope, receive, send_guarded)
        except Exception as error:
            if status:
                raise
            response = await self.answer(Request(scope, receive), error)
            await response(scope, receive, send_guarded)
        finally:
            # The route's pattern, not the path: an id or a query may say who looks at what.
            route = getattr(scope.get("route"), "path", "-")
            log.info("request", method=scope["method"], route=route, status=status, ms=round(1000 * (perf_counter() - started), 1))


def _add_headers(scope: Scope, headers: MutableHeaders) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
    if Request(scope).url.scheme == "https":
        headers.setdefault("Strict-Transport-Security", HSTS)
