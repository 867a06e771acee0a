"""Transcripts as Sparkplug sees them: messages with their payloads, connections with what was heard and said on them.

Reading is lenient, so that a check can say what is wrong: a message is what its topic nearly says it is.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from google.protobuf.message import DecodeError

from conformance.packets import Connack, Connect, Disconnect, Publish, Suback, Subscribe
from conformance.transcript import Ended, Passed, Transcript
from vigia.sparkplug.payload_schema import PayloadMessage

Said = Iterator[tuple[bool, str]]
"""What a check finds: whether it held, and what it was about. Nothing at all is no evidence."""

NODE_KINDS = ("NBIRTH", "NDATA", "NDEATH", "NCMD")
DEVICE_KINDS = ("DBIRTH", "DDATA", "DDEATH", "DCMD")
KINDS = (*NODE_KINDS, *DEVICE_KINDS)
FROM_EDGES = ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH", "NDEATH")
NUMBERED = ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH")
BD_SEQ, REBIRTH = "bdSeq", "Node Control/Rebirth"


@lru_cache(maxsize=20_000)
def parse(payload: bytes) -> Any:  # noqa: ANN401 - protobuf classes are built at run time
    """The Sparkplug B payload in these bytes, None when they are none."""
    message = PayloadMessage()
    try:
        message.ParseFromString(payload)
    except DecodeError:
        return None
    return message


def metric(payload: Any, name: str) -> Any:  # noqa: ANN401
    """The first metric of that name, or None."""
    return next((one for one in payload.metrics if one.name == name), None) if payload is not None else None


def value(one: Any) -> object:  # noqa: ANN401
    """What the metric or property says, None for null or nothing."""
    found = one.WhichOneof("value")
    return None if one.is_null or found is None else getattr(one, found)


@dataclass(frozen=True)
class State:
    """A STATE message; `online` and `timestamp` None where they are missing or of the wrong type."""

    online: bool | None
    timestamp: int | None
    keys: frozenset[str] = frozenset()

    @classmethod
    def read(cls, payload: bytes) -> "State":
        """Whatever the bytes are."""
        try:
            said = json.loads(payload)
        except ValueError:
            return cls(None, None)
        if not isinstance(said, dict):
            return cls(None, None)
        online, timestamp = said.get("online"), said.get("timestamp")
        right = isinstance(timestamp, int) and not isinstance(timestamp, bool)
        return cls(online if isinstance(online, bool) else None, timestamp if right else None, frozenset(said))


@dataclass(frozen=True)
class Message:
    """A PUBLISH of the subject, at place `index` of the transcript."""

    index: int
    at: float
    publish: Publish

    @property
    def levels(self) -> list[str]:
        return self.publish.topic.split("/")

    @cached_property
    def kind(self) -> str:
        """What it nearly is: NBIRTH and so on, STATE, or nothing."""
        return next((level.upper() for level in self.levels if level.upper() in (*KINDS, "STATE")), "")

    @property
    def device(self) -> str | None:
        """The last level, where there are five."""
        return self.levels[4] if len(self.levels) > 4 else None

    @property
    def payload(self) -> Any:  # noqa: ANN401
        """The payload as protobuf, None when it is none."""
        return parse(self.publish.payload)

    @property
    def state(self) -> State:
        """The payload as a STATE."""
        return State.read(self.publish.payload)

    def __str__(self) -> str:
        return f"{self.publish.topic} at place {self.index}"


@dataclass(eq=False)
class Line:
    """One connection of the subject, from its CONNECT to its end."""

    number: int
    server: str
    index: int
    at: float
    connect: Connect
    subscriptions: list[tuple[int, Subscribe]] = field(default_factory=list)
    granted: list[int] = field(default_factory=list)
    accepted: int | None = None
    said: list[Message] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    left: int | None = None
    left_reason: int = 0
    ended: Ended | None = None
    end: int = 1 << 62

    @property
    def filters(self) -> list[tuple[str, int]]:
        """What it subscribed to, with QoS."""
        return [one for _, subscribe in self.subscriptions for one in subscribe.filters]

    def of(self, *kinds: str) -> list[Message]:
        """What was said of these kinds."""
        return [message for message in self.said if message.kind in kinds]

    def states(self, host: str) -> list[Message]:
        """What was heard of this host application."""
        return [message for message in self.heard if message.publish.topic == f"spBv1.0/STATE/{host}"]


@dataclass(eq=False)
class Reading:
    """A transcript with the subject's connections in it, in the order of their CONNECTs."""

    transcript: Transcript

    @property
    def facts(self) -> dict[str, Any]:
        return self.transcript.facts

    @cached_property
    def lines(self) -> list[Line]:
        lines: dict[int, Line] = {}
        for index, event in enumerate(self.transcript.events):
            if isinstance(event, Passed):
                if isinstance(event.packet, Connect) and event.sent:
                    lines[event.line] = Line(event.line, event.server, index, event.at, event.packet)
                elif event.line in lines:
                    _add(lines[event.line], index, event)
            elif isinstance(event, Ended) and event.line in lines:
                lines[event.line].ended, lines[event.line].end = event, index
        return list(lines.values())

    def of(self, *kinds: str) -> list[Message]:
        """What the subject said of these kinds, in order."""
        return sorted((message for line in self.lines for message in line.of(*kinds)), key=lambda message: message.index)

    @cached_property
    def of_nodes(self) -> dict[str, list[Line]]:
        """The connections of each edge node, by its client id as group/node."""
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.connect.client_id.replace(".", "/", 1), []).append(line)
        return found


def _add(line: Line, index: int, event: Passed) -> None:
    match event.packet:
        case Publish() as publish:
            (line.said if event.sent else line.heard).append(Message(index, event.at, publish))
        case Subscribe() as subscribe:
            line.subscriptions.append((index, subscribe))
        case Suback():
            line.granted.append(index)
        case Connack(code=0):
            line.accepted = index
        case Disconnect() as disconnect if event.sent:
            line.left, line.left_reason = index, disconnect.reason
        case _:
            pass


def each(reading: Reading, *kinds: str) -> Iterator[tuple[Line, Message]]:
    """What was said of these kinds, with its connection."""
    for line in reading.lines:
        for message in line.of(*kinds):
            yield line, message
