"""Row 3: ingest is killed at random moments: before it writes, amid a transaction, between the commit and its acknowledgement."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_account import Account
from chaos_plant import plant

from vigia.supervisor.broker import RunningBroker

SEED = 3


@pytest.mark.timeout(5400)
@pytest.mark.parametrize("times", [pytest.param(2, id="short"), pytest.param(200, id="full", marks=pytest.mark.chaos)])
def test_ingest_is_killed_at_random_moments(
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], times: int
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - moments, no secrets
    with plant(tmp_path, chaos_dsn, broker.url, hours=600 + 150 * times) as one:
        for _ in range(times):
            time.sleep(rng.uniform(0, 0.6))  # a random moment, not a wait: a commit comes several times in it
            with one.fault():
                one.ingest.kill()
                one.ingest.start()
        one.all_stored()
        account = one.account(3, f"ingest killed {times} times, seed {SEED}")
    keep(account)
