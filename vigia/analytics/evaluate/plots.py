"""What the evaluations draw, as PNG files. Needs matplotlib: pip install vigia[plots]."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigia.errors import ConfigError

_INK, _ALARM, _TRUTH = "#1f3b57", "#b3261e", "#f2c14e"
_WIDTH, _HEIGHT = 10.0, 2.4


def _figure(panels: int) -> Any:  # noqa: ANN401 - matplotlib's figure
    try:
        made = importlib.import_module("matplotlib.figure").Figure  # no display and no state of pyplot's
    except ImportError:
        message = "matplotlib is not installed: pip install vigia[plots], or leave --plots out."
        raise ConfigError(message) from None
    return made(figsize=(_WIDTH, _HEIGHT * panels), layout="constrained")


def _save(figure: Any, path: Path) -> Path:  # noqa: ANN401 - matplotlib's figure
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        message = f"{path}: {error.strerror or error}; choose another folder with --plots."
        raise ConfigError(message) from None
    return path


def statistic(path: Path, title: str, ratio: NDArray[np.float64], truth: NDArray[np.bool_] | None) -> Path:
    """A statistic with its limit 1 over the rows of a file; rows that are anomalous are shaded."""
    figure = _figure(1)
    axes = figure.add_subplot()
    axes.semilogy(np.maximum(ratio, 1e-4), color=_INK, linewidth=0.8)
    axes.axhline(1.0, color=_ALARM, linewidth=1.0, label="limit")
    if truth is not None and truth.any():
        axes.fill_between(
            np.arange(len(truth)), 0, 1, where=truth, transform=axes.get_xaxis_transform(), color=_TRUTH, alpha=0.4, label="anomaly"
        )
    axes.set(title=title, xlabel="row", ylabel="T2 + SPE / limit")
    axes.legend(loc="upper left")
    return _save(figure, path)


def series(path: Path, title: str, value: NDArray[np.float64], scores: NDArray[np.float64], windows: Sequence[tuple[int, int]]) -> Path:
    """A series, its anomaly windows shaded, and the detector's scores below it."""
    figure = _figure(2)
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(value, color=_INK, linewidth=0.7)
    for first, last in windows:
        above.axvspan(first, last, color=_TRUTH, alpha=0.4)
        below.axvspan(first, last, color=_TRUTH, alpha=0.4)
    told = np.flatnonzero(scores > 0)
    below.vlines(told, 0, scores[told], color=_ALARM, linewidth=0.8)
    above.set(title=title, ylabel="value")
    below.set(xlabel="row", ylabel="score", yscale="symlog")
    return _save(figure, path)


def bars(path: Path, title: str, shares: dict[str, float], unit: str) -> Path:
    """A share by name."""
    figure = _figure(1)
    axes = figure.add_subplot()
    axes.bar(list(shares), list(shares.values()), color=_INK)
    axes.set(title=title, ylabel=unit, ylim=(0, 1.05))
    return _save(figure, path)


def reliability(path: Path, title: str, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Path:
    """By name, the share that failed against the probability that was said; the area of a dot grows with the rows behind it."""
    figure = _figure(2)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=_TRUTH, linewidth=1.0, label="as promised")
    for (name, curve), ink in zip(curves.items(), (_INK, _ALARM), strict=False):
        said, failed, rows = ([one[key] for one in curve] for key in ("said", "failed", "rows"))
        axes.plot(said, failed, color=ink, linewidth=1.0, label=name)
        axes.scatter(said, failed, s=[10 + 3 * count**0.5 for count in rows], color=ink)
    axes.set(title=title, xlabel="probability said", ylabel="share that failed", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(loc="upper left")
    return _save(figure, path)


def lives(path: Path, title: str, true: NDArray[np.float64], quantiles: Sequence[NDArray[np.float64]]) -> Path:
    """Predicted against true remaining life, by unit, with its interval: `quantiles` are low, middle and high."""
    figure = _figure(2)
    axes = figure.add_subplot()
    order = np.argsort(true, kind="stable")
    at = np.arange(len(true))
    low, middle, high = (quantile[order] for quantile in quantiles)
    axes.fill_between(at, low, high, color=_TRUTH, alpha=0.4, label="p05 to p95")
    axes.plot(at, middle, ".", color=_INK, label="predicted")
    axes.plot(at, true[order], color=_ALARM, linewidth=1.0, label="true")
    axes.set(title=title, xlabel="unit, by true remaining life", ylabel="remaining life, cycles")
    axes.legend(loc="upper left")
    return _save(figure, path)


def orders(
    path: Path, at_order: NDArray[np.float64], remaining: Sequence[NDArray[np.float64]], median: Sequence[NDArray[np.float64]]
) -> Path:
    """Above, the life left at each machine's order; below, the median life said against the true one, a line a machine."""
    figure = _figure(4)
    above, below = figure.subplots(2, 1)
    above.hist(at_order[np.isfinite(at_order)], bins=40, color=_INK)
    above.set(title=f"Life left at the order; none for {int(np.isnan(at_order).sum())} of {len(at_order)} machines", ylabel="machines")
    for left, said in zip(remaining, median, strict=True):
        below.plot(left, said, color=_INK, linewidth=0.5, alpha=0.4)
    longest = max(float(said.max()) for said in median)
    below.plot([0, longest], [0, longest], color=_ALARM, linewidth=1.0, label="true")
    below.set(xlabel="true remaining life", ylabel="median said", xlim=(1.6 * longest, 0))
    below.legend(loc="upper right")
    return _save(figure, path)
