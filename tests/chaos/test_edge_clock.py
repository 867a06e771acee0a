"""Row 8: clocks of machines and of the gateway are 5 minutes or a day off, are set back, or keep summer time."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from chaos_account import Account, query
from chaos_fleet import DEVICES, GROUP, HZ, NODES, START_MS, Gateway, device_id, node_id
from chaos_plant import plant
from chaos_processes import Process, ingest, running, wait_for
from pydantic import BaseModel

from vigia.edge.buffer import EdgeBuffer, buffer_status
from vigia.edge.clock import clock
from vigia.edge.config import BrokerConfig, NodeConfig
from vigia.edge.node import EdgeNode
from vigia.edge.samples import Device, Point, Sample, Tick
from vigia.sparkplug.datatypes import DataType
from vigia.supervisor.broker import RunningBroker

DAYS = 2
DAY_MIN = 1440
MINUTE_MS = 60_000
POINTS = (Point("state", DataType.INT32, kind="state"), Point("T50", DataType.DOUBLE))
# By how many minutes the clock of each machine at the second node is wrong, by the minutes that have passed.
WRONG_BY_MIN: tuple[Callable[[int], int], ...] = (
    lambda _minute: 5,
    lambda _minute: -DAY_MIN,
    lambda minute: DAY_MIN if minute < DAY_MIN else 0,  # set back by a day
    lambda minute: 60 if 360 <= minute < DAY_MIN + 360 else 0,  # summer time for a day
)
ROWS = """
select right(asset.serial_number, 2), point.name, ts, value, quality
from telemetry join point using (point_id) join asset using (asset_id) where serial_number like 'SN-N{node}%' order by 1, 2, 3, 4
"""
STATES = """
select right(role.name, 2), category, started_at, ended_at
from state_interval join role using (role_id) where role.name like 'N{node}%' order by 1, 3
"""
OPEN_JOBS = "select from jobs.procrastinate_jobs where task_name = 'record_state' and status in ('todo', 'doing')"
WRONG_BY_S = (300, -300, 86_400, -86_400, 3_600)


# ── the machines' clocks ──


def value(device: int, minute: int) -> float:
    return 500 + (device * 7919 + minute * 31) % 800 / 8


def runs(minute: int) -> int:
    return 0 if 500 <= minute % DAY_MIN < 620 else 1


class Machines:
    """The machines of one node, which tell their state and a temperature every `step` minutes of two days by their own clocks."""

    Config: ClassVar[type[BaseModel]] = BaseModel

    def __init__(self, node: int, step: int) -> None:
        self._node, self._step = node, step
        self.done = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    def resume(self, position: str | None) -> None: ...

    async def __aiter__(self) -> AsyncIterator[Tick]:
        names = [device_id(self._node, device) for device in range(DEVICES)]
        devices = tuple(Device(name, f"SN-{name}", "cmapss-fd001", POINTS) for name in names)
        yield Tick(births=devices, standing=tuple(Sample(name, "state", START_MS, 1) for name in names))
        while not clock.is_sure:  # the host has not been heard yet
            await asyncio.sleep(0.01)
        for minute in range(self._step, DAYS * DAY_MIN, self._step):
            yield Tick(tuple(self._told(minute, names)))
        self.done = True
        await asyncio.Event().wait()

    def _told(self, minute: int, names: list[str]) -> Iterator[Sample]:
        now_ms = START_MS + minute * MINUTE_MS
        for device, name in enumerate(names):
            said_ms = now_ms + (WRONG_BY_MIN[device](minute) * MINUTE_MS if self._node else 0)
            yield Sample(name, "state", said_ms, runs(minute), received=now_ms)
            yield Sample(name, "T50", said_ms, value(device, minute), received=now_ms)


async def tell(folder: Path, url: str, step: int) -> list[int]:
    """Both nodes tell everything; the newest number of each."""
    async with contextlib.AsyncExitStack() as exits:
        buffers, sources = [], [Machines(node, step) for node in range(NODES)]
        for node, source in enumerate(sources):
            buffer = EdgeBuffer(folder / f"{node}.sqlite")
            exits.callback(buffer.close)
            buffers.append(buffer)
            config = NodeConfig(group_id=GROUP, node_id=node_id(node), source={})
            work = asyncio.create_task(EdgeNode(config, BrokerConfig(url=url), buffer, source).run())
            exits.push_async_callback(asyncio.wait, [work])
            exits.callback(work.cancel)
        async with asyncio.timeout(600):
            while not all(
                source.done and buffer.acknowledged == buffer.newest > 0 for source, buffer in zip(sources, buffers, strict=True)
            ):
                await asyncio.sleep(0.05)
        return [buffer.newest for buffer in buffers]


def minutes_down(states: Iterable[tuple[Any, ...]]) -> float:
    return sum((ended - started).total_seconds() / 60 for _, category, started, ended in states if category == "supplier_down" and ended)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("step", [pytest.param(20, id="short"), pytest.param(1, id="full", marks=pytest.mark.chaos)])
def test_the_clocks_of_machines_are_wrong(
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], step: int
) -> None:
    receiver = ingest(tmp_path, chaos_dsn, broker.url)
    worker = Process(["worker", "run", "--dsn", chaos_dsn], tmp_path / "worker.log")
    with running(receiver, worker):
        asyncio.run(tell(tmp_path, broker.url, step))
        wait_for(lambda: not query(chaos_dsn, OPEN_JOBS), f"jobs; worker: {worker.words[-2000:]}")
    clean, wrong = (query(chaos_dsn, ROWS.replace("{node}", str(node))) for node in range(NODES))
    states = [query(chaos_dsn, STATES.replace("{node}", str(node))) for node in range(NODES)]
    assert query(chaos_dsn, "select * from ledger_hole") == []
    assert query(chaos_dsn, "select reason, detail from dead_letter limit 5") == []
    sent = len(range(step, DAYS * DAY_MIN, step)) * DEVICES * len(POINTS)
    keep(
        Account(
            8,
            f"clocks of {DEVICES} machines wrong for {DAYS} days",
            sent=sent,
            stored=len(wrong),
            lost=len(set(clean) - set(wrong)),
            recovered=sent,
            unexpected=len(set(wrong) - set(clean)),
            duplicated=len(wrong) - len(set(wrong)),
            more={"minutes_down": f"{minutes_down(states[1]):.0f} (by right clocks {minutes_down(states[0]):.0f})"},
        )
    )
    assert len(clean) == sent
    assert len(states[0]) > DEVICES
    assert states[0] == states[1]


# ── the gateway's clock ──


class SkewedGateway(Gateway):
    """Its system's clock is wrong, by `set` seconds."""

    def __init__(self, folder: Path, broker: str, hours: int) -> None:
        super().__init__(folder, broker, hours)
        self._said = folder / "wrong_by_s"
        self.set(0)
        self.process.program = (str(Path(__file__).parent / "skewed_gateway.py"), str(self._said))

    def set(self, wrong_by_s: float) -> None:
        whole = self._said.with_name("next")
        whole.write_text(str(wrong_by_s))
        whole.rename(self._said)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("wrong_by_s", "each_s"),
    [pytest.param((86_400, -300), 0.5, id="short"), pytest.param(WRONG_BY_S, 30, id="full", marks=pytest.mark.chaos)],
)
def test_the_clock_of_the_gateway_is_wrong(  # noqa: PLR0913, PLR0917 - fixtures
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], wrong_by_s: tuple[int, ...], each_s: float
) -> None:
    with plant(tmp_path, chaos_dsn, broker.url, hours=HZ * round(len(wrong_by_s) * each_s + 300), kind=SkewedGateway) as one:
        gateway = one.gateway
        assert isinstance(gateway, SkewedGateway)
        for number, seconds in enumerate(wrong_by_s, start=1):
            with one.fault():
                gateway.set(seconds)
                wait_for(lambda number=number: len(told(gateway)) == number, "a word on the clock")  # type: ignore[misc]
            until = gateway.hour + round(each_s * HZ)
            wait_for(lambda until=until: gateway.hour >= until, "time")  # type: ignore[misc]
            with one.fault():  # it is set right, the last time while the gateway is away
                if number == len(wrong_by_s):
                    gateway.process.stop()
                gateway.set(0)
                if not gateway.process.alive:
                    gateway.process.start()
        one.all_stored()
        statuses = [buffer_status(gateway.buffer(node)) for node in range(NODES)]
        assert [status and status.samples_dropped for status in statuses] == [0, 0]
        words = ", ".join(f"{float(behind_s):+.0f}" for behind_s in told(gateway))
        account = one.account(8, f"clock of the gateway wrong by {', '.join(map(str, wrong_by_s))} s", flagged_as_behind_s=words)
        assert gateway.process.alive
    keep(account)


def told(gateway: Gateway) -> list[str]:
    """How wrong the gateway found its clock to be."""
    return re.findall(r'event="the gateway\'s clock is wrong" behind_s=(\S+)', gateway.process.words)
