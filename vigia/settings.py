"""What every process may be told, from the environment (`VIGIA_*`) and the command line.

Built at the entry point and passed; no room imports it. It needs the standard library only: each start of each command reads it.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from vigia.errors import ConfigError

Clock = Literal["wall", "fleet"]
LogLevel = Literal["debug", "info", "warning", "error"]

LAST_PORT = 65535
LONGEST_WAIT_S = 3600.0
OPTIONS = {
    "home": "--home",
    "dsn": "--dsn",
    "broker": "--broker",
    "authority": "--authority",
    "gate_lists": "--lists",
    "host": "--host",
    "port": "--port",
    "ingest_topics": "--topics",
    "ingest_share": "--share",
    "ingest_watch_host": "--watch-host",
    "ingest_watch_port": "--watch-port",
}  # the others are variables only


@dataclass(frozen=True)
class Settings:
    """Settings shared by all commands. A command-line option wins over the environment.

    `home`: folder that holds everything Vigía makes on this machine.
    `dsn`, `broker`: PostgreSQL and MQTT broker (mqtt[s]://[user:password@]host:port) to use instead of the embedded ones.
    `broker_ca`, `broker_cert`, `broker_key`: for mqtts, the CA's certificate and the client's, with its key.
    `authority`: folder of the authority that vouches for gateways; see `authority_folder`.
    `gate_lists`: folder in which the gate tells the broker whom to let in; see `gate_folder`.
    `gateway_broker`, `gateway_broker_ca`: where gateways reach the broker and who vouches for it there, as the api tells those that enrol.
    `host`, `port`: where the api and portal listen; port 0 picks a free one.
    `ingest_topics`: table of the plain topics that ingest reads: a file, "default" for the one that comes with Vigía, "none" for none.
    `ingest_share`: name under which several ingest workers share the data messages.
    `ingest_watch_host`, `ingest_watch_port`: where ingest tells how it is; nowhere without a port, 0 picks a free one.
    `ingest_reorder_s`: how long ingest waits for a message that is missing before it asks its edge node for a rebirth.
    `clock`: what time it is: the wall clock's, or for a replayed fleet that of its newest reading.
    `retention_*_days`: for how many days readings and their rollups are kept; None keeps all.
    """

    home: Path = Path(".vigia")
    dsn: str | None = None
    broker: str | None = None
    broker_ca: Path | None = None
    broker_cert: Path | None = None
    broker_key: Path | None = None
    authority: Path | None = None
    gate_lists: Path | None = None
    gateway_broker: str | None = None
    gateway_broker_ca: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    ingest_topics: str = "default"
    ingest_share: str | None = None
    ingest_watch_host: str = "127.0.0.1"
    ingest_watch_port: int | None = None
    ingest_reorder_s: float = 2.0
    clock: Clock = "wall"
    retention_raw_days: int | None = None
    retention_1m_days: int | None = None
    retention_1h_days: int | None = None
    log_level: LogLevel = "info"

    @property
    def authority_folder(self) -> Path:
        """`authority`, or its place in the home folder."""
        return self.authority or self.home / "authority"

    @property
    def gate_folder(self) -> Path:
        """`gate_lists`, or its place in the home folder."""
        return self.gate_lists or self.home / "gate"


def load_settings(**options: object) -> Settings:
    """Settings from the environment, overridden by the `options` that are not None.

    Raises ConfigError naming the variable or option, its value and the remedy.
    """
    found: dict[str, Any] = {}
    for field in fields(Settings):
        variable = f"VIGIA_{field.name.upper()}"
        option = options.get(field.name)
        given = os.environ.get(variable) if option is None else option
        if given is None:
            continue
        try:
            found[field.name] = _READERS.get(field.name, str)(given)
        except ValueError as error:
            name = f"{variable} ({OPTIONS[field.name]})" if field.name in OPTIONS else variable
            raise ConfigError(f"{name} = {given!r}: {error}, or leave it out.") from None
    return Settings(**found)


def _whole_number(given: str | int) -> int:
    try:
        return int(given)
    except ValueError:
        raise ValueError("give a whole number") from None


def _seconds(given: str | float) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise ValueError(f"give seconds from 0 to {LONGEST_WAIT_S:g}")
    return seconds


def _port(given: str | int) -> int:
    try:
        port = int(given)
    except ValueError:
        port = -1
    if not 0 <= port <= LAST_PORT:
        raise ValueError(f"give a port from 0 to {LAST_PORT}")
    return port


def _topic_level(given: str) -> str:
    if set(given) & set("/+#\0"):
        raise ValueError("give a name without /, + or #")
    return given


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def read(given: str) -> str:
        if given not in choices:
            raise ValueError(f"choose one of {', '.join(choices)}")
        return given

    return read


def _or_nothing(read: Callable[[Any], object]) -> Callable[[Any], object]:
    # A compose file can leave a variable empty, but not leave it out.
    return lambda given: None if given == "" else read(given)


_READERS: Mapping[str, Callable[[Any], object]] = MappingProxyType(
    {
        "home": Path,
        "broker_ca": Path,
        "broker_cert": Path,
        "broker_key": Path,
        "authority": Path,
        "gate_lists": Path,
        "gateway_broker": _or_nothing(str),
        "gateway_broker_ca": _or_nothing(Path),
        "port": _port,
        "ingest_share": _or_nothing(_topic_level),
        "ingest_watch_port": _or_nothing(_port),
        "ingest_reorder_s": _seconds,
        "clock": _one_of(get_args(Clock)),
        "retention_raw_days": _whole_number,
        "retention_1m_days": _whole_number,
        "retention_1h_days": _whole_number,
        "log_level": _one_of(get_args(LogLevel)),
    }
)  # the others are text
