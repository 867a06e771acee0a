"""Child processes that live and die with their supervisor.

A child that ends by itself is started again after a growing pause. Children ignore the terminal's Ctrl-C (each has its own
session): the supervisor stops them. When the supervisor itself is killed, Linux ends them (parent-death signal); elsewhere the next start
ends what the pid files name.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import psutil
import structlog

from vigia.concurrency import ended
from vigia.errors import VigiaError

log = structlog.get_logger()

STOP_WAIT_S = 8.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
PR_SET_PDEATHSIG = 1


class SupervisorError(VigiaError):
    """A process of Vigía cannot be run."""


class HomeInUseError(SupervisorError):
    """Another Vigía runs in this home folder; stop it, or choose another folder with --home."""


class ChildFailedError(SupervisorError):
    """A process of Vigía ended before it was ready."""


class HomeLock:
    """One supervisor a home folder. Entering takes the lock, leaving or dying gives it back."""

    def __init__(self, home: Path) -> None:
        self.path = home / "run" / "lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            message = f"another Vigía runs in {self.path.parent.parent}; stop it, or choose another folder with --home"
            raise HomeInUseError(message) from None
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._file is not None:
            self._file.close()


@dataclass
class Child:
    """One process: what to run, and where its output goes."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    needed_by_others: bool = False
    process: subprocess.Popen[bytes] | None = None
    pause_s: float = FIRST_PAUSE_S
    restart_at: float = 0.0
    restarts: int = 0


def vigia_command(*arguments: str) -> list[str]:
    """The command line of a Vigía process in this very environment."""
    return [sys.executable, "-m", "vigia", *arguments]


def _die_with_parent() -> None:
    """In the child, before exec: be told when the supervisor dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Starts children in order and keeps them running until `stop`."""

    def __init__(self, home: Path) -> None:
        self.run_folder = home / "run"
        self.log_folder = home / "log"
        self.run_folder.mkdir(parents=True, exist_ok=True)
        self.log_folder.mkdir(parents=True, exist_ok=True)
        self.children: list[Child] = []
        self._watch: asyncio.Task[None] | None = None
        self._end_left_over()

    async def start(self, child: Child, ready: Callable[[], bool] | None = None, timeout_s: float = 60.0) -> None:
        """Start `child` and wait until `ready()` says so.

        Raises ChildFailedError with the child's last line when it ends before, or is not ready in time.
        """
        self.children.append(child)
        self._spawn(child)
        deadline = time.monotonic() + timeout_s
        while ready is not None and not ready():
            if child.process is not None and child.process.poll() is not None:
                self.children.remove(child)
                raise ChildFailedError(f"{child.name} ended at its start: {self._last_line(child)} (whole log: {self._log_file(child)})")
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{child.name} was not ready after {timeout_s:.0f} s; its log: {self._log_file(child)}")
            await asyncio.sleep(0.05)

    def watch(self) -> None:
        """From now on start a child again that ends by itself."""
        self._watch = asyncio.create_task(self._restart_forever(), name="supervisor")

    async def stop(self) -> None:
        """End all children at once, then those they need to say goodbye; kill the one that does not end in time."""
        if self._watch is not None:
            await ended(self._watch)
        for needed in (False, True):
            ending = [child for child in self.children if child.needed_by_others is needed]
            for child in ending:
                if child.process is not None:
                    child.process.terminate()
            await asyncio.gather(*(asyncio.to_thread(self._end, child) for child in ending))
        self.children.clear()

    def _spawn(self, child: Child) -> None:
        with self._log_file(child).open("ab") as output:
            child.process = subprocess.Popen(  # noqa: S603 - our own command
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **child.environment},
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - calls nothing but prctl
            )
        self._pid_file(child).write_text(str(child.process.pid))

    async def _restart_forever(self) -> None:
        while True:
            for child in self.children:
                if child.process is None or child.process.poll() is None:
                    continue
                now = time.monotonic()
                if child.restart_at == 0.0:
                    log.warning("child ended", name=child.name, code=child.process.returncode, restart_in_s=child.pause_s)
                    child.restart_at = now + child.pause_s
                    child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)
                elif now >= child.restart_at:
                    child.restart_at = 0.0
                    child.restarts += 1
                    self._spawn(child)
            await asyncio.sleep(0.1)

    def _end(self, child: Child) -> None:
        process = child.process
        if process is None:
            return
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            log.warning("child killed: it did not stop", name=child.name)
            process.kill()
            process.wait()
        self._pid_file(child).unlink(missing_ok=True)

    def _end_left_over(self) -> None:
        """End children of a supervisor that was killed, where the parent-death signal does not exist or has not yet worked."""
        for file in self.run_folder.glob("*.pid"):
            pid = int(file.read_text() or 0)
            if pid and _is_ours(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                deadline = time.monotonic() + STOP_WAIT_S
                while _is_ours(pid) and time.monotonic() < deadline:
                    time.sleep(0.02)
                with contextlib.suppress(ProcessLookupError):
                    if _is_ours(pid):
                        os.kill(pid, signal.SIGKILL)
            file.unlink()

    def _pid_file(self, child: Child) -> Path:
        return self.run_folder / f"{child.name}.pid"

    def _log_file(self, child: Child) -> Path:
        return self.log_folder / f"{child.name}.log"

    def _last_line(self, child: Child) -> str:
        lines = self._log_file(child).read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _is_ours(pid: int) -> bool:
    """Whether `pid` is still a process that Vigía starts: a pid may have gone to another program since."""
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
    return "vigia" in command or "mosquitto" in command
