"""What a process is told: an option wins over its variable, and what cannot be read is named with its remedy."""

from pathlib import Path

import pytest

from vigia.errors import ConfigError
from vigia.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.__dataclass_fields__:
        monkeypatch.delenv(f"VIGIA_{name.upper()}", raising=False)


def test_without_being_told_anything_the_defaults_count() -> None:
    assert load_settings() == Settings()


def test_a_variable_counts_and_an_option_wins_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOME": "there", "PORT": "81", "RETENTION_RAW_DAYS": "30", "CLOCK": "fleet", "INGEST_REORDER_S": "0.5"}.items():
        monkeypatch.setenv(f"VIGIA_{name}", value)
    told = Settings(home=Path("there"), port=81, retention_raw_days=30, clock="fleet", ingest_reorder_s=0.5)
    assert load_settings() == told
    assert load_settings(port=82, home=None).port == 82
    assert load_settings(port=82, home=None).home == Path("there")


def test_what_a_compose_file_leaves_empty_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIA_INGEST_SHARE", "")
    monkeypatch.setenv("VIGIA_INGEST_WATCH_PORT", "")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "eighty", "VIGIA_PORT (--port) = 'eighty': give a port from 0 to 65535, or leave it out."),
        ("PORT", "", "VIGIA_PORT (--port) = '': give a port from 0 to 65535, or leave it out."),
        ("INGEST_WATCH_PORT", "-1", "VIGIA_INGEST_WATCH_PORT (--watch-port) = '-1': give a port from 0 to 65535, or leave it out."),
        ("INGEST_SHARE", "a/b", "VIGIA_INGEST_SHARE (--share) = 'a/b': give a name without /, + or #, or leave it out."),
        ("RETENTION_1H_DAYS", "1.5", "VIGIA_RETENTION_1H_DAYS = '1.5': give a whole number, or leave it out."),
        ("INGEST_REORDER_S", "nan", "VIGIA_INGEST_REORDER_S = 'nan': give seconds from 0 to 3600, or leave it out."),
        ("CLOCK", "cuckoo", "VIGIA_CLOCK = 'cuckoo': choose one of wall, fleet, or leave it out."),
        ("LOG_LEVEL", "loud", "VIGIA_LOG_LEVEL = 'loud': choose one of debug, info, warning, error, or leave it out."),
    ],
)
def test_what_cannot_be_read_is_named_with_its_remedy(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"VIGIA_{name}", value)
    with pytest.raises(ConfigError) as refused:
        load_settings()
    assert str(refused.value) == said


def test_an_option_that_cannot_be_used_is_named_too() -> None:
    with pytest.raises(ConfigError, match=r"VIGIA_PORT \(--port\) = 99999"):
        load_settings(port=99999)
