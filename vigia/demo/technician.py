"""The simulated technician: does each order at its visit, through the same REST calls a real one's phone makes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from vigia.demo import fleet
from vigia.demo.logbook import Logbook
from vigia.errors import VigiaError

LATEST_USEFUL_LIFE = 60
"""An engine taken out with more remaining cycles than this was taken out too early: the shop finds nothing worn."""


class TechnicianAwayError(VigiaError):
    """The api does not answer the technician; it is tried again."""


@dataclass
class SimulatedTechnician:
    """With `fix` it does every order; without, only those whose engine has failed: find-and-fix, as before the pilot."""

    api_url: str
    login: str
    password: str
    fix: bool
    logbook: Logbook
    lives: Mapping[int, int]
    _client: httpx.AsyncClient | None = field(default=None, repr=False)

    async def aclose(self) -> None:
        """Hang up."""
        if self._client is not None:
            await self._client.aclose()

    async def work(self, now: datetime) -> bool:
        """Start and finish the visits that are due at `now`; whether there were any.

        Raises TechnicianAwayError when the api is away.
        """
        worked = False
        for order in await self._open_orders():
            visit = order["visit"]
            if visit is None or not (self.fix or order["failed_at"]):
                continue
            if visit["started_at"] is None and datetime.fromisoformat(visit["planned_from"]) <= now:
                await self._post(f"/work-orders/{order['work_order_id']}/start", {"at": visit["planned_from"]})
                visit["started_at"] = visit["planned_from"]
                worked = True
            if visit["started_at"] is not None and datetime.fromisoformat(visit["planned_until"]) <= now:
                await self._post(f"/work-orders/{order['work_order_id']}/finish", self._findings(order))
                worked = True
        return worked

    def _findings(self, order: dict[str, Any]) -> dict[str, Any]:
        """What the shop finds when it opens the engine: the recorded life says how worn it was."""
        visit = order["visit"]
        unit = fleet.unit_of(order["serial_number"])
        installed_hours = (datetime.fromisoformat(order["created_at"]) - datetime.fromisoformat(order["installed_at"])) / timedelta(hours=1)
        life_left = self.lives[unit] - installed_hours
        verdict = "confirmed" if life_left <= LATEST_USEFUL_LIFE else "early"
        return {"at": visit["planned_until"], "verdict": verdict, "cause_code": "wear" if verdict == "confirmed" else "none", "note": ""}

    async def _open_orders(self) -> list[dict[str, Any]]:
        orders: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            following = {"cursor": cursor} if cursor else {}
            page = await self._request("GET", "/work-orders", params={"state": "open", "limit": 100, **following})
            orders += page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return orders

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        await self._request("POST", path, json=body)

    async def _request(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - JSON
        try:
            client = self._client or await self._log_in()
            response = await client.request(method, path, **options)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                client = await self._log_in()
                response = await client.request(method, path, **options)
            if response.is_server_error:
                raise TechnicianAwayError(f"the api answers {response.status_code}")
            response.raise_for_status()
            return response.json()
        except httpx.TransportError as error:
            raise TechnicianAwayError(f"the api does not answer ({type(error).__name__})") from None

    async def _log_in(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=f"{self.api_url}/api/v1", timeout=10.0, trust_env=False)
        response = await client.post("/session", json={"login": self.login, "password": self.password})
        response.raise_for_status()
        client.headers["Authorization"] = f"Bearer {response.json()['token']}"
        if self._client is not None:
            await self._client.aclose()
        self._client = client
        return client
