"""What was seen: events in the order in which they happened, and the questions that checks ask of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.packets import Packet, Publish


@dataclass(frozen=True)
class Passed:
    """A packet on the connection `line` to `server`; `sent` by the client, else by the broker. `at` in ms since 1970 UTC."""

    at: float
    server: str
    line: int
    sent: bool
    packet: Packet


@dataclass(frozen=True)
class Ended:
    """The connection `line` is no more: the client or the broker closed it, or the play cut it."""

    at: float
    server: str
    line: int
    by: str


@dataclass(frozen=True)
class Observed:
    """The broker delivered this to a bystander who wants the retain flag as it was published."""

    at: float
    server: str
    message: Publish


@dataclass(frozen=True)
class Did:
    """The play did something that no packet of the subject shows."""

    at: float
    what: str
    about: str = ""


@dataclass(frozen=True)
class Looked:
    """What the host's database said of an edge node, see `host_play.look`."""

    at: float
    after: str
    facts: dict[str, Any] = field(hash=False)


Event = Passed | Ended | Observed | Did | Looked


@dataclass(frozen=True)
class Transcript:
    """All that was seen of one play. `facts` is what a check must know of the configuration of the subject."""

    events: tuple[Event, ...]
    facts: dict[str, Any] = field(default_factory=dict, hash=False)

    def packets(self, kind: type[Packet], *, sent: bool = True) -> Iterator[tuple[int, Passed]]:
        """Packets of one kind and direction with their places in `events`."""
        for index, event in enumerate(self.events):
            if isinstance(event, Passed) and event.sent is sent and isinstance(event.packet, kind):
                yield index, event

    def did(self, what: str) -> Iterator[tuple[int, Did]]:
        """The play's own deeds of this name with their places."""
        for index, event in enumerate(self.events):
            if isinstance(event, Did) and event.what == what:
                yield index, event

    def changed(self, change: Callable[[Event], Event | None]) -> "Transcript":
        """The transcript with each event replaced; None leaves it out."""
        return Transcript(tuple(new for event in self.events if (new := change(event)) is not None), self.facts)
