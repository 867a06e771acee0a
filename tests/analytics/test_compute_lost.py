"""What is lost of a Dask cluster amid the work costs time or the command, never a wrong result and never a hang. Real processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask_cluster import Cluster
from distributed import Client

from vigia.analytics import compute
from vigia.analytics.compute import Compute, ComputeError, InProcess
from vigia.analytics.evaluate import cmapss

UNITS = range(40)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def interrupted(where: Compute, folder: Path, by: Callable[[], None]) -> list[float]:
    """The results of all units, each of which leaves a mark in `folder`; `by` is done once some of them have begun."""

    def slowly(folder: Path, part: int) -> float:  # here: what is sent to the workers is the function itself, not its name
        (folder / f"{part}-{os.getpid()}").touch()
        time.sleep(0.05)
        return float(1.1**part)

    def interrupt() -> None:
        while len(list(folder.iterdir())) < 6 and not done.is_set():
            time.sleep(0.01)
        by()

    done, killing = threading.Event(), threading.Thread(target=interrupt)
    killing.start()
    try:
        return where.map(slowly, folder, UNITS)
    finally:
        done.set()
        killing.join()


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def test_a_worker_that_is_killed_amid_the_work_changes_no_bit(tmp_path: Path, marks: Path) -> None:
    with Cluster(tmp_path, workers=2) as cluster, compute.at(cluster.address) as where:
        found = interrupted(where, marks, cluster.workers[0].kill)
        assert cluster.workers[0].wait() == -signal.SIGKILL
    begun = [mark.name.split("-") for mark in marks.iterdir()]
    assert len({pid for _, pid in begun}) == 2
    assert len(begun) > len(UNITS), "no unit was begun twice"
    marks.rename(tmp_path / "before")
    marks.mkdir()
    assert [its.hex() for its in found] == [its.hex() for its in interrupted(InProcess(), marks, lambda: None)]


def test_workers_that_are_killed_one_after_the_other_and_replaced_change_no_bit(tmp_path: Path, marks: Path) -> None:
    def replace() -> None:
        for process in list(cluster.workers):
            process.kill()
            process.wait()
        cluster.start_worker()

    with Cluster(tmp_path, workers=2) as cluster, compute.at(cluster.address) as where:
        found = interrupted(where, marks, replace)
    assert found == [1.1**part for part in UNITS]


@pytest.mark.parametrize("lost", ["workers", "scheduler"])
def test_all_workers_or_the_scheduler_killed_is_one_sentence(
    lost: str, tmp_path: Path, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "SILENCE_S", 2.0)
    with Cluster(tmp_path, workers=2) as cluster:
        gone = cluster.workers if lost == "workers" else [cluster.scheduler]
        with pytest.raises(ComputeError, match=r"lost amid the work.*start the command again\.$"), compute.at(cluster.address) as where:
            interrupted(where, marks, lambda: [process.kill() for process in gone] and None)


def test_a_scheduler_that_falls_silent_is_given_up(tmp_path: Path, marks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "SILENCE_S", 2.0)
    with (
        Cluster(tmp_path, workers=2) as cluster,
        pytest.raises(ComputeError, match="lost amid the work"),
        compute.at(cluster.address) as where,
    ):
        interrupted(where, marks, lambda: cluster.scheduler.send_signal(signal.SIGSTOP))


def test_a_worker_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "SILENCE_S", 2.0)
    with Cluster(tmp_path, workers=2) as cluster:
        cluster.workers[1].send_signal(signal.SIGSTOP)
        with pytest.raises(ComputeError, match="Not all workers"), compute.at(cluster.address):
            pass


def benchmark(folder: Path, training_file: Path, units: int) -> Path:
    """A benchmark of its own kind: the first `units` engines to learn from, and the next four, cut off 40 cycles before their end."""
    runs = cmapss.read_runs(training_file, range(1, units + 5))
    for name, some, less in (("train", runs[:units], 0), ("test", runs[units:], 40)):
        rows = [np.column_stack((np.full(len(run.cycles), run.unit), run.cycles, run.settings, run.sensors)) for run in some]
        np.savetxt(folder / f"{name}_FD001.txt", np.vstack([its[: len(its) - less] for its in rows]))
    np.savetxt(folder / "RUL_FD001.txt", np.full(4, 40.0))
    return folder


def evaluating(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "vigia", "analytics", "evaluate", "cmapss", "--json", "--data", str(folder), *options)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def working(cluster: Cluster) -> None:
    """Wait until a worker has something to do."""
    with Client(cluster.address, set_as_default=False) as client:
        while not any(client.processing().values()):
            time.sleep(0.05)


def test_the_benchmark_command_says_the_same_over_two_workers_of_which_one_is_killed(training_file: Path, tmp_path: Path) -> None:
    folder = benchmark(tmp_path, training_file, 12)
    with Cluster(tmp_path, workers=2) as cluster:
        running = evaluating(folder, "--dask", cluster.address)
        working(cluster)
        cluster.workers[0].kill()
        there, said = running.communicate()
    assert (running.returncode, said) == (0, "")
    here, _ = evaluating(folder).communicate()
    assert without_times(json.loads(there)) == without_times(json.loads(here))


def without_times(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: without_times(its) if isinstance(its, dict) else its
        for name, its in found.items()
        if name not in {"train_s", "predict_rows_per_s"}
    }


def test_the_benchmark_command_ends_in_one_sentence_when_the_scheduler_is_killed(training_file: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path, workers=2) as cluster:
        running = evaluating(benchmark(tmp_path, training_file, 12), "--dask", cluster.address)
        working(cluster)
        cluster.scheduler.kill()
        out, said = running.communicate(timeout=120)
    assert (running.returncode, out) == (2, "")
    assert said.startswith(f"vigia: The Dask cluster at {cluster.address} was lost amid the work")
    assert said.count("\n") == 1
