"""The connection on which data arrives: one socket and one thread that reads, takes apart and hands on, many messages at a time.

The thread never waits in a write: what the socket does not take at once is kept and leaves when it can, so that a broker that wants to
be read before it reads cannot hold us. It reads only while the inlet has room; then TCP holds the broker back.
"""

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import uuid4

import numpy as np
import structlog

from vigia.ingest import BrokerUnavailableError, packets
from vigia.ingest.config import BrokerConfig
from vigia.ingest.inbox import Delivery

log = structlog.get_logger()

CONNECT_TIMEOUT_S = 10.0
FAREWELL_S = 1.0
STUCK_S = 10.0  # the broker takes nothing of what we send for so long: it is lost
BUFFER_BYTES = 2 << 20  # more than a message that is accepted, so that only one that is not has to be cut
GATHER_S = 0.002
GATHERED_BYTES = 256 << 10  # so much in one read is worth the while
ROOM_S = 0.2  # how often pings and farewells are looked after while there is no room
QOS = 1


class Inlet(Protocol):
    """Where deliveries go; both are called in the connection's thread. `Inbox` is one."""

    def room(self, timeout_s: float) -> bool:
        """Whether there is room, after waiting for it at most `timeout_s`."""

    def put(self, arrived: Delivery) -> object:
        """Take it."""


