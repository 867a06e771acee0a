"""Logging in and out, and what a session is worth to someone else."""

from __future__ import annotations

import hashlib
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from vigia.api import passwords
from vigia.api.attempts import Attempts
from vigia.api.errors import TooManyAttemptsError

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import World

PASSWORD = "correct horse battery staple"  # noqa: S105 - of people who do not exist


async def log_in(client: httpx.AsyncClient, login: str = "aurora", password: str = PASSWORD, **headers: str) -> httpx.Response:
    return await client.post("/api/v1/session", json={"login": login, "password": password}, headers=headers)


async def test_a_browser_is_logged_in_by_cookie_and_a_program_by_bearer_token(client: httpx.AsyncClient) -> None:
    opened = await log_in(client)
    assert opened.status_code == 201
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie  # this client speaks http
    assert (await client.get("/api/v1/me")).json()["login"] == "aurora"
    client.cookies.clear()
    assert (await client.get("/api/v1/me")).status_code == 401
    token = {"Authorization": f"Bearer {opened.json()['token']}"}
    assert (await client.get("/api/v1/me", headers=token)).json()["login"] == "aurora"


async def test_the_cookie_is_secure_over_https(client: httpx.AsyncClient) -> None:
    credentials = {"login": "aurora", "password": PASSWORD}
    opened = await client.post("https://vigia.test/api/v1/session", json=credentials)
    assert "Secure" in opened.headers["set-cookie"]
    assert opened.headers["strict-transport-security"]


async def test_the_database_holds_no_token_that_opens_a_session(client: httpx.AsyncClient, world: World) -> None:
    token = (await log_in(client)).json()["token"]
    with psycopg.connect(world.dsn) as db:
        rows = db.execute("select * from vigia.login_session").fetchall()
    stored = str(rows)
    assert token not in stored
    assert hashlib.sha256(token.encode()).digest() in [row[0] for row in rows]
    stolen = [value for row in rows for value in row if isinstance(value, bytes)]
    for value in stolen:
        client.cookies.clear()
        assert (await client.get("/api/v1/me", headers={"Authorization": f"Bearer {value.hex()}"})).status_code == 401


@pytest.mark.parametrize("login", ["aurora", "nobody-of-that-name", "AURORA "])
async def test_a_refused_log_in_says_the_same_whether_the_login_exists_or_not(client: httpx.AsyncClient, login: str) -> None:
    refused = await log_in(client, login, "wrong")
    assert refused.status_code == 401
    assert refused.json() == {
        "type": "/problems/log-in-refused",
        "title": "Log-in refused",
        "status": 401,
        "detail": "The login or the password is wrong.",
    }
    assert "set-cookie" not in refused.headers


async def test_an_unknown_login_takes_as_long_as_a_wrong_password() -> None:
    known = passwords.hash_password(PASSWORD)
    await passwords.matches("first use makes the hash of nobody", None)

    async def median(password_hash: str | None) -> float:
        times = []
        for _ in range(7):
            started = time.perf_counter()
            assert not await passwords.matches("wrong", password_hash)
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    assert 0.5 < await median(None) / await median(known) < 2


async def test_a_disabled_account_can_neither_log_in_nor_go_on(client: httpx.AsyncClient, world: World) -> None:
    token = {"Authorization": f"Bearer {(await log_in(client)).json()['token']}"}
    with psycopg.connect(world.dsn, autocommit=True) as db:
        db.execute("update vigia.account set disabled_at = now() where login = 'aurora'")
    client.cookies.clear()
    assert (await client.get("/api/v1/me", headers=token)).status_code == 401
    assert (await log_in(client)).status_code == 401


async def test_five_failures_close_the_login_for_that_address_only_for_a_while(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await log_in(client, password="wrong")).status_code == 401  # noqa: S106
    refused = await log_in(client)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert (await log_in(client, "boreal")).status_code == 201


