"""The bytes of a batch on disk: its samples by columns, compressed.

Times and places in the list of points are written as steps, which repeat. Numbers are written as decimals, which compress to the digits
they have; a batch whose numbers fill a float's 53 bits is shorter as bytes, with the n-th bytes of all numbers together.
"""

import json
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from vigia.edge.samples import Device, Sample, Value
from vigia.sparkplug.names import QUALITY_GOOD

WORDY = 14  # characters a number from which on its bytes are shorter
FLOAT_BYTES = 8
PLAIN = b"{"  # how a body begins that compressing would make longer


class UnknownPointError(KeyError):
    """A sample is of a point that its device did not announce."""


class UnreadableBatchError(ValueError):
    """The bytes of a batch are not what was written."""


class Layout:
    """Writes and reads the samples of one birth of `device`: a point is its place among the device's points."""

    def __init__(self, device: Device) -> None:
        self._device_id = device.device_id
        self._names = [point.name for point in device.points]
        self._places = {name: place for place, name in enumerate(self._names)}

    def write(self, samples: Sequence[Sample]) -> bytes:
        """The bytes of `samples`, all of the device. Raises UnknownPointError."""
        try:
            head: dict[str, Any] = {"p": _steps([self._places[sample.point] for sample in samples])}
        except KeyError as error:
            raise UnknownPointError(*error.args) from None
        head["t"] = _steps([sample.ts for sample in samples])
        if any(sample.quality != QUALITY_GOOD for sample in samples):
            head["q"] = [sample.quality for sample in samples]
        if any(sample.received is not None for sample in samples):
            head["r"] = [None if sample.received is None else sample.received - sample.ts for sample in samples]
        if any(sample.source_ts is not None for sample in samples):
            head["s"] = [None if sample.source_ts is None else sample.source_ts - sample.ts for sample in samples]
        text = _text({**head, "v": [sample.value for sample in samples]})
        if len(text) > WORDY * len(samples):
            values = [sample.value for sample in samples]
            head["o"] = [(at, value) for at, value in enumerate(values) if type(value) is not float]
            text = _text(head) + b"\n" + _planes(value if type(value) is float else 0.0 for value in values)
        return min(zlib.compress(text), text, key=len)

    def read(self, body: bytes) -> tuple[Sample, ...]:
        """The samples that `write` was given. Raises UnreadableBatchError."""
        try:
            text, _, planes = (body if body.startswith(PLAIN) else zlib.decompress(body)).partition(b"\n")
            head = json.loads(text)
            names = [self._names[place] for place in accumulate(head["p"])]
            times = list(accumulate(head["t"]))
            values: list[Value | None] = head["v"] if "v" in head else _values(planes, head["o"])
            qualities = head.get("q", [QUALITY_GOOD] * len(names))
            received, said = (head.get(key, [None] * len(names)) for key in ("r", "s"))
            return tuple(
                Sample(self._device_id, name, ts, value, quality, None if lag is None else ts + lag, None if skew is None else ts + skew)
                for name, ts, value, quality, lag, skew in zip(names, times, values, qualities, received, said, strict=True)
            )
        except (zlib.error, ValueError, LookupError, TypeError) as error:
            raise UnreadableBatchError(str(error)) from None


def _text(head: dict[str, Any]) -> bytes:
    return json.dumps(head, separators=(",", ":")).encode()


def _steps(numbers: Sequence[int]) -> list[int]:
    return [*numbers[:1], *(after - before for before, after in pairwise(numbers))]


def _planes(floats: Iterable[float]) -> bytes:
    data = array("d", floats).tobytes()
    return b"".join(data[place::FLOAT_BYTES] for place in range(FLOAT_BYTES))


def _values(planes: bytes, others: list[tuple[int, Value | None]]) -> list[Value | None]:
    count = len(planes) // FLOAT_BYTES
    data = bytearray(len(planes))
    for place in range(FLOAT_BYTES):
        data[place::FLOAT_BYTES] = planes[place * count : (place + 1) * count]
    values: list[Value | None] = list(array("d", bytes(data)))
    for at, value in others:
        values[at] = value
    return values
