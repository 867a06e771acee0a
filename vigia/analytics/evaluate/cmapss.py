"""NASA's C-MAPSS turbofan runs (PHM08): what the columns mean, and how to read the files.

A file is text, plain or gzip-compressed, one row a flight cycle, 26 columns: unit, cycle, 3 settings, 21 sensors.
"""

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vigia.errors import VigiaError

SETTINGS = ("setting_1", "setting_2", "setting_3")
SENSORS = (
    "T2", "T24", "T30", "T50", "P2", "P15", "P30", "Nf", "Nc", "epr", "Ps30",
    "phi", "NRf", "NRc", "BPR", "farB", "htBleed", "Nf_dmd", "PCNfR_dmd", "W31", "W32",
)  # fmt: skip
UNITS = (
    "[degR]", "[degR]", "[degR]", "[degR]", "[psi]", "[psi]", "[psi]", "{rpm}", "{rpm}", "1", "[psi]",
    "1", "{rpm}", "{rpm}", "1", "1", "1", "{rpm}", "{rpm}", "[lb_av]/s", "[lb_av]/s",
)  # fmt: skip
"""UCUM unit of each sensor, in the order of SENSORS."""
COLUMNS = ("unit", "cycle", *SETTINGS, *SENSORS)
FAILURE_MODE = "hpc_degradation"


class CmapssError(VigiaError):
    """The file is not one of NASA's C-MAPSS files; it needs 26 numeric columns."""


@dataclass(frozen=True)
class Run:
    """One engine from its first recorded cycle on; a training run ends with the last cycle before the failure."""

    unit: int
    cycles: NDArray[np.int64]
    settings: NDArray[np.float64]
    """float64[cycles, 3]"""
    sensors: NDArray[np.float64]
    """float64[cycles, 21], in the order and units of SENSORS"""

    def remaining(self, at_end: int = 0) -> NDArray[np.float64]:
        """True remaining cycles after each cycle, when `at_end` cycles remain after the last one."""
        return np.asarray(self.cycles[-1] - self.cycles + at_end, dtype=np.float64)


def find(folder: Path, name: str) -> Path:
    """The file `name` or `name`.gz in `folder`. Raises CmapssError when neither is there."""
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    message = f"{folder} holds neither {name} nor {name}.gz; download them from NASA's Prognostics Data Repository."
    raise CmapssError(message)


def _numbers(path: Path) -> NDArray[np.float64]:
    try:
        with gzip.open(path, "rt", encoding="ascii") if path.suffix == ".gz" else path.open(encoding="ascii") as file:
            lines = file.readlines()
        if not any(line.strip() for line in lines):
            raise CmapssError(f"{path} is empty.")
        return np.loadtxt(lines, ndmin=2)
    except (OSError, EOFError) as error:
        message = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}."
        raise CmapssError(message) from None
    except ValueError as error:
        message = f"{path} is not a C-MAPSS file: {error}."
        raise CmapssError(message) from None


def read_runs(path: Path, units: Iterable[int] | None = None) -> list[Run]:
    """The runs in `path`, all or only `units`, by unit and cycle. Raises CmapssError naming the file."""
    table = _numbers(path)
    if table.shape[1] != len(COLUMNS):
        message = f"{path} has {table.shape[1]} columns; a C-MAPSS file has {len(COLUMNS)}."
        raise CmapssError(message)
    if not np.isfinite(table[:, :2]).all():
        message = f"{path}: a row has no unit or no cycle."
        raise CmapssError(message)
    wanted = sorted(set(np.unique(table[:, 0]).astype(int)) if units is None else set(units))
    runs = []
    for unit in wanted:
        rows = table[table[:, 0] == unit]
        if not len(rows):
            message = f"{path} has no unit {unit}."
            raise CmapssError(message)
        rows = rows[np.argsort(rows[:, 1], kind="stable")]
        runs.append(Run(unit, rows[:, 1].astype(np.int64), rows[:, 2:5].copy(), rows[:, 5:].copy()))
    return runs


def read_remaining(path: Path) -> NDArray[np.float64]:
    """True remaining cycles after the last cycle of each test unit, from an `RUL_` file."""
    return _numbers(path)[:, 0]


def load_lives(path: Path) -> dict[int, int]:
    """The last recorded cycle of each unit in `path`; in a training file, its life."""
    return {run.unit: int(run.cycles[-1]) for run in read_runs(path)}
