"""The subject of the edge play: a real gateway with one node."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from conformance.packets import Publish
from conformance.people import at_work
from conformance.reading import parse
from conformance.transcript import Event, Passed
from vigia.edge import agent
from vigia.edge.config import load_config

START = "2026-01-01T05:45:00+05:45"
START_MS = 1_767_225_600_000
STEP_MS = 3_600_000
LIFE = 400
COLUMNS = 24
ROLES = ["R1", "R2"]

Tell = Callable[[str, str], None]


class Gateway:
    """The node `group`/`node`; `urls` are its MQTT servers in their order, `settings` more lines of its table, `source` its source's."""

    def __init__(self, folder: Path, name: str, urls: Sequence[str], settings: str, source: str) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.name = name
        self.group, self.node = name.split("/")
        self.buffer = folder / "buffers" / f"{self.group}.{self.node}.sqlite"
        self._config = folder / "edge.toml"
        self._config.write_text(
            f"[broker]\nurl = {json.dumps(urls[0])}\nservers = {json.dumps(list(urls[1:]))}\nkeepalive_s = 30\n[buffer]\nfolder = "
            f'"buffers"\n[[node]]\ngroup_id = "{self.group}"\nnode_id = "{self.node}"\n{settings}\n[node.source]\n{source}\n'
        )

    def topic(self, kind: str, device: str | None = None) -> str:
        """A topic of the node or of one of its devices."""
        return f"spBv1.0/{self.group}/{kind}/{self.node}{'' if device is None else f'/{device}'}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The gateway runs inside, and is stopped in order at the end."""
        with at_work(lambda: agent.run(load_config(self._config))):
            yield


class Machines(Gateway):
    """A gateway that replays machines in its roles. `tell` writes down when one comes or goes; `told` is what they said."""

    def __init__(self, folder: Path, name: str, urls: Sequence[str], tell: Tell, settings: str = "") -> None:
        source = f'type = "replay"\nlogbook = "logbook.jsonl"\ndata = "recording.txt"\ndevices = {json.dumps(ROLES)}\nstart = "{START}"'
        super().__init__(folder, name, urls, settings, source)
        self._logbook = folder / "logbook.jsonl"
        self._logbook.touch()
        (folder / "recording.txt").write_text("".join(_recording()))
        self._tell = tell
        self._standing: set[str] = set()
        self._hour = 0
        self.told: list[tuple[str, int]] = []

    def install(self, role: str, serial: str, unit: int) -> None:
        """Another machine stands in the role now."""
        self._standing.add(role)
        self._tell("device came", f"{self.name}/{role}")
        self._write(kind="install", role=role, serial=serial, unit=unit, hour=self._hour)

    def remove(self, role: str) -> None:
        """The machine is gone."""
        self._standing.remove(role)
        self._tell("device lost", f"{self.name}/{role}")
        self._write(kind="remove", role=role, hour=self._hour)

    def fly(self, hours: int = 1) -> None:
        """Let source time pass: each machine tells a tick an hour."""
        for _ in range(hours):
            self._hour += 1
            self.told += [(role, START_MS + self._hour * STEP_MS) for role in sorted(self._standing)]
        self._write(kind="clock", hour=self._hour)

    def is_told(self, events: list[Event]) -> bool:
        """Whether everything that the machines said has passed the tap."""
        passed = {
            (event.packet.topic.rsplit("/", 1)[1], one.timestamp)
            for event in events
            if isinstance(event, Passed)
            and event.sent
            and isinstance(event.packet, Publish)
            and event.packet.topic.startswith(self.topic("DDATA"))
            for one in parse(event.packet.payload).metrics
        }
        return set(self.told) <= passed

    def _write(self, **entry: object) -> None:
        with self._logbook.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _recording() -> Iterator[str]:
    for unit in (1, 2, 3):
        for cycle in range(1, LIFE + 1):
            values = " ".join(repr(unit * 1000 + cycle + column / 100) for column in range(COLUMNS))
            yield f"{unit} {cycle} {values}\n"
