"""Tokens are made by the service manager, and used by a gateway that nobody has logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from tests.api.conftest import bearer, serving
from vigia.api.config import ApiConfig
from vigia.edge.identity import new_request

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.api.conftest import World


async def token_of(client: httpx.AsyncClient, world: World) -> str:
    path = f"/api/v1/edge-nodes/{world.aurora.ids['edge_node_id']}/tokens"
    made = await client.post(path, json={}, headers=bearer("service_manager"))
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


async def test_a_gateway_enrols_with_its_token_alone(world: World, tmp_path: Path) -> None:
    config = ApiConfig(dsn=world.dsn, gateway_broker="mqtts://broker.example.com", gateway_broker_ca="a certificate")
    async with serving(world.dsn, config) as (_, client):
        wanted = {"token": await token_of(client, world), "request": new_request(tmp_path)}
        said = await client.post("/api/v1/enrolments", json=wanted)
        assert said.status_code == 200, said.text
        assert said.json() == {
            "group_id": "Aurora",
            "node_id": "Aurora-bcn",
            "certificate": None,
            "broker": "mqtts://broker.example.com",
            "broker_ca": "a certificate",
        }
        again = await client.post("/api/v1/enrolments", json=wanted)
        assert again.json() == said.json()


async def test_a_token_that_admits_nobody_is_401_whatever_is_wrong_with_it(client: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    used = await token_of(client, world)
    await client.post("/api/v1/enrolments", json={"token": used, "request": new_request(tmp_path / "one")})
    bodies = []
    for token in (used, "vge_never_was"):
        refused = await client.post("/api/v1/enrolments", json={"token": token, "request": new_request(tmp_path / "two")})
        assert refused.status_code == 401
        bodies.append(refused.json())
    assert bodies[0] == bodies[1]
    assert bodies[0]["type"] == "/problems/token-refused"
    with psycopg.connect(world.dsn) as connection:
        recorded = connection.execute("select action, customer_id, account_id from vigia.audit_event order by audit_event_id").fetchall()
    customer = world.aurora.ids["customer_id"]
    assert recorded == [
        ("make_edge_token", customer, world.accounts["service_manager"]),
        ("enroll_edge", customer, None),
        ("refuse_enrolment", customer, None),
    ]


async def test_what_is_no_request_is_422_and_leaves_the_token_good(client: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    token = await token_of(client, world)
    refused = await client.post("/api/v1/enrolments", json={"token": token, "request": "-----BEGIN CERTIFICATE REQUEST-----"})
    assert refused.status_code == 422
    assert refused.json()["type"] == "/problems/invalid-value"
    assert (await client.post("/api/v1/enrolments", json={"token": token, "request": new_request(tmp_path)})).status_code == 200


async def test_technicians_make_no_tokens(client: httpx.AsyncClient, world: World) -> None:
    path = f"/api/v1/edge-nodes/{world.aurora.ids['edge_node_id']}/tokens"
    assert (await client.post(path, json={}, headers=bearer("technician"))).status_code == 403
