"""Real processes: a gateway that replays, ingest, and what the gateway's machines truly said."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from vigia.sparkplug.session import HostState

START_MS = 1_767_225_600_000
HOUR_MS = 3_600_000
LIFE = 1_000
SENSORS = "T2 T24 T30 T50 P2 P15 P30 Nf Nc epr Ps30 phi NRf NRc BPR farB htBleed Nf_dmd PCNfR_dmd W31 W32".split(" ")  # noqa: SIM905
READ = ["setting_1", "setting_2", "setting_3", *SENSORS]
UNITS = {"R1": 1, "R2": 2}
STATE = "spBv1.0/STATE/vigia"


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def value(unit: int, cycle: int, column: int) -> float:
    return unit * 1000 + cycle + column / 100


@dataclass
class Ingest:
    """`vigia ingest run`."""

    folder: Path
    dsn: str
    broker: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / "ingest.log"

    def start(self) -> None:
        command = [sys.executable, "-m", "vigia", "ingest", "run", "--dsn", self.dsn, "--broker", self.broker]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@dataclass
class Gateway:
    """`vigia edge run` with one node that replays a made-up unit in each of the roles R1 and R2."""

    folder: Path
    broker: str
    hour: int = 0
    process: subprocess.Popen[bytes] | None = None
    life: int = LIFE
    """Cycles after which the units say nothing more."""

    def write_machines(self) -> None:
        """What they will say, and that they stand in their roles."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recording.txt").write_text(
            "".join(
                f"{unit} {cycle} {' '.join(repr(value(unit, cycle, column)) for column in range(len(READ)))}\n"
                for unit in UNITS.values()
                for cycle in range(1, self.life + 1)
            )
        )
        for role, unit in UNITS.items():
            self._write({"kind": "install", "role": role, "serial": f"SN-{role}", "unit": unit, "hour": 0})

    def start(self) -> None:
        self.write_machines()
        config = self.folder / "edge.toml"
        config.write_text(
            f'[broker]\nurl = "{self.broker}"\nkeepalive_s = 5\n[buffer]\nfolder = "buffers"\n'
            '[[node]]\ngroup_id = "acme"\nnode_id = "acme-one"\nheartbeat_s = 0.5\nack_timeout_s = 1.0\n'
            '[node.source]\ntype = "replay"\nlogbook = "logbook.jsonl"\ndata = "recording.txt"\ndevices = ["R1", "R2"]\n'
        )
        with (self.folder / "edge.log").open("ab") as log:
            command = [sys.executable, "-m", "vigia", "edge", "run", "--config", str(config), "--broker", self.broker]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def fly(self, hours: int) -> None:
        """Let fleet time pass."""
        self.hour += hours
        self._write({"kind": "clock", "hour": self.hour})

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    def _write(self, entry: dict[str, object]) -> None:
        with (self.folder / "logbook.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    @property
    def truth(self) -> set[tuple[str, str, int, float]]:
        """Serial number, point, ms and value of everything that the machines said."""
        rows: set[tuple[str, str, int, float]] = set()
        for role, unit in UNITS.items():
            for cycle in range(1, self.hour + 1):
                ts = START_MS + cycle * HOUR_MS
                rows |= {(f"SN-{role}", "state", ts, 1.0), (f"SN-{role}", "cycle", ts, float(cycle))}
                rows |= {(f"SN-{role}", name, ts, value(unit, cycle, column)) for column, name in enumerate(READ)}
        return rows


@dataclass
class Listener:
    """Hears what the host application says about itself."""

    port: int
    heard: list[HostState] = field(default_factory=list)

    def __enter__(self) -> Self:
        ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.on_connect = lambda client, *_: client.subscribe(STATE, 1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = lambda _client, _data, message: self.heard.append(HostState.decode(bytes(message.payload)))
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    @property
    def online(self) -> bool:
        return bool(self.heard) and self.heard[-1].online
