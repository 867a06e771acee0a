"""An edge node of another maker: it knows no batches, and says what the play wants, in the order the play wants."""

import socket
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from conformance.people import now_ms
from conformance.tap import LOOPBACK, TIMEOUT_S
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload, encode
from vigia.sparkplug.session import bd_seq_metric, next_seq, node_death

POINTS = ("T50", "Ps30")
DEVICES = ("R1", "R2")
WRITTEN = "Device Control/Trim"


class ForeignEdge:
    """The node `group`/`node`, connected from the start, born when `births` is called."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._group, self._node = name.split("/")
        self._seq = 0
        self._value = 0.0
        connected = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, f"foreign-{self._node}", protocol=mqtt.MQTTv311, reconnect_on_failure=False)
        self._client.will_set(self._topic("NDEATH"), encode(node_death(0)), 1)
        self._client.on_connect = lambda *_: connected.set()
        self._client.connect(LOOPBACK, port)
        self._client.loop_start()
        assert connected.wait(TIMEOUT_S)

    def births(self) -> None:
        """The whole sequence."""
        now, self._seq = now_ms(), 0
        rebirth = Metric(names.REBIRTH, timestamp=now, datatype=DataType.BOOLEAN, value=False)
        self._say("NBIRTH", None, bd_seq_metric(0, now), rebirth, Metric("uptime", 1, now, DataType.INT64, 1))
        for device in DEVICES:
            points = [Metric(name, self._alias(device, name), now, DataType.DOUBLE, 0.5) for name in POINTS]
            bounds = {names.WRITABLE: True, names.WRITE_LOW: 0.0, names.WRITE_HIGH: 1.0}
            written = Metric(WRITTEN, timestamp=now, datatype=DataType.DOUBLE, properties=bounds)
            self._say("DBIRTH", device, *points, written, Metric(names.COMMAND, timestamp=now, datatype=DataType.STRING))

    def data(self, device: str) -> None:
        """A new value of each of the device's points."""
        self._value += 1.0
        self._say("DDATA", device, *(Metric(None, self._alias(device, name), now_ms(), DataType.DOUBLE, self._value) for name in POINTS))

    def swapped(self, device: str) -> None:
        """Two messages in the wrong order."""
        first = self._seq
        self._seq = next_seq(first)
        self.data(device)
        after, self._seq = self._seq, first
        self.data(device)
        self._seq = after

    def lose(self) -> None:
        """A message that never arrives."""
        self._seq = next_seq(self._seq)

    def device_dies(self, device: str, timestamp: int) -> None:
        """A DDEATH that tells this time."""
        self._say("DDEATH", device, timestamp=timestamp)

    def vanish(self) -> None:
        """Lose the connection without a word: the broker publishes the Will."""
        connection = self._client.socket()
        self._client.loop_stop()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    @staticmethod
    def _alias(device: str, name: str) -> int:
        return 10 * (DEVICES.index(device) + 1) + POINTS.index(name)

    def _topic(self, kind: str, device: str | None = None) -> str:
        return f"spBv1.0/{self._group}/{kind}/{self._node}{'' if device is None else f'/{device}'}"

    def _say(self, kind: str, device: str | None, *metrics: Metric, timestamp: int | None = None) -> None:
        payload = Payload(now_ms() if timestamp is None else timestamp, metrics, self._seq)
        self._seq = next_seq(self._seq)
        self._client.publish(self._topic(kind, device), encode(payload), 0).wait_for_publish(TIMEOUT_S)
