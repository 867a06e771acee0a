"""When a sample was taken, in any of the ways simple devices say it."""

import re
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Final

from vigia.ingest.births import EARLIEST_MS, LATEST_MS
from vigia.ingest.plain.paths import Document
from vigia.ingest.plain.table import Entry

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PER_MS: Final = {"s": 1_000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,12}))?\s?([Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)


def milliseconds(said: Document, entry: Entry) -> int:
    """The moment `said`, in milliseconds since 1970 UTC. Raises ValueError with what to do."""
    if isinstance(said, str):
        ms = _of_number(float(said), entry) if entry.text == "number" and _NUMBER.fullmatch(said) else _of_text(said, entry)
    elif isinstance(said, int | float) and not isinstance(said, bool):
        ms = _of_number(said, entry)
    else:
        raise ValueError(  # noqa: TRY004 - the message's fault, not the caller's
            f"{str(said)[:40]!r} is no time: send RFC 3339 text, or a Unix time and declare its time_unit"
        )
    if not EARLIEST_MS <= ms < LATEST_MS:
        raise ValueError(f"{str(said)[:40]!r} is not between the years 2000 and 2100: set the device's clock, or correct time_unit")
    return ms


def _of_number(said: float, entry: Entry) -> int:
    if entry.time_unit is None:
        raise ValueError(f'{said!r} is a number: declare time_unit = "s", "ms", "us" or "ns"')
    ms = said * _PER_MS[entry.time_unit]
    if not isfinite(ms):
        raise ValueError("an infinite time: set the device's clock")
    return round(ms)


def _of_text(said: str, entry: Entry) -> int:
    parts = _RFC_3339.fullmatch(said.strip()) if len(said) < 100 else None  # noqa: PLR2004 - no time is longer
    if parts is None:
        raise ValueError(f"{said[:40]!r} is no RFC 3339 time: send it as 2026-01-31T12:00:00Z, or a Unix time with time_unit declared")
    day, clock, fraction, offset = parts.groups()
    if offset is None and entry.time_zone is None:
        raise ValueError(f"{said!r} does not say its offset from UTC: send it with Z or +01:00, or declare time_zone")
    try:
        at = datetime.fromisoformat(f"{day}T{clock}{(offset or '').upper()}")
        if at.tzinfo is None:
            at = at.replace(tzinfo=entry.time_zone)
        since = at - _EPOCH
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{said!r} is no moment ({error}): set the device's clock") from None
    return since // timedelta(milliseconds=1) + int((fraction or "0")[:3].ljust(3, "0"))
