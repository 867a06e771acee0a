"""Fixtures of the edge's tests: a real broker of either kind, a host, a gateway process."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from vigia.supervisor.broker import RunningBroker, running_broker

sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))
sys.path.insert(0, str(Path(__file__).parent))

from command_harness import BareHost
from edge_harness import Gateway, GatewayProcess, Host

if TYPE_CHECKING:
    from opcua_machine import Machine

AnyGateway = TypeVar("AnyGateway", bound=Gateway)


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    """The broker that is installed, or the one a test is parametrised with."""
    kind: str = getattr(request, "param", "")
    if kind == "mosquitto" and not shutil.which("mosquitto"):
        pytest.skip("mosquitto is not installed")
    with running_broker(tmp_path / "broker", kind) as running:
        yield running


@pytest.fixture
def host(broker: RunningBroker) -> Iterator[Host]:
    one = Host(broker.url)
    one.start()
    yield one
    one.stop()
    assert one.errors == []


@pytest.fixture
def bare_host(broker: RunningBroker) -> Iterator[BareHost]:
    one = BareHost(int(broker.url.rsplit(":", 1)[1]))
    one.start()
    yield one
    one.stop()


@pytest.fixture
def gateway(broker: RunningBroker, tmp_path: Path) -> Iterator[Gateway]:
    yield from _stopped(Gateway(tmp_path / "edge", broker.url))


@pytest.fixture
def gateway_process(broker: RunningBroker, tmp_path: Path) -> Iterator[GatewayProcess]:
    yield from _stopped(GatewayProcess(tmp_path / "edge", broker.url))


@pytest.fixture(scope="session")
def opcua_machine(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Machine]":
    """An OPC UA server with and without security, to which tests add nodes. It takes seconds to start: group the tests that share it."""
    from opcua_machine import Machine, certified  # noqa: PLC0415 - only for who asks

    with Machine(certified(tmp_path_factory.mktemp("opcua"), "urn:plant:press")) as running:
        yield running


def _stopped(one: AnyGateway) -> Iterator[AnyGateway]:
    yield one
    if one.running:
        one.stop()
