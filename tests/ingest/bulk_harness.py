"""Both ends of the data connection: an inlet that writes down, a publisher that sends blocks of bytes, a broker that does as it is told."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from vigia.ingest import packets
from vigia.ingest.bulk import Subscriber
from vigia.ingest.config import BrokerConfig
from vigia.ingest.inbox import Delivery, Inbox, Message

FILTER = "spBv1.0/+/DDATA/+/+"
TOPIC = "spBv1.0/acme/DDATA/acme-one/R1"


class Sink:
    """Takes everything, unless its door is shut."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.door = threading.Event()
        self.door.set()

    def room(self, timeout_s: float) -> bool:
        return self.door.wait(timeout_s)

    def put(self, arrived: Delivery) -> None:
        self.deliveries.append(arrived)

    def __len__(self) -> int:
        return sum(len(delivery) for delivery in self.deliveries)

    @property
    def messages(self) -> list[Message]:
        return [message for delivery in self.deliveries for message in delivery.messages()]

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


@contextmanager
def subscribed(
    config: BrokerConfig, inlet: Sink | Inbox, filters: Sequence[str] = (FILTER,)
) -> Iterator[tuple[Subscriber, threading.Event]]:
    """An open connection, and the event that says it was lost."""
    lost = threading.Event()
    subscriber = Subscriber(config, filters, inlet, 1, lost.set)
    try:
        subscriber.open()
        yield subscriber, lost
    finally:
        subscriber.close()


def message(payload: bytes, packet_id: int = 0, topic: str = TOPIC) -> bytes:
    """A PUBLISH; at quality of service 1 if it has a number."""
    number = packet_id.to_bytes(2) if packet_id else b""
    return packets._packet(0x32 if packet_id else 0x30, packets._text(topic) + number + payload)


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class Publisher:
    """Sends blocks of PUBLISH packets to a real broker and counts what is acknowledged."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)

    def __enter__(self) -> Self:
        self._socket.sendall(packets.connect("publisher", 60))
        assert self._socket.recv(4, socket.MSG_WAITALL) == b"\x20\x02\0\0"
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendall(packets.DISCONNECT)
        self._socket.close()

    def publish(self, payloads: Sequence[bytes], qos: int = 1) -> None:
        """All of them; returns when the broker has acknowledged them."""
        block = b"".join(message(payload, (1 + i % 65_535) * qos) for i, payload in enumerate(payloads))
        sending = threading.Thread(target=self._socket.sendall, args=(block,))
        sending.start()
        expected = 4 * len(payloads) * qos
        while expected:
            got = len(self._socket.recv(min(expected, 65_536)))
            assert got
            expected -= got
        sending.join()


class StrangeBroker:
    """Accepts one client and answers it as a broker does, until `mute`; what it says else, the test says."""

    def __init__(self, connack: bytes = b"\x20\x02\0\0", granted: int = 1) -> None:
        self._connack = connack
        self._granted = granted
        self._server = socket.create_server(("127.0.0.1", 0))
        self._answering = threading.Event()
        self._answering.set()
        self._reading = threading.Event()
        self._reading.set()
        self.heard: list[bytes] = []  # packets other than CONNECT and SUBSCRIBE
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def config(self) -> BrokerConfig:
        return replace(BrokerConfig.from_url(f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"), keepalive_s=1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.set()
        self._server.close()
        self.client.close()

    def say(self, data: bytes) -> None:
        self.client.sendall(data)

    def mute(self) -> None:
        """Go on reading, say nothing more."""
        self._answering.clear()

    def stop_reading(self) -> None:
        self._reading.clear()

    def read_again(self) -> None:
        self._reading.set()

    def _serve(self) -> None:
        self.client, _ = self._server.accept()
        stream = self.client.makefile("rb")
        try:
            while self._reading.wait() and (first := stream.read(1)):
                length = shift = 0
                while True:
                    digit = stream.read(1)[0]
                    length |= (digit & 127) << shift
                    shift += 7
                    if digit < 128:
                        break
                self._hear(first[0], stream.read(length))
        except (OSError, ValueError):
            return

    def _hear(self, first: int, body: bytes) -> None:
        if first == 0x10:
            self.client.sendall(self._connack)
        elif first == 0x82:
            codes = bytes([self._granted] * sum(1 for _ in _filters(body[2:])))
            self.client.sendall(bytes([0x90, 2 + len(codes)]) + body[:2] + codes)
        else:
            self.heard.append(bytes([first]) + body)
            if first == 0xC0 and self._answering.is_set():
                self.client.sendall(b"\xd0\0")


def _filters(body: bytes) -> Iterator[str]:
    while body:
        length = int.from_bytes(body[:2])
        yield body[2 : 2 + length].decode()
        body = body[3 + length :]
