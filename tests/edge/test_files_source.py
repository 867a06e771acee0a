"""Machines that write files: every row is told once, whoever renames, cuts or writes anew, and whenever the gateway is stopped."""

import asyncio
import csv
import itertools
import json
import os
import random
import shutil
import tomllib
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from source_harness import entered, golden, load_sample, samples, travels, until
from structlog.testing import capture_logs

from vigia.edge.samples import Tick
from vigia.edge.sources import SourceUnavailableError
from vigia.edge.sources.files import csv_table, parquet_table
from vigia.edge.sources.files.config import FilesConfig
from vigia.edge.sources.files.csv_table import CsvTable
from vigia.edge.sources.files.source import FilesSource

START_MS = 1_772_352_000_000
HEADER = "t,v\n"
TABLE: dict[str, object] = {
    "type": "files",
    "path": "in/*.csv",
    "poll_s": 0.005,
    "time": {"column": "t", "format": "ms"},
    "device": [{"device_id": "D", "serial": "S", "model": "M", "point": [{"column": "v", "type": "int"}]}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path


def source(folder: Path, position: str | None = None, **settings: object) -> FilesSource:
    one = FilesSource(FilesConfig.model_validate({**TABLE, **settings}), folder)
    one.resume(position)
    return one


def line(number: int) -> str:
    return f"{START_MS + number},{number}\n"


def lines(numbers: Iterable[int]) -> str:
    return "".join(map(line, numbers))


def append(path: Path, text: str) -> None:
    with path.open("a", newline="") as file:
        file.write(text)


def numbers(ticks: list[Tick]) -> list[object]:
    return [one.value for one in samples(ticks)]


async def told(stream: AsyncIterator[Tick], count: int) -> list[Tick]:
    return await until(stream, lambda ticks: len(samples(ticks)) >= count)


async def nothing_is_told(stream: AsyncIterator[Tick], then: Callable[[], object]) -> Tick:
    """Several looks find nothing to tell; what `then` does is told."""
    pending = asyncio.ensure_future(anext(stream))
    assert await asyncio.wait({pending}, timeout=0.05) == (set(), {pending})
    then()
    return await pending


async def read_golden(case: Path, table: dict[str, object], count: int) -> tuple[list[list[object]], int]:
    one = FilesSource(FilesConfig.model_validate({**table, "poll_s": 0.005}), case)
    async with asyncio.timeout(10), entered(one) as stream:
        got = await told(stream, count)
    assert travels(got[0].births, samples(got))
    return [[row.device, row.point, row.ts, row.value, row.quality] for row in samples(got)], one.bad_rows


@pytest.mark.parametrize("case", golden("files"), ids=lambda case: case.name)
async def test_the_golden_files_mean_this(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text())
    rows, bad = await read_golden(case, tomllib.loads((case / "source.toml").read_text()), len(expected["samples"]))
    assert {"bad": bad, "samples": rows} == expected


async def test_a_golden_table_means_the_same_in_parquet(tmp_path: Path) -> None:
    case = next(case for case in golden("files") if case.name == "a-long-table")
    for path in sorted((case / "in").rglob("*.csv")):
        with path.open() as file:
            table = pa.Table.from_pylist(list(csv.DictReader(file)))
        copy = tmp_path / path.relative_to(case).with_suffix(".parquet")
        copy.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, copy)
    expected = json.loads((case / "expected.json").read_text())
    table = tomllib.loads((case / "source.toml").read_text())
    rows, bad = await read_golden(tmp_path, {**table, "format": "parquet", "path": "in/**/*.parquet"}, len(expected["samples"]))
    assert {"bad": bad, "samples": rows} == expected


async def test_births_come_first_also_when_there_is_no_file(folder: Path) -> None:
    async with entered(source(folder)) as stream:
        assert [device.device_id for device in (await anext(stream)).births] == ["D"]
        first = await nothing_is_told(stream, lambda: append(folder / "in" / "a.csv", HEADER + line(1)))
    assert numbers([first]) == [1]


async def test_a_line_without_its_end_waits(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + line(1) + "17723520")
    async with entered(source(folder)) as stream:
        assert numbers(await told(stream, 1)) == [1]
        tick = await nothing_is_told(stream, lambda: append(path, "00002,2\n"))
    assert [(one.ts, one.value) for one in tick.samples] == [(START_MS + 2, 2)]


async def test_a_header_without_its_end_waits(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text("t,")
    async with entered(source(folder)) as stream:
        await anext(stream)
        assert numbers([await nothing_is_told(stream, lambda: append(path, "v\n" + line(1)))]) == [1]


async def test_a_last_line_without_an_end_counts_when_its_file_rests(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + line(1) + line(2).rstrip())
    os.utime(path, (1, 1))
    async with entered(source(folder, settle_s=60.0)) as stream:
        assert numbers(await told(stream, 2)) == [1, 2]
        append(path, "\n" + line(3))
        assert numbers(await told(stream, 1)) == [3]


@pytest.mark.parametrize("format_", ["csv", "parquet"])
async def test_from_any_position_it_tells_the_rest_and_no_more(folder: Path, monkeypatch: pytest.MonkeyPatch, format_: str) -> None:
    monkeypatch.setattr(csv_table, "CHUNK_BYTES", 100)
    monkeypatch.setattr(parquet_table, "BATCH_ROWS", 7)
    for name, start in (("a", 0), ("b", 100)):
        rows = range(start, start + 40)
        if format_ == "csv":
            (folder / "in" / f"{name}.csv").write_text(HEADER + lines(rows))
        else:
            pq.write_table(
                pa.table({"t": [START_MS + row for row in rows], "v": rows}), folder / "in" / f"{name}.parquet", row_group_size=15
            )
    settings = {"format": format_, "path": f"in/*.{format_}"}
    async with entered(source(folder, **settings)) as stream:
        got = (await told(stream, 80))[1:]
    assert sorted(numbers(got), key=str) == sorted([*range(40), *range(100, 140)], key=str)
    assert len(got) > 8
    for index, tick in enumerate(got[:-1]):
        rest = got[index + 1 :]
        async with entered(source(folder, tick.position, **settings)) as stream:
            again = await told(stream, len(samples(rest)))
        assert again[0].births
        assert sorted(numbers(again[1:]), key=str) == sorted(numbers(rest), key=str)


async def test_new_files_are_found(folder: Path) -> None:
    async with entered(source(folder, path="in/**/*.csv")) as stream:
        await anext(stream)
        for number, name in enumerate(["b.csv", "a.csv", "deep/er/c.csv"]):
            path = folder / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(HEADER + line(number))
            (path.parent / ".hidden.csv").write_text(HEADER + line(99))
            assert numbers(await told(stream, 1)) == [number]


async def test_what_was_written_before_a_file_was_renamed_is_told(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + line(1))
    async with entered(source(folder, path="in/a.csv")) as stream:
        await told(stream, 1)
        append(path, line(2))
        path.rename(path.with_suffix(".old"))
        path.write_text(HEADER + line(3))
        assert numbers(await told(stream, 2)) == [2, 3]
        append(path.with_suffix(".old"), line(4))  # the machine had it open still
        append(path, line(5))
        assert numbers(await told(stream, 2)) == [4, 5]


@pytest.mark.parametrize("pattern", ["in/a.csv", "in/a.csv*"])
async def test_a_file_that_was_renamed_while_we_were_off_is_read_to_its_end(folder: Path, pattern: str) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + line(1))
    async with entered(source(folder, path=pattern)) as stream:
        position = (await told(stream, 1))[-1].position
    append(path, line(2))
    path.rename(folder / "in" / "a.csv.1")
    path.write_text(HEADER + line(3))
    async with entered(source(folder, position, path=pattern)) as stream:
        assert sorted(numbers(await told(stream, 2)), key=str) == [2, 3]
        append(path, line(4))
        assert numbers(await told(stream, 1)) == [4]


async def test_a_file_that_was_copied_and_cut_loses_and_repeats_nothing(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + lines(range(5)))
    async with entered(source(folder, path="in/a.csv*")) as stream:
        await told(stream, 5)
        append(path, line(5))
        shutil.copy(path, folder / "in" / "a.csv.1")
        path.write_text(HEADER + line(6))
        assert sorted(numbers(await told(stream, 2)), key=str) == [5, 6]
        append(path, lines(range(7, 20)))
        assert numbers(await told(stream, 13)) == list(range(7, 20))


async def test_a_file_that_was_cut_is_read_from_its_beginning_and_that_is_said(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + lines(range(10)))
    async with entered(source(folder)) as stream:
        await told(stream, 10)
        with capture_logs() as logs:
            path.write_text("v,t\n" + f"77,{START_MS}\n")
            assert numbers(await told(stream, 1)) == [77]
    assert [(entry["event"], entry["told"]) for entry in logs] == [
        ("file was cut, or another has its name; it is read from its beginning", 11)
    ]


async def test_a_file_that_was_written_anew_and_is_longer_is_noticed(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + lines(range(3)))
    async with entered(source(folder)) as stream:
        await told(stream, 3)
        with capture_logs() as logs:
            path.write_text(HEADER + lines(range(50, 60)))
            assert numbers(await told(stream, 10)) == list(range(50, 60))
    assert [entry["told"] for entry in logs] == [4]


async def test_a_file_that_is_away_for_a_while_is_gone_on_with(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + lines(range(3)))
    elsewhere = folder / "a.csv"
    async with entered(source(folder)) as stream:
        await told(stream, 3)
        shutil.copy(path, elsewhere)
        path.unlink()
        append(elsewhere, line(3))
        tick = await nothing_is_told(stream, lambda: shutil.copy(elsewhere, path))
    assert numbers([tick]) == [3]


async def test_a_bad_line_is_told_once_a_file_with_its_number_and_all_are_counted(folder: Path) -> None:
    for name in "ab":
        (folder / "in" / f"{name}.csv").write_text(HEADER + line(1) + "nonsense\n" + "1,2,3\n" + '"\n' + line(2))
    one = source(folder)
    with capture_logs() as logs:
        async with entered(one) as stream:
            assert numbers(await told(stream, 4)) == [1, 2, 1, 2]
    assert [(entry["file"], entry["line"], entry["why"]) for entry in logs] == [
        ("a.csv", 3, "1 columns, expected 2"), ("b.csv", 3, "1 columns, expected 2"),
    ]  # fmt: skip
    assert one.bad_rows == 6


async def test_an_endless_line_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "CHUNK_BYTES", 50)
    monkeypatch.setattr(csv_table, "MOST_LINE_BYTES", 200)
    (folder / "in" / "a.csv").write_text(HEADER + line(1) + "x" * 5000 + "\n" + line(2))
    async with asyncio.timeout(10), entered(source(folder)) as stream:
        assert numbers(await told(stream, 2)) == [1, 2]


