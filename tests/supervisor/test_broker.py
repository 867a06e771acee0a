"""The embedded broker does what Sparkplug needs of it, whichever one is installed."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from vigia.supervisor.broker import BrokerError, RunningBroker, choose_broker, running_broker

Message = tuple[str, bytes, bool]


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    if request.param == "mosquitto" and not shutil.which("mosquitto"):
        pytest.skip("mosquitto is not installed")
    with running_broker(tmp_path, request.param) as running:
        yield running


class Client:
    """A client that subscribes and remembers what it got."""

    def __init__(self, port: int, *filters: tuple[str, int], will: tuple[str, bytes, int, bool] | None = None) -> None:
        self.got: list[Message] = []
        self.ready = threading.Event()
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        if will:
            self.mqtt.will_set(*will)
        self.mqtt.on_connect = lambda client, *_: client.subscribe(list(filters)) if filters else self.ready.set()
        self.mqtt.on_subscribe = lambda *_: self.ready.set()
        self.mqtt.on_message = lambda _client, _data, message: self.got.append((message.topic, bytes(message.payload), message.retain))
        self.mqtt.connect("127.0.0.1", port, keepalive=5)
        self.mqtt.loop_start()
        assert self.ready.wait(10)

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def vanish(self) -> None:
        """Lose the connection without a word."""
        connection = self.mqtt.socket()
        self.mqtt.loop_stop()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_retained_message_reaches_who_subscribes_later(broker: RunningBroker) -> None:
    host = Client(broker.port)
    host.mqtt.publish("spBv1.0/STATE/vigia", b"on", qos=1, retain=True).wait_for_publish(10)
    node = Client(broker.port, ("spBv1.0/STATE/vigia", 1))
    wait_for(lambda: node.got == [("spBv1.0/STATE/vigia", b"on", True)])
    host.close()
    node.close()


def test_a_will_is_published_when_its_client_vanishes(broker: RunningBroker) -> None:
    host = Client(broker.port, ("spBv1.0/#", 0))
    Client(broker.port, will=("spBv1.0/g/NDEATH/n", b"dead", 1, False)).vanish()
    wait_for(lambda: host.got == [("spBv1.0/g/NDEATH/n", b"dead", False)])
    host.close()


def test_data_of_one_client_arrives_in_order_and_commands_go_back(broker: RunningBroker) -> None:
    host = Client(broker.port, ("spBv1.0/#", 0))
    node = Client(broker.port, ("spBv1.0/g/NCMD/n", 1))
    sent = [str(number).encode() for number in range(1000)]
    for payload in sent:
        node.mqtt.publish("spBv1.0/g/DDATA/n/d", payload, qos=0)
    wait_for(lambda: len(host.got) == len(sent))
    assert [payload for _, payload, _ in host.got] == sent
    host.mqtt.publish("spBv1.0/g/NCMD/n", b"again", qos=0)
    wait_for(lambda: node.got == [("spBv1.0/g/NCMD/n", b"again", False)])
    host.close()
    node.close()


def test_it_says_nothing_on_the_screen(broker: RunningBroker) -> None:
    client = Client(broker.port, ("a", 1))
    client.vanish()
    broker.stop()
    words = [line for line in broker.log.read_text().splitlines() if "terminating" not in line]
    assert words == []


def test_it_starts_again_on_the_same_port_after_a_kill(broker: RunningBroker) -> None:
    broker.kill()
    broker.start()
    Client(broker.port).close()


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"cannot listen on 127.0.0.1:{port} .Address already in use.: free that port"):
            choose_broker(tmp_path, port)


def test_no_broker_installed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(BrokerError, match="install mosquitto, or pip install"):
        choose_broker(tmp_path, 1883)


@pytest.mark.skipif(not shutil.which("mosquitto"), reason="mosquitto is not installed")
def test_mosquitto_keeps_no_file_but_its_configuration(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with running_broker(home, "mosquitto") as broker:
        Client(broker.port).close()
        assert [path.name for path in (home / "broker").iterdir()] == ["mosquitto.conf"]
