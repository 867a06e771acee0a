"""Every organ is killed while the fleet flies; afterwards the database holds what the machines said, once."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

TRAINING_DATA = Path(__file__).parents[2] / "vigia/demo/data/train_FD001.txt.gz"
PREDICTED_IN_S = 300


class Fleet:
    """A headless demo in its own process."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.command = [sys.executable, "-m", "vigia", "demo", "--headless", "--json", "--home", str(home), "--port", "0", *options]
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def hour(self) -> int:
        with suppress(FileNotFoundError):
            lines = (self.home / "demo/logbook.jsonl").read_text().splitlines()
            return max((json.loads(line)["hour"] for line in lines if '"clock"' in line), default=0)
        return 0

    def wait_for_hour(self, hour: int) -> None:
        deadline = time.monotonic() + PREDICTED_IN_S
        while self.hour() < hour:
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < deadline, f"fleet time stands still at hour {self.hour()}"
            time.sleep(0.02)

    def kill(self, organ: str) -> None:
        pid = self._pid(organ)
        os.kill(pid, signal.SIGKILL)

    def _pid(self, organ: str) -> int:
        if organ == "database":
            return int((self.home / "postgres/data/postmaster.pid").read_text().splitlines()[0])
        return int((self.home / f"run/{organ}.pid").read_text())

    def report(self) -> dict[str, object]:
        out, err = self.process.communicate(timeout=PREDICTED_IN_S)
        assert self.process.returncode == 0, err
        report: dict[str, object] = json.loads(out)
        return report


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def trained_home(home: Path, printed: Callable[..., str]) -> Path:
    """Two engines and a model of five: to learn from eighty, as the demo does when there is none, takes most of a minute."""
    printed("db", "seed", "--engines", "2", "--home", str(home))
    printed("analytics", "train", "--data", str(TRAINING_DATA), "--units", "1-5", "--home", str(home))
    return home


def told_by_the_machines(home: Path) -> set[tuple[str, str, int, float]]:
    """The truth: (serial, point, hour, value) of every sample, from the recorded engines and the logbook alone."""
    from vigia.demo.fleet import POINTS  # noqa: PLC0415 - only the comparison needs it

    recorded: dict[int, list[list[float]]] = {}
    with gzip.open(TRAINING_DATA, "rt") as lines:
        for line in lines:
            row = [float(word) for word in line.split()]
            recorded.setdefault(int(row[0]), []).append(row)
    names = [point.name for point in POINTS if point.name != "state"]
    flying: dict[str, tuple[str, int, int]] = {}
    truth: set[tuple[str, str, int, float]] = set()
    for entry in map(json.loads, (home / "demo/logbook.jsonl").read_text().splitlines()):
        match entry["kind"]:
            case "install":
                flying[entry["role"]] = (entry["serial"], entry["unit"], entry["hour"])
            case "remove":
                flying.pop(entry["role"], None)
            case "clock":
                for serial, unit, since in flying.values():
                    cycle, life = entry["hour"] - since, len(recorded[unit])
                    if 1 <= cycle <= life:
                        truth.add((serial, "state", entry["hour"], 1.0))
                        sampled = zip(names, recorded[unit][cycle - 1][1:], strict=True)
                        truth |= {(serial, name, entry["hour"], value) for name, value in sampled}
                    elif cycle == life + 1:
                        truth.add((serial, "state", entry["hour"], 0.0))
    return truth


def stored(home: Path) -> list[tuple[str, str, int, float]]:
    from vigia.store.embedded import postgres  # noqa: PLC0415

    with postgres(home) as dsn, psycopg.connect(dsn) as connection:
        return connection.execute(
            "select a.serial_number, p.name, extract(epoch from t.ts - '2026-01-01T00:00Z')::int / 3600, t.value"
            " from vigia.telemetry t join vigia.point p using (point_id) join vigia.asset a using (asset_id)"
        ).fetchall()


def killed_and_compared(home: Path, kills: int, engines: int, hours: int, organs: tuple[str, ...]) -> None:
    seed = random.Random(20260101)  # noqa: S311 - reproducible, not secret
    fleet = Fleet(home, "--engines", str(engines), "--hours", str(hours), "--speed", "max")
    due = [organ for organ in organs for _ in range(kills)]
    seed.shuffle(due)
    step = (hours - 2) / (len(due) + 1)
    for number, organ in enumerate(due, start=1):
        fleet.wait_for_hour(int(number * step))
        time.sleep(seed.uniform(0, 0.2))  # a random moment within the hour, not a wait
        fleet.kill(organ)
    report = fleet.report()

    rows = stored(home)
    truth = told_by_the_machines(home)
    assert (len(rows) - len(set(rows)), len(truth - set(rows)), len(set(rows) - truth)) == (0, 0, 0), "doubled, lost, unexpected"
    assert report["holes"] == 0
    assert report["rows_duplicated"] == 0
    assert report["rows_sent"] == report["rows_stored"] == len(truth)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("cheap_passwords")
def test_each_organ_killed_once_loses_and_doubles_nothing(trained_home: Path) -> None:
    killed_and_compared(trained_home, kills=1, engines=2, hours=24, organs=("ingest", "edge", "broker", "database"))


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_each_organ_killed_five_times_loses_and_doubles_nothing(home: Path) -> None:
    killed_and_compared(home, kills=5, engines=6, hours=120, organs=("ingest", "edge", "broker", "database", "analytics", "worker", "api"))
