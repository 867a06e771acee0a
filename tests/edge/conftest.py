"""Fixtures of the edge's tests: a real broker of either kind, a host, a gateway process."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vigia.supervisor.broker import RunningBroker, running_broker

sys.path.insert(0, str(Path(__file__).parent))

from edge_harness import Gateway, Host


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
def gateway(broker: RunningBroker, tmp_path: Path) -> Iterator[Gateway]:
    one = Gateway(tmp_path / "edge", broker.url)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.stop()
