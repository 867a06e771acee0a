"""A technician's job over HTTP, and alarms handled by the people they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import World

START = {"at": "2026-01-03T08:00:00Z"}
FINISH = {"at": "2026-01-03T11:00:00Z", "verdict": "confirmed", "cause_code": "2.4", "note": "Rubbing marks."}


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None, who: str = "technician") -> httpx.Response:
    return await client.post(f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer token-of-{who}"})


async def get(client: httpx.AsyncClient, path: str, who: str = "technician") -> Any:  # noqa: ANN401 - any JSON
    answer = await client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer token-of-{who}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_job_is_found_started_done_step_by_step_and_finished(client: httpx.AsyncClient, world: World) -> None:
    mine = await get(client, "/work-orders?state=open&mine=true")
    order = next(item for item in mine["items"] if item["customer_id"] == world.aurora.ids["customer_id"])
    path = f"/work-orders/{order['work_order_id']}"

    started = await post(client, f"{path}/start", START)
    assert started.status_code == 200, started.text
    assert started.json()["state"] == "in_progress"
    assert started.json()["started_at"] == START["at"]
    for step in started.json()["steps"]:
        done = await post(client, f"{path}/steps/{step['position']}/done", {"at": "2026-01-03T09:00:00Z"})
        assert done.json() == {"position": step["position"], "code": step["code"], "done_at": "2026-01-03T09:00:00Z"}
    finished = await post(client, f"{path}/finish", FINISH)
    assert finished.status_code == 200, finished.text
    assert finished.json()["replaced_by_serial"] == "SPARE-1"

    seen = await get(client, path, "aurora")
    assert (seen["state"], seen["verdict"], seen["replaced_by_serial"]) == ("closed", "confirmed", "SPARE-1")
    assert [event["state"] for event in seen["events"]][-1] == "closed"
    stands = await get(client, f"/assets?site_id={order['site_id']}&installed=true", "aurora")
    assert [asset["serial_number"] for asset in stands["items"]] == ["SPARE-1"]
    left = await get(client, f"/assets/{order['asset_id']}", "aurora")
    assert left["installations"][0]["removed_at"] == FINISH["at"]
    assert left["role"] is None


async def test_starting_and_finishing_again_change_nothing(client: httpx.AsyncClient, world: World) -> None:
    path = f"/work-orders/{world.aurora.ids['work_order_id']}"
    for _ in range(2):
        assert (await post(client, f"{path}/start", START)).json()["started_at"] == START["at"]
    finished = [(await post(client, f"{path}/finish", body)).json() for body in (FINISH, {**FINISH, "verdict": "wrong"})]
    assert finished[0] == finished[1]


async def test_steps_out_of_order_are_refused_with_the_reason(client: httpx.AsyncClient, world: World) -> None:
    path = f"/work-orders/{world.aurora.ids['work_order_id']}"
    for early in (f"{path}/finish", f"{path}/steps/1/done"):
        refused = await post(client, early, FINISH if early.endswith("finish") else START)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/transition-refused")
        assert refused.json()["detail"]
    await post(client, f"{path}/start", START)
    assert (await post(client, f"{path}/steps/99/done", START)).status_code == 404
    before = {**FINISH, "at": "2026-01-03T07:00:00Z"}
    assert (await post(client, f"{path}/finish", before)).status_code == 422
    assert (await post(client, f"{path}/finish", {**FINISH, "replaced_by_serial": "Boreal-1"})).status_code == 422
    assert (await get(client, path))["state"] == "in_progress"


@pytest.mark.parametrize(
    "fault",
    [
        {"verdict": "perhaps"},
        {"at": "2026-01-03T11:00:00"},
        {"note": "x" * 2001},
        {"note": "a\u0000b"},
        {"replaced_by_serial": ""},
        {"unknown": 1},
        {"verdict": None},
    ],
)
async def test_a_report_that_cannot_be_understood_changes_nothing(client: httpx.AsyncClient, world: World, fault: dict[str, Any]) -> None:
    path = f"/work-orders/{world.aurora.ids['work_order_id']}"
    await post(client, f"{path}/start", START)
    assert (await post(client, f"{path}/finish", {**FINISH, **fault})).status_code == 422
    assert (await get(client, path))["finished_at"] is None


async def test_without_a_spare_the_work_cannot_be_finished_and_stays_open(client: httpx.AsyncClient, world: World) -> None:
    with psycopg.connect(world.dsn, autocommit=True) as db:
        db.execute("update vigia.asset set condition = 'unserviceable' where serial_number like 'SPARE%'")
    path = f"/work-orders/{world.aurora.ids['work_order_id']}"
    await post(client, f"{path}/start", START)
    refused = await post(client, f"{path}/finish", FINISH)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/no-spare")
    assert (await get(client, path))["state"] == "in_progress"


@pytest.mark.parametrize("who", ["aurora", "service_manager"])
async def test_only_a_technician_works_on_an_order(client: httpx.AsyncClient, world: World, who: str) -> None:
    path = f"/work-orders/{world.aurora.ids['work_order_id']}"
    assert (await post(client, f"{path}/start", START, who)).status_code == 403


async def test_an_alarm_is_acknowledged_confirmed_shelved_and_brought_back(client: httpx.AsyncClient, world: World) -> None:
    path = f"/alarms/{world.aurora.ids['alarm_id']}"
    manager = "service_manager"
    assert (await post(client, f"{path}/confirm", who=manager)).status_code == 409
    assert (await post(client, f"{path}/acknowledge", who=manager)).json()["state"] == "acknowledged"
    assert (await post(client, f"{path}/confirm", who=manager)).json()["confirmed_at"]
    too_long = await post(client, f"{path}/shelve", {"until": "2026-01-09T00:00:00Z"}, manager)
    assert (too_long.status_code, too_long.json()["type"]) == (422, "/problems/invalid-value")
    shelved = await post(client, f"{path}/shelve", {"until": "2026-01-03T08:00:00Z"}, manager)
    assert (shelved.json()["state"], shelved.json()["shelved_until"]) == ("shelved", "2026-01-03T08:00:00Z")
    assert (await post(client, f"{path}/unshelve", who=manager)).json()["state"] == "acknowledged"
    assert (await get(client, "/alarms?state=open&priority=high", "aurora"))["items"][0]["confirmed_at"]


async def test_an_outcome_adds_up(client: httpx.AsyncClient, world: World) -> None:
    contract = world.aurora.ids["contract_id"]
    found = await get(client, f"/contracts/{contract}/outcome", "aurora")
    assert found["from"] == "2026-01-01T00:00:00Z"
    assert found["until"] == "2026-01-03T00:00:00Z"
    assert found["hours_delivered"] == "48"
    assert found["contract_availability"] == 1.0
    assert (found["fee"], found["credit"], found["net"]) == ("20160.00", "0.00", "20160.00")
    assert found["time"] == [{"category": "up", "hours": 48.0, "counted": "up"}]
    assert [role["role_id"] for role in found["roles"]] == [world.aurora.ids["role_id"]]
    path = f"/api/v1/contracts/{contract}/outcome"
    headers = {"Authorization": "Bearer token-of-aurora"}
    for since, until in (("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), ("2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z")):
        assert (await client.get(path, params={"from": since, "until": until}, headers=headers)).status_code == 400


async def test_completeness_counts_what_is_missing(client: httpx.AsyncClient, world: World) -> None:
    node = await get(client, f"/edge-nodes/{world.aurora.ids['edge_node_id']}", "aurora")
    assert (node["committed"], node["dropped"], node["missing"], node["completeness"]) == (10, 0, 0, 1.0)
