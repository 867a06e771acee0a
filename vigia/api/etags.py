"""An answer that has not changed since the program last asked is not sent again."""

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OK = 200
NOT_MODIFIED = 304


class ETags:
    """Tags what /api answers to GET in one piece; If-None-Match with the same tag gets 304. Streams pass untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("If-None-Match", "")
        held: Message | None = None

        async def send_tagged(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] == OK:
                held = message
                return
            if held is not None:
                start, held = held, None
                if not message.get("more_body", False):
                    start, message = _tagged(start, message, asked)
                await send(start)
            await send(message)

        await self.app(scope, receive, send_tagged)


def _tagged(start: Message, body: Message, asked: str) -> tuple[Message, Message]:
    """The answer with its tag; without its body if that is what the program has."""
    # Weak: compression comes after it.
    tag = f'W/"{hashlib.blake2b(body.get("body", b""), digest_size=16).hexdigest()}"'
    headers = MutableHeaders(scope=start)
    headers["ETag"] = tag
    headers.setdefault("Cache-Control", "private, no-cache")
    if tag not in (candidate.strip() for candidate in asked.split(",")):
        return start, body
    del headers["Content-Length"]
    return {**start, "status": NOT_MODIFIED}, {"type": "http.response.body", "body": b""}
