"""Whom the pipeline speaks with: the broker's side, and who keeps count of what happens."""

from typing import Protocol


class Outlet(Protocol):
    """What the pipeline wants of the broker's side; `Host` is one."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a command if a broker is there."""

    def send(self, packets: bytes) -> None:
        """Send ready-made PUBLISH packets if a broker is there."""

    def pause(self) -> None:
        """Let the edges keep their data."""

    def resume(self) -> None:
        """Let them send it."""


class Observer(Protocol):
    """Who keeps count of what happens; `Watch` is one."""

    def received(self, messages: int, nbytes: int) -> None:
        """Messages were taken from the queue."""

    def stored(self, rows: int, replayed: int, commit_s: float, lag_s: float | None) -> None:
        """A commit of so many rows took so long; `lag_s` from its oldest live reading, None without one."""

    def set_aside(self, reason: str, count: int = 1) -> None:
        """Messages became dead letters."""

    def database_away(self) -> None:
        """The database does not answer."""

    def database_back(self) -> None:
        """It does again."""


class Unwatched:
    """An observer that keeps no count."""

    def received(self, messages: int, nbytes: int) -> None:
        """See `Observer`."""

    def stored(self, rows: int, replayed: int, commit_s: float, lag_s: float | None) -> None:
        """See `Observer`."""

    def set_aside(self, reason: str, count: int = 1) -> None:
        """See `Observer`."""

    def database_away(self) -> None:
        """See `Observer`."""

    def database_back(self) -> None:
        """See `Observer`."""
