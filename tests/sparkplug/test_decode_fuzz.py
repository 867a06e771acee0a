"""Whatever the bytes: the decoder says of them what the protobuf classes say, and reads none that is not theirs."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
import pytest

from vigia.sparkplug.class_decode import read_columns
from vigia.sparkplug.columns import Columns
from vigia.sparkplug.decode import decode_columns, decode_packed
from vigia.sparkplug.payload_schema import PayloadMessage

BATCH = 1_000
EDGES_OF_NUMBERS = [
    0,
    1,
    2,
    127,
    128,
    255,
    300,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 62,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
]
TIMES = [1_767_225_600_000, 1_767_225_600_001, 0, (1 << 35) - 1, 1 << 35, 1 << 42, (1 << 42) - 1]
FLOATS = [0.0, -0.0, 1.5, -1e300, 5e-324, float("nan"), float("inf")]
TEXTS = ["", "a", "ü", "Quality", "quality", "Vigia/Batch", "x" * 200]


def varint(number: int, longer: int = 0) -> bytes:
    """`number` in groups of seven bits, with `longer` groups of zeros more than it needs."""
    groups = []
    while True:
        groups.append(number & 0x7F)
        number >>= 7
        if not number:
            break
    groups += [0] * longer
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


class Source:
    """Payloads of all shapes, and bytes that nearly are some."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def below(self, limit: int) -> int:
        return int(self.random.integers(limit))

    def one(self, of: Sequence[object]) -> object:
        return of[self.below(len(of))]

    def chance(self, of_hundred: int) -> bool:
        return self.below(100) < of_hundred

    def number(self) -> int:
        kind = self.below(3)
        if kind == 0:
            return self.below(100)
        return int(self.one(EDGES_OF_NUMBERS if kind == 1 else TIMES))  # type: ignore[call-overload]  # a list of ints

    def field(self, number: int, kind: int) -> bytes:
        """A field of wire type `kind` with any content."""
        tag = varint(number << 3 | kind, longer=int(self.chance(1)))
        if kind == 0:
            return tag + varint(self.number(), longer=self.below(8) if self.chance(3) else 0)
        if kind in (1, 5):
            return tag + self.random.bytes(8 if kind == 1 else 4)
        if kind == 2:
            body = str(self.one(TEXTS)).encode() if self.chance(70) else self.random.bytes(self.below(12))
            return tag + varint(len(body), longer=int(self.chance(2))) + body
        if kind == 3:
            inner = self.field(1 + self.below(20), self.one([0, 1, 2, 5])) if self.chance(50) else b""  # type: ignore[arg-type]  # ints
            return tag + inner + varint(number << 3 | 4)
        return tag

    def unknown(self) -> bytes:
        return self.field(self.one([6, 7, 12, 15, 16, 20, 30, 2047, 2048, 100_000, 1 + self.below(20)]), self.one([0, 0, 1, 2, 2, 5, 3]))  # type: ignore[arg-type]  # ints

    def properties(self, raw: object, depth: int = 0) -> None:
        for _ in range(self.below(4)):
            if not self.chance(3):
                raw.keys.append(self.one(TEXTS) if self.chance(50) else "Quality")
            if self.chance(3):
                continue
            value = raw.values.add()
            value.type = self.number() & 0xFFFFFFFF
            kind = self.below(9)
            if kind == 0:
                value.is_null = self.chance(70)
            if kind in (0, 1, 2):
                value.int_value = self.one([0, 192, 500, 64, self.number() & 0xFFFFFFFF])
            elif kind == 3:
                value.long_value = self.number()
            elif kind == 4:
                value.double_value = self.one(FLOATS)
            elif kind == 5:
                value.string_value = self.one(TEXTS)
            elif kind == 6:
                value.boolean_value = self.chance(50)
            elif kind == 7:
                value.float_value = 2.5
            elif depth < 2 and self.chance(30):
                self.properties(value.propertyset_value if self.chance(50) else value.propertysets_value.propertyset.add(), depth + 1)

    def value(self, raw: object) -> None:
        kind = self.below(14)
        if kind < 3:
            raw.double_value = self.one(FLOATS) if self.chance(20) else float(self.random.normal())
        elif kind == 3:
            raw.float_value = float(np.float32(self.random.normal()))
        elif kind == 4:
            raw.int_value = self.number() & 0xFFFFFFFF
        elif kind == 5:
            raw.long_value = self.number()
        elif kind == 6:
            raw.boolean_value = self.chance(50)
        elif kind == 7:
            raw.string_value = self.one(TEXTS)
        elif kind == 8:
            raw.bytes_value = self.random.bytes(self.below(9))
        elif kind == 9 and self.chance(30):
            raw.dataset_value.num_of_columns = 1
        elif kind == 10 and self.chance(30):
            raw.template_value.version = "1"
        elif kind == 11 and self.chance(30):
            raw.extension_value.SetInParent()

    def metric(self) -> bytes:
        raw = PayloadMessage.DESCRIPTOR.fields_by_name["metrics"].message_type._concrete_class()
        if self.chance(90):
            raw.alias = self.below(300) if self.chance(80) else self.number()
        if self.chance(20):
            raw.name = self.one(TEXTS)
        if self.chance(90):
            raw.timestamp = self.one(TIMES) if self.chance(80) else self.number()
        if self.chance(15):
            raw.datatype = self.number() & 0xFFFFFFFF
        for flag in ("is_historical", "is_transient", "is_null"):
            if self.chance(10):
                setattr(raw, flag, self.chance(70))
        if self.chance(20):
            self.properties(raw.properties)
        if self.chance(2):
            raw.metadata.md5 = "x"
        self.value(raw)
        body: bytes = raw.SerializeToString()
        extra = [self.unknown() for _ in range(1 + self.below(2))] if self.chance(10) else []
        if extra and self.chance(50):
            extra.reverse()
            body = b"".join(extra) + body
        else:
            body += b"".join(extra)
        if self.chance(3):  # the same fields in another order, or again
            again = PayloadMessage.DESCRIPTOR.fields_by_name["metrics"].message_type._concrete_class()
            self.value(again)
            body = body + again.SerializeToString() if self.chance(50) else again.SerializeToString() + body
        return body

    def payload(self) -> bytes:
        parts = []
        for _ in range(self.below(5)):
            body = self.metric()
            parts.append(b"\x12" + varint(len(body), longer=int(self.chance(1))) + body)
        if self.chance(90):
            parts.append(b"\x08" + varint(self.number()))
        if self.chance(90):
            parts.append(b"\x18" + varint(self.number() if self.chance(20) else self.below(256)))
        if self.chance(5):
            parts.append(self.unknown())
        if self.chance(2):
            parts.append(b"\x22\x03abc\x2a\x02\xff\xff")
        if self.chance(20):
            parts = [parts[i] for i in self.random.permutation(len(parts))]
        return b"".join(parts)

    def damaged(self, payload: bytes, other: bytes) -> bytes:
        """`payload` with a few bytes changed, lost, put in, or taken from `other`."""
        bytes_ = bytearray(payload)
        for _ in range(1 + self.below(3)):
            at = self.below(len(bytes_) + 1)
            way = self.below(6)
            if way == 0 and bytes_:
                bytes_[at % len(bytes_)] ^= 1 << self.below(8)
            elif way == 1:
                del bytes_[at:]
            elif way == 2:
                bytes_[at:at] = self.random.bytes(1 + self.below(3))
            elif way == 3:
                begin = self.below(len(other) + 1)
                bytes_[at:at] = other[begin : begin + self.below(30)]
            elif way == 4:
                del bytes_[at : at + 1 + self.below(4)]
            elif bytes_:
                bytes_[at % len(bytes_)] = self.one([0, 0x7F, 0x80, 0xFF, 0x12, 0x4A, 0x0B, 0x0C, 0x10, 0x69, self.below(256)])
        return bytes(bytes_)

    def batches(self, payloads: int) -> Iterator[list[bytes]]:
        """`payloads` of them, a third as they should be."""
        for _ in range(payloads // BATCH):
            fresh = [self.payload() for _ in range(BATCH // 5)]
            rest = [self.damaged(fresh[self.below(len(fresh))], fresh[self.below(len(fresh))]) for _ in range(BATCH - len(fresh))]
            every = fresh + rest
            yield [every[i] for i in self.random.permutation(BATCH)]


def check_same(found: Columns, wanted: Columns) -> None:
    for column in fields(Columns):
        ours, theirs = getattr(found, column.name), getattr(wanted, column.name)
        if isinstance(theirs, dict):
            assert ours == theirs, column.name
        else:
            assert ours.dtype == theirs.dtype, column.name
            np.testing.assert_array_equal(ours, theirs, column.name)


def check_batch(payloads: list[bytes]) -> None:
    """Compare the whole batch; name the payload that differs."""
    wanted = read_columns(payloads)
    try:
        check_same(decode_columns(payloads), wanted)
    except AssertionError:
        for payload in payloads:
            try:
                check_same(decode_columns([payload]), read_columns([payload]))
            except AssertionError as error:
                raise AssertionError(f"{payload.hex(' ')}\n{error}") from None
        raise


def check(seed: int, payloads: int) -> None:
    for batch in Source(seed).batches(payloads):
        check_batch(batch)


def test_damaged_payloads_are_read_as_the_protobuf_classes_read_them() -> None:
    check(seed=1, payloads=20_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_million_damaged_payloads_are_read_as_the_protobuf_classes_read_them(seed: int) -> None:
    check(seed, payloads=100_000)


@pytest.mark.parametrize("seed", range(3))
def test_rubbish_is_read_as_the_protobuf_classes_read_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    words = np.frombuffer(bytes([0x12, 0x10, 0x18, 0x69, 0x4A, 0x0A, 0x58, 0x08, 0x80, 0x02, 0x04, 0x01, 0xFF]), np.uint8)
    for _ in range(5):
        rubbish = [random.choice(words, random.integers(0, 40)).tobytes() for _ in range(BATCH)]
        check_batch(rubbish + [random.bytes(int(random.integers(0, 30))) for _ in range(BATCH)])


def test_a_payload_ends_where_it_ends() -> None:
    """Each beginning of a payload, with the rest behind it in the same memory, is read as if nothing stood behind it."""
    source = Source(7)
    for _ in range(30):
        payload = source.payload()
        data = np.frombuffer(payload, np.uint8)
        length = np.arange(len(payload) + 1)
        check_same(decode_packed(data, np.zeros_like(length), length), read_columns([payload[:n] for n in length]))
