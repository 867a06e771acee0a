"""Row 5: the disk of the gateway is full while its host is away; what there is no room for is dropped, oldest first, and said."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from buffer_harness import fill, small_disk
from chaos_account import Account, query, readings, said
from chaos_fleet import DEVICES, HZ, NODES, START_MS, Gateway, node_id
from chaos_plant import Plant, plant
from chaos_processes import wait_for
from numpy.typing import NDArray

from vigia.edge.buffer import BufferStatus, buffer_status
from vigia.supervisor.broker import RunningBroker

AWAY_S = 4  # of the host, before the disk is full
DEVICE_OF = "select point_id, substr(serial_number, 5, 1)::int, substr(serial_number, 7, 1)::int from point join asset using (asset_id)"
DROPPED = "select node_id, lower(eseqs), upper(eseqs), reason from tombstone join edge_node using (edge_node_id) order by 1, 2"


class SmallDiskGateway(Gateway):
    """Its buffers are on a small disk of their own."""

    def __init__(self, folder: Path, broker: str, hours: int) -> None:
        super().__init__(folder, broker, hours)
        self._exits = ExitStack()
        refused = self._exits.enter_context(small_disk(self.buffers, "8m"))
        if refused:
            pytest.skip(f"NOT RUN WITH A FULL DISK: a tmpfs cannot be mounted ({refused}); run as root")

    def stop(self) -> None:
        super().stop()
        self._exits.close()

    def status(self, node: int) -> BufferStatus:
        status = buffer_status(self.buffer(node))
        assert status is not None
        return status

    @property
    def dropped(self) -> list[int]:
        """Samples, by node."""
        return [self.status(node).samples_dropped for node in range(NODES)]


@dataclass
class Dropped:
    """What the tombstones of the database say: by node and batch number."""

    of: list[NDArray[np.bool_]]
    reasons: set[str]

    @classmethod
    def found(cls, dsn: str, last_hour: int) -> "Dropped":
        dropped = cls([np.zeros(last_hour * DEVICES + 1, np.bool_) for _ in range(NODES)], set())
        for name, first, end, reason in query(dsn, DROPPED):
            dropped.of[[node_id(node) for node in range(NODES)].index(name)][first:end] = True
            dropped.reasons.add(reason)
        return dropped

    def covers(self, dsn: str, truth: NDArray[np.void]) -> NDArray[np.bool_]:
        """Which of what was said was dropped: an hour is a batch of each machine."""
        rows: list[tuple[Any, ...]] = query(dsn, DEVICE_OF)
        places = {point: (node, device) for point, node, device in rows}
        node, device = np.array([places[int(point)] for point in truth["point"]]).T
        number = ((truth["ts"] - START_MS) // 1000 - 1) * DEVICES + device + 1
        return np.choose(node, [of[np.minimum(number, len(of) - 1)] for of in self.of]).astype(np.bool_)


def account(one: Plant, faults: str) -> Account:
    """As the plant's, but what was dropped and said is not lost."""
    last = one.gateway.hour
    truth, found = said(one.dsn, last), readings(one.dsn)
    right = np.isin(found, truth)
    dropped = Dropped.found(one.dsn, last)
    covered = dropped.covers(one.dsn, truth)
    stored = np.isin(truth, found)
    assert query(one.dsn, "select * from ledger_hole") == []
    assert dropped.reasons == {"disk full"}
    for of in dropped.of:
        (numbers,) = np.nonzero(of)
        assert len(numbers)
        assert np.array_equal(numbers, np.arange(numbers[0], numbers[-1] + 1)), "not the oldest were dropped"
    return Account(
        5,
        faults,
        sent=len(truth),
        stored=len(found),
        lost=int((~stored & ~covered).sum()),
        recovered=int(stored.sum()),
        unexpected=int((~right).sum()),
        duplicated=len(found) - len(np.unique(found)),
        more={"dropped_and_said": int((covered & ~stored).sum())},
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("full_s", [pytest.param(6, id="short"), pytest.param(300, id="full", marks=pytest.mark.chaos)])
def test_a_full_disk_of_the_gateway_drops_the_oldest_and_says_so(
    chaos_dsn: str, broker: RunningBroker, tmp_path: Path, keep: Callable[[Account], None], full_s: int
) -> None:
    with plant(tmp_path, chaos_dsn, broker.url, hours=HZ * (full_s + 300), kind=SmallDiskGateway) as one:
        gateway = one.gateway
        assert isinstance(gateway, SmallDiskGateway)
        one.ingest.stop()
        one.speak_for(AWAY_S)
        other = fill(gateway.buffers)
        one.speak_for(full_s)
        wait_for(lambda: min(gateway.dropped) > 0, f"drops; the gateway: {gateway.process.words[-2000:]}")
        other.unlink()
        one.speak_for(1)
        dropped = gateway.dropped
        one.ingest.start()
        one.flows(gateway.hour + 1)
        one.all_stored()
        assert gateway.process.alive
        assert gateway.dropped == dropped, "what was dropped when there was room again"
        wait_for(lambda: not any(gateway.status(node).waiting_batches for node in range(NODES)), "acknowledgements")
        found = account(one, f"disk of the gateway full for {full_s} s, its host away")
    keep(found)
