"""The root of every error Vigía raises on purpose.

Each room has one base error below `VigiaError`. An error's docstring is its default message: one sentence that says
what is wrong and what to do. The command line prints it and exits with code 2; the API maps it to problem+json.
"""

import inspect


class VigiaError(Exception):
    """Something went wrong that Vigía foresaw."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))


class ConfigError(VigiaError):
    """A setting cannot be used; the message names the file or option, the key and the remedy."""
