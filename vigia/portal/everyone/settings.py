"""Language, theme, text size and density, kept with the account."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from vigia.api.session import Caller, Transaction
from vigia.portal.language import N_, NAMES, language_of
from vigia.portal.look import DENSITIES, TEXT_SIZES, THEMES, look_of, remember
from vigia.portal.rendering import answer, plain_ui
from vigia.store import accounts

router = APIRouter()

_THEME_NAMES = {"system": N_("As the device"), "light": N_("Light"), "dark": N_("Dark"), "contrast": N_("High contrast")}
_DENSITY_NAMES = {"comfortable": N_("Comfortable"), "compact": N_("Compact")}


@dataclass(frozen=True)
class Choice:
    """One option of a setting."""

    value: str
    label: str
    chosen: bool
    lang: str = ""


@dataclass(frozen=True)
class SettingsPage:
    """The settings with what is chosen now."""

    languages: tuple[Choice, ...]
    themes: tuple[Choice, ...]
    texts: tuple[Choice, ...]
    densities: tuple[Choice, ...]


@router.get("/settings")
async def show(request: Request, caller: Caller, saved: bool = False) -> Response:  # noqa: FBT001, FBT002 - a query parameter
    """The settings."""
    look = look_of(request, caller)
    language = language_of(look.language)
    page = SettingsPage(
        languages=tuple(Choice(code, name, code == look.language, language_of(code).html) for code, name in NAMES.items()),
        themes=tuple(Choice(code, language.text(_THEME_NAMES[code]), code == look.theme) for code in THEMES),
        texts=tuple(Choice(code, language.percent(int(code) / 100), code == look.text) for code in TEXT_SIZES),
        densities=tuple(Choice(code, language.text(_DENSITY_NAMES[code]), code == look.density) for code in DENSITIES),
    )
    notice = language.text("Your settings are saved.") if saved else ""
    return answer("everyone/settings.html", page, plain_ui(request, caller, notice=notice))


class SettingsForm(BaseModel):
    """The settings as they are sent."""

    language: str = ""
    theme: str = ""
    text: str = ""
    density: str = ""


@router.post("/settings")
async def save(request: Request, caller: Caller, tx: Transaction, form: Annotated[SettingsForm, Form()]) -> Response:
    """Keep the choices; those not on offer change nothing."""
    look = look_of(request, caller).with_choices(form.model_dump())
    await accounts.set_preferences(tx, caller.account_id, look.language, look.preferences)
    response = RedirectResponse("/settings?saved=1", 303)
    remember(request, response, look)
    return response
