"""Whatever the bytes: the decoder says of them what the protobuf classes say."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import pytest

from vigia.sparkplug import decode
from vigia.sparkplug.class_decode import read_columns
from vigia.sparkplug.columns import Columns
from vigia.sparkplug.decode import decode_columns, decode_packed
from vigia.sparkplug.payload_schema import CLASSES

Item = TypeVar("Item")
BATCH = 1_000
NUMBERS = [0, 1, 127, 128, 255, 300, *(1 << bits for bits in (31, 32, 62, 63)), *((1 << bits) - 1 for bits in (31, 32, 63, 64))]
TIMES = [1_767_225_600_000, 1_767_225_600_001, 0, (1 << 35) - 1, 1 << 35, (1 << 42) - 1, 1 << 42]
FLOATS = [0.0, -0.0, 1.5, -1e300, 5e-324, float("nan"), float("inf")]
TEXTS = ["", "a", "ü", "Quality", "quality", "Vigia/Batch", "x" * 200]
QUALITIES = [0, 64, 192, 500, 1 << 31]
FIELDS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 30, 2047, 2048, 100_000]
NASTY = [0, 1, 2, 0x0A, 0x0B, 0x0C, 0x10, 0x12, 0x18, 0x4A, 0x69, 0x7F, 0x80, 0xFF]


def varint(number: int, longer: int = 0) -> bytes:
    """`number` in groups of seven bits, with `longer` groups of zeros more than it needs."""
    groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)] + [0] * longer
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


class Source:
    """Payloads of all shapes, and bytes that nearly are some."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def below(self, limit: int) -> int:
        return int(self.random.integers(limit))

    def one(self, of: Sequence[Item]) -> Item:
        return of[self.below(len(of))]

    def chance(self, of_hundred: int) -> bool:
        return self.below(100) < of_hundred

    def number(self) -> int:
        return self.one([self.below(100), self.one(NUMBERS), self.one(TIMES)])

    def float(self) -> float:
        return self.one(FLOATS) if self.chance(20) else float(self.random.normal())

    def sized(self, tag: bytes, body: bytes) -> bytes:
        return tag + varint(len(body), longer=self.one([1, 3, 4, 6]) if self.chance(1) else 0) + body

    def field(self, number: int, kind: int) -> bytes:
        """A field of wire type `kind` with any content."""
        tag = varint(number << 3 | kind, longer=int(self.chance(1)))
        if kind == 0:
            return tag + varint(self.number(), longer=self.below(8) if self.chance(3) else 0)
        if kind in (1, 5):
            return tag + self.random.bytes(8 if kind == 1 else 4)
        if kind == 2:
            return self.sized(tag, self.one(TEXTS).encode() if self.chance(70) else self.random.bytes(self.below(12)))
        if kind == 3:
            return tag + self.field(self.one(FIELDS), self.one([0, 1, 2, 5])) + varint(number << 3 | 4)
        return tag

    def any_field(self) -> bytes:
        return self.field(self.one(FIELDS), self.one([0, 0, 0, 1, 1, 2, 2, 2, 5, 5, 3]))

    def properties(self, raw: Any, depth: int = 0) -> None:  # noqa: ANN401  # protobuf classes are built at run time
        scalars: list[tuple[str, Callable[[], object]]] = [
            ("int_value", lambda: self.one(QUALITIES)),
            ("int_value", lambda: self.number() & 0xFFFF_FFFF),
            ("long_value", self.number),
            ("float_value", lambda: 2.5),
            ("double_value", self.float),
            ("boolean_value", lambda: self.chance(50)),
            ("string_value", lambda: self.one(TEXTS)),
            ("is_null", lambda: self.chance(70)),
            ("type", lambda: self.number() & 0xFFFF_FFFF),
        ]
        for _ in range(self.below(4)):
            if self.chance(97):
                raw.keys.append(self.one(TEXTS) if self.chance(50) else "Quality")
            value = raw.values.add() if self.chance(97) else CLASSES["PropertyValue"]()
            for _ in range(1 + self.below(2)):
                name, make = self.one(scalars)
                setattr(value, name, make())
            if depth < 2 and self.chance(3):
                self.properties(value.propertyset_value if self.chance(50) else value.propertysets_value.propertyset.add(), depth + 1)

    def value(self, raw: Any) -> None:  # noqa: ANN401
        kinds: list[tuple[str, Callable[[], object]]] = [
            *[("double_value", self.float)] * 4,
            ("float_value", lambda: float(np.float32(self.random.normal()))),
            ("int_value", lambda: self.number() & 0xFFFF_FFFF),
            ("long_value", self.number),
            ("boolean_value", lambda: self.chance(50)),
            ("string_value", lambda: self.one(TEXTS)),
            ("bytes_value", lambda: self.random.bytes(self.below(9))),
        ]
        if self.chance(92):
            name, make = self.one(kinds)
            setattr(raw, name, make())
        elif self.chance(20):
            getattr(raw, self.one(["dataset_value", "template_value", "extension_value", "metadata"])).SetInParent()

    def metric(self) -> bytes:
        raw: Any = CLASSES["Metric"]()
        if self.chance(90):
            raw.alias = self.below(300) if self.chance(80) else self.number()
        if self.chance(90):
            raw.timestamp = self.one(TIMES) if self.chance(80) else self.number()
        if self.chance(50):  # else it is the plainest of all
            self.more(raw)
        self.value(raw)
        parts = [raw.SerializeToString()]
        if self.chance(5):
            again: Any = CLASSES["Metric"]()
            self.more(again)
            self.value(again)
            parts.append(again.SerializeToString())
        parts += [self.any_field() for _ in range(1 + self.below(2))] if self.chance(5) else []
        return b"".join(parts[i] for i in self.random.permutation(len(parts)))

    def more(self, raw: Any) -> None:  # noqa: ANN401
        if self.chance(40):
            raw.name = self.one(TEXTS)
        if self.chance(40):
            raw.datatype = self.number() & 0xFFFF_FFFF
        for flag in ("is_historical", "is_transient", "is_null"):
            if self.chance(20):
                setattr(raw, flag, self.chance(70))
        if self.chance(40):
            self.properties(raw.properties)

    def payload(self, change: Callable[[bytes], bytes] = bytes) -> bytes:
        """A payload; the bytes of its metrics after `change`."""
        parts = [self.sized(b"\x12", change(self.metric())) for _ in range(self.below(5))]
        parts += [b"\x08" + varint(self.number())] if self.chance(90) else []
        parts += [b"\x18" + varint(self.below(256) if self.chance(80) else self.number())] if self.chance(90) else []
        parts += [self.any_field()] if self.chance(3) else []
        parts += [b"\x22\x03abc\x2a\x02\xff\xff"] if self.chance(2) else []
        return b"".join(parts[i] for i in self.random.permutation(len(parts)))

    def damaged(self, some: bytes, other: bytes = b"") -> bytes:
        """`some` with a few bytes changed, lost, put in, or taken from `other`."""
        found = bytearray(some)
        for _ in range(1 + self.below(2)):
            at = self.below(len(found) + 1)
            begin = self.below(len(other) + 1)
            way = self.below(6)
            if way == 0:
                found[at : at + 1] = bytes([found[at] ^ 1 << self.below(8)]) if at < len(found) else b""
            elif way == 1:
                del found[at:]
            elif way == 2:
                found[at:at] = self.random.bytes(1 + self.below(3))
            elif way == 3:
                found[at:at] = other[begin : begin + self.below(30)]
            elif way == 4:
                del found[at : at + 1 + self.below(4)]
            else:
                found[at : at + 1] = bytes([self.one(NASTY)])
        return bytes(found)

    def batches(self, payloads: int) -> Iterator[list[bytes]]:
        """`payloads` of them: a few as they should be, some with damaged metrics of the right size, most damaged anywhere."""
        for _ in range(payloads // BATCH):
            sound = [self.payload() for _ in range(BATCH // 10)]
            framed = [self.payload(lambda metric: self.damaged(metric) if self.chance(50) else metric) for _ in range(BATCH // 10)]
            rest = [self.damaged(self.one(sound), self.one(sound)) for _ in range(BATCH - len(sound) - len(framed))]
            every = sound + framed + rest
            yield [every[i] for i in self.random.permutation(BATCH)]


def check_same(found: Columns, wanted: Columns) -> None:
    for column in fields(Columns):
        ours, theirs = getattr(found, column.name), getattr(wanted, column.name)
        if isinstance(theirs, dict):
            assert ours == theirs, column.name
        else:
            assert ours.dtype == theirs.dtype, column.name
            np.testing.assert_array_equal(ours, theirs, column.name)


def check_batch(payloads: list[bytes]) -> int:
    """Compare the whole batch; name the payload that differs. How many of them the protobuf classes accept."""
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
    return len(payloads) - len(wanted.faults)


def check(seed: int, payloads: int) -> None:
    accepted = sum(check_batch(batch) for batch in Source(seed).batches(payloads))
    assert payloads / 4 < accepted < payloads * 3 / 4  # both kinds were there


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
    words = np.array(NASTY, np.uint8)
    for _ in range(5):
        nasty = [random.choice(words, random.integers(0, 40)).tobytes() for _ in range(BATCH)]
        check_batch(nasty + [random.bytes(int(random.integers(0, 30))) for _ in range(BATCH)])


def test_a_payload_ends_where_it_ends() -> None:
    """Each beginning of a payload, with the rest behind it in the same memory, is read as if nothing stood behind it."""
    source = Source(7)
    for _ in range(30):
        payload = source.payload()
        data = np.frombuffer(payload, np.uint8)
        length = np.arange(len(payload) + 1)
        check_same(decode_packed(data, np.zeros_like(length), length), read_columns([payload[:n] for n in length]))


def test_sound_payloads_hardly_ever_need_the_protobuf_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    needed: list[bytes] = []

    def read(payloads: Iterable[bytes]) -> Columns:
        needed.extend(payloads)
        return read_columns(needed)

    source = Source(3)
    payloads = [source.payload() for _ in range(BATCH)]
    monkeypatch.setattr(decode, "read_columns", read)
    assert len(decode_columns(payloads).seq) == BATCH
    assert 0 < len(needed) < BATCH / 4
