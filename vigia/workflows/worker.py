"""The worker: takes jobs as they are committed and runs each as one transaction of the service.

While the database is away, a job waits and is tried again; jobs of the same asset wait behind it. A worker that dies leaves its job
to the others: its heartbeat stops, and whoever notices first puts the job back. Workflows absorb the repetition.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from procrastinate import App, JobContext, PsycopgConnector, exceptions
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker

from vigia.concurrency import ended
from vigia.domain.errors import DomainError
from vigia.domain.work_orders import Autonomy
from vigia.store import fleet, refusals
from vigia.store import jobs as stored_jobs
from vigia.store.database import Clock, Database, DatabaseUnavailableError, Transaction, TransactionConflictError
from vigia.store.upkeep import Retention
from vigia.workflows import (
    case_to_work_order,
    dispatch_day,
    finding_to_alarm,
    keep_telemetry,
    record_state,
    second_opinion,
    shelve_alarm,
    watch_models,
)
from vigia.workflows.jobs import LATER_QUEUE, QUEUE, TaskName
from vigia.workflows.learn_baselines import Learner

log = structlog.get_logger()

MAX_TRIES = 8
HEARTBEAT_S = 1.0
STALLED_S = 5.0
POLLING_S = 0.2
HOUSEKEEPING_S = 30.0
UPKEEP = timedelta(hours=1)
GRACE_S = 2.0
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True)
class WorkerConfig:
    """`autonomy`: how far a prediction goes without a person. `concurrency`: jobs run at once; more workers may run beside this one.

    `clock`: the time by which shelvings end and visits are booked, "fleet" for a replay.
    `retention`: how long telemetry is kept.
    """

    dsn: str
    autonomy: Autonomy = Autonomy.AUTO
    concurrency: int = 1
    clock: Clock = "wall"
    retention: Retention = field(default_factory=Retention)


@dataclass
class _Running:
    """Jobs of a queue between taking and reporting, as this process knows them; what the database believes beyond that is abandoned."""

    queue: str
    concurrency: int
    worker_id: int | None = None
    job_ids: set[int] = field(default_factory=set)
    seen_idle: dict[int, float] = field(default_factory=dict)


class _TryAgain(BaseRetryStrategy):
    """Without end when the database is away or another was faster, MAX_TRIES times on a surprise, never when a rule refuses.

    Each wait is twice the last. What a stopping worker breaks off is for the next one at once.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_at=datetime.now(UTC))
        if isinstance(exception, DomainError) or not isinstance(exception, Exception):
            return None
        if not isinstance(exception, (DatabaseUnavailableError, TransactionConflictError)) and job.attempts + 1 >= MAX_TRIES:
            return None
        wait = timedelta(seconds=min(_LONGEST_PAUSE_S, 0.05 * 2 ** min(job.attempts, 10)))
        return RetryDecision(retry_at=datetime.now(UTC) + wait)


async def run(config: WorkerConfig) -> None:
    """Run jobs until SIGTERM or SIGINT, then finish the ones begun (for at most GRACE_S seconds).

    Raises DatabaseUnavailableError if no database answers at the start; one that goes away later is waited for.
    """
    # It reports every job and every lost connection with a traceback; what matters is logged here, in one line.
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    async with Database(config.dsn, "vigia_service", max_size=config.concurrency + 5, clock=config.clock) as database:
        with _stop_signal() as stopped:
            working = asyncio.create_task(_work(config, database))
            waiting = asyncio.create_task(stopped.wait())
            try:
                await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await ended(waiting, working, patience_s=GRACE_S + 0.5)
            if not working.cancelled():
                working.result()
    log.info("worker stopped")


async def _work(config: WorkerConfig, database: Database) -> None:
    pause = 0.1
    while True:
        began = monotonic()
        with contextlib.suppress(exceptions.ConnectorException, DatabaseUnavailableError):
            await _serve(config, database)
        pause = 0.1 if monotonic() - began > STALLED_S else min(2 * pause, _LONGEST_PAUSE_S)
        log.warning("worker lost the database, trying again", pause_s=pause)
        await asyncio.sleep(pause)


async def _serve(config: WorkerConfig, database: Database) -> None:
    """Work until the database goes away (returns or raises) or the task is cancelled."""
    app = App(connector=PsycopgConnector())
    for name, function in _tasks(config, database).items():
        app.task(name=name, retry=_TryAgain())(function)
    queues = [_Running(QUEUE, config.concurrency), _Running(LATER_QUEUE, 1)]
    async with stored_jobs.pool(config.dsn, config.concurrency + 5) as pool, app.open_async(pool):
        tasks = (
            *(_rescue(app, running) for running in queues),
            _keep_house(database),
            _watch_models(database),
            _keep_telemetry(database, config.retention),
            _learn_baselines(database),
        )
        beside = [asyncio.create_task(task) for task in tasks]
        working = [asyncio.create_task(_run_queue(app, running)) for running in queues]
        log.info("worker ready")
        try:
            done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(*working, *beside, patience_s=GRACE_S + 0.5)
        for one in done:
            one.result()


async def _run_queue(app: App, running: _Running) -> None:
    await app.run_worker_async(
        queues=[running.queue],
        concurrency=running.concurrency,
        fetch_job_polling_interval=POLLING_S,
        update_heartbeat_interval=HEARTBEAT_S,
        stalled_worker_timeout=STALLED_S,
        shutdown_graceful_timeout=GRACE_S,
        delete_jobs="successful",
        install_signal_handlers=False,
        worker_middleware=[_watched(running)],
    )


