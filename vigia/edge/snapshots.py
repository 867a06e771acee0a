"""The configurations that came from the server, on disk: the one that runs well, and the one that is tried."""

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vigia.edge import EdgeError
from vigia.edge.identity import load, replace_file
from vigia.sparkplug import statements

GOOD, TRIAL, FAILED = "good.json", "trial.json", "failed.json"
MOST_STARTS = 2
"""A trial that the gateway's end interrupts is begun once more; the second time it has failed."""


@dataclass(frozen=True)
class Snapshot:
    """A version of the configuration as the server signed it."""

    version: int
    toml: str
    signature: bytes


@dataclass(frozen=True)
class Failure:
    """A version that was tried and left."""

    version: int
    why: str


class Snapshots:
    """Those of the identity in this folder. What cannot be proved to come from its server is not there."""

    def __init__(self, identity: Path) -> None:
        self._identity = identity
        self._folder = identity / "configuration"

    @property
    def good(self) -> Snapshot | None:
        """What runs well."""
        return self._snapshot(GOOD)

    @property
    def trial(self) -> Snapshot | None:
        """What is to be tried."""
        return self._snapshot(TRIAL)

    @property
    def failure(self) -> Failure | None:
        """The newest version that did not run."""
        said = self._read(FAILED)
        try:
            return None if said is None else Failure(int(said["version"]), str(said["why"]))
        except (KeyError, ValueError, TypeError):
            return None

    def offer(self, snapshot: Snapshot) -> bool:
        """Keep it to be tried, if it is newer than all that was; False when it is not, or another is being tried.

        Raises EdgeError when the server did not sign it, or it cannot be kept.
        """
        known = [one.version for one in (self.good, self.failure) if one is not None]
        if self.trial is not None or snapshot.version <= max(known, default=0):
            return False
        if not self._is_genuine(snapshot):
            raise EdgeError(f"configuration {snapshot.version} is not signed by this gateway's server; it is ignored")
        self._write(TRIAL, {**_as_json(snapshot), "starts": 0})
        return True

    def begin_trial(self) -> bool:
        """Count a beginning of the trial; False when it was begun too often without an end."""
        said = self._read(TRIAL) or {}
        starts = int(said.get("starts", 0)) + 1
        self._write(TRIAL, {**said, "starts": starts})
        return starts <= MOST_STARTS

    def keep(self) -> None:
        """The trial runs well."""
        trial = self.trial
        if trial is not None:
            self._write(GOOD, _as_json(trial))
            (self._folder / TRIAL).unlink(missing_ok=True)

    def drop(self, why: str) -> None:
        """The trial does not."""
        trial = self.trial
        if trial is not None:
            self._write(FAILED, asdict(Failure(trial.version, why)))
            (self._folder / TRIAL).unlink(missing_ok=True)

    def report(self) -> dict[str, Any]:
        """What the server is told of it."""
        good, failure = self.good, self.failure
        return {"version": good and good.version, "failed": failure and asdict(failure)}

    def _snapshot(self, name: str) -> Snapshot | None:
        said = self._read(name)
        try:
            snapshot = None if said is None else Snapshot(int(said["version"]), str(said["toml"]), base64.b64decode(said["signature"]))
        except (KeyError, ValueError, TypeError):
            return None
        return snapshot if snapshot is not None and self._is_genuine(snapshot) else None

    def _is_genuine(self, snapshot: Snapshot) -> bool:
        own = load(self._identity)
        message = statements.configuration(own.group_id, own.node_id, snapshot.version, snapshot.toml)
        return own.is_from_the_server(message, snapshot.signature)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            said = json.loads((self._folder / name).read_bytes())
        except (OSError, ValueError):
            return None
        return said if isinstance(said, dict) else None

    def _write(self, name: str, what: dict[str, Any]) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._folder / name, json.dumps(what).encode())
        except OSError as error:
            raise EdgeError(f"{self._folder}: {error.strerror or error}; the configuration could not be kept") from None


def _as_json(snapshot: Snapshot) -> dict[str, Any]:
    return {"version": snapshot.version, "toml": snapshot.toml, "signature": base64.b64encode(snapshot.signature).decode()}
