"""Plain Sparkplug payloads to columns straight from their bytes, many at a time, without the GIL.

A payload is accepted only where the protobuf classes would read the very same. Whatever is rare (groups, a known field in another wire
type, messages given twice, data sets, templates, metadata, nested property sets, over-long tags and sizes, more than the limits) and
whatever is broken is refused, and left to those classes.

Inside, places are addresses: an array is counted at every call it is handed to, which costs more than the decoding. `end` is where the
innermost message ends; nothing at or after it is read. A place _REFUSED says that what was to end there is not plain.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from vigia.sparkplug.columns import LARGEST, LARGEST_SHORT, NONE, Form
from vigia.sparkplug.names import QUALITY, QUALITY_GOOD

NAME, TEXT = 0, 1  # what a spot is
LONG_ALIAS, LONG_TS, LONG_VALUE, LONG_WHOLE = range(4)
SHORT_DATATYPE, SHORT_QUALITY = range(2)
SMALL_FORM, SMALL_HISTORICAL = range(2)

_REFUSED: Final = -1
_NULL, _INTEGER, _FLOAT, _BOOLEAN, _OTHER = (int(form) for form in Form)
_GOOD: Final = QUALITY_GOOD
_QUALITY_SIZE: Final = len(QUALITY)
_QUALITY_WORD: Final = np.uint64(int.from_bytes(QUALITY.encode(), "little"))

# A field begins with its tag: its number, times eight, and its wire type, which is one of these or refused.
_VARINT, _EIGHT, _SIZED, _FOUR = 0, 1, 2, 5
_FIRST_TAG, _MORE_BYTES = 0x08, 0x80  # field 1 as a varint; a byte of a number from here on has another behind it
_SENT, _METRICS, _SEQ, _UUID, _BODY = 0x08, 0x12, 0x18, 0x22, 0x2A
_PAYLOAD_KNOWN: Final = 0x2F  # greater tags have no meaning, likewise below
_NAME, _ALIAS, _TS, _DATATYPE, _HISTORICAL, _TRANSIENT, _IS_NULL, _PROPERTIES = 0x0A, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x4A
_INT_VALUE, _LONG_VALUE, _FLOAT_VALUE, _DOUBLE_VALUE, _BOOLEAN_VALUE, _STRING_VALUE, _BYTES_VALUE = 0x50, 0x58, 0x65, 0x69, 0x70, 0x7A, 0x82
_METRIC_KNOWN: Final = 0x9F
_KEY, _PROPERTY = 0x0A, 0x12
_SET_KNOWN: Final = 0x17
_OF_TYPE, _OF_NULL, _OF_INT, _OF_LONG, _OF_FLOAT, _OF_DOUBLE, _OF_BOOLEAN, _OF_STRING = 0x08, 0x10, 0x18, 0x20, 0x2D, 0x31, 0x38, 0x42
_PROPERTY_KNOWN: Final = 0x5F
_LONGEST_VARINT, _LONGEST_SIZE = 10, 4  # bytes

_0, _1, _8 = np.uint64(0), np.uint64(1), np.uint64(8)
_TRUE, _NAN = np.float64(1).view(np.uint64), np.float64(np.nan).view(np.uint64)
_LOW: Final = np.uint64(0xFFFF_FFFF)
_MORE: Final = np.uint64(0x8080_8080_8080_8080)

# What most clients send most: alias, timestamp of six bytes, double. Its last 16 bytes are tag, timestamp, tag, value.
_BESIDE_ALIAS: Final = 17
_READING_SIZES: Final = (18, 22)  # the alias has one to five bytes
_TAIL: Final = np.uint64(0x6900_8080_8080_8018)
_TAIL_BITS: Final = np.uint64(0xFF80_8080_8080_80FF)
_TIME_BITS: Final = np.uint64(0x7F7F_7F7F_7F7F)


class Metric(NamedTuple):
    """As in `Columns`; the bits of the value. Where name and text begin, NONE where they do not matter."""

    plain: bool
    alias: int
    ts: int
    datatype: int
    form: int
    value: np.uint64
    whole: np.uint64
    quality: int
    historical: bool
    name: int
    name_size: int
    text: int
    text_size: int


class Wire(NamedTuple):
    """As in `Columns`, a column a row: few arrays, for each is counted. `refused` payloads have no metrics.

    heads : int64[2, payloads], seq and sent
    first : int64[payloads + 1]
    long : uint64[4, metrics], the bits of LONG_ALIAS, LONG_TS, LONG_VALUE, LONG_WHOLE
    short : int32[2, metrics], SHORT_DATATYPE, SHORT_QUALITY
    small : int8[2, metrics], SMALL_FORM, SMALL_HISTORICAL
    spots : int64[texts, 4], the metric, NAME or TEXT, where in the data it begins, and its size in bytes
    """

    heads: NDArray[np.int64]
    refused: NDArray[np.bool_]
    first: NDArray[np.int64]
    long: NDArray[np.uint64]
    short: NDArray[np.int32]
    small: NDArray[np.int8]
    spots: NDArray[np.int64]


_NOT_PLAIN: Final = Metric(
    plain=False,
    alias=0,
    ts=0,
    datatype=0,
    form=0,
    value=_0,
    whole=_0,
    quality=0,
    historical=False,
    name=NONE,
    name_size=0,
    text=NONE,
    text_size=0,
)


def _load(kind: Any) -> Any:  # noqa: ANN401  # numba's types are untyped
    """What reads a `kind` at an address, aligned or not, as uint64."""

    @intrinsic
    def load(_: Any, address: Any) -> Any:  # noqa: ANN401, ARG001  # numba asks for the name
        def generate(context: Any, builder: Any, __: Any, arguments: Any) -> Any:  # noqa: ANN401
            place = builder.inttoptr(arguments[0], context.get_value_type(kind).as_pointer())
            return builder.zext(builder.load(place, align=1), context.get_value_type(types.uint64))

        return types.uint64(types.int64), generate

    return load


_byte, _half, _word = _load(types.uint8), _load(types.uint32), _load(types.uint64)


@njit(cache=True, nogil=True)
def decode_wire(data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int64], most_bytes: int, most_metrics: int) -> Wire:
    """The metrics of the plain payloads.

    data : uint8[n], C-contiguous
    start, length : int64[payloads], where they are in `data`; ValueError if one lies outside of it
    most_bytes, most_metrics : a payload with more is refused
    """
    payloads, rows = len(start), 0
    base = np.int64(data.ctypes.data)
    heads, refused, first = np.full((2, payloads), NONE), np.zeros(payloads, np.bool_), np.zeros(payloads + 1, np.int64)
    for i in range(payloads):
        if start[i] < 0 or length[i] < 0 or start[i] > len(data) - length[i]:
            raise ValueError("a payload lies outside of the data")
        metrics = _count(base + start[i], base + start[i] + length[i]) if length[i] <= most_bytes else most_metrics + 1
        refused[i] = metrics > most_metrics
        rows += 0 if refused[i] else metrics
    long, short, small = np.empty((4, rows), np.uint64), np.empty((2, rows), np.int32), np.empty((2, rows), np.int8)
    spots = np.empty((2 * rows, 4), np.int64)  # memory that is never touched costs nothing
    row = spot = 0
    for i in range(payloads):
        at, begun, marked = base + start[i], row, spot
        end = at + length[i]
        seq = sent = np.int64(NONE)
        plain = not refused[i]
        while at < end and plain:
            tag, at = _tag(at, end)
            if at == _REFUSED or tag != _METRICS:
                seq, sent, at = _head(at, end, tag, seq, sent)
                plain = at != _REFUSED
                continue
            size, at = _size(at, end)
            if at != _REFUSED and _is_reading(at, size):
                long[LONG_ALIAS, row], long[LONG_TS, row], long[LONG_VALUE, row] = _reading(at, size)
                long[LONG_WHOLE, row] = 0
                short[SHORT_DATATYPE, row], short[SHORT_QUALITY, row] = 0, _GOOD
                small[SMALL_FORM, row], small[SMALL_HISTORICAL, row] = _FLOAT, False
            else:
                metric = _metric(at, at + size)
                plain = metric.plain
                long[LONG_ALIAS, row], long[LONG_TS, row], long[LONG_VALUE, row] = metric.alias, metric.ts, metric.value
                long[LONG_WHOLE, row] = metric.whole
                short[SHORT_DATATYPE, row], short[SHORT_QUALITY, row] = metric.datatype, metric.quality
                small[SMALL_FORM, row], small[SMALL_HISTORICAL, row] = metric.form, metric.historical
                if metric.name != NONE:
                    spots[spot] = (row, NAME, metric.name - base, metric.name_size)
                    spot += 1
                if metric.text != NONE:
                    spots[spot] = (row, TEXT, metric.text - base, metric.text_size)
                    spot += 1
            row += 1
            at += size
        if not plain:
            refused[i], row, spot = True, begun, marked
        heads[0, i], heads[1, i], first[i + 1] = seq, sent, row
    return Wire(heads, refused, first, long[:, :row], short[:, :row], small[:, :row], spots[:spot].copy())


@njit(nogil=True, forceinline=True)
def _count(at: int, end: int) -> int:
    """How many metrics begin before the payload ends or stops making sense."""
    metrics = 0
    while at < end:
        tag, at = _tag(at, end)
        if at == _REFUSED:
            break
        metrics += tag == _METRICS
        at = _skip(at, end, tag)
        if at == _REFUSED:
            break
    return metrics


@njit(nogil=True, forceinline=True)
def _head(at: int, end: int, tag: int, seq: int, sent: int) -> tuple[int, int, int]:
    """A payload's seq and timestamp after this field of it, and where the field ends."""
    if at == _REFUSED:
        return seq, sent, at
    if tag in (_SENT, _SEQ):
        number, at = _varint(at, end)
        return (_signed(number), sent, at) if tag == _SEQ else (seq, _signed(number), at)
    return seq, sent, _skip(at, end, tag) if tag in (_UUID, _BODY) or tag > _PAYLOAD_KNOWN else _REFUSED


