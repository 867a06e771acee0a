"""Real gateways, a real broker, a real ingest and a real database, running together."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import psycopg
from chaos_account import Account, query, readings, said
from chaos_fleet import DEVICES, HZ, NODES, START_MS, Gateway, node_id
from chaos_processes import LOOK_EVERY_S, PATIENCE_S, Process, ingest, wait_for
from numpy.typing import NDArray


class Watch:
    """Notes, from the ledger, when each batch was first seen committed (wall clock, infinite until then), every tenth of a second."""

    def __init__(self, dsn: str, most_batches: int) -> None:
        self._dsn = dsn
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self.seen = {node_id(node): np.full(most_batches + 1, np.inf) for node in range(NODES)}
        self.epochs: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(psycopg.OperationalError), psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
                while not self._stopped.wait(LOOK_EVERY_S):
                    self._look(connection)
            self._stopped.wait(LOOK_EVERY_S)

    def _look(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        rows = connection.execute(
            "select node_id, ledger.epoch, lower(piece), upper(piece)"
            " from vigia.ledger join vigia.edge_node using (edge_node_id), unnest(eseqs) as piece"
            " where node_id = any(%s)",
            (list(self.seen),),
        ).fetchall()
        now = time.time()
        for node, epoch, first, end in rows:
            part = self.seen[node][first:end]
            part[np.isinf(part)] = now
            self.epochs.add(epoch)

    def hours(self, last: int) -> NDArray[np.float64]:
        """When each hour from 1 to `last` was stored whole."""
        numbered = [seen[1 : last * DEVICES + 1].reshape(last, DEVICES).max(axis=1) for seen in self.seen.values()]
        whole: NDArray[np.float64] = np.max(numbered, axis=0)
        return whole


@dataclass
class Plant:
    """Gateway, broker (by its address), ingest and database, running; `dsn` is the way past every fault."""

    gateway: Gateway
    ingest: Process
    watch: Watch
    dsn: str
    faults: list[tuple[int, int]] = field(default_factory=list)

    @property
    def stored_hour(self) -> int:
        """Newest hour that is stored whole."""
        stored = np.flatnonzero(np.isfinite(self.watch.hours(self.gateway.hour)))
        return int(stored[-1]) + 1 if len(stored) else 0

    @contextmanager
    def fault(self) -> Iterator[None]:
        """A fault, until what is said afterwards is stored again."""
        before = self.gateway.hour
        yield
        after = self.gateway.hour + 1
        self.flows(after)
        self.faults.append((before + 1, after))

    def flows(self, hour: int) -> None:
        """Wait until something said in `hour` or later is stored."""
        wait_for(lambda: self.stored_hour >= hour, f"flow after hour {hour}; ingest: {self.ingest.words[-2000:]}")

    def speak_for(self, seconds: float) -> None:
        """Let the machines speak for so long."""
        until = self.gateway.hour + round(seconds * HZ)
        wait_for(lambda: self.gateway.hour >= until, "time", seconds + 60)

    def back_after_s(self, moment: float) -> float:
        """Seconds from `moment` (wall clock) until something said later was stored whole."""
        told = np.array(self.gateway.told_at[1:])
        stored = self.watch.hours(len(told))
        return float(stored[told > moment].min()) - moment

    def lags_s(self, first: int, last: int) -> NDArray[np.float64]:
        """Seconds from saying to seeing stored, of the hours `first` to `last`."""
        return self.watch.hours(last)[first - 1 :] - np.array(self.gateway.told_at[first : last + 1])

    def all_stored(self, timeout_s: float = PATIENCE_S) -> None:
        """The machines fall silent; wait until all they said is in the ledger."""
        self.gateway.hush()
        last = self.gateway.hour
        self.stored_until(last, timeout_s)

    def stored_until(self, hour: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until everything up to `hour` is in the ledger."""
        wait_for(
            lambda: bool(np.isfinite(self.watch.hours(hour)).all()),
            f"hours {np.flatnonzero(np.isinf(self.watch.hours(hour)))[:5] + 1}...; ingest: {self.ingest.words[-2000:]}",
            timeout_s,
        )

    def account(self, row: int, faults: str, **more: object) -> Account:
        """Compare what the machines said with what is stored."""
        last = self.gateway.hour
        truth = said(self.dsn, last)
        found = readings(self.dsn)
        found = found[np.isin(found["point"], truth["point"])]  # what others say is counted apart
        right = np.isin(found, truth)
        unique = np.unique(found[right])
        of_faults = np.zeros(last + 1, np.bool_)
        for first, end in self.faults:
            of_faults[first : end + 1] = True
        hour = (unique["ts"] - START_MS) // 1000
        commits = np.unique(self.watch.hours(last))
        assert len(self.watch.epochs) == NODES
        assert query(self.dsn, "select * from ledger_hole") == []
        assert query(self.dsn, "select reason, detail from dead_letter where topic ~ '/node-[01](/|$)' limit 5") == []
        return Account(
            row, faults, len(truth), len(found), len(truth) - len(unique), int(of_faults[hour].sum()), int((~right).sum()),
            len(found) - len(np.unique(found)), float(np.diff(commits).max(initial=0)), more,
        )  # fmt: skip


@contextmanager
def plant(  # noqa: PLR0913
    folder: Path, dsn: str, broker: str, *, edge_broker: str = "", ingest_dsn: str = "", hours: int, kind: type[Gateway] = Gateway
) -> Iterator[Plant]:
    """Everything runs and the first readings are stored; `edge_broker` and `ingest_dsn` may lead through a proxy."""
    gateway = kind(folder / "edge", edge_broker or broker, hours)
    receiver = ingest(folder, ingest_dsn or dsn, broker)
    with Watch(dsn, hours * DEVICES) as watch:
        try:
            receiver.start()
            gateway.start()
            one = Plant(gateway, receiver, watch, dsn)
            gateway.tell()
            wait_for(lambda: one.stored_hour >= 1 or not receiver.alive, f"the first flow; ingest: {receiver.words[-2000:]}")
            assert receiver.alive, receiver.words[-2000:]
            yield one
        finally:
            gateway.stop()
            receiver.kill()
