"""Live changes reach whom they concern, and nobody else."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
import uvicorn

from vigia.api.app import create_app
from vigia.api.config import ApiConfig
from vigia.api.live import PENDING_LIMIT, Hub, Reload
from vigia.store.changes import Change, announce
from vigia.store.sessions import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.api.conftest import World
    from vigia.store.database import Database


@asynccontextmanager
async def serving(world: World, heartbeat_s: float = 15.0) -> AsyncIterator[str]:
    """The app on a socket: a client in the same process could not read an endless answer."""
    app = create_app(ApiConfig(dsn=world.dsn, heartbeat_s=heartbeat_s))
    async with app.router.lifespan_context(app):
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
        running = asyncio.create_task(server._serve())
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            app.state.vigia.hub.close()
            server.should_exit = True
            await running


@asynccontextmanager
async def following(address: str, who: str, **headers: str) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of a client's stream, from when the server has begun it."""
    async with httpx.AsyncClient(base_url=address, timeout=10) as client:
        headers["Authorization"] = f"Bearer token-of-{who}"
        async with client.stream("GET", "/api/v1/events", headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            async for line in lines:
                if line.startswith("retry:"):
                    break
            yield lines


async def events(lines: AsyncIterator[str], until: str) -> list[tuple[str, str]]:
    """(event, data) of the stream up to and including the event named `until`."""
    found, name = [], ""
    async with asyncio.timeout(10):
        async for line in lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, line.removeprefix("data: ")))
                if name == until:
                    break
    return found


async def listening(world: World) -> None:
    """Wait until the process listens to the database."""
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(world.dsn, autocommit=True) as db:
        query = "select count(*) from pg_stat_activity where datname = current_database() and query like 'listen %'"
        while (await (await db.execute(query)).fetchone()) == (0,):
            await asyncio.sleep(0.02)


async def test_a_customer_is_told_its_own_changes_and_staff_all(world: World, service: Database) -> None:
    aurora, boreal = world.aurora.ids["customer_id"], world.boreal.ids["customer_id"]
    async with serving(world) as address:
        await listening(world)
        async with following(address, "aurora") as own, following(address, "service_manager") as every:
            async with service.transaction() as tx:
                await announce(tx, "prediction", boreal, 7)
                await announce(tx, "alarm", aurora, 3)
                await announce(tx, "state", aurora)
            told = [event for event in await events(own, "state") if event[0] != "reload"]
            assert [kind for kind, _ in told] == ["alarm", "state"]
            assert [json.loads(data) for _, data in told] == [{"customer_id": aurora, "role_id": role_id} for role_id in (3, None)]
            kinds = [kind for kind, _ in await events(every, "state") if kind != "reload"]
            assert kinds == ["prediction", "alarm", "state"]


async def test_a_client_that_comes_back_is_told_to_reload(world: World) -> None:
    async with serving(world) as address, following(address, "aurora", **{"Last-Event-ID": "41"}) as lines:
        assert await events(lines, "reload") == [("reload", "{}")]


async def test_silence_is_broken_by_a_comment(world: World) -> None:
    async with serving(world, heartbeat_s=0.1) as address, following(address, "aurora") as lines:
        async with asyncio.timeout(5):
            assert any([line.startswith(":") async for line in first(lines, 8)])


async def first(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        count -= 1
        if not count:
            return


@pytest.mark.parametrize("ended", ["delete from vigia.login_session", "update vigia.account set disabled_at = now()"])
async def test_a_stream_ends_with_its_session(world: World, ended: str) -> None:
    async with serving(world, heartbeat_s=0.1) as address, following(address, "aurora") as lines:
        with psycopg.connect(world.dsn, autocommit=True) as db:
            db.execute(ended.encode())
        async with asyncio.timeout(5):
            assert [line async for line in lines if line.startswith("data")] in ([], ["data: {}"])


async def test_logging_out_ends_the_stream_at_once(world: World) -> None:
    async with serving(world, heartbeat_s=60) as address, following(address, "aurora") as lines:
        async with httpx.AsyncClient(base_url=address) as client:
            left = await client.delete("/api/v1/session", headers={"Authorization": "Bearer token-of-aurora"})
            assert left.status_code == 204
        async with asyncio.timeout(5):
            assert [line async for line in lines if line.startswith("data")] in ([], ["data: {}"])


async def test_the_stream_outlives_the_loss_of_its_database_connection(world: World, service: Database) -> None:
    aurora = world.aurora.ids["customer_id"]
    async with serving(world) as address:
        await listening(world)
        async with following(address, "aurora") as lines:
            with psycopg.connect(world.dsn, autocommit=True) as db:
                db.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %' and datname = current_database()"
                )
            assert (await events(lines, "reload"))[-1] == ("reload", "{}")
            async with service.transaction() as tx:
                await announce(tx, "alarm", aurora, 3)
            assert (await events(lines, "alarm"))[-1][0] == "alarm"


async def test_a_client_that_does_not_read_costs_a_bounded_amount_of_memory() -> None:
    hub = Hub("")
    now = datetime.now(UTC)
    with hub.subscribe(Session(b"", "", now, now, 1, None, "technician", "ana", "Ana", "en", {})) as subscription:
        for role_id in range(PENDING_LIMIT * 3 + 1):
            subscription.offer(Change("alarm", 1, role_id))
        batch = await anext(subscription.batches(1))
    assert len(batch) <= PENDING_LIMIT
    assert batch[0] == Reload()
