"""A Dask cluster of this machine: a scheduler and workers, each in a process of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from distributed import Client
from distributed.security import Security

WORKER = ("--no-dashboard", "--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--host", "127.0.0.1")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Cluster:
    """Entering it starts the scheduler and so many workers, and waits for them."""

    def __init__(self, folder: Path, workers: int = 0, tls: Mapping[str, str] | None = None) -> None:
        self.address = f"{'tls' if tls else 'tcp'}://127.0.0.1:{free_port()}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        self._count = workers
        self._tls = [f"--tls-{name}={path}" for name, path in (tls or {}).items()]
        self._security = Security(tls_ca_file=tls["ca-file"], tls_client_cert=tls["cert"], tls_client_key=tls["key"]) if tls else None

    def __enter__(self) -> Self:
        self.scheduler = self._start("scheduler", "--host", self.address, "--no-dashboard")
        for _ in range(self._count):
            self.start_worker()
        try:
            self.wait_for(self._count)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.scheduler, *self.workers):
            process.kill()
            process.wait()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s"}  # a worker may be up before the scheduler
        command = [sys.executable, "-m", "dask", *arguments, *self._tls]
        with (self._folder / f"{arguments[0]}-{len(self.workers)}.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder, env=environment)

    def start_worker(self) -> None:
        self.workers.append(self._start("worker", self.address, *WORKER, "--local-directory", str(self._folder)))

    def wait_for(self, workers: int) -> None:
        with Client(self.address, timeout=60, set_as_default=False, security=self._security) as client:
            if workers:
                client.wait_for_workers(workers, timeout=60)
