"""When a row was measured, in milliseconds since 1970 UTC."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from vigia.edge.sources.clock import is_plausible
from vigia.edge.sources.files.config import TimeConfig
from vigia.edge.sources.files.table import BadRowError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}
_MOST_DIGITS = 30
_STEP_BACK = timedelta(minutes=10)


class Times:
    """Reads times as `config` says they are written."""

    def __init__(self, config: TimeConfig) -> None:
        self._format = config.format
        self._zone = None if config.zone is None else ZoneInfo(config.zone)

    def read(self, value: object, last: int | None) -> int:
        """The time that stands in a row as `value`. Raises BadRowError, also when no machine can mean it.

        `last` is the row's before it: when clocks are set back an hour happens twice, and what seems to go back is in the second.
        """
        if self._format in _PER_MS and not isinstance(value, datetime):
            ts = _counted(value, _PER_MS[self._format])
        else:
            ts = self._since_epoch(value if isinstance(value, datetime) else self._written(value), last)
        if not is_plausible(ts):
            raise BadRowError(f"time {str(value)[:40]!r} is not of this century")
        return ts

    def _written(self, value: object) -> datetime:
        text = str(value).strip()
        try:
            return datetime.fromisoformat(text) if self._format == "iso" else datetime.strptime(text, self._format)  # noqa: DTZ007
        except ValueError:
            raise BadRowError(f"time {text[:40]!r} is not written as {self._format}") from None

    def _since_epoch(self, moment: datetime, last: int | None) -> int:
        if moment.tzinfo is None:
            if self._zone is None:
                raise BadRowError(f"time {moment.isoformat()} does not say its offset; set time.zone")
            moment = moment.replace(tzinfo=self._zone)
            second = moment.replace(fold=1)
            if last is not None and second.utcoffset() != moment.utcoffset():
                before = _EPOCH + timedelta(milliseconds=last)
                moment = second if before - moment.astimezone(UTC) > _STEP_BACK else moment
        try:
            return (moment - _EPOCH) // timedelta(milliseconds=1)
        except OverflowError:
            raise BadRowError(f"time {moment.isoformat()} is out of range") from None


def _counted(value: object, per_ms: float) -> int:
    """A number of units, or its text. Whole ones are kept exact: a float has too few digits for nanoseconds."""
    try:
        if isinstance(value, str):
            text = value.strip()
            value = int(text) if text.lstrip("+-").isdigit() and len(text) <= _MOST_DIGITS else float(text.replace(",", "."))
        if isinstance(value, int) and not isinstance(value, bool):
            return value * 1000 if per_ms < 1 else value // int(per_ms)
        if isinstance(value, float) and math.isfinite(value):
            return math.floor(value / per_ms)
    except ValueError:
        pass
    raise BadRowError(f"time {str(value)[:40]!r} is not a number")
