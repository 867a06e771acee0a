"""`vigia db status` and `vigia db upkeep` tell an operator in what state telemetry is."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from vigia import cli
from vigia.store.database import Database
from vigia.store.telemetry import GOOD, Readings, Writer, to_us
from vigia.store.upkeep import RetentionTooShortError

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 6_000


async def fill(dsn: str, days: tuple[int, ...]) -> None:
    row = np.arange(ROWS)
    async with Database(dsn, "vigia_service") as database:
        for day in days:
            ts = to_us(START + timedelta(days=day)) + row * 1_000_000
            readings = Readings((row % 10 + 1).astype(np.int32), ts, row * 0.5, np.full(ROWS, GOOD, np.int16))
            async with database.transaction() as tx:
                await Writer().add(tx, readings)


def vigia(*arguments: str, **environment: str) -> str:
    answer = CliRunner().invoke(cli.app, arguments, env=environment)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_status_and_upkeep_tell_of_days_that_are_due_and_done(either_dsn: str, request: pytest.FixtureRequest) -> None:
    packs = "timescale" in request.node.callspec.id
    asyncio.run(fill(either_dsn, (0, 1, 2, 3, 50)))
    told = json.loads(vigia("db", "status", "--dsn", either_dsn, "--json"))["telemetry"]
    assert (told["pieces"], told["oldest_day"], told["newest_day"]) == (5, "2026-01-01", "2026-02-20")
    assert told["rows_estimated"] == pytest.approx(5 * ROWS, rel=0.3)  # a table grows by several pages at once
    assert told["bytes"] == sum(day["bytes"] for day in told["days"]) > 0
    assert len(told["due"]) == (4 if packs else 0)
    assert told["last_upkeep"] is None
    assert "last upkeep  never" in vigia("db", "status", "--dsn", either_dsn)

    done = json.loads(vigia("db", "upkeep", "--dsn", either_dsn, "--json", VIGIA_RETENTION_RAW_DAYS="49"))
    assert (len(done["dropped"]), len(done["packed"])) == (2, 2 if packs else 0)
    told = json.loads(vigia("db", "status", "--dsn", either_dsn, "--json"))["telemetry"]
    assert told["last_upkeep"]["dropped"] == done["dropped"]
    assert (told["pieces"], told["packed"], told["due"]) == (3, 2 if packs else 0, [])
    table = vigia("db", "status", "--dsn", either_dsn)
    assert ("packed" in table) is packs
    assert "2026-01-03  2026-02-20" in table
    assert vigia("db", "upkeep", "--dsn", either_dsn) == "nothing to do\n"


def test_a_retention_that_contracts_forbid_is_refused_before_anything_is_dropped(dsn: str) -> None:
    asyncio.run(fill(dsn, (0, 50)))
    answer = CliRunner().invoke(cli.app, ["db", "upkeep", "--dsn", dsn], env={"VIGIA_RETENTION_1M_DAYS": "7"})
    assert isinstance(answer.exception, RetentionTooShortError)
    assert "VIGIA_RETENTION_1M_DAYS = 7" in str(answer.exception)
    assert json.loads(vigia("db", "status", "--dsn", dsn, "--json"))["telemetry"]["pieces"] == 2


def test_the_status_of_an_empty_telemetry_says_so(dsn: str) -> None:
    assert json.loads(vigia("db", "status", "--dsn", dsn, "--json"))["telemetry"]["pieces"] == 0
    assert "nothing to pack" in vigia("db", "status", "--dsn", dsn)
