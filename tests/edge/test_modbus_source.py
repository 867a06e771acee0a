"""Machines that speak Modbus: every type is read, nobody spoils another's readings, and silence ends in bounded time."""

import asyncio
import itertools
import json
import logging
import tomllib
from pathlib import Path
from typing import Any

import pytest
from modbus_machine import Machine, Request
from pydantic import ValidationError
from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerRTU
from source_harness import entered, golden, load_sample, samples, travels, until
from structlog.testing import capture_logs

from vigia.edge.samples import Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.modbus.config import DeviceConfig, ModbusConfig
from vigia.edge.sources.modbus.source import ModbusSource
from vigia.edge.sources.modbus.unit import Unit
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD

FRAMERS = {"tcp": FramerType.SOCKET, "rtu": FramerType.RTU}


def source(port: int, table: dict[str, Any] | None = None, **settings: object) -> ModbusSource:
    return ModbusSource(ModbusConfig.model_validate({**(table or one_device()), "port": port, **settings}), Path())


def device(device_id: str = "P1", **settings: object) -> dict[str, object]:
    points = [{"name": f"r{address}", "table": "holding_register", "address": address} for address in (0, 1, 100)]
    return {"device_id": device_id, "serial": "SN-1", "model": "pump", "poll_s": 0.01, "point": points, **settings}


def one_device(**settings: object) -> dict[str, object]:
    return {"type": "modbus", "host": "127.0.0.1", "timeout_s": 10.0, "retries": 0, "device": [device(**settings)]}


def two_devices() -> dict[str, object]:
    return {**one_device(), "device": [device("P1"), device("P2", unit_id=2)]}


def memory(units: int = 1) -> dict[int, dict[str, list[object]]]:
    return {unit: {"holding_register": [[0, "0001 0002"], [100, "0064"]]} for unit in range(1, units + 1)}


def values(ticks: list[Tick], device_id: str = "P1") -> dict[str, object]:
    return {sample.point: sample.value for sample in samples(ticks) if sample.device == device_id}


@pytest.mark.parametrize("framing", FRAMERS)
@pytest.mark.parametrize("case", golden("modbus"), ids=lambda case: case.name)
async def test_the_golden_machines_are_read(case: Path, framing: str) -> None:
    units = {int(unit): said for unit, said in json.loads((case / "machine.json").read_text()).items()}
    async with Machine(units, FRAMERS[framing]) as machine:
        table = tomllib.loads((case / "source.toml").read_text())
        async with entered(source(machine.port, table, framing=framing)) as stream:
            tick = await anext(stream)
    expected = json.loads((case / "expected.json").read_text())
    assert {device_id: values([tick], device_id) for device_id in expected} == expected
    assert [born.device_id for born in tick.births] == list(expected)
    assert all(sample.quality == (QUALITY_BAD if sample.value is None else QUALITY_GOOD) for sample in tick.samples)
    assert travels(tick.births, tick.samples)
    requests = case / "requests.json"
    if requests.exists():
        assert [list(request) for _, request in machine.requests] == json.loads(requests.read_text())


async def test_points_are_announced_with_unit_and_type() -> None:
    table = tomllib.loads((golden("modbus")[1] / "source.toml").read_text())
    announced = {point.name: point for point in ModbusConfig.model_validate(table).device[0].device.points}
    assert (announced["scaled"].unit, announced["scaled"].datatype.name) == ("Cel", "DOUBLE")
    assert {announced[name].datatype.name for name in ("int16 abcd", "float32 dcba", "text", "bit 0", "coil on")} == {
        "INT16", "FLOAT", "STRING", "BOOLEAN",
    }  # fmt: skip
    assert announced["coil on"].kind == "state"


async def test_readings_are_dated_when_the_answer_came() -> None:
    async with Machine(memory()) as machine, entered(source(machine.port, one_device(poll_s=0.1))) as stream:
        first, second = await anext(stream), await anext(stream)
    assert first.births
    assert not second.births
    assert all(one.ts < two.ts for one, two in zip(first.samples, second.samples, strict=True))
    assert all(sample.received is None for sample in first.samples)


