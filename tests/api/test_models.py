"""The service manager puts a model in charge and takes it back over HTTP; nobody else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import World


async def post(client: httpx.AsyncClient, path: str, who: str = "service_manager") -> httpx.Response:
    return await client.post(f"/api/v1{path}", headers={"Authorization": f"Bearer token-of-{who}"})


async def test_a_model_is_put_in_charge_and_rolled_back_by_a_person(client: httpx.AsyncClient, world: World) -> None:
    with psycopg.connect(world.dsn, autocommit=True, options="-c search_path=vigia") as db:
        db.execute(
            "insert into model_version (asset_model_id, failure_mode, version, sha256, metrics) "
            "select asset_model_id, failure_mode, 'engine-wear-2', '00', '{}' from model_version"
        )
    assert (await post(client, "/models/2/promote", "technician")).status_code == 403
    promoted = (await post(client, "/models/2/promote")).json()
    assert (promoted["version"], promoted["state"], promoted["replaced_id"]) == ("engine-wear-2", "champion", 1)
    assert promoted["approved_by"] == world.accounts["service_manager"]
    assert (await post(client, "/models/2/promote")).status_code == 409
    back = (await post(client, "/models/2/roll-back")).json()
    assert (back["model_version_id"], back["state"]) == (1, "champion")
    assert (await post(client, "/models/1/roll-back")).status_code == 409
    listed = await client.get("/api/v1/models", headers={"Authorization": "Bearer token-of-technician"})
    assert [(one["model_version_id"], one["state"]) for one in listed.json()["items"]] == [(2, "withdrawn"), (1, "champion")]
    with psycopg.connect(world.dsn) as db:
        told = db.execute(
            "select account_id, action from vigia.audit_event where subject = 'model_version:2' order by audit_event_id"
        ).fetchall()
    manager = world.accounts["service_manager"]
    assert told == [(manager, "promote_model"), (manager, "roll_back_model")]


async def test_a_model_goes_into_the_shadow_and_out_again_by_a_person(client: httpx.AsyncClient, world: World) -> None:
    with psycopg.connect(world.dsn, autocommit=True, options="-c search_path=vigia") as db:
        db.execute(
            "insert into model_version (asset_model_id, failure_mode, version, sha256, metrics) "
            "select asset_model_id, failure_mode, 'engine-wear-2', '00', '{}' from model_version"
        )
    assert (await post(client, "/models/2/begin-shadow", "technician")).status_code == 403
    assert (await post(client, "/models/2/begin-shadow")).json()["state"] == "shadow"
    assert (await post(client, "/models/2/begin-shadow")).json()["detail"] == "engine-wear-2 is in the shadow already."
    assert (await post(client, "/models/1/begin-shadow")).status_code == 409
    assert (await post(client, "/models/2/end-shadow")).json()["state"] == "registered"
    assert (await post(client, "/models/2/end-shadow")).status_code == 409
    with psycopg.connect(world.dsn) as db:
        told = db.execute("select account_id, action from vigia.audit_event where subject = 'model_version:2' order by audit_event_id")
        manager = world.accounts["service_manager"]
        assert told.fetchall() == [(manager, "begin_shadow"), (manager, "end_shadow")]


async def test_models_are_not_shown_to_a_customer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/models", headers={"Authorization": "Bearer token-of-aurora"})).status_code == 403
