"""What a closer look at a flagged sensor says, in the reader's words."""

import pytest

from vigia.analytics.detectors import likeness
from vigia.portal.language import language_of
from vigia.portal.likeness import second_opinion
from vigia.store.accounts import Language

ZONE = "America/Lima"


def kept(p_value: float, compared: int = 100) -> dict[str, float | str]:
    return {
        "method": "matrix_profile",
        "p_value": p_value,
        "compared": compared,
        "nearest_at": "2026-01-03T02:00:00+00:00",
        "past_from": "2025-12-01T00:00:00+00:00",
        "past_until": "2026-01-05T00:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("opinion", "language", "sentence"),
    [
        (kept(1 / 101), "en", "A shape never seen in 5 weeks of health: none of 100 healthy stretches was as unusual."),
        (kept(1 / 101), "es", "Una forma nunca vista en 5 semanas de salud: ninguno de 100 tramos sanos fue tan inusual."),
        (kept(1 / 101), "pt", "Uma forma nunca vista em 5 semanas com saúde: nenhum de 100 trechos saudáveis foi tão incomum."),
        (kept(2 / 101), "en", "A shape hardly ever seen in 5 weeks of health: 1 of 100 healthy stretches was as unusual."),
        (kept(4 / 101), "es", "Una forma casi nunca vista en 5 semanas de salud: 3 de 100 tramos sanos fueron tan inusuales."),
        (
            kept(41 / 101),
            "en",
            "A shape seen in health before, most alike on 2 Jan 2026 21:00: 40 of 100 healthy stretches were as unusual.",
        ),
        (
            kept(41 / 101),
            "pt",
            "Uma forma já vista com saúde, a mais parecida em 2 jan. 2026 21:00: 40 de 100 trechos saudáveis foram tão incomuns.",
        ),
        (kept(2 / 20, 19), "en", "A shape seen in health before, most alike on"),
    ],
)
def test_how_rare_it_is_is_said_in_counts(opinion: dict[str, float | str], language: Language, sentence: str) -> None:
    assert second_opinion(language_of(language), opinion, ZONE).startswith(sentence)


@pytest.mark.parametrize("reason", [likeness.PAST_TOO_SHORT, likeness.NO_SHAPE])
def test_where_it_could_not_be_told_nothing_is_said(reason: str) -> None:
    assert second_opinion(language_of("en"), {"method": "matrix_profile", "refused": reason}, ZONE) == ""


def test_before_the_closer_look_nothing_is_said() -> None:
    assert second_opinion(language_of("en"), None, ZONE) == ""