def test_attempts_are_forgotten_after_the_window_and_after_a_success() -> None:
    now = 0.0
    attempts = Attempts(limit=2, window_s=10, clock=lambda: now)
    attempts.failed("ana", "here")
    attempts.failed("ana", "here")
    with pytest.raises(TooManyAttemptsError) as refused:
        attempts.check("ana", "here")
    assert refused.value.retry_after_s == 10
    attempts.check("ana", "elsewhere")
    now = 10.5
    attempts.check("ana", "here")
    attempts.failed("ana", "here")
    attempts.succeeded("ana", "here")
    attempts.failed("ana", "here")
    attempts.check("ana", "here")


async def test_logging_out_ends_the_session_wherever_it_is_used(client: httpx.AsyncClient) -> None:
    opened = (await log_in(client)).json()
    token = {"Authorization": f"Bearer {opened['token']}"}
    left = await client.delete("/api/v1/session", headers={"X-CSRF-Token": opened["csrf_token"]})
    assert left.status_code == 204
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert (await client.get("/api/v1/me", headers=token)).status_code == 401


async def test_a_session_ends_when_unused_and_use_renews_it(client: httpx.AsyncClient, world: World) -> None:
    token = {"Authorization": f"Bearer {(await log_in(client)).json()['token']}"}
    client.cookies.clear()
    set_expiry(world, "now() + interval '1 hour'")
    assert (await client.get("/api/v1/me", headers=token)).status_code == 200
    renewed = datetime.fromisoformat((await client.get("/api/v1/me", headers=token)).json()["expires_at"])
    assert renewed - datetime.now(UTC) > timedelta(hours=11)
    set_expiry(world, "now() - interval '1 second'")
    assert (await client.get("/api/v1/me", headers=token)).status_code == 401


async def test_a_session_ends_after_a_week_however_much_it_is_used(client: httpx.AsyncClient, world: World) -> None:
    token = {"Authorization": f"Bearer {(await log_in(client)).json()['token']}"}
    client.cookies.clear()
    with psycopg.connect(world.dsn, autocommit=True) as db:
        db.execute("update vigia.login_session set created_at = now() - interval '7 days'")
    assert (await client.get("/api/v1/me", headers=token)).status_code == 401


def set_expiry(world: World, moment: str) -> None:
    with psycopg.connect(world.dsn, autocommit=True) as db:
        db.execute(f"update vigia.login_session set expires_at = {moment}".encode())  # noqa: S608


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "bearer \u00e9", "Bearer " + "x" * 5000], ids=lambda value: value[:12]
)
async def test_a_header_that_is_no_token_is_no_session(client: httpx.AsyncClient, header: str) -> None:
    refused = await client.get("/api/v1/me", headers={b"Authorization": header.encode("latin-1")})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.json()["type"] == "/problems/not-logged-in"


async def test_an_unsafe_request_by_cookie_needs_the_csrf_token_of_its_session(client: httpx.AsyncClient, world: World) -> None:
    opened = (await log_in(client, "technician")).json()
    path = f"/api/v1/alarms/{world.aurora.ids['alarm_id']}/acknowledge"
    assert (await client.post(path)).json()["type"] == "/problems/forged-request"
    for wrong in ("", "x", "csrf-of-aurora", "\u00e9"):
        assert (await client.post(path, headers={b"X-CSRF-Token": wrong.encode("latin-1")})).status_code == 403
    assert (await client.post(path, headers={"X-CSRF-Token": opened["csrf_token"]})).status_code == 200
    assert (await client.post(path, data={"csrf_token": opened["csrf_token"]})).status_code == 200
    assert (await client.post(path, data={"csrf_token": "x"})).status_code == 403
    assert (await client.post(path, headers={"Authorization": f"Bearer {opened['token']}"})).status_code == 200


async def test_a_page_of_another_site_cannot_log_a_browser_in(client: httpx.AsyncClient) -> None:
    assert (await log_in(client, Origin="https://evil.test")).status_code == 403
    assert (await log_in(client, Origin="http://vigia.test")).status_code == 201
