"""At the broker's door: whether it refuses what it should, and how a session ends that came in before.

A broker reads a new revocation list for connections to come and keeps those that stand. But it gives each identity one session: who comes
in under that name throws the other out, and the authority can come in under any.
"""

import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vigia.gate import GateError

TIMEOUT_S = 5.0
REFUSAL_S = 1.0
_CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x0a\x00\x04gate"  # MQTT 3.1.1, clean session, ten seconds of silence
_ACCEPTED = b"\x20\x02\x00\x00"
_DISCONNECT = b"\xe0\x00"


class BrokerAwayError(GateError):
    """The broker does not answer."""


@dataclass(frozen=True)
class Door:
    """The way by which gateways come in, with TLS. `ca` vouches for the broker; None for the system's authorities."""

    host: str
    port: int
    ca: Path | None = None

    def refuses(self, credentials: bytes) -> bool:
        """Whether the broker says of this certificate (PEM, with its key) that it is revoked. Raises BrokerAwayError."""
        try:
            with self._come_in(credentials, REFUSAL_S) as line:
                line.recv(1)  # a broker that lets us in waits for our word
        except ssl.SSLCertVerificationError as error:
            raise self._away(error) from None
        except ssl.SSLError as error:
            return "REVOKED" in (error.reason or "")
        except TimeoutError:
            return False
        except OSError as error:
            raise self._away(error) from None
        return False

    def throw_out(self, credentials: bytes) -> None:
        """End the session of the identity of this certificate (PEM, with its key), which is in force. Raises BrokerAwayError."""
        try:
            with self._come_in(credentials, TIMEOUT_S) as line:
                line.sendall(_CONNECT)
                answer = line.recv(len(_ACCEPTED))
                line.sendall(_DISCONNECT)
        except OSError as error:  # SSLError is one
            raise self._away(error) from None
        if answer != _ACCEPTED:
            raise BrokerAwayError(f"the broker {self.host}:{self.port} answers {answer.hex() or 'nothing'} where it should let the gate in")

    def _come_in(self, credentials: bytes, timeout_s: float) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.ca)
        with tempfile.NamedTemporaryFile() as file:  # the library reads files only; this one is its owner's
            file.write(credentials)
            file.flush()
            context.load_cert_chain(file.name)
        try:
            plain = socket.create_connection((self.host, self.port), timeout=TIMEOUT_S)
            try:
                line = context.wrap_socket(plain, server_hostname=self.host)
            except BaseException:
                plain.close()
                raise
        except TimeoutError as error:
            raise self._away(error) from None
        line.settimeout(timeout_s)
        return line

    def _away(self, error: OSError) -> BrokerAwayError:
        return BrokerAwayError(
            f"the broker {self.host}:{self.port} cannot be reached ({error}); revoked gateways keep their sessions, without rights"
        )
