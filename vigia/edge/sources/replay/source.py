"""Replays recorded engines at the pace of a logbook: a file that tells which engine stands where and how late it is."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from vigia.edge import EdgeError
from vigia.edge.samples import Sample, Tick
from vigia.edge.sources.replay.recording import CYCLE, FAILED, OPERATING, READ_POINTS, STATE, Row, engine, read_recording


class ReplayConfig(BaseModel):
    """The table `[node.source]` with `type = "replay"`. Relative paths start at the configuration file's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["replay"]
    logbook: Path = Field(description="File of JSON lines: install, remove, clock.")
    data: Path = Field(description="C-MAPSS text file, may be gzip-compressed.")
    devices: tuple[str, ...] = Field(min_length=1, description="The device ids of the logbook that belong to this node.")
    model: str = Field(default="cmapss-fd001", min_length=1, description="Model code of the engines.")
    start: datetime = Field(default=datetime(2026, 1, 1, tzinfo=UTC), description="Source time of hour 0.")
    cycle_s: int = Field(default=3600, gt=0, description="Source time from one hour of the logbook to the next, in seconds.")
    poll_s: float = Field(default=0.01, gt=0, le=60, description="How often to look for new lines.")


@dataclass(frozen=True, slots=True)
class _Engine:
    serial: str
    unit: int
    installed_hour: int


class ReplaySource:
    """The engines of one node, as the logbook lets time pass. Samples of one hour are one tick.

    Iterating raises EdgeError when the logbook or the recording cannot be understood.
    """

    Config: ClassVar[type[BaseModel]] = ReplayConfig

    def __init__(self, config: ReplayConfig, folder: Path) -> None:
        self._config = config
        self._logbook_path = folder / config.logbook
        self._data_path = folder / config.data
        if not self._data_path.is_file():
            raise EdgeError(f"{self._data_path}: no such file; set `data` of the replay source to a C-MAPSS text file")
        start = config.start if config.start.tzinfo else config.start.replace(tzinfo=UTC)
        self._start_ms = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        self._devices = frozenset(config.devices)
        self._engines: dict[str, _Engine] = {}
        self._recording: dict[int, tuple[Row, ...]] = {}
        self._file: BinaryIO | None = None
        self._offset = 0
        self._hour = 0
        self._rest = b""

    def resume(self, position: str | None) -> None:
        """Go on after `position`: byte offset in the logbook and the hour up to which all was told."""
        if position is not None:
            self._offset, self._hour = json.loads(position)

    async def __aenter__(self) -> Self:
        self._recording = await asyncio.to_thread(read_recording, self._data_path)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    async def __aiter__(self) -> AsyncIterator[Tick]:
        while True:
            if self._file is None and self._logbook_path.exists():
                self._file = self._logbook_path.open("rb")
                self._remember()
                if self._engines:
                    yield Tick(births=tuple(engine(role, one.serial, self._config.model) for role, one in self._engines.items()))
            for entry, offset in self._new_entries():
                for tick in self._happens(entry, offset):
                    yield tick
            await asyncio.sleep(self._config.poll_s)

    def _remember(self) -> None:
        """Build the world as it was at the position. What happened was told before; that the engines stand there is told again."""
        before, self._offset = self._offset, 0
        for entry, offset in self._new_entries(before):
            if entry.get("role") in self._devices:
                self._stand(entry)
            self._offset = offset
        if self._offset != before:
            raise EdgeError(f"{self._logbook_path} is shorter than at the last run: it belongs to another buffer")

    def _new_entries(self, until: int | None = None) -> Iterator[tuple[dict[str, Any], int]]:
        """The whole lines that came since, each with the offset after it."""
        if self._file is None:
            return
        self._file.seek(self._offset)
        offset = self._offset
        for line in self._file:
            if not line.endswith(b"\n") or (until is not None and offset >= until):
                return
            offset += len(line)
            try:
                entry = json.loads(line)
                entry["kind"]
            except (ValueError, TypeError, KeyError):
                raise EdgeError(f"{self._logbook_path}: not a logbook entry at byte {offset - len(line)}") from None
            yield entry, offset

    def _happens(self, entry: dict[str, Any], offset: int) -> Iterator[Tick]:
        role = entry.get("role")
        if entry["kind"] == "clock":
            for hour in range(self._hour + 1, entry["hour"] + 1):
                samples = tuple(self._samples(hour))
                self._hour = hour
                if samples:
                    done = offset if hour == entry["hour"] else self._offset
                    yield Tick(samples=samples, position=json.dumps([done, hour]))
        elif role in self._devices and entry["kind"] in ("install", "remove"):
            deaths = (role,) if role in self._engines else ()
            self._stand(entry)
            births = (engine(role, entry["serial"], self._config.model),) if entry["kind"] == "install" else ()
            yield Tick(births=births, deaths=deaths, position=json.dumps([offset, self._hour]))
        self._offset = offset

    def _stand(self, entry: dict[str, Any]) -> None:
        if entry["kind"] == "install":
            if entry["unit"] not in self._recording:
                raise EdgeError(f"{self._logbook_path}: unit {entry['unit']} is not in {self._data_path}")
            self._engines[entry["role"]] = _Engine(entry["serial"], entry["unit"], entry["hour"])
        elif entry["kind"] == "remove":
            self._engines.pop(entry["role"], None)

    def _samples(self, hour: int) -> Iterator[Sample]:
        """What the engines tell at `hour`: a cycle of a life, once that it has failed, nothing before or after."""
        ts = self._start_ms + hour * self._config.cycle_s * 1000
        for device_id, one in self._engines.items():
            cycle = hour - one.installed_hour
            life = self._recording[one.unit]
            if 1 <= cycle <= len(life):
                yield Sample(device_id, STATE.name, ts, OPERATING)
                yield Sample(device_id, CYCLE.name, ts, cycle)
                for point, value in zip(READ_POINTS, life[cycle - 1], strict=True):
                    yield Sample(device_id, point.name, ts, value)
            elif cycle == len(life) + 1:
                yield Sample(device_id, STATE.name, ts, FAILED)
