"""Pages by key: a cursor names the list and the last key shown, so rows inserted meanwhile neither repeat nor hide another."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from vigia.api.errors import BadCursorError, NotFoundError
from vigia.api.fields import MAX_BIGINT
from vigia.store import listings
from vigia.store.database import Transaction

Item = TypeVar("Item", bound=BaseModel)


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(description="Pass it as `cursor` to get the following page; null on the last.", examples=["YXNzZXRzLjEwMA"])


class RowModel(BaseModel):
    """A row of a list as it is answered; its fields are the query's columns."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


@dataclass(frozen=True)
class Paging:
    """Which page the caller wants."""

    limit: Annotated[int, Query(ge=1, le=1000, description="Rows on a page.")] = 100
    cursor: Annotated[str | None, Query(max_length=100, description="`next` of the page before.")] = None


PageAsked = Annotated[Paging, Depends()]


@dataclass(frozen=True)
class Listing(Generic[Item]):
    """A list: its name in cursors, its query, the class of its rows and their key."""

    name: str
    query: str
    kind: type[Item]
    key: Callable[[Item], int]

    async def page(self, tx: Transaction, asked: Paging, **filters: object) -> Page[Item]:
        """The page asked for. Raises BadCursorError."""
        rows = await listings.page(tx, self.query, self.kind, asked.limit + 1, self._key_of(asked.cursor), **filters)
        items = rows[: asked.limit]
        return Page(items=items, next=self._cursor(items[-1]) if len(rows) > asked.limit else None)

    async def one(self, tx: Transaction, row_id: int) -> Item:
        """The row with that key. Raises NotFoundError, also when another customer's."""
        row = await listings.one(tx, self.query, self.kind, row_id)
        if row is None:
            raise NotFoundError
        return row

    def _cursor(self, row: Item) -> str:
        return base64.urlsafe_b64encode(f"{self.name}.{self.key(row)}".encode()).rstrip(b"=").decode()

    def _key_of(self, cursor: str | None) -> int | None:
        if cursor is None:
            return None
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            name, _, key = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(".")
        except (binascii.Error, UnicodeError):
            raise BadCursorError from None
        if name != self.name or not key.isascii() or not key.isdigit() or not 1 <= int(key) <= MAX_BIGINT:
            raise BadCursorError
        return int(key)
