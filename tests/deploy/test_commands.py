"""Every command and setting that a document or a deployment file names exists."""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from vigia.cli import app
from vigia.settings import Settings

ROOT = Path(__file__).parents[2]
CLI = typer.main.get_command(app)
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
FILES = [
    *DOCUMENTS,
    COMPOSE,
    *(path for path in ROOT.glob("deploy/**/*") if path.is_file() and path.suffix != ".md" and "pki" not in path.parts),
]

BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
WORD = re.compile(r"--[a-z][a-z-]*|[a-z][a-z-]*")
END = re.compile(r"\s(?:#|&&|\|\||;|\||>)(?:\s|$)")
SETTING = re.compile(r"\bVIGIA_[A-Z][A-Z_]*[A-Z]\b")


@dataclass(frozen=True)
class CommandLine:
    """The words after `vigia`."""

    words: tuple[str, ...]

    def fault(self) -> str | None:
        """What is wrong with it, None if `vigia` would take it as far as names go; `a|b` stands for either."""
        commands = [CLI]
        for word in self.words:
            alternatives = word.split("=")[0].split("|")
            groups = [command for command in commands if isinstance(command, TyperGroup)]
            if word.startswith("-"):
                missing = [name for name in alternatives if not any(name in _options(command) for command in commands)]
                if missing:
                    return f"`vigia {' '.join(self.words)}`: no option {missing[0]}"
            elif groups:
                found = [group.commands[name] for group in groups for name in alternatives if name in group.commands]
                if len(found) < len(alternatives):
                    return f"`vigia {' '.join(self.words)}`: no command {word}"
                commands = found
        return None

    def runs(self) -> bool:
        """Whether it names a command to run rather than a group of commands."""
        command = CLI
        for word in self.words:
            if isinstance(command, TyperGroup) and word in command.commands:
                command = command.commands[word]
        return not isinstance(command, TyperGroup) or command.invoke_without_command


def _options(command: object) -> set[str]:
    names = {"--help"}
    for parameter in command.params:
        names.update(parameter.opts, parameter.secondary_opts)
    return names


def environment_of(command: object) -> set[str]:
    """Variables that stand for options of `command` or of one below it."""
    names = {str(parameter.envvar) for parameter in command.params if parameter.envvar}
    if isinstance(command, TyperGroup):
        names = names.union(*(environment_of(below) for below in command.commands.values()))
    return names


def in_markdown(text: str) -> Iterator[CommandLine]:
    blocks = "\n".join(BLOCK.findall(text)).replace("\\\n", " ")
    for line in [*blocks.splitlines(), *INLINE.findall(BLOCK.sub("", text))]:
        yield from in_shell(line)


def in_shell(line: str) -> Iterator[CommandLine]:
    """Command lines in one line of shell; what stands in brackets may be left out."""
    for command in END.split(f" {line} "):
        try:
            words = shlex.split(command.replace("[", " ").replace("]", " "))
        except ValueError:
            continue
        for index, word in enumerate(words[:-1]):
            names_program = word == "vigia" or word.endswith("/bin/vigia")
            is_value = index > 0 and (words[index - 1].startswith("-") or words[index - 1] in {"cd", "COPY"})
            if names_program and not is_value and WORD.fullmatch(words[index + 1].split("|")[0]):
                yield CommandLine(tuple(words[index + 1 :]))
                break


def in_compose() -> list[CommandLine]:
    services = yaml.safe_load(COMPOSE.read_text())["services"].values()
    return [CommandLine(tuple(service["command"][1:])) for service in services if service.get("command", [""])[0] == "vigia"]


def in_dockerfile() -> list[CommandLine]:
    lines = re.findall(r'^CMD \["vigia", (.*)\]$', DOCKERFILE.read_text(), re.MULTILINE)
    return [CommandLine(tuple(re.findall(r'"([^"]*)"', line))) for line in lines]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(document: Path) -> None:
    faults = [fault for line in in_markdown(document.read_text()) if (fault := line.fault())]
    assert not faults


@pytest.mark.parametrize("found", [in_compose, in_dockerfile])
def test_commands_of_the_containers_exist_and_run_something(found: Callable[[], list[CommandLine]]) -> None:
    lines = found()
    assert lines
    assert [fault for line in lines if (fault := line.fault())] == []
    assert [line for line in lines if not line.runs()] == []


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_that_are_named_exist(file: Path) -> None:
    fields = {f"VIGIA_{name.upper()}" for name in Settings.__dataclass_fields__} | environment_of(CLI)
    named = {name for name in SETTING.findall(file.read_text(errors="replace")) if not name.startswith("VIGIA_TEST_")}
    assert named <= fields


def test_unknown_commands_and_options_are_noticed() -> None:
    document = "Run `vigia api explode` then\n```sh\n$ .venv/bin/vigia api run --sideways  # why\ncd vigia && vigia api run --port 1\n```\n"
    faults = [line.fault() for line in in_markdown(document)]
    assert [fault is None for fault in faults] == [False, True, False]  # the block's first
