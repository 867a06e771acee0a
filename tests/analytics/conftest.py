"""A small model and real engines, for the tests of the prognosis."""

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.prognosis.model import Prognosis
from vigia.analytics.prognosis.train import train

TRAINING_FILE = Path(str(resources.files("vigia.demo") / "data" / "train_FD001.txt.gz"))


@pytest.fixture(scope="session")
def training_file() -> Path:
    return TRAINING_FILE


@pytest.fixture(scope="session")
def runs() -> list[cmapss.Run]:
    return cmapss.read_runs(TRAINING_FILE, range(1, 17))


@pytest.fixture(scope="session")
def model(runs: list[cmapss.Run]) -> Prognosis:
    """Trained on units 1-10 with fewer trees; units 11-16 are unseen."""
    return train(turbofan.histories(runs[:10]), turbofan.options(30.0, trees=40))


@pytest.fixture(scope="session")
def history() -> Callable[[cmapss.Run], np.ndarray]:
    """An engine's settings and sensors, one row a cycle."""

    def inputs(run: cmapss.Run) -> np.ndarray:
        return np.hstack((run.settings, run.sensors))

    return inputs


def names() -> Sequence[str]:
    return (*cmapss.SETTINGS, *cmapss.SENSORS)
