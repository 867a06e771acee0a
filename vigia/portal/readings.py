"""An engine's sensors as its page shows them: what they are, how far from healthy, what they contribute to the prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, pstdev
from typing import Any

from vigia.analytics.prognosis.explain import AGE, LEAST_LOSS
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
    """What one sensor contributes to a prediction, or the engine's age. `higher` says on which side of healthy it reads.

    `share` is of the life lost, below 0 where it speaks for a longer one; `lost` is that life, None where it was not kept.
    """

    name: str
    title: str
    unit: str
    share: float
    lost: float | None
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


def shares(language: Language, contributions: Sequence[Mapping[str, Any]], life_unit: str) -> tuple[Share, ...]:
    """The contributions of a prediction, largest first. Unknown keys are left out, missing values are None."""
    found: list[Share] = []
    for part in contributions:
        name, share = str(part.get("point", "")), float(part.get("share") or 0.0)
        value, healthy, lost = part.get("value"), part.get("healthy"), part.get("lost")
        aged = name == AGE
        if aged:
            name, healthy = language.text("Age"), None
        found.append(
            Share(
                name=name,
                title=words.life(language, float(value or 0.0), life_unit) if aged else words.word(language, words.SENSORS, name),
                unit=words.unit(str(part.get("unit", ""))),
                share=share,
                lost=None if lost is None else round(float(lost), 1) + 0.0,
                at=percent(share),
                value=None if value is None else float(value),
                healthy=None if healthy is None else float(healthy),
                higher=value is not None and healthy is not None and float(value) > float(healthy),
            )
        )
    return tuple(sorted(found, key=lambda share: -abs(share.share)))


def finding(language: Language, found: Sequence[Share], *, calm: bool) -> str:
    """What a prediction rests on, in a sentence. `calm`: nothing points to a failure."""
    if not found:
        return language.text("Nothing points to a failure.") if calm else ""
    first = found[0]
    if first.name == language.text("Age"):
        return (
            language.text("Nothing points to a failure at this age.") if calm else language.text("All of it comes from the engine's age.")
        )
    name = f"{first.name} ({first.title.lower()})"
    if calm:
        return language.text("Nothing points to a failure; %(sensor)s has moved the estimate most.", sensor=name)
    if little(found):
        return language.text("No sensor has moved far from its healthy level.")
    return language.text("Most of it comes from %(sensor)s.", sensor=name)


def little(found: Sequence[Share]) -> bool:
    """Whether hardly any life is lost to all of them."""
    return sum(LEAST_LOSS if share.lost is None else share.lost for share in found) < LEAST_LOSS


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
