"""The simulated world's logbook: which engine stands in which role, and how late it is.

An append-only file of JSON lines, written by the demo's director and tailed by the gateway's replay source. What stands in it
has happened: every line is on disk before the next step is taken, so that a killed demo goes on where it was.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vigia.errors import ConfigError


@dataclass(frozen=True)
class RunPlan:
    """What a home was started for; a later start goes on with the same plan."""

    fix: bool
    engines: int
    hours: int


@dataclass(frozen=True)
class Engine:
    """An engine in a role: it replays recorded `unit` from its first cycle, one hour after `hour`."""

    serial: str
    unit: int
    hour: int


@dataclass
class Logbook:
    """The logbook and the world it tells.

    `engines` maps a role's device id to the engine that stands in it now, `known` a serial number to its engine, then or now.
    """

    path: Path
    plan: RunPlan | None = None
    hour: int = 0
    engines: dict[str, Engine] = field(default_factory=dict)
    known: dict[str, Engine] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> "Logbook":
        """Read the logbook at `path`; a last line cut short by a crash is taken off."""
        path.parent.mkdir(parents=True, exist_ok=True)
        logbook = cls(path)
        if path.exists():
            whole, _, torn = path.read_bytes().rpartition(b"\n")
            if torn:
                os.truncate(path, len(whole) + 1 if whole else 0)
            for line in whole.splitlines():
                logbook._happened(json.loads(line))
        return logbook

    def begin(self, plan: RunPlan) -> None:
        """Write the plan of a new run.

        Raises ConfigError when the logbook already tells of a run with another plan.
        """
        if self.plan is None:
            self._append({"kind": "plan", "fix": plan.fix, "engines": plan.engines, "hours": plan.hours})
        elif self.plan != plan:
            was = "--fix" if self.plan.fix else "--no-fix"
            raise ConfigError(
                f"{self.path} holds a run with {was} --engines {self.plan.engines}: go on with the same options, "
                "or choose another folder with --home"
            )

    def advance(self, hour: int) -> None:
        """Fleet time has reached `hour`: the readings up to it may be taken."""
        self._append({"kind": "clock", "hour": hour})

    def install(self, role: str, serial: str, unit: int, hour: int) -> None:
        """Engine `serial`, which replays recorded `unit` from its first cycle, stands in `role` from `hour`."""
        self._append({"kind": "install", "role": role, "serial": serial, "unit": unit, "hour": hour})

    def remove(self, role: str, hour: int) -> None:
        """The engine of `role` was taken out at `hour`."""
        self._append({"kind": "remove", "role": role, "hour": hour})

    def _append(self, entry: dict[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._happened(entry)

    def _happened(self, entry: dict[str, Any]) -> None:
        match entry["kind"]:
            case "plan":
                self.plan = RunPlan(fix=entry["fix"], engines=entry["engines"], hours=entry["hours"])
            case "clock":
                self.hour = entry["hour"]
            case "install":
                engine = Engine(entry["serial"], entry["unit"], entry["hour"])
                self.engines[entry["role"]] = self.known[engine.serial] = engine
            case "remove":
                self.engines.pop(entry["role"], None)
