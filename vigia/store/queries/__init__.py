"""Named queries: every `-- name:` block of the `.sql` files in this folder, run by its name.

Names are unique over all files. A block's comment says what the caller must know.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, LiteralString, TypeVar, cast

from psycopg.rows import args_row, class_row

from vigia.store.database import StoreError, Transaction

Row = TypeVar("Row")


class UnknownQueryError(StoreError):
    """No query of that name stands in store/queries."""


@cache
def _queries() -> Mapping[str, LiteralString]:
    found: dict[str, LiteralString] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        for block in re.split(r"^-- name: *", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            name, _, sql = block.partition("\n")
            if name.strip() in found:
                message = f"two queries are named {name.strip()!r}"
                raise StoreError(message)
            found[name.strip()] = cast("LiteralString", sql.strip())
    return found


def sql(name: str) -> LiteralString:
    """The text of the query `name`."""
    try:
        return _queries()[name]
    except KeyError:
        raise UnknownQueryError(name) from None


async def rows(tx: Transaction, name: str, kind: type[Row], /, **params: object) -> list[Row]:
    """All rows of the query as `kind` (a dataclass whose fields are the columns)."""
    async with tx.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(sql(name), params)
        return await cursor.fetchall()


async def many(tx: Transaction, name: str, kind: type[Row], /, *, prepare: bool | None = None, **params: object) -> list[Row]:
    """As `rows`, five times as fast where there are thousands of rows or elements: `kind` has the columns in their order.

    `prepare` False plans it for these params; by default a plan is kept that suits any, or shall.
    """
    async with tx.cursor(binary=True, row_factory=args_row(kind)) as cursor:
        await cursor.execute(sql(name), params, prepare=prepare)
        return await cursor.fetchall()


async def first(tx: Transaction, name: str, kind: type[Row], /, **params: object) -> Row | None:
    """The first row of the query as `kind`, or None."""
    async with tx.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(sql(name), params)
        return await cursor.fetchone()


async def value(tx: Transaction, name: str, /, **params: object) -> Any:  # noqa: ANN401 - the column's own type
    """The first column of the first row, or None when there is no row."""
    cursor = await tx.execute(sql(name), params)
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def execute(tx: Transaction, name: str, /, **params: object) -> int:
    """Run the query; the number of rows it touched."""
    return (await tx.execute(sql(name), params)).rowcount
