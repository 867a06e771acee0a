"""What a row of a table says about the points of the configuration."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vigia.edge.samples import Sample, Value
from vigia.edge.sources.files.config import QUALITIES, DeviceConfig, FilesConfig, PointConfig
from vigia.edge.sources.files.table import BadRowError
from vigia.edge.sources.files.times import Times
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD, QUALITY_STALE, QUALITY_UNCERTAIN

_TRUE, _FALSE = ("true", "t", "yes", "y", "on", "1"), ("false", "f", "no", "n", "off", "0")
_MOST_OPC = 255
_SAFE_DIGITS = 18
_INT64 = 2**63


class UnfitFileError(Exception):
    """The file has not the columns that the configuration names."""


@dataclass(frozen=True)
class _Cell:
    """Where a point stands in a row."""

    device_id: str
    name: str
    point: PointConfig
    value: int
    quality: int | None


class RowReader:
    """Reads the rows of a file with the columns `names`."""

    def __init__(self, config: FilesConfig, names: Sequence[str]) -> None:
        """Raises UnfitFileError."""
        self._config = config
        self._names = {name.strip(): index for index, name in enumerate(names)}
        self._width = len(names)
        self._times = Times(config.time)
        self._time = [self._index(column) for column in config.time.columns]
        self._cells: dict[tuple[int, ...], dict[tuple[str, ...], list[_Cell]]] = {}
        for device in config.device:
            for point in device.point:
                self._place(device, point)

    def read(self, row: Sequence[object], last: int | None) -> tuple[int, list[Sample]]:
        """When it was measured, in milliseconds since 1970 UTC, and what. `last` is the time of the row before. Raises BadRowError."""
        if len(row) != self._width:
            raise BadRowError(f"{len(row)} columns, expected {self._width}")
        time = row[self._time[0]] if len(self._time) == 1 else " ".join(str(row[index]).strip() for index in self._time)
        ts = self._times.read(time, last)
        return ts, list(self._samples(row, ts))

    def _samples(self, row: Sequence[object], ts: int) -> Iterator[Sample]:
        for columns, by_texts in self._cells.items():
            for cell in by_texts.get(tuple(str(row[index]).strip() for index in columns), ()):
                raw = row[cell.value]
                if raw is None or (isinstance(raw, str) and not raw.strip()):
                    continue
                quality = QUALITY_GOOD if cell.quality is None else self._quality(row[cell.quality])
                value = self._value(cell.point, raw)
                if quality == QUALITY_BAD:
                    value = None
                yield Sample(cell.device_id, cell.name, ts, value, QUALITY_BAD if value is None else quality)

    def _index(self, column: str) -> int:
        if column not in self._names:
            raise UnfitFileError(f"no column {column!r}; there are {', '.join(self._names)[:200]}")
        return self._names[column]

    def _place(self, device: DeviceConfig, point: PointConfig) -> None:
        """Points are found by the texts that their rows must have, not by trying each."""
        where = {**device.where, **point.where}
        columns = tuple(self._index(column) for column in where)
        quality = None if point.quality is None else self._index(point.quality)
        cell = _Cell(device.device_id, point.point.name, point, self._index(point.column), quality)
        self._cells.setdefault(columns, {}).setdefault(tuple(where.values()), []).append(cell)

    def _value(self, point: PointConfig, raw: object) -> Value | None:
        """The value in the point's unit. None when it is missing, no number, or not finite."""
        text = raw.strip() if isinstance(raw, str) else None
        if text is not None and text in self._config.missing:
            return None
        if text is not None and text in point.words:
            raw = point.words[text]
        if point.type == "string":
            return str(raw) if text is None else text
        if point.type == "bool":
            return _truth(raw)
        number = self._number(raw)
        if number is None:
            return None
        if point.type == "int":
            return int(number) if number == int(number) and abs(number) < _INT64 else None
        return float(number * point.factor + point.offset if point.is_scaled else number)

    def _number(self, raw: object) -> int | float | None:
        if isinstance(raw, str):
            raw = raw.strip().replace(",", ".") if self._config.decimal == "," else raw.strip()
            if "_" in raw:  # Python's own way to write numbers, nobody else's
                return None
            if raw.lstrip("+-").isdigit() and len(raw) <= _SAFE_DIGITS:
                raw = int(raw)
        if isinstance(raw, int):
            return raw
        try:
            return _finite(float(raw))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None

    def _quality(self, said: object) -> int:
        """The quality's number; nothing is good, and what cannot be understood is bad."""
        if said is None or str(said).strip() == "":
            return QUALITY_GOOD
        if isinstance(said, str):
            word = self._config.qualities.get(said.strip(), said.strip().lower())
            if word in QUALITIES:
                return QUALITIES[word]
            said = int(word) if word.isdecimal() and len(word) <= _SAFE_DIGITS else _truth(word)
        if said is True:
            return QUALITY_GOOD
        if isinstance(said, float) and said.is_integer():
            said = int(said)
        if said == QUALITY_STALE:
            return QUALITY_STALE
        if not isinstance(said, int) or not QUALITY_UNCERTAIN <= said <= _MOST_OPC:
            return QUALITY_BAD
        return QUALITY_UNCERTAIN if said < QUALITY_GOOD else QUALITY_GOOD


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _truth(raw: object) -> bool | None:
    if isinstance(raw, (bool, int, float)):
        return bool(raw)
    text = str(raw).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None
