"""What CSV and Parquet have in common: a table that is read row by row, and a mark of how far it was told."""

import zlib
from dataclasses import dataclass
from typing import Protocol

from vigia.edge.samples import Sample

CHECKED_BYTES = 128


class BadRowError(ValueError):
    """The row cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a file was told. `path` is as the pattern finds it, `ino` the file's number on its disk.

    `offset` is bytes of a CSV, rows of a Parquet; `line` is the last line or row. `last` is its time, in milliseconds since 1970 UTC.
    `check` is a checksum of bytes that stay while the file is the same one.
    """

    path: str
    ino: int
    offset: int = 0
    line: int = 0
    last: int | None = None
    check: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row, and the mark after it. `ts` is None for one that tells nothing: it was bad, or no point's."""

    mark: Mark
    ts: int | None = None
    samples: tuple[Sample, ...] = ()


class Table(Protocol):
    """One file. `mark` is set by who tells its rows; `bad` counts those that could not be read.

    `changed` after reading: the file does not hold any more what was told of it.
    """

    mark: Mark
    bad: int
    changed: bool

    def read(self) -> list[Row]:
        """The next rows after `mark`, some hundreds at most; none when there is nothing new. Raises OSError."""

    def fits(self, mark: Mark) -> bool:
        """Whether the file holds what was told when `mark` was made. Raises OSError."""

    def skip(self) -> None:
        """Set `mark` after all that the file holds now. Raises OSError."""


def checksum(data: bytes) -> int:
    """The check of a mark."""
    return zlib.crc32(data[-CHECKED_BYTES:])
