"""The server's side of gateways: the api and the gate as processes, and a database with one registered edge node."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vigia.authority.issuing import Authority
from vigia.domain.identities import CERTIFICATE_LIFE
from vigia.edge.identity import CREDENTIALS_FILE, new_request, take_certificate
from vigia.store import fleet
from vigia.store.database import Caller, Database

Credentials = tuple[Path, Path]
PATIENCE_S = 60.0
GROUP, NODE = "acme", "madrid"


def wait_for(condition: Callable[[], bool], what: str = "", timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


async def register(dsn: str, *nodes: str) -> None:
    """Edge nodes of one customer with one site."""
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        customer = await fleet.add_customer(tx, GROUP, "Acme")
        site_id = await fleet.add_site(tx, customer, "one", "Acme One", "Europe/Madrid")
        for node in nodes:
            await fleet.add_edge_node(tx, fleet.Site(site_id, customer, "one", "Acme One", "Europe/Madrid"), GROUP, node)


def vigia(*arguments: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    return subprocess.run(
        [sys.executable, "-m", "vigia", *map(str, arguments)],
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


@contextmanager
def running(log: Path, *arguments: str | Path, environment: dict[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of Vigía for as long as the context lasts; what it says goes to `log`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "vigia", *map(str, arguments)],
            env={**inherited, **(environment or {})},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@dataclass
class Server:
    """What gateways need of a server: where the api answers, and the folder of the authority."""

    dsn: str
    folder: Path
    address: str = ""
    lists_folder: Path | None = None

    @property
    def lists(self) -> Path:
        return self.lists_folder or self.folder / "lists"

    @property
    def authority(self) -> Path:
        return self.folder / "authority"

    @property
    def words_of_gate(self) -> str:
        return (self.folder / "gate.log").read_text()

    def token(self, node: str = NODE) -> str:
        made = vigia("fleet", "token", GROUP, node, "--json", "--dsn", self.dsn)
        assert made.returncode == 0, made.stderr
        return str(json.loads(made.stdout)["token"])

    def enroll(self, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
        return vigia("edge", "enroll", "--server", self.address, "--token", token, "--folder", folder)

    @contextmanager
    def api(self, environment: dict[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
        log = self.folder / "api.log"
        with running(log, "api", "run", "--dsn", self.dsn, "--port", "0", environment=environment) as process:
            wait_for(lambda: "address=" in log.read_text() or process.poll() is not None, "the api")
            found = re.search(r"address=(\S+)", log.read_text())
            assert found, log.read_text()
            self.address = found[1]
            yield process

    @contextmanager
    def gate(self, *options: str | Path, environment: dict[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
        log = self.folder / "gate.log"
        where = ("--dsn", self.dsn, "--authority", self.authority, "--lists", self.lists)
        with running(log, "gate", "run", *where, *options, environment=environment) as process:
            wait_for(lambda: "gate open" in log.read_text() or process.poll() is not None, "the gate")
            yield process


def certify(
    authority: Authority, folder: Path, identity: str, life: timedelta = CERTIFICATE_LIFE, at: datetime | None = None
) -> Credentials:
    """Files with certificate and key that `authority` signed in that name `at` some time, now by default."""
    request = new_request(folder)
    take_certificate(folder, authority.issue(request, identity, at or datetime.now(UTC), life).chain)
    return folder / CREDENTIALS_FILE, folder / CREDENTIALS_FILE
