"""A CSV file that may still be written: a line counts when its end is there."""

import csv
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import structlog

from vigia.edge.sources.files.config import FilesConfig
from vigia.edge.sources.files.rows import RowReader, UnfitFileError
from vigia.edge.sources.files.table import CHECKED_BYTES, BadRowError, Mark, Row, checksum

log = structlog.get_logger()

CHUNK_BYTES = 64 * 1024
MOST_LINE_BYTES = 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class CsvTable:
    """The file `folder / mark.path`."""

    def __init__(self, config: FilesConfig, folder: Path, mark: Mark) -> None:
        self.mark = mark
        self.bad = 0
        self.changed = False
        self._config = config
        self._folder = folder
        self._reader: RowReader | None = None
        self._header = b""
        self._refused: bytes | None = None
        self._begin = 0
        self._fruitless: tuple[int, int] | None = None
        self._log = log.bind(file=mark.path)

    def read(self) -> list[Row]:
        """The next whole lines."""
        with (self._folder / self.mark.path).open("rb") as file:
            status = os.fstat(file.fileno())
            rests = self._config.settle_s is not None and time.time() - status.st_mtime > self._config.settle_s
            seen = (status.st_size, status.st_mtime_ns)
            if status.st_size == self.mark.offset or (seen == self._fruitless and not rests):
                return []
            self.changed = not self._is_the_same(file, self.mark)
            if self.changed:
                return []
            if self._reader is None and not self._read_header(file):
                self._fruitless = seen
                return []
            rows = list(self._rows(file, rests=rests))
            self._fruitless = None if rows else seen
        return rows

    def fits(self, mark: Mark) -> bool:
        """Whether it holds the marked file's bytes before the mark."""
        with (self._folder / self.mark.path).open("rb") as file:
            return mark.offset > 0 and self._is_the_same(file, mark)

    def skip(self) -> None:
        """Leave out the lines that are whole now."""
        with (self._folder / self.mark.path).open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    self.mark = replace(self.mark, offset=self.mark.offset + len(line), line=self.mark.line + 1)
            self.mark = self._checked(file, self.mark)

    @staticmethod
    def _is_the_same(file: BinaryIO, mark: Mark) -> bool:
        return CsvTable._checked(file, mark) == mark and file.seek(0, os.SEEK_END) >= mark.offset

    @staticmethod
    def _checked(file: BinaryIO, mark: Mark) -> Mark:
        """The mark with the check of the bytes before it."""
        file.seek(max(0, mark.offset - CHECKED_BYTES))
        return replace(mark, check=checksum(file.read(min(mark.offset, CHECKED_BYTES))))

    def _read_header(self, file: BinaryIO) -> bool:
        """Find out which columns there are; False while the header is not whole, or does not fit."""
        file.seek(0)
        lines = [file.readline(MOST_LINE_BYTES) for _ in range(self._config.skip_lines + (self._config.columns is None))]
        if not all(line.endswith(b"\n") for line in lines):
            return False
        try:
            if self._config.columns is None:
                self._header = lines[-1].removeprefix(_BOM).rstrip(b"\r\n")
                self._reader = RowReader(self._config, self._split(self._header))
            else:
                self._reader = RowReader(self._config, self._config.columns)
        except (UnfitFileError, BadRowError) as error:
            if self._header != self._refused:
                self._log.warning("file is not fit and is left alone", why=str(error))
            self._refused = self._header
            return False
        self._begin = sum(map(len, lines))
        return True

    def _rows(self, file: BinaryIO, *, rests: bool) -> Iterator[Row]:
        mark = self.mark
        if mark.offset < self._begin:
            # The lines before the first row are told without a word.
            mark = replace(mark, offset=self._begin, line=self._config.skip_lines + (self._config.columns is None))
        file.seek(max(0, mark.offset - CHECKED_BYTES))
        before = file.read(min(mark.offset, CHECKED_BYTES))
        data = file.read(CHUNK_BYTES)
        if b"\n" not in data and len(data) == CHUNK_BYTES:
            data += file.read(MOST_LINE_BYTES)
        is_all = len(data) < CHUNK_BYTES
        for line in _lines(data):
            is_whole = line.endswith(b"\n") or (rests and is_all) or len(line) > MOST_LINE_BYTES
            if not is_whole:
                return
            before = (before + line)[-CHECKED_BYTES:]
            mark = replace(mark, offset=mark.offset + len(line), line=mark.line + 1, check=checksum(before))
            row = self._row(line, mark)
            mark = row.mark
            yield row

    def _row(self, line: bytes, mark: Mark) -> Row:
        text = line.rstrip(b"\r\n")
        if mark.line == 1:
            text = text.removeprefix(_BOM)
        # A program that is started again often writes its header again.
        if self._reader is None or not text.strip() or (text == self._header and self._header):
            return Row(mark)
        try:
            ts, samples = self._reader.read(self._split(text), mark.last)
        except BadRowError as error:
            if not self.bad:
                self._log.warning("line cannot be read and is skipped, as all like it in this file", line=mark.line, why=str(error))
            self.bad += 1
            return Row(mark)
        return Row(replace(mark, last=ts), ts, tuple(samples))

    def _split(self, line: bytes) -> list[str]:
        """The cells of a line. Raises BadRowError."""
        try:
            text = line.decode(self._config.encoding)
            return next(csv.reader([text], delimiter=self._config.delimiter, quotechar=self._config.quote, strict=True))
        except UnicodeDecodeError:
            raise BadRowError(f"not {self._config.encoding}") from None
        except (csv.Error, StopIteration):
            raise BadRowError("quotes that do not close") from None


def _lines(data: bytes) -> Iterator[bytes]:
    """Lines with their ends: a carriage return alone ends none."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end
