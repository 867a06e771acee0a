"""From bytes to documents: one function a decoder, none knows what the documents mean."""

import csv
import re
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from vigia.ingest.plain import UNREADABLE, RefusedMessage
from vigia.ingest.plain.paths import Document
from vigia.ingest.plain.table import Entry
from vigia.sparkplug.names import MAX_PAYLOAD_BYTES

LONGEST_WORD: Final = 100
MOST_LINES: Final = 20_000
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None, "": None}


def documents(entry: Entry, payload: bytes) -> list[Document]:
    """The documents in `payload`. Raises RefusedMessage."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _refused(f"{len(payload)} bytes, more than the {MAX_PAYLOAD_BYTES} accepted: send less at a time")
    if not payload.strip():
        raise _refused("an empty message: send a value")
    if payload.count(b"\n") > MOST_LINES:
        raise _refused(f"more than the {MOST_LINES} lines accepted: send less at a time")
    return _DECODERS[entry.decoder](entry, payload)


def _json(_entry: Entry, payload: bytes) -> list[Document]:
    return [_loads(payload, "")]


def _json_lines(_entry: Entry, payload: bytes) -> list[Document]:
    return [_loads(line, f"line {number}: ") for number, line in enumerate(payload.split(b"\n"), 1) if line.strip()]


def _number(_entry: Entry, payload: bytes) -> list[Document]:
    text = _text(payload).strip()
    if len(text) > LONGEST_WORD:
        raise _refused(f'{len(text)} characters are no number: declare another decoder than "number"')
    return [scalar(text)]


def _csv_rows(entry: Entry, payload: bytes) -> list[Document]:
    rows: list[Document] = []
    try:
        for number, cells in enumerate(csv.reader(_text(payload).splitlines(), delimiter=entry.separator, strict=True), 1):
            if not cells:
                continue
            if len(cells) != len(entry.columns):
                raise _refused(f"row {number} has {len(cells)} cells, and columns names {len(entry.columns)}: correct one of the two")
            rows.append({column: scalar(cell.strip()) for column, cell in zip(entry.columns, cells, strict=True) if column})
    except csv.Error as error:
        raise _refused(f"not a row of CSV ({error}): send cells separated by {entry.separator!r}") from None
    return rows


_DECODERS: Final[Mapping[str, Callable[[Entry, bytes], list[Document]]]] = {
    "json": _json,
    "json-lines": _json_lines,
    "number": _number,
    "csv-row": _csv_rows,
}


def scalar(text: str) -> float | bool | str | None:
    """The number, truth value or null that `text` is, else `text`; nothing is null. A number too large for a float is infinite."""
    if _NUMBER.fullmatch(text):
        return float(text)
    return _WORDS.get(text, text)


def _loads(text: bytes, where: str) -> Document:
    try:
        document: Document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _refused(f"{where}not JSON: {error}; NaN and Infinity are not JSON either, send null instead") from None
    return document


def _text(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(f"not UTF-8 ({error.reason} at byte {error.start}): send text in UTF-8") from None


def _refused(detail: str) -> RefusedMessage:
    return RefusedMessage(UNREADABLE, detail)
