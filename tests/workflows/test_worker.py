"""The worker process: fast, in order, and dying without losing or doubling anything."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

import psycopg
import pytest

from vigia.store import jobs as stored_jobs
from vigia.store.database import DatabaseUnavailableError
from vigia.workflows.jobs import defer

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Awaitable, Callable
    from subprocess import CompletedProcess

    from tests.workflows.conftest import Plant

PATIENCE_S = 60.0


def at(hour: float) -> datetime:
    """Fleet time: hours since the first installation."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def worker(dsn: str) -> AsyncIterator[Process]:
    """A worker process of its own, ready; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vigia", "worker", "run", "--dsn", dsn, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while b"worker ready" not in (line := await process.stdout.readline()):
                assert line, "the worker ended before it was ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        print((await process.communicate())[0].decode())  # noqa: T201 - what pytest shows of a test that fails


async def idle(plant: Plant) -> bool:
    async with plant.service.transaction() as tx:
        return await stored_jobs.waiting(tx) == 0


async def alarming(plant: Plant, asset_id: int = 1) -> None:
    """Two alarming predictions, the second deferred to the worker."""
    await plant.predict(asset_id, 99, 0.8)
    prediction_id = await plant.predict(asset_id, 100, 0.8)
    async with plant.service.transaction() as tx:
        await defer(tx, "prediction_to_alarm", prediction_id=prediction_id)


COUNTS = """select (select count(*) from alarm), (select count(*) from failure_case), (select count(*) from work_order),
                   (select count(*) from visit), (select count(*) from jobs.procrastinate_jobs)"""


async def test_a_job_exists_only_if_its_cause_is_committed(plant: Plant) -> None:
    async def rolled_back() -> None:
        async with plant.service.transaction() as tx:
            await defer(tx, "record_state", asset_id=1, at=at(1), state=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await rolled_back()
    assert await idle(plant)


async def test_a_prediction_becomes_a_dispatched_order_at_once(plant: Plant, dsn: str) -> None:
    async with worker(dsn):
        began = monotonic()
        await alarming(plant)
        await until(lambda: idle(plant))
        assert monotonic() - began < 5
    assert await plant.rows(COUNTS) == [(1, 1, 1, 1, 0)]
    assert await plant.value("select state from work_order") == "dispatched"


async def test_an_alarm_is_raised_and_returns_to_normal_in_the_order_that_ingest_told_it(plant: Plant, dsn: str) -> None:
    findings = [await plant.find(1, hour, detector="sensor") for hour in (10, 20)]
    point_id = await plant.value("select point_id from finding limit 1")
    async with plant.service.transaction() as tx:
        for finding_id, hour in zip(findings, (15, 25), strict=True):
            await defer(tx, "finding_to_alarm", finding_id=finding_id)
            await defer(tx, "finding_over", asset_id=1, point_id=point_id, detector="sensor", at=at(hour))
    async with worker(dsn), worker(dsn):
        await until(lambda: idle(plant))
    assert await plant.rows("select over_at from finding order by finding_id") == [(at(15),), (at(25),)]
    states = [state for (state,) in await plant.rows("select state from alarm_event order by alarm_event_id")]
    assert states == ["unacknowledged", "returned_unacknowledged"] * 2


async def test_jobs_of_one_machine_keep_their_order_on_two_workers(plant: Plant, dsn: str) -> None:
    hours = 20
    async with plant.service.transaction() as tx:
        for hour in range(1, hours + 1):
            await defer(tx, "record_state", asset_id=1, at=at(hour), state=hour % 2)
    async with worker(dsn), worker(dsn):
        await until(lambda: idle(plant))
    assert await plant.value("select count(*) from state_interval where category = 'up'") == hours / 2
    found = await plant.rows("select category from state_interval order by started_at, ended_at")
    assert [row[0] for row in found] == ["up", "supplier_down"] * (hours // 2)


async def test_the_job_of_a_worker_killed_in_the_middle_is_done_exactly_once_by_the_next(plant: Plant, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as gate:
        # The job waits for the role's lock: the kill hits it inside its transaction.
        await gate.execute("select pg_advisory_xact_lock(hashtext('vigia.role'), 1)")
        async with worker(dsn) as first:
            await alarming(plant)
            waiting = """select count(*) from pg_locks join pg_database on pg_database.oid = database
                         where locktype = 'advisory' and not granted and datname = current_database()"""
            await until(lambda: _is(plant, waiting, 1))
            first.send_signal(signal.SIGKILL)
            await first.wait()
    async with worker(dsn):
        await until(lambda: idle(plant))
    assert await plant.rows(COUNTS) == [(1, 1, 1, 1, 0)]


async def test_a_job_whose_end_was_never_reported_changes_nothing_the_second_time(plant: Plant, dsn: str) -> None:
    """As when the worker dies between its commit and the report: the job is still there, its work is done."""
    async with worker(dsn):
        await alarming(plant)
        await until(lambda: idle(plant))
        before = await plant.rows(COUNTS)
        async with plant.service.transaction() as tx:
            await defer(tx, "prediction_to_alarm", prediction_id=2)
            await defer(tx, "case_to_work_order", failure_case_id=1, at=at(100))
            await defer(tx, "dispatch_day", at=at(100))
        await until(lambda: idle(plant))
    assert await plant.rows(COUNTS) == before


async def test_a_worker_outlives_the_loss_of_all_its_connections(plant: Plant, dsn: str) -> None:
    async with worker(dsn) as process:
        async with await psycopg.AsyncConnection.connect(dsn) as superuser:
            await superuser.execute(
                """select pg_terminate_backend(pid) from pg_stat_activity
                   where datname = current_database() and application_name in ('vigia_worker', 'vigia_service')"""
            )
        await alarming(plant)
        await until(lambda: idle(plant))
        assert process.returncode is None
    assert await plant.rows(COUNTS) == [(1, 1, 1, 1, 0)]


async def test_a_job_that_can_never_succeed_is_given_up_and_the_next_one_runs(plant: Plant, dsn: str) -> None:
    async with plant.service.transaction() as tx:
        await defer(tx, "record_state", asset_id=1, at="no time at all", state=1)
        await defer(tx, "record_state", asset_id=1, at=at(1), state=1)
    async with worker(dsn):
        await until(lambda: idle(plant))
    async with plant.service.transaction() as tx:
        assert await stored_jobs.failed(tx) == 1
    assert await plant.value("select category from state_interval") == "up"


async def test_a_worker_that_finds_no_database_says_so_and_can_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_jobs, "TRANSACTION_WAIT_S", 0.5)
    with pytest.raises(DatabaseUnavailableError):
        async with stored_jobs.pool("postgresql://nobody@127.0.0.1:1/none", 1):
            pass


async def test_sigterm_stops_within_five_seconds(dsn: str) -> None:
    async with worker(dsn) as process:
        began = monotonic()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert monotonic() - began < 5


def test_without_a_database_the_first_start_is_one_sentence_and_exit_code_2(vigia: Callable[..., CompletedProcess[str]]) -> None:
    ended = vigia("worker", "run", "--dsn", "postgresql://nobody@127.0.0.1:1/none")
    assert ended.returncode == 2
    assert ended.stderr.strip().splitlines()[-1].startswith("vigia: no database answers")
    assert "Traceback" not in ended.stderr


async def _is(plant: Plant, query: str, expected: object) -> bool:
    return bool(await plant.value(query) == expected)


@pytest.mark.slow
async def test_an_alarm_waits_for_no_second_opinion_and_neither_does_the_end(plant: Plant, dsn: str) -> None:
    await plant.beat(720, 670)
    finding_id = await plant.find(1, 690)
    opinion = "select second_opinion ->> 'compared' from finding"
    async with worker(dsn) as process, plant.service.transaction() as held:
        await held.execute("select from finding where finding_id = %s for no key update", (finding_id,))
        async with plant.service.transaction() as tx:
            await defer(tx, "finding_to_alarm", finding_id=finding_id)
        await until(
            lambda: _is(plant, "select count(*) from jobs.procrastinate_jobs where queue_name = 'vigia_later' and status = 'doing'", 1)
        )
        began = monotonic()
        await alarming(plant, 2)
        await until(lambda: _is(plant, "select count(*) from alarm", 2))
        assert monotonic() - began < 3
        assert await plant.value(opinion) is None
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0
    async with worker(dsn):
        await until(lambda: idle(plant))
    assert int(await plant.value(opinion)) > 19
