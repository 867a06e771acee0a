"""Reads machines that write files: what they hold, and what is added, each row once."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self

import structlog
from pydantic import BaseModel

from vigia.edge import EdgeError
from vigia.edge.clock import now_ms
from vigia.edge.samples import Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.files.config import FilesConfig, ReplayConfig
from vigia.edge.sources.files.csv_table import CsvTable
from vigia.edge.sources.files.table import Mark, Row, Table
from vigia.edge.sources.files.watch import Watch, split_pattern

log = structlog.get_logger()


class FilesSource:
    """The files that a pattern finds. Rows that were read together are one tick; the position is how far each file was told.

    Iterating raises SourceUnavailableError when the folder is away.
    """

    Config: ClassVar[type[BaseModel]] = FilesConfig

    def __init__(self, config: FilesConfig, folder: Path) -> None:
        self._config = config
        fixed, pattern = split_pattern(config.path)
        open_table = _opener(config, folder / fixed)
        self._watch = Watch(folder / fixed, pattern, open_table, skip_first=config.start == "end")
        self._told_about: set[str] = set()

    @property
    def bad_rows(self) -> int:
        """Rows that could not be read and were skipped."""
        return self._watch.bad

    def resume(self, position: str | None) -> None:
        """Go on after `position`: how far each file was told."""
        self._watch.resume(position)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._watch.scan)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing stays open."""

    async def __aiter__(self) -> AsyncIterator[Tick]:
        yield Tick(births=tuple(device.device for device in self._config.device))
        follow = self._tail() if self._config.replay is None else self._replay(self._config.replay)
        async with contextlib.aclosing(follow) as ticks:
            async for tick in ticks:
                yield tick

    async def _tail(self) -> AsyncGenerator[Tick, None]:
        """What is new, file by file and some of each in turn."""
        while True:
            tables = await asyncio.to_thread(self._watch.scan)
            while tables:
                with_more = []
                for table in tables:
                    if rows := await self._read(table):
                        with_more.append(table)
                        table.mark = rows[-1].mark
                        yield Tick(tuple(sample for row in rows for sample in row.samples), position=self._watch.position())
                tables = with_more
            await asyncio.sleep(self._config.poll_s)

    async def _replay(self, replay: ReplayConfig) -> AsyncGenerator[Tick, None]:
        """One file after the other, at the pace of their times."""
        clock = asyncio.get_running_loop().time
        due, last = clock(), None
        while True:
            for table in await asyncio.to_thread(self._watch.scan):
                while rows := await self._read(table):
                    for ts, together in itertools.groupby(rows, key=lambda row: row.ts):
                        if ts is not None:
                            passed_s = 0.0 if last is None else max(0, ts - last) / 1000 / replay.speed
                            # What was late, because there was nothing to tell or nobody to take it, is not made up for.
                            due, last = max(due + passed_s, clock() - self._config.poll_s), ts
                            await asyncio.sleep(due - clock())
                        yield self._told(table, list(together), replay)
            await asyncio.sleep(self._config.poll_s)

    def _told(self, table: Table, rows: list[Row], replay: ReplayConfig) -> Tick:
        table.mark = rows[-1].mark
        samples = [sample for row in rows for sample in row.samples]
        if replay.clock == "now":
            now = now_ms()
            samples = [replace(sample, ts=now) for sample in samples]
        return Tick(tuple(samples), position=self._watch.position())

    async def _read(self, table: Table) -> list[Row]:
        """The next rows; none of a file that has just gone or may not be read. Raises SourceUnavailableError."""
        try:
            return await asyncio.to_thread(table.read)
        except FileNotFoundError:
            return []
        except PermissionError:
            if table.mark.path not in self._told_about:
                log.warning("file may not be read; allow the gateway's user to", file=table.mark.path)
            self._told_about.add(table.mark.path)
            return []
        except OSError as error:
            raise SourceUnavailableError(f"{table.mark.path}: {error.strerror or error}") from None


def _opener(config: FilesConfig, folder: Path) -> Callable[[Mark], Table]:
    """What makes the table of a file. Raises EdgeError when the library for it is not installed."""
    if config.format == "csv":
        return lambda mark: CsvTable(config, folder, mark)
    try:
        from vigia.edge.sources.files.parquet_table import ParquetTable  # noqa: PLC0415 - large, and needed by few
    except ModuleNotFoundError:
        raise EdgeError("files of format parquet need pyarrow, which is not installed; install vigia[edge]") from None
    return lambda mark: ParquetTable(config, folder, mark)
