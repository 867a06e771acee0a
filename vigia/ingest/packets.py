"""MQTT 3.1.1 as bytes, without I/O: the packets we send, and a whole buffer of received ones taken apart in one pass.

Quality of service 2 is never asked for, so nothing here speaks it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

CONNACK: Final = 0x20
SUBACK: Final = 0x90
PINGRESP: Final = 0xD0
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"

_REFUSED = 0x80
_CONNECT_REFUSALS = {
    1: "Unsupported protocol version",
    2: "Client identifier not valid",
    3: "Server unavailable",
    4: "Bad user name or password",
    5: "Not authorized",
}

_LONGEST_TEXT = 65_535
_PUBLISH = 3  # the upper half of a first byte
_LENGTH_BYTES = 4
_DIGIT = 0x7F  # of a length's byte; the highest bit says that another one follows
_SOUND, _KIND, _LENGTH, _QOS, _TOPIC, _IDENTIFIER, _TOO_LONG = range(7)
FAULTS: Final = {
    _KIND: "a packet that no broker sends to a subscriber",
    _LENGTH: "a length of more than four bytes",
    _QOS: "a quality of service that was not asked for",
    _TOPIC: "a topic that is empty or longer than its message",
    _IDENTIFIER: "a message to be acknowledged without its number",
    _TOO_LONG: "a packet too long for what it is",
}


# ── what we send ──


class Will(NamedTuple):
    """A retained message that the broker publishes at QoS 1 when the connection breaks."""

    topic: str
    payload: bytes


def connect(client_id: str, keepalive_s: int, user: str | None = None, password: str | None = None, will: Will | None = None) -> bytes:
    """A clean session. Raises ValueError on a text that MQTT cannot carry."""
    flags = 0x02 | (0x80 if user is not None else 0) | (0x40 if user is not None and password is not None else 0)
    flags |= 0x2C if will is not None else 0
    body = _text("MQTT") + bytes((4, flags)) + keepalive_s.to_bytes(2) + _text(client_id)
    if will is not None:
        body += _text(will.topic) + len(will.payload).to_bytes(2) + will.payload
    if user is not None:
        body += _text(user)
        if password is not None:
            body += _text(password)
    return _packet(0x10, body)


def subscribe(packet_id: int, filters: Sequence[str], qos: int = 1) -> bytes:
    """All `filters` at the same quality of service. Raises ValueError on a filter that MQTT cannot carry."""
    return _packet(0x82, packet_id.to_bytes(2) + b"".join(_text(one) + bytes((qos,)) for one in filters))


def publish(topic: str, payload: bytes) -> bytes:
    """A message at quality of service 0, not retained. Raises ValueError on a topic that MQTT cannot carry."""
    return _packet(0x30, _text(topic) + payload)


def acknowledge(packet_ids: NDArray[np.int64]) -> bytes:
    """A PUBACK for each number, in their order."""
    packets = np.empty((len(packet_ids), 4), np.uint8)
    packets[:, 0] = 0x40
    packets[:, 1] = 2
    packets[:, 2] = packet_ids >> 8
    packets[:, 3] = packet_ids & 0xFF
    return packets.tobytes()


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > _LONGEST_TEXT:
        raise ValueError(f"{len(data)} bytes, more than the {_LONGEST_TEXT} of an MQTT text")
    return len(data).to_bytes(2) + data


def _packet(first: int, body: bytes) -> bytes:
    length = bytearray()
    rest = len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | (0x80 if rest else 0))
        if not rest:
            break
    if len(length) > _LENGTH_BYTES:
        raise ValueError(f"{len(body)} bytes, more than an MQTT packet can hold")
    return bytes((first,)) + bytes(length) + body


# ── what we receive ──


def connect_refusal(connack: bytes) -> str | None:
    """Why the broker refuses us; None when it does not."""
    code = connack[-1]
    return _CONNECT_REFUSALS.get(code, f"reason {code}") if code else None


def subscription_refused(suback: bytes, filters: int) -> bool:
    """Whether one of so many filters was refused."""
    return any(code >= _REFUSED for code in suback[-filters:])


class Split(NamedTuple):
    """The packets at the beginning of a buffer.

    publishes : int64[6, n], a PUBLISH a column: topic start and length, payload start and length, quality of service, packet id (or 0)
    others : int64[2, m], the start and end of each other packet
    consumed : bytes that all of these took; what follows is the beginning of a packet
    missing : bytes still to come of the last PUBLISH, which was cut because it is larger than the buffer; mostly 0
    fault : 0, or the key in FAULTS of what the stream breaks off with
    """

    publishes: NDArray[np.int64]
    others: NDArray[np.int64]
    consumed: int
    missing: int
    fault: int


@njit(cache=True, nogil=True)
def _frame(data: NDArray[np.uint8], at: int, length: int) -> tuple[int, int, int]:
    """Where the body of the packet at `at` starts and where it ends, and a fault; (0, 0, 0) while its header is incomplete."""
    remaining = np.int64(0)
    first = data[at]
    if first >> 4 != _PUBLISH and first not in (CONNACK, SUBACK, PINGRESP):
        return 0, 0, _KIND
    for i in range(_LENGTH_BYTES):
        position = at + 1 + i
        if position >= length:
            return 0, 0, _SOUND
        digit = np.int64(data[position])
        remaining |= (digit & _DIGIT) << (7 * i)
        if digit <= _DIGIT:
            return position + 1, position + 1 + int(remaining), _SOUND
    return 0, 0, _LENGTH


@njit(cache=True, nogil=True)
def _message(data: NDArray[np.uint8], at: int, body: int, end: int) -> tuple[int, int, int, int]:
    """Where the payload of the PUBLISH at `at` starts, its quality of service, its packet id (or 0), and a fault."""
    qos = (np.int64(data[at]) >> 1) & 3
    topic = body + 2
    payload = topic + (np.int64(data[body]) << 8 | np.int64(data[body + 1])) if topic <= end else end + 1
    packet_id = np.int64(0)
    fault = _SOUND
    if qos > 1:
        fault = _QOS
    elif payload == topic or payload > end:
        fault = _TOPIC
    elif qos == 1:
        payload += 2
        if payload <= end:
            packet_id = np.int64(data[payload - 2]) << 8 | np.int64(data[payload - 1])
        if packet_id == 0:
            fault = _IDENTIFIER
    return int(payload), int(qos), int(packet_id), fault


@njit(cache=True, nogil=True)
def split(data: NDArray[np.uint8], length: int) -> Split:
    """The whole packets in `data[:length]`.

    data : uint8[capacity], the buffer
    length : how much of it is filled

    A packet larger than the full buffer would never be whole: a PUBLISH is cut to it, another packet is a fault.
    """
    messages = others = at = missing = 0
    fault = _SOUND
    while at < length:  # once to count, so that the columns are as long as they must be
        body, end, fault = _frame(data, at, length)
        if fault != _SOUND or end == 0:
            break
        is_message = data[at] >> 4 == _PUBLISH
        cut = end - length
        if cut > 0:
            if at > 0 or length < len(data):
                break
            if not is_message:
                fault = _TOO_LONG
                break
            end = length
        if is_message:
            fault = _message(data, at, body, end)[3]
            if fault != _SOUND:
                break
            messages += 1
            missing = max(cut, 0)
        else:
            others += 1
        at = end
    consumed = at
    publishes = np.empty((6, messages), np.int64)
    rest = np.empty((2, others), np.int64)
    messages = others = at = 0
    while at < consumed:
        body, end, _ = _frame(data, at, length)
        end = min(end, length)
        if data[at] >> 4 == _PUBLISH:
            payload, qos, packet_id, _ = _message(data, at, body, end)
            publishes[0, messages] = body + 2
            publishes[1, messages] = payload - 2 * qos - body - 2
            publishes[2, messages] = payload
            publishes[3, messages] = end - payload
            publishes[4, messages] = qos
            publishes[5, messages] = packet_id
            messages += 1
        else:
            rest[0, others] = at
            rest[1, others] = end
            others += 1
        at = end
    return Split(publishes, rest, consumed, missing, fault)
