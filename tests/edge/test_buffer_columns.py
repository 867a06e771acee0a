"""What is written of a batch is read again, to the last bit, and takes little room."""

import math
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.edge.buffer_columns import Layout, UnknownPointError, UnreadableBatchError
from vigia.edge.samples import Device, Point, Sample, Value
from vigia.sparkplug.datatypes import DataType

NAMES = [f"point {number}" for number in range(50)]
LAYOUT = Layout(Device("d", "1", "m", tuple(Point(name, DataType.DOUBLE) for name in NAMES)))
VALUES: st.SearchStrategy[Value | None] = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
SAMPLES = st.builds(
    Sample,
    st.just("d"),
    st.sampled_from(NAMES),
    st.integers(-(2**53), 2**53),
    VALUES,
    st.sampled_from([0, 64, 192, 500]),
    st.none() | st.integers(0, 2**53),
    st.none() | st.integers(0, 2**53),
)


def exact(value: Value | None) -> object:
    """Equal for the same bits only: 1 is not 1.0, 0.0 not -0.0, and NaN is itself."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else struct.pack("d", value)
    return type(value), value


@given(st.lists(SAMPLES, min_size=1, max_size=20))
def test_samples_come_back_as_they_were(samples: list[Sample]) -> None:
    back = LAYOUT.read(LAYOUT.write(samples))
    assert [(s.device, s.point, s.ts, exact(s.value), s.quality, s.received, s.source_ts) for s in back] == [
        (s.device, s.point, s.ts, exact(s.value), s.quality, s.received, s.source_ts) for s in samples
    ]


def full(rng: random.Random) -> float:
    return rng.gauss(100, 5)


def single(rng: random.Random) -> float:
    """A 32-bit float, as most registers and OPC UA servers hold it."""
    value: float = struct.unpack("f", struct.pack("f", rng.gauss(100, 5)))[0]
    return value


def decimal(rng: random.Random) -> float:
    return round(rng.gauss(600, 50), 2)


@pytest.mark.parametrize(("measured", "most_bytes"), [(full, 8.6), (single, 5.4), (decimal, 4.6)])
def test_a_sample_takes_little_more_than_its_digits(measured: object, most_bytes: float) -> None:
    rng = random.Random(1)  # noqa: S311 - no secrets
    assert callable(measured)
    samples = [Sample("d", name, 1_767_225_600_000, measured(rng)) for name in NAMES]
    assert len(LAYOUT.write(samples)) / len(samples) < most_bytes


def test_a_point_that_was_not_announced_is_named() -> None:
    with pytest.raises(UnknownPointError, match="nobody"):
        LAYOUT.write([Sample("d", "nobody", 1, 1.0)])


@given(st.lists(SAMPLES, min_size=1, max_size=20), st.data())
def test_damaged_bytes_are_known_as_such_or_change_nothing_else(samples: list[Sample], data: st.DataObject) -> None:
    body = bytearray(LAYOUT.write(samples))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        back = LAYOUT.read(bytes(body))
    except UnreadableBatchError:
        return
    assert all(isinstance(one, Sample) for one in back)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(UnreadableBatchError):
        LAYOUT.read(body)
