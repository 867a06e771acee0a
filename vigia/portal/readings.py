"""An engine's sensors as its page shows them: what they are, how far from healthy, what they contribute to the prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, pstdev
from typing import Any

from vigia.portal import words
from vigia.portal.charts import LineChart, line_chart, percent, thinned
from vigia.portal.language import Language
from vigia.store.pages import SensorRow

HEALTHY_READINGS = 20
"""An engine's healthy level is the mean of this many first readings, unless the model states its own."""

_RECENT = 5
_MOST_POINTS = 90
_MULTIPLES = 6


@dataclass(frozen=True)
class Share:
    """What one sensor contributes to a prediction. `share` is 0 to 1, `higher` says on which side of healthy it reads."""

    name: str
    title: str
    unit: str
    share: float
    at: str
    value: float | None
    healthy: float | None
    higher: bool

    @property
    def difference(self) -> float | None:
        """Value less healthy value, in the unit."""
        return None if self.value is None or self.healthy is None else self.value - self.healthy


@dataclass(frozen=True)
class Sensor:
    """One measurement since the engine was installed. `shift`: how many healthy standard deviations it reads off."""

    name: str
    title: str
    unit: str
    at: Sequence[datetime]
    values: Sequence[float | None]
    healthy: float | None
    shift: float

    @property
    def last(self) -> float | None:
        """The newest reading."""
        return next((value for value in reversed(self.values) if value is not None), None)


@dataclass(frozen=True)
class Multiple:
    """A small chart of one sensor."""

    sensor: Sensor
    chart: LineChart


def shares(language: Language, contributions: Sequence[Mapping[str, Any]]) -> tuple[Share, ...]:
    """The contributions of a prediction, largest first. Unknown keys are left out, missing values are None."""
    found: list[Share] = []
    for part in contributions:
        name, share = str(part.get("point", "")), float(part.get("share") or 0.0)
        value, healthy = part.get("value"), part.get("healthy")
        found.append(
            Share(
                name=name,
                title=words.word(language, words.SENSORS, name),
                unit=words.unit(str(part.get("unit", ""))),
                share=share,
                at=percent(share),
                value=None if value is None else float(value),
                healthy=None if healthy is None else float(healthy),
                higher=value is not None and healthy is not None and float(value) > float(healthy),
            )
        )
    return tuple(sorted(found, key=lambda share: -share.share))


def sensors(language: Language, rows: Sequence[SensorRow], known: Sequence[Share]) -> tuple[Sensor, ...]:
    """The sensors: those that contribute first, then those that have left their healthy level furthest."""
    by_name = {share.name: share for share in known}
    found = [_sensor(language, row, by_name.get(row.name)) for row in rows]
    order = {share.name: index for index, share in enumerate(known)}
    return tuple(sorted(found, key=lambda sensor: (order.get(sensor.name, len(order)), -sensor.shift)))


def multiples(found: Sequence[Sensor]) -> tuple[Multiple, ...]:
    """Small charts of the first sensors of `found`."""
    charts = ((sensor, line_chart(thinned(sensor.values, _MOST_POINTS), sensor.healthy)) for sensor in found[:_MULTIPLES])
    return tuple(Multiple(sensor, chart) for sensor, chart in charts if chart is not None)


def _sensor(language: Language, row: SensorRow, share: Share | None) -> Sensor:
    first = [value for value in row.mean[:HEALTHY_READINGS] if value is not None]
    healthy = share.healthy if share is not None and share.healthy is not None else fmean(first) if first else None
    recent = [value for value in row.mean[-_RECENT:] if value is not None]
    spread = pstdev(first) if len(first) > 1 else 0.0
    shift = abs(fmean(recent) - healthy) / spread if recent and healthy is not None and spread > 0 else 0.0
    return Sensor(
        name=row.name,
        title=words.word(language, words.SENSORS, row.name),
        unit=words.unit(row.unit),
        at=row.at,
        values=row.mean,
        healthy=healthy,
        shift=shift,
    )
