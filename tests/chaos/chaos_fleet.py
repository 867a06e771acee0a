"""The small fleet of the fault matrix: two edge nodes of four machines, which speak when they are told to."""

import asyncio
import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
from chaos_processes import PATIENCE_S, Process
from paho.mqtt.enums import CallbackAPIVersion

from vigia.edge.sources.replay.recording import READ_POINTS
from vigia.ingest.inbox import Message
from vigia.store import fleet
from vigia.store.database import Caller, Database

GROUP = "acme"
NODES, DEVICES, HZ = 2, 4, 10
POINTS = ("state", "cycle", *(point.name for point in READ_POINTS))
ROWS_AN_HOUR = NODES * DEVICES * len(POINTS)  # an hour of the logbook is a tick: 208 readings, 2,080 a second
START_MS = 1_767_225_600_000
SHIFT = 7  # cycles by which each device is ahead of the one before: no two say the same


def node_id(node: int) -> str:
    return f"node-{node}"


def device_id(node: int, device: int) -> str:
    return f"N{node}R{device}"


async def seed(dsn: str, nodes: int = NODES, devices: int = DEVICES) -> None:
    """One customer with `nodes` edge nodes of `devices` machines."""
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        customer = await fleet.add_customer(tx, GROUP, "Acme")
        site_id = await fleet.add_site(tx, customer, "one", "Acme One", "Europe/Madrid")
        site = fleet.Site(site_id, customer, "one", "Acme One", "Europe/Madrid")
        model = await fleet.add_asset_model(tx, "cmapss-fd001", "Turbofan", "{cycle}")
        area = await fleet.add_area(tx, customer, site_id, "Hall")
        line = await fleet.add_line(tx, customer, area, "Line 1")
        for node in range(nodes):
            edge = await fleet.add_edge_node(tx, site, GROUP, node_id(node))
            for device in range(devices):
                name = device_id(node, device)
                await fleet.add_role(tx, fleet.NewRole(customer, line, model, name, edge, name))


def prepare(dsn: str, nodes: int = NODES, devices: int = DEVICES) -> None:
    asyncio.run(seed(dsn, nodes, devices))


class Gateway:
    """`vigia edge run` with two nodes of four machines, and the machines: they speak ten times a second while `telling`.

    `told_at[h]` is when hour h was said (wall clock, seconds); hour 0 is nothing.
    """

    def __init__(self, folder: Path, broker: str, hours: int) -> None:
        folder.mkdir()
        self._folder, self._hours = folder, hours
        self._lock = threading.Lock()
        self._telling = threading.Event()
        self._stopped = threading.Event()
        self._clock = threading.Thread(target=self._tell, name="machines")
        self.told_at: list[float] = [0.0]
        self.process = Process(["edge", "run", "--config", str(folder / "edge.toml"), "--broker", broker], folder / "edge.log")
        self._write_recording()
        (folder / "edge.toml").write_text(self._config())
        for node in range(NODES):
            for device in range(DEVICES):
                ahead = SHIFT * (node * DEVICES + device)
                name = device_id(node, device)
                self._write({"kind": "install", "role": name, "serial": f"SN-{name}", "unit": 1, "hour": -ahead})

    def _write_recording(self) -> None:
        with (self._folder / "recording.txt").open("w") as file:
            for cycle in range(1, self._hours + SHIFT * NODES * DEVICES + 1):
                file.write(f"1 {cycle} {' '.join(repr(cycle + column / 100) for column in range(len(READ_POINTS)))}\n")

    def _config(self) -> str:
        head = '[broker]\nurl = "mqtt://127.0.0.1"\nkeepalive_s = 5\n[buffer]\nfolder = "buffers"\n'
        for node in range(NODES):
            devices = json.dumps([device_id(node, device) for device in range(DEVICES)])
            head += (
                f'[[node]]\ngroup_id = "{GROUP}"\nnode_id = "{node_id(node)}"\n[node.source]\ntype = "replay"\ncycle_s = 1\n'
                f'logbook = "logbook.jsonl"\ndata = "recording.txt"\ndevices = {devices}\n'
            )
        return head

    @property
    def buffers(self) -> Path:
        """The folder of the nodes' buffers."""
        return self._folder / "buffers"

    def buffer(self, node: int) -> Path:
        return self.buffers / f"{GROUP}.{node_id(node)}.sqlite"

    @property
    def hour(self) -> int:
        return len(self.told_at) - 1

    @property
    def sent(self) -> int:
        """Readings said."""
        return self.hour * ROWS_AN_HOUR

    def start(self) -> None:
        self.process.start()
        self._clock.start()

    def tell(self) -> None:
        """The machines begin to speak."""
        self._telling.set()

    def hush(self) -> None:
        """They say nothing more for now."""
        with self._lock:
            self._telling.clear()

    def stop(self) -> None:
        self._stopped.set()
        self._telling.set()
        if self._clock.is_alive():
            self._clock.join()
        self.process.stop()

    def _tell(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            if not self._telling.is_set():
                self._telling.wait()
                due = time.monotonic()
            with self._lock:
                if self._telling.is_set() and not self._stopped.is_set() and self.hour < self._hours:
                    self.told_at.append(time.time())
                    self._write({"kind": "clock", "hour": self.hour})
            due += 1 / HZ

    def _write(self, entry: dict[str, object]) -> None:
        with (self._folder / "logbook.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")


class Wire:
    """Publishes messages that a test has made, in their order."""

    def __init__(self, port: int) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._port = port

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, messages: Iterable[Message]) -> None:
        """Returns when the broker has them."""
        for sent in [self._client.publish(message.topic, message.payload, qos=1) for message in messages]:
            sent.wait_for_publish(PATIENCE_S)
