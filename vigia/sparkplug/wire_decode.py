"""Plain Sparkplug payloads to columns straight from their bytes, many at a time, without the GIL.

A payload is accepted only where the protobuf classes would read the very same. Whatever is rare (groups, a known field in another wire
type, messages given twice, data sets, templates, metadata, nested property sets, over-long numbers, sizes beyond the limits) and
whatever is broken is refused, and left to those classes.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from vigia.sparkplug.columns import LARGEST, LARGEST_SHORT, NONE, Form
from vigia.sparkplug.names import QUALITY, QUALITY_GOOD

NAME, TEXT = 0, 1  # what a spot is
_REFUSED: Final = -1  # in the place of a position or a quality

_ALIAS, _TS, _VALUE, _WHOLE = range(4)
_DATATYPE, _QUALITY = range(2)
_FORM, _HISTORICAL = range(2)
_NULL, _INTEGER, _FLOAT, _BOOLEAN, _OTHER = (int(form) for form in Form)
_GOOD: Final = QUALITY_GOOD
_QUALITY_SIZE: Final = len(QUALITY)
_QUALITY_WORD: Final = np.uint64(int.from_bytes(QUALITY.encode(), "little"))

# A field's tag is its number and its wire type: these are the wire types.
_VARINT, _EIGHT, _SIZED, _FOUR = 0, 1, 2, 5
_PAYLOAD_KNOWN: Final = 5  # the numbers up to here have a meaning
_METRIC_KNOWN: Final = 19
_SET_KNOWN: Final = 2
_PROPERTY_KNOWN: Final = 11
_LONGEST_VARINT: Final = 10
_LONGEST_SIZE: Final = 4
_LOW: Final = np.uint64(0xFFFF_FFFF)

# What most clients send most: alias, timestamp of six bytes, double. Its last 16 bytes are 0x18, timestamp, 0x69, value.
_READING_REST: Final = 17  # bytes beside those of the alias
_READING_SIZES: Final = (18, 22)
_TAIL: Final = np.uint64(0x69_00_80_80_80_80_80_18)
_TAIL_BITS: Final = np.uint64(0xFF_80_80_80_80_80_80_FF)
_HEAD: Final = np.uint64(0x10)
_NAN: Final = np.float64(np.nan).view(np.uint64)
_ONE: Final = np.float64(1).view(np.uint64)
_8: Final = np.uint64(8)
_MORE: Final = np.uint64(0x80_80_80_80_80_80_80_80)


def _load(kind):
    """A function that reads a `kind` at an address, aligned or not, as uint64. Arrays would be counted at every call."""

    @intrinsic
    def load(_, address):
        def generate(context, builder, __, arguments):
            pointer = builder.inttoptr(arguments[0], context.get_value_type(kind).as_pointer())
            return builder.zext(builder.load(pointer, align=1), context.get_value_type(types.uint64))

        return types.uint64(types.int64), generate

    return load


_byte, _half, _word = _load(types.uint8), _load(types.uint32), _load(types.uint64)


class Metric(NamedTuple):
    """As in `Columns`; the bits of the value. Where name and text begin, NONE where they do not matter."""

    plain: bool
    alias: int
    ts: int
    datatype: int
    form: int
    value: int
    whole: int
    quality: int
    historical: bool
    name: int
    name_size: int
    text: int
    text_size: int


_NOT_PLAIN: Final = Metric(
    plain=False,
    alias=0,
    ts=0,
    datatype=0,
    form=0,
    value=np.uint64(0),
    whole=np.uint64(0),
    quality=0,
    historical=False,
    name=0,
    name_size=0,
    text=0,
    text_size=0,
)


class Wire(NamedTuple):
    """As in `Columns`, a row a column: few arrays, for each that is handed around is counted. `refused` payloads have no metrics.

    payloads : int64[2, payloads], seq and sent
    long : uint64[4, metrics], the bits of alias, ts, value and whole
    short : int32[2, metrics], datatype and quality
    small : int8[2, metrics], form and historical
    spots : int64[texts, 4], the metric, NAME or TEXT, where in the data it begins, and its size in bytes
    """

    payloads: NDArray[np.int64]
    refused: NDArray[np.bool_]
    first: NDArray[np.int64]
    long: NDArray[np.uint64]
    short: NDArray[np.int32]
    small: NDArray[np.int8]
    spots: NDArray[np.int64]


@njit(cache=True, nogil=True)
def decode_wire(data, start, length, most_bytes, most_metrics):
    """The metrics of the plain payloads.

    data : uint8[n], C-contiguous
    start, length : int64[payloads], where they are in `data`; ValueError if one lies outside of it
    most_bytes, most_metrics : a payload with more is refused
    returns Wire
    """
    payloads, rows = len(start), 0
    base = np.int64(data.ctypes.data)
    for i in range(payloads):
        if start[i] < 0 or length[i] < 0 or start[i] > len(data) - length[i]:
            raise ValueError("a payload lies outside of the data")
        if length[i] <= most_bytes:
            rows += _count(base + start[i], base + start[i] + length[i])
    heads, refused, first = np.empty((2, payloads), np.int64), np.zeros(payloads, np.bool_), np.zeros(payloads + 1, np.int64)
    long, short, small = np.empty((4, rows), np.uint64), np.empty((2, rows), np.int32), np.empty((2, rows), np.int8)
    spots = np.empty((2 * rows, 4), np.int64)  # memory that is never touched costs nothing
    row = spot = 0
    for i in range(payloads):
        at = base + start[i]
        end = at + length[i]
        begun, marked = row, spot
        seq = sent = np.int64(NONE)
        plain = length[i] <= most_bytes
        while plain and at < end:
            tag, at = _tag(at, end)
            if tag == 0x12 and at != _REFUSED:
                size, at = _size(at, end)
                if at == _REFUSED:
                    plain = False
                elif _is_reading(at, size):
                    long[_ALIAS, row], long[_TS, row], long[_VALUE, row], long[_WHOLE, row] = *_reading(at, size), 0
                    short[_DATATYPE, row], short[_QUALITY, row] = 0, _GOOD
                    small[_FORM, row], small[_HISTORICAL, row] = _FLOAT, 0
                else:
                    metric = _metric(at, at + size)
                    plain = metric.plain
                    long[_ALIAS, row], long[_TS, row], long[_VALUE, row], long[_WHOLE, row] = (
                        metric.alias,
                        metric.ts,
                        metric.value,
                        metric.whole,
                    )
                    short[_DATATYPE, row], short[_QUALITY, row] = metric.datatype, metric.quality
                    small[_FORM, row], small[_HISTORICAL, row] = metric.form, metric.historical
                    if metric.name != NONE:
                        spots[spot, 0], spots[spot, 1], spots[spot, 2], spots[spot, 3] = row, NAME, metric.name - base, metric.name_size
                        spot += 1
                    if metric.text != NONE:
                        spots[spot, 0], spots[spot, 1], spots[spot, 2], spots[spot, 3] = row, TEXT, metric.text - base, metric.text_size
                        spot += 1
                row += 1
                at += size
                continue
            seq, sent, at = _payload_field(at, end, tag, seq, sent)
            plain = at != _REFUSED
        if not plain or row - begun > most_metrics:
            refused[i], row, spot = True, begun, marked
        heads[0, i], heads[1, i], first[i + 1] = seq, sent, row
    return Wire(heads, refused, first, long[:, :row], short[:, :row], small[:, :row], spots[:spot].copy())


@njit(nogil=True, forceinline=True)
def _count(at, end):
    """How many metrics begin before the payload ends or stops making sense."""
    metrics = 0
    while at < end:
        tag = _byte(at)
        if tag == 0x12 and at + 1 < end and _byte(at + 1) < 0x80:
            at += 2 + np.int64(_byte(at + 1))
            metrics += 1
            continue
        metrics += tag == 0x12
        tag, at = _tag(at, end)
        if at == _REFUSED:
            break
        at = _skip(at, end, tag)
        if at == _REFUSED:
            break
    return metrics


@njit(nogil=True, forceinline=True)
def _payload_field(at, end, tag, seq, sent):
    """seq and sent after the field, which is no metric, and where it ends; _REFUSED there if it is not plain."""
    if at == _REFUSED:
        return seq, sent, at
    if tag in (0x08, 0x18):
        number, at = _varint(at, end)
        return (_signed(number), sent, at) if tag == 0x18 else (seq, _signed(number), at)
    if tag in (0x22, 0x2A) or tag >> 3 > _PAYLOAD_KNOWN:
        return seq, sent, _skip(at, end, tag)
    return seq, sent, _REFUSED


@njit(nogil=True, forceinline=True)
def _is_reading(at, size):
    """Whether the metric is an alias of up to five bytes, a timestamp of six, a double and no more."""
    if not _READING_SIZES[0] <= size <= _READING_SIZES[1]:
        return False
    own = ~np.uint64(0) >> np.uint64(8 * (8 + _READING_REST - size))
    more = _MORE & (own >> _8)  # every byte of a number but its last says that more follow
    head, tail = _word(at), _word(at + size - 16)
    return tail & _TAIL_BITS == _TAIL and head & (((_MORE & own) << _8) | np.uint64(0xFF)) == (more << _8) | _HEAD


@njit(nogil=True, forceinline=True)
def _reading(at, size):
    """Its alias, timestamp, and the bits of its value."""
    own = ~np.uint64(0) >> np.uint64(8 * (8 + _READING_REST - size))
    head, tail = _word(at), _word(at + size - 16)
    return _squeezed((head >> _8) & own), _squeezed((tail >> _8) & np.uint64(0xFFFF_FFFF_FFFF)), _word(at + size - 8)


@njit(nogil=True, forceinline=True)
def _metric(at, end):
    """The metric, whatever fields it has."""
    alias = ts = np.int64(NONE)
    datatype, form, quality = np.int64(0), _OTHER, np.int64(_GOOD)
    value, whole = _NAN, np.uint64(0)
    historical = null = properties = False
    name = name_size = text = text_size = np.int64(NONE)
    while at < end:
        tag, at = _tag(at, end)
        if at == _REFUSED:
            return _NOT_PLAIN
        number, size = np.uint64(0), np.int64(0)
        kind = tag & 7
        if kind == _VARINT:
            number, at = _varint(at, end)
        elif kind == _SIZED:
            size, at = _size(at, end)
        elif kind == _EIGHT and at + 8 <= end:
            number, at = _word(at), at + 8
        elif kind == _FOUR and at + 4 <= end:
            number, at = _half(at), at + 4
        else:
            return _NOT_PLAIN
        if at == _REFUSED:
            return _NOT_PLAIN
        if tag == 0x10:
            alias = _signed(number)
        elif tag == 0x18:
            ts = _signed(number)
        elif tag == 0x20:
            datatype = _short(number & _LOW)
        elif tag == 0x69:
            form, value, whole, text = _FLOAT, number, np.uint64(0), np.int64(NONE)
        elif tag == 0x65:
            form, value, whole, text = _FLOAT, _bits(_single(number)), np.uint64(0), np.int64(NONE)
        elif tag == 0x50:
            form, value, whole, text = _INTEGER, _NAN, number & _LOW, np.int64(NONE)
        elif tag == 0x58:
            form, value, whole, text = _INTEGER, _NAN, number, np.int64(NONE)
        elif tag == 0x70:
            form, value, whole, text = _BOOLEAN, _ONE if number != 0 else np.uint64(0), np.uint64(0), np.int64(NONE)
        elif tag in (0x7A, 0x82):
            form, value, whole, text, text_size = _OTHER, _NAN, np.uint64(0), at if tag == 0x7A else np.int64(NONE), size
        elif tag == 0x38:
            null = number != 0
        elif tag == 0x28:
            historical = number != 0
        elif tag == 0x0A:
            name, name_size = at, size
        elif tag == 0x4A and not properties:  # a second set would have to be merged
            properties = True
            quality = _quality(at, at + size)
            if quality == _REFUSED:
                return _NOT_PLAIN
        elif tag != 0x30 and tag >> 3 <= _METRIC_KNOWN:
            return _NOT_PLAIN
        at += size
    if null:
        form, value, whole = _NULL, _NAN, np.uint64(0)
        text = np.int64(NONE)
    if alias != NONE:
        name = np.int64(NONE)
    return Metric(True, alias, ts, datatype, form, value, whole, quality, historical, name, name_size, text, text_size)


@njit(nogil=True)
def _quality(at, end):
    """The first property called Quality if it is a whole number, else good; _REFUSED if there are two or the set is not plain."""
    begin, keys, wanted = at, 0, NONE
    while at < end:
        tag, at = _tag(at, end)
        if at == _REFUSED or (tag not in (0x0A, 0x12) and tag >> 3 <= _SET_KNOWN):
            return _REFUSED
        if tag == 0x0A:
            size, at = _size(at, end)
            if at == _REFUSED:
                return _REFUSED
            if size == _QUALITY_SIZE and _is_quality(at):
                if wanted != NONE:
                    return _REFUSED
                wanted = keys
            keys += 1
            at += size
        else:
            at = _skip(at, end, tag)
            if at == _REFUSED:
                return _REFUSED
    at, values, quality = begin, 0, np.int64(_GOOD)
    while at < end:
        tag, at = _tag(at, end)
        if tag == 0x12:
            size, at = _size(at, end)
            found = _property(at, at + size)
            if found == _REFUSED:
                return _REFUSED
            if values == wanted:
                quality = found
            values += 1
            at += size
        else:
            at = _skip(at, end, tag)
    return quality


@njit(nogil=True, forceinline=True)
def _is_quality(at):
    word = np.uint64(0)
    for i in range(_QUALITY_SIZE):
        word |= _byte(at + i) << np.uint64(8 * i)
    return word == _QUALITY_WORD


@njit(nogil=True)
def _property(at, end):
    """What the value says as a quality: itself if it is a whole number, good if it is anything else; _REFUSED if it is not plain."""
    quality, null = np.int64(_GOOD), False
    while at < end:
        tag, at = _tag(at, end)
        if at == _REFUSED:
            return _REFUSED
        if tag in (0x08, 0x10, 0x18, 0x20, 0x38):
            number, at = _varint(at, end)
            if tag == 0x10:
                null = number != 0
            elif tag == 0x18:
                quality = _short(number & _LOW)
            elif tag == 0x20:
                quality = _short(number)
            elif tag == 0x38:
                quality = np.int64(_GOOD)
        elif tag in (0x2D, 0x31, 0x42):
            at = _skip(at, end, tag)
            quality = np.int64(_GOOD)
        elif tag >> 3 > _PROPERTY_KNOWN:
            at = _skip(at, end, tag)
        else:
            return _REFUSED
        if at == _REFUSED:
            return _REFUSED
    return np.int64(_GOOD) if null else quality


@njit(nogil=True, forceinline=True)
def _skip(at, end, tag):
    """Where the field ends whose content begins at `at`, or _REFUSED."""
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
def _tag(at, end):
    """A field's tag of at most two bytes and where its content begins; _REFUSED there if it is longer than it must be, or of field 0."""
    first = np.int64(_byte(at))
    if first < 0x80:
        return first, at + 1 if first >= 0x08 else _REFUSED
    if at + 1 >= end:
        return first, _REFUSED
    second = np.int64(_byte(at + 1))
    return (first & 0x7F) | (second << 7), at + 2 if 0 < second < 0x80 else _REFUSED


