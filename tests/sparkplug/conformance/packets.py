"""MQTT 3.1.1 and 5 as bytes, as far as a tap needs to read them: from a stream to packets, one direction of one connection."""

from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14
MQTT_5 = 5
_SESSION_EXPIRY = 0x11
_PROPERTY_SIZES = {0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1, 0x27: 4}
_PROPERTY_SIZES |= {0x28: 1, 0x29: 1, 0x2A: 1}


@dataclass(frozen=True)
class Will:
    """What the broker says for a client that is gone."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True)
class Connect:
    """`level` is 4 for MQTT 3.1.1 and 5 for MQTT 5; `clean` is Clean Session or Clean Start; `expiry_s` the session's, MQTT 5 only."""

    client_id: str
    level: int
    clean: bool
    will: Will | None
    expiry_s: int = 0


@dataclass(frozen=True)
class Connack:
    """The broker's answer to a CONNECT, 0 is yes."""

    code: int


@dataclass(frozen=True)
class Publish:
    """A message, in either direction."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True)
class Puback:
    """A message at QoS 1 was taken."""


@dataclass(frozen=True)
class Subscribe:
    """Filters with the QoS asked for."""

    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Suback:
    """The broker's answer, a code a filter; 128 and more is no."""

    codes: tuple[int, ...]


@dataclass(frozen=True)
class Disconnect:
    """An ordered end; in MQTT 5 with a reason."""

    reason: int = 0


Packet = Connect | Connack | Publish | Puback | Subscribe | Suback | Disconnect


class Stream:
    """One direction of a connection. `level` is the connection's MQTT level, once its CONNECT was read in either direction."""

    def __init__(self) -> None:
        self.level = 4
        self._rest = b""

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that are whole now; kinds that tell a checker nothing are left out."""
        self._rest += data
        packets = []
        while (whole := _whole(self._rest)) is not None:
            first, body, size = whole
            self._rest = self._rest[size:]
            if (packet := self._read(first, body)) is not None:
                packets.append(packet)
        return packets

    def _read(self, first: int, data: bytes) -> Packet | None:
        body = _Body(data)
        reader = {
            CONNECT: self._connect,
            CONNACK: lambda _: Connack(data[1]),
            PUBLISH: lambda body: self._publish(first, body),
            PUBACK: lambda _: Puback(),
            SUBSCRIBE: self._subscribe,
            SUBACK: self._suback,
            DISCONNECT: lambda _: Disconnect(data[0] if data else 0),
        }.get(first >> 4)
        return None if reader is None else reader(body)

    def _publish(self, first: int, body: "_Body") -> Publish:
        qos, topic = first >> 1 & 3, body.text()
        if qos:
            body.number(2)
        self._skip_properties(body)
        return Publish(topic, body.rest(), qos, bool(first & 1))

    def _subscribe(self, body: "_Body") -> Subscribe:
        body.number(2)
        self._skip_properties(body)
        filters = []
        while body.left:
            filters.append((body.text(), body.number(1) & 3))
        return Subscribe(tuple(filters))

    def _suback(self, body: "_Body") -> Suback:
        body.number(2)
        self._skip_properties(body)
        return Suback(tuple(body.rest()))

    def _skip_properties(self, body: "_Body") -> None:
        if self.level == MQTT_5:
            body.properties()

    def _connect(self, body: "_Body") -> Connect:
        body.text()
        self.level = body.number(1)
        flags = body.number(1)
        body.number(2)
        properties = body.properties() if self.level == MQTT_5 else {}
        client_id = body.text()
        will = None
        if flags & 0x04:
            if self.level == MQTT_5:
                body.properties()
            will = Will(body.text(), body.blob(), flags >> 3 & 3, bool(flags & 0x20))
        return Connect(client_id, self.level, bool(flags & 0x02), will, properties.get(_SESSION_EXPIRY, 0))


class _Body:
    """What follows a packet's length, read from its front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        assert len(taken) == size, "an MQTT packet ends too early"
        self._at += size
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def blob(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        return self.blob().decode()

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def properties(self) -> dict[int, int]:
        """Those of a fixed size, by number."""
        size, self._at = _length(self._data, self._at)
        end = self._at + size
        found = {}
        while self._at < end:
            kind = self.number(1)
            if kind in _PROPERTY_SIZES:
                found[kind] = self.number(_PROPERTY_SIZES[kind])
            elif kind == 0x0B:
                _, self._at = _length(self._data, self._at)
            else:
                for _ in range(2 if kind == 0x26 else 1):
                    self.blob()
        return found


def _whole(data: bytes) -> tuple[int, bytes, int] | None:
    """First byte, body and size of the packet at the front; None while it is not whole."""
    if len(data) < 2 or (data[1] & 0x80 and len(data) < 5 and all(byte & 0x80 for byte in data[1:])):
        return None
    size, start = _length(data, 1)
    return (data[0], data[start : start + size], start + size) if len(data) >= start + size else None


def _length(data: bytes, at: int) -> tuple[int, int]:
    """The number of variable length at `at`, and where it ends."""
    size = shift = 0
    while True:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return size, at
