"""`vigia models`: which models there are, which is in charge, and back."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess

import psycopg
import pytest

WITHIN = [
    '{"horizon": 30, "brier": 0.02, "brier_of_the_base_rate": 0.1}',
    '{"horizon": 10, "brier": 0.0123, "brier_of_the_base_rate": 0.05}',
]
METRICS = '{"method": "wear", "machines": 5, "out_of_fold": {"brier": 0.02, "rmse_capped": 12.5}}'


@pytest.fixture
def registered(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True, options="-c search_path=vigia") as db:
        db.execute("insert into asset_model (code, name, life_unit) values ('pump', 'Pump', 'h')")
        for version in ("20260101-a", "20260202-b"):
            db.execute(
                "insert into model_version (asset_model_id, failure_mode, version, sha256, metrics) values (1, 'wear', %s, '00', %s)",
                (version, METRICS),
            )
    return dsn


def test_a_model_is_put_in_charge_and_rolled_back(
    registered: str, printed: Callable[..., str], vigia: Callable[..., CompletedProcess[str]]
) -> None:
    assert printed("models", "promote", "20260101", "--dsn", registered) == "20260101-a is in charge\n"
    assert printed("models", "promote", "20260202-b", "--dsn", registered) == "20260202-b is in charge\n"
    listed = printed("models", "list", "--dsn", registered).splitlines()
    assert [line.split()[2:] for line in listed[1:]] == [
        ["20260202-b", "champion", "wear", "5", "0.02", "12.5", "-"],
        ["20260101-a", "registered", "wear", "5", "0.02", "12.5", "-"],
    ]
    assert printed("models", "roll-back", "20260202", "--dsn", registered) == "20260101-a is in charge again\n"
    shown = json.loads(printed("models", "show", "20260202", "--json", "--dsn", registered))
    assert shown["in_the_shadow"]["predictions"] == 0
    assert (shown["state"], shown["asset_model"], shown["metrics"]["machines"]) == ("withdrawn", "pump", 5)
    assert [one["state"] for one in json.loads(printed("models", "list", "--json", "--dsn", registered))["models"]] == [
        "withdrawn",
        "champion",
    ]
    refused = vigia("models", "roll-back", "20260202", "--dsn", registered)
    assert (refused.returncode, refused.stderr) == (2, "vigia: 20260202-b is not in charge.\n")


def test_the_list_tells_the_horizons_and_how_good_each_was(registered: str, printed: Callable[..., str]) -> None:
    with psycopg.connect(registered, autocommit=True) as db:
        db.execute(
            "update vigia.model_version set metrics = metrics || %s::jsonb where version = '20260202-b'",
            ('{"horizons": [' + ", ".join(WITHIN) + "]}",),
        )
    listed = printed("models", "list", "--dsn", registered).splitlines()
    assert listed[0].endswith("  Brier within")
    assert [line.split("12.5")[1].strip() for line in listed[1:]] == ["10: 0.0123, 30: 0.0200", "-"]


def test_a_version_that_names_none_or_several_is_refused(registered: str, vigia: Callable[..., CompletedProcess[str]]) -> None:
    assert "no model has a version that begins with 'x'" in vigia("models", "show", "x", "--dsn", registered).stderr
    assert "several models have" in vigia("models", "show", "2026", "--dsn", registered).stderr
