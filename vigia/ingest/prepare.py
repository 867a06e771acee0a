"""From a data message in its turn to a part that can be written, or why it cannot: the slow path, a message at a time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from vigia.ingest import resolve, results
from vigia.ingest.births import EARLIEST_MS, LATEST_MS, DeviceTable
from vigia.ingest.blocks import Block, concatenate
from vigia.ingest.events import DeviceData, Letter
from vigia.ingest.resolve import Numbers, Resolved
from vigia.ingest.sessions import Sessions
from vigia.sparkplug import PayloadError
from vigia.sparkplug.columns import NONE
from vigia.store import telemetry
from vigia.store.commands import Result

UNNUMBERED = "no batch number"
UNKNOWN_ALIAS = "alias of no birth"
METRICS_SET_ASIDE = "metrics set aside"
UNREADABLE_RESULT = "unreadable command result"


@dataclass(frozen=True)
class Part:
    """A data message ready to be written. `letters` say what of it cannot be; `buried` that none of it can, and why.

    `results` are what became of commands.
    """

    event: DeviceData
    numbers: Numbers
    resolved: Resolved
    letters: tuple[Letter, ...] = ()
    buried: str | None = None
    results: tuple[Result, ...] = ()


def block_of(parts: Sequence[Part]) -> Block:
    """The `parts`, at least one, side by side."""
    numbers = [part.numbers for part in parts]
    numbered = [number.epoch is not None and number.eseq is not None for number in numbers]
    return Block(
        np.array([part.event.node.edge.edge_node_id for part in parts], np.int32),
        np.array([number.epoch if known else NONE for number, known in zip(numbers, numbered, strict=True)], np.int64),
        np.array([number.eseq if known else NONE for number, known in zip(numbers, numbered, strict=True)], np.int64),
        np.cumsum([0, *(len(part.resolved.readings) for part in parts)], dtype=np.int64),
        concatenate([part.resolved.readings for part in parts]),
        message=lambda index: parts[index].event.message,
        live_ts=min((part.resolved.live_ts for part in parts if part.resolved.live_ts), default=0),
        letters={i: part.letters for i, part in enumerate(parts) if part.letters},
        buried={i: part.buried for i, part in enumerate(parts) if part.buried is not None},
        results={i: part.results for i, part in enumerate(parts) if part.results},
    )


def explain(faults: Counter[str]) -> str:
    """The reasons for which metrics were set aside, with how many."""
    return "; ".join(f"{count} x {reason}" for reason, count in sorted(faults.items()))


class Preparation:
    """Uses the sessions' tables, and asks for a rebirth where they do not suffice."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def machine_needed(self, event: DeviceData) -> tuple[DeviceTable, str, datetime] | None:
        """The table, serial number and first reading of another machine whose readings these are and that is not known yet."""
        table = event.node.tables.get(event.device_id)
        if table is None or table.device is None:
            return None
        serial_number = resolve.numbers(event.columns, event.index, table).serial_number
        if serial_number in (None, table.certificate.serial_number) or (event.device_id, serial_number) in event.node.others:
            return None
        ts = event.columns.ts[event.columns.first[event.index] : event.columns.first[event.index + 1]]
        dated = ts[(ts >= EARLIEST_MS) & (ts < LATEST_MS)]
        if not len(dated):
            return None
        return table, serial_number or "", telemetry.from_us(int(dated.min()) * 1000)

    def prepare(self, event: DeviceData) -> Part | Letter | None:
        """The part; a letter when nothing of the message can be used and it has no number; None when it must come again."""
        node = event.node
        table = node.tables.get(event.device_id)
        if table is None:
            self._sessions.ask_rebirth(node)
            return None
        numbers = resolve.numbers(event.columns, event.index, table)
        numbered = numbers.epoch is not None and numbers.eseq is not None
        if table.device is not None and numbers.serial_number not in (None, table.certificate.serial_number):
            table = node.others.get((event.device_id, numbers.serial_number or ""), table)
        if table.device is None:
            letter = Letter(event.message, table.refusal, f"device {event.device_id!r}, or the machine that it names, was refused before")
            part = Part(event, numbers, Resolved(concatenate([]), (), resolve.NO_FAULTS), (letter,), table.refusal)
            return part if numbered else letter
        if node.numbered and not numbered:
            return Letter(
                event.message, UNNUMBERED, "the edge node announced Vigia/Epoch, so each message needs Vigia/Epoch and Vigia/Batch"
            )
        resolved = resolve.resolve(event.columns, event.index, table)
        if resolved.unknown and self._sessions.may_be_born(node, event.device_id, resolved.unknown):
            self._sessions.ask_rebirth(node)
            if node.numbered:  # it comes again, after the birth; what a foreign node says does not
                return None
        told, unread = _results(event, table)
        return Part(event, numbers, resolved, (*_letters(event, resolved), *unread), results=told)


def _results(event: DeviceData, table: DeviceTable) -> tuple[tuple[Result, ...], list[Letter]]:
    found, unread = [], []
    for text in resolve.command_results(event.columns, event.index, table):
        try:
            found.append(results.read(event.node.edge.edge_node_id, event.device_id, text))
        except PayloadError as error:
            unread.append(Letter(event.message, UNREADABLE_RESULT, str(error)))
    return tuple(one for one in found if one is not None), unread


def _letters(event: DeviceData, resolved: Resolved) -> tuple[Letter, ...]:
    letters = []
    if resolved.unknown:
        letters.append(Letter(event.message, UNKNOWN_ALIAS, f"in no birth of this device: {', '.join(resolved.unknown[:20])}"))
    if resolved.faults:
        letters.append(Letter(event.message, METRICS_SET_ASIDE, explain(resolved.faults)))
    return tuple(letters)
