"""Fixtures of the deployment's tests."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vigia.store.embedded import EmbeddedPostgres
from vigia.store.migrate import migrate

sys.path.insert(0, str(Path(__file__).parent))

from deployed import as_user, run_script


@pytest.fixture(scope="module")
def deployed_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own that asks for passwords, as the container does, migrated by the login that does so there."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("server"), {"fsync": "off"}) as server:
        (server.folder / "data" / "pg_hba.conf").write_text("local all postgres peer map=vigia\nlocal all all scram-sha-256\n")
        with psycopg.connect(server.dsn) as connection:
            connection.execute("select pg_reload_conf()")
        run_script(server.dsn)
        run_script(server.dsn)  # as when passwords are changed
        asyncio.run(migrate(as_user(server.dsn, "migrate")))
        yield server.dsn
