"""When a visit takes place and who goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from vigia.domain.contracts import Contract
from vigia.domain.work_orders import Kind


@dataclass(frozen=True)
class Window:
    """From when until when; the end is not part of it."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Window") -> bool:
        """Whether the two share any time."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Technician:
    """Someone who can be sent. `time_zone` is None for one who works anywhere; `busy` are the visits planned and not done."""

    account_id: int
    time_zone: str | None
    busy: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Who goes, and when."""

    technician_id: int
    window: Window


def promised_start(contract: Contract, kind: Kind, *, ordered_at: datetime, failed_at: datetime | None) -> datetime:
    """When the contract promises the visit: a lead after the order for a prediction, after the failure for a failure."""
    if failed_at is not None and kind is Kind.CORRECTIVE:
        return failed_at + contract.corrective_lead
    return ordered_at + contract.predictive_lead


def start_after_failure(contract: Contract, planned: datetime, failed_at: datetime) -> datetime:
    """When to visit a machine that failed before its predictive visit: as planned, if that comes soon enough.

    A visit planned before the failure that did not take place counts as missed.
    """
    promised = failed_at + contract.corrective_lead
    return planned if failed_at <= planned <= promised else promised


def plan_visit(technicians: Sequence[Technician], site_time_zone: str, start: datetime, duration: timedelta) -> Plan | None:
    """The earliest visit from `start` on that some technician is free for, or None if there is no technician.

    Of those free at that time the one nearest in time zone goes, then the one with the fewest visits, then the lowest id.
    """
    if not technicians:
        return None
    offers = [(_first_free(technician, start, duration), technician) for technician in technicians]
    begin, chosen = min(
        offers,
        key=lambda offer: (offer[0], _zone_distance(offer[1], site_time_zone, start), len(offer[1].busy), offer[1].account_id),
    )
    return Plan(chosen.account_id, Window(begin, begin + duration))


def _first_free(technician: Technician, start: datetime, duration: timedelta) -> datetime:
    begin = start
    for taken in sorted(technician.busy, key=lambda window: window.start):
        if Window(begin, begin + duration).overlaps(taken):
            begin = taken.end
    return begin


def _zone_distance(technician: Technician, site_time_zone: str, at: datetime) -> timedelta:
    if technician.time_zone is None:
        return timedelta(0)
    own, site = (at.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0) for zone in (technician.time_zone, site_time_zone))
    return abs(own - site)
