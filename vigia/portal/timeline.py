"""What happened to an engine, as sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vigia.portal import words
from vigia.portal.language import Language
from vigia.store.pages import HappenedRow

_ICONS = {
    "installed": ("installed", ""),
    "removed": ("removed", ""),
    "alarm_raised": ("bell", "maintenance_required"),
    "alarm_cleared": ("tick", "normal"),
    "order_raised": ("wrench", ""),
    "order_finished": ("tick", "normal"),
    "failed": ("failure", "failure"),
}


@dataclass(frozen=True)
class Happened:
    """One entry. `health` gives its tone, empty for none; `href` leads to more, empty for nowhere."""

    at: datetime
    icon: str
    health: str
    text: str
    href: str


def happened(language: Language, rows: Sequence[HappenedRow]) -> tuple[Happened, ...]:
    """The entries, newest first as given."""
    return tuple(_entry(language, row) for row in rows)


def _entry(language: Language, row: HappenedRow) -> Happened:
    icon, health = _ICONS.get(row.kind, ("info", ""))
    href = f"/work-orders/{row.work_order_id}" if row.work_order_id is not None else ""
    return Happened(row.at, icon, health, _text(language, row), href)


def _text(language: Language, row: HappenedRow) -> str:
    match row.kind:
        case "installed":
            return language.text("Engine %(serial)s installed", serial=row.subject)
        case "removed":
            return language.text("Engine %(serial)s removed", serial=row.subject)
        case "alarm_raised":
            return language.text("Alarm: %(condition)s", condition=words.condition(language, row.subject))
        case "alarm_cleared":
            return language.text("Alarm over: %(condition)s", condition=words.condition(language, row.subject))
        case "order_raised":
            return language.text(
                "%(kind)s work order %(number)s raised", kind=words.word(language, words.ORDER_KINDS, row.subject), number=row.work_order_id
            )
        case "order_finished":
            verdict = words.VERDICTS if row.subject in words.VERDICTS else words.ORDER_STATES
            return language.text(
                "Work order %(number)s finished: %(verdict)s", number=row.work_order_id, verdict=words.word(language, verdict, row.subject).lower()
            )
        case "failed":
            return language.text("The engine failed: %(mode)s", mode=words.word(language, words.FAILURE_MODES, row.subject).lower())
        case _:
            return f"{row.kind}: {row.subject}"
