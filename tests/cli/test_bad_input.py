"""What cannot work is one sentence on standard error that says what to do, and exit code 2. Never a traceback, never a hang."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

NO_DATABASE = "postgresql://postgres@127.0.0.1:1/vigia"
MOUNT, UMOUNT = shutil.which("mount") or "/bin/mount", shutil.which("umount") or "/bin/umount"
NO_BROKER = "mqtt://127.0.0.1:1"
EDGE = """
[broker]
url = "mqtt://127.0.0.1:1"
[buffer]
folder = "buffers"
[[node]]
group_id = "acme"
node_id = "acme-one"
[node.source]
type = "replay"
logbook = "logbook.jsonl"
data = "recording.txt"
devices = ["R1"]
"""


Refusal = Callable[..., str]


@pytest.fixture
def refusal(vigia: Callable[..., CompletedProcess[str]]) -> Refusal:
    """The sentence with which `vigia arguments` ends."""
    return lambda *arguments, **variables: sentence(vigia(*arguments, **variables))


@pytest.fixture
def demo(refusal: Refusal, cheap_passwords: None) -> Refusal:  # noqa: ARG001
    """The sentence with which the demo ends in the folder given first."""
    return lambda home, *options, **variables: refusal("demo", "--headless", "--home", str(home), *options, **variables)


def refusal_of_a_process(*arguments: str, **variables: str) -> str:
    """Likewise, of a process of its own: whole, with all that a start brings with it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    done = subprocess.run(
        [sys.executable, "-m", "vigia", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        stdin=subprocess.DEVNULL,
        env={**inherited, **variables},
    )
    return sentence(done)


def sentence(done: CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("vigia: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("vigia: ").strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What stands where a folder should be: not even root can write below it."""
    path = tmp_path / "file"
    path.touch()
    return path


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield str(listener.getsockname()[1])


# ── no database, no broker ──


@pytest.mark.parametrize(
    "command",
    [
        ["ingest", "run", "--broker", NO_BROKER],
        ["analytics", "run"],
        ["worker", "run"],
        ["api", "run", "--port", "0"],
        ["demo", "--headless", "--port", "0"],
        ["db", "migrate"],
        ["bench", "ingest"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_no_database(command: list[str], tmp_path: Path) -> None:
    said = refusal_of_a_process(*command, VIGIA_DSN=NO_DATABASE, VIGIA_HOME=str(tmp_path / "home"))
    assert said.startswith("no database answers")
    assert "--dsn (VIGIA_DSN)" in said


@pytest.mark.parametrize("command", [["ingest", "run", "--broker", NO_BROKER], ["worker", "run"], ["api", "run", "--port", "0"]])
def test_a_database_that_is_not_set_up(command: list[str], empty_dsn: str, refusal: Refusal) -> None:
    assert refusal(*command, "--dsn", empty_dsn) == "The database is not set up for Vigía; run `vigia db migrate`."


def test_ingest_finds_no_broker(dsn: str, refusal: Refusal) -> None:
    assert "check that it runs and that --broker (VIGIA_BROKER) names it" in refusal("ingest", "run", "--dsn", dsn, "--broker", NO_BROKER)


def test_the_demo_finds_no_broker(dsn: str, tmp_path: Path, demo: Refusal) -> None:
    said = demo(tmp_path, "--port", "0", "--dsn", dsn, "--broker", NO_BROKER)
    assert said == "no broker answers at 127.0.0.1:1; check that it runs and that --broker (VIGIA_BROKER) names it"


def test_the_benchmark_finds_no_broker(server_dsn: str, tmp_path: Path, refusal: Refusal) -> None:
    said = refusal("bench", "ingest", "--home", str(tmp_path / "home"), "--dsn", server_dsn, "--broker", NO_BROKER)
    assert "--broker (VIGIA_BROKER)" in said
    assert not (tmp_path / "home").exists()


# ── ports and folders ──


def test_the_demos_port_is_taken(tmp_path: Path, taken_port: str, demo: Refusal) -> None:
    assert "choose another with --port" in demo(tmp_path, "--port", taken_port)


def test_the_apis_port_is_taken(dsn: str, taken_port: str, refusal: Refusal) -> None:
    assert "choose another with --port" in refusal("api", "run", "--dsn", dsn, "--port", taken_port)


@pytest.mark.parametrize("port", ["0", "8080"])
def test_a_host_that_is_nowhere(tmp_path: Path, port: str, demo: Refusal) -> None:
    assert "--host" in demo(tmp_path, "--port", port, VIGIA_HOST="nowhere.invalid")


@pytest.mark.parametrize("command", [["demo", "--port", "0"], ["db", "migrate"], ["db", "seed"], ["bench", "ingest"]])
@pytest.mark.parametrize("below", [".", "below"])
def test_a_home_that_cannot_be_written(command: list[str], below: str, file: Path, refusal: Refusal) -> None:
    assert "--home" in refusal(*command, "--home", str(file / below))


# ── options and variables ──


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("VIGIA_PORT", "eighty", "VIGIA_PORT (--port) = 'eighty'"),
        ("VIGIA_PORT", "99999", "VIGIA_PORT (--port)"),
        ("VIGIA_LOG_LEVEL", "loud", "VIGIA_LOG_LEVEL = 'loud'"),
        ("VIGIA_DSN", "nonsense", "write postgresql://user:password@host:port/database"),
        ("VIGIA_BROKER", "http://127.0.0.1", "write mqtt://host:port"),
        ("VIGIA_BROKER", "mqtt://127.0.0.1:99999", "write mqtt://host:port"),
    ],
)
def test_a_bad_variable(name: str, value: str, remedy: str, tmp_path: Path, refusal: Refusal) -> None:
    given = {"VIGIA_HOME": str(tmp_path), "VIGIA_BROKER": NO_BROKER, "VIGIA_DSN": NO_DATABASE, name: value}
    assert remedy in refusal("ingest", "run", **given)
    assert remedy in refusal("demo", "--headless", **{"VIGIA_PORT": "0", **given})


@pytest.mark.parametrize("command", [["ingest", "run"], ["demo", "--headless"]])
@pytest.mark.parametrize("there", [True, False])
def test_a_certificate_that_is_none(command: list[str], there: bool, file: Path, tmp_path: Path, refusal: Refusal) -> None:  # noqa: FBT001
    path = file if there else tmp_path / "nowhere.pem"
    environment = {"VIGIA_HOME": str(tmp_path / "home"), "VIGIA_DSN": NO_DATABASE, "VIGIA_PORT": "0", "VIGIA_BROKER_CA": str(path)}
    assert "correct VIGIA_BROKER_CA" in refusal(*command, VIGIA_BROKER="mqtts://127.0.0.1:1", **environment)


@pytest.mark.parametrize("options", [["--speed", "fast"], ["--speed", "0"], ["--engines", "0"], ["--engines", "21"], ["--hours", "0"]])
def test_an_option_of_the_demo_that_makes_no_sense(options: list[str], tmp_path: Path, demo: Refusal) -> None:
    assert demo(tmp_path, "--port", "0", *options).startswith(" ".join(options))


def test_a_home_that_holds_a_run_of_another_plan(tmp_path: Path, demo: Refusal) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "logbook.jsonl").write_text(json.dumps({"kind": "plan", "fix": True, "engines": 3, "hours": 9}) + "\n")
    said = demo(tmp_path, "--port", "0", "--no-fix", "--engines", "3", "--hours", "9")
    assert "holds a run with --fix --engines 3: go on with the same options, or choose another folder with --home" in said


# ── the gateway's configuration ──


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (EDGE.replace("[buffer]", "colour = 1\n[buffer]"), "broker.colour is not a setting; remove it or correct its spelling"),
        (EDGE.replace('group_id = "acme"\n', ""), "node[0].group_id is missing; add it"),
        (EDGE.replace('"replay"', '"telepathy"'), "node[0].source.type is 'telepathy'; choose one of: "),
        ("[broker\n", "not a TOML file"),
        ('broker = "x"\n', "broker = 'x'"),
    ],
)
@pytest.mark.parametrize("given", [[], ["--broker", NO_BROKER]])
def test_a_bad_configuration_of_the_gateway(text: str, remedy: str, given: list[str], tmp_path: Path, refusal: Refusal) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(text)
    said = refusal("edge", "run", "--config", str(config), *given)
    assert said.startswith(f"{config}: ")
    assert remedy in said


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    assert "name the gateway's configuration with --config" in refusal_of_a_process(
        "edge", "run", "--config", str(tmp_path / "gateway.toml")
    )


def test_a_buffer_that_cannot_be_written(file: Path, refusal: Refusal) -> None:
    config = file.with_name("gateway.toml")
    config.write_text(EDGE.replace('"buffers"', '"file"'))
    file.with_name("recording.txt").touch()
    assert "choose a folder that can be written in [buffer]" in refusal("edge", "run", "--config", str(config))


# ── the disk ──


@pytest.fixture(params=[2, 40], ids=["empty", "room for half a database"])
def full_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    made = None
    if os.geteuid() == 0 and sys.platform == "linux":
        made = subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", folder], check=False, capture_output=True)
    if made is None or made.returncode != 0:
        pytest.skip("NOT TESTED ON A FULL DISK: only root, where mounts are permitted, can make one")
    try:
        yield folder
    finally:
        subprocess.run([UMOUNT, folder], check=True)


def test_a_full_disk(full_disk: Path) -> None:
    home = str(full_disk / "home")
    said = refusal_of_a_process("demo", "--headless", "--home", home, "--port", "0", "--engines", "1", "--hours", "2")
    assert said == "No space is left on the disk that holds the home folder; make room and start again."
