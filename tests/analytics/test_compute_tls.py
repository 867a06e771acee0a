"""A Dask cluster that speaks TLS, with certificates made as docs/operations.md says, computes for whoever has one and for nobody else."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from dask_cluster import Cluster

MANUAL = Path(__file__).parents[2] / "docs" / "operations.md"
CLIENT = """
import sys
from vigia.analytics import compute
from vigia.errors import VigiaError
compute.CONNECT_S = 5.0
try:
    with compute.at(sys.argv[1]) as where:
        print(where.map(lambda shared, part: shared**part, 3, range(5)))
except VigiaError as error:
    print(error)
"""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dask-tls")]


def made_in(folder: Path) -> dict[str, str]:
    """The files that the manual's own commands make, by the option of the scheduler and the workers."""
    folder.mkdir()
    (commands,) = re.findall(r"```sh\n(openssl .*?)```", MANUAL.read_text(), re.DOTALL)
    subprocess.run(["/bin/sh", "-e", "-c", commands], cwd=folder, check=True, capture_output=True)
    return {"ca-file": str(folder / "ca.pem"), "cert": str(folder / "dask.pem"), "key": str(folder / "dask.key")}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return made_in(tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, certificates: dict[str, str]) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("dask"), workers=2, tls=certificates) as started:
        yield started


def said_to(address: str, tls: Mapping[str, str]) -> str:
    """What a client with these files says."""
    setting = "DASK_DISTRIBUTED__COMM__TLS__"
    names = {"ca-file": "CA_FILE", "cert": "CLIENT__CERT", "key": "CLIENT__KEY"}
    environment = {**os.environ, **{setting + names[name]: path for name, path in tls.items()}}
    done = subprocess.run([sys.executable, "-c", CLIENT, address], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert not done.stderr
    return done.stdout.strip()


def test_who_has_a_certificate_of_the_cluster_computes_there(cluster: Cluster, certificates: dict[str, str]) -> None:
    assert said_to(cluster.address, certificates) == "[1, 3, 9, 27, 81]"


def test_who_has_one_of_another_authority_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    assert "whether both sides have certificates of the same authority" in said_to(cluster.address, made_in(tmp_path / "another"))


def test_who_has_none_is_refused(cluster: Cluster) -> None:
    assert "No Dask scheduler answers" in said_to(cluster.address.replace("tls://", "tcp://"), {})
