"""How a model's inputs were spread where it learned, to be compared with what the fleet sends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
LIFE_BANDS = 5


def spread(names: Sequence[str], values: NDArray[np.float64], life: NDArray[np.float64], life_cap: float) -> dict[str, Any]:
    """For each input that varies, the edges between its tenths and how many rows lay between them, for each band of predicted life.

    values : float64[rows, inputs]; NaN: missing. life : float64[rows], the median life foretold by a model that had not seen the machine.
    Returns JSON-ready {"life_edges": [...], "inputs": {name: {"edges": [...], "counts": [[...] a band]}}}.
    """
    life_edges = [life_cap * part / LIFE_BANDS for part in range(1, LIFE_BANDS)]
    band = np.searchsorted(life_edges, life, side="right")
    inputs = {}
    for name, column in zip(names, values.T, strict=True):
        known = np.isfinite(column)
        edges = np.unique(np.quantile(column[known], np.arange(1, BINS) / BINS)) if known.any() else np.empty(0)
        if not known.any() or column[known].min() == column[known].max():
            continue
        place = np.searchsorted(edges, column[known], side="right")
        counts = np.zeros((LIFE_BANDS, len(edges) + 1), dtype=np.int64)
        np.add.at(counts, (band[known], place), 1)
        inputs[name] = {"edges": edges.tolist(), "counts": counts.tolist()}
    return {"life_edges": life_edges, "inputs": inputs}