async def test_a_file_that_does_not_fit_is_left_alone_and_hinders_no_other(folder: Path) -> None:
    (folder / "in" / "a.csv").write_text("time,value\n1,2\n")
    with capture_logs() as logs:
        async with entered(source(folder)) as stream:
            await anext(stream)
            for number in range(3):
                append(folder / "in" / "a.csv", "3,4\n")
                append(folder / "in" / "b.csv", ("" if number else HEADER) + line(number))
                assert numbers(await told(stream, 1)) == [number]
            (folder / "in" / "a.csv").write_text(HEADER + line(9))
            assert numbers(await told(stream, 1)) == [9]
    assert [(entry["file"], entry["why"]) for entry in logs] == [("a.csv", "no column 't'; there are time, value")]


async def test_the_end_may_be_the_start(folder: Path) -> None:
    path = folder / "in" / "a.csv"
    path.write_text(HEADER + lines(range(3)) + "17723520")
    async with entered(source(folder, start="end")) as stream:
        await anext(stream)
        got = [await nothing_is_told(stream, lambda: append(path, f"00003,3\n{line(4)}"))]
        (folder / "in" / "b.csv").write_text(HEADER + line(5))
        got += await told(stream, 1)
    assert numbers(got) == [3, 4, 5]


async def test_a_folder_that_is_away_makes_the_source_unavailable(folder: Path) -> None:
    (folder / "in").rmdir()
    one = source(folder)
    with pytest.raises(SourceUnavailableError, match=r"the folder .* is missing"):
        await one.__aenter__()
    (folder / "in").mkdir()
    (folder / "in" / "a.csv").write_text(HEADER + line(1))
    async with entered(one) as stream:
        await told(stream, 1)
        shutil.rmtree(folder / "in")
        with pytest.raises(SourceUnavailableError, match=r"the folder .* is missing"):
            await until(stream, lambda _: False)


