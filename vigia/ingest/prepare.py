"""From a data message in its turn to a part that can be written, or why it cannot."""

from datetime import datetime

from vigia.ingest import resolve
from vigia.ingest.births import EARLIEST_MS, LATEST_MS, DeviceTable
from vigia.ingest.events import DeviceData, Letter
from vigia.ingest.resolve import Numbers, Resolved
from vigia.ingest.sessions import Node, Sessions
from vigia.ingest.write import Part, concatenate, explain
from vigia.store import telemetry

UNNUMBERED = "no batch number"
UNKNOWN_ALIAS = "alias of no birth"
METRICS_SET_ASIDE = "metrics set aside"
MOST_UNRESOLVED = 1_000


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
        if table.device is None:
            letter = Letter(event.message, table.refusal, f"the birth of device {event.device_id!r} was refused; see its own dead letter")
            part = Part(event, numbers, Resolved(concatenate([]), (), resolve.NO_FAULTS), (letter,), table.refusal)
            return part if numbered else letter
        if node.numbered and not numbered:
            return Letter(
                event.message, UNNUMBERED, "the edge node announced Vigia/Epoch, so each message needs Vigia/Epoch and Vigia/Batch"
            )
        if numbers.serial_number not in (None, table.certificate.serial_number):
            table = node.others.get((event.device_id, numbers.serial_number or ""), table)
        resolved = resolve.resolve(event.columns, event.index, table)
        if resolved.unknown and not self._is_hopeless(node, numbers):
            self._sessions.ask_rebirth(node)
            return None
        return Part(event, numbers, resolved, _letters(event, resolved))

    def _is_hopeless(self, node: Node, numbers: Numbers) -> bool:
        """Whether an unknown alias will stay unknown, as it was under an earlier birth. A foreign node's message does not come again."""
        if not node.numbered:
            self._sessions.ask_rebirth(node)
            return True
        key = (numbers.epoch or 0, numbers.eseq or 0)
        if node.unresolved.get(key, node.births) < node.births:
            del node.unresolved[key]
            return True
        if len(node.unresolved) >= MOST_UNRESOLVED:
            node.unresolved.clear()
        node.unresolved.setdefault(key, node.births)
        return False


def _letters(event: DeviceData, resolved: Resolved) -> tuple[Letter, ...]:
    letters = []
    if resolved.unknown:
        letters.append(Letter(event.message, UNKNOWN_ALIAS, f"in no birth of this device: {', '.join(resolved.unknown[:20])}"))
    if resolved.faults:
        letters.append(Letter(event.message, METRICS_SET_ASIDE, explain(resolved.faults)))
    return tuple(letters)
