"""Session rules of Sparkplug B as pure state: numbers, births and deaths, who is online. Time is an argument, in seconds.

`seq` counts messages of an edge node, 0..255; `bdSeq` pairs an edge node's birth with its death, 0..255.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from vigia.sparkplug import PayloadError
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import BD_SEQ
from vigia.sparkplug.payload import Metric, Payload

SEQ_MODULUS = 256
T = TypeVar("T")


def next_seq(seq: int) -> int:
    """The number after `seq`; also for bdSeq."""
    return (seq + 1) % SEQ_MODULUS


def bd_seq_metric(bd_seq: int, timestamp: int | None = None) -> Metric:
    """The metric that pairs an NBIRTH with its NDEATH."""
    return Metric(BD_SEQ, timestamp=timestamp, datatype=DataType.INT64, value=bd_seq)


def node_death(bd_seq: int, timestamp: int | None = None) -> Payload:
    """The payload of an NDEATH: bdSeq and nothing else, not numbered."""
    return Payload(timestamp=timestamp, metrics=(bd_seq_metric(bd_seq, timestamp),))


def bd_seq_of(payload: Payload) -> int:
    """The bdSeq of an NBIRTH or NDEATH. Raises PayloadError when it is missing or no integer."""
    metric = payload.metric(BD_SEQ)
    if metric is None:
        raise PayloadError("no bdSeq metric")
    if isinstance(metric.value, bool) or not isinstance(metric.value, int):
        raise PayloadError(f"bdSeq is {metric.value!r}, not an integer")
    return metric.value


def seq_of(payload: Payload) -> int:
    """The message's number. Raises PayloadError when it is missing or not in 0..255."""
    if payload.seq is None:
        raise PayloadError("the message is not numbered (seq is missing)")
    if payload.seq >= SEQ_MODULUS:
        raise PayloadError(f"seq is {payload.seq}, not in 0..255")
    return payload.seq


@dataclass(slots=True)
class NodeSession:
    """What a host knows of an edge node's session: born under which bdSeq, alive or not."""

    bd_seq: int | None = None
    alive: bool = False

    def born(self, payload: Payload) -> None:
        """Begin, or repeat, the session that this NBIRTH opens. Raises PayloadError."""
        self.bd_seq = bd_seq_of(payload)
        self.alive = True

    def dies(self, payload: Payload) -> bool:
        """Whether this NDEATH ends the session; one of an earlier session (an old Will) does not. Raises PayloadError."""
        if not self.alive or bd_seq_of(payload) != self.bd_seq:
            return False
        self.alive = False
        return True


class Arrival(Enum):
    """How a numbered message stands to those before it."""

    IN_ORDER = "in order"
    EARLY = "early: one before it is missing"
    REPEATED = "repeated"


@dataclass(slots=True)
class Reorder(Generic[T]):
    """Puts an edge node's messages back in the order of their `seq`.

    `timeout_s` is how long a missing message may take. An NBIRTH may carry any seq and starts afresh. A message is held while one
    before it is missing; when that lasts too long `overdue` says so: ask the node for a rebirth and `give_up`.
    """

    timeout_s: float = 2.0
    expected: int | None = None
    held: dict[int, T] = field(default_factory=dict)
    waiting_since: float | None = None

    def birth(self, seq: int) -> None:
        """An NBIRTH with this seq was taken; what was held belonged to the session before."""
        self.expected = next_seq(seq)
        self.held.clear()
        self.waiting_since = None

    def offer(self, seq: int, message: T, now: float) -> tuple[Arrival, list[T]]:
        """Say how `message` stands, and give the messages that may be taken now, in order.

        Without a birth there is no order yet: the message is given back at once.
        """
        if self.expected is None:
            return Arrival.IN_ORDER, [message]
        if seq != self.expected:
            ahead = (seq - self.expected) % SEQ_MODULUS
            if seq in self.held or ahead >= SEQ_MODULUS // 2:
                return Arrival.REPEATED, []
            self.held[seq] = message
            if self.waiting_since is None:
                self.waiting_since = now
            return Arrival.EARLY, []
        ready = deque([message])
        self.expected = next_seq(seq)
        while self.expected in self.held:
            ready.append(self.held.pop(self.expected))
            self.expected = next_seq(self.expected)
        self.waiting_since = now if self.held else None
        return Arrival.IN_ORDER, list(ready)

    def overdue(self, now: float) -> bool:
        """Whether a missing message has taken longer than allowed."""
        return self.waiting_since is not None and now - self.waiting_since >= self.timeout_s

    def give_up(self) -> list[T]:
        """Forget the order until the next birth; gives what was held, in order of arrival by seq."""
        expected = self.expected or 0
        rest = [message for _, message in sorted(self.held.items(), key=lambda item: (item[0] - expected) % SEQ_MODULUS)]
        self.held.clear()
        self.expected = None
        self.waiting_since = None
        return rest


@dataclass(frozen=True, slots=True)
class HostState:
    """What a host application says about itself; `timestamp` in milliseconds since 1970 UTC."""

    online: bool
    timestamp: int

    def encode(self) -> bytes:
        """The STATE message's JSON."""
        return json.dumps({"online": self.online, "timestamp": self.timestamp}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> "HostState":
        """Raises PayloadError when `data` is not a STATE message."""
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError):
            raise PayloadError("STATE is not JSON") from None
        if not isinstance(fields, dict):
            raise PayloadError("STATE is not a JSON object")
        online, timestamp = fields.get("online"), fields.get("timestamp")
        if not isinstance(online, bool):
            raise PayloadError("STATE has no boolean 'online'")
        if isinstance(timestamp, bool) or not isinstance(timestamp, int) or timestamp < 0:
            raise PayloadError("STATE has no 'timestamp' in milliseconds")
        return cls(online, timestamp)


@dataclass(slots=True)
class PrimaryHost:
    """What an edge node knows of its primary host: online or not, by the newest word heard."""

    online: bool = False
    timestamp: int = -1

    def hears(self, state: HostState) -> bool:
        """Take a STATE message; returns whether the host is online. A word older than the last one changes nothing."""
        if state.timestamp >= self.timestamp:
            self.timestamp = state.timestamp
            self.online = state.online
        return self.online
