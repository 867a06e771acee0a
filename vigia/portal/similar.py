"""What became of machines that once were like this one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vigia.portal import words
from vigia.portal.language import Language


@dataclass(frozen=True)
class SimilarCase:
    """One past case in words; `href` leads to its order, empty when there is none to be named."""

    who: str
    href: str
    outcome: str


def similar_cases(language: Language, cases: Sequence[Mapping[str, Any]], life_unit: str) -> tuple[SimilarCase, ...]:
    """The cases kept with a prediction, nearest first."""
    found = []
    for case in cases:
        run, order = case.get("run"), case.get("work_order_id")
        who = language.text("Another machine")
        if run:
            who = language.text("Run %(run)s of the training data", run=str(run))
        if order:
            who = language.text("Work order %(number)s", number=str(order))
        life = words.life(language, float(case.get("lived_on") or 0.0), life_unit)
        ending = words.word(language, words.ENDINGS, str(case.get("ended", "")))
        found.append(
            SimilarCase(who, f"/work-orders/{order}" if order else "", language.text("%(life)s more, %(ending)s", life=life, ending=ending))
        )
    return tuple(found)
