"""What a message means, once its sender is known and its turn has come."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from vigia.ingest.inbox import Message
from vigia.sparkplug.decode import Columns
from vigia.sparkplug.payload import Payload

if TYPE_CHECKING:
    from vigia.ingest.sessions import Node


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that cannot be used; `reason` from a small set of wordings, `detail` says more and what to do."""

    message: Message
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class NodeBirth:
    """An NBIRTH. `ahead_ms` is how far the node's clock was ahead of ours when it came, None if it told no time."""

    node: "Node"
    payload: Payload
    ahead_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NodeDeath:
    """An NDEATH of the present session."""

    node: "Node"


@dataclass(frozen=True, slots=True)
class StaleNodeDeath:
    """An NDEATH of another session than the present one: it ends nothing, and may be somebody's who repeats what he heard."""

    node: "Node"
    bd_seq: int


@dataclass(frozen=True, slots=True)
class NodeData:
    """An NDATA: of a Vigía edge its heartbeat or a tombstone."""

    node: "Node"
    payload: Payload


@dataclass(frozen=True, slots=True)
class DeviceBirth:
    """A DBIRTH."""

    node: "Node"
    device_id: str
    payload: Payload
    message: Message

    @property
    def is_taken(self) -> bool:
        """Whether the device is known by it, or by a later birth; one that was refused has its letter."""
        table = self.node.tables.get(self.device_id)
        return table is not None and table.device is not None


@dataclass(frozen=True, slots=True)
class DeviceDeath:
    """A DDEATH; `at` is when it was sent, None when it does not say."""

    node: "Node"
    device_id: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceData:
    """A DDATA: payload number `index` of `columns`."""

    node: "Node"
    device_id: str
    columns: Columns
    index: int
    message: Message


Event = NodeBirth | NodeDeath | StaleNodeDeath | NodeData | DeviceBirth | DeviceDeath | DeviceData | Letter
