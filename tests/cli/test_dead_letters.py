"""`vigia ingest dead-letters`: what could not be used, why, what one of each kind looks like; and published once more."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from vigia.ingest.config import BrokerConfig
from vigia.ingest.replay import Publisher, Replayed, replay
from vigia.store import dead_letters
from vigia.store.database import Database
from vigia.store.dead_letters import KEPT_BYTES, NewDeadLetter
from vigia.supervisor.broker import RunningBroker, running_broker


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


def test_a_sample_of_each_reason_is_shown(buried: str, printed: Callable[..., str]) -> None:
    said = printed("ingest", "dead-letters", "--sample", "--dsn", buried)
    counts, newest, unreadable = said.split("\n\n")
    assert [line.split()[0] for line in counts.splitlines()] == ["2", "1"]
    assert "a/new  421 bytes\n  misfit: what to do\n  " in newest
    assert '{"a": 2, "name": "ñññ' in newest
    assert "ñ ...\n" in newest
    assert "b  6 bytes\n  unreadable: what to do\n  0801ffffffff\n" in unreadable


def test_letters_of_one_reason_are_shown(buried: str, printed: Callable[..., str]) -> None:
    said = json.loads(printed("ingest", "dead-letters", "--reason", "misfit", "--json", "--dsn", buried))
    assert [(count["reason"], count["count"]) for count in said["counts"]] == [("misfit", 2)]
    assert [(letter["topic"], letter["complete"]) for letter in said["dead_letters"]] == [("a/new", True), ("a/old", True)]
    assert printed("ingest", "dead-letters", "--reason", "none", "--dsn", buried) == "No dead letters.\n"


def test_each_letter_is_shown_with_the_command_that_replays_it(dsn: str, printed: Callable[..., str]) -> None:
    first, _cut, _sparkplug, last = bury(
        dsn,
        ("a/1", "misfit", b"x"),
        ("a/cut", "misfit", bytes(KEPT_BYTES + 1)),
        ("spBv1.0/a/DDATA/b/c", "misfit", b"x"),
        ("a/2", "odd", b"x"),
    )
    said = [line.strip() for line in printed("ingest", "dead-letters", "--dsn", dsn).splitlines()]
    assert [line for line in said if "replay" in line] == [f"vigia ingest dead-letters replay --id {one}" for one in (last, first)]
    assert f"vigia ingest dead-letters replay --id {last}" in printed("ingest", "dead-letters", "--sample", "--dsn", dsn)


# ── published once more ──


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(tmp_path / "broker", "mosquitto") as running:
        yield running


@pytest.fixture
def heard(broker: RunningBroker) -> Iterator[list[tuple[str, bytes]]]:
    """What is published below a/, as a subscriber hears it."""
    told: list[tuple[str, bytes]] = []
    ready = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe("a/#", 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, message: told.append((message.topic, bytes(message.payload)))
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert ready.wait(10)
    yield told
    client.disconnect()
    client.loop_stop()


def an_hour_older(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("update vigia.dead_letter set received_at = received_at - interval '1 hour'")


def bury(dsn: str, *letters: tuple[str, str, bytes]) -> list[int]:
    async def add() -> list[int]:
        async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction() as tx:
            for topic, reason, payload in letters:
                await dead_letters.add(tx, NewDeadLetter(topic, reason, "what to do", payload))
            return await dead_letters.ids(tx)

    return asyncio.run(add())


def kept(dsn: str) -> list[int]:
    return bury(dsn)


@pytest.fixture
def published(printed: Callable[..., str], dsn: str, broker: RunningBroker) -> Callable[..., dict[str, list[object]]]:
    """What a replay with these options says."""
    replay = ["ingest", "dead-letters", "replay", "--json", "--dsn", dsn, "--broker", broker.url]
    return lambda *options: json.loads(printed(*replay, *options))


def test_letters_are_published_again_and_taken(
    dsn: str,
    broker: RunningBroker,
    heard: list[tuple[str, bytes]],
    printed: Callable[..., str],
    published: Callable[..., dict[str, list[object]]],
) -> None:
    first, second, third = bury(dsn, ("a/1", "misfit", b"one"), ("a/2", "undated", b"\0\xff"), ("a/3", "misfit", b"three"))
    an_hour_older(dsn)
    assert published("--reason", "misfit", "--limit", "1") == {"published": [first], "left": []}
    assert published("--id", str(second), "--id", "999") == {"published": [second], "left": []}
    assert published("--reason", "none") == {"published": [], "left": []}
    said = printed("ingest", "dead-letters", "replay", "--reason", "misfit", "--dsn", dsn, "--broker", broker.url)
    assert said == "1 published, 0 kept.\n"
    assert heard == [("a/1", b"one"), ("a/2", b"\0\xff"), ("a/3", b"three")]
    assert kept(dsn) == []
    assert third > second


def test_what_would_be_lost_is_kept(dsn: str, broker: RunningBroker, heard: list[tuple[str, bytes]], printed: Callable[..., str]) -> None:
    bury(
        dsn,
        ("b/1", "misfit", b"x"),
        ("a/cut", "misfit", bytes(KEPT_BYTES + 1)),
        ("spBv1.0/a/DDATA/b/c", "misfit", b"x"),
        ("a/+", "misfit", b""),
    )
    an_hour_older(dsn)
    ids = bury(dsn, ("a/fresh", "misfit", b"x"))
    said = printed("ingest", "dead-letters", "replay", "--reason", "misfit", "--dsn", dsn, "--broker", broker.url).splitlines()
    assert [line.partition("kept: ")[2].split(":")[0] for line in said[:-1]] == [
        "nobody subscribes to its topic",
        "only its beginning is kept",
        "a Sparkplug message belongs to its session",
        "it cannot be published (Publish topic cannot contain wildcards.)",
        "it was set aside less than 10 minutes ago",
    ]
    assert said[-1] == "0 published, 5 kept."
    assert kept(dsn) == ids
    assert heard == []


def test_a_rehearsal_says_what_would_be_published_and_changes_nothing(dsn: str, printed: Callable[..., str]) -> None:
    bury(dsn, ("a/1", "misfit", b"x"), ("a/cut", "misfit", bytes(KEPT_BYTES + 1)), ("a/2", "odd", b"x"))
    an_hour_older(dsn)
    ids = bury(dsn, ("a/fresh", "misfit", b"x"))
    rehearsal = ["ingest", "dead-letters", "replay", "--dry-run", "--dsn", dsn]
    said = json.loads(printed(*rehearsal, "--json", "--reason", "misfit"))
    assert said["would_publish"] == [ids[0]]
    assert [(left["dead_letter_id"], left["topic"]) for left in said["left"]] == [(ids[1], "a/cut"), (ids[3], "a/fresh")]
    text = printed(*rehearsal, "--id", str(ids[1]), "--id", str(ids[2]), "--id", "999")
    assert text == f"{ids[1]}  a/cut  kept: only its beginning is kept\n1 would be published, 1 kept.\n"
    assert kept(dsn) == ids


def test_two_at_once_publish_each_letter_once(dsn: str, broker: RunningBroker, heard: list[tuple[str, bytes]]) -> None:
    ids = bury(dsn, *((f"a/{i}", "misfit", b"x") for i in range(50)))
    now = datetime.now(UTC) + timedelta(hours=1)

    async def both() -> list[Replayed]:
        where = BrokerConfig.from_url(broker.url)
        async with Database(dsn, "vigia_service", max_size=2) as database, Publisher(where) as one, Publisher(where) as two:
            return list(await asyncio.gather(replay(database, one, ids, now), replay(database, two, ids, now)))

    done = asyncio.run(both())
    assert sorted(one for each in done for one in each.published) == ids
    assert sorted(topic for topic, _ in heard) == sorted(f"a/{i}" for i in range(50))
    assert kept(dsn) == []


@pytest.fixture
def refused(vigia: Callable[..., CompletedProcess[str]]) -> Callable[..., str]:
    """The sentence with which a command ends."""

    def run(*arguments: str) -> str:
        done = vigia(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.strip().splitlines()) == 1
        return done.stderr

    return run


def test_what_cannot_be_done_is_a_sentence(buried: str, refused: Callable[..., str]) -> None:
    replay = ["ingest", "dead-letters", "replay", "--dsn", buried]
    assert "127.0.0.1:1" in refused(*replay, "--reason", "misfit", "--broker", "mqtt://127.0.0.1:1")
    assert "--broker" in refused(*replay, "--reason", "misfit")
    for options in ([], ["--dry-run"], ["--limit", "1"]):
        said = refused(*replay, *options, "--broker", "mqtt://127.0.0.1:1")
        assert "--reason" in said
        assert "--id" in said
    assert "behind the command" in refused("ingest", "dead-letters", "--reason", "x", "replay", "--dsn", buried)
    assert len(kept(buried)) == 3
