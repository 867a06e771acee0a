import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vigia.store import embedded_programs
from vigia.store.embedded import EmbeddedDiskFullError, EmbeddedPostgres, EmbeddedVersionError, postgres

SMALL = {"fsync": "off", "shared_buffers": "16MB"}


def answer(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select 42").fetchone()
        assert row is not None
        return int(row[0])


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    # Whatever a test left behind ends here.
    with EmbeddedPostgres(tmp_path, SMALL):
        pass


def test_it_starts_and_stops_without_a_word(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = EmbeddedPostgres(home, SMALL)
    server.start()
    assert answer(server.dsn) == 42
    assert server.running()
    server.stop()
    assert not server.running()
    assert capfd.readouterr() == ("", "")


def test_data_outlives_a_restart(home: Path) -> None:
    with EmbeddedPostgres(home, SMALL) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table kept as select 7 as number")
    with postgres(home) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select number from kept").fetchone() == (7,)


def test_the_last_user_stops_the_server(home: Path) -> None:
    first, second = EmbeddedPostgres(home, SMALL), EmbeddedPostgres(home, SMALL)
    first.start()
    second.start()
    assert first.dsn == second.dsn
    first.stop()
    assert answer(second.dsn) == 42
    second.stop()
    assert not second.running()


def test_a_server_that_was_killed_starts_again(home: Path) -> None:
    server = EmbeddedPostgres(home, SMALL)
    server.start()
    os.kill(postmaster(home), signal.SIGKILL)
    server.stop()
    server.start()
    assert answer(server.dsn) == 42
    server.stop()


def test_a_server_whose_starter_was_killed_is_adopted_and_stopped(home: Path) -> None:
    script = textwrap.dedent("""
        import os, pathlib, signal, sys
        from vigia.store.embedded import EmbeddedPostgres
        EmbeddedPostgres(pathlib.Path(sys.argv[1]), {"fsync": "off", "shared_buffers": "16MB"}).start()
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", script, str(home)], check=False).returncode == -signal.SIGKILL
    left = postmaster(home)
    with EmbeddedPostgres(home, SMALL) as server:
        assert answer(server.dsn) == 42
        assert postmaster(home) == left
    assert not server.running()


@pytest.mark.parametrize("stranger", [os.getpid(), 2**22 - 1], ids=["of a living process", "of nobody"])
def test_a_process_id_left_by_a_crash_does_not_prevent_a_start(home: Path, stranger: int) -> None:
    with EmbeddedPostgres(home, SMALL):
        words = (home / "postgres" / "data" / "postmaster.pid").read_text().splitlines()
    file = home / "postgres" / "data" / "postmaster.pid"
    file.write_text("\n".join([str(stranger), *words[1:], ""]))
    lock = home / "postgres" / "run" / ".s.PGSQL.5432.lock"
    lock.write_text(file.read_text())
    with EmbeddedPostgres(home, SMALL) as server:
        assert answer(server.dsn) == 42


def test_an_attempt_that_was_killed_half_way_leaves_nothing_in_the_way(home: Path) -> None:
    half = home / "postgres" / "new-killed"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(home, SMALL) as server:
        assert answer(server.dsn) == 42
    assert not half.exists()


def test_data_of_another_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedVersionError, match="written by PostgreSQL 16, this Vigía brings 18"):
        EmbeddedPostgres(tmp_path, SMALL).start()


def test_a_home_with_a_long_and_odd_name_works(tmp_path: Path) -> None:
    home = tmp_path / 'a "name", with $HOME and ñ' / ("x" * 120)
    with EmbeddedPostgres(home, SMALL) as server:
        assert answer(server.dsn) == 42
        folder = Path(server.dsn.split("host=")[1].split()[0])
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_there_is_no_way_in_but_the_private_socket(home: Path) -> None:
    with EmbeddedPostgres(home, SMALL) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("select current_setting('listen_addresses')").fetchone() == ("",)
        assert (home / "postgres" / "run").stat().st_mode & 0o077 == 0
        assert (home / "postgres" / "data").stat().st_mode & 0o077 == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(tmp_path)], capture_output=True, check=False)  # noqa: S607
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)  # noqa: S607


def test_a_full_disk_is_named_and_leaves_nothing_behind(small_disk: Path) -> None:
    with pytest.raises(EmbeddedDiskFullError, match="No space is left"):
        EmbeddedPostgres(small_disk, SMALL).start()
    assert not list((small_disk / "postgres").glob("new-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused by PostgreSQL")
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["unreachable", "reachable"])
def test_root_runs_it_as_somebody_else_and_changes_no_mode_above_the_home(tmp_path: Path, mode: int) -> None:
    above = tmp_path / "above"
    above.mkdir(mode=mode)
    above.chmod(mode)
    with EmbeddedPostgres(above / "home", SMALL) as server:
        assert answer(server.dsn) == 42
        status = Path(f"/proc/{postmaster(above / 'home')}/status").read_text()
        assert next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1] != "0"
        assert above.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused by PostgreSQL")
def test_root_runs_programs_that_only_root_reaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = embedded_programs._program_folder().parents[1]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(installed / "pginstall18", private / installed.name / "pginstall18")
    libraries = installed.with_name(f"{installed.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, private / libraries.name)
    monkeypatch.setattr(embedded_programs, "_program_folder", lambda: private / installed.name / "pginstall18" / "bin")
    with EmbeddedPostgres(private / "home", SMALL) as server:
        assert answer(server.dsn) == 42
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_an_ordinary_user_runs_it_as_itself() -> None:
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="vigia-nobody-"))
    try:
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        script = (
            "import pathlib, sys\nfrom vigia.store.embedded import postgres\nwith postgres(pathlib.Path(sys.argv[1])) as dsn: print(dsn)\n"
        )
        ran = subprocess.run(
            [shutil.which("setpriv") or "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
             "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--", sys.executable, "-c", script, str(home)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")
        assert (home / "postgres" / "data").stat().st_uid == nobody.pw_uid
    finally:
        shutil.rmtree(home)
