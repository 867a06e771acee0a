"""Fixtures of the portal's tests: the flown fleet behind a running server, and a browser."""

import asyncio
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright
from psycopg import sql
from psycopg.conninfo import make_conninfo

from vigia.api.app import create_app
from vigia.api.config import ApiConfig
from vigia.portal.build import build_vendor, compile_translations
from vigia.store.database import Database

sys.path.insert(0, str(Path(__file__).parent))

from flown_fleet import Flown, fly
from portal_harness import Portal, Visitor

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def portal(server_dsn: str, template: str) -> Iterator[Portal]:
    build_vendor()
    compile_translations()
    name = f"portal_{time.time_ns()}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
    dsn = make_conninfo(server_dsn, dbname=name)

    async def seed() -> Flown:
        async with Database(dsn, "vigia_service", max_size=2) as database:
            return await fly(database)

    flown = asyncio.run(seed())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(ApiConfig(dsn=dsn, clock="fleet", port=port)), port=port, log_config=None, timeout_graceful_shutdown=1, lifespan="on"
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _until(lambda: server.started, 20)
    yield Portal(f"http://127.0.0.1:{port}", dsn, flown)
    server.should_exit = True
    thread.join(15)
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium: the one on PATH, else playwright's own.

    For a module, not the session: while playwright runs, this process has an event loop, and asynchronous tests need their own.
    """
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or playwright.chromium.executable_path
        if not Path(chromium).exists():
            pytest.skip("NO PAGE WAS LOOKED AT: no Chromium on PATH (Debian: apt install chromium) nor from `playwright install chromium`")
        launched = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        yield launched
        launched.close()


@pytest.fixture
def visitor(portal: Portal, browser: Browser) -> Iterator[Visitor]:
    one = Visitor(portal, browser, [], [])
    yield one
    for context in one.contexts:
        context.close()
    assert [complaint for complaint in one.complaints if "status of 4" not in complaint] == []


def _until(condition: "object", timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the portal did not start"
        time.sleep(0.02)
