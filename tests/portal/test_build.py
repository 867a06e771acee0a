"""The front-end files come by name from the lock file, and a missing network is told in one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

from vigia.portal import build


def test_building_again_fetches_nothing() -> None:
    build.build_vendor()
    assert build.build_vendor() is False


def test_the_lock_file_names_no_registry() -> None:
    lock = (build.FRONTEND / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert "://" not in "".join(line for line in lock.splitlines() if '"url"' not in line)
    assert all("integrity" in package for name, package in json.loads(lock)["packages"].items() if name)


def test_an_unreachable_registry_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    program = f"""
import sys, pathlib, vigia.portal.build as b
b.BUILD = pathlib.Path({str(tmp_path / "build")!r}); b.VENDOR = pathlib.Path({str(tmp_path / "vendor")!r}) / "x"
sys.exit(b.main())
"""
    environment = {**os.environ, "npm_config_registry": "http://127.0.0.1:9/", "npm_config_cache": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert done.stderr == "The npm registry cannot be reached; check the network and run `python -m vigia.portal.build` again.\n"
