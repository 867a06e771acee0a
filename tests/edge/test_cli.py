"""`vigia edge` in words: what it will do, what it has done, and one sentence with exit code 2 when it cannot."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from edge_harness import Gateway
from typer.testing import CliRunner

from vigia import cli
from vigia.edge.buffer import EdgeBuffer
from vigia.edge.samples import Device, Point, Sample, Tick
from vigia.sparkplug.datatypes import DataType

runner = CliRunner()


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("VIGIA_BROKER", raising=False)
    return Gateway(tmp_path, "mqtt://user:secret@127.0.0.1:1999").config


def test_check_says_what_it_would_do_and_does_nothing(config: Path) -> None:
    answer = runner.invoke(cli.app, ["edge", "run", "--config", str(config), "--check", "--patience", "0.1"])
    assert answer.stdout == f"air/bcn: replay -> {config.parent}/buffers/air.bcn.sqlite -> mqtt://127.0.0.1:1999\n"
    assert list((config.parent / "buffers").iterdir()) == []


def test_status_tells_the_buffers(config: Path) -> None:
    assert "nothing stored yet" in runner.invoke(cli.app, ["edge", "status", "--config", str(config)]).output
    buffer = EdgeBuffer(config.parent / "buffers" / "air.bcn.sqlite")
    buffer.append(Tick(births=(Device("L", "1", "m", (Point("t", DataType.DOUBLE),)),), samples=(Sample("L", "t", 1, 1.0),)))
    words = runner.invoke(cli.app, ["edge", "status", "--config", str(config)]).output
    assert "  source        no gateway runs this node\n" in words
    assert "  waiting       1 samples in 1 batches (" in words
    assert "  stored        1 samples, 0 dropped\n" in words
    told = json.loads(runner.invoke(cli.app, ["edge", "status", "--config", str(config), "--json"]).output)
    node = told["air/bcn"]
    assert (node["samples_stored"], node["waiting_samples"], node["newest"], node["acknowledged"]) == (1, 1, 1, 0)
    assert (node["max_bytes"], node["running"]) == (256 * 1024 * 1024, None)
    assert node["disk_free_bytes"] > node["oldest_waiting_s"] >= 0
    assert told["configuration"] == {"sha256": hashlib.sha256(config.read_bytes()).hexdigest(), "version": None}
    buffer.close()


def test_status_says_loudly_that_a_buffer_was_damaged(config: Path) -> None:
    path = config.parent / "buffers" / "air.bcn.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    EdgeBuffer(path).close()
    (aside,) = path.parent.glob("*.damaged-*")
    assert f"  DAMAGED       and set aside: {aside.name}\n" in runner.invoke(cli.app, ["edge", "status", "--config", str(config)]).output
    told = json.loads(runner.invoke(cli.app, ["edge", "status", "--config", str(config), "--json"]).output)
    assert told["air/bcn"]["set_aside"] == [aside.name]


@pytest.mark.parametrize("command", [["run"], ["run", "--check"], ["status"]])
def test_a_wrong_configuration_is_one_sentence_and_exit_code_2(
    config: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace("node_id", "nodeid"))
    monkeypatch.setattr("sys.argv", ["vigia", "edge", *command, "--config", str(config)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"vigia: {config}: node[0].node_id is missing; add it\n"


def test_a_logbook_that_makes_no_sense_ends_it_with_one_sentence(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "logbook.jsonl").write_text("nonsense\n")
    monkeypatch.setattr("sys.argv", ["vigia", "edge", "run", "--config", str(config)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert f"vigia: {config.parent}/logbook.jsonl: not a logbook entry at byte 0\n" in capsys.readouterr().err
