"""Commands to machines that speak Modbus: what is written reads back as the value, and a refusal is the machine's own."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from modbus_machine import Machine
from pymodbus.constants import ExcCodes
from source_harness import entered, until

from vigia.edge import EdgeError
from vigia.edge.samples import Value
from vigia.edge.sources import CommandRefusedError, SourceUnavailableError, Writable
from vigia.edge.sources.modbus.config import DeviceConfig, ModbusConfig, PointConfig
from vigia.edge.sources.modbus.source import ModbusSource
from vigia.edge.sources.modbus.values import UnwritableValueError, value_of, words_of

MEMORY: dict[int, dict[str, list[object]]] = {1: {"coil": [3], "holding_register": [[0, "0000 0000 0000 0000"]]}}
POINTS: list[dict[str, Any]] = [
    {"name": "run", "table": "coil", "address": 2},
    {"name": "setpoint", "table": "holding_register", "address": 0, "type": "int16", "factor": 0.1, "offset": -10.0},
    {"name": "speed", "table": "holding_register", "address": 2, "type": "float32", "word_order": "little"},
    {"name": "state", "table": "discrete_input", "address": 0},
    {"name": "bit", "table": "holding_register", "address": 0, "type": "bit", "bit": 1},
    {"name": "flat", "table": "holding_register", "address": 0, "factor": 0.0},
]


def source(port: int, **settings: object) -> ModbusSource:
    device = {"device_id": "P1", "serial": "SN-1", "model": "pump", "poll_s": 0.01, "point": POINTS}
    table = {"type": "modbus", "host": "127.0.0.1", "port": port, "timeout_s": 10.0, "retries": 0, "device": [device], **settings}
    return ModbusSource(ModbusConfig.model_validate(table), Path())


@pytest.mark.parametrize(
    ("settings", "value", "read_back"),
    [
        ({"type": "int16"}, -5, -5),
        ({"type": "uint16"}, 65_535, 65_535),
        ({"type": "int32", "word_order": "little"}, -70_000, -70_000),
        ({"type": "uint64", "byte_order": "little"}, 1 << 50, 1 << 50),
        ({"type": "float32", "word_order": "little", "byte_order": "little"}, 1.5, 1.5),
        ({"type": "float64"}, -2.25, -2.25),
        ({"type": "int16", "factor": 0.1, "offset": 5.0}, 12.34, 12.3),
        ({"type": "float32", "factor": 2.0}, 3.0, 3.0),
        ({"type": "string", "length": 3}, "añb", "añb"),
        ({"type": "string", "length": 3, "byte_order": "little"}, "abc", "abc"),
    ],
)
def test_what_is_written_reads_back(settings: dict[str, Any], value: Value, read_back: Value) -> None:
    point = PointConfig.model_validate({"name": "p", "table": "holding_register", "address": 0, **settings})
    device = DeviceConfig.model_validate({"device_id": "P1", "serial": "s", "model": "m", "point": [point]})
    words = words_of(point, device, value)
    assert len(words) == point.width
    assert value_of(point, device, words) == (pytest.approx(read_back) if isinstance(read_back, float) else read_back)


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({"type": "int16"}, 40_000),
        ({"type": "int16", "factor": 0.001}, 40.0),
        ({"type": "float32"}, 1e300),
        ({"type": "string", "length": 1}, "abc"),
    ],
)
def test_a_value_that_does_not_fit_is_not_written(settings: dict[str, Any], value: Value) -> None:
    point = PointConfig.model_validate({"name": "p", "table": "holding_register", "address": 0, **settings})
    device = DeviceConfig.model_validate({"device_id": "P1", "serial": "s", "model": "m", "point": [point]})
    with pytest.raises(UnwritableValueError):
        words_of(point, device, value)


async def test_a_write_is_seen_by_the_next_poll() -> None:
    async with Machine(MEMORY) as machine:
        one = source(machine.port)
        assert isinstance(one, Writable)
        async with entered(one) as stream:
            await anext(stream)
            for name, value in (("run", True), ("setpoint", 42.5), ("speed", 50.25)):
                await one.write("P1", name, value)
            last = (await until(stream, lambda ticks: len(ticks) == 2))[-1]
    told = {sample.point: sample.value for sample in last.samples}
    assert (told["run"], told["setpoint"], told["speed"]) == (True, 42.5, 50.25)


async def test_a_refusal_names_the_machines_code() -> None:
    async with Machine(MEMORY) as machine:
        one = source(machine.port)
        async with entered(one) as stream:
            await anext(stream)
            machine.manners = lambda _unit, request: ExcCodes.ILLEGAL_VALUE if request[0] == "write" else None
            with pytest.raises(CommandRefusedError, match=r"illegal data value \(exception code 3\)"):
                await one.write("P1", "setpoint", 1.0)
            with pytest.raises(CommandRefusedError, match="does not fit"):
                await one.write("P1", "setpoint", 1e9)


async def test_without_an_answer_it_is_not_known_whether_the_machine_acted() -> None:
    async with Machine(MEMORY) as machine:
        one = source(machine.port, timeout_s=0.3)
        async with entered(one) as stream:
            await anext(stream)
            machine.silent.add(1)
            with pytest.raises(SourceUnavailableError, match="not known"):
                await one.write("P1", "run", True)  # noqa: FBT003
            assert [request for _, request in machine.requests if request[0] == "write"] == [("write", 2, 0)]
        with pytest.raises(SourceUnavailableError, match="no connection"):
            await one.write("P1", "run", True)  # noqa: FBT003


async def test_writes_and_polls_take_turns() -> None:
    async with Machine(MEMORY) as machine:
        one = source(machine.port, framing="tcp")
        async with entered(one) as stream:
            await anext(stream)
            writes = asyncio.gather(*(one.write("P1", "setpoint", value / 10) for value in range(20)))
            await until(stream, lambda _: writes.done())
            assert await writes == [None] * 20
    assert machine.together == 1


@pytest.mark.parametrize(
    ("name", "why"), [("state", "only be read"), ("bit", "whole register"), ("flat", "factor is 0"), ("x", "no point x")]
)
def test_what_cannot_be_written_says_why(name: str, why: str) -> None:
    with pytest.raises(EdgeError, match=why):
        source(1).writable("P1", name)
