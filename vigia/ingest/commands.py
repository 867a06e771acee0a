"""What the host tells an edge node: NCMD topics and payloads."""

import time

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


def _command(edge: EdgeNode, *metrics: Metric) -> tuple[str, bytes]:
    topic = Topic(edge.group_id, MessageType.NCMD, edge.node_id)
    return str(topic), encode(Payload(timestamp=int(time.time() * 1000), metrics=metrics))
