"""What the host tells an edge node and its devices: NCMD and DCMD topics and payloads."""

import json
import time
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from vigia.domain.commands import acts_until
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import ACKNOWLEDGED, COMMAND, EPOCH, REBIRTH
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.topics import MessageType, Topic
from vigia.store.births import EdgeNode
from vigia.store.commands import Outgoing
from vigia.store.ledger import Watermark


def rebirth(edge: EdgeNode) -> tuple[str, bytes]:
    """Say again who you are."""
    return _command(edge, Metric(REBIRTH, datatype=DataType.BOOLEAN, value=True))


def acknowledgement(edge: EdgeNode, watermark: Watermark) -> tuple[str, bytes]:
    """Everything of the epoch up to this number is committed or explained."""
    return _command(
        edge,
        Metric(EPOCH, datatype=DataType.INT64, value=watermark.epoch),
        Metric(ACKNOWLEDGED, datatype=DataType.INT64, value=watermark.eseq),
    )


def device_command(command: Outgoing, now: datetime) -> tuple[str, bytes]:
    """Write this, and who wants it. Raises PayloadError when the value does not fit the metric's data type."""
    words = {
        "id": str(command.uid),
        "issued_at": _ms(now),
        "expires_at": _ms(acts_until(now, command.expires_at)),
        "requested_by": command.requested_by,
        "approved_by": list(command.approved_by),
    }
    metrics = (
        Metric(command.metric, datatype=DataType(command.datatype), value=command.value),
        Metric(COMMAND, datatype=DataType.STRING, value=json.dumps(words, separators=(",", ":"), ensure_ascii=False)),
    )
    topic = Topic(command.group_id, MessageType.DCMD, command.node_id, command.device_id)
    return str(topic), encode(Payload(timestamp=_ms(now), metrics=metrics))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def acknowledgements(told: Iterable[tuple[EdgeNode, Watermark]]) -> bytes:
    """Those of many edges as PUBLISH packets: what `acknowledgement` says, without a message object each."""
    stamp = b"\x08" + _varint(int(time.time() * 1000))
    packets = []
    for edge, watermark in told:
        value = b"\x58" + _varint(watermark.eseq)
        epoch, metric = _epoch_metric(watermark.epoch), _ACKNOWLEDGED_HEAD + value
        size = len(stamp) + len(epoch) + 2 + len(metric)
        topic = _topic(edge.group_id, edge.node_id)
        packets.append(b"".join((b"\x30", _varint(len(topic) + size), topic, stamp, epoch, b"\x12", _varint(len(metric)), metric)))
    return b"".join(packets)


_NAME = ACKNOWLEDGED.encode()
_ACKNOWLEDGED_HEAD = b"\x0a" + bytes((len(_NAME),)) + _NAME + b"\x20" + bytes((int(DataType.INT64),))


@lru_cache(maxsize=100_000)
def _topic(group_id: str, node_id: str) -> bytes:
    topic = str(Topic(group_id, MessageType.NCMD, node_id)).encode()
    return len(topic).to_bytes(2) + topic


@lru_cache(maxsize=100_000)
def _epoch_metric(epoch: int) -> bytes:
    return encode(Payload(metrics=(Metric(EPOCH, datatype=DataType.INT64, value=epoch),)))


def _varint(number: int) -> bytes:
    """A number as protobuf and MQTT write it: seven bits a byte, the lowest first."""
    if number < 0x80:  # noqa: PLR2004 - seven bits
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:  # noqa: PLR2004
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _command(edge: EdgeNode, *metrics: Metric) -> tuple[str, bytes]:
    topic = Topic(edge.group_id, MessageType.NCMD, edge.node_id)
    return str(topic), encode(Payload(timestamp=int(time.time() * 1000), metrics=metrics))
