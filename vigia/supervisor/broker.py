"""The embedded MQTT broker: `mosquitto` when it is on PATH, else `amqtt` from pip. It listens on this machine only.

Nothing here keeps data: what must not be lost waits in the edge's buffer until the database has it, so the broker persists nothing.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vigia.errors import VigiaError

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0

_MOSQUITTO_CONF = """\
# Written by Vigia at every start; changes are lost.
listener {port} {address}
# Only programs on this machine reach the listener.
allow_anonymous true
# A reading is safe once the database has it; the broker keeps nothing on disk.
persistence false
# Small messages leave at once.
set_tcp_nodelay true
# What a slow subscriber may leave waiting; beyond, messages at QoS 0 are dropped, and the edges send them again.
max_queued_messages 100000
sys_interval 0
connection_messages false
log_dest stderr
log_type error
log_type warning
"""


class BrokerError(VigiaError):
    """The embedded MQTT broker cannot be run."""


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """What to run: `name` with version for people, `command` for the process, `url` for clients."""

    name: str
    command: list[str]
    url: str


def choose_broker(home: Path, port: int) -> BrokerPlan:
    """The broker to run for `home` on 127.0.0.1:`port`; writes its configuration below `home`, starts nothing.

    Raises BrokerError when the port is taken or no broker is installed.
    """
    if shutil.which("mosquitto"):
        return mosquitto_plan(home, port)
    if importlib.util.find_spec("amqtt"):
        return amqtt_plan(port)
    raise BrokerError("no MQTT broker is installed: install mosquitto, or pip install vigia[server], or name one with --broker")


def mosquitto_plan(home: Path, port: int) -> BrokerPlan:
    """Mosquitto from PATH. Raises BrokerError when it is missing or the port is taken."""
    program = shutil.which("mosquitto")
    if program is None:
        raise BrokerError("mosquitto is not on PATH")
    _refuse_taken(port)
    folder = home / "broker"
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "mosquitto.conf"
    conf.write_text(_MOSQUITTO_CONF.format(port=port, address=LOOPBACK))
    # Started as root, mosquitto reads its configuration first and then becomes an unprivileged user; a reload reads it again.
    conf.chmod(0o644)
    answer = subprocess.run([program, "-h"], capture_output=True, text=True, check=False, timeout=START_TIMEOUT_S)  # noqa: S603
    version = re.search(r"version (\S+)", answer.stdout)
    name = f"mosquitto {version[1]}" if version else "mosquitto"
    return BrokerPlan(name, [program, "-c", str(conf)], f"mqtt://{LOOPBACK}:{port}")


def amqtt_plan(port: int) -> BrokerPlan:
    """The pip-installed amqtt in a process of its own. Raises BrokerError when it is missing or the port is taken."""
    try:
        version = importlib.metadata.version("amqtt")
    except importlib.metadata.PackageNotFoundError:
        raise BrokerError("amqtt is not installed: pip install vigia[server]") from None
    _refuse_taken(port)
    command = [sys.executable, "-m", "vigia.supervisor.amqtt_broker", str(port)]
    return BrokerPlan(f"amqtt {version}", command, f"mqtt://{LOOPBACK}:{port}")


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            msg = (
                f"the broker cannot listen on {LOOPBACK}:{port} ({error.strerror}): free that port, or name a running broker with --broker"
            )
            raise BrokerError(msg) from None


@dataclass(slots=True)
class RunningBroker:
    """A broker process for tests and benchmarks: it can be stopped, killed and started again on the same port."""

    plan: BrokerPlan
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return self.plan.url

    def start(self) -> None:
        """Start the process and wait until it accepts connections. Raises BrokerError with its last words."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.plan.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._accepts():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                words = self.log.read_text(errors="replace").strip().splitlines()[-1:]
                raise BrokerError(f"{self.plan.name} did not start: {''.join(words) or 'it said nothing'}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the process as an administrator would."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def kill(self) -> None:
        """End the process as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=1):
            return True
        return False


@contextlib.contextmanager
def running_broker(folder: Path, kind: str = "") -> Iterator[RunningBroker]:
    """A broker on a free port, ready to use; `kind` is "mosquitto", "amqtt" or "" for the first that is installed."""
    port = _free_port()
    plan = {"mosquitto": lambda: mosquitto_plan(folder, port), "amqtt": lambda: amqtt_plan(port)}.get(
        kind, lambda: choose_broker(folder, port)
    )()
    folder.mkdir(parents=True, exist_ok=True)
    broker = RunningBroker(plan, port, folder / f"broker-{os.getpid()}-{port}.log")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
