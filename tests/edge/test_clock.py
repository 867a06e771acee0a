"""A clock that is wrong is found out and said, and what it dated is dated right."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from edge_harness import Host
from pydantic import BaseModel
from structlog.testing import capture_logs

from vigia.edge import clock as module
from vigia.edge.buffer import EdgeBuffer
from vigia.edge.clock import Clock, MachineClocks
from vigia.edge.config import BrokerConfig, NodeConfig
from vigia.edge.node import EdgeNode
from vigia.edge.samples import Device, Point, Sample, Tick
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.topics import MessageType

NOON_MS = 1_774_440_000_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@dataclass
class World:
    """The time that it is, and what a system's clock makes of it."""

    now_ms: int = NOON_MS
    wrong_by_ms: int = 0

    def passes(self, ms: int) -> None:
        self.now_ms += ms

    @property
    def clock(self) -> Clock:
        return Clock(lambda: (self.now_ms + self.wrong_by_ms) * 1_000_000, lambda: (self.now_ms - NOON_MS + 12_345) * 1_000_000)


def test_the_systems_time_holds_until_the_host_is_heard() -> None:
    world = World(wrong_by_ms=DAY_MS)
    clock = world.clock
    assert (clock.now_ms(), clock.is_sure) == (NOON_MS + DAY_MS, False)


@pytest.mark.parametrize("wrong_by_ms", [5 * MINUTE_MS, -5 * MINUTE_MS, DAY_MS, -DAY_MS, -NOON_MS])
def test_a_clock_that_is_wrong_is_said_and_the_hosts_time_holds(wrong_by_ms: int) -> None:
    world = World(wrong_by_ms=wrong_by_ms)
    clock = world.clock
    with capture_logs() as logs:
        for _ in range(3):
            clock.hear(world.now_ms)
            world.passes(1000)
    assert (clock.now_ms(), clock.is_sure) == (world.now_ms, True)
    world.passes(DAY_MS)
    assert clock.now_ms() == world.now_ms
    assert [(log["event"], log["behind_s"]) for log in logs] == [("the gateway's clock is wrong", -wrong_by_ms / 1000)]
    with capture_logs() as logs:
        world.wrong_by_ms = 0
        clock.hear(world.now_ms)
    assert [log["event"] for log in logs] == ["the gateway's clock is right again"]


@pytest.mark.parametrize("jump_ms", [5 * MINUTE_MS, -5 * MINUTE_MS, DAY_MS, -DAY_MS, HOUR_MS, -HOUR_MS])
def test_a_clock_that_jumps_moves_nothing_once_the_host_was_heard(jump_ms: int) -> None:
    world = World()
    clock = world.clock
    clock.hear(world.now_ms)
    world.wrong_by_ms = jump_ms
    assert clock.now_ms() == world.now_ms


def test_a_word_of_the_host_that_was_long_on_its_way_is_not_believed() -> None:
    world = World()
    clock = world.clock
    clock.hear(world.now_ms)
    clock.hear(world.now_ms - 2 * MINUTE_MS)
    assert clock.now_ms() == world.now_ms
    clock.hear(world.now_ms)
    clock.hear(world.now_ms - 3 * MINUTE_MS)
    assert clock.now_ms() == world.now_ms


def test_a_small_difference_is_the_systems_business() -> None:
    world = World(wrong_by_ms=59_000)
    clock = world.clock
    clock.hear(world.now_ms)
    clock.hear(world.now_ms)
    assert clock.now_ms() == world.now_ms + 59_000


# ── the machines' clocks ──


def sample(ts: int, received: int | None, device: str = "d", quality: int = 192) -> Sample:
    return Sample(device, "p", ts, 1, quality, received)


def sure(*, is_sure: bool = True) -> MachineClocks:
    return MachineClocks("air/bcn", lambda: is_sure)


@pytest.mark.parametrize("wrong_by_ms", [5 * MINUTE_MS, -5 * MINUTE_MS, DAY_MS, -DAY_MS, HOUR_MS])
def test_what_a_wrong_clock_dated_is_dated_right_and_keeps_what_it_said(wrong_by_ms: int) -> None:
    clocks = sure()
    told = [sample(NOON_MS + wrong_by_ms + at, NOON_MS + at + 20) for at in range(0, 5000, 1000)]
    right = [one for tick in told for one in clocks.correct([tick])]
    assert [(one.ts, one.received, one.source_ts) for one in right] == [
        (NOON_MS + at + 20, NOON_MS + at + 20, NOON_MS + wrong_by_ms + at) for at in range(0, 5000, 1000)
    ]
    assert clocks.worst_ms == 20 - wrong_by_ms


