"""Whatever goes wrong, the answer is a problem (RFC 9457) that tells the caller what to do and a stranger nothing."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
import structlog

import vigia.domain
import vigia.store
import vigia.workflows
from vigia.api.problems import KINDS, problem_of
from vigia.errors import VigiaError
from vigia.store import listings
from vigia.store.database import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import httpx

    from tests.api.conftest import World

MANAGER = {"Authorization": "Bearer token-of-service_manager"}


async def ask(client: httpx.AsyncClient, path: str, method: str = "GET") -> httpx.Response:
    return await client.request(method, path, headers=MANAGER)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing-here", 404),
        ("GET", "/api/v1/assets/", 404),
        ("PUT", "/api/v1/assets", 405),
        ("GET", "/api/v1/assets/0", 422),
        ("GET", "/api/v1/assets/-1", 422),
        ("GET", "/api/v1/assets/2147483648", 422),
        ("GET", "/api/v1/assets/" + "9" * 5000, 422),
        ("GET", "/api/v1/assets/1e3", 422),
        ("GET", "/api/v1/assets/%00", 422),
        ("GET", "/api/v1/assets/2147483647", 404),
        ("GET", "/api/v1/predictions/9223372036854775808", 422),
        ("GET", "/api/v1/predictions/9223372036854775807", 404),
        ("GET", "/api/v1/assets?limit=0", 422),
        ("GET", "/api/v1/assets?limit=1001", 422),
        ("GET", "/api/v1/assets?limit=x", 422),
        ("GET", "/api/v1/assets?cursor=", 400),
        ("GET", "/api/v1/assets?cursor=%00", 400),
        ("GET", "/api/v1/assets?cursor=%C3%A9", 400),
        ("GET", "/api/v1/assets?cursor=!!!!", 400),
        ("GET", "/api/v1/assets?cursor=YXNzZXRzLi0x", 400),  # assets.-1
        ("GET", "/api/v1/assets?cursor=YXNzZXRzLjk5OTk5OTk5OTk5OTk5OTk5OTk5", 400),  # beyond a bigint
        ("GET", "/api/v1/assets?cursor=c2l0ZXMuMQ", 400),  # another list's
        ("GET", "/api/v1/assets?serial_number=%00", 422),
        ("GET", "/api/v1/predictions?failure_mode=a%00b", 422),
        ("GET", "/api/v1/predictions?from=2026-01-01", 422),
        ("GET", "/api/v1/predictions?from=2026-01-01T00:00:00", 422),
        ("GET", "/api/v1/predictions?from=0001-01-01T00:00:00Z", 422),
        ("GET", "/api/v1/predictions?from=9999-12-31T23:59:59-12:00", 422),
        ("GET", "/api/v1/alarms?state=on_fire", 422),
        ("POST", "/api/v1/session", 422),
    ],
)
async def test_a_bad_request_is_a_problem_below_500(reader: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await ask(reader, path, method)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["title"]
    assert problem["detail"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"login": "\\u0000", "password": "\\ud800"}',
        b'{"login": 1, "password": {}}',
        b"[" * 10_000,
    ],
)
async def test_a_body_that_is_no_credentials_is_a_problem_below_500(reader: httpx.AsyncClient, content: bytes) -> None:
    answer = await reader.post("/api/v1/session", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 401, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_invalid_input_says_where_without_repeating_it(reader: httpx.AsyncClient) -> None:
    answer = await reader.post("/api/v1/session", json={"login": "ana", "passwrd": "my secret"})
    where = {fault["where"] for fault in answer.json()["errors"]}
    assert where == {"body.password", "body.passwrd"}
    assert "my secret" not in answer.text


async def test_a_surprise_is_an_incident_that_is_logged_and_tells_nothing(
    reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def explode(*_args: object, **_kwargs: object) -> None:
        message = "the secret of the house"
        raise RuntimeError(message)

    monkeypatch.setattr(listings, "page", explode)
    with structlog.testing.capture_logs() as logs:
        answer = await ask(reader, "/api/v1/assets")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    incident = answer.json()["incident"]
    (logged,) = [entry for entry in logs if entry["event"] == "request failed"]
    assert logged["incident"] == incident
    assert "the secret of the house" in logged["traceback"]


async def test_an_absent_database_is_503_with_a_time_to_come_back(reader: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_args: object, **_kwargs: object) -> None:
        raise DatabaseUnavailableError

    monkeypatch.setattr(listings, "page", away)
    answer = await ask(reader, "/api/v1/assets")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "dsn" not in answer.text.lower()


def errors_in(package: ModuleType) -> Iterator[type[VigiaError]]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = import_module(found.name)
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, VigiaError) and cls.__module__ == module.__name__:
                yield cls


def test_every_refusal_of_a_rule_or_workflow_has_its_status() -> None:
    bases = {"DomainError"}
    known = {cls for package in (vigia.domain, vigia.workflows) for cls in errors_in(package) if cls.__name__ not in bases}
    assert known
    assert {cls.__name__ for cls in known if not set(cls.__mro__) & set(KINDS)} == set()


def test_one_wording_for_whatever_is_not_found() -> None:
    bodies = [problem_of(cls("of customer 7")).body() for cls in KINDS if KINDS[cls].status == 404]
    assert len(bodies) > 1
    assert all(body == bodies[0] for body in bodies)


async def test_pages_and_answers_carry_the_security_headers(reader: httpx.AsyncClient, shared_world: World) -> None:
    for path in ("/docs", "/api/v1/me", "/nothing", f"/api/v1/assets/{shared_world.aurora.ids['asset_id']}"):
        headers = (await ask(reader, path)).headers
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


async def test_the_access_log_names_the_route_and_nobody(reader: httpx.AsyncClient, shared_world: World) -> None:
    with structlog.testing.capture_logs() as logs:
        await ask(reader, f"/api/v1/assets/{shared_world.aurora.ids['asset_id']}?serial_number=AB")
    (entry,) = [entry for entry in logs if entry["event"] == "request"]
    assert set(entry) == {"event", "log_level", "method", "route", "status", "ms"}
    assert entry["route"] == "/api/v1/assets/{asset_id}"
    assert entry["status"] == 200
