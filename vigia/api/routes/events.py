"""Live changes as server-sent events: what changed, never the data; the client asks for what it shows."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from vigia.api.live import Reload
from vigia.api.session import Caller, still_valid
from vigia.api.state import state_of
from vigia.store.changes import Change

router = APIRouter(prefix="/api/v1", tags=["live"])
RECONNECT_MS = 2000

EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An endless stream",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'retry: 2000\n\nid: 1\nevent: prediction\ndata: {"customer_id": 2, "role_id": 5}\n\n',
            }
        },
    }
}


@router.get("/events", operation_id="follow_events", response_class=StreamingResponse, responses=EVENT_STREAM)
async def follow_events(
    caller: Caller, request: Request, last_event_id: Annotated[str | None, Header(max_length=200)] = None
) -> StreamingResponse:
    """Changes the caller may see, as they happen.

    Events: telemetry, prediction, alarm, work_order, state, command (data: customer_id, and role_id or null for several roles), and reload
    when changes were missed: ask anew for everything shown. A comment is sent in silence.
    """
    return StreamingResponse(
        _stream(request, caller, missed=last_event_id is not None),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},  # a proxy that buffers would hold the events back
    )


async def _stream(request: Request, caller: Caller, *, missed: bool) -> AsyncIterator[str]:
    state, numbers = state_of(request), count(1)
    checked = datetime.now(UTC)
    with state.hub.subscribe(caller) as subscription:
        yield f"retry: {RECONNECT_MS}\n\n"
        if missed:
            subscription.reload()
        async for batch in subscription.batches(state.config.heartbeat_s):
            if (datetime.now(UTC) - checked).total_seconds() >= state.config.heartbeat_s:
                checked = datetime.now(UTC)
                if not await still_valid(request, caller):
                    return
            yield "".join(_event(next(numbers), item) for item in batch) or ": still here\n\n"


def _event(number: int, item: Change | Reload) -> str:
    if isinstance(item, Reload):
        return f"id: {number}\nevent: reload\ndata: {{}}\n\n"
    data = json.dumps({"customer_id": item.customer_id, "role_id": item.role_id})
    return f"id: {number}\nevent: {item.kind}\ndata: {data}\n\n"
