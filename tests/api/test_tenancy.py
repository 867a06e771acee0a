"""Every operation, asked by every role, with another customer's ids: generated from the document, so no new operation escapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vigia.api.app import create_app
from vigia.api.config import ApiConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.api.conftest import World

MISSING = 2**31 - 1
PUBLIC = {"log_in", "live", "ready"}
ENDLESS = {"follow_events"}
DOCUMENT = create_app(ApiConfig(dsn="")).openapi()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


ALL = [pytest.param(method, path, operation, id=operation["operationId"]) for method, path, operation in operations()]
PRIVATE = [case for case in ALL if case.id not in PUBLIC]
FINITE = [case for case in PRIVATE if case.id not in ENDLESS]
WITH_ID = [case for case in FINITE if "{" in str(case.values[1])]


def example(schema: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """The least a schema accepts; fails for one it does not understand."""
    if "$ref" in schema:
        return example(DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {name: example(schema["properties"][name]) for name in schema.get("required", [])}
    pytest.fail(f"no example for {schema}")


def request(client: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any], ids: dict[str, int], who: str | None) -> Any:  # noqa: ANN401, PLR0913
    parameters = {p["name"]: p for p in operation.get("parameters", [])}
    filled = path
    for name, parameter in parameters.items():
        if parameter["in"] == "path":
            filled = filled.replace(f"{{{name}}}", str(1 if name == "position" else ids[name]))
    query = {name: ids[name] for name, parameter in parameters.items() if parameter["in"] == "query" and name in ids}
    body = operation.get("requestBody")
    json = example(body["content"]["application/json"]["schema"]) if body else None
    headers = {} if who is None else {"Authorization": f"Bearer token-of-{who}"}
    return client.request(method, filled, params=query, json=json, headers=headers)


def missing_ids(world: World) -> dict[str, int]:
    return dict.fromkeys(world.boreal.ids, MISSING)


def foreign(found: Any, ids: dict[str, int]) -> list[str]:  # noqa: ANN401 - any JSON
    """Where in `found` one of the ids stands."""
    if isinstance(found, dict):
        here = [f"{key}={value}" for key, value in found.items() if key in ids and value == ids[key]]
        return here + [hit for value in found.values() for hit in foreign(value, ids)]
    if isinstance(found, list):
        return [hit for value in found for hit in foreign(value, ids)]
    return []


@pytest.mark.parametrize(("method", "path", "operation"), PRIVATE)
async def test_without_a_session_nothing_is_answered(
    reader: httpx.AsyncClient, shared_world: World, method: str, path: str, operation: dict[str, Any]
) -> None:
    refused = await request(reader, method, path, operation, shared_world.aurora.ids, None)
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path", "operation"), WITH_ID)
async def test_another_customers_id_is_answered_like_a_missing_one(
    reader: httpx.AsyncClient, shared_world: World, method: str, path: str, operation: dict[str, Any]
) -> None:
    theirs = await request(reader, method, path, operation, shared_world.boreal.ids, "aurora")
    none = await request(reader, method, path, operation, missing_ids(shared_world), "aurora")
    assert theirs.status_code in {403, 404}
    assert (theirs.status_code, theirs.content) == (none.status_code, none.content)
    assert drop(theirs.headers) == drop(none.headers)


def drop(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "date"}


@pytest.mark.parametrize(("method", "path", "operation"), [case for case in FINITE if case.values[0] == "get"])
async def test_a_customer_meets_no_row_of_another(
    reader: httpx.AsyncClient, shared_world: World, method: str, path: str, operation: dict[str, Any]
) -> None:
    boreal = shared_world.boreal
    for ids in (shared_world.aurora.ids, boreal.ids, {name: id_ for name, id_ in shared_world.aurora.ids.items() if f"{{{name}}}" in path}):
        answer = await request(reader, method, path, operation, ids, "aurora")
        assert boreal.word not in answer.text
        if answer.status_code == 200:
            assert foreign(answer.json(), boreal.ids) == []


@pytest.mark.parametrize(("method", "path", "operation"), [case for case in FINITE if case.values[0] == "get"])
@pytest.mark.parametrize("who", ["aurora", "technician", "service_manager"])
async def test_every_role_reads_what_it_may_see(
    reader: httpx.AsyncClient, shared_world: World, method: str, path: str, operation: dict[str, Any], who: str
) -> None:
    answer = await request(reader, method, path, operation, shared_world.aurora.ids, who)
    assert answer.status_code == 200, answer.text
    if "items" in answer.json():
        assert answer.json()["items"]
    if who != "aurora" and "{" in path:
        theirs = await request(reader, method, path, operation, shared_world.boreal.ids, who)
        assert theirs.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "operation"), [case for case in FINITE if case.values[0] != "get" and case.id not in {"log_in", "log_out"}]
)
async def test_a_customer_changes_nothing_that_is_the_manufacturers(
    reader: httpx.AsyncClient, shared_world: World, method: str, path: str, operation: dict[str, Any]
) -> None:
    refused = await request(reader, method, path, operation, shared_world.aurora.ids, "aurora")
    assert refused.status_code == 403
    assert refused.json()["type"] == "/problems/forbidden"


def test_every_operation_has_a_name_a_tag_and_its_errors() -> None:
    for method, path, operation in operations():
        assert operation["operationId"], (method, path)
        assert len(operation["tags"]) == 1
        assert operation["description"]
        wanted = {"500", "503"} | ({"401"} if operation["operationId"] not in PUBLIC else set()) | ({"404"} if "_id}" in path else set())
        assert wanted <= set(operation["responses"]), (method, path)
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
