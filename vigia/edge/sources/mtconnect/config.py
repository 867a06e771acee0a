"""The table `[node.source]` with `type = "mtconnect"`: which agent, which of its devices, and what their data items are called."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from vigia.edge.samples import Kind
from vigia.edge.sources.tables import DeviceId, SourceTable, refuse_repeated


class DeviceConfig(SourceTable):
    """A table `[[node.source.device]]`: a device of the agent, as it is named on the wire. Without one all devices are taken."""

    name: str = Field(min_length=1, description="The device's name or uuid at the agent.")
    device_id: DeviceId = Field(description="Device id on the wire.")
    serial: str | None = Field(default=None, min_length=1, description="Serial number. Default: what the agent says, else its uuid.")
    model: str | None = Field(default=None, min_length=1, description="Model code. Default: what the agent says, else its name.")


class PointConfig(SourceTable):
    """A table `[[node.source.point]]`: what the agent cannot say about a data item."""

    item: str = Field(min_length=1, description="The data item's id.")
    name: str | None = Field(default=None, min_length=1, description="Name of the point.")
    kind: Kind | None = Field(default=None, description="measurement, setting, state or counter.")
    words: dict[str, int | float] = Field(default={}, description="Numbers for the words of an event or the states of a condition.")
    low: float | None = Field(default=None, description="Engineering range in the point's unit.")
    high: float | None = Field(default=None, description="Engineering range in the point's unit.")
    documentation: str | None = Field(default=None, description="What it is, for people.")


class MTConnectConfig(SourceTable):
    """The whole table."""

    type: Literal["mtconnect"]
    url: str = Field(description="http[s]://host[:port][/path] of the agent.")
    ca: Path | None = Field(default=None, description="CA certificate file for https; default the system's.")
    interval_s: float = Field(default=0.5, gt=0, le=3600, description="How often the agent tells what is new.")
    heartbeat_s: float = Field(default=10.0, ge=0.1, le=3600, description="How often the agent says that there is nothing new.")
    timeout_s: float = Field(default=5.0, gt=0, le=60, description="An agent that is this late, also with its heartbeat, is away.")
    count: int = Field(default=1000, ge=1, le=100_000, description="Observations in one document, at most.")
    max_document_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024, description="A larger document is refused.")
    names: Literal["id", "name"] = Field(default="id", description="What points are called: the data item's id, or its name if it has one.")
    others: Literal["take", "ignore"] = Field(default="take", description="Data items without a table [[node.source.point]].")
    device: tuple[DeviceConfig, ...] = ()
    point: tuple[PointConfig, ...] = ()

    @field_validator("url")
    @classmethod
    def _url_is_an_agent(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
            raise ValueError("write http://host:port, without a user")
        _ = parts.port  # raises ValueError when it is no port
        return url.rstrip("/")

    @model_validator(mode="after")
    def _says_each_once(self) -> Self:
        for what, names in (
            ("device", [device.name for device in self.device]),
            ("device_id", [device.device_id for device in self.device]),
            ("item", [point.item for point in self.point]),
            ("point", [point.name for point in self.point if point.name is not None]),
        ):
            refuse_repeated(what, names)
        return self
