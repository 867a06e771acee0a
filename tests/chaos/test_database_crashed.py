"""Row 2: the database crashes again and again, then stays away; the API says so, and what waited is stored faster than it was said."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import numpy as np
import pytest
from chaos_account import Account
from chaos_fleet import HZ, ROWS_AN_HOUR
from chaos_plant import Plant, plant
from chaos_processes import LOOK_EVERY_S, PATIENCE_S, Process, Server, address_in, wait_for

from vigia.supervisor.broker import RunningBroker

SEED = 2
DRAINS_AT = 3  # times as fast as the machines speak
MEASURED_FROM_S = 60  # what waited for less is stored in a few transactions: too few for a rate
PATHS = ("/ready", "/api/v1/me", "/api/v1/assets")
ASK_EVERY_S = 0.1


@dataclass(frozen=True)
class Answer:
    path: str
    status: int
    retry_after: str | None


class Asker:
    """Asks the API for several things at once, again and again, and keeps the answers."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(path,), name=path) for path in PATHS]
        self.answers: list[Answer] = []
        self.silences: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, path: str) -> None:
        with httpx.Client(base_url=self._address, headers={"Authorization": "Bearer any"}, timeout=30) as client:
            while not self._stopped.wait(ASK_EVERY_S):
                try:
                    answer = client.get(path)
                except httpx.HTTPError as error:
                    self.silences.append(f"{path}: {error!r}")
                else:
                    self.answers.append(Answer(path, answer.status_code, answer.headers.get("retry-after")))

    def everywhere(self, *, away: bool) -> None:
        """Wait until each path is answered with 503, or as before the fault."""
        first = len(self.answers)
        wait_for(lambda: {answer.path for answer in self.answers[first:] if (answer.status == 503) == away} == set(PATHS), "the API")

    def check(self) -> None:
        assert not self.silences
        assert {answer.status for answer in self.answers} == {200, 401, 503}, "ready, not known, away; never 500"
        away = [answer for answer in self.answers if answer.status == 503]
        assert all(answer.retry_after is not None and int(answer.retry_after) > 0 for answer in away)


@contextmanager
def serving(folder: Path, dsn: str) -> Iterator[Process]:
    """`vigia api run`."""
    api = Process(["api", "run", "--dsn", dsn, "--port", "0"], folder / "api.log")
    api.start()
    try:
        yield api
        assert api.alive
    finally:
        api.stop()


@contextmanager
def asked(api: Process) -> Iterator[Asker]:
    """It is asked all the time."""
    wait_for(lambda: address_in(api.words) is not None or not api.alive, "the API's address")
    address = address_in(api.words)
    assert address is not None, api.words
    with Asker(address) as asker:
        yield asker


def drain_rate(one: Plant, before: int) -> float:
    """Readings a second from the first that were stored after the fault to the last that had waited, all that came meanwhile included."""
    seen = one.watch.hours(one.gateway.hour)
    back = float(seen[before:].min())
    last = int(np.flatnonzero(np.array(one.gateway.told_at[1:]) <= back)[-1]) + 1
    one.stored_until(last, PATIENCE_S + (last - before) / HZ)  # they were as long in coming
    seen = one.watch.hours(one.gateway.hour)
    whole = float(seen[before:last].max())
    return int((np.isfinite(seen[before:]) & (seen[before:] <= whole)).sum()) * ROWS_AN_HOUR / (whole - back + LOOK_EVERY_S)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("times", "away_s"), [pytest.param(0, 3, id="short"), pytest.param(10, 600, id="full", marks=pytest.mark.chaos)])
def test_the_database_crashes_and_stays_away(  # noqa: PLR0913, PLR0917 - fixtures
    own_server: Server, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], times: int, away_s: int
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - moments, no secrets
    dsn = own_server.dsn
    hours = HZ * (60 * times + away_s + 300)
    with serving(tmp_path, dsn) as api, plant(tmp_path, dsn, broker.url, hours=hours) as one, asked(api) as asker:
        for _ in range(times):
            time.sleep(rng.uniform(0, 1))  # a random moment, not a wait
            with one.fault():
                own_server.crash()
                own_server.start()
            assert own_server.dsn == dsn
        with one.fault():
            own_server.crash()
            before = one.stored_hour
            until = one.gateway.hour + away_s * HZ
            asker.everywhere(away=True)
            wait_for(lambda: one.gateway.hour >= until, "time", away_s + 60)
            own_server.start()
        rate = drain_rate(one, before)
        asker.everywhere(away=False)
        one.all_stored()
        statuses = [answer.status for answer in asker.answers]
        account = one.account(
            2,
            f"database crashed {times} times, then crashed and away {away_s} s, seed {SEED}",
            drained_rows_per_s=f"{rate:,.0f}",
            api_answers={status: statuses.count(status) for status in sorted(set(statuses))},
        )
        assert one.ingest.alive
    keep(account)
    asker.check()
    assert away_s < MEASURED_FROM_S or rate >= DRAINS_AT * ROWS_AN_HOUR * HZ, account
