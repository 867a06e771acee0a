"""The process: a broker's session and a pipeline, side by side until it is told to stop."""

import asyncio

import structlog

from vigia.analytics import detectors
from vigia.analytics.kernels import newest, order, rollup
from vigia.ingest import blocks, ordinary
from vigia.ingest.broker import Host
from vigia.ingest.config import IngestConfig
from vigia.ingest.inbox import Inbox
from vigia.ingest.pipeline import Pipeline
from vigia.ingest.write import Store
from vigia.store import columns
from vigia.store.database import Database

log = structlog.get_logger()

LEAVE_S = 2.0


async def run(config: IngestConfig) -> None:
    """Bring what the broker delivers to the database until cancelled; then leave the broker, write what waits, and end.

    Raises DatabaseUnavailableError or BrokerUnavailableError when there is none at the start; later it waits for them.
    """
    async with Database(config.dsn, "vigia_service", max_size=2) as database:
        inbox = Inbox(config.limits)
        host = Host(config.broker, config.host_id, inbox)
        store = Store(database)
        await store.check()
        await asyncio.to_thread(_warm_up)
        await host.connect()
        try:
            await _work(config, host, Pipeline(inbox, host, store, config.limits))
        finally:
            await host.leave()


def _warm_up() -> None:
    """Compile the kernels before anyone waits for them."""
    for room in (detectors, columns, newest, order, rollup, blocks, ordinary):
        room.warm_up()


async def _work(config: IngestConfig, host: Host, pipeline: Pipeline) -> None:
    async with asyncio.TaskGroup() as tasks:
        broker = tasks.create_task(host.run(), name="broker")
        writer = tasks.create_task(pipeline.run(), name="writer")
        try:
            await asyncio.wait((broker, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            broker.cancel()
            await asyncio.wait((broker,), timeout=LEAVE_S)
            pipeline.finish()
            await asyncio.wait((writer,), timeout=config.limits.last_flush_s)
            writer.cancel()
            log.info("stopped")
