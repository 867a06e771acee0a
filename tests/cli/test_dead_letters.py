"""`vigia ingest dead-letters`: what could not be used, why, and what one of each kind looks like."""

import asyncio
import json
import subprocess
import sys

import pytest

from vigia.store import dead_letters
from vigia.store.database import Database
from vigia.store.dead_letters import NewDeadLetter


def vigia(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "vigia", *arguments], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def buried(dsn: str) -> str:
    async def bury() -> None:
        async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction() as tx:
            for topic, reason, payload in [
                ("a/old", "misfit", b'{"a": 1}'),
                ("a/new", "misfit", b'{"a":\n 2, "name": "' + "ñ".encode() * 200 + b'"}'),
                ("b", "unreadable", b"\x08\x01\xff\xff\xff\xff"),
            ]:
                await dead_letters.add(tx, NewDeadLetter(topic, reason, "what to do", payload))

    asyncio.run(bury())
    return dsn


def test_a_sample_of_each_reason_is_shown(buried: str) -> None:
    said = vigia("ingest", "dead-letters", "--sample", "--dsn", buried)
    counts, newest, unreadable = said.split("\n\n")
    assert [line.split()[0] for line in counts.splitlines()] == ["2", "1"]
    assert "a/new  421 bytes\n  misfit: what to do\n  " in newest
    assert '{"a": 2, "name": "ñññ' in newest
    assert newest.endswith("ñ ...")
    assert unreadable.endswith("b  6 bytes\n  unreadable: what to do\n  0801ffffffff\n")


def test_letters_of_one_reason_are_shown(buried: str) -> None:
    said = json.loads(vigia("ingest", "dead-letters", "--reason", "misfit", "--json", "--dsn", buried))
    assert [(count["reason"], count["count"]) for count in said["counts"]] == [("misfit", 2)]
    assert [(letter["topic"], letter["complete"]) for letter in said["dead_letters"]] == [("a/new", True), ("a/old", True)]
    assert vigia("ingest", "dead-letters", "--reason", "none", "--dsn", buried) == "No dead letters.\n"
