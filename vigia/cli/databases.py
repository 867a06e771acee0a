"""Which database a command works on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vigia.errors import ConfigError
from vigia.settings import Settings

if TYPE_CHECKING:
    from vigia.store.upkeep import Retention


def named(settings: Settings) -> str:
    """The DSN given, for a process that runs on. Raises ConfigError when there is none."""
    if settings.dsn is None:
        raise ConfigError("No database is named: give --dsn (VIGIA_DSN); `vigia demo` starts one by itself.")
    return settings.dsn


@contextmanager
def at_hand(settings: Settings) -> Iterator[str]:
    """The DSN given, or the home's embedded database, which runs for as long as it is needed: for a command that soon ends."""
    from vigia.store.embedded import postgres

    if settings.dsn is not None:
        yield settings.dsn
    else:
        with postgres(settings.home) as address:
            yield address


def retention(settings: Settings) -> "Retention":
    """How long telemetry is kept. Raises RetentionTooShortError."""
    from vigia.store.upkeep import Retention

    return Retention(settings.retention_raw_days, settings.retention_1m_days, settings.retention_1h_days)