@njit(nogil=True, forceinline=True)
def _is_reading(at: int, size: int) -> bool:
    """Whether the metric is alias, timestamp and double and no more, the usual number of bytes each."""
    if not _READING_SIZES[0] <= size <= _READING_SIZES[1]:
        return False
    alias = _alias_bits(size)
    more = _MORE & (alias >> _8)  # every byte of a number but its last says that more follow
    head, tail = _word(at), _word(at + size - 16)
    return tail & _TAIL_BITS == _TAIL and head & (((_MORE & alias) << _8) | np.uint64(0xFF)) == (more << _8) | np.uint64(_ALIAS)


@njit(nogil=True, forceinline=True)
def _reading(at: int, size: int) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Its alias, timestamp, and the bits of its value."""
    alias, ts = (_word(at) >> _8) & _alias_bits(size), (_word(at + size - 16) >> _8) & _TIME_BITS
    return _squeezed(alias), _squeezed(ts), _word(at + size - 8)


@njit(nogil=True, forceinline=True)
def _alias_bits(size: int) -> np.uint64:
    """All bits of as many bytes as the alias has in a reading of that size."""
    return ~_0 >> np.uint64(64 - 8 * (size - _BESIDE_ALIAS))


@njit(nogil=True, forceinline=True)
def _metric(at: int, end: int) -> Metric:  # noqa: C901, PLR0912  # a branch a field
    """The metric, whatever fields it has."""
    alias = ts = name = text = np.int64(NONE)
    datatype, quality = np.int64(0), np.int64(_GOOD)
    form, value, whole = _OTHER, _NAN, _0
    historical = null = properties = False
    name_size = text_size = np.int64(0)
    if at == _REFUSED:
        return _NOT_PLAIN
    while at < end:
        tag, number, size, at = _field(at, end)
        if at == _REFUSED:
            return _NOT_PLAIN
        if _INT_VALUE <= tag <= _BYTES_VALUE + 1:
            form, value, whole = _value(tag, number)
            text, text_size = at if tag == _STRING_VALUE else NONE, size
            if form == _NULL:
                return _NOT_PLAIN
        elif tag == _ALIAS:
            alias = _signed(number)
        elif tag == _TS:
            ts = _signed(number)
        elif tag == _DATATYPE:
            datatype = _short(number & _LOW)
        elif tag == _IS_NULL:
            null = number != 0
        elif tag == _HISTORICAL:
            historical = number != 0
        elif tag == _NAME:
            name, name_size = at, size
        elif tag == _PROPERTIES and not properties:  # a second set would have to be merged
            properties, quality = True, _quality(at, at + size)
            if quality == _REFUSED:
                return _NOT_PLAIN
        elif tag != _TRANSIENT and tag <= _METRIC_KNOWN:
            return _NOT_PLAIN
        at += size
    if null:
        form, value, whole, text = _NULL, _NAN, _0, np.int64(NONE)
    if alias != NONE:
        name = np.int64(NONE)
    return Metric(True, alias, ts, datatype, form, value, whole, quality, historical, name, name_size, text, text_size)  # noqa: FBT003  # likewise


@njit(nogil=True, forceinline=True)
def _field(at: int, end: int) -> tuple[int, np.uint64, int, int]:
    """A field's tag, its number or the size of its content, and where the number ends or the content begins."""
    number, size = _0, np.int64(0)
    tag, at = _tag(at, end)
    kind = tag & 7
    if at == _REFUSED:
        pass
    elif kind == _VARINT:
        number, at = _varint(at, end)
    elif kind == _SIZED:
        size, at = _size(at, end)
    elif kind == _EIGHT and at + 8 <= end:
        number, at = _word(at), at + 8
    elif kind == _FOUR and at + 4 <= end:
        number, at = _half(at), at + 4
    else:
        at = _REFUSED
    return tag, number, size, at


