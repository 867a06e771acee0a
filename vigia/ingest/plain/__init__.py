"""Devices that speak no Sparkplug: JSON, lines of it, rows of CSV or one number, read by a declared topic -> decoder table.

`table` says which topic is read how and whose it is, `decoders` turns bytes into documents, `reading` documents into samples, and
`devices` samples into the events that a Sparkplug device would have caused.
"""

UNREADABLE = "unreadable plain message"
MISFIT = "plain message does not fit its entry"
UNDATED = "plain message without a usable time"
UNKNOWN_SENDER = "plain message of an unknown edge node"
UNDECLARED = "topic is not declared"
TOO_MANY = "too many points"
REASONS = (UNREADABLE, MISFIT, UNDATED, UNKNOWN_SENDER, UNDECLARED, TOO_MANY)
"""Why a plain message becomes a dead letter. Always the whole message: nothing of it is stored, so it can be replayed."""


class RefusedMessage(Exception):  # noqa: N818 - no error of the program: it becomes a dead letter
    """A plain message that cannot be used; `reason` is one of REASONS, the text says what of it and what to do."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
