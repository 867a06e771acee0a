"""Programs that a test starts, looks at, stops and kills: `vigia` commands and a database server of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
from psycopg.conninfo import conninfo_to_dict

from vigia.store.embedded import EmbeddedPostgres

LOOK_EVERY_S = 0.1
PATIENCE_S = 180.0


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain: {what}"
        time.sleep(0.02)


@dataclass
class Process:
    """A `vigia` command that runs until it is stopped or killed; what it says goes to `log`. `program` is what Python runs."""

    arguments: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    program: tuple[str, ...] = ("-m", "vigia")

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, *self.arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.alive:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.kill()

    @property
    def words(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    @property
    def rss(self) -> int:
        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def cpu_s(self) -> float:
        assert self.process is not None
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    """They run, from the first line of the block to its last."""
    for process in processes:
        process.start()
    try:
        yield
        assert all(process.alive for process in processes)
    finally:
        for process in processes:
            process.kill()


def ingest(folder: Path, dsn: str, broker: str) -> Process:
    return Process(["ingest", "run", "--dsn", dsn, "--broker", broker], folder / "ingest.log")


class Memory:
    """The largest memory of a process while this is entered."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory")
        self.most = process.rss

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            self.most = max(self.most, self._process.rss)


class Server:
    """A database server of the test's own, which it may crash, stop and start: durable settings, its own data folder."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        self._home = home
        self._server = EmbeddedPostgres(home, settings)

    def __enter__(self) -> Self:
        self.start()
        self.dsn = self._server.dsn
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.stop()

    @property
    def running(self) -> bool:
        return self._server.running()

    def start(self) -> None:
        """Start it again, as a service manager would."""
        self._server.stop()
        self._server.start()

    def crash(self) -> None:
        """`-m immediate`: no checkpoint, recovery at the next start."""
        os.kill(int((self._home / "postgres/data/postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
        wait_for(lambda: not self.running, "the end of the database")


def socket_of(dsn: str) -> Path | tuple[str, int]:
    """Where the server of `dsn` listens."""
    parts = conninfo_to_dict(dsn)
    host, port = str(parts["host"]), int(parts.get("port") or 5432)
    return Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else (host, port)


def address_in(words: str) -> str | None:
    """Where the api of this log listens."""
    found = re.search(r"address=(\S+)", words)
    return found[1] if found else None
