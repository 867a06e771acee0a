"""Data messages become columns: each payload apart, in its place, whichever way it is read."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from vigia.sparkplug.columns import NONE, Form
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.decode import decode_columns, decode_packed, warm_up
from vigia.sparkplug.names import MAX_METRICS, MAX_PAYLOAD_BYTES
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.payload_schema import CLASSES
from vigia.sparkplug.wire_decode import decode_wire

BROKEN = b"\x12\x05\x10"


def reading(alias: int, value: float = 1.5, at: int = 1_767_225_600_000) -> Metric:
    return Metric(None, alias, at, DataType.DOUBLE, value)


def message(*metrics: Metric, seq: int = 0, sent: int = 5) -> bytes:
    return encode(Payload(sent, metrics, seq))


def table(metrics: int) -> Any:  # noqa: ANN401  # protobuf classes are built at run time
    """A payload whose first metric is a data set: not plain."""
    found: Any = CLASSES["Payload"](seq=9)
    found.metrics.add(alias=100).dataset_value.num_of_columns = 2
    for alias in range(metrics - 1):
        found.metrics.add(name=f"n{alias}", double_value=alias)
    return found


def test_what_is_not_plain_stands_between_its_neighbours() -> None:
    named = Metric("name", None, 3, DataType.STRING, "text")
    payloads = [message(reading(1), named), BROKEN, table(3).SerializeToString(), message(named, reading(2), seq=7), BROKEN, b""]
    columns = decode_columns(payloads)
    assert columns.first.tolist() == [0, 2, 2, 5, 7, 7, 7]
    assert columns.seq.tolist() == [0, NONE, 9, 7, NONE, NONE]
    assert columns.sent.tolist() == [5, NONE, NONE, 5, NONE, NONE]
    assert columns.alias.tolist() == [1, NONE, 100, NONE, NONE, NONE, 2]
    assert columns.names == {1: "name", 3: "n0", 4: "n1", 5: "name"}
    assert columns.texts == {1: "text", 5: "text"}
    assert columns.form.tolist() == [Form.FLOAT, Form.OTHER, Form.OTHER, Form.FLOAT, Form.FLOAT, Form.OTHER, Form.FLOAT]
    assert columns.faults == {1: "not a protobuf message of Sparkplug B", 4: "not a protobuf message of Sparkplug B"}


def test_a_historical_metric_is_marked() -> None:
    old = Metric(None, 2, 3, DataType.DOUBLE, 1.0, is_historical=True)
    assert decode_columns([message(reading(1), old), table(1).SerializeToString()]).historical.tolist() == [False, True, False]


@pytest.mark.parametrize("alias", [0, 127, 128, (1 << 14) - 1, 1 << 14, (1 << 35) - 1, 1 << 35, (1 << 63) - 1])
@pytest.mark.parametrize("at", [0, (1 << 35) - 1, 1 << 35, 1_767_225_600_123, (1 << 42) - 1, 1 << 42])
def test_alias_and_timestamp_have_any_number_of_bytes(alias: int, at: int) -> None:
    columns = decode_columns([message(reading(alias, -2.25, at))])
    assert (columns.alias[0], columns.ts[0], columns.value[0]) == (alias, at, -2.25)


def test_numbers_that_no_column_holds_are_cut() -> None:
    great = (1 << 64) - 1
    raw: Any = CLASSES["Payload"](seq=great, timestamp=great)
    raw.metrics.add(alias=great, timestamp=great, datatype=(1 << 32) - 1, long_value=great)
    columns = decode_columns([raw.SerializeToString()])
    assert [column[0] for column in (columns.seq, columns.sent, columns.alias, columns.ts)] == [(1 << 63) - 1] * 4
    assert (columns.datatype[0], columns.whole[0]) == ((1 << 31) - 1, great)


def test_a_text_that_is_not_utf8_is_none() -> None:
    columns = decode_columns([b"\x12\x04\x0a\x02\xff\xfe\x12\x04\x7a\x02\xff\xfe"])
    assert len(columns.alias) == 2
    assert (columns.names, columns.texts, columns.faults) == ({}, {}, {})


QUALITY_0 = b"\x0a\x07Quality\x12\x02\x18\x00"


@pytest.mark.parametrize(
    ("properties", "quality"),
    [
        ([QUALITY_0], 0),
        ([QUALITY_0, b""], 0),  # merged
        ([b"\x0a\x01a\x12\x02\x18\x05", QUALITY_0], 0),
        ([b"\x0a\x01a", QUALITY_0], 192),  # the one value is a's
        ([b"\x12\x02\x18\x05" + QUALITY_0], 5),
        ([b"\x0a\x07Quality\x12\x04\x18\x05\x10\x01"], 192),  # null
        ([b"\x0a\x07Quality\x12\x04\x18\x05\x4a\x00"], 192),  # a set of its own, the last of the two
        ([b"\x0a\x07Quality\x12\x04\x18\x05\x38\x01"], 192),  # a boolean
        ([b"\x0a\x07Quality\x12\x02\x10\x01" + QUALITY_0], 0),  # twice, first null
        ([b"\x0a\x07quality\x12\x02\x18\x00"], 192),
        ([b""], 192),
    ],
)
def test_quality_is_the_first_whole_number_of_that_name(properties: list[bytes], quality: int) -> None:
    metric = b"".join(b"\x4a" + bytes([len(one)]) + one for one in properties)
    columns = decode_columns([b"\x12" + bytes([len(metric)]) + metric])
    assert (columns.quality.tolist(), columns.faults) == ([quality], {})


def test_too_much_is_refused_and_says_so() -> None:
    many = message(seq=3) + b"\x12\x00" * (MAX_METRICS + 1)
    large = b"\x2a\xc0\x84\x3d" + bytes(MAX_PAYLOAD_BYTES)
    most = b"\x12\x00" * MAX_METRICS
    columns = decode_columns([many, large, most])
    assert columns.faults == {0: "5001 metrics, more than the 5000 accepted", 1: "1000004 bytes, more than the 1000000 accepted"}
    assert columns.first.tolist() == [0, 0, 0, MAX_METRICS]
    assert columns.seq.tolist() == [3, NONE, NONE]


def test_no_payload_gives_no_metric() -> None:
    columns = decode_columns([])
    assert (columns.first.tolist(), len(columns.seq), len(columns.alias)) == ([0], 0, 0)


@pytest.mark.parametrize(("start", "length"), [([0], [9]), ([9], [0]), ([-1], [2]), ([0], [-1]), ([1], [(1 << 63) - 1]), ([0, 0], [1])])
def test_payloads_outside_of_the_data_are_an_error(start: list[int], length: list[int]) -> None:
    with pytest.raises(ValueError, match=r"outside of the data|2 starts and 1 lengths"):
        decode_packed(np.zeros(8, np.uint8), np.array(start), np.array(length))


def test_after_warming_up_nothing_is_compiled() -> None:
    warm_up()
    payload = message(reading(1))
    place = np.array([2]), np.array([len(payload)])
    before = list(decode_wire.signatures)
    for memory in (b"xx" + payload, bytearray(b"xx" + payload), b"".join(bytes([byte, 0]) for byte in b"xx" + payload)):
        data = np.frombuffer(memory, np.uint8)[:: len(memory) // (len(payload) + 2)]
        assert decode_packed(data, *place).alias.tolist() == [1]
    assert decode_wire.signatures == before


GUARDED = """
import ctypes, mmap, sys
import numpy as np
sys.path.insert(0, {folder!r})
from test_decode_fuzz import Source
from vigia.sparkplug.decode import decode_packed

page = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * page)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mprotect(ctypes.c_void_p(address + page), page, 0) == 0  # to read one byte too many is to die
data = np.frombuffer(memory, np.uint8, page)
source = Source(11)
for _ in range(60):
    payload = source.payload()[-page:]
    for size in range(len(payload) + 1):
        for some in (payload[:size], source.damaged(payload[:size])[:page]):
            data[page - len(some):] = np.frombuffer(some, np.uint8)
            decode_packed(data, np.array([page - len(some)]), np.array([len(some)]))
print("alive")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect")
def test_no_byte_behind_the_data_is_read() -> None:
    program = GUARDED.format(folder=str(__file__).rpartition("/")[0])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-2000:]
