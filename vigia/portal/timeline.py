"""What happened to an engine, as sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vigia.portal import words
from vigia.portal.language import N_, Language
from vigia.portal.likeness import second_opinion
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
    """One entry. `health` gives its tone, empty for none; `href` leads to more, empty for nowhere; `detail` says more, or is empty."""

    at: datetime
    icon: str
    health: str
    text: str
    href: str
    detail: str


def happened(language: Language, rows: Sequence[HappenedRow], zone: str) -> tuple[Happened, ...]:
    """The entries, newest first as given; times are told in `zone`."""
    return tuple(_entry(language, row, zone) for row in rows)


def _entry(language: Language, row: HappenedRow, zone: str) -> Happened:
    icon, health = _ICONS.get(row.kind, ("info", ""))
    href = f"/work-orders/{row.work_order_id}" if row.work_order_id is not None else ""
    return Happened(row.at, icon, health, _text(language, row), href, second_opinion(language, row.second_opinion, zone))


_TEXTS: Mapping[str, str] = {
    "installed": N_("Engine %(serial)s installed"),
    "removed": N_("Engine %(serial)s removed"),
    "alarm_raised": N_("Alarm: %(condition)s"),
    "alarm_cleared": N_("Alarm over: %(condition)s"),
    "order_raised": N_("%(kind)s work order %(number)s raised"),
    "order_finished": N_("Work order %(number)s finished: %(verdict)s"),
    "failed": N_("The engine failed: %(mode)s"),
}


def _text(language: Language, row: HappenedRow) -> str:
    if row.kind not in _TEXTS:
        return f"{row.kind}: {row.subject}"
    verdicts = words.VERDICTS if row.subject in words.VERDICTS else words.ORDER_STATES
    return language.text(
        _TEXTS[row.kind],
        serial=row.subject,
        condition=words.condition(language, row.subject),
        kind=words.word(language, words.ORDER_KINDS, row.subject),
        number=row.work_order_id,
        verdict=words.word(language, verdicts, row.subject).lower(),
        mode=words.word(language, words.FAILURE_MODES, row.subject).lower(),
    )
