"""What a server runs, without its containers: the broker with its configuration and certificates, the database with its logins."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import make_conninfo

from vigia.store import embedded_programs

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SCRIPT = DEPLOY / "database" / "logins.sql"
PASSWORDS = {name: f"pass-of-{name}" for name in COMPOSE["services"]["database"]["environment"] if name.endswith("_PASSWORD")}
PATIENCE_S = 10.0
RELOADED = "Reloading config"
MOSQUITTO = shutil.which("mosquitto")

needs_broker = [
    pytest.mark.skipif(MOSQUITTO is None, reason="NOT RUN: mosquitto is not on PATH, the deployed broker's rules are unproven here"),
    pytest.mark.skipif(
        shutil.which("openssl") is None, reason="NOT RUN: openssl is not on PATH, the deployed broker's rules are unproven here"
    ),
]


class Authority:
    """A folder of certificates made by the scripts of deploy/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PKI_DIR": str(self.folder)}
        return subprocess.run([str(DEPLOY / script), *arguments], env=environment, capture_output=True, text=True, check=False)

    def make(self, *edges: tuple[str, str]) -> "Authority":
        for done in [self.run("certificates.sh", "broker.example.com"), *(self.run("add-edge.sh", *edge) for edge in edges)]:
            assert done.returncode == 0, done.stderr
        return self

    def credentials(self, identity: str) -> tuple[Path, Path]:
        group, _, node = identity.partition(":")
        stem = self.folder / "edges" / group / node / "edge" if node else self.folder / ("broker" if group == "health" else group) / group
        return stem.with_suffix(".crt"), stem.with_suffix(".key")


class Broker:
    """Mosquitto with the committed configuration, started as its container does: only ports, address and folders are replaced.

    Gateways come in by `port`, the host application by `host_port`. `gate` is the folder of the gate's lists.
    """

    def __init__(self, authority: Authority, folder: Path) -> None:
        self.authority = authority
        self.port, self.host_port = _free_ports(2)
        text = (DEPLOY / "mosquitto" / "mosquitto.conf").read_text()
        for deployed, port in ((8883, self.port), (8884, self.host_port)):
            text, count = re.subn(rf"^listener {deployed}$", f"listener {port} 127.0.0.1", text, flags=re.MULTILINE)
            assert count == 1
        self._folder = folder / "mosquitto"
        self.gate = self._folder / "gate"
        for name in ("config", "made", "data", "gate"):
            (self._folder / name).mkdir(parents=True)
        (self._folder / "pki").symlink_to(authority.folder / "broker")
        text = text.replace("/mosquitto/", f"{self._folder}/")
        if os.geteuid() == 0:
            text += "\nuser root\n"  # else it leaves root and may not enter pytest's folder
        (self._folder / "config" / "mosquitto.conf").write_text(text)
        self._log = folder / "log"
        self._reloads = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([str(DEPLOY / "mosquitto" / "run.sh"), str(self._folder)], stdout=log, stderr=log)
        self._reloads = self._log.read_text().count(RELOADED)
        deadline = time.monotonic() + PATIENCE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.host_port), timeout=1).close()  # the last that opens
            except ConnectionRefusedError:
                time.sleep(0.02)
            else:
                return
        pytest.fail(f"mosquitto did not start: {self._log.read_text()}")

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def starts(self) -> int:
        """How often it has started."""
        return len(re.findall(r"mosquitto version \S+ running", self._log.read_text()))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)

    def follow(self) -> None:
        """Wait until the broker has read what changed. It tells of it in its log."""
        deadline = time.monotonic() + PATIENCE_S
        while (self._log.read_text().count(RELOADED) == self._reloads or not self._is_gathered()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._reloads = self._log.read_text().count(RELOADED)

    def _is_gathered(self) -> bool:
        return all(
            (self._folder / "made" / name).read_text() == "".join(part.read_text() for part in self._parts(name))
            for name in ("acl", "crl.pem")
        )

    def _parts(self, name: str) -> list[Path]:
        return [path for path in (self._folder / "pki" / name, self.gate / name) if path.exists()]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def psql() -> str:
    bundled = embedded_programs.find(Path("/nowhere")).folder / "psql"
    found = str(bundled) if bundled.exists() else shutil.which("psql")
    if found is None:
        pytest.skip("NOT RUN: no psql is installed")
    return found


def run_script(dsn: str) -> None:
    done = subprocess.run(
        [psql(), "--no-psqlrc", "--dbname", dsn, "--file", str(SCRIPT)],
        env={**os.environ, **PASSWORDS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def as_user(dsn: str, user: str) -> str:
    return make_conninfo(dsn, user=user, password=PASSWORDS[f"{user.upper()}_PASSWORD"])
