"""The payloads of an edge node as Sparkplug wants them."""

from vigia.edge.buffer_records import Batch, Birth
from vigia.edge.messages import Messages
from vigia.edge.samples import Device, Point, Sample
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Payload

PUMP = Device("L", "SN-1", "pump", tuple(Point(name, DataType.DOUBLE) for name in ("a", "b", "c")))
BIRTH = Birth(1, PUMP)
SAMPLES = (Sample("L", "a", 3_000, 1.0), Sample("L", "b", 1_000, 2.0, 64), Sample("L", "c", 2_000, None, 0))


def times(payload: Payload) -> list[int | None]:
    return [metric.timestamp for metric in payload.metrics]


def test_metrics_stand_in_the_order_of_their_times() -> None:
    messages = Messages()
    messages.remember(SAMPLES)
    birth = messages.device_birth(BIRTH, [], 7, 1, 2_500)
    assert times(birth) == [1_000, 2_000, 2_500, 2_500, 2_500, 2_500, 3_000]
    data = messages.device_data(Batch(7, 1, 1, "L", SAMPLES), BIRTH, 9_000, historical=False, other_serial=False)
    assert times(data) == [1_000, 2_000, 3_000, 3_000, 3_000]


def test_a_quality_that_sparkplug_does_not_know_is_bad_on_the_wire() -> None:
    messages = Messages()
    messages.remember(SAMPLES)
    birth = messages.device_birth(BIRTH, [], 7, 1, 2_500)
    assert {name: metric.quality for name in "abc" if (metric := birth.metric(name)) is not None} == {"a": 192, "b": 0, "c": 0}
    data = messages.device_data(Batch(7, 1, 1, "L", SAMPLES), BIRTH, 9_000, historical=True, other_serial=False)
    assert [metric.properties.get(names.QUALITY) for metric in data.metrics[:3]] == [0, 0, None]
