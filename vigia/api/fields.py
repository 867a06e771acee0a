"""Types of the fields that many operations share: bounded so that no input reaches the database that it would choke on."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, StringConstraints

MAX_INT = 2**31 - 1
MAX_BIGINT = 2**63 - 1
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def _within_history(moment: datetime) -> datetime:
    if not EARLIEST <= moment <= LATEST:
        message = f"a time between {EARLIEST:%Y} and {LATEST:%Y} is expected"
        raise ValueError(message)
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_within_history)]
"""ISO 8601 with an offset."""

Id = Annotated[int, Path(ge=1, le=MAX_INT)]
BigId = Annotated[int, Path(ge=1, le=MAX_BIGINT)]
IdFilter = Annotated[int | None, Query(ge=1, le=MAX_INT)]
Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]

From = Annotated[
    Moment | None, Query(alias="from", description="Only at or after this time (ISO 8601 with offset).", examples=["2026-01-02T00:00:00Z"])
]
Until = Annotated[Moment | None, Query(description="Only before this time (ISO 8601 with offset).", examples=["2026-01-03T00:00:00Z"])]
