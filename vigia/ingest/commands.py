"""What the host tells an edge node: NCMD topics and payloads."""

import time
from collections.abc import Iterable
from functools import lru_cache

from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import ACKNOWLEDGED, EPOCH, REBIRTH
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.topics import MessageType, Topic
from vigia.store.births import EdgeNode
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
