"""What a gateway says became of a command."""

import json
from datetime import UTC, datetime
from uuid import UUID

from vigia.domain.commands import Outcome
from vigia.ingest.births import EARLIEST_MS, LATEST_MS
from vigia.sparkplug import PayloadError
from vigia.store.commands import Result

LONGEST_REASON = 500  # characters
_OUTCOMES: tuple[Outcome, ...] = ("done", "refused", "failed")


def read(edge_node_id: int, device_id: str, text: str) -> Result | None:
    """The result in `text`; None when it is of a command that another host sent. Raises PayloadError when it cannot be read."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise PayloadError("the command result is not a JSON object")
    outcome, at = said.get("outcome"), said.get("at")
    if outcome not in _OUTCOMES:
        raise PayloadError(f"the command result has no outcome that is one of {', '.join(_OUTCOMES)}")
    if not isinstance(at, int) or isinstance(at, bool) or not EARLIEST_MS <= at < LATEST_MS:
        raise PayloadError("the command result does not say at when, in milliseconds since 1970 UTC")
    try:
        uid = UUID(said["id"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    reason = str(said.get("reason") or "").replace("\x00", "")[:LONGEST_REASON]
    return Result(edge_node_id, device_id, uid, outcome, reason, datetime.fromtimestamp(at / 1000, UTC))