async def test_a_missing_address_is_looked_for_once() -> None:
    case = golden("modbus")[0]
    async with Machine({1: json.loads((case / "machine.json").read_text())["1"]}) as machine:
        table = tomllib.loads((case / "source.toml").read_text())
        table["device"][0]["poll_s"] = 0.01
        async with entered(source(machine.port, table)) as stream:
            await anext(stream)
            machine.requests.clear()
            await anext(stream)
    assert [request for _, request in machine.requests] == [
        ("holding_register", 0, 3), ("holding_register", 3, 1), ("holding_register", 4, 2),
    ]  # fmt: skip


async def test_a_refusal_is_bad_quality_told_once_and_spoils_no_other() -> None:
    def refuse(_unit: int, request: Request) -> ExcCodes | None:
        return ExcCodes.DEVICE_FAILURE if request[1] == 0 else None

    async with Machine(memory(), manners=refuse) as machine:
        with capture_logs() as logs:
            async with entered(source(machine.port)) as stream:
                got = [await anext(stream) for _ in range(3)]
                machine.manners = lambda _unit, _request: None
                got += await until(stream, lambda ticks: values(ticks)["r0"] == 1)
    assert values(got[:3]) == {"r0": None, "r1": None, "r100": 100}
    assert {sample.point for sample in samples(got[:3]) if sample.quality == QUALITY_BAD} == {"r0", "r1"}
    assert [(entry["code"], entry["why"], entry["block"]) for entry in logs if "code" in entry] == [
        (4, "server device failure", "holding_register 0-1")
    ]


async def test_a_block_that_is_refused_whole_is_not_halved_again_and_again() -> None:
    def refuse(_unit: int, request: Request) -> ExcCodes | None:
        return ExcCodes.ILLEGAL_ADDRESS if request[1] < 100 else None

    async with Machine(memory(), manners=refuse) as machine, entered(source(machine.port)) as stream:
        await anext(stream)
        machine.requests.clear()
        await anext(stream)
        assert [request[1:] for _, request in machine.requests] == [(0, 2), (100, 1)]
        machine.manners = lambda _unit, _request: None
        assert values(await until(stream, lambda ticks: values(ticks)["r1"] == 2)) == {"r0": 1, "r1": 2, "r100": 100}


async def test_a_busy_machine_is_asked_again() -> None:
    answers = itertools.chain([None] * 4, [ExcCodes.DEVICE_BUSY], itertools.repeat(None))
    async with Machine(memory(), manners=lambda _unit, _request: next(answers)) as machine:
        async with entered(source(machine.port, retries=1)) as stream:
            got = [await anext(stream) for _ in range(4)]
        assert all(values([tick]) == {"r0": 1, "r1": 2, "r100": 100} for tick in got)
        assert machine.requests[4] == machine.requests[5]


async def test_a_machine_that_goes_is_unavailable_and_is_born_again_when_it_returns() -> None:
    machine = Machine(memory())
    await machine.start()
    one = source(machine.port, timeout_s=1.0)
    async with entered(one) as stream:
        assert (await anext(stream)).births
        await machine.stop()
        with pytest.raises(SourceUnavailableError, match="no connection to"):
            await until(stream, lambda _: False)
    with pytest.raises(SourceUnavailableError):
        await one.__aenter__()
    await machine.start()
    one.resume(None)
    async with entered(one) as stream:
        tick = await anext(stream)
    assert tick.births
    assert values([tick]) == {"r0": 1, "r1": 2, "r100": 100}
    await machine.stop()


async def test_a_connection_closed_between_two_polls_is_opened_again() -> None:
    async with Machine(memory()) as machine, entered(source(machine.port, one_device(poll_s=0.2))) as stream:
        await anext(stream)
        for connection in list(machine._server.active_connections.values()):
            connection.close()
        assert not (await anext(stream)).births
    assert machine.connections == 2