@njit(nogil=True, forceinline=True)
def _value(tag: int, number: np.uint64) -> tuple[int, np.uint64, np.uint64]:
    """Form, bits of the value, and whole of a value field; _NULL for another wire type than the field's."""
    if tag == _DOUBLE_VALUE:
        return _FLOAT, number, _0
    if tag == _FLOAT_VALUE:
        return _FLOAT, np.float64(np.uint32(number).view(np.float32)).view(np.uint64), _0
    if tag == _INT_VALUE:
        return _INTEGER, _NAN, number & _LOW
    if tag == _LONG_VALUE:
        return _INTEGER, _NAN, number
    if tag == _BOOLEAN_VALUE:
        return _BOOLEAN, _TRUE if number != 0 else _0, _0
    return _OTHER if tag in (_STRING_VALUE, _BYTES_VALUE) else _NULL, _NAN, _0


@njit(nogil=True)
def _quality(at: int, end: int) -> int:
    """What the first property called Quality says; _REFUSED if there are two, or the set is not plain."""
    place = _quality_place(at, end)
    values, quality = 0, np.int64(_GOOD)
    while at < end and place != _REFUSED:
        tag, _, size, at = _field(at, end)
        if tag == _PROPERTY:
            said = _property(at, at + size)
            quality = said if values == place or said == _REFUSED else quality
            values += 1
        if quality == _REFUSED:
            return _REFUSED
        at += size
    return _REFUSED if place == _REFUSED else quality


