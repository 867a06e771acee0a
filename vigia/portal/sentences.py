"""Sentences that say how a fleet or a site is doing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vigia.domain.health import SILENT_AFTER
from vigia.portal.engines import EngineView
from vigia.portal.language import Language
from vigia.store.pages import SiteRow

_BOTH = 2
_BOTH = 2
_WORST_FIRST = ("failure", "maintenance_required", "off_spec", "check", "normal")


@dataclass(frozen=True)
class SiteView:
    """A site in one sentence. `health` is that of its worst engine; `complete` the share of batches received (None: none sent yet)."""

    site_id: int
    name: str
    customer: str
    health: str
    sentence: str
    zone: str
    reading_at: datetime | None
    silent: bool
    complete: float | None


def headline(language: Language, engines: Sequence[EngineView]) -> str:
    """The fleet in one sentence: what needs someone, or that nothing does."""
    count = Counter(engine.health for engine in engines)
    needing = [engine for engine in engines if engine.health in ("failure", "maintenance_required")]
    planned = sum(1 for engine in needing if engine.planned_from is not None)
    if not engines:
        return language.text("No engines are set up yet.")
    if count["failure"] and count["maintenance_required"]:
        down = language.plural("%(count)s engine is down", "%(count)s engines are down", count["failure"])
        first = f"{down}, " + language.plural("%(count)s needs maintenance.", "%(count)s need maintenance.", count["maintenance_required"])
    elif count["failure"]:
        first = language.plural("%(count)s engine is down.", "%(count)s engines are down.", count["failure"])
    elif count["maintenance_required"]:
        first = language.plural("%(count)s engine needs maintenance.", "%(count)s engines need maintenance.", count["maintenance_required"])
    elif count["normal"] == len(engines):
        return language.plural("%(count)s engine, as expected.", "All %(count)s engines are as expected.", len(engines))
    else:
        return language.plural("%(count)s engine deserves a look.", "%(count)s engines deserve a look.", len(engines) - count["normal"])
    if planned == len(needing):
        return f"{first} " + language.plural("The visit is planned.", "All visits are planned.", planned)
    return f"{first} " + language.plural(
        "%(count)s visit is not planned yet.", "%(count)s visits are not planned yet.", len(needing) - planned
    )


def site_view(language: Language, row: SiteRow, engines: Sequence[EngineView], now: datetime) -> SiteView:
    """The site and its sentence."""
    here = [engine for engine in engines if engine.site_id == row.site_id]
    silent = row.reading_at is None or now - row.reading_at > SILENT_AFTER
    expected = row.committed + row.dropped + row.missing
    return SiteView(
        site_id=row.site_id,
        name=row.site,
        customer=row.customer,
        health="check" if silent else next((word for word in _WORST_FIRST if any(engine.health == word for engine in here)), "normal"),
        sentence=_site_sentence(language, here, silent=silent),
        zone=row.time_zone,
        reading_at=row.reading_at,
        silent=silent,
        complete=row.committed / expected if expected else None,
    )


def _site_sentence(language: Language, here: Sequence[EngineView], *, silent: bool) -> str:
    if not here:
        return language.text("No engines are set up here.")
    if silent:
        return language.text("No readings are arriving from this site.")
    down = [engine for engine in here if engine.health == "failure"]
    flying = len(here) - len(down) - sum(1 for engine in here if engine.started)
    parts = [
        language.plural("%(count)s of %(all)s engine flies.", "%(count)s of %(all)s engines fly.", flying, all=language.number(len(here)))
    ]
    if len(here) == flying:
        parts = [
            language.text("Both engines fly.")
            if flying == _BOTH
            else language.plural("The engine flies.", "All %(count)s engines fly.", flying)
        ]
    parts += [language.text("%(role)s is down.", role=engine.role) for engine in down]
    parts += [language.text("%(role)s is being worked on.", role=engine.role) for engine in here if engine.started and engine not in down]
    needing = [engine for engine in here if engine.health == "maintenance_required" and not engine.started]
    for engine in needing:
        if engine.planned_from is not None:
            when = language.day_time(engine.planned_from, engine.zone)
            parts.append(language.text("%(role)s needs maintenance, visit %(when)s.", role=engine.role, when=when))
        else:
            parts.append(language.text("%(role)s needs maintenance, no visit planned yet.", role=engine.role))
    if not down and not needing and len(here) == flying:
        parts.append(language.text("Nothing needs you."))
    return " ".join(parts)
