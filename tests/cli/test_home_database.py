"""Commands that soon end work on the home's own database when none is named."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("cheap_passwords")
def test_what_the_demo_stored_is_listed_without_naming_a_database(tmp_path: Path, printed: Callable[..., str]) -> None:
    home = str(tmp_path / "home")
    subprocess.run([sys.executable, "-m", "vigia", "db", "migrate", "--home", home], check=True, timeout=90)  # in a process that is over
    printed("db", "seed", "--home", home)

    assert printed("ingest", "dead-letters", "--home", home) == "No dead letters.\n"
    assert "brisal/brisal-meseta" in printed("ingest", "status", "--home", home)
    assert "0001_initial" in printed("db", "status", "--home", home)
