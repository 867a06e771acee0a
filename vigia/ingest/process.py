"""The process: a broker's session, a pipeline and the watch over both, side by side until it is told to stop."""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Sequence

import structlog

from vigia.analytics import detectors
from vigia.analytics.detectors import together
from vigia.analytics.kernels import newest, order, rollup
from vigia.concurrency import ended
from vigia.ingest import blocks, ordinary
from vigia.ingest.broker import Host
from vigia.ingest.config import IngestConfig
from vigia.ingest.inbox import Inbox
from vigia.ingest.pipeline import Pipeline
from vigia.ingest.plain.devices import Plain
from vigia.ingest.sender import Sender
from vigia.ingest.watch import Watch, told
from vigia.ingest.write import Store
from vigia.store import columns
from vigia.store.database import Database

log = structlog.get_logger()

LEAVE_S = 2.0


async def run(config: IngestConfig) -> None:
    """Bring what the broker delivers to the database until cancelled; then leave the broker, write what waits, and end.

    Raises DatabaseUnavailableError or BrokerUnavailableError when there is none at the start; later it waits for them.
    """
    plain = None if config.topics is None else Plain(config.topics)
    async with Database(config.dsn, "vigia_service", max_size=3) as database, contextlib.AsyncExitStack() as exits:
        inbox = Inbox(config.limits)
        host = Host(config.broker, config.host_id, inbox, share=config.share, topics=[] if plain is None else plain.filters)
        watch = None if config.watch is None else Watch(inbox, config.limits, lambda: host.connected)
        if watch is not None and config.watch is not None:
            await exits.enter_async_context(told(watch, config.watch))
        store = Store(database)
        await store.check()
        await asyncio.to_thread(_warm_up)
        await host.connect()
        try:
            pipeline = Pipeline(inbox, host, store, config.limits, plain=plain, watch=watch, shared=config.share is not None)
            beside: list[Callable[[], Coroutine[None, None, None]]] = [Sender(database, host).run]
            if watch is not None:
                beside.append(functools.partial(watch.look, database))
            await _work(config, host, pipeline, beside)
        finally:
            await host.leave()


def _warm_up() -> None:
    """Compile the kernels before anyone waits for them."""
    for room in (detectors, together, columns, newest, order, rollup, blocks, ordinary):
        room.warm_up()


async def _work(config: IngestConfig, host: Host, pipeline: Pipeline, beside: Sequence[Callable[[], Coroutine[None, None, None]]]) -> None:
    """`beside` is what ends with the broker's session."""
    async with asyncio.TaskGroup() as tasks:
        broker = tasks.create_task(host.run(), name="broker")
        writer = tasks.create_task(pipeline.run(), name="writer")
        others = [tasks.create_task(work(), name="beside") for work in beside]
        try:
            await asyncio.wait((broker, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (broker, *others):
                task.cancel()
            await asyncio.wait((broker,), timeout=LEAVE_S)
            await ended(*others, patience_s=LEAVE_S)
            pipeline.finish()
            await asyncio.wait((writer,), timeout=config.limits.last_flush_s)
            writer.cancel()
            log.info("stopped")
