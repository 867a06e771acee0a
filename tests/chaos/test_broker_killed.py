"""Row 1: the broker is stopped and killed while the machines speak."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_account import Account
from chaos_plant import plant

from vigia.supervisor.broker import RunningBroker

SEED = 1
BACK_WITHIN_S = 15.0


@pytest.mark.timeout(900)
@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize("times", [pytest.param(2, id="short"), pytest.param(20, id="full", marks=pytest.mark.chaos)])
def test_the_broker_is_stopped_and_killed(
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], times: int
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - moments, no secrets
    back = []
    with plant(tmp_path, chaos_dsn, broker.url, hours=600 * times) as one:
        for number in range(times):
            time.sleep(rng.uniform(0, 1))  # a random moment, not a wait
            with one.fault():
                (broker.kill if number % 2 else broker.stop)()
                time.sleep(rng.uniform(0, 1))  # how long it is away
                broker.start()
                begun = time.time()
            back.append(one.back_after_s(begun))
        one.all_stored()
        account = one.account(1, f"broker ended {times} times, seed {SEED}", flow_back_s=f"{max(back):.1f} at most")
        assert one.ingest.alive
        assert one.gateway.process.alive
    keep(account)
    assert max(back) <= BACK_WITHIN_S, account
