"""What becomes of a command when the machine, the disk or the gateway gives way: it acts once at most, and its result is told."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_harness import command_words, now_ms

from vigia.edge import commander
from vigia.edge.allowed import Allowed
from vigia.edge.buffer import BufferUnavailableError, EdgeBuffer
from vigia.edge.buffer_commands import KEPT_MS, CommandMemory
from vigia.edge.command_config import CommandConfig
from vigia.edge.commander import MOST_WAITING, REFUSALS_TOLD_A_MINUTE, Commander
from vigia.edge.messages import Messages
from vigia.edge.samples import Device, Point, Tick, Value
from vigia.edge.sources import CommandRefusedError, SourceUnavailableError
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import COMMAND
from vigia.sparkplug.payload import Metric, Payload, encode

MACHINE = Device("M1", "SN-1", "m", (Point("speed", DataType.DOUBLE, "Hz", 0.0, 60.0),))


class Hands:
    """The writing half of a source. `error` is what each write ends with."""

    def __init__(self) -> None:
        self.written: list[Value] = []
        self.error: Exception | None = None

    def writable(self, _device: str, _name: str) -> Point:
        return MACHINE.points[0]

    def target(self, _device: str, _name: str) -> str:
        return "speed"

    async def write(self, _device: str, _point: str, value: Value) -> None:
        self.written.append(value)
        if self.error is not None:
            raise self.error


class Bench:
    """A commander over a real buffer; `results` are what its device told."""

    def __init__(self, path: Path) -> None:
        self.hands = Hands()
        self.buffer = EdgeBuffer(path)
        self.results: list[dict[str, Any]] = []
        source: Any = self.hands
        self.allowed = Allowed([CommandConfig(device="M1", name="speed", acts_on="speed")], source)
        self.commander = Commander("plant/hall", self.allowed, Messages(self.allowed.announced), self.buffer, self._store)

    async def _store(self, tick: Tick) -> None:
        await asyncio.to_thread(self.buffer.append, tick)
        self.results += [json.loads(str(sample.value)) for sample in tick.samples]

    async def bear(self) -> None:
        await self._store(Tick(births=(self.allowed.reporting(MACHINE),)))
        self.commander.devices_came()

    def hear(self, id_: str, value: float = 5.0) -> None:
        metrics = (Metric("speed", datatype=DataType.DOUBLE, value=value), Metric(COMMAND, None, None, DataType.STRING, command_words(id_)))
        self.commander.hear("M1", encode(Payload(now_ms(), metrics)))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        work = asyncio.create_task(self.commander.run())
        try:
            yield
        finally:
            work.cancel()
            await asyncio.wait([work])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path / "node.sqlite")
    yield one
    one.buffer.close()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "done"), (CommandRefusedError("locked"), "refused"), (SourceUnavailableError("away"), "failed")],
)
async def test_the_outcome_is_the_machines(bench: Bench, error: Exception | None, outcome: str) -> None:
    bench.hands.error = error
    await bench.bear()
    async with bench.running():
        bench.hear("c-1")
        await bench.until(lambda: len(bench.results) == 1)
    told = bench.results[0]
    assert (told["id"], told["command"], told["outcome"], told["reason"]) == ("c-1", "speed", outcome, str(error or ""))
    assert bench.commander.outcomes == {outcome: 1}


async def test_a_result_waits_until_its_device_is_there_again(bench: Bench) -> None:
    await bench.bear()
    write = bench.hands.write

    async def write_and_go(device: str, point: str, value: Value) -> None:
        await write(device, point, value)
        await bench._store(Tick(deaths=("M1",)))

    bench.hands.write = write_and_go  # type: ignore[method-assign]
    memory = CommandMemory(bench.buffer)
    async with bench.running():
        bench.hear("c-1")
        await bench.until(lambda: bool(memory.waiting()))
        assert bench.results == []
        await bench.bear()
        await bench.until(lambda: len(bench.results) == 1 and not memory.waiting())
    assert bench.results[0]["outcome"] == "done"


async def test_a_command_to_a_device_that_is_away_does_not_act(bench: Bench) -> None:
    async with bench.running():
        bench.hear("c-1")
        await asyncio.wait_for(_heard_all(bench), 20)
        await bench.bear()
        bench.hear("c-2")
        await bench.until(lambda: bool(bench.results))
    assert bench.results[0]["id"] == "c-2"
    assert bench.hands.written == [5.0]


async def test_what_the_disk_cannot_remember_does_not_act(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise BufferUnavailableError("the disk is full")

    monkeypatch.setattr(CommandMemory, "begin", refuse)
    await bench.bear()
    async with bench.running():
        bench.hear("c-1")
        await bench.until(lambda: len(bench.results) == 1)
    assert bench.results[0]["outcome"] == "refused"
    assert "cannot remember" in bench.results[0]["reason"]
    assert bench.hands.written == []


async def test_a_result_outlasts_a_disk_that_refuses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commander, "DISK_PAUSE_S", 0.01)
    end, refusals = CommandMemory.end, [1, 2, 3]

    def refuse_at_first(memory: CommandMemory, id_: str, device_id: str, at: int, body: str) -> None:
        if refusals:
            refusals.pop()
            raise BufferUnavailableError("the disk is full")
        end(memory, id_, device_id, at, body)

    monkeypatch.setattr(CommandMemory, "end", refuse_at_first)
    await bench.bear()
    async with bench.running():
        bench.hear("c-1")
        await bench.until(lambda: len(bench.results) == 1)
    assert (bench.hands.written, refusals, bench.results[0]["outcome"]) == ([5.0], [], "done")


async def test_a_flood_is_refused_and_does_not_fill_the_buffer(bench: Bench) -> None:
    await bench.bear()
    for at in range(2 * MOST_WAITING):
        bench.hear(f"c-{at}", value=99.0)
    async with bench.running():
        await bench.until(lambda: len(bench.results) == REFUSALS_TOLD_A_MINUTE)
        bench.hear("good")
        await bench.until(lambda: len(bench.results) > REFUSALS_TOLD_A_MINUTE)
    assert [one["outcome"] for one in bench.results] == ["refused"] * REFUSALS_TOLD_A_MINUTE + ["done"]
    assert bench.commander.outcomes == {"refused": 2 * MOST_WAITING, "done": 1}
    assert bench.hands.written == [5.0]


def test_ids_outlive_their_expiry_and_are_forgotten_at_last(bench: Bench) -> None:
    memory = CommandMemory(bench.buffer)
    assert memory.begin("c-1", "M1", "speed", 1000)
    assert not memory.begin("c-1", "M1", "speed", 1000)
    assert memory.unfinished() == [("c-1", "M1", "speed")]
    memory.end("c-1", "M1", 2000, "{}")
    assert memory.unfinished() == []
    memory.end("", "M1", 1000 + KEPT_MS, "{}")
    assert memory.seen() == {"c-1": 1000}
    memory.end("", "M1", 1001 + KEPT_MS, "{}")
    assert memory.seen() == {}
    with contextlib.closing(sqlite3.connect(bench.buffer.path)) as file:
        assert file.execute("select count(*) from command_result").fetchone() == (3,)


async def _heard_all(bench: Bench) -> None:
    """The commands heard so far were looked at."""
    while bench.commander._waiting:
        await asyncio.sleep(0.005)
