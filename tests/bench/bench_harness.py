"""What the tests of measurements share."""

import re
import time

import psycopg

PATIENCE_S = 90.0


def databases(dsn: str) -> set[str]:
    """The temporary ones on the server."""
    with psycopg.connect(dsn) as connection:
        every = {name for (name,) in connection.execute("select datname from pg_database").fetchall()}
    return {name for name in every if re.fullmatch(r"vigia_[0-9a-f]{12}", name)}


def check_nothing_stays(dsn: str, before: set[str]) -> None:
    """What is new goes; other tests on the same server make databases too, and theirs go by themselves."""
    new = databases(dsn) - before
    deadline = time.monotonic() + PATIENCE_S
    while new & databases(dsn):
        assert time.monotonic() < deadline, f"still there: {new & databases(dsn)}"
        time.sleep(0.1)
