"""What tests of commands share: a Sparkplug host made of a bare MQTT client, and a gateway with commands as its command line runs it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from edge_harness import wait_for
from paho.mqtt.enums import CallbackAPIVersion

from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType, Scalar
from vigia.sparkplug.payload import Metric, Payload, decode, encode
from vigia.sparkplug.topics import MessageType, Topic, parse

_FILTERS = [(f"spBv1.0/+/{kind}/#", 0) for kind in (MessageType.DBIRTH, MessageType.DDATA, MessageType.DDEATH)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def command_words(id_: str, **other: object) -> str:
    said = {"id": id_, "issued_at": now_ms(), "expires_at": now_ms() + 30_000, "requested_by": "ana", "approved_by": []}
    return json.dumps({**said, **other})


@dataclass
class BareHost:
    """Listens to a node's devices and sends DCMDs. `results` are the results as they were told, by the batch number of each."""

    port: int
    births: dict[str, Payload] = field(default_factory=dict)
    deaths: list[str] = field(default_factory=list)
    results: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names: dict[int, str] = {}
        self._datatypes: dict[str | int, DataType] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)

    def start(self) -> None:
        ready = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe(_FILTERS)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        assert ready.wait(10)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, device: str, *metrics: Metric, sent: int | None = None) -> None:
        payload = Payload(now_ms() if sent is None else sent, metrics)
        self._client.publish(f"spBv1.0/plant/DCMD/hall/{device}", encode(payload), 0)

    def command(self, device: str, name: str, value: Scalar, datatype: DataType, **words: Any) -> None:  # noqa: ANN401
        """Send a command with a Vigía host's words."""
        said = command_words(words.pop("id_"), **words)
        self.send(device, Metric(name, datatype=datatype, value=value), Metric(names.COMMAND, datatype=DataType.STRING, value=said))

    def order(self, device: str, name: str, value: Scalar, datatype: DataType, **words: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send a command, and wait for the next result."""
        before = len(self.results)
        self.command(device, name, value, datatype, **words)
        return self.next_result(before)

    def next_result(self, before: int) -> dict[str, Any]:
        wait_for(lambda: len(self.results) > before)
        return list(self.results.values())[before]

    def metric(self, device: str, name: str) -> Metric:
        metric = self.births[device].metric(name)
        assert metric is not None
        return metric

    def _hear(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        topic = parse(message.topic)
        assert isinstance(topic, Topic)
        assert topic.device_id is not None
        payload = decode(bytes(message.payload), self._datatypes)
        for metric in payload.metrics:
            if metric.alias is not None and metric.name is not None and metric.datatype is not None:
                self._names[metric.alias], self._datatypes[metric.alias] = metric.name, metric.datatype
        if topic.message_type is MessageType.DBIRTH:
            self.births[topic.device_id] = payload
        elif topic.message_type is MessageType.DDEATH:
            self.deaths.append(topic.device_id)
        else:
            said = {self._names[metric.alias or 0]: metric.value for metric in payload.metrics}
            if names.COMMAND_RESULT in said:
                number = int(str(said[names.EPOCH])), int(str(said[names.BATCH]))
                self.results[number] = json.loads(str(said[names.COMMAND_RESULT]))


@dataclass
class CommandedGateway:
    """A gateway process with one node, plant/hall; `node` is the rest of its configuration: the source and the commands."""

    folder: Path
    url: str
    node: str
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config, self.log = self.folder / "edge.toml", self.folder / "edge.log"
        self.config.write_text(
            f'[broker]\nurl = "{self.url}"\nkeepalive_s = 5\n[buffer]\nfolder = "buffers"\n'
            f'[[node]]\ngroup_id = "plant"\nnode_id = "hall"\nprimary_host = ""\n{self.node}\n'
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "vigia", "edge", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "VIGIA_BROKER": self.url})

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(10) == 0
