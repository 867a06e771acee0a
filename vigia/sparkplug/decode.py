"""Data messages as columns: no I/O, no session, one pass over the payloads of a batch. Needs numba; the gateway does not import it."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from vigia.sparkplug.class_decode import read_columns
from vigia.sparkplug.columns import NONE, Columns, Form
from vigia.sparkplug.names import MAX_METRICS, MAX_PAYLOAD_BYTES
from vigia.sparkplug.wire_decode import NAME, Wire, decode_wire

__all__ = ["NONE", "Columns", "Form", "decode_columns", "decode_packed", "warm_up"]

_OF_METRICS = ("alias", "ts", "datatype", "form", "value", "whole", "quality", "historical")


def warm_up() -> None:
    """Compile, or load from the cache, what decodes: some seconds or some milliseconds, before the first message is waited for."""
    decode_columns([b""])


def decode_columns(payloads: Sequence[bytes]) -> Columns:
    """The payloads' metrics. One that cannot be read has no metrics and its fault; it never spoils its neighbours."""
    length = np.fromiter(map(len, payloads), np.int64, len(payloads))
    return decode_packed(np.frombuffer(b"".join(payloads), np.uint8), np.cumsum(length) - length, length)


def decode_packed(data: NDArray[np.uint8], start: NDArray[np.int64], length: NDArray[np.int64]) -> Columns:
    """As `decode_columns`, of payloads that stand at `start`, in bytes, in `data`: C-contiguous, and not to change meanwhile.

    Raises ValueError if one lies outside of the data.
    """
    wire = decode_wire(_constant(data), _constant(start), _constant(length), MAX_PAYLOAD_BYTES, MAX_METRICS)
    names, texts = _texts(wire, data) if len(wire.spots) else ({}, {})
    long, short, small = wire.long, wire.short, wire.small
    columns = Columns(
        seq=wire.payloads[0],
        sent=wire.payloads[1],
        first=wire.first,
        alias=long[0].view(np.int64),
        ts=long[1].view(np.int64),
        datatype=short[0],
        form=small[0],
        value=long[2].view(np.float64),
        whole=long[3],
        quality=short[1],
        historical=small[1].view(np.bool_),
        names=names,
        texts=texts,
    )
    if not wire.refused.any():
        return columns
    refused = np.flatnonzero(wire.refused)
    read = read_columns([data[start[i] : start[i] + length[i]].tobytes() for i in refused.tolist()])
    return _with(columns, refused, read)


def _constant(array):
    """The same memory, read-only: code is compiled for that alone."""
    view = array.view()
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
    first = np.concatenate(([0], np.cumsum(counts)))
    where = np.repeat(columns.first[places], counts[places])
    from_columns = np.delete(np.arange(first[-1]), where + np.arange(len(where)))
    from_others = where + np.arange(len(where))
    seq, sent = columns.seq.copy(), columns.sent.copy()
    seq[places], sent[places] = others.seq, others.sent
    return Columns(
        seq,
        sent,
        first,
        *(np.insert(getattr(columns, name), where, getattr(others, name)) for name in _OF_METRICS),
        faults={int(places[i]): fault for i, fault in others.faults.items()},
        names=_moved(columns.names, from_columns) | _moved(others.names, from_others),
        texts=_moved(columns.texts, from_columns) | _moved(others.texts, from_others),
    )


def _moved(texts: dict[int, str], to: NDArray[np.int64]) -> dict[int, str]:
    return {int(to[metric]): text for metric, text in texts.items()}
