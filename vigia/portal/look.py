"""How a person wants the pages: language, theme, text size, density. Kept with the account; before log-in, in a cookie."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response

from vigia.portal.language import NAMES
from vigia.store.accounts import Language as Code
from vigia.store.sessions import Session

COOKIE = "vigia_look"
_YEAR_S = 365 * 24 * 3600

THEMES = ("system", "light", "dark", "contrast")
TEXT_SIZES = ("100", "115", "130", "150", "175", "200")
DENSITIES = ("comfortable", "compact")


@dataclass(frozen=True)
class Look:
    """Choices that are always valid: whatever is not offered falls back to the default."""

    language: Code
    theme: str = "system"
    text: str = "100"
    density: str = "comfortable"

    def with_choices(self, choices: Mapping[str, Any]) -> Self:
        """The look with the valid ones of `choices` taken over."""
        offered = {"language": tuple(NAMES), "theme": THEMES, "text": TEXT_SIZES, "density": DENSITIES}
        return replace(self, **{name: choices[name] for name, values in offered.items() if choices.get(name) in values})

    @property
    def preferences(self) -> dict[str, str]:
        """What is stored in the account beside its language."""
        return {"theme": self.theme, "text": self.text, "density": self.density}


def look_of(request: Request, caller: Session | None) -> Look:
    """The account's choices, else the cookie's, else what the browser asks for."""
    look = Look(_browser_language(request)).with_choices(dict(parse_qsl(request.cookies.get(COOKIE, ""))))
    if caller is not None:
        look = look.with_choices({**caller.preferences, "language": caller.language})
    return look


def remember(request: Request, response: Response, look: Look) -> None:
    """Keep the look in this browser too, so that the log-in page has it."""
    value = urlencode({"language": look.language, **look.preferences})
    response.set_cookie(COOKIE, value, max_age=_YEAR_S, path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax")


def _browser_language(request: Request) -> Code:
    wishes: list[tuple[float, str]] = []
    for part in request.headers.get("Accept-Language", "").split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wishes.append((float(quality or 1), tag.split("-")[0].lower()))
        except ValueError:
            continue
    for _weight, code in sorted(wishes, key=lambda wish: -wish[0]):
        if code in NAMES:
            return cast("Code", code)
    return "en"
