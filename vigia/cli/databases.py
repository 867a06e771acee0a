"""Which database a command works on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vigia.cli import loop
from vigia.errors import ConfigError
from vigia.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from vigia.store.database import Transaction
    from vigia.store.upkeep import Retention

Result = TypeVar("Result")


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


def in_transaction(work: "Callable[[Transaction], Coroutine[Any, Any, Result]]", home: Path | None, dsn: str | None) -> "Result":
    """Do `work` as staff in one transaction of the database at hand; what it returns."""
    from vigia.store.database import Caller, Database

    async def run(address: str) -> "Result":
        async with Database(address, "vigia_service", max_size=1) as database, database.transaction(Caller(staff=True)) as tx:
            return await work(tx)

    with at_hand(load_settings(home=home, dsn=dsn)) as address:
        return loop.run(run(address))


def retention(settings: Settings) -> "Retention":
    """How long telemetry is kept. Raises RetentionTooShortError."""
    from vigia.store.upkeep import Retention

    return Retention(settings.retention_raw_days, settings.retention_1m_days, settings.retention_1h_days)
