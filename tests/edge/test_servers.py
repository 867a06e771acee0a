"""Several brokers of one host application, and none at all: where the next connection goes, and under which number."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_harness import Gateway, Host, wait_for

from vigia.edge.buffer import EdgeBuffer
from vigia.edge.config import BrokerConfig, NodeConfig
from vigia.edge.connection import ConnectionLostError
from vigia.edge.messages import Messages
from vigia.edge.outbox import Outbox
from vigia.edge.session import HostOfflineError, Mail, Server, Session
from vigia.sparkplug.session import bd_seq_of
from vigia.sparkplug.topics import MessageType
from vigia.supervisor.broker import RunningBroker, running_broker


@pytest.fixture
def second_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(tmp_path / "second") as running:
        yield running


def test_it_goes_where_its_host_is_online(broker: RunningBroker, second_broker: RunningBroker, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "edge", broker.url)
    gateway.config.write_text(gateway.config.read_text().replace("keepalive_s", f'servers = ["{second_broker.url}"]\nkeepalive_s', 1))
    away, there = Host(broker.url), Host(second_broker.url)
    for host in (away, there):
        host.start()
    away.say(online=False)
    gateway.install("L", "ESN-2", 2, 0)
    gateway.start()
    wait_for(lambda: MessageType.DBIRTH in there.types)
    assert away.types == []
    away.say(online=True).wait_for_publish(5)
    there.say(online=False)
    wait_for(lambda: MessageType.DBIRTH in away.types)
    assert there.types[-1] is MessageType.NDEATH
    gateway.stop()
    assert [bd_seq_of(host.payloads(MessageType.NBIRTH)[0]) for host in (there, away)] == [1, 2]
    for host in (away, there):
        host.stop()


async def test_a_server_where_nobody_says_anything_is_left(broker: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigia.edge.session.HOST_PATIENCE_S", 0.05)
    buffer = EdgeBuffer(tmp_path / "node.sqlite")
    config = NodeConfig(group_id="air", node_id="bcn", source={})
    session = Session(config, Server(BrokerConfig(url=broker.url), is_only=False), Messages(), Mail(buffer, Outbox(1, 1.0)))
    with pytest.raises(HostOfflineError):
        await asyncio.wait_for(session.run(), 10)
    buffer.close()


async def test_a_broker_that_is_away_uses_up_no_number(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"
        buffer = EdgeBuffer(tmp_path / "node.sqlite")
        config = NodeConfig(group_id="air", node_id="bcn", source={})
        for _ in range(3):
            session = Session(config, Server(BrokerConfig(url=url), is_only=True), Messages(), Mail(buffer, Outbox(1, 1.0)))
            with pytest.raises(ConnectionLostError):
                await session.run()
        assert buffer.next_bd_seq == 0
        buffer.close()
