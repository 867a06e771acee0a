"""Every operation, asked by every role, with another customer's ids: generated from the document, so no new operation escapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from vigia.api.app import create_app
from vigia.api.config import ApiConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import httpx

    from tests.api.conftest import World

MISSING = 2**31 - 1
PUBLIC = {"log_in", "live", "ready", "enroll_edge", "check_in_edge"}
NOBODYS = {"position", "model_version_id"}
STAFF_ONLY = {"list_models", "get_contract_costs"}
ENDLESS = {"follow_events"}
DOCUMENT = create_app(ApiConfig(dsn="")).openapi()


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


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    declared: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.declared["operationId"])

    def asked(self, client: httpx.AsyncClient, ids: dict[str, int], who: str | None) -> Awaitable[httpx.Response]:
        """The answer to `who`, with `ids` wherever the operation takes one."""
        parameters = {parameter["name"]: parameter["in"] for parameter in self.declared.get("parameters", [])}
        path = self.path
        for name in (name for name, place in parameters.items() if place == "path"):
            path = path.replace(f"{{{name}}}", str(1 if name in NOBODYS else ids[name]))
        query = {name: ids[name] for name, place in parameters.items() if place == "query" and name in ids}
        body = self.declared.get("requestBody")
        json = example(body["content"]["application/json"]["schema"]) if body else None
        headers = {} if who is None else {"Authorization": f"Bearer token-of-{who}"}
        return client.request(self.method, path, params=query, json=json, headers=headers)


OPERATIONS = [Operation(method, path, declared) for path, item in DOCUMENT["paths"].items() for method, declared in item.items()]
PRIVATE = [operation for operation in OPERATIONS if operation.name not in PUBLIC]
FINITE = [operation for operation in PRIVATE if operation.name not in ENDLESS]
READING = [operation for operation in FINITE if operation.method == "get"]
WRITING = [operation for operation in FINITE if operation.method != "get" and operation.name != "log_out"]
WITH_ID = [operation for operation in FINITE if "{" in operation.path]


def each(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.name)


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


@each(PRIVATE)
async def test_without_a_session_nothing_is_answered(reader: httpx.AsyncClient, shared_world: World, operation: Operation) -> None:
    refused = await operation.asked(reader, shared_world.aurora.ids, None)
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"


@each(WITH_ID)
async def test_another_customers_id_is_answered_like_a_missing_one(
    reader: httpx.AsyncClient, shared_world: World, operation: Operation
) -> None:
    theirs = await operation.asked(reader, shared_world.boreal.ids, "aurora")
    none = await operation.asked(reader, missing_ids(shared_world), "aurora")
    assert theirs.status_code in {403, 404}
    assert (theirs.status_code, theirs.content) == (none.status_code, none.content)
    assert drop(theirs.headers) == drop(none.headers)


def drop(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "date"}


@each(READING)
async def test_a_customer_meets_no_row_of_another(reader: httpx.AsyncClient, shared_world: World, operation: Operation) -> None:
    boreal = shared_world.boreal
    for ids in (
        shared_world.aurora.ids,
        boreal.ids,
        {name: id_ for name, id_ in shared_world.aurora.ids.items() if f"{{{name}}}" in operation.path},
    ):
        answer = await operation.asked(reader, ids, "aurora")
        assert boreal.word not in answer.text
        if answer.status_code == 200:
            assert foreign(answer.json(), boreal.ids) == []


@each(READING)
@pytest.mark.parametrize("who", ["aurora", "technician", "service_manager"])
async def test_every_role_reads_what_it_may_see(reader: httpx.AsyncClient, shared_world: World, operation: Operation, who: str) -> None:
    answer = await operation.asked(reader, shared_world.aurora.ids, who)
    if operation.name in STAFF_ONLY and who == "aurora":
        assert answer.status_code == 403
        return
    assert answer.status_code == 200, answer.text
    if "items" in answer.json():
        assert answer.json()["items"]
    if who != "aurora" and "{" in operation.path:
        theirs = await operation.asked(reader, shared_world.boreal.ids, who)
        assert theirs.status_code == 200


@each(WRITING)
async def test_a_customer_changes_nothing_that_is_the_manufacturers(
    reader: httpx.AsyncClient, shared_world: World, operation: Operation
) -> None:
    refused = await operation.asked(reader, shared_world.aurora.ids, "aurora")
    assert refused.status_code == 403
    assert refused.json()["type"] == "/problems/forbidden"


def test_every_operation_has_a_name_a_tag_and_its_errors() -> None:
    for operation in OPERATIONS:
        assert len(operation.declared["tags"]) == 1
        assert operation.declared["description"]
        wanted = {"500", "503"} | ({"401"} if operation.name not in PUBLIC else set()) | ({"404"} if "_id}" in operation.path else set())
        assert wanted <= set(operation.declared["responses"]), operation.name
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