def _tasks(config: WorkerConfig, database: Database) -> dict[TaskName, Callable[..., Awaitable[None]]]:
    async def state_recorded(asset_id: int, at: str, state: float) -> None:
        async with database.transaction() as tx:
            await record_state.handle(tx, asset_id, int(state), datetime.fromisoformat(at))

    async def finding_seen(finding_id: int) -> None:
        async with database.transaction() as tx:
            await finding_to_alarm.handle_finding(tx, finding_id)

    async def finding_over(asset_id: int, point_id: int, detector: str, at: str) -> None:
        async with database.transaction() as tx:
            await finding_to_alarm.handle_over(tx, asset_id, point_id, detector, datetime.fromisoformat(at))

    async def alarm_raised(finding_id: int) -> None:
        await second_opinion.handle(database, finding_id)

    async def prediction_made(prediction_id: int, model_rule_id: int | None = None) -> None:
        async with database.transaction() as tx:
            await finding_to_alarm.handle_prediction(tx, prediction_id, model_rule_id)

    async def case_opened(failure_case_id: int, at: str) -> None:
        async with database.transaction() as tx:
            await case_to_work_order.handle(tx, failure_case_id, config.autonomy, datetime.fromisoformat(at))

    async def orders_approved(at: str) -> None:
        async with database.transaction() as tx:
            await dispatch_day.handle(tx, datetime.fromisoformat(at))

    return {
        "record_state": state_recorded,
        "finding_to_alarm": finding_seen,
        "finding_over": finding_over,
        "second_opinion": alarm_raised,
        "prediction_to_alarm": prediction_made,
        "case_to_work_order": case_opened,
        "dispatch_day": orders_approved,
    }


def _watched(running: _Running) -> Callable[..., Awaitable[Any]]:
    """Note each job while it runs, and say in one line when it fails."""

    async def middleware(call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:  # noqa: ANN401 - whatever it returns
        job_id = context.job.id or 0
        running.worker_id = worker.worker_id
        running.job_ids.add(job_id)
        try:
            return await call_next()
        except Exception as error:
            log.warning(
                "job failed",
                task=context.job.task_name,
                job_id=job_id,
                tries=context.job.attempts + 1,
                error=f"{type(error).__name__}: {error}",
            )
            raise
        finally:
            running.job_ids.discard(job_id)

    return middleware


async def _rescue(app: App, running: _Running) -> None:
    """Put back the jobs of workers that died, and those of ours whose end could not be reported."""
    while True:
        with contextlib.suppress(exceptions.ConnectorException):
            for job in await app.job_manager.get_stalled_jobs(queue=running.queue, seconds_since_heartbeat=STALLED_S):
                await _put_back(app, job)
            for job in await _abandoned(app, running):
                await _put_back(app, job)
        await asyncio.sleep(HEARTBEAT_S)


async def _abandoned(app: App, running: _Running) -> list[Job]:
    if running.worker_id is None:
        return []
    ours = await app.job_manager.list_jobs_async(status="doing", queue=running.queue, worker_id=running.worker_id)
    idle = {job.id: job for job in ours if job.id is not None and job.id not in running.job_ids}
    running.seen_idle = {job_id: running.seen_idle.get(job_id, monotonic()) for job_id in idle}
    return [job for job_id, job in idle.items() if monotonic() - running.seen_idle[job_id] > STALLED_S]


async def _put_back(app: App, job: Job) -> None:
    log.warning("job put back: its worker is gone", task=job.task_name, job_id=job.id)
    await app.job_manager.retry_job(job, retry_at=datetime.now(UTC))


async def _keep_house(database: Database) -> None:
    """What falls due with time alone: shelvings that run out, approved orders that nobody could be booked for."""
    while True:
        await asyncio.sleep(HOUSEKEEPING_S)
        with contextlib.suppress(DatabaseUnavailableError):
            async with database.transaction() as tx:
                await _on_time(tx)


async def _watch_models(database: Database) -> None:
    """Beside the jobs: what a day of a large fleet's readings says of its models takes a while, which no alarm may wait."""
    while True:
        await asyncio.sleep(HOUSEKEEPING_S)
        try:
            async with database.transaction() as tx:
                looked_at = await watch_models.handle(tx, await fleet.now(tx))
        except Exception as error:
            if refusals.cause(error) is None:
                raise
            log.warning("models not watched, trying again", error=f"{type(error).__name__}: {error}")
            continue
        for one in looked_at:
            if one.warnings:
                log.warning("a model in charge has drifted", model_version_id=one.model_version_id, warnings=one.warnings, worst=one.worst)


async def _keep_telemetry(database: Database, retention: Retention) -> None:
    """Beside the jobs and not one of them: packing a day takes minutes, which no alarm may wait."""
    while True:
        try:
            if (done := await keep_telemetry.run_if_due(database, retention, UPKEEP)) is not None:
                log.info("telemetry kept", packed=len(done.packed), dropped=len(done.dropped), busy=len(done.busy))
        except Exception as error:
            if refusals.cause(error) is None:
                raise
            log.warning("telemetry not kept, trying again", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(HOUSEKEEPING_S)


async def _learn_baselines(database: Database) -> None:
    """Beside the jobs too: a machine's usual day is many readings."""
    learner = Learner(database)
    while True:
        await asyncio.sleep(HOUSEKEEPING_S)
        with contextlib.suppress(DatabaseUnavailableError):
            await learner.run()


async def _on_time(tx: Transaction) -> None:
    now = await fleet.now(tx)
    await shelve_alarm.end_expired(tx, now)
    await dispatch_day.handle(tx, now)


@contextlib.contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
