"""`vigia analytics` as people start it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from typer.testing import CliRunner

from vigia.cli.analytics import _units, app
from vigia.errors import ConfigError
from vigia.store import fleet
from vigia.store.database import Database

STOP_S = 5.0


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "vigia", "analytics", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_it_stops_in_the_middle_of_the_first_training(service: Database, dsn: str, training_file: Path, tmp_path: Path) -> None:
    async with service.transaction() as tx:
        await fleet.add_asset_model(tx, "cmapss-fd001", "Turbofan", "{cycle}")
    async with started("run", "--dsn", dsn, "--home", str(tmp_path), "--train", str(training_file), "--train-units", "1-80") as process:
        assert process.stdout is not None
        while b"training the failure model" not in (line := await asyncio.wait_for(process.stdout.readline(), 60)):
            assert line, "it ended by itself"
        process.send_signal(signal.SIGTERM)
        said, _ = await asyncio.wait_for(process.communicate(), STOP_S)
    assert process.returncode == 0
    assert b"Traceback" not in said


def test_without_a_database_it_says_so_in_one_sentence(vigia: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    ended = vigia("analytics", "run", "--dsn", f"postgresql:///?host={tmp_path}&connect_timeout=1", "--home", str(tmp_path))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no database answers" in ended.stderr.lower()
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [["run", "--dsn", "postgresql:///", "--train"], ["train", "--data"]], ids=["run", "train"])
def test_a_missing_training_file_is_named(options: list[str], tmp_path: Path) -> None:
    found = CliRunner().invoke(app, [*options, str(tmp_path / "gone.txt")])
    assert isinstance(found.exception, ConfigError)
    assert "gone.txt: there is no such file" in str(found.exception)


def test_running_without_a_named_database_tells_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIGIA_DSN", raising=False)
    found = CliRunner().invoke(app, ["run"])
    assert "--dsn (VIGIA_DSN)" in str(found.exception)


def test_a_cluster_for_nothing_is_refused(vigia: Callable[..., CompletedProcess[str]]) -> None:
    said = vigia("analytics", "run", "--dsn", "postgresql:///", "--dask", "tcp://10.0.0.5:8786")
    assert (said.returncode, said.stderr) == (
        2,
        "vigia: --dask wants --retrain-days: only training goes to the cluster; predictions are made here.\n",
    )


@pytest.mark.parametrize(("text", "units"), [(None, None), ("3", [3]), ("1-4", [1, 2, 3, 4]), ("1-2,9,4-5", [1, 2, 4, 5, 9])])
def test_units_are_numbers_and_ranges(text: str | None, units: list[int] | None) -> None:
    assert _units(text) == units


@pytest.mark.parametrize("text", ["", "a", "1-", "4-2", "1-99999999999999999999"])
def test_units_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 1-80"):
        _units(text)


@pytest.mark.parametrize("option", ["--failure", "--visit", "--life", "--lead", "--per-year", "--horizon"])
@pytest.mark.parametrize(("number", "reason"), [("inf", "no finite number"), ("nan", "greater than or equal to")])
def test_a_cost_is_a_finite_number(option: str, number: str, reason: str) -> None:
    refused = CliRunner().invoke(app, ["back-test", "--data", "runs.txt", option, number])
    assert refused.exit_code == 2
    assert reason in refused.output


def test_the_benchmark_prints_one_json_object(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vigia.analytics.evaluate import turbofan  # noqa: PLC0415 - patched where the command finds it

    figures = turbofan.Figures(*[0.5] * 19)
    found = turbofan.CmapssResult(*[0.5] * 19, "FD001", 1, 1, 30.0, 125.0, 0.5, 0.5, "with_age", figures, figures)
    monkeypatch.setattr(turbofan, "evaluate", lambda *_, **__: (found, None))
    said = CliRunner().invoke(app, ["evaluate", "cmapss", "--data", str(tmp_path), "--json"])
    assert json.loads(said.output)["rmse_capped"] == 0.5
    assert said.output.count("\n") == 1
    assert "rmse_capped" in CliRunner().invoke(app, ["evaluate", "cmapss", "--data", str(tmp_path)]).output
