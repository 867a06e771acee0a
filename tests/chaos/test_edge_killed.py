"""Row 4: the gateway is killed, and its power is cut, at random moments while the machines speak."""

import json
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from buffer_harness import sound
from chaos_account import Account
from chaos_fleet import DEVICES, NODES, POINTS, Gateway
from chaos_plant import Plant, plant
from chaos_processes import wait_for

from vigia.edge.buffer import buffer_status
from vigia.supervisor.broker import RunningBroker

SEED = 4
NOT_YET_ON_DISK_S = 1.0
ROWS_AN_HOUR_AND_NODE = DEVICES * len(POINTS)


class LossyGateway(Gateway):
    """Its buffers are on a disk that forgets what was not flushed."""

    def __init__(self, folder: Path, broker: str, hours: int) -> None:
        super().__init__(folder, broker, hours)
        self._order = folder / "order.json"
        self._left = folder / "left"
        self.process.program = (str(Path(__file__).parent / "lossy_gateway.py"), str(self.buffers), str(self._order))

    def cut_power(self, seed: int) -> dict[str, int]:
        """The power goes and comes back; gives how many samples each buffer had said to have stored."""
        self._order.write_text(json.dumps({"to": str(self._left), "seed": seed}))
        assert self.process.process is not None
        self.process.process.send_signal(signal.SIGUSR1)
        assert self.process.process.wait(60) == 1, self.process.words[-2000:]
        shutil.rmtree(self.buffers)
        self._left.rename(self.buffers)
        promised: dict[str, int] = json.loads((self.buffers.parent / "promised.json").read_text())
        return promised


def stored(buffer: Path) -> int:
    status = buffer_status(buffer)
    assert status is not None
    return status.samples_stored


def not_yet_on_disk_s(gateway: Gateway, at: float) -> float:
    """How long ago, at the moment `at` (wall clock), the oldest thing was said that is in no buffer."""
    told = np.array(gateway.told_at)
    hours = min(stored(gateway.buffer(node)) // ROWS_AN_HOUR_AND_NODE for node in range(NODES))
    later = told[hours + 1 :]
    later = later[later < at]
    return float(at - later[0]) if len(later) else 0.0


@dataclass
class Ends:
    """What came of ending the gateway: buffers that were not sound, promises that were not kept, and the oldest that was on no disk."""

    unsound: int = 0
    broken: int = 0
    not_on_disk_s: float = 0.0

    def come_back(self, one: Plant, seed: int | None) -> None:
        """Cut the gateway's power, or without a seed kill it; look at what is left and start it again."""
        gateway, at = one.gateway, time.time()
        assert isinstance(gateway, LossyGateway)
        if seed is None:
            gateway.process.kill()
        else:
            promised = gateway.cut_power(seed)
            self.broken += sum(stored(gateway.buffers / name) < samples for name, samples in promised.items())
        self.not_on_disk_s = max(self.not_on_disk_s, not_yet_on_disk_s(gateway, at))
        self.unsound += sum(not sound(gateway.buffer(node)) for node in range(NODES))
        gateway.process.start()


@pytest.mark.timeout(5400)
@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize(("kills", "cuts"), [pytest.param(2, 2, id="short"), pytest.param(200, 50, id="full", marks=pytest.mark.chaos)])
def test_the_gateway_is_killed_and_its_power_is_cut(  # noqa: PLR0913, PLR0917 - fixtures
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], kills: int, cuts: int
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - moments, no secrets
    seeds = [*([None] * kills), *(rng.randrange(10**6) for _ in range(cuts))]
    rng.shuffle(seeds)
    ends = Ends()
    with plant(tmp_path, chaos_dsn, broker.url, hours=3_000 + 150 * len(seeds), kind=LossyGateway) as one:
        for seed in seeds:
            # What was said while it was away is history, which waits in the logbook and not in the gateway.
            wait_for(lambda: not_yet_on_disk_s(one.gateway, time.time()) < NOT_YET_ON_DISK_S / 4, "the gateway, catching up")
            time.sleep(rng.uniform(0, 0.6))  # a random moment, not a wait: a commit comes several times in it
            with one.fault():
                ends.come_back(one, seed)
        one.all_stored()
        account = one.account(
            4,
            f"gateway killed {kills} times, its power cut {cuts} times, seed {SEED}",
            buffers_unsound=ends.unsound,
            promises_broken=ends.broken,
            not_on_disk_s=f"{ends.not_on_disk_s:.2f} at most",
        )
    keep(account)
    assert (ends.unsound, ends.broken) == (0, 0), account
    assert ends.not_on_disk_s <= NOT_YET_ON_DISK_S, account
