"""Where the checker and the harness of ingest's tests are, and what both plays showed: played once for all tests that ask."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ingest"))
sys.path.insert(0, str(Path(__file__).parent))

from conformance.plays import play
from conformance.transcript import Transcript


@pytest.fixture(scope="session")
def plays(server_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Transcript]:
    """The transcripts of our edge node and of our host application."""
    if not shutil.which("mosquitto"):
        pytest.skip("mosquitto is not installed")
    return play(tmp_path_factory.mktemp("conformance"), server_dsn)