@njit(nogil=True, forceinline=True)
def _quality_place(at: int, end: int) -> int:
    """Which of the keys is Quality, LARGEST if none is; _REFUSED if there are two, or the set is not plain."""
    keys, place = 0, LARGEST
    while at < end:
        tag, _, size, at = _field(at, end)
        if at == _REFUSED or (tag not in (_KEY, _PROPERTY) and tag <= _SET_KNOWN):
            return _REFUSED
        if tag == _KEY:
            if size == _QUALITY_SIZE and _is_quality(at):
                if place != LARGEST:
                    return _REFUSED
                place = keys
            keys += 1
        at += size
    return place


@njit(nogil=True, forceinline=True)
def _is_quality(at: int) -> bool:
    word = _0
    for i in range(_QUALITY_SIZE):
        word |= _byte(at + i) << np.uint64(8 * i)
    return word == _QUALITY_WORD


@njit(nogil=True)
def _property(at: int, end: int) -> int:
    """The value if it is a whole number, good if it is anything else; _REFUSED if it is not plain."""
    quality, null = np.int64(_GOOD), False
    while at < end:
        tag, number, size, at = _field(at, end)
        if at == _REFUSED:
            return _REFUSED
        if tag == _OF_INT:
            quality = _short(number & _LOW)
        elif tag == _OF_LONG:
            quality = _short(number)
        elif tag in (_OF_FLOAT, _OF_DOUBLE, _OF_BOOLEAN, _OF_STRING):
            quality = np.int64(_GOOD)
        elif tag == _OF_NULL:
            null = number != 0
        elif tag != _OF_TYPE and tag <= _PROPERTY_KNOWN:
            return _REFUSED
        at += size
    return np.int64(_GOOD) if null else quality


