"""A gateway warns in time that its certificate ends, and once; a server that is away stops nothing."""

import asyncio
import contextlib
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from vigia import cli
from vigia.authority.issuing import Authority
from vigia.edge.check_in import CheckIns, Unmanaged, renewal_due
from vigia.edge.identity import Place, load, new_request, take_certificate, take_place

DAY = timedelta(days=1)
Logs = list[MutableMapping[str, Any]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"), datetime.now(UTC))


def certify(authority: Authority, folder: Path, left: timedelta, life: timedelta = 100 * DAY) -> Path:
    """An identity whose certificate has so much of its life left, at a server that does not answer."""
    request = new_request(folder)
    take_place(folder, Place("http://127.0.0.1:1", None, "acme", "madrid", "mqtts://broker", None))
    take_certificate(folder, authority.issue(request, "acme:madrid", datetime.now(UTC) + left - life, life).chain)
    return folder


async def words(folder: Path, rounds: int = 3) -> Logs:
    """What is logged while it checks in a few times."""
    with structlog.testing.capture_logs() as logs:
        check_ins = CheckIns(folder, 0.01, Unmanaged([]))
        checking = asyncio.create_task(check_ins.run())
        while check_ins.rounds < rounds:
            await asyncio.sleep(0.005)
        checking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checking
    return logs


@pytest.mark.parametrize(("left", "within"), [(29.5, 30), (13.5, 14), (6.5, 7), (0.5, 1)])
async def test_the_end_of_a_certificate_is_told_once_for_each_warning(
    authority: Authority, tmp_path: Path, left: float, within: int
) -> None:
    logs = await words(certify(authority, tmp_path, left * DAY))
    warned = [entry for entry in logs if entry["event"] == "the certificate ends soon and was not renewed"]
    assert [(entry["within_days"], entry["log_level"]) for entry in warned] == [(within, "warning")]


async def test_a_certificate_with_time_enough_is_not_told_of(authority: Authority, tmp_path: Path) -> None:
    assert [entry["event"] for entry in await words(certify(authority, tmp_path, 31 * DAY))] == ["not checked in"]


async def test_an_ended_certificate_is_an_error_that_says_what_to_do(authority: Authority, tmp_path: Path) -> None:
    logs = await words(certify(authority, tmp_path, -DAY))
    (ended,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert "enrol the gateway anew" in ended["event"]


async def test_a_server_that_is_away_is_told_of_once(authority: Authority, tmp_path: Path) -> None:
    logs = await words(certify(authority, tmp_path, 90 * DAY), rounds=5)
    assert [entry["event"] for entry in logs] == ["not checked in"]
    assert "cannot be reached" in logs[0]["why"]


def test_it_renews_when_a_third_of_its_life_is_left(authority: Authority, tmp_path: Path) -> None:
    identity = load(certify(authority, tmp_path, 90 * DAY, life=90 * DAY))
    third = (identity.valid_until - identity.valid_from) / 3
    assert not renewal_due(identity, identity.valid_until - third - timedelta(seconds=1))
    assert renewal_due(identity, identity.valid_until - third)
    assert renewal_due(identity, identity.valid_until + DAY)


def test_the_status_tells_how_long_it_is_valid(authority: Authority, tmp_path: Path) -> None:
    certify(authority, tmp_path / "identity", 20.5 * DAY)
    (tmp_path / "d").touch()
    (tmp_path / "edge.toml").write_text(
        '[identity]\nfolder = "identity"\n[buffer]\nfolder = "b"\n[[node]]\n[node.source]\ntype = "replay"\nlogbook = "l"\ndata = "d"\n'
        'devices = ["L"]\n'
    )
    told = CliRunner().invoke(cli.app, ["edge", "status", "--config", str(tmp_path / "edge.toml")]).output
    assert told.startswith("identity: valid until ")
    assert "UTC, 20 days left\n" in told
