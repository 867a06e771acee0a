"""Pages out of templates: one environment a language, one layout, one way to answer.

A template sees `page` (the dataclass of its page) and `ui` (`Ui`, the layout's), nothing else but the filters below.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from vigia.portal import words
from vigia.portal.language import N_, NAMES, Language, language_of
from vigia.portal.look import Look, look_of
from vigia.store.accounts import Language as Code
from vigia.store.sessions import Session

_ROOT = Path(__file__).parent
STATIC = _ROOT / "static"


@dataclass(frozen=True)
class NavItem:
    """An entry of the main menu. `count` is shown beside it when it is not 0."""

    href: str
    label: str
    icon: str
    current: bool
    count: int = 0


@dataclass(frozen=True)
class Ui:
    """What the layout needs on every page.

    now : the fleet's time, to which relative times refer; None on pages without data
    replay : the fleet's time is not the wall clock's
    live : the page follows changes by itself
    """

    language: Language
    look: Look
    path: str
    version: str
    caller: Session | None = None
    now: datetime | None = None
    replay: bool = False
    live: bool = False
    nav: tuple[NavItem, ...] = ()
    notice: str = ""

    @property
    def csrf_token(self) -> str:
        """For every form that changes something; empty before log-in."""
        return self.caller.csrf_token if self.caller is not None else ""

    @property
    def languages(self) -> Mapping[Code, str]:
        """Language codes and names on offer."""
        return NAMES


_MENU: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "customer": (
        ("/", N_("Fleet"), "fleet"),
        ("/alarms", N_("Alarms"), "bell"),
        ("/work-orders", N_("Work orders"), "wrench"),
        ("/outcome", N_("Outcome"), "outcome"),
    ),
    "service_manager": (
        ("/", N_("Worklist"), "list"),
        ("/fleet", N_("Fleet"), "fleet"),
        ("/alarms", N_("Alarms"), "bell"),
        ("/work-orders", N_("Work orders"), "wrench"),
        ("/outcome", N_("Outcome"), "outcome"),
        ("/models", N_("Models"), "model"),
    ),
    "technician": (("/", N_("My jobs"), "list"), ("/fleet", N_("Fleet"), "fleet")),
}


@cache
def static_version() -> str:
    """Changes when a static file does: addresses carry it, so browsers may keep the files for good."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(STATIC)} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:10]


@cache
def environment(language: Language) -> Environment:
    """The templates in one language."""
    env = Environment(
        loader=FileSystemLoader(_ROOT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]
    env.filters.update(_filters(language))
    return env


def _filters(language: Language) -> dict[str, Callable[..., Any]]:
    tables = {
        "health": words.HEALTH,
        "why": words.WHY,
        "sensor": words.SENSORS,
        "mode": words.FAILURE_MODES,
        "priority": words.PRIORITIES,
        "alarm_state": words.ALARM_STATES,
        "order_state": words.ORDER_STATES,
        "order_kind": words.ORDER_KINDS,
        "step": words.STEPS,
        "verdict": words.VERDICTS,
        "cause": words.CAUSES,
        "category": words.CATEGORIES,
        "account_kind": words.KINDS,
    }
    filters: dict[str, Callable[..., Any]] = {f"word_{name}": partial(words.word, language, table) for name, table in tables.items()}
    filters.update(
        condition=partial(words.condition, language),
        life=partial(words.life, language),
        unit=words.unit,
        number=language.number,
        significant=language.significant,
        quantity=language.quantity,
        percent=language.percent,
        likelihood=language.likelihood,
        money=language.money,
        moment=language.moment,
        day_time=language.day_time,
        day=language.day,
        short_day=language.short_day,
        clock=language.clock,
        relative=language.relative,
        duration=language.duration,
        when=partial(_when, language),
    )
    return filters


_WHEN = Markup(
    '<time class="when" datetime="{iso}" data-absolute="{absolute}"{focus}>{relative}'
    '<span class="hidden-visually"> ({absolute})</span></time>'
)


def _when(language: Language, at: datetime, now: datetime, zone: str, *, focusable: bool = False) -> Markup:
    """A relative time that tells the absolute: on hover, and on focus where it is the only way to it."""
    focus = Markup(' tabindex="0"') if focusable else Markup("")
    absolute = language.moment(at, zone)
    return _WHEN.format(iso=escape(at.isoformat()), absolute=absolute, focus=focus, relative=language.relative(at, now))


def menu(caller: Session | None, path: str, language: Language, counts: Mapping[str, int]) -> tuple[NavItem, ...]:
    """The main menu of the caller's kind; `counts` by address."""
    if caller is None:
        return ()
    items = _MENU[caller.kind]
    return tuple(
        NavItem(
            href,
            language.text(label),
            icon,
            current=path == href or (href != "/" and path.startswith(f"{href}/")),
            count=counts.get(href, 0),
        )
        for href, label, icon in items
    )


def answer(template: str, page: object, ui: Ui, status: int = 200) -> HTMLResponse:
    """The page as a response."""
    html = environment(ui.language).get_template(template).render(page=page, ui=ui)
    return HTMLResponse(html, status, headers={"Content-Language": ui.language.html, "Vary": "Cookie, Accept-Language"})


def plain_ui(request: Request, caller: Session | None = None, **more: Any) -> Ui:  # noqa: ANN401 - fields of Ui
    """The layout of a page without fleet data."""
    look = look_of(request, caller)
    language = language_of(look.language)
    return Ui(language, look, request.url.path, static_version(), caller, nav=menu(caller, request.url.path, language, {}), **more)
