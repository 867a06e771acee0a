"""deploy/backup.sh and deploy/restore.sh on a real TimescaleDB; only `docker compose` is stood in for."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from vigia.store import embedded_programs

ROOT = Path(__file__).parents[2]
LOGINS = ["migrate", "ingest", "analytics", "worker", "api", "gate"]

# `docker compose exec -T database PROGRAM ...` runs PROGRAM; everything else of compose is only noted.
DOCKER = """#!/bin/sh
if [ "$2" = exec ]; then
    shift 4
    exec "$@"
fi
echo "$@" >>"$NOTES"
"""

pytestmark = [pytest.mark.timescale, pytest.mark.xdist_group("backup")]  # logins are the whole server's


class Server:
    """A database with readings on the TimescaleDB server, and the scripts pointed at it."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self.name = str(conninfo_to_dict(dsn)["dbname"])
        self.notes = folder / "notes"
        self._folder = folder
        (folder / "bin").mkdir()
        shim = folder / "bin" / "docker"
        shim.write_text(DOCKER)
        shim.chmod(0o755)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        to = conninfo_to_dict(self.dsn)
        programs = embedded_programs.find(self._folder / "postgres").folder
        environment = {
            **os.environ,
            **{f"{name.upper()}_PASSWORD": "x" for name in LOGINS},
            "PATH": f"{self._folder / 'bin'}:{programs}:{os.environ['PATH']}",
            "PGHOST": str(to["host"]),
            "PGPORT": str(to["port"]),
            "PGUSER": str(to["user"]),
            "PGPASSWORD": str(to.get("password", "")),
            "DATABASE_NAME": self.name,
            "NOTES": str(self.notes),
        }
        command = [str(ROOT / "deploy" / script), *arguments]
        return subprocess.run(command, env=environment, cwd=self._folder, capture_output=True, text=True, check=False)

    def checksum(self) -> tuple[object, ...] | None:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(
                "select count(*), sum(hashtext(t::text)::bigint), (select count(*) from vigia.schema_migration) from vigia.telemetry t"
            ).fetchone()

    def databases(self) -> set[str]:
        with psycopg.connect(make_conninfo(self.dsn, dbname="postgres")) as connection:
            return {name for (name,) in connection.execute("select datname from pg_database where datname ^@ %s", [self.name]).fetchall()}


@pytest.fixture
def server(timescale_dsn: str, tmp_path: Path) -> Iterator[Server]:
    made = Server(timescale_dsn, tmp_path)
    with psycopg.connect(timescale_dsn) as connection:
        connection.execute(
            "insert into vigia.telemetry select point, now() - minute * interval '1 min', point * minute, 0"
            " from generate_series(1, 10) as point, generate_series(1, 3000) as minute"
        )
        connection.execute("select compress_chunk(chunk) from show_chunks('vigia.telemetry') as chunk limit 1")
    yield made
    with psycopg.connect(make_conninfo(timescale_dsn, dbname="postgres"), autocommit=True) as connection:
        for name in made.databases() - {made.name}:
            connection.execute(f'drop database "{name}" with (force)')  # type: ignore[arg-type]
        for login in LOGINS:
            if connection.execute("select to_regrole(%s)", [login]).fetchone() != (None,):
                with psycopg.connect(timescale_dsn, autocommit=True) as inside:
                    inside.execute(f"alter database {made.name} owner to current_user; drop owned by {login}; drop role {login}")  # type: ignore[arg-type]


def test_restored_database_equals_the_backup(server: Server) -> None:
    before = server.checksum()
    done = server.run("backup.sh", "all.dump")
    assert done.returncode == 0, done.stderr
    with psycopg.connect(server.dsn) as connection:
        connection.execute("delete from vigia.telemetry where point_id = 1")
    assert server.checksum() != before

    done = server.run("restore.sh", "all.dump")
    assert done.returncode == 0, done.stderr
    assert server.checksum() == before
    assert len(server.databases()) == 2
    assert server.notes.read_text().splitlines() == ["compose up -d database", "compose stop ingest analytics worker api", "compose up -d"]
    as_api = f"{make_conninfo(server.dsn, user='api')} password=x options='-c role=vigia_app -c search_path=vigia'"
    with psycopg.connect(as_api) as connection:
        assert connection.execute("select count(*) from vigia.customer").fetchone() == (0,)


def test_a_file_that_is_no_backup_changes_nothing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk")
    before = server.checksum()
    done = server.run("restore.sh", "junk")
    assert done.returncode == 2
    assert "could not be restored" in done.stderr
    assert server.checksum() == before
    assert server.databases() == {server.name}


def test_a_backup_never_overwrites_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    assert server.run("backup.sh", "old").returncode == 2
    assert (tmp_path / "old").read_text() == "old"
