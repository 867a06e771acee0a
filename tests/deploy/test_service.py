"""The gateway's systemd unit: understood by systemd, and as closed as a program can be that speaks to machines and writes one folder."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deployed import DEPLOY

UNIT = DEPLOY / "vigia-edge.service"
ANALYZE = shutil.which("systemd-analyze") or ""
MOST_EXPOSED = 20  # tenths, of 100: what systemd-analyze calls the exposure level


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    if not ANALYZE:
        pytest.skip("NOT RUN: systemd-analyze is not on PATH (Debian: systemd)")
    unit = tmp_path / UNIT.name
    text, count = re.subn(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    assert count == 1
    unit.write_text(text)
    return unit


def test_systemd_understands_the_unit(installed: Path) -> None:
    done = subprocess.run([ANALYZE, "verify", "--man=no", str(installed)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_exposed_no_more_than_it_must_be(installed: Path) -> None:
    command = [ANALYZE, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(installed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_it_comes_back_and_runs_as_nobody_special() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert (service["User"], service["Restart"], service["UMask"]) == ("vigia-edge", "always", "0077")
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
