"""The table `[node.source]` with `type = "opcua"`: one server, how to log in, and which of its nodes are points of which device."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from vigia.edge.samples import Kind
from vigia.edge.sources.opcua.node_ids import check_node_id
from vigia.edge.sources.tables import DeviceId, SourceTable

Security = Literal["none", "sign", "sign_and_encrypt"]
Policy = Literal["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
Argument = Literal["Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double", "String"]
DEFAULT_GROUP = "default"


class ServerConfig(SourceTable):
    """Which server, and how each side proves who it is."""

    url: str = Field(description="opc.tcp://host[:port][/path], as the server's endpoint is named.")
    security: Security = Field(default="sign_and_encrypt", description="none, sign or sign_and_encrypt.")
    policy: Policy = Field(default="Basic256Sha256", description="Security policy, where there is security.")
    certificate: Path | None = Field(default=None, description="The gateway's certificate (DER or PEM); the server must trust it.")
    key: Path | None = Field(default=None, description="The private key of the gateway's certificate (PEM or DER).")
    server_certificate: Path | None = Field(default=None, description="The only certificate that is taken for the server's.")
    trusted: Path | None = Field(default=None, description="Or a folder of trusted certificates: of servers, or of authorities.")
    user: str | None = Field(default=None, min_length=1, description="User name; its password comes from password_env or password_file.")
    password_env: str | None = Field(default=None, min_length=1, description="Environment variable that holds the password.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    plain_password: bool = Field(default=False, description="Log in also where the password would travel unencrypted.")
    anonymous: bool = Field(default=False, description="Log in without a user.")
    timeout_s: float = Field(default=5.0, gt=0, le=60, description="How long to wait for an answer, and for the connection.")
    keepalive_s: float = Field(default=15.0, ge=0.5, le=3600, description="A server silent for 1.5 times this long is given up.")
    session_timeout_s: float = Field(default=60.0, ge=1, le=86_400, description="The server forgets a gateway not heard for this long.")

    @field_validator("url")
    @classmethod
    def _url_is_a_server(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "opc.tcp" or not parts.hostname:
            raise ValueError("write opc.tcp://host:port")
        if parts.username is not None:
            raise ValueError("write the user as user = ..., and its password into a file or the environment")
        _ = parts.port  # raises ValueError when it is no port
        return url

    @model_validator(mode="after")
    def _is_secure_or_says_not(self) -> Self:
        if self.security != "none":
            if self.certificate is None or self.key is None:
                raise ValueError(
                    f"security {self.security} needs certificate and key (make them with `vigia edge opcua certificate`), "
                    'or write security = "none"'
                )
            if (self.server_certificate is None) == (self.trusted is None):
                raise ValueError(f"security {self.security} needs either server_certificate or trusted, to know the server by")
        if (self.user is None) != self.anonymous:
            raise ValueError("write either user, or anonymous = true")
        if (self.user is None) != (self.password_env is None and self.password_file is None):
            raise ValueError("user and its password belong together: write user and one of password_env and password_file")
        if self.password_env is not None and self.password_file is not None:
            raise ValueError("write either password_env or password_file")
        return self


class GroupConfig(SourceTable):
    """A table `[[node.source.group]]`: how its points are sampled and told."""

    name: str = Field(min_length=1, description="What points call it.")
    publishing_s: float = Field(default=1.0, gt=0, le=3600, description="How often the server tells what has changed.")
    sampling_s: float | None = Field(
        default=None, ge=0, le=86_400, description="How often the server looks at a point; 0 is as often as it can. Default: publishing_s."
    )
    queue_size: int = Field(default=10, ge=1, le=100_000, description="Values of a point that the server keeps until it tells them.")
    trigger: Literal["value", "timestamp"] = Field(
        default="value", description="value: told when value or status changed. timestamp: also when it was measured again and is the same."
    )


class PointConfig(SourceTable):
    """A table `[[node.source.device.point]]`: a variable of the server."""

    name: str = Field(min_length=1, description="Name of the point.")
    node: str = Field(description='Node id: "nsu=<namespace URI>;s=<name>", also i=, g= and b=; "i=2258" for the standard namespace.')
    index: int | None = Field(default=None, ge=0, description="Of an array: which element, from 0.")
    group: str = Field(default=DEFAULT_GROUP, description="The group it belongs to.")
    dead_band: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Told when it moved more than this, in the point's unit.")
    dead_band_percent: float = Field(default=0.0, ge=0, le=100, description="The same in percent of the range from low to high.")
    unit: str | None = Field(default=None, min_length=1, description="UCUM code. Default: what the server says.")
    low: float | None = Field(default=None, allow_inf_nan=False, description="Engineering range. Default: what the server says.")
    high: float | None = Field(default=None, allow_inf_nan=False, description="Engineering range. Default: what the server says.")
    kind: Kind = Field(default="measurement", description="measurement, setting, state or counter.")
    documentation: str | None = Field(default=None, description="What it is, for people. Default: what the server says.")

    @field_validator("node")
    @classmethod
    def _names_a_node(cls, node: str) -> str:
        return check_node_id(node)

    @model_validator(mode="after")
    def _has_one_dead_band(self) -> Self:
        if self.dead_band and self.dead_band_percent:
            raise ValueError("write either dead_band or dead_band_percent")
        return self


class MethodConfig(SourceTable):
    """A table `[[node.source.device.method]]`: what a command may call."""

    name: str = Field(min_length=1, description="What commands call it.")
    object: str = Field(description="Node id of the object, or type, that has the method.")
    node: str = Field(description="Node id of the method.")
    argument: Argument | None = Field(default=None, description="Data type of its only argument. Default: it takes none.")
    unit: str = Field(default="1", min_length=1, description="UCUM code of the argument.")
    documentation: str = Field(default="", description="What it does, for people.")

    @field_validator("object", "node")
    @classmethod
    def _names_a_node(cls, node: str) -> str:
        return check_node_id(node)


class DeviceConfig(SourceTable):
    """A table `[[node.source.device]]`: a machine behind the server."""

    device_id: DeviceId = Field(description="Device id on the wire.")
    serial: str = Field(default="", description="Serial number of the machine that stands there.")
    serial_node: str | None = Field(default=None, description="Or the node that tells it.")
    model: str = Field(min_length=1, description="Model code of the machine.")
    point: tuple[PointConfig, ...] = Field(min_length=1)
    method: tuple[MethodConfig, ...] = ()

    @field_validator("serial_node")
    @classmethod
    def _names_a_node(cls, node: str | None) -> str | None:
        return None if node is None else check_node_id(node)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.serial and self.serial_node is not None:
            raise ValueError("write either serial or serial_node")
        names = [*(point.name for point in self.point), *(method.name for method in self.method)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"point {name} appears twice; names of a device's points and methods must be unique")
        return self


class OpcUaConfig(ServerConfig):
    """The whole table."""

    type: Literal["opcua"]
    history: bool = Field(default=True, description="Read what the server kept of a point while the gateway did not hear it.")
    history_page: int = Field(default=1000, ge=1, le=100_000, description="Values of a point in one answer of history, at most.")
    look_again_s: float = Field(default=30.0, gt=0, le=86_400, description="How often to look for nodes that the server does not have.")
    group: tuple[GroupConfig, ...] = ()
    device: tuple[DeviceConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ids = [device.device_id for device in self.device]
        groups = [group.name for group in self.group]
        for kind, names in (("device_id", ids), ("group", groups)):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{kind} {name} appears twice; it must be unique")
        for device, point in self.points():
            if point.group not in groups and point.group != DEFAULT_GROUP:
                raise ValueError(f"point {point.name} of {device.device_id} is in group {point.group}, which is not there; add it")
        return self

    def points(self) -> Iterator[tuple[DeviceConfig, PointConfig]]:
        """Every point with its device."""
        for device in self.device:
            for point in device.point:
                yield device, point

    def groups(self) -> dict[str, GroupConfig]:
        """Every group by its name, the default one included."""
        return {DEFAULT_GROUP: GroupConfig(name=DEFAULT_GROUP)} | {group.name: group for group in self.group}
