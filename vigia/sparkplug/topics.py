"""Sparkplug B topics: `spBv1.0/{group_id}/{message_type}/{edge_node_id}[/{device_id}]` and `spBv1.0/STATE/{host_id}`."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from vigia.sparkplug import TopicError
from vigia.sparkplug.names import NAMESPACE

_STATE = "STATE"
_NODE_LEVELS = 4
_DEVICE_LEVELS = 5
_STATE_LEVELS = 3
_MAX_TOPIC_BYTES = 65_535


class MessageType(StrEnum):
    """What a message is about; N for an edge node, D for a device."""

    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    NDATA = "NDATA"
    NCMD = "NCMD"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    DDATA = "DDATA"
    DCMD = "DCMD"

    @property
    def of_device(self) -> bool:
        """Whether the topic must carry a device id; the other types must not."""
        return self.value.startswith("D")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of an edge node or, with `device_id`, of one of its devices. Raises TopicError when the parts do not fit."""

    group_id: str
    message_type: MessageType
    node_id: str
    device_id: str | None = None

    def __post_init__(self) -> None:
        check_id("group_id", self.group_id)
        check_id("edge_node_id", self.node_id)
        if self.message_type.of_device:
            if self.device_id is None:
                raise TopicError(f"{self.message_type} needs a device_id")
            check_id("device_id", self.device_id)
        elif self.device_id is not None:
            raise TopicError(f"{self.message_type} must not carry a device_id")

    def __str__(self) -> str:
        node = f"{NAMESPACE}/{self.group_id}/{self.message_type}/{self.node_id}"
        return node if self.device_id is None else f"{node}/{self.device_id}"


@dataclass(frozen=True, slots=True)
class StateTopic:
    """The topic on which a host application says whether it is online. Raises TopicError on an unusable id."""

    host_id: str

    def __post_init__(self) -> None:
        check_id("host_id", self.host_id)

    def __str__(self) -> str:
        return f"{NAMESPACE}/{_STATE}/{self.host_id}"


def check_id(what: str, value: str) -> str:
    """`value` if it can be a level of a topic; else TopicError saying what is wrong with `what`."""
    if not value:
        raise TopicError(f"{what} is empty")
    for character in "+/#\0":
        if character in value:
            raise TopicError(f"{what} {value!r} contains {character!r}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise TopicError(f"{what} {value!r} is not valid Unicode") from None
    if size > _MAX_TOPIC_BYTES // _DEVICE_LEVELS:
        raise TopicError(f"{what} has {size} bytes, more than a topic can hold")
    return value


@lru_cache(maxsize=65_536)
def parse(topic: str) -> Topic | StateTopic:
    """The parts of `topic`. Raises TopicError with the reason when it is not a Sparkplug B topic."""
    levels = topic.split("/")
    if levels[0] != NAMESPACE:
        raise TopicError(f"namespace is {levels[0][:40]!r}, expected {NAMESPACE!r}")
    if len(levels) > 1 and levels[1] == _STATE:
        if len(levels) != _STATE_LEVELS:
            raise TopicError(f"a STATE topic has {_STATE_LEVELS} levels, this has {len(levels)}")
        return StateTopic(levels[2])
    if len(levels) not in (_NODE_LEVELS, _DEVICE_LEVELS):
        raise TopicError(f"a topic has {_NODE_LEVELS} or {_DEVICE_LEVELS} levels, this has {len(levels)}")
    try:
        message_type = MessageType(levels[2])
    except ValueError:
        raise TopicError(f"unknown message type {levels[2][:40]!r}") from None
    return Topic(levels[1], message_type, levels[3], levels[4] if len(levels) == _DEVICE_LEVELS else None)


def node_command_filter(group_id: str, node_id: str) -> str:
    """The filter an edge node subscribes to for its own commands."""
    return str(Topic(group_id, MessageType.NCMD, node_id))


def device_command_filter(group_id: str, node_id: str) -> str:
    """The filter an edge node subscribes to for its devices' commands."""
    return f"{NAMESPACE}/{check_id('group_id', group_id)}/{MessageType.DCMD}/{check_id('edge_node_id', node_id)}/+"


def all_filter() -> str:
    """The filter a host application subscribes to."""
    return f"{NAMESPACE}/#"
