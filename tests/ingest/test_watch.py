"""What ingest tells of itself: metrics, whether it lives and is ready; and that its log holds nothing of what machines say."""

import asyncio
import json
import math
import re
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import paho.mqtt.publish as mqtt
import pytest
from ingest_harness import Edge, letters, query, seed
from process_harness import wait_for
from prometheus_client.parser import text_string_to_metric_families
from psycopg.types.json import Jsonb
from worker_harness import LOOPBACK, Worker, rows

from vigia.errors import ConfigError
from vigia.ingest.config import Limits, WatchConfig
from vigia.ingest.inbox import Inbox, Message
from vigia.ingest.watch import Watch, told
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.payload import Metric
from vigia.store.database import Database
from vigia.store.embedded import EmbeddedPostgres
from vigia.store.migrate import migrate
from vigia.supervisor.broker import RunningBroker

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana" / "ingest.json").read_text())
MARKER = "PrivateWordsOfTheMachine"


class Desk:
    """A watch over a queue and a broker that is there or not."""

    def __init__(self, limits: Limits) -> None:
        self.connected = True
        self.inbox = Inbox(limits)
        self.watch = Watch(self.inbox, limits, lambda: self.connected)

    def samples(self) -> dict[str, float]:
        _, _, body = self.watch.answer("/metrics")
        return {
            sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def said(self, path: str) -> tuple[int, str]:
        status, _, body = self.watch.answer(path)
        return status.value, body.decode().strip()


@pytest.fixture
async def desk() -> Desk:
    return Desk(Limits(hanging_s=0.05, look_every_s=0.01))


async def test_what_the_pipeline_tells_is_counted(desk: Desk) -> None:
    desk.watch.received(3, 500)
    desk.watch.stored(1_200, 30, 0.02, 0.4)
    desk.watch.stored(0, 10, 0.01, None)
    desk.watch.set_aside("unreadable payload")
    desk.watch.set_aside("unreadable payload", 2)
    desk.inbox.put(Message("a/b", b"123", 1))
    found = desk.samples()
    expected = {
        "rows_stored_total": 1_200,
        "rows_replayed_total": 40,
        "received_messages_total": 3,
        "received_bytes_total": 500,
        "dead_letters_total[unreadable payload]": 3,
        "commit_seconds_count": 2,
        "commit_rows_count": 1,
        "commit_rows_sum": 1_200,
        "lag_seconds_count": 1,
        "lag_seconds_sum": 0.4,
        "lag_seconds_bucket[0.25]": 0,
        "lag_seconds_bucket[0.5]": 1,
        "queue_messages": 1,
        "queue_bytes": desk.inbox.nbytes,
        "broker_connected": 1,
        "database_reachable": 1,
    }
    assert {name: found[f"vigia_ingest_{name}"] for name in expected} == expected
    assert math.isnan(found["vigia_ingest_holes"])


async def test_a_clock_that_is_ahead_is_no_negative_lag(desk: Desk) -> None:
    desk.watch.stored(1, 0, 0.01, -3.0)
    assert desk.samples()["vigia_ingest_lag_seconds_sum"] == 0.0


async def test_it_is_ready_when_broker_and_database_are_there(desk: Desk) -> None:
    assert desk.said("/ready") == (200, "ok")
    desk.connected = False
    assert desk.said("/ready") == (503, "the broker is away")
    desk.connected = True
    desk.watch.database_away()
    assert desk.said("/ready") == (503, "the database is away")
    assert desk.samples()["vigia_ingest_database_reachable"] == 0
    desk.watch.database_back()
    assert desk.said("/ready") == (200, "ok")


async def test_a_writer_that_hangs_is_not_alive_unless_it_waits_for_the_database(desk: Desk) -> None:
    def live() -> int:
        return desk.said("/live")[0]

    assert live() == 200
    desk.inbox.put(Message("a/b", b"", 1))
    assert live() == 200
    deadline = time.monotonic() + 10
    while live() == 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert desk.said("/live") == (503, "the writer hangs")
    desk.watch.received(1, 1)  # slow, but it moves
    assert live() == 200
    desk.watch.database_away()
    while desk.inbox.oldest_age_s < 0.2:
        await asyncio.sleep(0.01)
    assert live() == 200
    assert desk.said("/ready")[0] == 503


async def test_holes_are_read_from_the_database(desk: Desk, service: Database) -> None:
    async with service.transaction() as tx:
        await tx.execute(
            "with c as (insert into customer (code, name) values ('acme', 'Acme') returning customer_id),"
            " s as (insert into site (customer_id, code, name, time_zone) select customer_id, 'one', 'One', 'UTC' from c returning *),"
            " e as (insert into edge_node (customer_id, site_id, group_id, node_id)"
            "       select customer_id, site_id, 'acme', 'one' from s returning edge_node_id)"
            " insert into ledger (edge_node_id, epoch, eseqs, committed, rows) select edge_node_id, 7, '{[1,3),[6,8)}', 4, 40 from e"
        )
    looking = asyncio.create_task(desk.watch.look(service))
    while math.isnan(desk.samples()["vigia_ingest_holes"]):
        await asyncio.sleep(0.01)
    looking.cancel()
    found = desk.samples()
    assert (found["vigia_ingest_holes"], found["vigia_ingest_missing_batches"]) == (1, 3)


async def test_gateways_whose_certificates_end_are_counted(desk: Desk, service: Database) -> None:
    async with service.transaction() as tx:
        await tx.execute("insert into customer (code, name) values ('acme', 'Acme')")
        await tx.execute("insert into site (customer_id, code, name, time_zone) values (1, 'one', 'One', 'UTC')")
        # Days left of each gateway's certificates; the newest counts, and a revoked one never.
        for number, lives in enumerate(([20], [5], [-2], [0.5], [3, 90], [-60]), start=1):
            await tx.execute("insert into edge_node (customer_id, site_id, group_id, node_id) values (1, 1, 'acme', %s)", (str(number),))
            for days in lives:
                token = await (
                    await tx.execute(
                        "insert into edge_token (customer_id, edge_node_id, token_sha256, created_at, expires_at)"
                        " values (1, %s, %s, now(), now() + interval '1 day') returning edge_token_id",
                        (number, f"{number} {days}".encode()),
                    )
                ).fetchone()
                assert token is not None
                await tx.execute(
                    "insert into edge_certificate (customer_id, edge_node_id, edge_token_id, key_sha256, request, requested_at,"
                    " serial_number, chain, valid_from, valid_until)"
                    " values (1, %(node)s, %(token)s, %(key)s, '', now(), %(key)s::text, '', now(), now() + %(days)s * interval '1 day')",
                    {"node": number, "token": token[0], "key": f"{number} {days}".encode(), "days": days},
                )
        await tx.execute("update edge_certificate set revoked_at = now(), revoked_because = 'x' where edge_node_id = 4")
    looking = asyncio.create_task(desk.watch.look(service))
    while math.isnan(desk.samples()["vigia_ingest_holes"]):
        await asyncio.sleep(0.01)
    looking.cancel()
    found = {days: desk.samples()[f"vigia_gateway_certificates_ending[{days}]"] for days in (30, 14, 7, 1)}
    assert found == {30: 3, 14: 2, 7: 2, 1: 1}


async def in_charge(service: Database, version: str, resolved: dict[str, float | None]) -> None:
    """A model takes charge, and is looked at."""
    inputs = {name: {"psi": 0.9, "psi_at_like_wear": psi, "readings": 900} for name, psi in (("T50", 0.41), ("Ps30", 0.1))}
    async with service.transaction() as tx:
        await tx.execute("update model_version set champion = false")
        await tx.execute(
            "insert into asset_model (code, name, life_unit) values ('turbofan', 'Turbofan', '{cycle}') on conflict do nothing"
        )
        await tx.execute(
            "insert into model_version (asset_model_id, failure_mode, version, sha256, metrics, champion)"
            " select asset_model_id, 'hpc_degradation', %s, '00', %s, true from asset_model",
            (version, Jsonb({"out_of_fold": {"brier": 0.02}})),
        )
        await tx.execute(
            "insert into model_drift (model_version_id, day, machines, inputs, resolved, warnings)"
            " select model_version_id, day::date, 24, case when day = '2026-01-08' then %s else '{}' end, %s, '{inputs,brier}'"
            " from model_version, unnest(array['2026-01-07', '2026-01-08']) as day where champion",
            (Jsonb(inputs), Jsonb({"machines": 6, "told": 300, "lives": 200, **resolved})),
        )


async def test_how_models_in_charge_fit_is_told_of_those_alone(desk: Desk, service: Database) -> None:
    def told_of(version: str) -> dict[str, float]:
        suffix = f"[turbofan][hpc_degradation][{version}]"
        return {name.removesuffix(suffix): value for name, value in desk.samples().items() if name.endswith(suffix)}

    await in_charge(service, "v1", {"brier": 0.05, "held": 0.6})
    looking = asyncio.create_task(desk.watch.look(service))
    while not told_of("v1"):
        await asyncio.sleep(0.01)
    assert told_of("v1") == {
        "vigia_model_psi_max": 0.41,
        "vigia_model_brier": 0.05,
        "vigia_model_brier_limit": pytest.approx(0.03),
        "vigia_model_held_share": 0.6,
        "vigia_model_warnings": 2,
    }
    await in_charge(service, "v2", {"brier": None, "held": None})
    while not told_of("v2"):
        await asyncio.sleep(0.01)
    looking.cancel()
    assert told_of("v1") == {}
    assert set(told_of("v2")) == {"vigia_model_psi_max", "vigia_model_brier_limit", "vigia_model_warnings"}


async def ask(port: int, request: bytes) -> str:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(request)
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_it_speaks_http(desk: Desk) -> None:
    async with told(desk.watch, WatchConfig(LOOPBACK, 0)) as port:
        whole = await ask(port, b"GET /ready?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert whole.startswith("HTTP/1.1 200 OK\r\n")
        assert whole.endswith("\r\n\r\nok\n")
        assert (await ask(port, b"HEAD /live HTTP/1.1\r\n\r\n")).endswith("\r\n\r\n")
        assert "# HELP vigia_ingest_rows_stored_total" in await ask(port, b"GET /metrics HTTP/1.0\r\n\r\n")
        assert " 404 " in (await ask(port, b"GET / HTTP/1.1\r\n\r\n")).splitlines()[0]
        assert " 405 " in (await ask(port, b"POST /ready HTTP/1.1\r\n\r\n")).splitlines()[0]
        assert " 405 " in (await ask(port, b"\xff\r\n\r\n")).splitlines()[0]
        assert await ask(port, b"GET /" + b"x" * 100_000) == ""
        with pytest.raises(ConfigError, match="--watch-port"):
            async with told(desk.watch, WatchConfig(LOOPBACK, port)):
                pass


async def test_answers_are_of_the_kind_that_prometheus_reads(desk: Desk) -> None:
    status, kind, body = desk.watch.answer("/metrics")
    assert status is HTTPStatus.OK
    assert kind.startswith("text/plain; version=0.0.4")
    assert len(list(text_string_to_metric_families(body.decode()))) > 10


async def test_the_dashboard_shows_only_what_is_told(desk: Desk, service: Database) -> None:
    desk.watch.set_aside("any")
    await in_charge(service, "v1", {"brier": 0.05, "held": 0.6})
    looking = asyncio.create_task(desk.watch.look(service))
    while math.isnan(desk.samples()["vigia_ingest_holes"]):
        await asyncio.sleep(0.01)
    looking.cancel()
    exist = {re.sub(r"\[.*", "", name) for name in desk.samples()}
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    named = {name for query in queries for name in re.findall(r"\b(?:vigia|process)_\w+", query)}
    assert named
    assert named - exist == set()
    assert {_plain(name) for name in exist if name.startswith("vigia")} - {_plain(name) for name in named} == set()


def _plain(name: str) -> str:
    return re.sub(r"_(bucket|sum|count|total|created)$", "", name)


# ── the process ──


@pytest.fixture
def worker(seeded: str, broker: RunningBroker, tmp_path: Path) -> Iterator[Worker]:
    one = Worker(tmp_path, seeded, broker.url)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.kill()


def publish(broker: RunningBroker, *messages: Message) -> None:
    mqtt.multiple([(one.topic, one.payload, 1, False) for one in messages], LOOPBACK, broker.port)


def test_the_process_tells_what_it_does_and_what_it_lacks(worker: Worker, broker: RunningBroker, seeded: str) -> None:
    edge = Edge()
    worker.start_ready()
    assert worker.get("/live") == (200, "ok\n")
    publish(broker, *edge.born(), *(edge.data("R1", hour) for hour in range(1, 6)))
    wait_for(lambda: rows(seeded) == 20)
    wait_for(lambda: worker.metric("vigia_ingest_rows_stored_total") == 20)
    assert worker.metric("vigia_ingest_received_messages_total") >= 8
    assert worker.metric("vigia_ingest_commit_seconds_count") >= 1
    assert worker.metric("vigia_ingest_lag_seconds_sum") > 0
    wait_for(lambda: worker.metric("vigia_ingest_holes") == 0)
    broker.kill()
    wait_for(lambda: worker.get("/ready") == (503, "the broker is away\n"))
    assert worker.get("/live")[0] == 200
    assert worker.metric("vigia_ingest_broker_connected") == 0
    broker.start()
    wait_for(lambda: worker.get("/ready")[0] == 200)
    assert worker.stop() == 0


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("home"))
    server.start()
    asyncio.run(migrate(server.dsn))
    asyncio.run(seed(server.dsn))
    yield server
    server.stop()


def test_without_a_database_it_is_not_ready(own_server: EmbeddedPostgres, broker: RunningBroker, tmp_path: Path) -> None:
    edge = Edge()
    worker = Worker(tmp_path, own_server.dsn, broker.url)
    worker.start_ready()
    try:
        publish(broker, *edge.born())
        own_server.stop()
        publish(broker, edge.data("R1", 1))
        wait_for(lambda: worker.get("/ready") == (503, "the database is away\n"))
        assert worker.metric("vigia_ingest_database_reachable") == 0
        wait_for(lambda: worker.metric("vigia_ingest_broker_connected") == 0)  # left, so that edges keep their data
        assert worker.get("/ready") == (503, "the database is away\n")
        assert worker.get("/live")[0] == 200
        own_server.start()
        wait_for(lambda: worker.get("/ready") == (200, "ok\n"))
    finally:
        worker.kill()


def test_its_log_holds_nothing_of_what_machines_say(worker: Worker, broker: RunningBroker, seeded: str) -> None:
    edge = Edge()
    worker.start_ready()
    text = Metric(None, edge.aliases("R1")["T50"], 1_767_225_600_000, DataType.STRING, MARKER)
    named = Metric(MARKER, None, 1_767_225_600_000, DataType.DOUBLE, 1.0)
    publish(
        broker,
        *edge.born(),
        edge.data("R1", 1),
        edge.raw("R1", [text]),
        edge.raw("R1", [named]),
        Message("spBv1.0/acme/DDATA/acme-one/R1", MARKER.encode(), 1),
        Message("spBv1.0/acme/NBIRTH/acme-one", MARKER.encode(), 1),
        Message("spBv1.0/acme/NBIRTH/nobody", MARKER.encode(), 1),
        Message("vigia/acme/acme-two/R1", f'{{"ts": 1767225600000, "values": {{"{MARKER}": "{MARKER}"}}}}'.encode(), 1),
        Message("vigia/acme/acme-two/R1", MARKER.encode(), 1),
        Message("vigia/acme/acme-two/R1", b'{"ts": "' + MARKER.encode() + b'", "values": {"a": 1}}', 1),
        Message("vigia/acme/acme-two/R1/level", MARKER.encode(), 1),
        Message("vigia/acme/acme-two/R2/level", b"0.5", 1),  # the last is stored when all others are dealt with
    )
    wait_for(lambda: query(seeded, "select from telemetry where value = 0.5") != [])
    assert len({reason for reason, _ in letters(seeded)}) >= 4
    assert worker.stop() == 0
    said = worker.log.read_text()
    assert "messages set aside" in said
    assert MARKER not in said
    assert MARKER.encode().hex() not in said
