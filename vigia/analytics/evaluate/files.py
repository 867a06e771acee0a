"""The benchmarks' tables: text, plain or gzip-compressed, wherever in a folder they lie."""

import csv
import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.evaluate.errors import DataError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_S, _END_S = -62_135_596_800, 253_402_300_800  # years 1 to 9999, beyond which no date can be said
_TIME_IS = "2026-01-31T08:00:00+01:00, or seconds since 1970"


@dataclass(frozen=True)
class Table:
    """A CSV file's columns by name, as text."""

    path: Path
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def column(self, name: str) -> list[str]:
        """One of them. Raises DataError naming those there are."""
        if name not in self.columns:
            message = f"{self.path} has no column {name!r}; its columns are {', '.join(self.columns)}."
            raise DataError(message)
        return self.columns[name]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """One of them as float64, NaN where it is empty. Raises DataError naming the row."""
        return np.array(self._each(name, lambda text: float(text) if text.strip() else np.nan, "number"), np.float64)

    def moments(self, name: str) -> NDArray[np.int64]:
        """One of them as microseconds since 1970, from ISO 8601 (UTC if it names no zone) or seconds since 1970. Raises DataError."""
        return np.array(self._each(name, _moment, f"time; write {_TIME_IS}"), np.int64)

    def _each(self, name: str, read: Callable[[str], float], kind: str) -> list[float]:
        found = []
        for row, text in enumerate(self.column(name), start=2):
            try:
                found.append(read(text))
            except ValueError:
                message = f"{self.path}, line {row}, column {name}: {text[:40]!r} is not a {kind}."
                raise DataError(message) from None
        return found


def _moment(text: str) -> int:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        us = round(float(text) * 1e6) if _FIRST_S <= float(text) < _END_S else None
    else:
        since = (at.replace(tzinfo=UTC) if at.tzinfo is None else at) - _EPOCH
        us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if us is None or not _FIRST_S <= us / 1e6 < _END_S:
        raise ValueError
    return us


def read_text(path: Path) -> str:
    """The file's text. Raises DataError when it cannot be read."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        message = f"{path} is not UTF-8 text; save it as UTF-8."
        raise DataError(message) from None
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
        raise DataError(message) from None


def read_table(path: Path) -> Table:
    """A CSV file with a header; comma, semicolon or tab between fields. Raises DataError."""
    lines = [line.rstrip(" ") for line in read_text(path).lstrip("\ufeff").split("\n") if line.strip()]
    if not lines:
        message = f"{path} is empty."
        raise DataError(message)
    between = max(",;\t", key=lines[0].count)
    try:
        header, *rows = csv.reader(lines, delimiter=between)
    except csv.Error as error:
        message = f"{path} is not a CSV file: {error}."
        raise DataError(message) from None
    names = [name.strip() for name in header]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        message = f"{path} has more than one column {twice[0]!r}; give each a name of its own."
        raise DataError(message)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            message = f"{path}, line {number}: {len(row)} fields under {len(header)} columns."
            raise DataError(message)
    return Table(path, {name: [row[at] for row in rows] for at, name in enumerate(names)})


def named(path: Path) -> str:
    """The file's name without `.gz`."""
    return path.name.removesuffix(".gz")


def find(folder: Path, ending: str) -> list[Path]:
    """The files below `folder` whose names, but for `.gz`, end so; sorted. Raises DataError when it is no folder.

    Hidden ones are left out; of a file that is there plain and compressed, the plain one is taken.
    """
    if not folder.is_dir():
        message = f"{folder}: there is no such folder."
        raise DataError(message)
    there = sorted(path for path in folder.rglob("*") if path.is_file() and named(path).endswith(ending) and path.name[0] != ".")
    return list({path.with_name(named(path)): path for path in reversed(there)}.values())[::-1]
