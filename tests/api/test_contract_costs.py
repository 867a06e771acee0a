"""The service manager states what things cost, and sees by which rule orders are raised and what it is expected to cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import World

COSTS = {"asset_model": "engine", "failure": "900.00", "visit": "50.00", "lost_life": "100.00"}


def path(world: World) -> str:
    return f"/api/v1/contracts/{world.aurora.ids['contract_id']}/costs"


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer token-of-{who}"}


async def test_costs_are_stated_and_the_rule_follows(client: httpx.AsyncClient, world: World) -> None:
    before = (await client.get(path(world), headers=bearer("technician"))).json()
    assert (before["currency"], before["costs"][0]["asset_model"], before["costs"][0]["life_unit"]) == ("EUR", "engine", "{cycle}")
    (machine,) = before["costs"][0]["machines"]
    assert (machine["role_id"], machine["lead"], machine["cost_without_prediction"]) == (world.aurora.ids["role_id"], 10.0, "900.00")
    assert (machine["rule"]["probability"], machine["own_rule"]) == (0.3, None)
    assert 80 < float(machine["rule"]["expected_cost"]) < 84
    answer = await client.put(path(world), json=COSTS, headers=bearer("service_manager"))
    assert answer.status_code == 200
    assert {**answer.json()["costs"][0], "machines": None, "life_unit": None} == {**COSTS, "machines": None, "life_unit": None}
    (machine,) = answer.json()["costs"][0]["machines"]
    assert machine["rule"]["probability"] == 0.9
    assert 0 < machine["rule"]["expected_missed"] < 0.5
    theirs = await client.get(f"/api/v1/contracts/{world.boreal.ids['contract_id']}/costs", headers=bearer("technician"))
    assert theirs.json()["costs"][0]["lost_life"] == "1.00"
    nothing = {"asset_model": "engine", "failure": None, "visit": None, "lost_life": None}
    assert (await client.put(path(world), json=nothing, headers=bearer("service_manager"))).json()["costs"] == []
    with psycopg.connect(world.dsn) as db:
        told = db.execute(
            "select account_id, customer_id, detail ->> 'after' is null from vigia.audit_event where action = 'state_contract_costs' "
            "order by audit_event_id"
        ).fetchall()
    manager = world.accounts["service_manager"]
    assert told == [(manager, None, False), (manager, None, True)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"failure": "-1"}, "greater than or equal to 0"),
        ({"visit": "NaN"}, "finite number"),
        ({"lost_life": "1e15"}, "14 digits"),
        ({"lost_life": None}, "State all three costs"),
        ({"asset_model": "pump"}, "no asset model of that code"),
    ],
)
async def test_bad_costs_are_refused_in_a_sentence(
    client: httpx.AsyncClient, world: World, changed: dict[str, str | None], said: str
) -> None:
    refused = await client.put(path(world), json={**COSTS, **changed}, headers=bearer("service_manager"))
    assert refused.status_code == 422
    assert said in refused.text
    assert (await client.get(path(world), headers=bearer("technician"))).json()["costs"][0]["lost_life"] == "1.00"


async def test_nobody_else_states_costs_and_no_customer_sees_them(client: httpx.AsyncClient, world: World) -> None:
    for who in ("technician", "aurora"):
        assert (await client.put(path(world), json=COSTS, headers=bearer(who))).status_code == 403
    assert (await client.get(path(world), headers=bearer("aurora"))).status_code == 403
    assert (await client.put("/api/v1/contracts/999/costs", json=COSTS, headers=bearer("service_manager"))).status_code == 404
    whole = await client.get("/api/v1/contracts", headers=bearer("aurora"))
    assert "lost_life" not in whole.text
