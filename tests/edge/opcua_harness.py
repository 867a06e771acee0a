"""What tests of the OPC UA source share: its configuration for a machine, and what it told as rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opcua_machine import PLANT, Row

from vigia.edge.samples import Sample, Tick
from vigia.edge.sources.opcua.config import OpcUaConfig
from vigia.edge.sources.opcua.source import OpcUaSource

PUBLISHING_S = 0.05


def points(*names: str, **settings: object) -> list[dict[str, object]]:
    return [{"name": name, "node": f"nsu={PLANT};s={name}", **settings} for name in names]


def table(url: str, said: Sequence[dict[str, object]], **settings: object) -> dict[str, Any]:
    """The source's table for one device with the points `said`."""
    group = {"name": "default", "publishing_s": PUBLISHING_S, "sampling_s": 0, "queue_size": 1000}
    device = {"device_id": "press", "serial": "SN-1", "model": "m", "point": list(said)}
    return {
        "type": "opcua",
        "url": url,
        "security": "none",
        "anonymous": True,
        "keepalive_s": 2.0,
        "timeout_s": 5.0,
        "group": [group],
        "device": [device],
        **settings,
    }


def source(url: str, said: Sequence[dict[str, object]], folder: Path | None = None, **settings: object) -> OpcUaSource:
    one = OpcUaSource(OpcUaConfig.model_validate(table(url, said, **settings)), folder or Path())
    one.resume(None)
    return one


def count(ticks: list[Tick], point: str | None = None) -> int:
    return sum(point in (None, sample.point) for tick in ticks for sample in tick.samples)


def rows(samples: Sequence[Sample]) -> list[Row]:
    """As the machine's record has them, to the millisecond."""
    return [(sample.point, sample.ts, sample.value) for sample in samples]


def to_the_ms(record: Sequence[Row]) -> list[Row]:
    return [(name, us // 1000, value) for name, us, value in record]


def last_position(ticks: list[Tick]) -> str | None:
    return next((tick.position for tick in reversed(ticks) if tick.position is not None), None)
