"""What the api process is told; built at the entry point."""

from dataclasses import dataclass
from datetime import timedelta

from vigia.store.database import Clock

DEFAULT_PORT = 8080


@dataclass(frozen=True)
class ApiConfig:
    """Where to listen, which database to read, how long a log-in lasts."""

    dsn: str
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 picks a free port."""
    clock: Clock = "wall"
    """What time it is for its callers; "fleet" for a replay."""
    session_lifetime: timedelta = timedelta(hours=12)
    """A session unused for this long ends."""
    session_limit: timedelta = timedelta(days=7)
    """A session ends after this long, however much it is used."""
    gateway_broker: str | None = None
    """Where gateways that enrol reach the broker."""
    gateway_broker_ca: str | None = None
    """PEM of who vouches for the broker; None for the authorities of the gateway's system."""
    heartbeat_s: float = 15.0
    """Silence on an event stream before a comment is sent, so that proxies keep it open."""

    @property
    def cookie_name(self) -> str:
        """Browsers share cookies between the ports of a host: two installations on one machine need two names."""
        return "vigia_session" if self.port == DEFAULT_PORT else f"vigia_session_{self.port}"
