"""A prediction says how likely the machine is to fail within each horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import World

AURORA = {"Authorization": "Bearer token-of-aurora"}


async def test_a_prediction_tells_each_horizon(reader: httpx.AsyncClient, shared_world: World) -> None:
    answer = await reader.get(f"/api/v1/assets/{shared_world.aurora.ids['asset_id']}/predictions/latest", headers=AURORA)
    found = answer.json()
    assert (found["horizon"], found["probability"]) == (30, 0.8)
    assert found["probabilities"] == [{"horizon": 10, "probability": 0.2}, {"horizon": 30, "probability": 0.8}]


async def test_the_horizons_are_described(reader: httpx.AsyncClient) -> None:
    schemas = (await reader.get("/openapi.json")).json()["components"]["schemas"]
    assert schemas["HorizonProbability"]["required"] == ["horizon", "probability"]
    assert "never less" in schemas["HorizonProbability"]["properties"]["probability"]["description"]
