from pathlib import Path

import pytest

from vigia.demo.logbook import Engine, Logbook, RunPlan
from vigia.errors import ConfigError

PLAN = RunPlan(fix=True, engines=2, hours=300)


def test_a_reopened_logbook_tells_the_same_world(tmp_path: Path) -> None:
    logbook = Logbook.open(tmp_path / "logbook.jsonl")
    logbook.begin(PLAN)
    logbook.install("L", "ESN-0081", unit=81, hour=0)
    logbook.install("R", "ESN-0082", unit=82, hour=0)
    logbook.advance(1)
    logbook.remove("L", hour=1)

    again = Logbook.open(tmp_path / "logbook.jsonl")

    assert (again.plan, again.hour, again.engines) == (PLAN, 1, {"R": Engine("ESN-0082", 82, 0)})


def test_a_line_torn_by_a_crash_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "logbook.jsonl"
    logbook = Logbook.open(path)
    logbook.advance(1)
    with path.open("ab") as file:
        file.write(b'{"kind":"clo')

    again = Logbook.open(path)
    again.advance(2)

    assert path.read_text() == '{"kind":"clock","hour":1}\n{"kind":"clock","hour":2}\n'


def test_a_run_goes_on_with_its_own_plan_only(tmp_path: Path) -> None:
    Logbook.open(tmp_path / "logbook.jsonl").begin(PLAN)

    again = Logbook.open(tmp_path / "logbook.jsonl")
    again.begin(PLAN)

    with pytest.raises(ConfigError, match="--fix --engines 2"):
        again.begin(RunPlan(fix=False, engines=2, hours=300))
