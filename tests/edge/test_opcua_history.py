"""What the server measured while nobody listened is read from its history: no gap, no duplicate, in order."""

import asyncio
import random
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from fault_proxy import FaultProxy
from opcua_harness import Collector, count, last_position, points, rows, source, to_the_ms, wait_until
from opcua_machine import OTHER, PLANT, START_US, Machine, MachineProcess, moment
from source_harness import entered, samples, until
from structlog.testing import capture_logs

from vigia.edge.samples import Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.opcua import track

pytestmark = pytest.mark.xdist_group("opcua")


@pytest.fixture(autouse=True)
def _record_as_before(opcua_machine: Machine) -> None:
    record = opcua_machine.record
    record.page, record.points_on, record.delay_s = 10_000, True, 0.0
    record.asked.clear()


async def first_run(machine: Machine, name: str, *, history: bool = True) -> str | None:
    """A node, and the position after its first value was stored."""
    machine.add(name, history=history)
    async with entered(source(machine.url, points(name))) as stream:
        return last_position(await until(stream, lambda got: count(got) == 1))


async def second_run(machine: Machine, name: str, position: str | None, samples_wanted: int, **settings: object) -> list[Tick]:
    one = source(machine.url, points(name), **settings)
    one.resume(position)
    async with entered(one) as stream:
        return await until(stream, lambda got: count(got) >= samples_wanted)


def measure(machine: Machine, name: str, steps: range) -> None:
    for step in steps:
        machine.write(name, float(step), START_US + step * 1000)


@pytest.mark.parametrize(("page", "asked", "points_on"), [(10_000, 1000, True), (3, 1000, True), (3, 3, False), (10_000, 4, True)])
async def test_what_was_missed_is_read_in_order(opcua_machine: Machine, page: int, asked: int, points_on: bool) -> None:  # noqa: FBT001
    name = f"missed {page} {asked}"
    position = await first_run(opcua_machine, name)
    measure(opcua_machine, name, range(1, 12))
    opcua_machine.record.page, opcua_machine.record.points_on = page, points_on
    ticks = await second_run(opcua_machine, name, position, 11, history_page=asked)
    assert rows(samples(ticks)) == to_the_ms(opcua_machine.rows(name))[1:]
    assert all(sample.received is None for sample in samples(ticks)), "old readings say nothing about clocks"


async def test_a_position_in_the_middle_of_the_history_goes_on_from_there(opcua_machine: Machine) -> None:
    position = await first_run(opcua_machine, "midway")
    measure(opcua_machine, "midway", range(1, 10))
    opcua_machine.record.page = 2
    told = await second_run(opcua_machine, "midway", position, 4)
    rest = await second_run(opcua_machine, "midway", last_position(told), 9 - count(told))
    assert rows(samples(told + rest)) == to_the_ms(opcua_machine.rows("midway"))[1:]


async def test_a_node_without_history_is_not_asked_for_it(opcua_machine: Machine) -> None:
    position = await first_run(opcua_machine, "forgetful", history=False)
    measure(opcua_machine, "forgetful", range(1, 4))
    ticks = await second_run(opcua_machine, "forgetful", position, 1)
    assert [value for *_, value in rows(samples(ticks))] == [3.0]
    assert opcua_machine.record.asked == []


async def test_history_is_not_read_where_it_is_not_wanted(opcua_machine: Machine) -> None:
    position = await first_run(opcua_machine, "unwanted")
    measure(opcua_machine, "unwanted", range(1, 4))
    await second_run(opcua_machine, "unwanted", position, 1, history=False)
    assert opcua_machine.record.asked == []


async def test_a_record_that_lags_is_waited_for(opcua_machine: Machine) -> None:
    position = await first_run(opcua_machine, "lagging")
    measure(opcua_machine, "lagging", range(1, 6))
    kept = opcua_machine.record.values[opcua_machine.nodes["lagging"].nodeid]
    late = [kept.pop(), kept.pop()]
    one = source(opcua_machine.url, points("lagging"))
    one.resume(position)
    async with entered(one) as stream:
        told = await until(stream, lambda got: count(got) == 3)
        kept.extend(reversed(late))
        told += await until(stream, lambda got: count(got) == 2)
    assert rows(samples(told)) == to_the_ms(opcua_machine.rows("lagging"))[1:]


