"""The benchmarks' tables: text, plain or gzip-compressed, wherever in a folder they lie."""

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.evaluate.errors import DataError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        """One of them as microseconds since 1970; a time without a zone is taken as UTC. Raises DataError naming the row."""
        return np.array(self._each(name, _moment, "time"), np.int64)

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
    at = datetime.fromisoformat(text.strip())
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def read_text(path: Path) -> str:
    """The file's text. Raises DataError when it cannot be read."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            return file.read()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
        raise DataError(message) from None


def read_table(path: Path) -> Table:
    """A CSV file with a header; comma, semicolon or tab between fields. Raises DataError."""
    lines = read_text(path).lstrip("\ufeff").splitlines()
    if not lines:
        message = f"{path} is empty."
        raise DataError(message)
    between = max(",;\t", key=lines[0].count)
    header, *rows = (row for row in csv.reader(lines, delimiter=between) if row)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            message = f"{path}, line {number}: {len(row)} fields under {len(header)} columns."
            raise DataError(message)
    return Table(path, {name.strip(): [row[at] for row in rows] for at, name in enumerate(header)})


def named(path: Path) -> str:
    """The file's name without `.gz`."""
    return path.name.removesuffix(".gz")


def find(folder: Path, ending: str) -> list[Path]:
    """The files below `folder` whose names, but for `.gz`, end so; sorted. Raises DataError when it is no folder."""
    if not folder.is_dir():
        message = f"{folder}: there is no such folder."
        raise DataError(message)
    return sorted(path for path in folder.rglob("*") if path.is_file() and named(path).endswith(ending))
