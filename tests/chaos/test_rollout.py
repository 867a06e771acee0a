"""A configuration from the server reaches a gateway, and a bad one goes back by itself, while the machines speak; nothing is lost."""

import asyncio
import json
from pathlib import Path

import pytest
from chaos_secured import GROUP, NODE, NODE_TABLES, OTHER, secured
from deployed import needs_broker
from gate_harness import vigia, wait_for
from ingest_harness import query, seed

COLD_S = 150.0
"""Patience with processes that compile their kernels first, on a busy machine."""

NOBODY_ANSWERS = """
[[node]]
[node.source]
type = "modbus"
host = "127.0.0.1"
port = 1
[[node.source.device]]
device_id = "R1"
unit_id = 1
serial = "SN-R1"
model = "pump"
[[node.source.device.point]]
name = "t"
table = "holding_register"
address = 1
type = "int16"
"""

pytestmark = [*needs_broker, pytest.mark.slow, pytest.mark.xdist_group("chaos")]


@pytest.mark.timeout(300)
def test_a_good_configuration_stays_and_a_bad_one_goes_back_and_stops_the_rest(dsn: str, tmp_path: Path) -> None:
    asyncio.run(seed(dsn))

    def roll_out(*nodes: str, toml: str) -> int:
        folder = tmp_path / "configurations"
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for node in nodes:
            (folder / f"{GROUP}:{node}.toml").write_text(toml)
        done = vigia("fleet", "roll-out", folder, "--reason", "try", "--canary", "0.5", "--json", "--dsn", dsn)
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["rollout_id"])

    def ends(rollout_id: int, stage: str) -> None:
        sql = f"select stage from rollout where rollout_id = {rollout_id}"  # noqa: S608
        wait_for(lambda: query(dsn, sql) == [(stage,)], f"stage {stage}", COLD_S)

    def listed() -> dict[str, object]:
        gateways = json.loads(vigia("fleet", "list", "--json", "--dsn", dsn).stdout)["gateways"]
        return {one["node_id"]: one for one in gateways}[NODE]

    with secured(tmp_path, dsn) as plant:
        gateway = plant.enroll(NODE)
        gateway.node = ""
        with gateway.speaking():
            ends(roll_out(NODE, toml=NODE_TABLES), "done")
            plant.flows("under the first configuration")
            ends(roll_out(NODE, OTHER, toml=NOBODY_ANSWERS), "halted")
            parts = "select node_id, state from edge_configuration join edge_node using (edge_node_id) where rollout_id = 2"
            assert dict(query(dsn, parts)) == {NODE: "failed", OTHER: "withdrawn"}  # type: ignore[arg-type]
            plant.flows("under the first configuration again")
            found = listed()
            assert (found["configuration_version"], found["configuration_wanted"], found["online"]) == (1, 1, True)
            ends(roll_out(NODE, toml=NODE_TABLES.replace("1.0", "0.9")), "done")
            assert listed()["configuration_version"] == 3
            plant.check_all_arrives(gateway)
