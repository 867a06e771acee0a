"""What the REST lists show: pages in key order (stable under inserts), each row complete enough to be shown alone.

The caller names the query of `queries/api.sql` and the class of its rows. A filter that is not given does not filter.
"""

import re
from functools import cache
from typing import TypeVar, cast

from vigia.store import queries
from vigia.store.database import Transaction

Row = TypeVar("Row")


async def page(tx: Transaction, query: str, kind: type[Row], limit: int, cursor: int | None, **filters: object) -> list[Row]:
    """At most `limit` rows after (in lists of events: before) the key `cursor`."""
    return await queries.rows(tx, query, kind, **_params(query) | filters | {"limit": limit, "cursor": cursor})


async def one(tx: Transaction, query: str, kind: type[Row], row_id: int) -> Row | None:
    """The row with that key, or None if there is none or the caller may not see it."""
    return await queries.first(tx, query, kind, **_params(query) | {"id": row_id, "limit": 1})


async def parts(tx: Transaction, query: str, kind: type[Row], **keys: object) -> list[Row]:
    """All rows that belong to one thing: an order's steps, an asset's installations."""
    return await queries.rows(tx, query, kind, **keys)


async def migration(tx: Transaction) -> str:
    """Name of the newest migration this database has had."""
    return cast("str", await queries.value(tx, "newest_migration"))


@cache
def _params(query: str) -> dict[str, object]:
    """The query's parameters, all None."""
    return dict.fromkeys(re.findall(r"%\((\w+)\)s", queries.sql(query)))
