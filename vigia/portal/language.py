"""A person's language: translations, and numbers, money and times as that person writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time, format_timedelta, get_timezone_name
from babel.numbers import format_currency, format_decimal, format_percent
from babel.support import NullTranslations, Translations

from vigia.store.accounts import Language as Code

LOCALES = Path(__file__).parent / "locales"
DOMAIN = "messages"

NAMES: Mapping[Code, str] = {"es": "Español", "en": "English", "pt": "Português"}
"""The languages offered, each in its own words."""

_LOCALES: Mapping[Code, str] = {"es": "es_ES", "en": "en_GB", "pt": "pt_BR"}
_HTML: Mapping[Code, str] = {"es": "es", "en": "en", "pt": "pt-BR"}

_LEAST = 0.01
"""A smaller share is not told apart from none when rounded."""
_SHORTEST_DAY = timedelta(hours=36)


def N_(text: str) -> str:  # noqa: N802 - gettext's customary name
    """Mark `text` for translation where it is written; it is translated where it is shown."""
    return text


@dataclass(frozen=True)
class Language:
    """Translates and formats for one language. Get one by `language_of`."""

    code: Code
    locale: Locale
    translations: NullTranslations

    @property
    def tag(self) -> str:
        """The language with its region, for numbers and dates in the browser."""
        return _LOCALES[self.code].replace("_", "-")

    @property
    def html(self) -> str:
        """The value of `lang`."""
        return _HTML[self.code]

    def text(self, message: str, **values: object) -> str:
        """The translation of `message`, its %(name)s filled in."""
        translated = self.translations.gettext(message)
        return translated % values if values else translated

    def plural(self, one: str, many: str, count: float, **values: object) -> str:
        """The translation for `count`; %(count)s is filled in, formatted."""
        translated = self.translations.ngettext(one, many, int(count))
        return translated % {"count": self.number(count), **values}

    def number(self, value: float | Decimal, digits: int = 0) -> str:
        """With exactly `digits` decimals."""
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return format_decimal(value, format=pattern, locale=self.locale)

    def significant(self, value: float) -> str:
        """A reading, with as many decimals as its size warrants (about five figures)."""
        size = abs(value)
        digits = 0 if size >= 10_000 else 1 if size >= 1000 else 2 if size >= 10 else 3 if size >= 1 else 4  # noqa: PLR2004 - powers of ten
        return self.number(value, digits)

    def quantity(self, value: float, unit: str) -> str:
        """A reading with its unit."""
        return f"{self.significant(value)}\u00a0{unit}" if unit else self.significant(value)

    def span(self, low: float, high: float) -> str:
        """'31-57' with the right dash: an amount between two; amounts below zero count as zero."""
        return f"{self.number(max(0, round(low)))}\u2013{self.number(max(0, round(high)))}"

    def percent(self, share: float | Decimal, digits: int = 0) -> str:
        """`share` between 0 and 1."""
        pattern = self.locale.percent_formats[None].pattern.split(";")[0]
        before, _, after = pattern.partition("%")
        number = "#,##0" + ("." + "0" * digits if digits else "")
        space = "\u00a0" if before.endswith(("\u00a0", " ")) or after else ""
        return format_percent(share, format=f"{number}{space}%", locale=self.locale)

    def likelihood(self, probability: float) -> str:
        """'12%'; '<1%' or '>99%' rather than a certainty that is none."""
        if 0 < probability < _LEAST:
            return f"<{self.percent(_LEAST)}"
        if 1 - _LEAST < probability < 1:
            return f">{self.percent(1 - _LEAST)}"
        return self.percent(probability)

    def money(self, amount: Decimal, currency: str, digits: int | None = None) -> str:
        """`digits` None: the currency's own."""
        if digits is None:
            return format_currency(amount, currency, locale=self.locale)
        return format_currency(
            amount, currency, locale=self.locale, format="#,##0\u00a0¤" if self.code != "en" else "¤#,##0", currency_digits=False
        )

    def moment(self, at: datetime, zone: str) -> str:
        """Date and time in the site's zone, the zone named."""
        local = at.astimezone(ZoneInfo(zone))
        return f"{format_datetime(local, 'EEE d MMM y, HH:mm', locale=self.locale)} {get_timezone_name(local, 'short', locale=self.locale)}"

    def day_time(self, at: datetime, zone: str) -> str:
        """Weekday, day and time: short, for something near."""
        return format_datetime(at.astimezone(ZoneInfo(zone)), "EEE d MMM HH:mm", locale=self.locale)

    def day(self, at: datetime, zone: str) -> str:
        """The date."""
        return format_date(at.astimezone(ZoneInfo(zone)).date(), "d MMM y", locale=self.locale)

    def short_day(self, at: datetime, zone: str) -> str:
        """Day and month, for an axis."""
        return format_date(at.astimezone(ZoneInfo(zone)).date(), "d MMM", locale=self.locale)

    def month(self, at: datetime) -> str:
        """The month and year of a moment in UTC."""
        return format_date(at.date(), "LLLL y", locale=self.locale)

    def clock(self, at: datetime, zone: str) -> str:
        """The time of day."""
        return format_time(at.astimezone(ZoneInfo(zone)).timetz(), "HH:mm", locale=self.locale)

    def relative(self, at: datetime, now: datetime) -> str:
        """'in 3 hours', 'hace 2 días'. `now` is the fleet's."""
        difference = at - now
        if abs(difference) < timedelta(minutes=1):
            return self.text(N_("now"))
        granularity = "hour" if timedelta(hours=2) <= abs(difference) < _SHORTEST_DAY else "second"
        rounded = timedelta(hours=round(difference / timedelta(hours=1))) if granularity == "hour" else difference
        threshold = 2 if granularity == "hour" else 0.95
        return format_timedelta(
            rounded, granularity="hour" if granularity == "hour" else "minute", threshold=threshold, add_direction=True, locale=self.locale
        )

    def duration(self, span: timedelta) -> str:
        """'36 hours'."""
        return format_timedelta(span, threshold=2, granularity="minute", locale=self.locale)


@cache
def language_of(code: Code) -> Language:
    """The language of `code`; English words where no translation has been compiled."""
    found = Translations.load(LOCALES, [_HTML[code].split("-")[0]], DOMAIN)
    return Language(code, Locale.parse(_LOCALES[code]), found)
