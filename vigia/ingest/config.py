"""What ingest is told at its start."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vigia.errors import ConfigError
from vigia.ingest.plain.table import Table
from vigia.sparkplug.names import HOST_ID

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class BrokerConfig:
    """Which MQTT broker, and how to prove who we are. Build it with `from_url`."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    keepalive_s: int = 10

    @classmethod
    def from_url(cls, url: str, ca: Path | None = None, cert: Path | None = None, key: Path | None = None) -> "BrokerConfig":
        """From mqtt[s]://[user:password@]host[:port]. Raises ConfigError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
            raise ConfigError("--broker (VIGIA_BROKER) names no broker: write mqtt://host:port or mqtts://user:password@host:port")
        for file in (ca, cert, key):
            if file is not None and not file.is_file():
                message = (
                    f"the certificate or key file {file} does not exist: correct VIGIA_BROKER_CA, VIGIA_BROKER_CERT or VIGIA_BROKER_KEY"
                )
                raise ConfigError(message)
        if parts.scheme == "mqtts":
            _check_certificates(ca, cert, key)
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "mqtts",
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            ca=ca,
            cert=cert,
            key=key,
        )


def _check_certificates(ca: Path | None, cert: Path | None, key: Path | None) -> None:
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        message = f"the certificates cannot be used ({error}): correct VIGIA_BROKER_CA, VIGIA_BROKER_CERT or VIGIA_BROKER_KEY"
        raise ConfigError(message) from None


@dataclass(frozen=True)
class Limits:
    """What bounds memory, delay and patience."""

    queue_bytes: int = 128 * 1024 * 1024  # beyond, nothing is read from the broker until there is room again
    flush_bytes: int = 16 * 1024 * 1024  # in one transaction
    enough_bytes: int = 4 * 1024 * 1024  # under load a transaction waits for so much, or for `busy_wait_s`
    flush_rows: int = 200_000  # likewise
    busy_rows: int = 5_000  # a transaction this large means load: the next one waits to grow
    busy_wait_s: float = 0.25
    reorder_s: float = 2.0  # how long a missing message may take
    rebirth_pause_s: float = 1.0  # between two requests to the same node; doubles while they bring nothing
    longest_rebirth_pause_s: float = 60.0
    offline_after_s: float = 5.0  # without a database for so long, edges are told to keep their data
    longest_retry_pause_s: float = 5.0
    last_flush_s: float = 2.0  # at the stop
    same_letter_s: float = 600.0  # a message that cannot be used and comes again is kept once in so long
    unknown_node_s: float = 60.0  # one letter of an unregistered sender's topic in so long
    look_every_s: float = 15.0  # how often the watch asks the database what is missing
    hanging_s: float = 60.0  # messages that wait for so long while nothing happens: the writer hangs


@dataclass(frozen=True)
class WatchConfig:
    """Where to tell how ingest is, in HTTP; port 0 picks a free one."""

    host: str
    port: int


@dataclass(frozen=True)
class IngestConfig:
    """Where to read, where to write.

    `host_id` is the Sparkplug host application's name, the edges' primary host. `topics` are the plain topics to read; `share` names the
    group of workers that divide the data messages, None is a single worker; without `watch` nothing is told.
    """

    dsn: str
    broker: BrokerConfig
    host_id: str = HOST_ID
    limits: Limits = field(default_factory=Limits)
    topics: Table | None = None
    share: str | None = None
    watch: WatchConfig | None = None
