"""A source whose machine goes away is left, buried and entered again; nothing else of the gateway waits for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from edge_harness import Host
from pydantic import BaseModel
from structlog.testing import capture_logs

from vigia.edge import EdgeError, supervision
from vigia.edge.buffer import EdgeBuffer
from vigia.edge.config import BrokerConfig, NodeConfig, load_config
from vigia.edge.node import EdgeNode
from vigia.edge.samples import Device, Point, Sample, Tick
from vigia.edge.sources import SOURCES, SourceUnavailableError, source_class
from vigia.errors import ConfigError
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.topics import MessageType

NOON_MS = 1_774_440_000_000


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.02)


@dataclass
class Machine:
    """A machine on a port of its own that tells numbers, one a line, from the place that it is asked for."""

    numbers: list[int] = field(default_factory=list)
    port: int = 0
    asked: list[int] = field(default_factory=list)
    tried: int = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            at = int(await reader.readline())
            self.asked.append(at)
            while True:
                for number in self.numbers[at:]:
                    writer.write(f"{number}\n".encode())
                    at += 1
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


class LineSource:
    """Reads a Machine; the position is how many numbers were stored."""

    Config: ClassVar[type[BaseModel]] = BaseModel

    def __init__(self, config: Any, _folder: Path) -> None:  # noqa: ANN401
        self.machine: Machine = config
        self._told = 0
        self._last: int | None = None

    def resume(self, position: str | None) -> None:
        self._told = int(position or 0)

    async def __aenter__(self) -> Self:
        self.machine.tried += 1
        try:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.machine.port)
        except OSError:
            raise SourceUnavailableError("the machine is switched off") from None
        self._writer.write(f"{self._told}\n".encode())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.transport.abort()

    async def __aiter__(self) -> AsyncIterator[Tick]:
        standing = () if self._last is None else (Sample("press", "n", self._told, self._last),)
        yield Tick(births=(Device("press", "1", "m", (Point("n", DataType.INT64),)),), standing=standing)
        while True:
            try:
                line = await self._reader.readline()
            except OSError:
                line = b""
            if not line:
                raise SourceUnavailableError("the machine hung up")
            if line == b"-1\n":
                raise EdgeError("the machine tells nonsense")
            self._told += 1
            self._last = int(line)
            yield Tick((Sample("press", "n", NOON_MS + self._told, int(line), received=NOON_MS + int(line)),), position=str(self._told))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Plant:
    """A node with a LineSource on a real broker."""

    node: EdgeNode
    machine: Machine
    buffer: EdgeBuffer
    work: asyncio.Task[None]


@contextlib.asynccontextmanager
async def plant(folder: Path, url: str, *, machine_on: bool = True) -> AsyncIterator[Plant]:
    machine = Machine([7, 8, 9])
    await machine.start()
    if not machine_on:
        await machine.stop()
    config = NodeConfig(group_id="air", node_id="bcn", ack_timeout_s=1.0, heartbeat_s=0.5, source={})
    buffer = EdgeBuffer(folder / "buffer.sqlite")
    node = EdgeNode(config, BrokerConfig(url=url), buffer, LineSource(machine, folder))
    work = asyncio.create_task(node.run())
    yield Plant(node, machine, buffer, work)
    work.cancel()
    await asyncio.wait([work])
    await machine.stop()
    buffer.close()


async def test_a_machine_that_goes_is_a_death_and_comes_back_as_a_birth_without_loss(host: Host, tmp_path: Path) -> None:
    async with plant(tmp_path, host.url) as one:
        await until(lambda: len(host.rows) == 3)
        assert one.node.source.state == "running"
        await one.machine.stop()
        await until(lambda: MessageType.DDEATH in host.types)
        assert one.node.source.state != "running"
        assert one.node.source.why in ("the machine hung up", "the machine is switched off")
        one.machine.numbers += [10, 11]
        await one.machine.start()
        await until(lambda: len(host.rows) == 5)
        assert sorted(value for *_, value in host.rows) == [7, 8, 9, 10, 11]
        assert one.machine.asked == [0, 3]
        told = [kind for kind in host.types if kind not in (MessageType.NDATA, MessageType.DDATA)]
        assert told == [MessageType.NBIRTH, MessageType.DBIRTH, MessageType.DDEATH, MessageType.DBIRTH]
        assert (one.node.source.samples, one.node.source.state) == (5, "running")


async def test_a_birth_repeats_what_still_stands_and_nothing_is_stored_again(host: Host, tmp_path: Path) -> None:
    async with plant(tmp_path, host.url) as one:
        await until(lambda: len(host.rows) == 3)
        await one.machine.stop()
        await until(lambda: MessageType.DDEATH in host.types)
        await one.machine.start()
        await until(lambda: host.types.count(MessageType.DBIRTH) == 2)
        one.machine.numbers.append(10)
        await until(lambda: len(host.rows) == 4)
    first, second = [payload.metric("n") for payload in host.payloads(MessageType.DBIRTH)]
    assert first is not None
    assert second is not None
    assert (second.value, second.timestamp) == (9, 3)
    assert len(host.rows) == len(set(host.rows))


async def test_devices_of_an_earlier_run_die_when_their_machine_is_not_found_again(host: Host, tmp_path: Path) -> None:
    async with plant(tmp_path, host.url):
        await until(lambda: len(host.rows) == 3)
    async with plant(tmp_path, host.url, machine_on=False) as one:
        await until(lambda: MessageType.DDEATH in host.types)
        assert not [birth for birth in one.buffer.births().values() if birth.alive]


async def test_what_is_stored_is_sent_while_the_machine_is_away(host: Host, tmp_path: Path) -> None:
    host.acknowledging = False
    async with plant(tmp_path, host.url) as one:
        await until(lambda: one.node.source.samples == 3)
        await one.machine.stop()
        await until(lambda: one.node.source.state == "unavailable")
        host.acknowledging = True
        await until(lambda: one.buffer.acknowledged == one.buffer.newest == 3)


async def test_the_reason_is_logged_once_however_long_it_lasts(host: Host, tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with plant(tmp_path, host.url, machine_on=False) as one:
            await until(lambda: one.machine.tried >= 4)
    assert [log["why"] for log in logs if log["event"] == "source unavailable"] == ["the machine is switched off"]


async def test_a_source_that_cannot_be_understood_ends_the_node(host: Host, tmp_path: Path) -> None:
    async with plant(tmp_path, host.url) as one:
        await until(lambda: one.node.source.samples == 3)
        one.machine.numbers.append(-1)
        await until(one.work.done)
        with pytest.raises(EdgeError, match="the machine tells nonsense"):
            one.work.result()


async def test_a_wrong_clock_is_said_once_and_once_more_when_it_is_right(host: Host, tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with plant(tmp_path, host.url) as one:
            one.machine.numbers += [60_005, 60_006, -60_001, 12]
            await until(lambda: one.node.source.samples == 7)
    told = [(log["event"], log["behind_s"]) for log in logs if "behind_s" in log]
    assert told == [("the machine's clock is wrong", 60.001), ("the machine's clock is right again", 0.005)]


def test_a_sample_keeps_when_it_was_received(tmp_path: Path) -> None:
    buffer = EdgeBuffer(tmp_path / "buffer.sqlite")
    device = Device("press", "1", "m", (Point("n", DataType.INT64),))
    samples = (Sample("press", "n", 1, 7), Sample("press", "n", 2, 8, received=5))
    buffer.append(Tick(samples, births=(device,)))
    assert buffer.take(1, 1, 1)[0].samples == samples
    buffer.close()


def test_every_source_can_be_found() -> None:
    assert all(source_class(kind).Config for kind in SOURCES)


def test_a_missing_library_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigia.edge.sources.SOURCES", {"replay": "no_such_library.source:Source"})
    config = tmp_path / "edge.toml"
    config.write_text(
        '[broker]\nurl = "mqtt://127.0.0.1"\n[buffer]\nfolder = "b"\n[[node]]\ngroup_id = "a"\nnode_id = "b"\n'
        '[node.source]\ntype = "replay"\n'
    )
    with pytest.raises(ConfigError, match=r"the replay source needs no_such_library, which is not installed; install vigia\[edge\]"):
        load_config(config)
