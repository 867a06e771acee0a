"""What poison costs: the same load without it and with it, one after the other, again and again."""

from dataclasses import dataclass, replace

import numpy as np

from vigia.bench import BenchError
from vigia.bench.load import Load, following
from vigia.bench.stage import Servers, Stage, staged

ROUNDS = 7


@dataclass(frozen=True)
class Run:
    """What a load came to: its readings a second, and the CPU seconds of ingest, database and broker, as far as they can be seen."""

    rows_per_s: float
    cpu_s: float


@dataclass(frozen=True)
class Pairs:
    """Equal loads without poison and with it; `letters` are what came of the poison."""

    clean: list[Run]
    poisoned: list[Run]
    letters: int

    @property
    def ratio(self) -> float:
        """Of the rates with poison and without, the middle pair's."""
        return _middle([with_it.rows_per_s / without.rows_per_s for without, with_it in self._pairs])

    @property
    def cpu_ratio(self) -> float:
        """Of the CPU seconds without poison and with it, the middle pair's: their say where the machine is busy otherwise."""
        return _middle([without.cpu_s / with_it.cpu_s for without, with_it in self._pairs])

    def figures(self, name: str) -> dict[str, object]:
        """For the report."""
        return {
            f"{name}_ratio": round(self.ratio, 3),
            f"{name}_cpu_ratio": round(self.cpu_ratio, 3),
            f"{name}_rows_per_s": round(_middle([run.rows_per_s for run in self.poisoned])),
            f"{name}_letters": self.letters,
        }

    @property
    def _pairs(self) -> list[tuple[Run, Run]]:
        return list(zip(self.clean, self.poisoned, strict=True))


async def measure(servers: Servers, load: Load, share: float, rounds: int = ROUNDS) -> Pairs:
    """Send `load` and again with a `share` of poison, `rounds` times each, in a database of their own.

    Raises BenchError when a reading is not accounted for, or a dead letter.
    """
    async with staged(servers, load) as stage:
        async with stage.ingest():
            clean, poisoned = await _alternate(stage, load, share, rounds)
        exactness = await stage.exactness()
    if exactness.fault is not None:
        raise BenchError(f"with {share:.1%} poison: {exactness.fault}")
    return Pairs(clean, poisoned, sum(sent.letters for sent in stage.sent))


async def _alternate(stage: Stage, load: Load, share: float, rounds: int) -> tuple[list[Run], list[Run]]:
    """Which of a pair comes first alternates too: what drifts cancels out. The first pair warms up."""
    runs: dict[float, list[Run]] = {0.0: [], share: []}
    last = replace(load, rows=load.metrics, start_ms=stage.before(replace(load, rows=2 * (rounds + 1) * load.rows)))
    await stage.send(last)
    for turn in range(rounds + 1):
        for poisonous in (0.0, share) if turn % 2 else (share, 0.0):
            sent, costs = await stage.send_watched(replace(following(last, load.rows, load.metrics, load.period_ms), poison=poisonous))
            last = sent.load
            if turn:
                runs[poisonous].append(Run(load.rows / sent.seconds, sum(costs.cpu_s.values())))
    return runs[0.0], runs[share]


def _middle(ratios: list[float]) -> float:
    return float(np.median(ratios))
