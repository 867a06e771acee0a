"""The gateway's configuration file: TOML, checked whole before anything starts."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from vigia.edge import EdgeError
from vigia.edge.command_config import CommandConfig, check_commands, refuse_repeated_commands
from vigia.edge.enrolled import with_identity
from vigia.edge.sources import SOURCES, Source, source_class
from vigia.errors import ConfigError
from vigia.sparkplug import TopicError
from vigia.sparkplug.names import HOST_ID
from vigia.sparkplug.topics import check_id

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _a_broker(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
        raise ValueError("write mqtt://host:port or mqtts://user:password@host:port")
    _ = parts.port  # raises ValueError when it is no port
    return url


BrokerUrl = Annotated[str, AfterValidator(_a_broker)]


class BrokerConfig(_Table):
    """The table `[broker]`: which MQTT broker, or brokers, and how to prove who we are."""

    url: BrokerUrl = Field(description="mqtt[s]://[user:password@]host[:port]")
    servers: tuple[BrokerUrl, ...] = Field(
        default=(), description="More brokers of the same host application: the next one is tried when the host is offline at this one."
    )
    ca: Path | None = Field(default=None, description="CA certificate file for mqtts; default the system's.")
    cert: Path | None = Field(default=None, description="Client certificate file for mqtts.")
    key: Path | None = Field(default=None, description="Client key file for mqtts.")
    keepalive_s: int = Field(default=15, ge=5, le=3600, description="A connection silent for 1.5 times this long is given up.")

    def each(self) -> tuple["BrokerConfig", ...]:
        """One configuration for each broker, in the order in which they are tried."""
        return tuple(self.model_copy(update={"url": url, "servers": ()}) for url in (self.url, *self.servers))

    @property
    def address(self) -> str:
        """Where the broker is, without what proves who we are."""
        return f"{self.host}:{self.port}"

    @property
    def host(self) -> str:
        """Name or address of the broker."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port given, or the scheme's own."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def user(self) -> str | None:
        """The user name in the URL."""
        name = urlsplit(self.url).username
        return None if name is None else unquote(name)

    @property
    def password(self) -> str | None:
        """The password in the URL."""
        password = urlsplit(self.url).password
        return None if password is None else unquote(password)


class BufferConfig(_Table):
    """The table `[buffer]`: where batches wait on disk; each node has its own file `<group_id>.<node_id>.sqlite` there."""

    folder: Path = Field(description="Folder for the buffers.")
    max_bytes: int = Field(
        default=256 * 1024 * 1024, ge=64 * 1024, description="How large a buffer's file may grow; then the oldest samples are dropped."
    )
    max_age_h: float = Field(default=720.0, gt=0, description="Hours of running after which waiting samples are dropped.")


class PointRule(_Table):
    """A table `[[node.report]]`: report a point by exception. The first rule that fits a point counts; without one, all is sent."""

    device: str = Field(default="*", description='Device id, or "*".')
    point: str = Field(default="*", description='Name of the point, or "*".')
    dead_band: float = Field(default=0.0, ge=0, description="A number that moved less than this since it was last sent is not sent.")
    max_silence_s: float | None = Field(default=None, gt=0, description="Sent all the same after this long (source time).")


class NodeConfig(_Table):
    """A table `[[node]]`: one Sparkplug edge node with one source."""

    group_id: str
    node_id: str
    primary_host: str = Field(default=HOST_ID, description='Publish only while this host application is online; "" publishes always.')
    heartbeat_s: float = Field(default=2.0, gt=0, le=3600, description="How often the newest batch number is told.")
    ack_timeout_s: float = Field(default=5.0, gt=0, le=3600, description="A batch not acknowledged for this long is sent again.")
    window: int = Field(
        default=256, ge=1, le=10_000, description="Batches of the backlog on their way, at most; once it is empty twice as many of all."
    )
    source: dict[str, Any]
    report: tuple[PointRule, ...] = ()
    command: tuple[CommandConfig, ...] = ()

    @field_validator("command")
    @classmethod
    def _commands_are_unique(cls, commands: tuple[CommandConfig, ...]) -> tuple[CommandConfig, ...]:
        refuse_repeated_commands(commands)
        return commands

    @field_validator("group_id", "node_id")
    @classmethod
    def _id_fits_a_topic(cls, value: str) -> str:
        try:
            return check_id("the id", value)
        except TopicError as error:
            raise ValueError(str(error)) from None

    @property
    def name(self) -> str:
        """Group and node, for people."""
        return f"{self.group_id}/{self.node_id}"


