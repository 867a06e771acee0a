"""Pages for people, rendered by the server; the same process as the api, which includes `router` and asks `error_page`."""

from vigia.portal.everyone.failures import error_page
from vigia.portal.routes import router

__all__ = ["error_page", "router"]
