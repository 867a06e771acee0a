"""What the fault matrix needs: a database on either profile, a server that may be crashed, and a place where the counts are kept."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "deploy"))
sys.path.insert(0, str(Path(__file__).parents[1] / "gate"))
sys.path.insert(0, str(Path(__file__).parents[1] / "edge"))
sys.path.insert(0, str(Path(__file__).parents[1] / "ingest"))
sys.path.insert(0, str(Path(__file__).parent))

from chaos_account import Account
from chaos_fleet import prepare
from chaos_processes import Server

from vigia.store import embedded_programs
from vigia.store.migrate import migrate
from vigia.supervisor.broker import RunningBroker, running_broker

TIMESCALE_BIN = "VIGIA_TEST_TIMESCALE_BIN"
TIMESCALE_DSN = "VIGIA_TEST_TIMESCALE_DSN"
TIMESCALE_SETTINGS = {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
NONE: Mapping[str, str] = MappingProxyType({})
PROFILES = ["plain", pytest.param("timescale", marks=pytest.mark.timescale)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def chaos_dsn(either_dsn: str) -> str:
    """A database with the small fleet, on each profile; its server is not touched."""
    prepare(either_dsn)
    return either_dsn


@pytest.fixture(params=PROFILES)
def make_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    """Makes a server of the test's own in a home folder, with more settings if need be, of each profile."""
    if request.param == "plain":
        return lambda home, settings=NONE: Server(home, {**settings})
    programs = os.environ.get(TIMESCALE_BIN)
    if not programs:
        pytest.skip(f"NOT RUN ON TIMESCALEDB: set {TIMESCALE_BIN} to the folder of a PostgreSQL's programs that has it")
    monkeypatch.setattr(embedded_programs, "_program_folder", lambda: Path(programs))
    return lambda home, settings=NONE: Server(home, {**TIMESCALE_SETTINGS, **settings})


@pytest.fixture(scope="module", params=PROFILES)
def server_and_template(request: pytest.FixtureRequest) -> tuple[str, str | None]:
    """For `fresh_database`, of each profile."""
    if request.param == "plain":
        return request.getfixturevalue("server_dsn"), request.getfixturevalue("template")
    server = os.environ.get(TIMESCALE_DSN)
    if not server:
        pytest.skip(f"NOT RUN ON TIMESCALEDB: set {TIMESCALE_DSN} to a superuser's DSN of a server that has it")
    return server, None


@pytest.fixture
def own_server(make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Such a server, running, its database migrated and with the small fleet. Its path is short: a long one changes at each start."""
    with make_server(tmp_path_factory.mktemp("home")) as server:
        asyncio.run(migrate(server.dsn))
        prepare(server.dsn)
        yield server


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Callable[[Account], None]:
    """Keeps the counts for the summary, then checks them."""

    def kept(account: Account) -> None:
        profile = "timescale" if "timescale" in request.node.name else "plain"
        request.node.user_properties.append(("fault matrix", f"{profile}, {account}"))
        account.check()

    return kept
