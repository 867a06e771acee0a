"""Every text of the pages is translated, with the same placeholders, and numbers and times are written as each language does."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from vigia.edge.sources.replay.recording import POINTS
from vigia.portal import words
from vigia.portal.extract import TRANSLATED, catalog_of, found_texts
from vigia.portal.horizons import chances
from vigia.portal.language import language_of
from vigia.portal.readings import finding, shares

PLACEHOLDER = re.compile(r"%\((\w+)\)s")


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_text_lacks_a_translation(language: str) -> None:
    catalog = catalog_of(language)
    lacking = []
    for text in found_texts():
        if not text.id:
            continue
        one = text.id[0] if isinstance(text.id, (list, tuple)) else text.id
        known = catalog.get(one)
        strings = () if known is None else known.string if isinstance(known.string, (list, tuple)) else (known.string,)
        if not strings or not all(strings) or (known is not None and known.fuzzy):
            lacking.append(one)
    assert lacking == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_the_placeholders_of_its_text(language: str) -> None:
    for message in catalog_of(language):
        if not message.id:
            continue
        many = message.id if isinstance(message.id, (list, tuple)) else (message.id,)
        strings = message.string if isinstance(message.string, (list, tuple)) else (message.string,)
        for text, string in zip(many, strings, strict=True):
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(string)), text


def test_every_sensor_of_the_demo_has_words_and_a_unit() -> None:
    sensors = [point for point in POINTS if point.kind == "measurement"]
    assert {point.name for point in sensors} <= set(words.SENSORS)
    assert not [point.unit for point in sensors if re.search(r"[\[\]{}_]", words.unit(point.unit))]


def test_nothing_uncertain_is_said_to_be_certain() -> None:
    said = chances(language_of("es"), [{"horizon": horizon, "probability": horizon / 1000} for horizon in (0, 1, 5, 120, 999)], "h")
    assert [(one.within, one.probability) for one in said] == [
        ("en 0 horas", "0\u00a0%"),
        ("en 1 hora", "<1\u00a0%"),
        ("en 5 horas", "<1\u00a0%"),
        ("en 120 horas", "12\u00a0%"),
        ("en 999 horas", ">99\u00a0%"),
    ]


def test_an_estimate_by_age_alone_says_so() -> None:
    by_age = shares(language_of("es"), [{"point": "age", "share": 1.0, "lost": 60.2, "value": 143.0, "healthy": 0.0, "unit": "h"}], "h")
    assert [(one.name, one.title, one.difference) for one in by_age] == [("Edad", "143 horas", None)]
    assert finding(language_of("es"), by_age, calm=False) == "Todo se debe a la edad del motor."
    assert finding(language_of("es"), by_age, calm=True) == "Nada apunta a un fallo a esta edad."


@pytest.mark.parametrize(
    ("parts", "calm", "says"),
    [
        ([0.6, 0.4], False, "Most of it comes from T50 (total temperature at low-pressure turbine outlet)."),
        (
            [-0.3, 0.2],
            True,
            "Nothing points to a failure; T50 (total temperature at low-pressure turbine outlet) has moved the estimate most.",
        ),
        ([-0.3, 0.2], False, "No sensor has moved far from its healthy level."),
        ([], True, "Nothing points to a failure."),
    ],
)
def test_what_an_estimate_rests_on_is_said_in_a_sentence(parts: list[float], calm: bool, says: str) -> None:  # noqa: FBT001
    told = [{"point": name, "share": part, "lost": 50 * part} for name, part in zip(("T50", "phi"), parts, strict=False)]
    found = shares(language_of("en"), told, "{cycle}")
    assert finding(language_of("en"), found, calm=calm) == says
    assert [one.at for one in found] == ["60.00%", "40.00%"] if parts and parts[0] > 0 else all(one.lost is not None for one in found)


def test_numbers_and_money_are_written_as_each_language_does() -> None:
    en, es, pt = language_of("en"), language_of("es"), language_of("pt")
    assert (en.number(12345.678, 1), es.number(12345.678, 1), pt.number(12345.678, 1)) == ("12,345.7", "12.345,7", "12.345,7")
    assert (en.percent(0.9905, 2), es.percent(0.9905, 2), pt.percent(0.9905, 2)) == ("99.05%", "99,05\u00a0%", "99,05%")
    assert es.money(Decimal("1234.5"), "EUR") == "1.234,50\u00a0€"
    assert en.money(Decimal("1234.5"), "EUR") == "€1,234.50"


def test_times_are_relative_to_the_fleets_now_and_absolute_in_the_sites_zone() -> None:
    now = datetime(2026, 1, 8, tzinfo=UTC)
    en, es = language_of("en"), language_of("es")
    assert en.relative(now + timedelta(hours=8), now) == "in 8 hours"
    assert es.relative(now - timedelta(days=2), now) == "hace 2 días"
    assert en.relative(now + timedelta(seconds=20), now) == "now"
    assert en.day_time(now, "America/Bogota") == "Wed 7 Jan 19:00"


def test_an_unknown_code_is_shown_not_hidden() -> None:
    assert words.word(language_of("es"), words.CAUSES, "bird_strike") == "bird strike"
    assert words.condition(language_of("en"), "door_open") == "door open"
