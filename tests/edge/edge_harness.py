"""A tiny host application that commits to memory, and a gateway process to torment."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from vigia.edge import agent
from vigia.edge.buffer import BufferStatus, buffer_status
from vigia.edge.config import load_config
from vigia.sparkplug import names
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric, Payload, decode, encode
from vigia.sparkplug.session import HostState
from vigia.sparkplug.topics import MessageType, StateTopic, Topic, parse

UNITS = {1: 40, 2: 80, 3: 120}
START_MS = 1_767_225_600_000
SENSORS = "T2 T24 T30 T50 P2 P15 P30 Nf Nc epr Ps30 phi NRf NRc BPR farB htBleed Nf_dmd PCNfR_dmd W31 W32"
READ = ("setting_1", "setting_2", "setting_3", *SENSORS.split(" "))

Row = tuple[str, str, int, object]
Number = tuple[int, int]


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def value(unit: int, cycle: int, column: int) -> float:
    return unit * 1000 + cycle + column / 100


def recording() -> str:
    return "".join(
        " ".join([str(unit), str(cycle), *(repr(value(unit, cycle, column)) for column in range(len(READ)))]) + "\n"
        for unit, life in UNITS.items()
        for cycle in range(1, life + 1)
    )


def told(role: str, unit: int, installed: int, hours: range) -> set[Row]:
    """What an engine must have told: the truth, made anew from the recording."""
    rows: set[Row] = set()
    for hour in hours:
        cycle, ts = hour - installed, START_MS + hour * 3_600_000
        if 1 <= cycle <= UNITS[unit]:
            rows |= {(role, "state", ts, 1), (role, "cycle", ts, cycle)}
            rows |= {(role, name, ts, value(unit, cycle, column)) for column, name in enumerate(READ)}
        elif cycle == UNITS[unit] + 1:
            rows.add((role, "state", ts, 0))
    return rows


@dataclass
class Heard:
    """What a host heard about one batch."""

    rows: list[Row]
    historical: bool
    serial: str


@dataclass
class Host:
    """Takes batches as a host application does, once each, and acknowledges what it has without a hole."""

    url: str
    acknowledging: bool = True
    losing: Callable[[Number], bool] = lambda _number: False
    batches: dict[Number, Heard] = field(default_factory=dict)
    repeats: int = 0
    gaps: int = 0
    messages: list[tuple[Topic, Payload]] = field(default_factory=list)
    tombstones: list[dict[str, object]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names: dict[int, str] = {}
        self._datatypes: dict[str | int, DataType] = {}
        self._serials: dict[str, str] = {}
        self._reached: dict[int, int] = {}
        self._seq: int | None = None

    def start(self) -> None:
        ready = threading.Event()
        timestamp = time.time_ns() // 1_000_000
        self._state = {online: HostState(online, timestamp).encode() for online in (True, False)}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.will_set(str(StateTopic("vigia")), self._state[False], 1, retain=True)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("spBv1.0/#", 0)
        self.client.on_subscribe = lambda *_: self._say_hello(ready)
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", int(self.url.rsplit(":", 1)[1]), keepalive=10)
        self.client.loop_start()
        assert ready.wait(10)

    def _say_hello(self, ready: threading.Event) -> None:
        self.say(online=True)
        ready.set()

    def say(self, *, online: bool) -> mqtt.MQTTMessageInfo:
        return self.client.publish(str(StateTopic("vigia")), self._state[online], 1, retain=True)

    def stop(self) -> None:
        if self.client.is_connected():
            self.say(online=False).wait_for_publish(5)
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """Lose the connection without a word: the broker publishes the Will."""
        connection = self.client.socket()
        self.client.loop_stop()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def command(self, *metrics: Metric) -> None:
        self.client.publish("spBv1.0/air/NCMD/bcn", encode(Payload(time.time_ns() // 1_000_000, metrics)), 0)

    def ask_rebirth(self) -> None:
        self.command(Metric(names.REBIRTH, datatype=DataType.BOOLEAN, value=True))

    def acknowledge(self, epoch: int, watermark: int | None = None) -> None:
        self.command(
            Metric(names.EPOCH, datatype=DataType.INT64, value=epoch),
            Metric(names.ACKNOWLEDGED, datatype=DataType.INT64, value=self._watermark(epoch) if watermark is None else watermark),
        )

    @property
    def types(self) -> list[MessageType]:
        return [topic.message_type for topic, _ in self.messages]

    @property
    def rows(self) -> list[Row]:
        return [row for batch in list(self.batches.values()) for row in batch.rows]

    def payloads(self, message_type: MessageType) -> list[Payload]:
        return [payload for topic, payload in self.messages if topic.message_type is message_type]

    def _take(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        topic = parse(message.topic)
        if not isinstance(topic, Topic) or topic.message_type is MessageType.NCMD:
            return
        try:
            self._hear(topic, decode(bytes(message.payload), self._datatypes))
        except Exception as error:  # noqa: BLE001 - the test that uses the host shows it
            self.errors.append(f"{topic}: {error!r}")

    def _hear(self, topic: Topic, payload: Payload) -> None:
        self.messages.append((topic, payload))
        if topic.message_type is not MessageType.NDEATH:
            expected = None if self._seq is None or topic.message_type is MessageType.NBIRTH else (self._seq + 1) % 256
            self.gaps += expected is not None and payload.seq != expected
            self._seq = payload.seq
        for metric in payload.metrics:
            if metric.alias is not None and metric.name is not None and metric.datatype is not None:
                self._names[metric.alias] = metric.name
                self._datatypes[metric.alias] = metric.datatype
            if metric.name == names.SERIAL_NUMBER and topic.device_id is not None:
                self._serials[topic.device_id] = str(metric.value)
            if topic.message_type is MessageType.NDATA and self._names[metric.alias or 0] == names.TOMBSTONE:
                self.tombstones.append(json.loads(str(metric.value)))
                if self.acknowledging:
                    self.acknowledge(int(str(self.tombstones[-1]["epoch"])))
        if topic.message_type is MessageType.DDATA and topic.device_id is not None:
            self._commit(topic.device_id, payload)

    def _commit(self, device: str, payload: Payload) -> None:
        by_name = {self._names[metric.alias]: metric for metric in payload.metrics if metric.alias is not None}
        epoch, eseq = by_name.pop(names.EPOCH).value, by_name.pop(names.BATCH).value
        assert isinstance(epoch, int)
        assert isinstance(eseq, int)
        serial = by_name.pop(names.SERIAL_NUMBER, None)
        rows: list[Row] = [(device, name, metric.timestamp or 0, metric.value) for name, metric in by_name.items()]
        historical = {metric.is_historical for metric in by_name.values()} == {True}
        if self.losing((epoch, eseq)):
            return
        if (epoch, eseq) in self.batches:
            self.repeats += 1
            assert self.batches[epoch, eseq].rows == rows, f"number {eseq} was given twice"
        else:
            self.batches[epoch, eseq] = Heard(rows, historical, self._serials[device] if serial is None else str(serial.value))
        if self.acknowledging:
            self.acknowledge(epoch)

    def _watermark(self, epoch: int) -> int:
        reached = self._reached.get(epoch, 0)
        dropped = {number for t in self.tombstones if t["epoch"] == epoch for number in range(int(str(t["from"])), int(str(t["to"])) + 1)}
        while (epoch, reached + 1) in self.batches or reached + 1 in dropped:
            reached += 1
        self._reached[epoch] = reached
        return reached


@dataclass
class Gateway:
    """A gateway with one node that replays engines in the roles L and R; it runs in a thread of the test, see GatewayProcess.

    `buffer_settings` are more lines of its `[buffer]`.
    """

    folder: Path
    url: str
    buffer_settings: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recording.txt").write_text(recording())
        self.logbook = self.folder / "logbook.jsonl"
        self.logbook.touch()
        self.config = self.folder / "edge.toml"
        self.buffer = self.folder / "buffers" / "air.bcn.sqlite"
        self.log = self.folder / "edge.log"
        self.config.write_text(
            f'[broker]\nurl = "{self.url}"\nkeepalive_s = 5\n[buffer]\nfolder = "buffers"\n{self.buffer_settings}\n'
            '[[node]]\ngroup_id = "air"\nnode_id = "bcn"\nheartbeat_s = 0.5\nack_timeout_s = 1.0\n'
            '[node.source]\ntype = "replay"\nlogbook = "logbook.jsonl"\ndata = "recording.txt"\ndevices = ["L", "R"]\n'
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        started = threading.Event()

        async def work() -> None:
            task = asyncio.ensure_future(agent.run(load_config(self.config)))
            self._cancel = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
            started.set()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self._thread = threading.Thread(target=asyncio.run, args=(work(),))
        self._thread.start()
        assert started.wait(10)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        assert self._thread is not None
        self._cancel()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def install(self, role: str, serial: str, unit: int, hour: int) -> None:
        self._write({"kind": "install", "role": role, "serial": serial, "unit": unit, "hour": hour})

    def remove(self, role: str, hour: int) -> None:
        self._write({"kind": "remove", "role": role, "hour": hour})

    def clock(self, hour: int) -> None:
        self._write({"kind": "clock", "hour": hour})

    def _write(self, entry: dict[str, object]) -> None:
        with self.logbook.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    @property
    def status(self) -> BufferStatus:
        return buffer_status(self.buffer) or BufferStatus(0, 0, 0, None, 0, 0, 0, 0, None)

    @property
    def settled(self) -> bool:
        return self.status.waiting_batches == 0 and self.status.acknowledged == self.status.newest > 0


class GatewayProcess(Gateway):
    """The gateway as the command line runs it, so that it can be killed; `more` are options of its own."""

    process: subprocess.Popen[bytes] | None = None
    more: tuple[str, ...] = ()

    def start(self) -> None:
        command = [sys.executable, "-m", "vigia", "edge", "run", "--config", str(self.config), *self.more]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "VIGIA_BROKER": self.url})

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
