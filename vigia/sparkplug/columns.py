"""The metrics of many data messages side by side: what the decoder gives. Needs numpy; the gateway does not import it."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

NONE: Final = -1  # where a number is absent; no seq, alias or timestamp that is used here can be it
LARGEST: Final = (1 << 63) - 1  # unsigned numbers of 64 bits are cut here
LARGEST_SHORT: Final = (1 << 31) - 1  # data types and qualities here: nobody means greater ones


class Form(IntEnum):
    """In which protobuf field a value came."""

    NULL = 0
    INTEGER = 1  # int_value or long_value: in `whole`, unsigned as on the wire
    FLOAT = 2  # float_value or double_value
    BOOLEAN = 3
    OTHER = 4  # text, bytes, data set, template, or nothing at all


@dataclass(frozen=True)
class Columns:
    """The metrics of several payloads. Metrics `first[i]` until `first[i + 1]` are those of payload i.

    A payload: seq and timestamp (milliseconds since 1970 UTC), NONE where absent; `faults` says of an unreadable one why.
    A metric: alias and timestamp, NONE where absent; its datatype, 0 where absent; form, value, whole, Quality property, and whether
    it is marked historical. `value` is NaN and `whole` 0 where the value came in another form.
    `names` holds, by metric, the names of those without an alias; `texts` the values that are text.
    """

    seq: NDArray[np.int64]
    sent: NDArray[np.int64]
    first: NDArray[np.int64]
    alias: NDArray[np.int64]
    ts: NDArray[np.int64]
    datatype: NDArray[np.int32]
    form: NDArray[np.int8]
    value: NDArray[np.float64]
    whole: NDArray[np.uint64]
    quality: NDArray[np.int32]
    historical: NDArray[np.bool_]
    faults: dict[int, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
