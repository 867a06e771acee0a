"""`vigia edge run --check`: what a gateway's configuration would do, and what its sources tell now."""

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from vigia.cli import loop

if TYPE_CHECKING:
    from vigia.edge.config import EdgeConfig
    from vigia.edge.dry_run import Reading, SourceReadings

HEAD = ("device", "point", "value", "unit", "quality", "source time")
MOST_SHOWN = 40  # characters of a text


def check(words: str, config: "EdgeConfig | None", patience_s: float, *, as_json: bool) -> None:
    """Print `words`, if there are any, then what `config` does and what each source tells within `patience_s`.

    Raises EdgeError, when all is printed, with a sentence for each source that cannot be read.
    """
    from vigia.edge import EdgeError, agent
    from vigia.edge.dry_run import read_once

    plans = [] if config is None else agent.check(config)
    told = [] if config is None else loop.run(read_once(config, patience_s))
    if as_json:
        typer.echo(json.dumps({"configuration": words or None, "sources": [_as_json(one) for one in told]}))
    else:
        if words:
            typer.echo(words)
        for plan, one in zip(plans, told, strict=True):
            typer.echo(plan)
            _print(one)
    if problems := [one.problem for one in told if one.problem is not None]:
        raise EdgeError("; ".join(problems))


def _print(told: "SourceReadings") -> None:
    rows = [HEAD, *(_row(one) for one in told.readings)] if told.readings else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(one: "Reading") -> tuple[str, ...]:
    if one.quality is None or one.at_ms is None:
        return one.device, one.point, "-", one.unit, "nothing told", "-"
    return one.device, one.point, _shown(one.value), one.unit, one.quality, _time(one.at_ms)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    words = str(value) if str(value).isprintable() else ascii(value)
    return words if len(words) <= MOST_SHOWN else f"{words[:MOST_SHOWN]}..."


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_json(told: "SourceReadings") -> dict[str, object]:
    return {**asdict(told), "readings": [_reading_as_json(one) for one in told.readings]}


def _reading_as_json(one: "Reading") -> dict[str, object]:
    """JSON knows no number that is not finite."""
    value = None if isinstance(one.value, float) and not math.isfinite(one.value) else one.value
    at = None if one.at_ms is None else _time(one.at_ms)
    return {"device": one.device, "point": one.point, "value": value, "unit": one.unit, "quality": one.quality, "source_time": at}
