"""Telemetry at the resolution a chart can show, as JSON and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from vigia.api.routes import telemetry

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import World

RANGE = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-03T01:00:00Z"}


async def ask(client: httpx.AsyncClient, world: World, **params: Any) -> httpx.Response:  # noqa: ANN401 - query parameters
    path = f"/api/v1/assets/{world.aurora.ids['asset_id']}/telemetry"
    return await client.get(path, params=params, headers={"Authorization": "Bearer token-of-aurora"})


@pytest.mark.parametrize(("pixels", "resolution"), [(20_000, "raw"), (3000, "raw"), (2900, "1m"), (50, "1m"), (49, "1h"), (1, "1h")])
async def test_the_width_of_the_chart_picks_the_rollup(
    reader: httpx.AsyncClient, shared_world: World, pixels: int, resolution: str
) -> None:
    answer = await ask(reader, shared_world, pixels=pixels, points="T50", **RANGE)
    assert answer.json()["resolution"] == resolution
    (series,) = answer.json()["series"]
    assert series["name"] == "T50"
    assert series["unit"] == "[degR]"
    assert series["mean"] == [1400.0 + n for n in range(1, 49)]
    assert {len(series[column]) for column in ("ts", "mean", "low", "high", "last", "count")} == {48}


async def test_by_default_all_points_over_the_last_day_of_fleet_time(reader: httpx.AsyncClient, shared_world: World) -> None:
    found = (await ask(reader, shared_world, resolution="raw")).json()
    assert {series["name"] for series in found["series"]} == {"state", "T50"}
    assert all(series["ts"][-1] == "2026-01-03T00:00:00Z" for series in found["series"])
    assert all(len(series["ts"]) in {24, 25} for series in found["series"])


async def test_csv_holds_the_same_rows(reader: httpx.AsyncClient, shared_world: World) -> None:
    found = (await ask(reader, shared_world, resolution="1h", points=["T50", "state"], **RANGE)).json()
    answer = await ask(reader, shared_world, resolution="1h", points=["T50", "state"], format="csv", **RANGE)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == sum(len(series["ts"]) for series in found["series"]) == 96
    assert rows[0] == {
        "point": "T50",
        "unit": "[degR]",
        "ts": "2026-01-01T01:00:00+00:00",
        "mean": "1401.0",
        "low": "1401.0",
        "high": "1401.0",
        "last": "1401.0",
        "count": "1",
    }


@pytest.mark.parametrize(
    ("params", "status", "kind"),
    [
        ({"points": "T51"}, 422, "unknown-point"),
        ({"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, 400, "bad-range"),
        ({"from": "2199-01-02T00:00:00Z"}, 400, "bad-range"),
        ({"resolution": "1d"}, 422, "invalid"),
        ({"pixels": 0}, 422, "invalid"),
        ({"format": "xml"}, 422, "invalid"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    reader: httpx.AsyncClient, shared_world: World, params: dict[str, Any], status: int, kind: str
) -> None:
    answer = await ask(reader, shared_world, **params)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")


async def test_too_much_is_refused_rather_than_cut(reader: httpx.AsyncClient, shared_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "MOST_ROWS", 95)
    assert (await ask(reader, shared_world, resolution="raw", **RANGE)).json()["type"] == "/problems/too-much-data"
    monkeypatch.setattr(telemetry, "MOST_ROWS", 96)
    assert (await ask(reader, shared_world, resolution="raw", **RANGE)).status_code == 200


@pytest.mark.parametrize("resolution", ["raw", "1m", "1h"])
async def test_a_machine_that_moves_on_shows_each_customer_its_own_part(client: httpx.AsyncClient, world: World, resolution: str) -> None:
    asset_id = world.aurora.ids["asset_id"]
    with psycopg.connect(world.dsn, autocommit=True, options="-c search_path=vigia") as db:
        for moved, engine in (("2026-01-02T00:00Z", asset_id), ("2026-01-01T12:00Z", world.boreal.ids["asset_id"])):
            db.execute("update installation set removed_at = %s where asset_id = %s", (moved, engine))
        db.execute(
            "insert into installation (customer_id, role_id, asset_id, installed_at) values (%s, %s, %s, '2026-01-02T00:01Z')",
            (world.boreal.ids["customer_id"], world.boreal.ids["role_id"], asset_id),
        )
    seen = {}
    for who in ("aurora", "boreal", "service_manager"):
        answer = await client.get(
            f"/api/v1/assets/{asset_id}/telemetry",
            params={"resolution": resolution, "points": "T50", **RANGE},
            headers={"Authorization": f"Bearer token-of-{who}"},
        )
        seen[who] = answer.json()["series"][0]["mean"]
    assert seen["aurora"] == [1400.0 + n for n in range(1, 25)]
    assert seen["boreal"] == [1400.0 + n for n in range(25, 49)]
    assert seen["service_manager"] == [1400.0 + n for n in range(1, 49)]
