"""Fixtures of the gate's tests."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gate_harness import NODE, Server, register
from typer.testing import CliRunner

from vigia.cli import app


@pytest.fixture
def server(dsn: str, tmp_path: Path) -> Server:
    """A database with a registered edge node, and an authority; nothing runs yet."""
    asyncio.run(register(dsn, NODE))
    made = Server(dsn, tmp_path)
    done = CliRunner().invoke(app, ["fleet", "ca", "--authority", str(made.authority)])
    assert done.exit_code == 0, done.output
    return made
