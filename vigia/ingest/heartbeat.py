"""What a Vigía edge says of its numbering in NBIRTH and NDATA: the newest number given out, and numbers dropped on purpose."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from vigia.sparkplug import PayloadError
from vigia.sparkplug.datatypes import Scalar
from vigia.sparkplug.names import EPOCH, NEWEST, TOMBSTONE
from vigia.sparkplug.payload import Payload

LARGEST = (1 << 63) - 2


@dataclass(frozen=True)
class Newest:
    """The newest batch number of an epoch."""

    epoch: int
    eseq: int


@dataclass(frozen=True)
class Tombstone:
    """Numbers from `first` to `last`, both included, that will never come."""

    epoch: int
    first: int
    last: int
    reason: str


def newest_of(payload: Payload, names: Mapping[int, str], epoch: int | None) -> Newest | None:
    """The newest number in `payload`, or None. `names` are the node's aliases, `epoch` the one of its birth."""
    values = _values(payload, names)
    said = values.get(EPOCH)
    newest = values.get(NEWEST)
    said_epoch = said if _is_number(said) else epoch
    if said_epoch is None or not _is_number(newest):
        return None
    return Newest(int(said_epoch), int(newest or 0))


def tombstone_of(payload: Payload, names: Mapping[int, str]) -> Tombstone | None:
    """The tombstone in `payload`, or None. Raises PayloadError when there is one that cannot be read."""
    text = _values(payload, names).get(TOMBSTONE)
    if text is None:
        return None
    try:
        fields = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise PayloadError("the tombstone is not a JSON object")
    epoch, first, last, reason = (fields.get(key) for key in ("epoch", "from", "to", "reason"))
    if not (_is_number(epoch) and _is_number(first) and _is_number(last) and 1 <= first <= last):  # type: ignore[operator]
        raise PayloadError("the tombstone does not say epoch, from and to as whole numbers, 1 <= from <= to")
    return Tombstone(epoch, first, last, str(reason)[:500])  # type: ignore[arg-type]


def _values(payload: Payload, names: Mapping[int, str]) -> dict[str, Scalar | None]:
    found: dict[str, Scalar | None] = {}
    for metric in payload.metrics:
        name = metric.name if metric.name is not None else names.get(metric.alias if metric.alias is not None else -1)
        if name is not None:
            found[name] = metric.value
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST
