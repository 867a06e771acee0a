"""The process hears plain devices by the table it is given, or by the one that comes with it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import paho.mqtt.publish as mqtt
import pytest
from ingest_harness import Edge, letters, query
from plain_harness import entry
from process_harness import wait_for
from worker_harness import LOOPBACK, Worker, rows

from vigia.supervisor.broker import RunningBroker

FOUND = (
    "select r.device_id, p.name, (extract(epoch from t.ts) * 1000)::bigint, t.value from telemetry t join point p using (point_id)"
    " join installation i using (asset_id) join role r using (role_id) join edge_node e using (edge_node_id)"
    " where e.node_id = 'acme-two' order by 1, 2, 3"
)

REPLAY = ["ingest", "dead-letters", "replay", "--reason", "plain message does not fit its entry"]


@pytest.fixture
def worker(seeded: str, broker: RunningBroker, tmp_path: Path) -> Iterator[Worker]:
    one = Worker(tmp_path, seeded, broker.url)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.kill()


def publish(broker: RunningBroker, topic: str, payload: bytes | str) -> None:
    mqtt.single(topic, payload, 1, hostname=LOOPBACK, port=broker.port)


def test_the_documented_topic_is_read_without_being_asked_for(worker: Worker, broker: RunningBroker, seeded: str) -> None:
    edge = Edge()
    worker.start_ready()
    publish(broker, "vigia/acme/acme-two/R1", '{"ts": 1767225600000, "values": {"T50": 1577.5, "running": true}}')
    for message in [*edge.born(), edge.data("R1", 1)]:
        publish(broker, message.topic, message.payload)
    publish(broker, "vigia/acme/acme-two/R1", '{"ts": "2026-01-01T00:00:01Z", "values": {"T50": 1578}}')
    publish(broker, "vigia/acme/acme-two/R2/level", "0.5")
    wait_for(lambda: rows(seeded) == 8)
    found = query(seeded, FOUND)
    assert found[:-1] == [
        ("R1", "T50", 1767225600000, 1577.5),
        ("R1", "T50", 1767225601000, 1578.0),
        ("R1", "running", 1767225600000, 1.0),
    ]
    assert (found[-1][:2], found[-1][3]) == (("R2", "level"), 0.5)
    assert letters(seeded) == []
    assert worker.stop() == 0


def test_a_table_says_what_else_is_read(worker: Worker, broker: RunningBroker, seeded: str, tmp_path: Path) -> None:
    table = tmp_path / "topics.toml"
    table.write_text(entry(filter="plant/+/now", node_id="acme-two", device="{2}", time="at", time_unit="s", values="is"))
    worker.options = ["--topics", str(table)]
    worker.start_ready()
    publish(broker, "vigia/acme/acme-two/R1/level", "0.5")  # the table that comes with it does not count now
    publish(broker, "plant/R2/now", json.dumps({"at": 1767225600, "is": {"flow": 3}}))
    wait_for(lambda: rows(seeded) == 1)
    assert query(seeded, FOUND) == [("R2", "flow", 1767225600000, 3.0)]
    assert worker.stop() == 0
    assert letters(seeded) == []


def test_no_table_reads_no_plain_topic(worker: Worker, broker: RunningBroker, seeded: str) -> None:
    edge = Edge()
    worker.options = ["--topics", "none"]
    worker.start_ready()
    publish(broker, "vigia/acme/acme-two/R1/level", "0.5")
    for message in [*edge.born(), edge.data("R1", 1)]:
        publish(broker, message.topic, message.payload)
    wait_for(lambda: rows(seeded) == 4)
    assert query(seeded, FOUND) == []
    assert worker.stop() == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("[[topic]\n", "not a TOML file"),
        ("", "add a table [[topic]]"),
        (entry(filter="#"), "the first level must be a name"),
        (entry(sideways="x"), "sideways is no key of the table"),
    ],
)
def test_a_bad_table_is_a_sentence(tmp_path: Path, text: str | None, said: str, ingest: Callable[..., CompletedProcess[str]]) -> None:
    table = tmp_path / "topics.toml"
    if text is not None:
        table.write_text(text)
    done = ingest("--topics", str(table))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(table) in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--share", "a/b"], "VIGIA_INGEST_SHARE (--share)"),
        (["--watch-port", "70000"], "VIGIA_INGEST_WATCH_PORT (--watch-port)"),
    ],
)
def test_a_bad_option_is_a_sentence(options: list[str], said: str, ingest: Callable[..., CompletedProcess[str]]) -> None:
    done = ingest(*options)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert said in done.stderr


@pytest.fixture
def ingest(vigia: Callable[..., CompletedProcess[str]]) -> Callable[..., CompletedProcess[str]]:
    """`vigia ingest run` with these options, and neither a database nor a broker."""
    return lambda *options: vigia("ingest", "run", "--dsn", "postgresql://127.0.0.1:1/none", "--broker", "mqtt://127.0.0.1:1", *options)


def test_a_letter_is_replayed_when_its_cause_is_mended(
    worker: Worker, broker: RunningBroker, seeded: str, tmp_path: Path, printed: Callable[..., str]
) -> None:
    table = tmp_path / "topics.toml"
    keys = {"filter": "plant/+/now", "node_id": "acme-two", "device": "{2}", "time": "at", "time_unit": "s", "values": "is"}
    worker.options = ["--topics", str(table)]
    table.write_text(entry(**keys))
    worker.start_ready()
    publish(broker, "plant/R2/now", json.dumps({"at": 1767225600, "is": {"pump": "ON"}}))
    wait_for(lambda: len(letters(seeded)) == 1)
    first = kept(seeded)
    assert worker.stop() == 0
    for mended in (False, True):
        if mended:
            table.write_text(entry(**keys, words={"ON": 1}))
        query(seeded, "update dead_letter set received_at = received_at - interval '1 hour' returning 1")
        worker.start_ready()
        assert printed(*REPLAY, "--dsn", seeded, "--broker", broker.url) == "1 published, 0 kept.\n"
        if not mended:  # refused again, it is a new letter
            wait_for(lambda: kept(seeded) not in ([], first))
            assert len(kept(seeded)) == 1
            assert worker.stop() == 0
    wait_for(lambda: rows(seeded) == 1)
    assert query(seeded, FOUND) == [("R2", "pump", 1767225600000, 1.0)]
    assert worker.stop() == 0
    assert kept(seeded) == []


def kept(dsn: str) -> list[tuple[object, ...]]:
    return query(dsn, "select dead_letter_id from dead_letter")
