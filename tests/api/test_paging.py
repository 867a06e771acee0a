"""Lists continue where they stopped, whatever is inserted meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import World

MANAGER = {"Authorization": "Bearer token-of-service_manager"}
INSERT = {
    "assets": "insert into asset (asset_model_id, serial_number) select asset_model_id, 'NEW-' || %(n)s from asset_model limit 1",
    "findings": "insert into finding (customer_id, asset_id, point_id, detector, at, score, why) "
    "select customer_id, asset_id, point_id, detector, at + %(n)s * interval '1 s', score, why from finding limit 1",
}


def insert(world: World, what: str, *numbers: int) -> None:
    with psycopg.connect(world.dsn, autocommit=True, options="-c search_path=vigia") as db:
        for n in numbers:
            db.execute(INSERT[what].encode(), {"n": n})


async def pages(client: httpx.AsyncClient, path: str, limit: int, between: Any = None) -> list[list[int]]:  # noqa: ANN401 - a callable or None
    found, cursor = [], None
    while True:
        params = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
        answer = await client.get(path, params=params, headers=MANAGER)
        assert answer.status_code == 200, answer.text
        key = "asset_id" if path.endswith("assets") else "finding_id"
        found.append([item[key] for item in answer.json()["items"]])
        cursor = answer.json()["next"]
        if cursor is None:
            return found
        if between is not None:
            between()


@pytest.mark.parametrize("what", ["assets", "findings"])
async def test_pages_together_are_the_whole_list_once(client: httpx.AsyncClient, world: World, what: str) -> None:
    insert(world, what, *range(10))
    (whole,) = await pages(client, f"/api/v1/{what}", 1000)
    parts = await pages(client, f"/api/v1/{what}", 3)
    assert [row for page in parts for row in page] == whole
    assert all(len(page) == 3 for page in parts[:-1])
    exact = await pages(client, f"/api/v1/{what}", len(whole))
    assert exact == [whole]


async def test_rows_inserted_while_paging_newest_first_neither_repeat_nor_hide_another(client: httpx.AsyncClient, world: World) -> None:
    insert(world, "findings", *range(10))
    (before,) = await pages(client, "/api/v1/findings", 1000)
    numbers = iter(range(100, 200))
    found = await pages(client, "/api/v1/findings", 2, lambda: insert(world, "findings", next(numbers)))
    assert [row for page in found for row in page] == before


async def test_rows_inserted_while_paging_oldest_first_come_at_the_end(client: httpx.AsyncClient, world: World) -> None:
    insert(world, "assets", *range(5))
    (before,) = await pages(client, "/api/v1/assets", 1000)
    numbers = iter(range(100, 103))
    found = await pages(client, "/api/v1/assets", 2, lambda: insert(world, "assets", *([n] if (n := next(numbers, 0)) else [])))
    rows = [row for page in found for row in page]
    assert rows[: len(before)] == before
    assert len(rows) == len(set(rows)) == len(before) + 3


async def test_an_empty_list_is_one_empty_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/assets", params={"serial_number": "no such"}, headers=MANAGER)
    assert answer.json() == {"items": [], "next": None}


async def test_what_has_not_changed_is_not_sent_again(client: httpx.AsyncClient, world: World) -> None:
    first = await client.get("/api/v1/assets", headers=MANAGER)
    again = await client.get("/api/v1/assets", headers={**MANAGER, "If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "private, no-cache"
    insert(world, "assets", 1)
    changed = await client.get("/api/v1/assets", headers={**MANAGER, "If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert "etag" not in (await client.get("/api/v1/assets/2147483647", headers=MANAGER)).headers
