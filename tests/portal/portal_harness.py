"""Who visits the portal, and how."""

from dataclasses import dataclass

from flown_fleet import PASSWORD, Flown
from playwright.sync_api import Browser, BrowserContext, Page

CUSTOMER, MANAGER, TECHNICIAN = "flota@brisal.example", "service@vigia.example", "davi@vigia.example"


@dataclass(frozen=True)
class Portal:
    """A running portal over the flown fleet."""

    url: str
    dsn: str
    flown: Flown


@dataclass
class Visitor:
    """Someone at the portal: opens pages in a context of their own. Errors on the browser's console fail the test at the end."""

    portal: Portal
    browser: Browser
    contexts: list[BrowserContext]
    complaints: list[str]

    def enter(self, login: str | None, path: str = "/", width: int = 1280, height: int = 900, **options: str) -> Page:
        """The page at `path`, logged in as `login` (None: not at all)."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **options)  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if login is not None:
            page.goto(f"{self.portal.url}/login")
            page.locator("#login").fill(login)
            page.locator("#password").fill(PASSWORD)
            page.locator("button.primary").click()
            page.wait_for_url(f"{self.portal.url}/")
        page.goto(self.portal.url + path)
        return page
