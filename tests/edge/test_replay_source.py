"""The replay tells what the logbook lets happen, and goes on exactly where it was stopped."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from edge_harness import recording, told

from vigia.edge import EdgeError
from vigia.edge.samples import Tick
from vigia.edge.sources.replay.source import ReplayConfig, ReplaySource

STORY: list[dict[str, object]] = [
    {"kind": "plan", "fix": True},
    {"kind": "install", "role": "L", "serial": "A", "unit": 1, "hour": 0},
    {"kind": "install", "role": "elsewhere", "serial": "X", "unit": 1, "hour": 0},
    {"kind": "clock", "hour": 3},
    {"kind": "install", "role": "R", "serial": "B", "unit": 2, "hour": 3},
    {"kind": "clock", "hour": 4},
    {"kind": "remove", "role": "L", "hour": 4},
    {"kind": "clock", "hour": 9},
    {"kind": "install", "role": "L", "serial": "C", "unit": 1, "hour": 9},
    {"kind": "clock", "hour": 52},
]
TRUTH = (
    told("L", 1, 0, range(1, 5)) | told("R", 2, 3, range(4, 53)) | told("L", 1, 9, range(10, 53))  # unit 1 fails at hour 50
)


def source(folder: Path, story: list[dict[str, object]] | None = None) -> ReplaySource:
    (folder / "recording.txt").write_text(recording())
    if story is not None:
        (folder / "logbook.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in story))
    config = ReplayConfig(type="replay", logbook=Path("logbook.jsonl"), data=Path("recording.txt"), devices=("L", "R"), poll_s=0.001)
    return ReplaySource(config, folder)


async def ticks(one: ReplaySource) -> AsyncIterator[Tick]:
    async with one as entered:
        async for tick in entered:
            yield tick


async def until(one: ReplaySource, rows: int) -> list[Tick]:
    got: list[Tick] = []
    async for tick in ticks(one):
        got.append(tick)
        rows -= len(tick.samples)
        if rows <= 0:
            break
    return got


def rows_of(got: list[Tick]) -> list[tuple[str, str, int, object]]:
    return [(sample.device, sample.point, sample.ts, sample.value) for tick in got for sample in tick.samples]


async def test_it_tells_the_lives_of_its_own_devices(tmp_path: Path) -> None:
    got = await until(source(tmp_path, STORY), len(TRUTH))
    assert set(rows_of(got)) == TRUTH
    assert len(rows_of(got)) == len(TRUTH)
    events = [(tick.deaths, [device.serial for device in tick.births]) for tick in got if not tick.samples]
    assert events == [((), ["A"]), ((), ["B"]), (("L",), []), ((), ["C"])]


async def test_samples_of_one_hour_are_one_tick(tmp_path: Path) -> None:
    got = await until(source(tmp_path, STORY), len(TRUTH))
    assert all(len({sample.ts for sample in tick.samples}) <= 1 for tick in got)


async def test_from_any_position_it_tells_the_rest_and_no_more(tmp_path: Path) -> None:
    got = await until(source(tmp_path, STORY), len(TRUTH))
    for index, tick in enumerate(got[:-1]):
        again = source(tmp_path, STORY)
        again.resume(tick.position)
        rest = got[index + 1 :]
        told = await until(again, len(rows_of(rest)))
        if told[0].position is None:  # the engines that stand there, told again at each entering
            assert (told[0].samples, told[0].deaths) == ((), ())
            told = told[1:]
        assert told == rest


async def test_a_line_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    one = source(tmp_path, STORY[:2])
    logbook = tmp_path / "logbook.jsonl"
    with logbook.open("a") as file:
        file.write('{"kind": "clock", ')
    stream = ticks(one)
    assert (await anext(stream)).births
    with logbook.open("a") as file:
        file.write('"hour": 1}\n')
    assert len((await anext(stream)).samples) == 26
    await stream.aclose()  # type: ignore[attr-defined]


async def test_it_waits_for_a_logbook_that_is_not_there_yet(tmp_path: Path) -> None:
    one = source(tmp_path)
    async with one:
        stream = aiter(one)
        pending = anext(stream)
        (tmp_path / "logbook.jsonl").write_text(json.dumps(STORY[1]) + "\n")
        assert (await pending).births


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not a logbook entry at byte 0"),
        ("[1]", "not a logbook entry at byte 0"),
        ('{"kind": "install", "role": "L", "serial": "A", "unit": 9, "hour": 0}', "unit 9 is not in"),
    ],
)
async def test_a_line_that_makes_no_sense_is_one_sentence(tmp_path: Path, line: str, reason: str) -> None:
    one = source(tmp_path)
    (tmp_path / "logbook.jsonl").write_text(line + "\n")
    with pytest.raises(EdgeError, match=reason):
        await until(one, 1)


async def test_a_logbook_shorter_than_the_position_is_one_sentence(tmp_path: Path) -> None:
    one = source(tmp_path, STORY[:2])
    one.resume(json.dumps([100_000, 5]))
    with pytest.raises(EdgeError, match="shorter than at the last run"):
        await until(one, 1)


@pytest.mark.parametrize(("text", "reason"), [("1 2 3\n", "3 columns, expected 26"), ("x " * 26, "line 1: not a number")])
async def test_a_recording_that_makes_no_sense_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    one = source(tmp_path, STORY)
    (tmp_path / "recording.txt").write_text(text)
    with pytest.raises(EdgeError, match=reason):
        await until(one, 1)