def test_a_clock_that_is_nearly_right_is_left_alone() -> None:
    clocks = sure()
    told = (sample(NOON_MS, NOON_MS + 60_000), sample(NOON_MS, None))
    assert clocks.correct(told) == told


def test_a_gateway_that_is_not_sure_of_its_own_time_corrects_nobody_and_says_so_all_the_same() -> None:
    clocks = sure(is_sure=False)
    told = (sample(NOON_MS + DAY_MS, NOON_MS),)
    with capture_logs() as logs:
        assert clocks.correct(told) == told
    assert [(log["event"], log["device"], log["behind_s"]) for log in logs] == [("the machine's clock is wrong", "d", -86_400)]


def test_each_machine_has_its_own_clock() -> None:
    clocks = sure()
    told = [sample(NOON_MS + DAY_MS, NOON_MS), sample(NOON_MS, NOON_MS + 1, "e"), sample(NOON_MS, NOON_MS + 10 * MINUTE_MS, "f")]
    assert [one.ts for one in clocks.correct(told)] == [NOON_MS, NOON_MS, NOON_MS + 10 * MINUTE_MS]
    assert clocks.worst_ms == -DAY_MS


def test_readings_that_are_old_keep_their_times_and_bad_ones_do_not() -> None:
    clocks = sure()
    clocks.correct([sample(NOON_MS + DAY_MS, NOON_MS)])
    old, bad = sample(NOON_MS - DAY_MS, None), sample(NOON_MS + DAY_MS + 10, None, quality=0)
    assert [one.ts for one in clocks.correct([old, bad])] == [old.ts, NOON_MS + 10]


def test_a_slow_line_moves_times_by_little_and_spaces_them_as_the_machine_did() -> None:
    clocks = sure()
    clocks.correct([sample(NOON_MS + DAY_MS, NOON_MS + 20)])
    late = [sample(NOON_MS + DAY_MS + at, NOON_MS + 8_000) for at in (1000, 1100, 1200)]
    first, second, third = [one.ts for one in clocks.correct(late)]
    assert 20 <= first - NOON_MS - 1000 < 1000
    assert (second - first, third - second) == (100, 100)


@pytest.mark.parametrize(
    "wrong_by_min",
    [
        lambda _minute: 5,
        lambda _minute: -1440,
        lambda minute: 5 if minute < 700 else -5,
        lambda minute: 1440 if minute < 700 else 0,
        lambda minute: 60 if minute >= 180 else 0,  # summer time, by a clock that should know none
        lambda minute: -60 if minute >= 180 else 0,
    ],
    ids=["5 min ahead", "a day behind", "set back 10 min", "set back a day", "summer time begins", "summer time ends"],
)
def test_a_day_is_the_same_by_any_clock(wrong_by_min: Callable[[int], int]) -> None:
    clocks = sure()
    told = [sample(NOON_MS + (minute + wrong_by_min(minute)) * MINUTE_MS, NOON_MS + minute * MINUTE_MS) for minute in range(1440)]
    assert [one.ts for each in told for one in clocks.correct([each])] == [NOON_MS + minute * MINUTE_MS for minute in range(1440)]


# ── all the way ──


class Scripted:
    """A source that tells what it is given."""

    Config: ClassVar[type[BaseModel]] = BaseModel

    def __init__(self, _config: Any, _folder: Path) -> None:  # noqa: ANN401 - as a source has it
        self.ticks: asyncio.Queue[Tick] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    async def __aiter__(self) -> AsyncIterator[Tick]:
        while True:
            yield await self.ticks.get()

    def resume(self, position: str | None) -> None: ...


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_both_times_reach_the_host(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.clock, "_ahead_of_steady_ms", None)
    config = NodeConfig(group_id="air", node_id="bcn", ack_timeout_s=1.0, heartbeat_s=0.5, source={})
    buffer = EdgeBuffer(tmp_path / "buffer.sqlite")
    source = Scripted(None, tmp_path)
    node = EdgeNode(config, BrokerConfig(url=host.url), buffer, source)
    work = asyncio.create_task(node.run())
    source.ticks.put_nowait(Tick(births=(Device("d", "1", "m", (Point("p", DataType.INT64),)),), samples=(sample(1000, 1000),)))
    await until(lambda: module.clock.is_sure)
    source.ticks.put_nowait(Tick((sample(NOON_MS + DAY_MS, NOON_MS),)))
    await until(lambda: len(host.rows) == 2)
    assert host.rows[1] == ("d", "p", NOON_MS, 1)
    (metric, *_) = host.payloads(MessageType.DDATA)[1].metrics
    assert metric.properties == {names.SOURCE_TIME: NOON_MS + DAY_MS}
    assert node.source.skew_ms == -DAY_MS
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    buffer.close()
