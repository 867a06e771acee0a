"""The simulated technician: does each order at its visit, through the same REST calls a real one's phone makes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from vigia.demo.fleet import fleet_time
from vigia.demo.logbook import Logbook
from vigia.errors import VigiaError

WEAR = "2.4"
"""ISO 14224 failure mechanism: wear."""

LATEST_USEFUL_LIFE = 60
"""An engine taken out with more remaining cycles than this was taken out too early: the shop finds nothing worn."""


class TechnicianAwayError(VigiaError):
    """The api does not answer the technician; it is tried again."""


class TechnicianRefusedError(VigiaError):
    """The api refuses what the simulated technician does: its rules and the demo's world have parted."""


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
        failed = set() if self.fix else await self._failed_cases()
        for order in await self._all("/work-orders"):
            if order["planned_from"] is None or not (self.fix or order["failure_case_id"] in failed):
                continue
            path = f"/work-orders/{order['work_order_id']}"
            started = order["started_at"] is not None
            if not started and datetime.fromisoformat(order["planned_from"]) <= now:
                await self._request("POST", f"{path}/start", json={"at": order["planned_from"]})
                started = worked = True
            if started and datetime.fromisoformat(order["planned_until"]) <= now:
                await self._request("POST", f"{path}/finish", json=self._findings(order))
                worked = True
        return worked

    def _findings(self, order: dict[str, Any]) -> dict[str, Any]:
        """What the shop finds when it opens the engine: the recorded life says how worn it was when the order was raised."""
        engine = self.logbook.known[order["serial_number"]]
        flown = (datetime.fromisoformat(order["created_at"]) - fleet_time(engine.hour)) / timedelta(hours=1)
        worn = self.lives[engine.unit] - flown <= LATEST_USEFUL_LIFE
        verdict = "confirmed" if worn else "early"
        return {"at": order["planned_until"], "verdict": verdict, "cause_code": WEAR if worn else None}

    async def _failed_cases(self) -> set[int]:
        return {case["failure_case_id"] for case in await self._all("/failure-cases") if case["failed_at"] is not None}

    async def _all(self, path: str) -> list[dict[str, Any]]:
        """All open rows of a listing, page by page."""
        rows: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"state": "open", "limit": 100}
        while True:
            page = await self._request("GET", path, params=asked)
            rows += page["items"]
            if page["next"] is None:
                return rows
            asked = {**asked, "cursor": page["next"]}

    async def _request(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - JSON
        try:
            client = self._client or await self._log_in()
            response = await client.request(method, path, **options)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                client = await self._log_in()
                response = await client.request(method, path, **options)
            if response.is_server_error:
                raise TechnicianAwayError(f"the api answers {response.status_code}")
            if response.is_client_error:
                raise TechnicianRefusedError(f"the api refuses the simulated technician's {method} {path}: {response.text}")
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
