"""One data message's columns become readings: aliases to points, numbers to values, bad ones set aside with their reason."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigia.ingest.births import EARLIEST_MS, LATEST_MS, DeviceTable
from vigia.ingest.qualities import qualities
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.decode import NONE, Columns, Form
from vigia.sparkplug.names import COMMAND_RESULT
from vigia.store import telemetry
from vigia.store.telemetry import Readings

# Beyond this a sum of readings could overflow: no sensor says so.
LARGEST_VALUE: Final = 1e100
LARGEST_NUMBER: Final = 1 << 62  # of an epoch or a batch

NO_TIME = "no timestamp"
WRONG_TIME = "timestamp outside 2000..2100"
WRONG_TYPE = "value does not fit the data type of the birth"

INTEGER_BITS: Final = {  # bits, signed
    DataType.INT8: (8, True),
    DataType.INT16: (16, True),
    DataType.INT32: (32, True),
    DataType.INT64: (64, True),
    DataType.UINT8: (8, False),
    DataType.UINT16: (16, False),
    DataType.UINT32: (32, False),
    DataType.UINT64: (64, False),
}
KIND_NONE, KIND_FLOAT, KIND_BOOLEAN = range(3)
"""What numbers of a data type are; of an integer its bits, negative when it is signed."""
_FLOATS: Final = (DataType.FLOAT, DataType.DOUBLE)


@dataclass(frozen=True)
class Numbers:
    """What a data message says of itself: its batch, None where absent, and the serial number if it is another machine's."""

    epoch: int | None
    eseq: int | None
    serial_number: str | None


@dataclass(frozen=True)
class Resolved:
    """A message's readings. `unknown` are aliases or names of no birth; `faults` count the metrics set aside, by reason.

    `live_ts` is the oldest moment, in microseconds since 1970 UTC, of those that are not marked historical; 0 without any.
    """

    readings: Readings
    unknown: tuple[str, ...]
    faults: Counter[str]
    live_ts: int = 0


NO_FAULTS: Final[Counter[str]] = Counter()


def numbers(columns: Columns, index: int, table: DeviceTable) -> Numbers:
    """Payload number `index`'s batch number and serial number."""
    first, last = int(columns.first[index]), int(columns.first[index + 1])
    alias = columns.alias[first:last]

    def whole(wanted: int) -> int | None:
        found = np.flatnonzero((alias == wanted) & (alias != NONE) & (columns.form[first:last] == Form.INTEGER))
        value = int(columns.whole[first + found[0]]) if len(found) else NONE
        return value if 0 <= value < LARGEST_NUMBER else None

    serial = None
    if columns.texts and table.serial_alias != NONE:
        serial = next((columns.texts.get(first + int(i)) for i in np.flatnonzero(alias == table.serial_alias)), None)
    eseq = whole(table.batch_alias)
    return Numbers(whole(table.epoch_alias), eseq if eseq != 0 else None, serial)


def command_results(columns: Columns, index: int, table: DeviceTable) -> list[str]:
    """What payload number `index` says became of commands."""
    first, last = int(columns.first[index]), int(columns.first[index + 1])
    if not columns.texts:
        return []
    said = (i for i in range(first, last) if i in columns.texts)
    return [columns.texts[i] for i in said if _is_result(columns, i, table)]


def _is_result(columns: Columns, i: int, table: DeviceTable) -> bool:
    alias = int(columns.alias[i])
    return columns.names.get(i) == COMMAND_RESULT if alias == NONE else alias == table.result_alias


def resolve(columns: Columns, index: int, table: DeviceTable) -> Resolved:
    """The readings of payload number `index`, in any order. Nothing is raised: what cannot be used is counted."""
    metrics = np.arange(columns.first[index], columns.first[index + 1])
    row, unknown = _rows(columns, metrics, table)
    used = (row != NONE) & (table.point_id[row] != NONE)
    metrics, row = metrics[used], row[used]
    ts = np.where(columns.ts[metrics] != NONE, columns.ts[metrics], columns.sent[index])
    value, typed = _values(columns, metrics, table.datatype[row])
    dated = (ts >= EARLIEST_MS) & (ts < LATEST_MS)
    faults = Counter(
        {
            NO_TIME: int(np.count_nonzero(ts == NONE)),
            WRONG_TIME: int(np.count_nonzero(~dated & (ts != NONE))),
            WRONG_TYPE: int(np.count_nonzero(~typed & dated)),
        }
    )
    keep = dated & typed
    quality = qualities(columns.quality[metrics])
    odd = (columns.form[metrics] != Form.NULL) & ~(np.abs(value) < LARGEST_VALUE)  # NaN too
    quality[odd] = telemetry.BAD
    value[np.isinf(value)] = np.nan
    readings = Readings(table.point_id[row][keep], ts[keep] * 1000, value[keep], quality[keep])
    live = readings.ts[~columns.historical[metrics][keep]]
    return Resolved(readings, unknown, +faults, int(live.min()) if len(live) else 0)


def _rows(columns: Columns, metrics: NDArray[np.int64], table: DeviceTable) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Each metric's row of the table, NONE where unknown; and what was unknown."""
    alias = columns.alias[metrics]
    row = table.rows(alias)
    row[alias == NONE] = NONE
    unknown = [f"alias {one}" for one in alias[(row == NONE) & (alias != NONE)]]
    for i in np.flatnonzero(alias == NONE):
        name = columns.names.get(int(metrics[i]))
        row[i] = NONE if name is None else table.names.get(name, NONE)
        if row[i] == NONE:
            unknown.append("a metric without a name that is text" if name is None else repr(name))
    return row, tuple(unknown)


def _values(columns: Columns, metrics: NDArray[np.int64], datatype: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values as floats, NaN for null, and whether each fits the data type its birth gave it."""
    form = columns.form[metrics]
    value = columns.value[metrics].copy()
    fits = (
        (form == Form.NULL)
        | ((form == Form.FLOAT) & np.isin(datatype, _FLOATS))
        | ((form == Form.BOOLEAN) & (datatype == DataType.BOOLEAN))
    )
    for kind in np.unique(datatype[form == Form.INTEGER]):
        if int(kind) in INTEGER_BITS:
            of_kind = (form == Form.INTEGER) & (datatype == kind)
            value[of_kind], fits[of_kind] = _integers(columns.whole[metrics[of_kind]], *INTEGER_BITS[DataType(int(kind))])
    said = columns.datatype[metrics]
    return value, fits & ((said == 0) | (said == datatype))


def _integers(whole: NDArray[np.uint64], bits: int, signed: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # noqa: FBT001 - a property of the type
    """Integers of a type from their unsigned words; clients write a negative one in 64, 32 or the type's own bits."""
    if not signed:
        return whole.astype(np.float64), whole <= np.uint64((1 << bits) - 1)
    number = whole.view(np.int64).copy()
    if bits <= 32:  # noqa: PLR2004 - the word of the small types
        number[(number >= 1 << 31) & (number < 1 << 32)] -= 1 << 32
        own = (number >= 1 << (bits - 1)) & (number < 1 << bits)
        number[own] -= 1 << bits
        return number.astype(np.float64), (number >= -(1 << (bits - 1))) & (number < 1 << (bits - 1))
    return number.astype(np.float64), np.ones(len(number), np.bool_)
