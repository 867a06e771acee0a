"""An engine as lists show it: health in words with its reason, remaining life on the shared axis, what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vigia.domain.health import DRIFT_CONDITIONS, SENSOR_CONDITION, Assessment, Signs, Why, assess
from vigia.portal import words
from vigia.portal.charts import LifeBar, Tick, life_bar, percent, scale
from vigia.portal.language import Language
from vigia.store.pages import EngineRow

_SHORTEST_AXIS = 100.0


@dataclass(frozen=True)
class EngineView:
    """One engine. Texts are in the reader's language.

    health : NE 107 code; why : its reason as a sentence; rank : place in a list by consequence (0 first)
    bar, life, life_range, probability, bar_label : remaining life; None or empty without a prediction
    horizon : 'within 30 cycles', to which the probability refers
    order_id, planned_from, started : the open work order and its visit, if any
    """

    role_id: int
    role: str
    serial_number: str
    customer: str
    site_id: int
    site: str
    zone: str
    health: str
    why: str
    rank: int
    bar: LifeBar | None
    bar_label: str
    life: str
    life_range: str
    life_p10: float
    probability: float | None
    horizon: str
    order_id: int | None
    order_kind: str
    planned_from: datetime | None
    started: bool
    unseen_alarms: int
    reading_at: datetime | None


@dataclass(frozen=True)
class EngineList:
    """Engines by consequence, with the axis their remaining life is drawn on. `due` is the part of it that the horizon covers."""

    engines: tuple[EngineView, ...]
    ticks: tuple[Tick, ...]
    due: str
    life_unit: str
    horizon: str


def assessment(row: EngineRow, now: datetime) -> Assessment:
    """The engine's word, by the rule of `domain.health`."""
    return assess(
        Signs(
            installed=row.asset_id is not None,
            failed=row.failed_at is not None,
            in_work=row.started_at is not None,
            reading_at=row.reading_at,
            conditions=row.conditions,
        ),
        now,
    )


def engine_list(language: Language, rows: Sequence[EngineRow], now: datetime) -> EngineList:
    """The list of `rows`, what costs most to overlook first."""
    longest = max((row.life_p90 for row in rows if row.life_p90 is not None), default=_SHORTEST_AXIS)
    maximum, ticks = scale(max(longest, _SHORTEST_AXIS), wanted=5)
    views = sorted((_view(language, row, now, maximum) for row in rows), key=lambda view: (view.rank, view.life_p10, view.role))
    horizons = [row.horizon for row in rows if row.horizon is not None]
    unit = next((row.life_unit for row in rows), "{cycle}")
    due = percent(horizons[0] / maximum) if horizons else ""
    return EngineList(tuple(views), ticks, due, unit, words.life(language, horizons[0], unit) if horizons else "")


def reason(language: Language, row: EngineRow, why: Why, now: datetime) -> str:
    """Why the engine has its word, in one sentence."""
    if why is Why.PREDICTED and row.failure_mode is not None and row.probability is not None and row.horizon is not None:
        return language.text(
            "%(mode)s: %(probability)s likely to fail within %(horizon)s",
            mode=words.word(language, words.FAILURE_MODES, row.failure_mode),
            probability=language.likelihood(row.probability),
            horizon=words.life(language, row.horizon, row.life_unit),
        )
    if why in (Why.DRIFTING, Why.SENSOR_FAULT):
        of_kind = DRIFT_CONDITIONS if why is Why.DRIFTING else SENSOR_CONDITION
        return words.condition(language, next(condition for condition in row.conditions if condition.startswith(of_kind)))
    if why is Why.FAILED and row.failed_at is not None:
        return language.text("The engine failed %(when)s", when=language.relative(row.failed_at, now))
    if why is Why.NO_READINGS and row.reading_at is not None:
        return language.text("No readings since %(when)s", when=language.day_time(row.reading_at, row.time_zone))
    return words.word(language, words.WHY, why)


def _view(language: Language, row: EngineRow, now: datetime, maximum: float) -> EngineView:
    found = assessment(row, now)
    bar, life, life_range, label = None, "", "", ""
    if row.life_p10 is not None and row.life_p50 is not None and row.life_p90 is not None and found.why not in (Why.FAILED, Why.NO_MACHINE):
        bar = life_bar(row.life_p10, row.life_p50, row.life_p90, maximum)
        life = words.life(language, row.life_p50, row.life_unit)
        life_range = language.span(row.life_p10, row.life_p90)
        label = language.text("Remaining life %(life)s, between %(range)s", life=life, range=life_range)
    return EngineView(
        role_id=row.role_id,
        role=row.role,
        serial_number=row.serial_number or "",
        customer=row.customer,
        site_id=row.site_id,
        site=row.site,
        zone=row.time_zone,
        health=found.health,
        why=reason(language, row, found.why, now),
        rank=found.rank,
        bar=bar,
        bar_label=label,
        life=life,
        life_range=life_range,
        life_p10=row.life_p10 if row.life_p10 is not None else float("inf"),
        probability=row.probability if bar is not None else None,
        horizon=words.life(language, row.horizon, row.life_unit) if row.horizon is not None else "",
        order_id=row.work_order_id,
        order_kind=row.order_kind or "",
        planned_from=row.planned_from,
        started=row.started_at is not None,
        unseen_alarms=row.unseen_alarms,
        reading_at=row.reading_at,
    )
