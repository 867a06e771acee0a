"""A plain MQTT connection of the measurements: one socket, bytes that lie ready, no thread."""

import socket
import ssl
from types import TracebackType
from typing import Self
from uuid import uuid4

from vigia.bench import BenchError
from vigia.ingest import BrokerUnavailableError, packets
from vigia.ingest.config import BrokerConfig

CONNECT_TIMEOUT_S = 10.0
SEND_BUFFER_BYTES = 1 << 20
CONNACK_BYTES = 4
BUSY = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Line:
    """One connection to the broker, without a Will and without pings. Opening it raises BrokerUnavailableError."""

    def __init__(self, config: BrokerConfig) -> None:
        try:
            self.socket = _connect(config)
        except (OSError, ValueError) as error:
            where = f"{config.host}:{config.port}"
            message = f"no broker answers at {where} ({error}); check that it runs and that --broker (VIGIA_BROKER) names it"
            raise BrokerUnavailableError(message) from None
        try:
            self.socket.sendall(packets.connect(f"vigia-bench-{uuid4().hex[:12]}", 0, config.user, config.password))
            refusal = packets.connect_refusal(self._connack())
        except OSError as error:
            refusal = str(error)
        if refusal is not None:
            self.socket.close()
            raise BrokerUnavailableError(f"the broker refuses us: {refusal}")
        self.socket.setblocking(False)  # noqa: FBT003 - the standard library's own signature

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def _connack(self) -> bytes:
        heard = b""
        while len(heard) < CONNACK_BYTES:
            more = self.socket.recv(CONNACK_BYTES - len(heard))
            if not more:
                raise ConnectionResetError("it hangs up")
            heard += more
        return heard

    def send(self, data: memoryview) -> int:
        """Hand over what fits now; how many bytes that was. Raises BenchError when the broker is gone."""
        try:
            return self.socket.send(data)
        except BUSY:
            return 0
        except OSError as error:
            raise BenchError(f"the broker ended a connection: {error.strerror or error}") from None

    def receive(self, into: memoryview) -> int:
        """Take what has come; how many bytes that was. Raises BenchError when the broker is gone."""
        try:
            received = self.socket.recv_into(into)
        except BUSY:
            return 0
        except OSError as error:
            raise BenchError(f"the broker ended a connection: {error.strerror or error}") from None
        if received == 0:
            raise BenchError("the broker ended a connection")
        return received

    def close(self) -> None:
        """Leave."""
        try:
            self.socket.send(packets.DISCONNECT)
        except OSError:
            pass  # it was gone already
        finally:
            self.socket.close()


def _connect(config: BrokerConfig) -> socket.socket:
    made = socket.create_connection((config.host, config.port), CONNECT_TIMEOUT_S)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if config.tls:
            context = ssl.create_default_context(cafile=config.ca)
            if config.cert is not None:
                context.load_cert_chain(config.cert, config.key)
            return context.wrap_socket(made, server_hostname=config.host)
    except BaseException:
        made.close()
        raise
    return made
