"""Data messages as columns: no I/O, no session, one pass over the payloads of a batch. Needs numba; the gateway does not import it."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vigia.sparkplug.class_decode import read_columns
from vigia.sparkplug.columns import NONE, Columns, Form
from vigia.sparkplug.names import MAX_METRICS, MAX_PAYLOAD_BYTES
from vigia.sparkplug.wire_decode import (
    LONG_ALIAS,
    LONG_TS,
    LONG_VALUE,
    LONG_WHOLE,
    NAME,
    SHORT_DATATYPE,
    SHORT_QUALITY,
    SMALL_FORM,
    SMALL_HISTORICAL,
    Wire,
    decode_wire,
)

__all__ = ["NONE", "Columns", "Form", "decode_columns", "decode_packed", "warm_up"]

_Kind = TypeVar("_Kind", bound=np.generic)
_KEPT_BYTES = 16 * 1024 * 1024


def warm_up() -> None:
    """Compile, or load from the cache, what decodes: some seconds or some milliseconds, before the first message is waited for.

    And give so much memory back at once that the C library (glibc: the threshold follows) keeps what later batches give back: to have it
    from the system anew for each, page by page, took longer than to decode 50,000 metrics.
    """
    decode_columns([b""])
    bytes(_KEPT_BYTES)


def decode_columns(payloads: Sequence[bytes]) -> Columns:
    """The payloads' metrics. One that cannot be read has no metrics and its fault; it never spoils its neighbours."""
    length = np.fromiter(map(len, payloads), np.int64, len(payloads))
    return decode_packed(np.frombuffer(b"".join(payloads), np.uint8), np.cumsum(length) - length, length)


def decode_packed(data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int64]) -> Columns:
    """As `decode_columns`, of payloads that stand at `start`, in bytes, in `data`, which must not change meanwhile.

    Raises ValueError if one lies outside of the data.
    """
    if len(start) != len(length):
        raise ValueError(f"{len(start)} starts and {len(length)} lengths")
    data, start, length = _constant(data, np.uint8), _constant(start, np.int64), _constant(length, np.int64)
    wire = decode_wire(data, start, length, MAX_PAYLOAD_BYTES, MAX_METRICS)
    names, texts = _texts(wire, data) if len(wire.spots) else ({}, {})
    columns = Columns(
        seq=wire.heads[0],
        sent=wire.heads[1],
        first=wire.first,
        alias=wire.long[LONG_ALIAS].view(np.int64),
        ts=wire.long[LONG_TS].view(np.int64),
        datatype=wire.short[SHORT_DATATYPE],
        form=wire.small[SMALL_FORM],
        value=wire.long[LONG_VALUE].view(np.float64),
        whole=wire.long[LONG_WHOLE],
        quality=wire.short[SHORT_QUALITY],
        historical=wire.small[SMALL_HISTORICAL].view(np.bool_),
        names=names,
        texts=texts,
    )
    if not wire.refused.any():
        return columns
    refused = np.flatnonzero(wire.refused)
    return _with(columns, refused, read_columns(data[start[i] : start[i] + length[i]].tobytes() for i in refused.tolist()))


def _constant(array: NDArray[_Kind], kind: type[_Kind]) -> NDArray[_Kind]:
    """The same memory, read-only: one machine code serves what may be written to and what may not."""
    view = np.ascontiguousarray(array, kind).view()
    view.flags.writeable = False
    return view


def _texts(wire: Wire, data: NDArray[np.uint8]) -> tuple[dict[int, str], dict[int, str]]:
    """Names and text values by metric, but for those that are not UTF-8."""
    found: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for metric, what, begin, size in wire.spots.tolist():
        try:
            found[0 if what == NAME else 1][metric] = data[begin : begin + size].tobytes().decode()
        except UnicodeDecodeError:
            continue
    return found


def _with(columns: Columns, places: NDArray[np.int64], others: Columns) -> Columns:
    """`columns` with `others`, the payloads at `places`, which have no metrics there yet."""
    counts = np.diff(columns.first)
    counts[places] = np.diff(others.first)
    first = np.concatenate((columns.first[:1], np.cumsum(counts)))
    where = np.repeat(columns.first[places], counts[places])
    of_others = where + np.arange(len(where))
    of_columns = np.delete(np.arange(first[-1]), of_others)
    seq, sent = columns.seq.copy(), columns.sent.copy()
    seq[places], sent[places] = others.seq, others.sent
    return Columns(
        seq,
        sent,
        first,
        alias=np.insert(columns.alias, where, others.alias),
        ts=np.insert(columns.ts, where, others.ts),
        datatype=np.insert(columns.datatype, where, others.datatype),
        form=np.insert(columns.form, where, others.form),
        value=np.insert(columns.value, where, others.value),
        whole=np.insert(columns.whole, where, others.whole),
        quality=np.insert(columns.quality, where, others.quality),
        historical=np.insert(columns.historical, where, others.historical),
        faults={int(places[i]): fault for i, fault in others.faults.items()},
        names=_moved(columns.names, of_columns) | _moved(others.names, of_others),
        texts=_moved(columns.texts, of_columns) | _moved(others.texts, of_others),
    )


def _moved(texts: dict[int, str], to: NDArray[np.int64]) -> dict[int, str]:
    return {int(to[metric]): text for metric, text in texts.items()}
