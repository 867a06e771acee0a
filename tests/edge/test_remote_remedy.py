"""A command's whole way, with real parts: REST, ingest, broker, gateway, a Modbus machine, and back to its row.

The gateway is configured as docs/commands.md shows it: a set-point, and a restart behind which two people stand.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from command_harness import CommandedGateway
from edge_harness import wait_for
from modbus_machine import Pump

from tests.api.conftest import _account, bearer, serving
from vigia.store import fleet
from vigia.store.database import Caller, Database
from vigia.supervisor.broker import RunningBroker

DOCUMENTED = re.search(r"```toml\n(.*?)```", (Path(__file__).parents[2] / "docs" / "commands.md").read_text(), re.DOTALL)
SOURCE = """
[node.source]
type = "modbus"
host = "127.0.0.1"
port = {port}
[[node.source.device]]
device_id = "P-101"
serial = "SN-1"
model = "pump"
poll_s = 0.05
"""
START_S = 90.0  # the kernels may have to be compiled first


async def seed(dsn: str) -> None:
    """The place of the pump, and the people: ana (technician), ben and eva (service managers), the customer's."""
    async with Database(dsn, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
        customer = await fleet.add_customer(tx, "plant", "Plant")
        site_id = await fleet.add_site(tx, customer, "hall", "Hall", "Europe/Madrid")
        line = await fleet.add_line(tx, customer, await fleet.add_area(tx, customer, site_id, "Water"), "Line 1")
        node = await fleet.add_edge_node(tx, fleet.Site(site_id, customer, "hall", "Hall", "Europe/Madrid"), "plant", "hall")
        model = await fleet.add_asset_model(tx, "pump", "Pump", "h")
        await fleet.add_role(tx, fleet.NewRole(customer, line, model, "Pump 1", node, "P-101"))
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=vigia,public") as db:
        for who, kind in (("ana", "technician"), ("ben", "service_manager"), ("eva", "service_manager")):
            _account(db, kind, who, None)


@contextmanager
def ingest(dsn: str, broker: RunningBroker, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "vigia", "ingest", "run", "--dsn", dsn, "--broker", broker.url]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()


def ask(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, options="-c search_path=vigia,public") as db:
        return db.execute(sql.encode()).fetchall()


async def request(client: httpx.AsyncClient, who: str, metric: str, value: object) -> dict[str, Any]:
    wanted = {"metric": metric, "value": value, "reason": "pressure drifts"}
    made = await client.post("/api/v1/assets/1/commands", json=wanted, headers=bearer(who))
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


@pytest.mark.parametrize("broker", ["mosquitto"], indirect=True)
async def test_a_set_point_and_a_restart_reach_the_machine_and_their_outcome_the_row(
    dsn: str, broker: RunningBroker, tmp_path: Path
) -> None:
    assert DOCUMENTED is not None
    await seed(dsn)
    with Pump({"holding_register": [[120, "01f4"]]}) as pump, ingest(dsn, broker, tmp_path / "ingest.log"):
        gateway = CommandedGateway(tmp_path / "edge", broker.url, SOURCE.format(port=pump.machine.port) + DOCUMENTED[1])
        gateway.start()
        try:
            async with serving(dsn) as (_, client):
                wait_for(lambda: ask(dsn, "select from birth where alive and jsonb_array_length(writable) = 2") != [], START_S)
                about = (await client.get("/api/v1/assets/1", headers=bearer("ana"))).json()["commandable"]
                assert [(one["name"], one["low"], one["high"], one["critical"]) for one in about["metrics"]] == [
                    ("pressure_setpoint", 2.0, 8.0, False),
                    ("Device Control/Restart", None, None, True),
                ]

                setpoint = await request(client, "ana", "pressure_setpoint", 6.5)
                wait_for(lambda: ask(dsn, "select state from command") == [("done",)])
                assert pump.writes == [120]
                wait_for(
                    lambda: ask(dsn, "select value from telemetry t join point p using (point_id) order by ts desc limit 1") == [(6.5,)]
                )

                restart = await request(client, "ana", "Device Control/Restart", value=True)
                for who, state in (("ben", "requested"), ("eva", "approved")):
                    path = f"/api/v1/commands/{restart['command_id']}/approve"
                    approved = await client.post(path, headers=bearer(who))
                    assert approved.json()["state"] == state
                wait_for(lambda: ask(dsn, "select state from command where ended_at is null") == [])
                assert pump.writes == [120, 16]
                rows = [
                    (await client.get(f"/api/v1/commands/{one['command_id']}", headers=bearer("ana"))).json() for one in (setpoint, restart)
                ]
                assert [(row["state"], row["detail"]) for row in rows] == [("done", ""), ("done", "")]
                assert all(row["answered_at"] is not None for row in rows)
        finally:
            gateway.stop()
    assert ask(dsn, "select reason, detail from dead_letter") == []
    assert ask(dsn, "select * from ledger_hole") == []
    said = gateway.log.read_text()
    assert """approved_by="('ben person #2', 'eva person #3')\"""" in said, said
    steps = [action for (action,) in ask(dsn, "select action from audit_event where subject = 'command:2' order by audit_event_id")]
    assert steps == ["request_command", "approve_command", "approve_command", "send_command", "complete_command"]
