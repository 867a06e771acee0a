"""Which times a source can mean."""

from datetime import UTC, datetime

_EARLIEST_MS, _LATEST_MS = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000) for year in (2000, 2100))


def is_plausible(ts: int) -> bool:
    """Whether `ts`, in milliseconds since 1970 UTC, is of this century: a host refuses the whole message that tells of another."""
    return _EARLIEST_MS <= ts < _LATEST_MS
