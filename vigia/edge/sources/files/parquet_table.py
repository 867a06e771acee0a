"""A Parquet file. It has no rows before it is whole: its footer is written last."""

import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import structlog

from vigia.edge.sources.files.config import FilesConfig
from vigia.edge.sources.files.rows import RowReader, UnfitFileError
from vigia.edge.sources.files.table import BadRowError, Mark, Row

log = structlog.get_logger()

BATCH_ROWS = 1000
_TAIL_BYTES = 8
"""The length of the footer, in four bytes, and the letters PAR1."""


class ParquetTable:
    """The file `folder / mark.path`; offset and line of its mark are rows."""

    def __init__(self, config: FilesConfig, folder: Path, mark: Mark) -> None:
        self.mark = mark
        self.bad = 0
        self.changed = False
        self._config = config
        self._path = folder / mark.path
        self._batches: Iterator[list[Row]] | None = None
        self._fruitless: tuple[int, int] | None = None
        self._log = log.bind(file=mark.path)

    def read(self) -> list[Row]:
        """The next rows, once the file is whole."""
        status = self._path.stat()
        seen = (status.st_size, status.st_mtime_ns)
        if seen == self._fruitless:
            return []
        try:
            if self._batches is None:
                self._batches = self._read_batches()
            if rows := next(self._batches, []):
                return rows
        except (pa.ArrowException, UnfitFileError) as error:
            self._log.warning("file is not whole, or not fit; it is left alone until it changes", why=str(error).split("\n")[0][:200])
        self._batches, self._fruitless = None, seen
        return []

    def fits(self, mark: Mark) -> bool:
        """Whether it ends as the marked file does."""
        return mark.offset > 0 and self._check() == mark.check

    def skip(self) -> None:
        """Leave out all rows."""
        rows = pq.read_metadata(self._path).num_rows
        self.mark = replace(self.mark, offset=rows, line=rows, check=self._check())

    def _check(self) -> int:
        """The checksum of the footer, which says where each column of each row group lies, and more of what is in it."""
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            length = int.from_bytes(file.read(4), "little") + _TAIL_BYTES
            file.seek(max(0, size - length))
            return zlib.crc32(file.read())

    def _read_batches(self) -> Iterator[list[Row]]:
        check = self._check()
        self.changed = self.mark.offset > 0 and self.mark.check != check
        if self.changed:
            return
        mark = replace(self.mark, check=check)
        with pq.ParquetFile(self._path) as file:
            names = file.schema_arrow.names
            reader = RowReader(self._config, names)
            groups, skipped = _groups_from(file.metadata, mark.offset)
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups):
                if skipped >= batch.num_rows:
                    skipped -= batch.num_rows
                    continue
                rows = []
                for cells in zip(*(_values(column) for column in batch.slice(skipped).columns), strict=True):
                    rows.append(self._row(reader, cells, replace(mark, offset=mark.offset + 1, line=mark.line + 1)))
                    mark = rows[-1].mark
                skipped = 0
                yield rows

    def _row(self, reader: RowReader, cells: tuple[object, ...], mark: Mark) -> Row:
        try:
            ts, samples = reader.read(cells, mark.last)
        except BadRowError as error:
            if not self.bad:
                self._log.warning("row cannot be read and is skipped, as all like it in this file", row=mark.line, why=str(error))
            self.bad += 1
            return Row(mark)
        return Row(replace(mark, last=ts), ts, tuple(samples))


def _groups_from(metadata: pq.FileMetaData, rows: int) -> tuple[list[int], int]:
    """The row groups that hold what comes after `rows` rows, and how many of the first of them to leave out."""
    group = 0
    while group < metadata.num_row_groups and rows >= metadata.row_group(group).num_rows:
        rows -= metadata.row_group(group).num_rows
        group += 1
    return list(range(group, metadata.num_row_groups)), rows


def _values(column: pa.Array) -> list[object]:
    """The values as Python knows them; its times have no nanoseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    values: list[object] = column.to_pylist()
    return values