@pytest.mark.parametrize(
    ("error", "event"),
    [(PermissionError(13, "Permission denied"), "file may not be read; allow the gateway's user to"), (FileNotFoundError(), "")],
)
async def test_a_file_that_cannot_be_opened_hinders_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, event: str
) -> None:
    read = CsvTable.read

    def refuse(self: CsvTable) -> object:
        if self.mark.path == "a.csv":
            raise error
        return read(self)

    monkeypatch.setattr(CsvTable, "read", refuse)
    for name in "ab":
        (folder / "in" / f"{name}.csv").write_text(HEADER + line(1))
    with capture_logs() as logs:
        async with entered(source(folder)) as stream:
            await told(stream, 1)
            append(folder / "in" / "b.csv", line(2))
            await told(stream, 1)
    assert [entry["event"] for entry in logs] == [event] * bool(event)


async def test_a_disk_that_fails_makes_the_source_unavailable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: CsvTable) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(CsvTable, "read", fail)
    (folder / "in" / "a.csv").write_text(HEADER)
    async with entered(source(folder)) as stream:
        await anext(stream)
        with pytest.raises(SourceUnavailableError, match=r"a\.csv: Input/output error"):
            await anext(stream)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_done_to_the_files_each_line_is_told_once(folder: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    path, position, total = folder / "in" / "log.csv", None, 0
    got: list[object] = []
    path.write_text(HEADER)
    for _ in range(15):
        async with entered(source(folder, position, path="in/log.csv")) as stream:
            await anext(stream)
            for _ in range(chance.randint(1, 4)):
                text = lines(range(total, total + chance.randint(1, 4)))
                cut = chance.randint(1, len(text))
                append(path, text[:cut])
                whole = total + text.count("\n", 0, cut)
                if chance.random() < 0.7 and len(got) < whole:
                    tick = await anext(stream)
                    got, position = got + numbers([tick]), tick.position
                append(path, text[cut:])
                total += text.count("\n")
            # What is renamed before anybody saw it is another file.
            if len(got) > total - text.count("\n") and chance.random() < 0.7:
                path.rename(folder / "in" / f"log-{total}.csv")
                path.write_text(HEADER)
    async with asyncio.timeout(20), entered(source(folder, position, path="in/log*.csv")) as stream:
        got += numbers(await told(stream, total - len(got)))
    assert sorted(got, key=str) == sorted(range(total), key=str)
    assert len(list((folder / "in").iterdir())) > 1


# ── Parquet ──


def parquet(path: Path, rows: Iterable[int], **columns: object) -> None:
    rows = list(rows)
    pq.write_table(pa.table({"t": [START_MS + row for row in rows], "v": rows, **columns}), path)


async def test_a_parquet_file_is_read_when_it_is_whole(folder: Path) -> None:
    parquet(folder / "whole", range(3))
    data = (folder / "whole").read_bytes()
    path = folder / "in" / "a.parquet"
    path.write_bytes(data[:-10])
    with capture_logs() as logs:
        async with entered(source(folder, format="parquet", path="in/*.parquet")) as stream:
            await anext(stream)
            tick = await nothing_is_told(stream, lambda: path.write_bytes(data))
    assert numbers([tick]) == [0, 1, 2]
    assert [entry["event"] for entry in logs] == ["file is not whole, or not fit; it is left alone until it changes"]


async def test_a_parquet_file_that_was_written_anew_is_read_anew(folder: Path) -> None:
    path = folder / "in" / "a.parquet"
    parquet(path, range(3))
    async with entered(source(folder, format="parquet", path="in/*.parquet")) as stream:
        await told(stream, 3)
        parquet(folder / "new", range(10, 14))
        (folder / "new").rename(path)
        assert numbers(await told(stream, 4)) == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("column", "zone"),
    [
        (pa.array([START_MS * 10**6 + 999], pa.timestamp("ns", "UTC")), None),
        (pa.array([START_MS // 1000], pa.timestamp("s", "America/Bogota")), None),
        (pa.array([datetime(2026, 3, 1, 9, 0)], pa.timestamp("us")), "Europe/Madrid"),  # noqa: DTZ001 - the zone is told apart
        (pa.array(["2026-03-01T08:00:00Z"]).dictionary_encode(), None),
    ],
)
async def test_the_times_of_parquet_are_understood(folder: Path, column: pa.Array, zone: str | None) -> None:
    pq.write_table(pa.table({"t": column, "v": pa.array([1.5], pa.float32()).cast(pa.float64())}), folder / "in" / "a.parquet")
    time = {"column": "t", "format": "iso"} | ({"zone": zone} if zone else {})
    settings = {"format": "parquet", "path": "in/*.parquet", "time": time}
    point = [{"column": "v", "unit": "mm/s"}]
    async with entered(source(folder, **settings, device=[{"device_id": "D", "serial": "S", "model": "M", "point": point}])) as stream:
        got = await told(stream, 1)
    assert [(one.ts, one.value) for one in samples(got)] == [(START_MS, 1.5)]


async def test_a_parquet_row_without_a_time_is_skipped_and_counted(folder: Path) -> None:
    pq.write_table(pa.table({"t": [START_MS, None, START_MS + 2], "v": pa.array([1, 2, None])}), folder / "in" / "a.parquet")
    one = source(folder, format="parquet", path="in/*.parquet")
    with capture_logs() as logs:
        async with entered(one) as stream:
            assert numbers(await told(stream, 1)) == [1]
            parquet(folder / "in" / "b.parquet", [5])
            assert numbers(await told(stream, 1)) == [5]
    assert one.bad_rows == 1
    assert [(entry["row"], entry["why"]) for entry in logs] == [(2, "time 'None' is not a number")]


# ── replay ──


async def test_a_replayed_file_keeps_its_pace(folder: Path) -> None:
    (folder / "in" / "a.csv").write_text(HEADER + line(0) + line(0) + line(1000) + line(3000) + line(2000))
    clock = asyncio.get_running_loop().time
    async with entered(source(folder, replay={"speed": 20.0, "clock": "file"})) as stream:
        await anext(stream)
        got, times = [], []
        for _ in range(4):
            got.append(await anext(stream))
            times.append(clock())
    assert [numbers([tick]) for tick in got] == [[0, 0], [1000], [3000], [2000]]
    assert [one.ts - START_MS for one in samples(got)] == [0, 0, 1000, 3000, 2000]
    passed = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert passed[0] >= 0.045
    assert passed[1] >= 0.095
    assert times[2] - times[0] < 2.0


async def test_a_replayed_file_is_a_machine_of_today_and_goes_on_where_it_was(folder: Path) -> None:
    (folder / "in" / "a.csv").write_text(HEADER + lines(range(0, 100, 10)))
    before = datetime.now(UTC).timestamp() * 1000
    async with entered(source(folder, replay={"speed": 100.0})) as stream:
        got = (await told(stream, 4))[1:]
    assert all(one.ts >= before - 1 for one in samples(got))
    async with entered(source(folder, got[-1].position, replay={"speed": 100.0})) as stream:
        got += (await told(stream, 6))[1:]
    assert numbers(got) == list(range(0, 100, 10))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"encoding": "utf-16"}, "not an encoding whose lines can be told apart"),
        ({"encoding": "klingon"}, "not an encoding whose lines can be told apart"),
        ({"delimiter": '"'}, "neither the quote nor a line end"),
        ({"columns": ["a", "a"]}, "column a appears twice"),
        ({"time": {"column": "t", "zone": "Mars/Olympus"}}, "not a time zone"),
        ({"path": "in/.."}, None),
        ({"path": "/"}, "name a file or a pattern of files"),
        ({"replay": {"speed": 0}}, "greater than 0"),
        ({"device": []}, "at least 1 item"),
        ({"device": [*TABLE["device"], *TABLE["device"]]}, "device D appears twice"),  # type: ignore[misc]
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(settings: dict[str, object], reason: str | None) -> None:
    if reason is None:
        FilesConfig.model_validate({**TABLE, **settings})
        return
    with pytest.raises(ValidationError, match=reason):
        FilesConfig.model_validate({**TABLE, **settings})


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ({"type": "bool", "factor": 2.0}, "a bool has no factor or offset"),
        ({"type": "string", "words": {"a": 1}}, "a string has no words"),
        ({"type": "int", "words": {"a": 1.5}}, "an int has no factor"),
    ],
)
def test_a_point_that_cannot_be_is_refused(point: dict[str, object], reason: str) -> None:
    device = {"device_id": "D", "serial": "S", "model": "M", "point": [{"column": "v", **point}]}
    with pytest.raises(ValidationError, match=reason):
        FilesConfig.model_validate({**TABLE, "device": [device]})


def test_the_sample_is_a_valid_configuration() -> None:
    assert isinstance(load_sample("files").sources[0], FilesSource)