class IdentityConfig(_Table):
    """The table `[identity]`: who the gateway is, in place of names and certificates in the other tables."""

    folder: Path = Field(description="Folder that `vigia edge enroll` filled.")
    check_in_s: float = Field(default=30.0, gt=0, le=3600, description="How often the gateway asks its server for what is new.")
    trial_s: float = Field(default=60.0, gt=0, le=3600, description="A new configuration that does not run well for so long is left.")
    commands_from_server: bool = Field(default=False, description="Whether a configuration from the server may add or change commands.")

    def below(self, folder: Path) -> Self:
        """The same with an absolute folder; a relative one stands in `folder`."""
        return self.model_copy(update={"folder": folder / self.folder})


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Where to tell metrics, in HTTP; port 0 picks a free one."""

    host: str
    port: int


class _Identified(_Table):
    identity: IdentityConfig


class _File(_Table):
    identity: IdentityConfig | None = None
    broker: BrokerConfig
    buffer: BufferConfig
    node: tuple[NodeConfig, ...] = Field(min_length=1)


@dataclass(frozen=True)
class EdgeConfig:
    """What one gateway process does. `sources` are checked and unconnected, one a node; paths are absolute.

    `identity` is None for a gateway that keeps its own certificates. `sha256` is that of the configuration's text, hexadecimal.
    """

    broker: BrokerConfig
    buffer: BufferConfig
    nodes: tuple[NodeConfig, ...]
    sources: tuple[Source, ...]
    identity: IdentityConfig | None = None
    sha256: str = ""

    def buffer_path(self, node: NodeConfig) -> Path:
        """The buffer file of `node`."""
        return self.buffer.folder / f"{node.group_id}.{node.node_id}.sqlite"


def load_config(path: Path, broker_url: str | None = None) -> EdgeConfig:
    """The configuration in the file `path`; `broker_url`, when given, is used instead of all the file's brokers.

    Raises ConfigError naming the file, the key and the remedy.
    """
    tables = read_tables(path)
    return build_config(path, tables, hashlib.sha256(path.read_bytes()).hexdigest(), broker_url)


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; name the gateway's configuration with --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def is_managed(path: Path) -> bool:
    """Whether the gateway of this file takes its configuration from its server. Raises ConfigError for a file that cannot be read."""
    tables = read_tables(path)
    return "identity" in tables and "node" not in tables


def identity_config(path: Path, tables: Mapping[str, Any]) -> IdentityConfig:
    """The table `[identity]` of the file `path`, its folder absolute. Raises ConfigError."""
    try:
        return _Identified.model_validate({"identity": tables.get("identity")}).identity.below(path.absolute().parent)
    except ValidationError as error:
        raise ConfigError(_explain(path, "", error)) from None


def build_config(path: Path, tables: Mapping[str, Any], sha256: str, broker_url: str | None = None) -> EdgeConfig:
    """The configuration that `tables` of the file `path` are; `sha256` is that of their text.

    Raises ConfigError naming the file, the key and the remedy.
    """
    tables = dict(tables)
    broker = tables.get("broker", {})
    if broker_url is not None and isinstance(broker, dict):
        tables["broker"] = {**broker, "url": broker_url, "servers": []}
    folder = path.absolute().parent
    identity = _identity(tables, folder)
    if identity is not None:
        tables = with_identity(path, tables, identity)
    try:
        file = _File.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(_explain(path, "", error)) from None
    names = [node.name.lower() for node in file.node]
    for node in file.node:
        if names.count(node.name.lower()) > 1:
            raise ConfigError(f"{path}: node {node.name} appears twice; group_id and node_id together must be unique, upper or lower case")
    broker = file.broker.model_copy(
        update={key: folder / value for key in ("ca", "cert", "key") if (value := getattr(file.broker, key)) is not None}
    )
    return EdgeConfig(
        broker=broker,
        buffer=file.buffer.model_copy(update={"folder": folder / file.buffer.folder}),
        nodes=file.node,
        sources=tuple(_source(path, index, node, folder) for index, node in enumerate(file.node)),
        identity=None if file.identity is None else file.identity.below(folder),
        sha256=sha256,
    )


def _identity(tables: Mapping[str, Any], folder: Path) -> Path | None:
    """The identity's folder if one is named; what is malformed is told when the file is checked as a whole."""
    table = tables.get("identity")
    named = table.get("folder") if isinstance(table, dict) else None
    return folder / named if isinstance(named, str) else None


def _source(path: Path, index: int, node: NodeConfig, folder: Path) -> Source:
    kind = str(node.source.get("type"))
    if kind not in SOURCES:
        raise ConfigError(f"{path}: node[{index}].source.type is {kind!r}; choose one of: {', '.join(SOURCES)}")
    try:
        chosen = source_class(kind)
        source = chosen(chosen.Config.model_validate(node.source), folder)
    except ValidationError as error:
        raise ConfigError(_explain(path, f"node[{index}].source.", error)) from None
    except EdgeError as error:
        raise ConfigError(f"{path}: node[{index}].source: {error}") from None
    check_commands(f"{path}: node[{index}]", node.command, source)
    return source


def _explain(path: Path, prefix: str, error: ValidationError) -> str:
    """The first fault, as one sentence with its remedy."""
    first = error.errors(include_url=False)[0]
    key = prefix + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    match first["type"]:
        case "missing":
            return f"{path}: {key} is missing; add it"
        case "extra_forbidden":
            return f"{path}: {key} is not a setting; remove it or correct its spelling"
        case _:
            shown = "" if key.startswith(("broker.url", "broker.servers")) else f" = {str(first['input'])[:60]!r}"
            return f"{path}: {key}{shown}: {first['msg'].removeprefix('Value error, ')}"