async def test_a_silent_unit_dies_and_is_born_again_while_its_neighbours_go_on() -> None:
    async with Machine(memory(2)) as machine, entered(source(machine.port, two_devices(), timeout_s=0.5)) as stream:
        await until(stream, lambda ticks: {born.device_id for tick in ticks for born in tick.births} == {"P1", "P2"})
        machine.silent.add(2)
        with capture_logs() as logs:
            got = await until(stream, lambda ticks: any(tick.deaths for tick in ticks))
            got += await until(stream, lambda ticks: len(ticks) > 20)
        assert [tick.deaths for tick in got if tick.deaths] == [("P2",)]
        assert [entry["unit_id"] for entry in logs if entry["event"] == "device does not answer"] == [2]
        assert values(got) == {"r0": 1, "r1": 2, "r100": 100}
        machine.silent.clear()
        got = await until(stream, lambda ticks: bool(values(ticks, "P2")))
        assert [born.device_id for born in got[-1].births] == ["P2"]
    assert machine.connections == 1


async def test_a_block_without_answer_is_bad_and_the_machine_stays() -> None:
    async with Machine(memory()) as machine, entered(source(machine.port, timeout_s=0.5)) as stream:
        await anext(stream)
        machine.manners = lambda _unit, request: 60.0 if request[1] == 100 else None
        tick = await anext(stream)
        assert not tick.deaths
        assert values([tick]) == {"r0": 1, "r1": 2, "r100": None}


async def test_a_machine_that_never_answers_the_first_question_is_asked_another_one() -> None:
    async with Machine(memory(), manners=lambda _unit, request: 60.0 if request[1] == 0 else None) as machine:
        one = source(machine.port, timeout_s=0.3)
        async with entered(one) as stream:
            with pytest.raises(SourceUnavailableError):
                await anext(stream)
        async with entered(one) as stream:
            tick = await anext(stream)
    assert tick.births
    assert values([tick]) == {"r0": None, "r1": None, "r100": 100}


@pytest.mark.parametrize("framing", FRAMERS)
async def test_when_all_are_silent_the_source_is_unavailable_in_bounded_time(framing: str) -> None:
    async with asyncio.timeout(10), Machine(memory(2), FRAMERS[framing], silent={1, 2}) as machine:
        one = source(machine.port, two_devices(), framing=framing, timeout_s=0.1)
        async with entered(one) as stream:
            with pytest.raises(SourceUnavailableError, match="nobody answers at"):
                await anext(stream)
    assert len(machine.requests) == 2


@pytest.mark.parametrize("framing", FRAMERS)
async def test_an_answer_that_comes_late_is_not_taken_for_the_next_one(framing: str) -> None:
    points = [{"name": f"r{at}", "table": "holding_register", "address": at, "separate": True} for at in (0, 1)]
    async with asyncio.timeout(10), Dawdler(framing) as port:
        one = source(port, one_device(point=points), framing=framing, timeout_s=0.3)
        async with entered(one) as stream:
            got = [await anext(stream) for _ in range(3)]
    assert [values([tick]) for tick in got] == [{"r0": 1000, "r1": None}] * 3


async def test_questions_keep_their_distance_and_never_overlap() -> None:
    async with Machine(memory(2)) as machine, entered(source(machine.port, two_devices(), pause_s=0.05)) as stream:
        for _ in range(4):
            await anext(stream)
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(machine.times))
    assert machine.connections == 1


def test_polls_keep_their_pace_and_those_left_out_are_counted() -> None:
    unit = Unit(DeviceConfig.model_validate(device(poll_s=10.0)), retries=0)
    unit.begin(now=100.0)
    unit.alive = True
    unit.schedule(now=103.0)
    assert (unit.due, unit.overruns) == (110.0, 0)
    unit.schedule(now=119.0)
    assert (unit.due, unit.overruns) == (120.0, 0)
    with capture_logs() as logs:
        unit.schedule(now=157.0)  # 130, 140 and 150 have passed
    assert (unit.due, unit.overruns) == (160.0, 3)
    assert [entry["poll_s"] for entry in logs] == [10.0]


