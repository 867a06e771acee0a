"""`vigia ingest run` with its options, and what it tells."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from ingest_harness import query
from process_harness import Ingest, wait_for

LOOPBACK = "127.0.0.1"


@dataclass
class Worker(Ingest):
    """A worker that is watched on a port of its own choice; its log is its own too."""

    name: str = "worker"
    options: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        command = [sys.executable, "-m", "vigia", "ingest", "run", "--dsn", self.dsn, "--broker", self.broker, "--watch-port", "0"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *self.options], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start_ready(self) -> None:
        self.start()
        wait_for(self._ready)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return self.get("/ready")[0] == 200

    @property
    def port(self) -> int | None:
        found = re.findall(r"event=\"watch told\".* port=(\d+)", self.log.read_text())
        return int(found[-1]) if found else None

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; 0 while it does not listen."""
        if self.port is None:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """A sample by its name and labels as they are written; 0.0 when there is none yet."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return 0.0 if found is None else float(found[1])


def rows(dsn: str) -> int:
    return int(str(query(dsn, "select count(*) from telemetry")[0][0]))
