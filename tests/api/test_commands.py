"""Commands over REST: who may request and approve, what is refused and why, and what both sides see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from tests.api.conftest import _account, bearer

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import World

KEY = "0b1f6a52-8d3e-4c55-9a53-0a2f6c1f7e11"


async def request(client: httpx.AsyncClient, world: World, who: str = "technician", **wanted: Any) -> httpx.Response:  # noqa: ANN401
    body = {"metric": "Aurora setpoint", "value": 6.5, "reason": "pressure drifts", **wanted}
    return await client.post(f"/api/v1/assets/{world.aurora.ids['asset_id']}/commands", json=body, headers=bearer(who))


async def step(client: httpx.AsyncClient, command_id: int, verb: str, who: str) -> httpx.Response:
    return await client.post(f"/api/v1/commands/{command_id}/{verb}", headers=bearer(who))


async def test_the_asset_says_what_it_can_be_told(client: httpx.AsyncClient, world: World) -> None:
    found = await client.get(f"/api/v1/assets/{world.aurora.ids['asset_id']}", headers=bearer("aurora"))
    assert found.json()["commandable"] == {
        "online": False,
        "metrics": [
            {"name": "Aurora setpoint", "kind": "number", "unit": "bar", "low": 2, "high": 8, "allowed": [], "critical": False},
            {"name": "restart", "kind": "boolean", "unit": "1", "low": None, "high": None, "allowed": [True], "critical": True},
        ],
    }


async def test_staff_requests_and_the_customer_sees_it(client: httpx.AsyncClient, world: World) -> None:
    made = await request(client, world, key=KEY)
    assert made.status_code == 201, made.text
    assert (await request(client, world, key=KEY)).json() == made.json()
    row = made.json()
    assert (row["uid"], row["value"], row["unit"], row["state"], row["requester"]) == (KEY, 6.5, "bar", "requested", "technician person")
    path = f"/api/v1/commands?asset_id={row['asset_id']}&state=open"
    seen = (await client.get(path, headers=bearer("aurora"))).json()["items"]
    assert [one["command_id"] for one in seen] == [row["command_id"], world.aurora.ids["command_id"]]
    withdrawn = await step(client, row["command_id"], "withdraw", "service_manager")
    assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "withdrawn")


async def test_a_critical_command_needs_two_service_managers_who_did_not_request_it(client: httpx.AsyncClient, world: World) -> None:
    with psycopg.connect(world.dsn, autocommit=True, options="-c search_path=vigia,public") as db:
        _account(db, "service_manager", "second", None)
        _account(db, "service_manager", "third", None)
    made = (await request(client, world, "service_manager", metric="restart", value=True)).json()
    assert (await step(client, made["command_id"], "approve", "technician")).status_code == 403
    own = await step(client, made["command_id"], "approve", "service_manager")
    assert (own.status_code, own.json()["detail"]) == (409, "You requested this command: two other people have to approve it.")
    for who, state in (("second", "requested"), ("second", "requested"), ("third", "approved")):
        approved = await step(client, made["command_id"], "approve", who)
        assert (approved.status_code, approved.json()["state"]) == (200, state)
    assert [one["name"] for one in approved.json()["approvals"]] == ["second person", "third person"]


async def test_what_cannot_be_told_is_refused_with_what_can(client: httpx.AsyncClient, world: World) -> None:
    for wanted, status, words in (
        ({"value": 9}, 422, "takes 8 bar or less, not 9 bar"),
        ({"value": True}, 422, "of the kind number"),
        ({"metric": "trim"}, 422, "can be told: Aurora setpoint, restart"),
        ({"metric": "restart", "value": False}, 422, "takes one of true, not false"),
        ({"valid_s": 5}, 422, "form the documentation gives"),
        ({"value": None}, 422, "form the documentation gives"),
        ({"value": 10**30}, 422, "takes 8 bar or less, not 1e+30 bar"),
    ):
        refused = await request(client, world, **wanted)
        assert (refused.status_code, words in refused.json()["detail"]) == (status, True), refused.text
    await request(client, world)
    second = await request(client, world, value=7)
    assert (second.status_code, second.json()["type"]) == (409, "/problems/transition-refused")