def test_a_silent_unit_is_asked_less_and_less_often() -> None:
    unit = Unit(DeviceConfig.model_validate(device(poll_s=1.0)), retries=0)
    pauses = []
    for _ in range(7):
        before = unit.due
        unit.schedule(now=before)
        pauses.append(unit.due - before)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\x00\x00\x03\x01\x63\x00",  # a function code that does not exist
        b"\x00\x00\x00\x04\x01\x03\x09\x00",  # fewer bytes than it says
        b"\x00\x00\x00\x05\x01\x03\x02\x00\x01",  # one register too few
        b"\x00\x00\x00\x07\x01\x04\x04\x00\x01\x00\x02",  # another table
        b"\x00\x00\x00\x03\x01\x83\x63",  # an exception code that does not exist
    ],
)
async def test_nonsense_is_bad_quality_and_no_traceback(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(10), Talker(answer) as port, entered(source(port, timeout_s=0.5)) as stream:
        tick = await anext(stream)
    assert {sample.quality for sample in tick.samples if sample.point in ("r0", "r1")} == {QUALITY_BAD}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_server_of_another_kind_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        asyncio.timeout(10),
        Talker(b"HTTP/1.1 400 Bad Request\r\n\r\n", echo_number=False) as port,
        entered(source(port, timeout_s=0.5)) as stream,
    ):
        with pytest.raises(SourceUnavailableError, match="nobody answers"):
            await anext(stream)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


class Talker:
    """A server that says the same to every question, with the question's number in front."""

    def __init__(self, answer: bytes, *, echo_number: bool = True) -> None:
        self._answer, self._echo_number = answer, echo_number
        self._talks: list[asyncio.Task[None] | None] = []

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*filter(None, self._talks))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.append(asyncio.current_task())
        before = b""
        while question := await reader.read(300):
            writer.write(self.say(before, question))
            before = question
        writer.close()
        await writer.wait_closed()

    def say(self, _before: bytes, question: bytes) -> bytes:
        return (question[:2] if self._echo_number else b"") + self._answer


class Dawdler(Talker):
    """Answers a question about register 1 only when it hears the next one; register n holds 1000 + n."""

    def __init__(self, framing: str) -> None:
        super().__init__(b"")
        self._framing = framing

    def say(self, before: bytes, question: bytes) -> bytes:
        late = self._answer_to(before) if before and self._address(before) == 1 else b""
        return late + (b"" if self._address(question) == 1 else self._answer_to(question))

    def _address(self, question: bytes) -> int:
        return int.from_bytes(question[8:10] if self._framing == "tcp" else question[2:4], "big")

    def _answer_to(self, question: bytes) -> bytes:
        said = b"\x01\x03\x02" + (1000 + self._address(question)).to_bytes(2, "big")
        if self._framing == "tcp":
            return question[:4] + len(said).to_bytes(2, "big") + said
        return said + FramerRTU.compute_CRC(said).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"table": "coil", "type": "int16"}, "type int16 cannot be read from a coil"),
        ({"type": "bool"}, "type bool cannot be read from a holding_register"),
        ({"type": "bit"}, "write bit with type bit"),
        ({"bit": 3}, "write bit with type bit"),
        ({"type": "string"}, "write length with type string"),
        ({"type": "bit", "bit": 1, "factor": 2.0}, "a bit has no factor or offset; remove them"),
        ({"address": 65_533, "type": "float64"}, "the float64 reaches beyond address 65535"),
        ({"type": "string", "length": 100}, "point r takes 100 registers, more than max_registers"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_a_point_that_cannot_be_is_refused(change: dict[str, object], reason: str) -> None:
    point = {"name": "r", "table": "holding_register", "address": 0, **change}
    with pytest.raises(ValidationError, match=reason):
        ModbusConfig.model_validate(one_device(point=[point], max_registers=50))


def test_names_are_unique() -> None:
    point = {"name": "r", "table": "coil", "address": 0}
    with pytest.raises(ValidationError, match="point r appears twice"):
        ModbusConfig.model_validate(one_device(point=[point, point]))
    with pytest.raises(ValidationError, match="device P1 appears twice"):
        ModbusConfig.model_validate({**one_device(), "device": [device(), device()]})
    with pytest.raises(ValidationError, match="contains '/'"):
        ModbusConfig.model_validate(one_device(device_id="a/b"))


def test_the_sample_is_a_valid_configuration() -> None:
    config = load_sample("modbus")
    assert isinstance(config.sources[0], ModbusSource)
