"""Training, back-test and scoring give the same bits in this process and over a Dask cluster of one worker or two."""

import asyncio
import dataclasses
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import dask
import numpy as np
import pytest
from dask_cluster import Cluster, free_port

from vigia.analytics import compute, training
from vigia.analytics.compute import Compute, ComputeError, InProcess, NoDaskError
from vigia.analytics.evaluate import cmapss, turbofan
from vigia.analytics.evaluate.back_test import back_test
from vigia.analytics.prognosis import score
from vigia.analytics.prognosis.decision import Costs
from vigia.analytics.prognosis.score import Machine, judge_fleet
from vigia.analytics.prognosis.train import train
from vigia.analytics.training import TrainingPlan


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, each in a process of its own."""
    with Cluster(tmp_path_factory.mktemp("dask"), workers=2) as started:
        yield started


def bits(value: object) -> object:
    """All numbers of a result, exactly; what tells how long it took is left out."""
    if dataclasses.is_dataclass(value):
        return [(each.name, bits(getattr(value, each.name))) for each in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return [(key, bits(its)) for key, its in value.items() if key != "train_s"]
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [bits(one) for one in value]
    return value.hex() if isinstance(value, float) else value


def thinned(runs: Sequence[cmapss.Run]) -> list[cmapss.Run]:
    return [cmapss.Run(run.unit, run.cycles[::4], run.settings[::4], run.sensors[::4]) for run in runs]


def few(runs: Sequence[cmapss.Run], where: Compute) -> object:
    """A back-test of a fleet with few failures, in bits."""
    return bits(list(back_test(turbofan.histories(runs[:3]), turbofan.options(30.0), Costs(100.0, 10.0, 0.1, 10.0), 1_000.0, where)))


def many(runs: Sequence[cmapss.Run], where: Compute) -> object:
    """A model of trees and a fleet's forecast, in bits."""
    model = train(turbofan.histories(runs[:10]), turbofan.options(30.0, trees=8), where)
    fleet = [Machine(np.hstack((run.settings, run.sensors)), run.cycles.astype(float)) for run in runs]
    return bits(model), bits(list(judge_fleet(model, fleet, where)))


def test_results_come_back_in_the_order_of_the_units(cluster: Cluster) -> None:
    def power(shared: float, part: int) -> tuple[float, int]:
        return (1 + shared) ** part, os.getpid()

    with compute.at(cluster.address) as two:
        found = two.map(power, 0.1, range(40))
        workers = {pid for _, pid in found}
    assert [its for its, _ in found] == [its for its, _ in InProcess().map(power, 0.1, range(40))]
    assert len(workers) == 2
    assert os.getpid() not in workers


@pytest.mark.slow
def test_the_bits_of_a_back_test_are_the_same(runs: list[cmapss.Run], cluster: Cluster) -> None:
    runs = thinned(runs)
    with compute.at(cluster.address) as two:
        assert few(runs, two) == few(runs, InProcess())


@pytest.mark.slow
def test_the_bits_of_trees_and_of_a_fleet_are_the_same(runs: list[cmapss.Run], cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "MACHINES_AT_ONCE", 5)
    runs = thinned(runs)
    with compute.at(cluster.address) as two:
        assert many(runs, two) == many(runs, InProcess())


def test_what_work_raises_is_raised_here(cluster: Cluster) -> None:
    def fail(_shared: None, part: int) -> None:
        raise cmapss.CmapssError(f"unit {part} is not to be had")

    with compute.at(cluster.address) as where, pytest.raises(cmapss.CmapssError, match="unit 3 is not to be had"):
        where.map(fail, None, [3])


def test_a_worker_of_another_version_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "versions", lambda: {"vigia": "0.0.9 (abc)"})
    with (
        pytest.raises(ComputeError, match=r"The Dask worker tcp://127\.0\.0\.1:\d+ has vigia \S+ \(\w{12}\) instead of 0\.0\.9 \(abc\)"),
        compute.at(cluster.address),
    ):
        pass


def test_a_worker_of_another_python_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.10.0")
    with pytest.raises(ComputeError, match=r"has python 3\.1\d\.\d+ instead of 3\.10\.0"), compute.at(cluster.address):
        pass


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "CONNECT_S", 0.3)
    with pytest.raises(ComputeError, match="No Dask scheduler answers at"), compute.at(f"tcp://127.0.0.1:{free_port()}"):
        pass


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_somebody_else_there_is_said(says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer() -> None:
        with suppress(OSError):
            while True:
                heard.append(listener.accept()[0])  # which keeps it open
                heard[-1].sendall(says)

    monkeypatch.setattr(compute, "CONNECT_S", 0.3)
    heard: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=answer)
        answering.start()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ComputeError, match="No Dask scheduler answers at"), compute.at(address):
            pass
        listener.shutdown(socket.SHUT_RDWR)  # which ends its waiting
        answering.join(10)
    for one in heard:
        one.close()


@pytest.mark.parametrize(
    "address", ["", "foo", "10.0.0.5:8786", "http://10.0.0.5:8786", "tcp://", "tcp://10.0.0.5", "tcp://h:99999", "tcp://h:1/"]
)
def test_what_is_no_address_is_refused_before_anything_is_done(address: str, vigia: Callable[..., CompletedProcess[str]]) -> None:
    said = vigia("analytics", "train", "--data", "none.txt", "--dask", address)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == f"vigia: --dask {address!r} is no address of a Dask scheduler; write tcp://HOST:PORT or tls://HOST:PORT.\n"


def test_tls_wants_certificates_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(ComputeError, match="wants certificates; name the files with DASK_DISTRIBUTED__COMM__TLS__CA_FILE"):
        compute.at("tls://127.0.0.1:1").__enter__()
    (tmp_path / "ca.pem").write_text("none")
    for name in ("ca.pem", "gone.pem"):
        files = {f"distributed.comm.tls.{its}": str(tmp_path / name) for its in ("ca-file", "client.cert", "client.key")}
        with dask.config.set(files), pytest.raises(ComputeError, match="cannot be used"):
            compute.at("tls://127.0.0.1:1").__enter__()


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NoDaskError, match=r"pip install vigia\[server,dask\]"), compute.at("tcp://127.0.0.1:1"):
        pass


@pytest.mark.slow
async def test_training_in_a_process_of_its_own_works_over_dask(cluster: Cluster, training_file: Path, tmp_path: Path) -> None:
    plans = [TrainingPlan(training_file, range(1, 13), tmp_path / str(dask), dask=dask) for dask in (None, cluster.address)]
    one, other = await asyncio.gather(*(training.train_apart(plan) for plan in plans))
    assert bits(one.metrics) == bits(other.metrics)


@pytest.mark.slow
def test_one_worker_or_none(runs: list[cmapss.Run], tmp_path: Path) -> None:
    with Cluster(tmp_path) as alone:
        with pytest.raises(ComputeError, match="has no workers"), compute.at(alone.address):
            pass
        alone.start_worker()
        alone.wait_for(1)
        with compute.at(alone.address) as where:
            assert many(thinned(runs), where) == many(thinned(runs), InProcess())