class Subscriber:
    """One connection, from CONNECT to its end: it is never mended, the next one is a new object.

    `lost` is called once, in the connection's thread, when it ends by itself.
    """

    def __init__(self, config: BrokerConfig, filters: Sequence[str], inlet: Inlet, session: int, lost: Callable[[], None]) -> None:
        self._config = config
        self._filters = filters
        self._inlet = inlet
        self._session = session
        self._lost = lost
        self._view = memoryview(bytearray(BUFFER_BYTES))
        self._buffer = np.frombuffer(self._view, np.uint8)
        self._filled = 0
        self._skip = 0  # bytes to come of a message that was cut
        self._lock = threading.Lock()  # over the socket, which TLS lets only one thread use, and what is to be sent
        self._outgoing = bytearray()
        self._taken_at = 0.0  # when the broker last took some of it
        self._heard_at = 0.0
        self._ping_at = 0.0
        self._read_at = 0.0
        self._answers = 0  # to what was read last
        self._closing = False
        self._ended = False
        self._wake_send: socket.socket | None = None
        self._failure: BrokerUnavailableError | None = None
        self._granted = False
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker-data", daemon=True)

    def open(self, make_will: Callable[[], packets.Will] | None = None) -> None:
        """Connect and subscribe; returns when messages may come. The Will is made when it is sent, for it may tell the time.

        Raises BrokerUnavailableError when the broker refuses us, OSError or ValueError when there is none to refuse.
        """
        self._subscription = packets.subscribe(1, self._filters, QOS)
        packets.split(self._buffer, 0)  # the first call compiles, which the keep-alive would not wait for
        self._socket = self._connect()
        client_id, will = f"vigia-data-{uuid4().hex[:12]}", None if make_will is None else make_will()
        hello = packets.connect(client_id, self._config.keepalive_s, self._config.user, self._config.password, will)
        self._socket.settimeout(0)
        self._wake_receive, wake_send = socket.socketpair()
        wake_send.settimeout(0)
        self._wake_send = wake_send
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._wake_receive, selectors.EVENT_READ)
        now = time.monotonic()
        self._heard_at = self._taken_at = now
        self._ping_at = now + self._config.keepalive_s / 2
        self.send(hello)
        self._thread.start()  # its end closes what is open
        settled = self._settled.wait(CONNECT_TIMEOUT_S)
        if not self._granted:
            self.close()
            raise self._failure or (TimeoutError("no answer") if not settled else BrokerUnavailableError("the connection was closed"))

    def _connect(self) -> socket.socket:
        made = socket.create_connection((self._config.host, self._config.port), CONNECT_TIMEOUT_S)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._config.tls:
                context = ssl.create_default_context(cafile=self._config.ca)
                if self._config.cert is not None:
                    context.load_cert_chain(self._config.cert, self._config.key)
                return context.wrap_socket(made, server_hostname=self._config.host)
        except BaseException:
            made.close()
            raise
        return made

    def send(self, data: bytes) -> None:
        """Send ready-made packets, from any thread and without waiting; lost when the connection is, or is lost soon."""
        with self._lock:
            if self._ended:
                return
            begun = not self._outgoing
            if begun:
                self._taken_at = time.monotonic()
            self._outgoing += data
            with contextlib.suppress(OSError):  # the thread, which reads, sees it too
                self._flush()
            wake = begun and bool(self._outgoing)
        if wake:
            self._wake()

    def close(self) -> None:
        """Disconnect and end the thread. From any other thread, any number of times."""
        self._closing = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(CONNECT_TIMEOUT_S)

    def _wake(self) -> None:
        if self._wake_send is not None:
            with contextlib.suppress(OSError):  # full: it is awake; closed: it is gone
                self._wake_send.send(b"\0")

    # ── in the thread ──

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wait()
                self._receive()
        except BrokerUnavailableError as error:
            self._failure = error
        except OSError as error:
            self._failure = BrokerUnavailableError(f"the broker ended the connection: {error.strerror or error}")
        except Exception as error:
            log.exception("internal error")
            self._failure = BrokerUnavailableError(f"the connection ended: {type(error).__name__}")
        self._hang_up()
        self._settled.set()
        if not self._closing:
            if self._granted:  # else `open` tells
                log.warning("data connection lost", session=self._session, reason=str(self._failure))
            self._lost()

    def _hang_up(self) -> None:
        with self._lock:
            self._ended = True
            if self._failure is None:
                self._outgoing += packets.DISCONNECT
                with contextlib.suppress(OSError):
                    self._flush()
        # From here on nobody else touches the socket.
        if self._failure is None and not self._outgoing:
            self._await_end()
        self._selector.close()
        for one in (self._socket, self._wake_receive, self._wake_send):
            if one is not None:
                one.close()

    def _await_end(self) -> None:
        """Let the broker close first: what it is just sending would void our DISCONNECT, and it would publish the Will."""
        until = time.monotonic() + FAREWELL_S
        with contextlib.suppress(OSError):
            self._socket.settimeout(FAREWELL_S)
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv_into(self._view) and time.monotonic() < until:
                pass

    def _wait(self) -> None:
        """Until there is something to read and room for it. Raises BrokerUnavailableError when the broker is silent for too long."""
        while not self._closing and not self._inlet.room(ROOM_S):
            self._heard_at = time.monotonic()  # nobody listens
            self._keep_alive(self._heard_at)
            with self._lock:
                self._flush()
        now = time.monotonic()
        self._keep_alive(now)
        with self._lock:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        if self._selector.get_key(self._socket).events != wanted:
            self._selector.modify(self._socket, wanted)
        until = min(self._ping_at, self._heard_at + 1.5 * self._config.keepalive_s)
        if wanted != selectors.EVENT_READ:
            until = min(until, self._taken_at + STUCK_S)
        for key, events in self._selector.select(max(0.0, until - now)):
            if key.fileobj is self._wake_receive:
                self._wake_receive.recv(64)
            elif events & selectors.EVENT_WRITE:
                with self._lock:
                    self._flush()

    def _keep_alive(self, now: float) -> None:
        if now - self._heard_at >= 1.5 * self._config.keepalive_s:
            raise BrokerUnavailableError("the broker is silent")
        if self._outgoing and now - self._taken_at >= STUCK_S:
            raise BrokerUnavailableError("the broker takes nothing from us")
        if now >= self._ping_at:
            self._ping_at = now + self._config.keepalive_s / 2
            self.send(packets.PINGREQ)

    def _receive(self) -> None:
        """Read once what is there, and hand on what is whole of it."""
        got, ended = self._fill()
        if got:
            self._heard_at = time.monotonic()
        self._drop_skipped()
        if self._filled:
            self._hand_on()
        if ended:
            raise BrokerUnavailableError("the broker closed the connection")
        if got:
            self._gather(got)

    def _fill(self) -> tuple[int, bool]:
        """Bytes read, and whether the broker has closed the connection. A TLS socket is read until it holds nothing back."""
        before = self._filled
        with self._lock, contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while self._filled < len(self._buffer):
                got = self._socket.recv_into(self._view[self._filled :])
                if not got:
                    return self._filled - before, True
                self._filled += got
                if not self._config.tls:
                    break
        return self._filled - before, False

    def _drop_skipped(self) -> None:
        """Drop what still comes of a message that was cut."""
        dropped = min(self._skip, self._filled)
        self._skip -= dropped
        self._keep_from(dropped)

    def _hand_on(self) -> None:
        """Hand on the whole packets in the buffer. Raises BrokerUnavailableError on what is no MQTT."""
        found = packets.split(self._buffer, self._filled)
        topic_start, topic_length, payload_start, payload_length, qos, packet_id = found.publishes
        if len(qos):
            data = self._buffer[: found.consumed].copy()
            self._inlet.put(Delivery(data, topic_start, topic_length, payload_start, payload_length, self._session))
        acknowledged = packet_id[qos > 0]
        self._answers = len(acknowledged)
        if self._answers:
            self.send(packets.acknowledge(acknowledged))
        for start, end in found.others.T:
            self._other(self._buffer[start:end].tobytes())
        if found.fault:
            raise BrokerUnavailableError(f"the broker does not speak MQTT: {packets.FAULTS[found.fault]}")
        self._keep_from(found.consumed)
        if found.missing:
            self._skip = found.missing
            log.warning("message cut", bytes=len(self._buffer) + found.missing)

    def _keep_from(self, start: int) -> None:
        rest = self._filled - start
        if start and rest:
            self._buffer[:rest] = self._buffer[start : self._filled]
        self._filled = rest

    def _other(self, packet: bytes) -> None:
        if packet[0] == packets.CONNACK:
            reason = packets.connect_refusal(packet)
            if reason is not None:
                raise BrokerUnavailableError(f"the broker refuses us: {reason}")
            self.send(self._subscription)
        elif packet[0] == packets.SUBACK:
            if packets.subscription_refused(packet, len(self._filters)):
                raise BrokerUnavailableError("the broker does not let us subscribe to Sparkplug's topics; see its access list")
            self._granted = True
            self._settled.set()

    def _gather(self, got: int) -> None:
        """Under load, let bytes gather so that the next read is worth its cost; not while the broker waits for our answers."""
        now = self._heard_at
        if now - self._read_at < 2 * GATHER_S and got < GATHERED_BYTES and not self._answers:
            time.sleep(GATHER_S)
        self._read_at = now

    # ── in any thread, the lock held ──

    def _flush(self) -> None:
        """Send what the socket takes at once of what waits. Raises OSError."""
        if not self._outgoing:
            return
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = self._socket.send(self._outgoing)
            del self._outgoing[:sent]
            self._taken_at = time.monotonic()