@njit(nogil=True, forceinline=True)
def _size(at, end):
    """A size and where what has it begins; _REFUSED there if it goes beyond `end`."""
    size, begin = _varint(at, end)
    if begin == _REFUSED or begin - at > _LONGEST_SIZE or size > np.uint64(end - begin):
        return np.int64(0), _REFUSED
    return np.int64(size), begin


@njit(nogil=True, forceinline=True)
def _varint(at, end):
    """A number of seven bits a byte and where it ends; _REFUSED there if `end` comes before or it has more than 64 bits."""
    number = np.uint64(0)
    for i in range(_LONGEST_VARINT):
        if at >= end:
            break
        byte = _byte(at)
        at += 1
        number |= (byte & np.uint64(0x7F)) << np.uint64(7 * i)
        if byte < 0x80:
            return number, _REFUSED if i == _LONGEST_VARINT - 1 and byte > 1 else at
    return np.uint64(0), _REFUSED


@njit(nogil=True, forceinline=True)
def _squeezed(word):
    """The number whose bytes carry seven bits each."""
    word &= np.uint64(0x7F7F_7F7F_7F7F_7F7F)
    word = (word & np.uint64(0x007F_007F_007F_007F)) | ((word & np.uint64(0x7F00_7F00_7F00_7F00)) >> np.uint64(1))
    word = (word & np.uint64(0x0000_3FFF_0000_3FFF)) | ((word & np.uint64(0x3FFF_0000_3FFF_0000)) >> np.uint64(2))
    return (word & np.uint64(0x0FFF_FFFF)) | ((word & np.uint64(0x0FFF_FFFF_0000_0000)) >> np.uint64(4))


@njit(nogil=True, forceinline=True)
def _bits(value):
    return np.float64(value).view(np.uint64)


@njit(nogil=True, forceinline=True)
def _single(bits):
    return np.float64(np.uint32(bits).view(np.float32))


@njit(nogil=True, forceinline=True)
def _signed(number):
    return np.int64(min(number, np.uint64(LARGEST)))


@njit(nogil=True, forceinline=True)
def _short(number):
    return np.int64(min(number, np.uint64(LARGEST_SHORT)))
