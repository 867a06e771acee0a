"""Why the database refused, as far as a writer must know to go on."""

from typing import Literal

import psycopg

from vigia.store.database import DatabaseUnavailableError, TransactionConflictError


def cause(error: BaseException) -> Literal["values", "server"] | None:
    """What a failed transaction failed on.

    "values": on what it was asked to write, and will again. "server": on the server's state (away, restarting, full, another
    transaction in the way, not migrated), which passes or is repaired. None: not on the database at all.
    """
    if isinstance(error, (psycopg.DataError, psycopg.IntegrityError)):
        return "values"
    return "server" if isinstance(error, (DatabaseUnavailableError, TransactionConflictError, psycopg.Error)) else None
