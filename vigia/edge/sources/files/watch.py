"""Which files there are, and which of them is which: files grow, are renamed when they are full, and are written anew."""

import contextlib
import glob
import itertools
import json
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import astuple, replace
from pathlib import Path, PurePath

import structlog

from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.files.table import Mark, Table

log = structlog.get_logger()

MOST_GONE = 100
MANY_FILES = 500


class Watch:
    """The files that `pattern` finds in `folder`, each with how far it was told. Marks name them from there."""

    def __init__(self, folder: Path, pattern: str, open_table: Callable[[Mark], Table], *, skip_first: bool) -> None:
        self._folder = folder
        self._pattern = pattern
        self._shows_hidden = PurePath(pattern).name.startswith(".")
        self._open_table = open_table
        self._skip_first = skip_first
        self._tables: dict[str, Table] = {}
        self._gone: list[Mark] = []
        self._is_new = True
        self._bad = 0

    @property
    def bad(self) -> int:
        """Rows that could not be read."""
        return self._bad + sum(table.bad for table in self._tables.values())

    def resume(self, position: str | None) -> None:
        """Go on after `position`."""
        self._bad, self._tables, self._is_new = self.bad, {}, position is None
        self._gone = [] if position is None else [Mark(*fields) for fields in json.loads(position)]

    def position(self) -> str:
        """How far each file was told."""
        marks = [*self._gone, *(table.mark for table in self._tables.values())]
        return json.dumps([astuple(mark) for mark in marks if mark.offset], separators=(",", ":"))

    def scan(self) -> list[Table]:
        """All tables that may have news; those that were renamed, and are found no more, first. Raises SourceUnavailableError."""
        found = self._find()
        marks = [*self._gone, *(table.mark for table in self._tables.values())]
        tables = self._unchanged(found, marks)
        left = [mark for mark in marks if mark.offset and all(table.mark is not mark for table in tables.values())]
        for name in found:
            if name not in tables:
                tables[name] = self._changed(name, found[name].st_ino, left)
        renamed = {table.mark.path: table for table in self._renamed(left, found)}
        self._bad += sum(table.bad for name, table in self._tables.items() if table not in (tables.get(name), renamed.get(name)))
        left = [mark for mark in left if all(table.mark.ino != mark.ino for table in renamed.values())]
        # When all are gone their folder may be on a disk that is gone: then all of them are remembered.
        self._gone = left[-MOST_GONE:] if found else left
        self._tables = {**renamed, **tables}
        self._is_new = False
        return list(self._tables.values())

    def _find(self) -> dict[str, os.stat_result]:
        """The files that the pattern finds, in the order of their names."""
        if not self._folder.is_dir():
            raise SourceUnavailableError(f"the folder {self._folder} is missing")
        found = {}
        for path in sorted(self._folder.glob(self._pattern)):
            if path.name.startswith(".") and not self._shows_hidden:
                continue
            with contextlib.suppress(OSError):
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    found[str(path.relative_to(self._folder))] = status
        if len(found) > MANY_FILES and len(self._tables) <= MANY_FILES:
            log.warning("many files are watched; move those that are finished elsewhere", files=len(found))
        return found

    def _unchanged(self, found: Mapping[str, os.stat_result], marks: Iterable[Mark]) -> dict[str, Table]:
        """The tables of files that have their name, their number and what was told of them still, as far as is known."""
        known = {(mark.path, mark.ino): mark for mark in marks}
        tables = {}
        for name, status in found.items():
            mark, there = known.get((name, status.st_ino)), self._tables.get(name)
            if mark is not None and mark.offset <= status.st_size and not (there is not None and there.changed):
                tables[name] = there if there is not None and there.mark is mark else self._open_table(mark)
        return tables

    def _changed(self, name: str, ino: int, left: list[Mark]) -> Table:
        """The table of a file that was renamed, copied here or written anew; the mark that it goes on from is taken out of `left`."""
        table = self._open_table(Mark(name, ino))
        for mark in sorted(left, key=lambda one: (one.ino != ino, one.path != name)):
            if _fits(table, mark):
                left.remove(mark)
                return self._open_table(replace(mark, path=name, ino=ino))
        if replaced := [mark for mark in left if mark.path == name]:
            log.warning("file was cut, or another has its name; it is read from its beginning", file=name, told=replaced[-1].line)
        if self._is_new and self._skip_first:
            table.skip()
        return table

    def _renamed(self, marks: Iterable[Mark], found: Collection[str]) -> Iterator[Table]:
        """The marked files that were renamed and have lines that were not told: what was written last before it was renamed."""
        here = {str(PurePath(mark.path).parent) for mark in marks}
        names = {ino: name for folder in here for ino, name in self._listed(folder)}
        for mark in marks:
            name = names.get(mark.ino)
            if name is None or name in found or not mark.offset:
                continue
            table = self._tables.get(name) or self._open_table(replace(mark, path=name))
            with contextlib.suppress(OSError):
                if (self._folder / name).stat().st_size > mark.offset and table.fits(mark):
                    yield table

    def _listed(self, folder: str) -> Iterator[tuple[int, str]]:
        with contextlib.suppress(OSError), os.scandir(self._folder / folder) as entries:
            yield from ((entry.inode(), str(PurePath(folder, entry.name))) for entry in entries)


def split_pattern(path: str) -> tuple[PurePath, str]:
    """The folder of all files that `path` may find, and the pattern from there."""
    parts = PurePath(path).parts
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts[:-1]))
    return PurePath(*fixed), str(PurePath(*parts[len(fixed) :]))


def _fits(table: Table, mark: Mark) -> bool:
    try:
        return table.fits(mark)
    except OSError:
        return False
