"""The gateway process: every node of the configuration, each with its own source, buffer and connection."""

import contextlib
import shutil
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import structlog

from vigia.concurrency import together
from vigia.edge import EdgeError
from vigia.edge.buffer import BufferStatus, EdgeBuffer, buffer_status
from vigia.edge.config import EdgeConfig, IdentityConfig, MetricsConfig
from vigia.edge.messages import About
from vigia.edge.node import EdgeNode
from vigia.edge.node_status import NodeStatus, StatusFile
from vigia.errors import ConfigError

log = structlog.get_logger()


async def run(config: EdgeConfig, metrics: MetricsConfig | None = None) -> None:
    """Run every node until cancelled; a broker or host that is away is waited for.

    Raises EdgeError when a buffer cannot be opened or a source cannot be understood, ConfigError when `metrics` cannot be told there.
    """
    identity = None if config.identity is None else config.identity.folder
    with opened(config) as nodes, telling(metrics, lambda: nodes, identity):
        await run_nodes(nodes, *([] if config.identity is None else [_check_in(config.identity, nodes)]))


def telling(
    metrics: MetricsConfig | None, nodes: Callable[[], Sequence[EdgeNode]], identity: Path | None
) -> contextlib.AbstractContextManager[object]:
    """What `metrics` asks for, while the context lasts. Raises ConfigError when the address, or the library, cannot be had."""
    if metrics is None:
        return contextlib.nullcontext()
    try:
        from vigia.edge.metrics import told  # noqa: PLC0415 - a gateway that is not asked for metrics needs no library for them
    except ModuleNotFoundError as error:
        raise ConfigError(f"metrics need {error.name}, which is not installed; install vigia[edge]") from None
    return told(metrics, nodes, identity)


@contextlib.contextmanager
def opened(config: EdgeConfig) -> Iterator[Sequence[EdgeNode]]:
    """The nodes of `config` with their buffers, not running yet. Raises EdgeError when a buffer cannot be opened."""
    with contextlib.ExitStack() as stack:
        nodes = []
        about = About(version("vigia"), config.sha256)
        for node, source in zip(config.nodes, config.sources, strict=True):
            buffer = EdgeBuffer(config.buffer_path(node), config.buffer.max_bytes, config.buffer.max_age_h * 3600)
            stack.callback(buffer.close)
            nodes.append(EdgeNode(node, config.broker, buffer, source, about))
        log.info("gateway started", nodes=len(nodes), brokers=[broker.address for broker in config.broker.each()])
        try:
            yield nodes
        finally:
            log.info("gateway stopped")


async def run_nodes(nodes: Sequence[EdgeNode], *beside: Coroutine[None, None, None]) -> None:
    """Run the nodes, and what runs beside them, until cancelled. Raises EdgeError when a source cannot be understood."""
    await together(*(node.run() for node in nodes), *beside)


async def _check_in(identity: IdentityConfig, nodes: Sequence[EdgeNode]) -> None:
    from vigia.edge.check_in import CheckIns, Unmanaged  # noqa: PLC0415 - a gateway without an identity needs no library for one

    await CheckIns(identity.folder, identity.check_in_s, Unmanaged(nodes)).run()


def check(config: EdgeConfig) -> list[str]:
    """What `run` would do, a line a node. The configuration itself was checked when it was loaded.

    Raises EdgeError when a buffer's folder cannot be written.
    """
    folder = config.buffer.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise EdgeError(f"{folder}: {error.strerror or error}; choose a folder for buffers that can be written") from None
    brokers = " or ".join(f"{'mqtts' if broker.tls else 'mqtt'}://{broker.address}" for broker in config.broker.each())
    return [f"{node.name}: {node.source['type']} -> {config.buffer_path(node)} -> {brokers}" for node in config.nodes]


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What can be seen of a node from outside: its buffer, None before the first sample; how it is, None while no gateway runs it.

    `free_bytes` is what the disk of the buffers has left, None when that is not known.
    """

    buffer: BufferStatus | None
    now: NodeStatus | None
    free_bytes: int | None


def status(config: EdgeConfig) -> dict[str, NodeReport]:
    """Each node by its name."""
    try:
        free_bytes = shutil.disk_usage(config.buffer.folder).free
    except OSError:
        free_bytes = None
    paths = {node.name: config.buffer_path(node) for node in config.nodes}
    return {name: NodeReport(buffer_status(path), StatusFile(path).read(), free_bytes) for name, path in paths.items()}


def certificate_ends(config: EdgeConfig) -> datetime | None:
    """When the identity's certificate ends; None for a gateway without an identity."""
    if config.identity is None:
        return None
    from vigia.edge.identity import load  # noqa: PLC0415 - a gateway without an identity needs no library for one

    return load(config.identity.folder).valid_until
