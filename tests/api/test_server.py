"""The process: one sentence when it cannot start, 503 while its database is away, gone within seconds when told."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest

from vigia.api.app import create_app
from vigia.api.config import ApiConfig
from vigia.store.embedded import EmbeddedPostgres
from vigia.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    from tests.api.conftest import World

PASSWORD = "correct horse battery staple"  # noqa: S105 - of people who do not exist


def start(dsn: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "vigia", "api", "run", "--dsn", dsn, "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"address=(\S+)", line):
            return process, found[1]
    pytest.fail("the process ended before it listened")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_five_seconds_though_a_client_follows_events(world: World, number: signal.Signals) -> None:
    process, address = start(world.dsn)
    try:
        headers = {"Authorization": "Bearer token-of-aurora"}
        with httpx.stream("GET", f"{address}/api/v1/events", headers=headers, timeout=10) as stream:
            assert next(stream.iter_lines()).startswith("retry")
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(10) == 0
            assert time.monotonic() - began < 5
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_a_port_in_use_is_one_sentence_and_exit_code_2(world: World, vigia: Callable[..., CompletedProcess[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = vigia("api", "run", "--dsn", world.dsn, "--port", str(port))
    assert refused.returncode == 2
    assert f"Port {port}" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--dsn", "postgresql://127.0.0.1:9/none", "--port", "0"],
        ["run", "--dsn", "host=/tmp", "--host", "no.such.host.invalid"],
        ["run", "--dsn", "nonsense", "--port", "0"],
        ["run", "--port", "70000"],
    ],
)
def test_a_start_that_cannot_succeed_is_one_sentence_and_exit_code_2(
    arguments: list[str], vigia: Callable[..., CompletedProcess[str]]
) -> None:
    refused = vigia("api", *arguments)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert len([line for line in refused.stderr.splitlines() if not line.startswith("timestamp=")]) == 1


def test_the_document_is_printed_without_a_database(vigia: Callable[..., CompletedProcess[str]]) -> None:
    printed = vigia("api", "openapi")
    assert printed.returncode == 0
    assert json.loads(printed.stdout) == create_app(ApiConfig(dsn="")).openapi()


async def test_while_the_database_is_away_the_answer_is_503_and_afterwards_as_before(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, {"fsync": "off", "shared_buffers": "16MB"}) as server:
        await migrate(server.dsn)
        app = create_app(ApiConfig(dsn=server.dsn))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://vigia.test") as client,
        ):
            assert (await client.get("/ready")).json()["status"] == "ready"
            server.stop()
            headers = {"Authorization": "Bearer any"}
            asked = [client.get(path, headers=headers) for path in ("/ready", "/api/v1/me", "/api/v1/assets", "/api/v1/events")]
            asked.append(client.post("/api/v1/session", json={"login": "ana", "password": PASSWORD}))
            for answer in await asyncio.gather(*asked):  # each waits some seconds for a connection
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
                assert answer.headers["content-type"] == "application/problem+json"
            assert (await client.get("/live")).status_code == 200
            server.start()
            assert (await client.get("/ready")).json()["status"] == "ready"
            assert (await client.get("/api/v1/me", headers=headers)).status_code == 401


async def test_the_documentation_loads_nothing_from_elsewhere(reader: httpx.AsyncClient) -> None:
    page = await reader.get("/docs")
    assert page.status_code == 200
    assert re.findall(r'(?:src|href)="([^"#]+)', page.text) == ["/docs/style.css", "/openapi.json", "/problems/all"]
    assert "<script" not in page.text
    document = (await reader.get("/openapi.json")).json()
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert all(f'id="{name}"' in page.text for name in names)
    for found in ("/docs/style.css", "/problems/all", "/problems/not-found"):
        assert (await reader.get(found)).status_code == 200


async def test_only_the_processs_own_migration_is_told_to_strangers(reader: httpx.AsyncClient, shared_world: World) -> None:
    with psycopg.connect(shared_world.dsn) as db:
        newest = db.execute("select max(name) from vigia.schema_migration where component = 'vigia'").fetchone()
    assert newest is not None
    assert (await reader.get("/ready")).json() == {"status": "ready", "migration": newest[0]}
