"""`vigia edge status`: how a gateway is, told from beside it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vigia.edge.agent import NodeReport
    from vigia.edge.buffer import BufferStatus
    from vigia.edge.config import EdgeConfig
    from vigia.edge.node_status import NodeStatus

MB = 1e6


def show(config: "EdgeConfig", version: int | None, nodes: "Mapping[str, NodeReport]", ends: datetime | None, *, as_json: bool) -> None:
    """Print it. `version` is that of a configuration from the server, `ends` when the identity's certificate does."""
    if as_json:
        identity = {} if ends is None else {"identity": {"valid_until": ends.isoformat(timespec="seconds")}}
        about = {"configuration": {"sha256": config.sha256, "version": version}}
        typer.echo(json.dumps({**identity, **about, **{name: _as_json(config, one) for name, one in nodes.items()}}))
        return
    if ends is not None:
        typer.echo(f"identity: valid until {ends:%Y-%m-%d %H:%M} UTC, {(ends - datetime.now(UTC)).days} days left")
    typer.echo(f"configuration: {'' if version is None else f'version {version}, '}SHA-256 {config.sha256}")
    for name, one in nodes.items():
        typer.echo(name)
        for what, words in _rows(config, one):
            typer.echo(f"  {what:13} {words}")


def _as_json(config: "EdgeConfig", one: "NodeReport") -> dict[str, object]:
    """The buffer's counters, beside them how the node is, null while no gateway runs it."""
    counters = {} if one.buffer is None else {**asdict(one.buffer), "oldest_waiting_s": _oldest_s(one.buffer)}
    disk = {"max_bytes": config.buffer.max_bytes, "disk_free_bytes": one.free_bytes}
    return {**counters, **disk, "running": None if one.now is None else asdict(one.now)}


def _rows(config: "EdgeConfig", one: "NodeReport") -> "Iterator[tuple[str, str]]":
    if one.now is None:
        yield "source", "no gateway runs this node"
    else:
        yield from _of_now(config, one.now)
    if one.buffer is None:
        yield "buffer", "nothing stored yet"
    else:
        yield from _of_buffer(one.buffer)
    free = "unknown" if one.free_bytes is None else f"{one.free_bytes / MB:,.0f} MB"
    yield (
        "disk",
        f"{0 if one.buffer is None else one.buffer.used_bytes / MB:,.1f} MB used of {config.buffer.max_bytes / MB:,.1f} MB, {free} free",
    )


def _of_now(config: "EdgeConfig", now: "NodeStatus") -> "Iterator[tuple[str, str]]":
    yield "source", f"{now.source}, {now.state} since {_time(now.since_ms)}, {now.samples_per_s:g} samples/s, {now.samples} since the start"
    yield "last error", now.last_error or "none"
    yield "broker", f"{now.broker or 'not connected'}, {max(0, now.connections - 1)} reconnects"
    if now.configuration != config.sha256:
        yield "configuration", f"ANOTHER one runs, SHA-256 {now.configuration}: start the gateway again"


def _of_buffer(one: "BufferStatus") -> "Iterator[tuple[str, str]]":
    oldest = _oldest_s(one)
    age = "" if oldest is None else f", the oldest for {oldest:,.0f} s"
    yield "waiting", f"{one.waiting_samples} samples in {one.waiting_batches} batches ({one.waiting_bytes} bytes){age}"
    at = "never" if one.acknowledged_ms is None else _time(one.acknowledged_ms)
    yield "acknowledged", f"batch {one.acknowledged} of {one.newest} in epoch {one.epoch}, last {at}"
    yield "stored", f"{one.samples_stored} samples, {one.samples_dropped} dropped"
    if one.set_aside:
        yield "DAMAGED", f"and set aside: {', '.join(one.set_aside)}"


def _oldest_s(one: "BufferStatus") -> float | None:
    if one.oldest_waiting_ms is None:
        return None
    return max(0.0, round(datetime.now(UTC).timestamp() - one.oldest_waiting_ms / 1000, 1))


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