@njit(nogil=True, forceinline=True)
def _skip(at: int, end: int, tag: int) -> int:
    """Where the field ends whose content begins at `at`."""
    kind = tag & 7
    if kind == _VARINT:
        _, at = _varint(at, end)
        return at
    if kind == _SIZED:
        size, at = _size(at, end)
        return _REFUSED if at == _REFUSED else at + size
    size = 8 if kind == _EIGHT else 4
    return at + size if kind in (_EIGHT, _FOUR) and at + size <= end else _REFUSED


@njit(nogil=True, forceinline=True)
def _tag(at: int, end: int) -> tuple[int, int]:
    """A field's tag of at most two bytes and where its content begins; refused if longer than it must be, or of field 0."""
    first = np.int64(_byte(at))
    if first < _MORE_BYTES:
        return first, at + 1 if first >= _FIRST_TAG else _REFUSED
    if at + 1 >= end:
        return first, _REFUSED
    second = np.int64(_byte(at + 1))
    return (first & 0x7F) | (second << 7), at + 2 if 0 < second < _MORE_BYTES else _REFUSED


@njit(nogil=True, forceinline=True)
def _size(at: int, end: int) -> tuple[int, int]:
    """A size and where what has it begins; refused if that does not end by `end`."""
    size, begin = _varint(at, end)
    if begin == _REFUSED or begin - at > _LONGEST_SIZE or size > np.uint64(end - begin):
        return np.int64(0), _REFUSED
    return np.int64(size), begin


@njit(nogil=True, forceinline=True)
def _varint(at: int, end: int) -> tuple[np.uint64, int]:
    """A number of seven bits a byte and where it ends; refused if not by `end`, or with more than 64 bits."""
    number = _0
    for i in range(_LONGEST_VARINT):
        if at >= end:
            break
        byte = _byte(at)
        at += 1
        number |= (byte & np.uint64(0x7F)) << np.uint64(7 * i)
        if byte < _MORE_BYTES:
            return number, _REFUSED if i == _LONGEST_VARINT - 1 and byte > 1 else at
    return _0, _REFUSED


@njit(nogil=True, forceinline=True)
def _squeezed(word: np.uint64) -> np.uint64:
    """The number whose bytes carry seven bits each."""
    word &= np.uint64(0x7F7F_7F7F_7F7F_7F7F)
    word = (word & np.uint64(0x007F_007F_007F_007F)) | ((word & np.uint64(0x7F00_7F00_7F00_7F00)) >> _1)
    word = (word & np.uint64(0x0000_3FFF_0000_3FFF)) | ((word & np.uint64(0x3FFF_0000_3FFF_0000)) >> np.uint64(2))
    return (word & np.uint64(0x0FFF_FFFF)) | ((word & np.uint64(0x0FFF_FFFF_0000_0000)) >> np.uint64(4))


@njit(nogil=True, forceinline=True)
def _signed(number: np.uint64) -> int:
    return np.int64(min(number, np.uint64(LARGEST)))


@njit(nogil=True, forceinline=True)
def _short(number: np.uint64) -> int:
    return np.int64(min(number, np.uint64(LARGEST_SHORT)))