async def test_a_server_that_refuses_its_history_is_said_and_read_on(opcua_machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigia.edge.sources.opcua.history.PAUSES_S", (0.01, 0.01))
    position = await first_run(opcua_machine, "refused")
    measure(opcua_machine, "refused", range(1, 4))
    with capture_logs() as logs, opcua_machine.without_history(ua.StatusCodes.BadHistoryOperationUnsupported):
        ticks = await second_run(opcua_machine, "refused", position, 1)
    assert [value for *_, value in rows(samples(ticks))] == [3.0]
    assert [(log["event"], log["point"]) for log in logs] == [("history cannot be read; what was missed is lost", "press/refused")]


async def test_values_that_the_servers_queue_lost_are_read_from_its_history(opcua_machine: Machine) -> None:
    opcua_machine.add("bursts", history=True)
    group = {"name": "short", "publishing_s": 0.2, "sampling_s": 0, "queue_size": 2}
    with opcua_machine.honest_queues():
        async with entered(source(opcua_machine.url, points("bursts", group="short"), group=[group])) as stream:
            told = await until(stream, lambda got: count(got) == 1)
            measure(opcua_machine, "bursts", range(1, 10))
            told += await until(stream, lambda got: count(told + got) == 10)
    assert rows(samples(told)) == to_the_ms(opcua_machine.rows("bursts"))


async def test_lost_values_without_history_are_said_once(opcua_machine: Machine) -> None:
    opcua_machine.add("short")
    group = {"name": "short", "publishing_s": 0.1, "sampling_s": 0, "queue_size": 2}
    with opcua_machine.honest_queues(), capture_logs() as logs:
        async with entered(source(opcua_machine.url, points("short", group="short"), group=[group])) as stream:
            await until(stream, lambda got: count(got) == 1)
            for start in (1, 20):
                measure(opcua_machine, "short", range(start, start + 9))
                await until(stream, lambda got: count(got) == 2)
    assert [log["event"] for log in logs] == ["values were lost in the server; raise queue_size or publish more often"]


async def test_memory_is_bounded_while_a_long_history_is_read(opcua_machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "MOST_HELD", 5)
    position = await first_run(opcua_machine, "long")
    measure(opcua_machine, "long", range(1, 60))
    opcua_machine.record.delay_s, opcua_machine.record.page = 0.02, 4
    one = source(opcua_machine.url, points("long"))
    one.resume(position)
    held = []
    async with entered(one) as stream:
        told: list[Tick] = []
        measured = 60
        async for tick in stream:
            told.append(tick)
            held.append(len(one.items[0].track.held))
            if measured < 100:
                measure(opcua_machine, "long", range(measured, measured + 4))
                measured += 4
            elif count(told) >= 99:
                break
    assert rows(samples(told)) == to_the_ms(opcua_machine.rows("long"))[1:]
    assert max(held) <= 5


# ── faults ──


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 30))])
async def test_told_is_the_record_however_the_link_and_the_gateway_break(opcua_machine: Machine, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    names = [f"broken {seed} {number}" for number in range(3)]
    for name in names:
        opcua_machine.add(name, history=True)
    with FaultProxy(("127.0.0.1", opcua_machine.port)) as proxy:
        url = f"opc.tcp://127.0.0.1:{proxy.port}/press"
        collector = Collector(lambda: source(url, points(*names), keepalive_s=0.5, timeout_s=1.0))
        async with collector.running():
            await wait_until(lambda: len(collector.samples) >= 3)
            step = 0
            for _ in range(6):
                chance.choice([proxy.reset, proxy.half_open, collector.kill])()
                for _ in range(chance.randrange(5, 40)):
                    step += 1
                    await asyncio.to_thread(measure, opcua_machine, chance.choice(names), range(step, step + 1))
                lives = collector.lives
                proxy.reset()
                await wait_until(lambda lives=lives: collector.lives > lives)  # type: ignore[misc]
            wanted = sum(len(opcua_machine.rows(name)) for name in names)
            await wait_until(lambda: len(collector.samples) >= wanted)
        assert opcua_machine.record.asked, "nothing was missed: the test proves nothing"
        for name in names:
            told = [row for row in rows(collector.samples) if row[0] == name]
            assert told == to_the_ms(opcua_machine.rows(name))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_a_killed_server_that_comes_back_with_other_namespace_indexes_loses_nothing(tmp_path: Path) -> None:
    machine = MachineProcess(tmp_path / "record.jsonl", free_port())
    url = f"opc.tcp://127.0.0.1:{machine.port}/press"
    collector = Collector(lambda: source(url, points("counter"), keepalive_s=1.0, timeout_s=1.0))
    machine.start([OTHER, PLANT])
    try:
        async with collector.running():
            await wait_until(lambda: len(collector.samples) >= 20)
            machine.kill()
            killed = len(machine.rows())
            machine.start([PLANT, OTHER])
            await wait_until(lambda: len(collector.samples) >= killed + 20)
    finally:
        machine.kill()
    told = [(us // 1000, value) for us, value in machine.rows()]
    got = [(ts, value) for _, ts, value in rows(collector.samples)]
    assert got == told[told.index(got[0]) : told.index(got[0]) + len(got)]
    assert collector.why, "the kill was noticed"


async def test_a_half_open_line_is_found_in_one_and_a_half_keep_alives_and_its_socket_closed(opcua_machine: Machine) -> None:
    opcua_machine.add("halved")
    with FaultProxy(("127.0.0.1", opcua_machine.port)) as proxy:
        one = source(f"opc.tcp://127.0.0.1:{proxy.port}/press", points("halved"), keepalive_s=1.0)
        async with entered(one) as stream:
            await until(stream, lambda got: count(got) == 1)
            assert one._client is not None
            protocol = one._client.uaclient.protocol
            proxy.half_open()
            cut = time.monotonic()
            with pytest.raises(SourceUnavailableError, match="the connection to the server is lost"):
                await until(stream, lambda _: False)
            found = time.monotonic()
        assert found - cut < 1.5 + 0.5
        assert time.monotonic() - found < 3.0, "leaving takes a bounded time"
        await wait_until(lambda: protocol.transport is None)


async def test_a_subscription_that_the_server_lost_is_found(opcua_machine: Machine) -> None:
    opcua_machine.add("silent")
    async with entered(source(opcua_machine.url, points("silent"), keepalive_s=0.5, timeout_s=0.5)) as stream:
        await until(stream, lambda got: count(got) == 1)
        opcua_machine.end_subscriptions()
        with pytest.raises(SourceUnavailableError, match="the server tells nothing any more"):
            await until(stream, lambda _: False)


async def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(SourceUnavailableError, match=r"opc.tcp://127.0.0.1:\d+/press: no connection: "):
        await source(f"opc.tcp://127.0.0.1:{free_port()}/press", points("x")).__aenter__()


async def test_a_server_that_never_answers_is_one_sentence_in_a_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        one = source(f"opc.tcp://127.0.0.1:{mute.getsockname()[1]}/press", points("x"), timeout_s=0.2)
        with pytest.raises(SourceUnavailableError, match="the server does not answer"):
            await one.__aenter__()


async def test_a_server_that_speaks_something_else_is_one_sentence() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(SourceUnavailableError, match=r"opc\.tcp://"):
        await source(f"opc.tcp://127.0.0.1:{port}/press", points("x"), timeout_s=0.5).__aenter__()
    server.close()


@pytest.mark.parametrize("position", ["[123, 7]", "line 7", '{"press": 7}', '{"press": {"x": "7"}}', '"press"'])
def test_a_position_of_another_source_is_a_first_start(position: str) -> None:
    one = source("opc.tcp://127.0.0.1", points("x"))
    one.resume(position)
    assert one.items[0].track.stored_us is None


class NoisyProxy(FaultProxy):
    """A line that spoils some bytes of what the server answers."""

    def __init__(self, upstream: tuple[str, int], seed: int) -> None:
        super().__init__(upstream)
        self._chance = random.Random(seed)  # noqa: S311
        self._share = self._chance.choice([0.0002, 0.002, 0.02])

    async def _pass(self, line: Any, reader: Any, writer: asyncio.StreamWriter, *, answers: bool) -> None:  # noqa: ANN401
        await super()._pass(line, self._spoiled(reader) if answers else reader, writer, answers=answers)

    def _spoiled(self, reader: asyncio.StreamReader) -> SimpleNamespace:
        async def read(most: int) -> bytes:
            data = await reader.read(most)
            return bytes(self._chance.randrange(256) if self._chance.random() < self._share else byte for byte in data)

        return SimpleNamespace(read=read)


@pytest.mark.parametrize("seed", [4, 5, 11, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 60))])
async def test_spoiled_answers_make_it_unavailable_and_nothing_worse(opcua_machine: Machine, seed: int) -> None:
    opcua_machine.add(f"spoiled {seed}", history=True)
    with NoisyProxy(("127.0.0.1", opcua_machine.port), seed) as proxy:
        url = f"opc.tcp://127.0.0.1:{proxy.port}/press"
        collector = Collector(lambda: source(url, points(f"spoiled {seed}"), keepalive_s=0.5, timeout_s=0.2, look_again_s=0.2))
        async with collector.running():
            for step in range(1, 400):
                await asyncio.to_thread(measure, opcua_machine, f"spoiled {seed}", range(step, step + 1))
                if collector.failed is not None or sum(collector.heard) > 60:
                    break
            assert collector.failed is None


async def test_a_value_that_is_older_than_what_is_stored_is_told_too(opcua_machine: Machine) -> None:
    position = await first_run(opcua_machine, "clock")
    opcua_machine.tell("clock", ua.DataValue(ua.Variant(7.0), SourceTimestamp=moment(START_US - 5000)))
    ticks = await second_run(opcua_machine, "clock", position, 1)
    assert rows(samples(ticks)) == [("clock", (START_US - 5000) // 1000, 7.0)]
