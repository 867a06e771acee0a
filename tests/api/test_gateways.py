"""Tokens are made by the service manager, and used by a gateway that nobody has logged in."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from tests.api.conftest import bearer, serving
from vigia.api.config import ApiConfig
from vigia.authority.issuing import Authority
from vigia.domain.identities import CERTIFICATE_LIFE
from vigia.edge.identity import Identity, Place, load, new_request, take_certificate, take_place
from vigia.sparkplug import statements
from vigia.store import identities
from vigia.store.database import Database
from vigia.workflows import issue_certificates

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.api.conftest import World

IDENTITY = identities.Identity("Aurora", "Aurora-bcn")


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


async def test_technicians_let_nobody_in_or_out(client: httpx.AsyncClient, world: World) -> None:
    node = f"/api/v1/edge-nodes/{world.aurora.ids['edge_node_id']}"
    assert (await client.post(f"{node}/tokens", json={}, headers=bearer("technician"))).status_code == 403
    assert (await client.post(f"{node}/revoke", json={"because": "x"}, headers=bearer("technician"))).status_code == 403


def statement(identity: Identity, text: str | None = None) -> dict[str, str]:
    said = json.dumps({"at": "2026-01-01T00:00:00Z", "request": None}) if text is None else text
    signature = base64.b64encode(identity.sign(statements.check_in(said))).decode()
    return {"serial_number": identity.serial_number, "statement": said, "signature": signature}


async def enrolled(client: httpx.AsyncClient, world: World, folder: Path) -> Identity:
    """A gateway whose certificate the gate has signed."""
    wanted = {"token": await token_of(client, world), "request": new_request(folder)}
    await client.post("/api/v1/enrolments", json=wanted)
    authority = Authority.create(folder / "authority", datetime.now(UTC))
    async with Database(world.dsn, "vigia_service", max_size=1) as database, database.transaction() as tx:
        await issue_certificates.handle(tx, authority, CERTIFICATE_LIFE, [IDENTITY], datetime.now(UTC))
    said = (await client.post("/api/v1/enrolments", json=wanted)).json()
    take_place(folder, Place("http://vigia.test", None, said["group_id"], said["node_id"], said["broker"], said["broker_ca"]))
    take_certificate(folder, said["certificate"])
    return load(folder)


async def test_a_gateway_checks_in_with_its_own_signature_only(client: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    identity = await enrolled(client, world, tmp_path)
    answer = await client.post("/api/v1/check-ins", json=statement(identity))
    assert (answer.status_code, answer.json()["certificate"]) == (200, None), answer.text
    later = '{"at": "2026-01-01T00:00:00Z", "mood": "of a newer gateway"}'
    assert (await client.post("/api/v1/check-ins", json=statement(identity, later))).status_code == 200
    for forged in (
        {**statement(identity), "signature": base64.b64encode(identity.sign(statement(identity)["statement"].encode())).decode()},
        {**statement(identity), "statement": '{"at": "2026-01-02T00:00:00Z"}'},
        {**statement(identity), "serial_number": "1"},
    ):
        refused = await client.post("/api/v1/check-ins", json=forged)
        assert (refused.status_code, refused.json()["type"]) == (401, "/problems/identity-refused")


async def test_a_statement_that_cannot_be_read_is_422(client: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    identity = await enrolled(client, world, tmp_path)
    for text in ("", "[]", "{}", '{"at": "yesterday"}', "{" * 10_000):
        assert (await client.post("/api/v1/check-ins", json=statement(identity, text))).status_code == 422
    wanted = statement(identity, json.dumps({"at": "2026-01-01T00:00:00Z", "request": "no request"}))
    assert (await client.post("/api/v1/check-ins", json=wanted)).status_code == 422


async def test_a_renewal_that_comes_too_early_is_409(client: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    identity = await enrolled(client, world, tmp_path)
    wanted = statement(identity, json.dumps({"at": "2026-01-01T00:00:00Z", "request": new_request(tmp_path)}))
    assert (await client.post("/api/v1/check-ins", json=wanted)).status_code == 409


async def test_a_revoked_gateway_is_not_known_any_more(client: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    identity = await enrolled(client, world, tmp_path)
    path = f"/api/v1/edge-nodes/{world.aurora.ids['edge_node_id']}/revoke"
    revoked = await client.post(path, json={"because": "stolen"}, headers=bearer("service_manager"))
    assert (revoked.status_code, revoked.json()) == (200, {"certificates": 1})
    assert (await client.post("/api/v1/check-ins", json=statement(identity))).status_code == 401
    assert (await client.post(path, json={"because": "again"}, headers=bearer("service_manager"))).status_code == 409
    with psycopg.connect(world.dsn) as connection:
        recorded = connection.execute("select account_id, detail from vigia.audit_event where action = 'revoke_edge'").fetchall()
    assert recorded == [(world.accounts["service_manager"], {"because": "stolen", "certificates": 1})]
