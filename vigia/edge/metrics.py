"""How the gateway is, as numbers for Prometheus, told in HTTP."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vigia.edge import EdgeError
from vigia.edge.buffer import BufferStatus, buffer_status
from vigia.edge.clock import now_ms
from vigia.edge.config import MetricsConfig
from vigia.edge.node import EdgeNode
from vigia.edge.node_status import NodeStatus
from vigia.errors import ConfigError

log = structlog.get_logger()


class _Family:
    """One metric of all nodes."""

    def __init__(self, kind: type[CounterMetricFamily | GaugeMetricFamily], name: str, what: str, *labels: str) -> None:
        self._metric = kind(f"vigia_edge_{name}", what, labels=("node", *labels))

    def tell(self, node: str, value: float, *labels: str) -> None:
        """`value` of `node`."""
        self._metric.add_metric((node, *labels), value)

    @property
    def metric(self) -> Metric:
        """As the library wants it."""
        return self._metric


class Gateway(Collector):
    """Asks the nodes that run now whenever somebody wants to know; `identity` is the folder of one, if the gateway has one."""

    def __init__(self, nodes: Callable[[], Sequence[EdgeNode]], identity: Path | None) -> None:
        self._nodes = nodes
        self._identity = identity

    def collect(self) -> Iterator[Metric]:
        """All metrics; called in the server's thread."""
        nodes = [(node.name, node.status(0.0), node.buffer.max_bytes, node.buffer.path) for node in self._nodes()]
        yield from _of_sources([(name, status) for name, status, *_ in nodes])
        yield from _of_lines([(name, status) for name, status, *_ in nodes])
        yield from _of_buffers([(name, limit, path, found) for name, _, limit, path in nodes if (found := buffer_status(path)) is not None])
        if self._identity is not None:
            yield from _of_certificate(self._identity)


def _of_sources(nodes: Sequence[tuple[str, NodeStatus]]) -> Iterator[Metric]:
    read = _Family(CounterMetricFamily, "samples_read", "Samples that the source told.", "source")
    up = _Family(GaugeMetricFamily, "source_up", "1 while the source runs.", "source")
    for name, status in nodes:
        read.tell(name, status.samples, status.source)
        up.tell(name, status.state == "running", status.source)
    yield from (read.metric, up.metric)


def _of_lines(nodes: Sequence[tuple[str, NodeStatus]]) -> Iterator[Metric]:
    connected = _Family(GaugeMetricFamily, "broker_connected", "1 while there is a connection to a broker.")
    again = _Family(CounterMetricFamily, "reconnects", "Connections to a broker after the first.")
    resent = _Family(CounterMetricFamily, "resent_batches", "Batches sent again, for nobody had acknowledged them.")
    dropped = _Family(CounterMetricFamily, "dropped_batches", "Batches dropped on purpose.", "reason")
    commands = _Family(CounterMetricFamily, "commands", "Commands that ended, by outcome: done, refused or failed.", "outcome")
    for name, status in nodes:
        connected.tell(name, status.broker is not None)
        again.tell(name, max(0, status.connections - 1))
        resent.tell(name, status.resent)
        for reason, count in status.dropped.items():
            dropped.tell(name, count, reason)
        for outcome, count in status.commands.items():
            commands.tell(name, count, outcome)
    yield from (connected.metric, again.metric, resent.metric, dropped.metric, commands.metric)


def _of_buffers(nodes: Sequence[tuple[str, int, Path, BufferStatus]]) -> Iterator[Metric]:
    stored = _Family(CounterMetricFamily, "samples_stored", "Samples ever put into the buffer.")
    acknowledged = _Family(CounterMetricFamily, "samples_acknowledged", "Samples that the host ever acknowledged.")
    dropped = _Family(CounterMetricFamily, "samples_dropped", "Samples ever dropped on purpose.")
    samples = _Family(GaugeMetricFamily, "waiting_samples", "Samples that the host has not acknowledged.")
    batches = _Family(GaugeMetricFamily, "waiting_batches", "Batches that the host has not acknowledged.")
    size = _Family(GaugeMetricFamily, "waiting_bytes", "What they take in the buffer.")
    oldest = _Family(GaugeMetricFamily, "waiting_oldest_seconds", "How long the oldest of them has waited.")
    heard = _Family(GaugeMetricFamily, "last_acknowledgement_timestamp_seconds", "When the host last acknowledged something new.")
    used = _Family(GaugeMetricFamily, "buffer_bytes", "What of the buffer's file is in use.")
    most = _Family(GaugeMetricFamily, "buffer_limit_bytes", "How large it may grow.")
    free = _Family(GaugeMetricFamily, "disk_free_bytes", "What the buffer's disk has left.")
    for name, limit, path, one in nodes:
        stored.tell(name, one.samples_stored)
        acknowledged.tell(name, one.samples_stored - one.samples_dropped - one.waiting_samples)
        dropped.tell(name, one.samples_dropped)
        samples.tell(name, one.waiting_samples)
        batches.tell(name, one.waiting_batches)
        size.tell(name, one.waiting_bytes)
        oldest.tell(name, 0.0 if one.oldest_waiting_ms is None else max(0, now_ms() - one.oldest_waiting_ms) / 1000)
        if one.acknowledged_ms is not None:
            heard.tell(name, one.acknowledged_ms / 1000)
        used.tell(name, one.used_bytes)
        most.tell(name, limit)
        with contextlib.suppress(OSError):
            free.tell(name, shutil.disk_usage(path.parent).free)
    for family in (stored, acknowledged, dropped, samples, batches, size, oldest, heard, used, most, free):
        yield family.metric


def _of_certificate(identity: Path) -> Iterator[Metric]:
    from vigia.edge.identity import load  # noqa: PLC0415 - a gateway without an identity needs no library for one

    with contextlib.suppress(EdgeError):
        left_s = (load(identity).valid_until - datetime.now(UTC)).total_seconds()
        yield GaugeMetricFamily("vigia_edge_certificate_seconds", "Until the gateway's certificate ends; below 0 when it has.", left_s)


@contextlib.contextmanager
def told(config: MetricsConfig, nodes: Callable[[], Sequence[EdgeNode]], identity: Path | None) -> Iterator[int]:
    """Tell them in HTTP while the context lasts; the port. Raises ConfigError when the address cannot be had."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Gateway(nodes, identity))
    try:
        server, thread = start_http_server(config.port, config.host, registry)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port} ({error.strerror or error}); choose another with --metrics-port "
            "(VIGIA_EDGE_METRICS_PORT) or --metrics-host"
        ) from None
    log.info("metrics told", host=config.host, port=server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
