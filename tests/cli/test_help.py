"""The map of all commands answers at once, and costs none of the libraries that the commands need."""

import json
import resource
import subprocess
import sys

import pytest
import typer

from vigia import cli

GROUPS = ("demo", "edge", "ingest", "analytics", "worker", "api", "gate", "fleet", "db", "bench")
SERVER_LIBRARIES = ("numba", "numpy", "sklearn", "fastapi", "uvicorn", "psycopg", "procrastinate", "httpx", "psutil")
SLOW_LIBRARIES = ("asyncio", "pydantic", "rich", "structlog")


def commands() -> list[list[str]]:
    """Every group and command by its words."""

    def below(command: object, words: list[str]) -> list[list[str]]:
        named = getattr(command, "commands", {})
        return [words, *(found for name, child in named.items() for found in below(child, [*words, name]))]

    return below(typer.main.get_command(cli.app), [])


def cpu_s_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_names_every_group_at_once() -> None:
    fastest = float("inf")
    for _ in range(3):  # the best of three, in time of the processor: this is about us, not about what else the machine does
        begun = cpu_s_of_children()
        done = subprocess.run([sys.executable, "-m", "vigia", "--help"], capture_output=True, text=True, check=True)
        fastest = min(fastest, cpu_s_of_children() - begun)
        assert all(f"\n  {group} " in done.stdout for group in GROUPS), done.stdout
    assert fastest < 0.6


def test_every_command_explains_itself_without_the_servers_libraries() -> None:
    every = commands()
    assert len(every) > len(GROUPS) + 1
    code = (
        "import sys\n"
        f"for name in {SERVER_LIBRARIES!r}: sys.modules[name] = None\n"  # cannot be imported, as if it were not installed
        "from typer.testing import CliRunner\n"
        "from vigia.cli import app\n"
        f"for words in {every!r}:\n"
        "    done = CliRunner().invoke(app, [*words, '--help'])\n"
        "    assert done.exit_code == 0 and 'Usage:' in done.output, (words, done.output, done.exception)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def loaded_by(code: str) -> set[str]:
    code = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_command_line_loads_no_room() -> None:
    loaded = loaded_by("import vigia.cli")
    assert loaded & {*SERVER_LIBRARIES, *SLOW_LIBRARIES} == set()
    assert not [name for name in loaded if name.startswith(("vigia.store", "vigia.ingest", "vigia.api", "vigia.portal", "vigia.bench"))]


def test_logging_loads_only_what_it_writes_with() -> None:
    loaded = loaded_by("from vigia.cli.logs import configure_logging\nconfigure_logging('info')")
    assert loaded & {"structlog", "rich", "pydantic"} == {"structlog"}
    assert "rich" in loaded_by("from vigia.cli.logs import configure_logging\nconfigure_logging('info')\nimport rich")


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(["vigia", *words]))
def test_every_command_says_what_it_does(words: list[str]) -> None:
    command = typer.main.get_command(cli.app)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert command.help
