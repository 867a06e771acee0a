"""Whatever is on the wire, ingest goes on and keeps what is good."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_harness import HOUR_MS, START_MS, Edge, Line, check_all_stored_once, query, stored

from vigia.ingest.inbox import Message
from vigia.sparkplug.datatypes import DataType, Scalar
from vigia.sparkplug.decode import NONE, Form, decode_columns
from vigia.sparkplug.payload import Metric, Payload, encode

scalar: st.SearchStrategy[tuple[DataType, Scalar]] = st.one_of(
    st.tuples(st.just(DataType.DOUBLE), st.floats()),
    st.tuples(st.just(DataType.INT64), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.tuples(st.just(DataType.UINT64), st.integers(0, (1 << 64) - 1)),
    st.tuples(st.just(DataType.INT8), st.integers(-128, 127)),
    st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
    st.tuples(st.just(DataType.STRING), st.text(max_size=5)),
)
number64 = st.integers(0, (1 << 64) - 1)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    datatype, value = draw(scalar)
    return Metric(
        draw(
            st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["bdSeq", "Vigia/Epoch", "Vigia/Newest", "Vigia/Tombstone", "T50"]))
        ),
        draw(st.one_of(st.integers(9, 30), number64)),
        draw(st.one_of(st.none(), st.just(START_MS), number64)),
        datatype,
        draw(st.one_of(st.none(), st.just(value))),
        properties={"Quality": draw(st.integers(-5, 600)), "kind": draw(st.text(max_size=3)), "engLow": draw(st.floats())},
    )


payloads = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda seq, sent, some: encode(Payload(sent, tuple(some), seq)), st.integers(0, 300), number64, st.lists(metrics(), max_size=6)
    ),
)
kinds = st.sampled_from(
    ["NBIRTH/{n}", "NDATA/{n}", "NDEATH/{n}", "DBIRTH/{n}/R1", "DDATA/{n}/R1", "DDATA/{n}/R9", "DDEATH/{n}/R2", "DBIRTH/{n}/R9"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strange=st.lists(st.tuples(kinds, payloads), max_size=25))
async def test_strange_messages_of_one_node_do_not_touch_another(wire: Line, seeded: str, strange: list[tuple[str, bytes]]) -> None:
    edge = Edge(node="acme-two", epoch=_epoch())
    hour = edge.epoch
    await wire.hear(*edge.born(), *Edge(epoch=edge.epoch).born())
    rubbish = [Message(f"spBv1.0/acme/{kind.format(n='acme-one')}", payload, 1) for kind, payload in strange]
    await wire.hear(*rubbish, edge.data("R1", hour, T50=1.5), *rubbish)
    assert wire.host.acknowledged is not None
    assert stored(seeded).count(("SN-R1", "T50", START_MS + hour * HOUR_MS, 1.5)) == 1
    assert query(seeded, "select detail from dead_letter where reason = 'internal error'") == []


_epochs = iter(range(1000, 100_000))


def _epoch() -> int:
    return next(_epochs)


@settings(max_examples=300, deadline=None)
@given(some=st.lists(payloads, max_size=6))
def test_columns_hold_each_payload_apart(some: list[bytes]) -> None:
    columns = decode_columns(some)
    assert len(columns.seq) == len(columns.sent) == len(some)
    assert columns.first[0] == 0
    assert np.all(np.diff(columns.first) >= 0)
    assert columns.first[-1] == len(columns.alias) == len(columns.value) == len(columns.form)
    for i, payload in enumerate(some):
        alone = decode_columns([payload])
        span = slice(int(columns.first[i]), int(columns.first[i + 1]))
        np.testing.assert_array_equal(alone.value, columns.value[span])
        np.testing.assert_array_equal(alone.whole, columns.whole[span])
        assert (i in columns.faults) == (0 in alone.faults)


def test_a_message_is_read_as_it_was_written() -> None:
    written = Payload(
        5,
        (
            Metric("named", None, None, DataType.DOUBLE, 2.5),
            Metric(None, 7, 9, DataType.INT32, -3, properties={"Quality": 0}),
            Metric(None, 8, 10, DataType.STRING, "text"),
            Metric(None, 9, 11, DataType.BOOLEAN, value=True),
            Metric(None, 10, 12, DataType.DOUBLE, None),
        ),
        17,
    )
    columns = decode_columns([encode(written)])
    assert (columns.seq[0], columns.sent[0]) == (17, 5)
    assert columns.alias.tolist() == [NONE, 7, 8, 9, 10]
    assert columns.names == {0: "named"}
    assert columns.texts == {2: "text"}
    assert columns.ts.tolist() == [NONE, 9, 10, 11, 12]
    assert columns.form.tolist() == [Form.FLOAT, Form.INTEGER, Form.OTHER, Form.BOOLEAN, Form.NULL]
    assert columns.quality.tolist() == [192, 0, 192, 192, 192]
    assert columns.value[0] == 2.5
    assert columns.value[3] == 1.0


async def test_what_is_lost_on_the_way_is_sent_again(wire: Line, edge: Edge, seeded: str) -> None:
    messages = [*edge.born(), edge.data("R1", 1), edge.data("R1", 2)]
    await wire.hear(*messages[:-1])
    await wire.hear(edge.data("R1", 3))
    while wire.host.rebirths == 0:
        await wire.pipeline.flush()
    await wire.hear(*edge.born())
    await wire.hear(edge.data("R1", 2, eseq=2), edge.data("R1", 3, eseq=3))
    check_all_stored_once(seeded, edge)
