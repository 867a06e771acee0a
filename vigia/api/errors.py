"""What the api refuses, in its own words. `problems.py` maps each to an HTTP status."""

from vigia.errors import VigiaError


class ApiError(VigiaError):
    """The request cannot be served."""


class NotLoggedInError(ApiError):
    """Log in first: the request carries no valid session."""


class LogInRefusedError(ApiError):
    """The login or the password is wrong."""


class TooManyAttemptsError(ApiError):
    """Too many failed log-ins; wait before the next attempt."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class ForgedRequestError(ApiError):
    """The request came with a session cookie but without its CSRF token: send it in X-CSRF-Token or the form field csrf_token."""


class ForbiddenError(ApiError):
    """Your account's role may not do this."""


class NotFoundError(ApiError):
    """Nothing with that id is visible to you."""


class BadCursorError(ApiError):
    """The cursor is not one this list gave out; start again without it."""


class BadRangeError(ApiError):
    """`until` must be later than `from`."""


class NotInForceError(ApiError):
    """The contract is not in force at any time of that range."""


class TooMuchDataError(ApiError):
    """The range holds more readings than one response may carry: ask for a coarser resolution, fewer points or a shorter range."""


class UnknownPointError(ApiError):
    """The asset has no such point."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The asset has no point named {name!r}; ask its list of points.")
