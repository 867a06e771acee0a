"""Commands that soon end work on the home's own database when none is named."""

import subprocess
import sys
from pathlib import Path

import pytest


def vigia(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "vigia", *arguments], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(180)
def test_what_the_demo_stored_is_listed_without_naming_a_database(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    vigia("db", "migrate", "--home", home)
    vigia("db", "seed", "--home", home)

    assert vigia("ingest", "dead-letters", "--home", home) == "No dead letters.\n"
    assert "brisal/brisal-meseta" in vigia("ingest", "status", "--home", home)
    assert "0001_initial" in vigia("db", "status", "--home", home)
