"""What edges are told, a message at a time and many at once."""

import numpy as np
import pytest

from vigia.ingest import commands, packets
from vigia.sparkplug.payload import decode
from vigia.store.births import EdgeNode
from vigia.store.ledger import Watermark


@pytest.mark.parametrize("eseq", [0, 1, 127, 128, 300_000, (1 << 62) - 1])
def test_many_acknowledgements_say_what_one_says(eseq: int) -> None:
    edges = [EdgeNode(1, 1, "acme", "one", None, None), EdgeNode(2, 1, "ácme", "two" * 60, None, None)]
    told = [(edge, Watermark(edge.edge_node_id, 1 << 40, eseq)) for edge in edges]
    sent = commands.acknowledgements(told)
    found = packets.split(np.frombuffer(sent, np.uint8).copy(), len(sent))
    assert (found.consumed, found.fault) == (len(sent), 0)
    for (edge, watermark), place in zip(told, found.publishes.T.tolist(), strict=True):
        topic, payload = (sent[at : at + size] for at, size in (place[:2], place[2:4]))
        one_topic, one_payload = commands.acknowledgement(edge, watermark)
        assert topic.decode() == one_topic
        assert decode(payload).metrics == decode(one_payload).metrics
        assert abs((decode(payload).timestamp or 0) - (decode(one_payload).timestamp or 0)) < 60_000
