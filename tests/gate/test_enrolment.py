"""From a token to an identity, through the processes as they run on a server and on a gateway."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gate_harness import GROUP, NODE, Server, wait_for
from typer.testing import CliRunner

from vigia.cli import app
from vigia.edge.identity import load
from vigia.errors import VigiaError


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, done.stderr
    return lines[0].removeprefix("vigia: ")


def sentence(*arguments: str | Path) -> str:
    """With which a command ends that cannot work."""
    error = CliRunner().invoke(app, list(map(str, arguments))).exception
    assert isinstance(error, VigiaError), error
    assert "\n" not in str(error)
    return str(error)


def test_a_gateway_enrols_once_and_may_repeat_it_until_it_has_succeeded(server: Server, tmp_path: Path) -> None:
    api_log, folder = tmp_path / "api.log", tmp_path / "identity"
    with server.api({"VIGIA_GATEWAY_BROKER": "mqtts://broker.example.com"}), ThreadPoolExecutor() as threads:
        token = server.token()
        asking = threads.submit(server.enroll, folder, token)
        wait_for(lambda: "route=/api/v1/enrolments status=200" in api_log.read_text(), "the first request")
        with server.gate():
            done = asking.result()
        assert done.returncode == 0, done.stderr
        assert f"{GROUP}/{NODE}" in done.stdout
        assert "not encrypted" in done.stderr
        assert token not in done.stdout + server.words_of_gate + api_log.read_text()
        first = load(folder)
        assert (first.group_id, first.node_id, first.broker) == (GROUP, NODE, "mqtts://broker.example.com")

        # As if the gateway had been killed before it could keep the answer: for the key that it has the token is good.
        kept = first.credentials.read_text().split("-----BEGIN CERTIFICATE-----")[0]
        first.credentials.unlink()
        (folder / "new-key.pem").write_text(kept)
        done = server.enroll(folder, token)
        assert done.returncode == 0, done.stderr
        assert load(folder).serial_number == first.serial_number

        assert "admits no gateway" in refusal(server.enroll(tmp_path / "thief", token))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["edge", "enroll", "--server", "http://127.0.0.1:1", "--token", "x", "--folder", "{folder}/i"], "cannot be reached"),
        (["edge", "enroll", "--server", "vigia.example.com", "--token", "x", "--folder", "{folder}/i"], "is no server"),
        (["edge", "enroll", "--server", "https://h", "--token", "x", "--folder", "{folder}/i", "--ca", "{file}"], "name a PEM file"),
        (["edge", "enroll", "--server", "http://127.0.0.1:1", "--token", "x", "--folder", "{file}"], "that can be written"),
        (["fleet", "ca", "--authority", "{file}/a"], "choose another folder"),
        (["gate", "run", "--dsn", "postgresql://nobody@127.0.0.1:1/vigia", "--authority", "{folder}/none"], "vigia fleet ca"),
        (["gate", "run"], "No database is named"),
    ],
)
def test_what_cannot_work_is_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    file = tmp_path / "file"
    file.touch()
    assert words in sentence(*(word.format(folder=tmp_path, file=file) for word in arguments))


def test_an_authority_is_made_once(server: Server) -> None:
    assert "already" in sentence("fleet", "ca", "--authority", server.authority)


def test_an_unregistered_node_gets_no_token(server: Server) -> None:
    assert "is registered" in sentence("fleet", "token", GROUP, "lisbon", "--dsn", server.dsn)
