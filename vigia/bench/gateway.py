"""A gateway at work: recorded machines through its source, buffer and session to a broker and a host that acknowledges."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import chain, count, cycle, islice
from pathlib import Path

import numpy as np

from vigia.bench import BenchError, costs
from vigia.bench.host import Host
from vigia.bench.ingest import Certificates, temporary_home
from vigia.bench.machine import machine, versions
from vigia.edge.buffer import EdgeBuffer, buffer_status
from vigia.edge.samples import Device, Point, Sample, Tick
from vigia.edge.sources.replay.recording import OPERATING, POINTS, Row, engine, read_recording
from vigia.ingest.config import BrokerConfig
from vigia.sparkplug.datatypes import DataType
from vigia.supervisor.broker import running_broker
from vigia.supervisor.processes import Child, Supervisor, vigia_command

ENGINES = 20
ROWS_A_TICK = ENGINES * len(POINTS)
SHIFT = 7  # cycles by which each engine is ahead of the one before: no two say the same
GROUP, NODE = "bench", "gateway"
START_MS = 1_767_225_600_000
STEADY_S = 1.0  # what comes first does not count
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.005
OUTAGE_PER_S = 500  # samples, of which days must fit on a gateway's disk
OUTAGE_BYTES = 2_000_000_000
NOISY_DEVICES, NOISY_POINTS = 10, 50
RECORDING = Path(__file__).parents[1] / "demo" / "data" / "train_FD001.txt.gz"


@dataclass(frozen=True)
class GatewayBench:
    """What to measure: `seconds` at `samples_per_s`, an outage of `outage_samples`, and what `stored_samples` take on disk.

    `home` is where the temporary folder is made; `broker` names one instead of the embedded one.
    """

    home: Path
    samples_per_s: float = 5_000.0
    seconds: float = 20.0
    outage_samples: int = 200_000
    stored_samples: int = 500_000
    seed: int = 1
    broker: str | None = None
    certificates: Certificates = (None, None, None)

    @property
    def hours(self) -> int:
        """How many hours of the logbook it takes."""
        return round((self.samples_per_s * (self.seconds + STEADY_S) + self.outage_samples) / ROWS_A_TICK) + 2


def measure(bench: GatewayBench) -> dict[str, object]:
    """What the gateway's process costs, and what a sample takes in its buffer; nothing of it stays.

    `cpu_share` is of one core, `lag_*` from a sample's being told to its arrival at the host, at the steady rate. Then the host is away:
    `outage_samples_per_s` are stored meanwhile, as fast as it goes, and `drained_samples_per_s` acknowledged when it is back.
    `bytes_per_sample` is of a buffer's file that holds the recorded engines' cycles and nothing else, `noise_bytes_per_sample` of one
    that holds numbers without any order, 50 of a device together.

    `fault` says so when a sample came under two numbers. Raises BenchError when one is missing, and what a broker raises that does not
    answer.
    """
    before = machine()
    with temporary_home(bench.home) as home, contextlib.ExitStack() as exits:
        url, name = bench.broker, "the broker given"
        if url is None:
            running = exits.enter_context(running_broker(home / "broker"))
            url, name = running.url, running.plan.name
        rows = _one_long_life(bench.hours + SHIFT * ENGINES)
        figures = asyncio.run(_at_work(bench, home, url, rows))
        stored = {
            **_on_disk("", home / "recorded.sqlite", _recorded_ticks(rows), bench.stored_samples),
            **_on_disk("noise_", home / "noise.sqlite", _noisy_ticks(bench.seed), bench.stored_samples),
        }
    return {
        "benchmark": "edge",
        **figures,
        **stored,
        "broker": name,
        "engines": ENGINES,
        "samples_per_tick": ROWS_A_TICK,
        "seed": bench.seed,
        "machine": before,
        "versions": versions(),
    }


# ── the process ──


class Machines:
    """The engines, which tell an hour when they are asked to. `told_at` is when each hour was told (monotonic, s)."""

    def __init__(self, folder: Path, url: str, certificates: Certificates, rows: list[Row]) -> None:
        folder.mkdir()
        self.config = folder / "edge.toml"
        self.told_at: list[float] = [0.0]
        names = [f"E{number:02}" for number in range(ENGINES)]
        keys = "".join(
            f"{key} = {json.dumps(str(file.absolute()))}\n"
            for key, file in zip(("ca", "cert", "key"), certificates, strict=True)
            if file is not None
        )
        self.config.write_text(
            f"[broker]\nurl = {json.dumps(url)}\n{keys}"
            '[buffer]\nfolder = "buffers"\n'
            f'[[node]]\ngroup_id = "{GROUP}"\nnode_id = "{NODE}"\n'
            '[node.source]\ntype = "replay"\ncycle_s = 1\nlogbook = "logbook.jsonl"\ndata = "recording.txt"\n'
            f"devices = {json.dumps(names)}\n"
        )
        with (folder / "recording.txt").open("w") as file:
            file.writelines(f"1 {number} {' '.join(map(repr, row))}\n" for number, row in enumerate(rows, start=1))
        self._logbook = (folder / "logbook.jsonl").open("a", buffering=1)
        for number, name in enumerate(names):
            self._write({"kind": "install", "role": name, "serial": f"SN-{name}", "unit": 1, "hour": -SHIFT * number})

    @property
    def hour(self) -> int:
        """The newest that was told."""
        return len(self.told_at) - 1

    @property
    def samples(self) -> int:
        """Told so far."""
        return self.hour * ROWS_A_TICK

    def tell(self, hours: int = 1) -> None:
        """Let so many hours pass."""
        self.told_at += [time.monotonic()] * hours
        self._write({"kind": "clock", "hour": self.hour})

    def close(self) -> None:
        """No more is told."""
        self._logbook.close()

    def _write(self, entry: dict[str, object]) -> None:
        self._logbook.write(json.dumps(entry) + "\n")


@contextlib.asynccontextmanager
async def _gateway(home: Path, config: Path) -> AsyncIterator[int]:
    """The gateway's process; gives its id."""
    supervisor = Supervisor(home)
    child = Child("edge", vigia_command("edge", "run", "--config", str(config)))
    try:
        await supervisor.start(child)
        assert child.process is not None  # noqa: S101 - started
        yield child.process.pid
    except BenchError as error:
        words = (supervisor.log_folder / "edge.log").read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise BenchError(f"{error}; the last words of the gateway: {''.join(words) or 'none'}") from None
    finally:
        await supervisor.stop()


async def _at_work(bench: GatewayBench, home: Path, url: str, rows: list[Row]) -> dict[str, object]:
    machines = Machines(home / "edge", url, bench.certificates, rows)
    host = Host(BrokerConfig.from_url(url, *bench.certificates), GROUP, NODE)
    try:
        async with _gateway(home, machines.config) as pid:
            with host:
                steady = await _steady(bench, machines, host, pid)
            outage = await _outage(bench, machines, host)
    finally:
        machines.close()
    found = {**steady, **outage, "samples_told": machines.samples, "samples_heard": host.samples, "batches_repeated": host.repeats}
    if host.samples != machines.samples:
        found["fault"] = f"{machines.samples} samples were told and {host.samples} heard"
    return found


async def _steady(bench: GatewayBench, machines: Machines, host: Host, pid: int) -> dict[str, object]:
    """So many seconds at the rate, after what comes first has settled."""
    ticks_per_s = bench.samples_per_s / ROWS_A_TICK
    await _pace(machines, ticks_per_s, STEADY_S)
    await _heard(machines, host)
    first, begun = machines.hour, time.monotonic()
    async with costs.watching({"gateway": costs.of_process(pid)}, "gateway") as found:
        await _pace(machines, ticks_per_s, bench.seconds)
        await _heard(machines, host)
    took_s = time.monotonic() - begun
    lags_s = [host.heard_at[START_MS + hour * 1000] - machines.told_at[hour] for hour in range(first + 1, machines.hour + 1)]
    p50, p95 = np.percentile(np.array(lags_s) * 1000, (50, 95))
    samples = (machines.hour - first) * ROWS_A_TICK
    return {
        "samples_per_s": round(samples / took_s),
        "cpu_share": round(found.cpu_s["gateway"] / took_s, 3),
        "cpu_us_per_sample": round(found.cpu_s["gateway"] / samples * 1e6, 1),
        "rss_mb": found.rss_mb,
        "lag_p50_ms": round(float(p50), 1),
        "lag_p95_ms": round(float(p95), 1),
    }


async def _pace(machines: Machines, ticks_per_s: float, seconds: float) -> None:
    begun = time.monotonic()
    for number in range(max(1, round(seconds * ticks_per_s))):
        await asyncio.sleep(max(0.0, begun + number / ticks_per_s - time.monotonic()))
        machines.tell()


async def _outage(bench: GatewayBench, machines: Machines, host: Host) -> dict[str, object]:
    """The host is away; then it is back."""
    hours = max(1, round(bench.outage_samples / ROWS_A_TICK))
    buffer = machines.config.parent / "buffers" / f"{GROUP}.{NODE}.sqlite"
    begun = time.monotonic()
    machines.tell(hours)
    await _until(lambda: _stored(buffer) >= machines.samples, "the gateway stores nothing more")
    stored_s = time.monotonic() - begun
    with host:
        begun = time.monotonic()
        await _heard(machines, host)
        drained_s = time.monotonic() - begun
    return {
        "outage_samples_per_s": round(hours * ROWS_A_TICK / stored_s),
        "drained_samples_per_s": round(hours * ROWS_A_TICK / drained_s),
    }


async def _heard(machines: Machines, host: Host) -> None:
    """Until the host has all that was told."""
    await _until(lambda: host.samples >= machines.samples, "the gateway sends nothing more")
    host.check()


async def _until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(otherwise)
        await asyncio.sleep(LOOK_EVERY_S)


def _stored(buffer: Path) -> int:
    status = buffer_status(buffer)
    return 0 if status is None else status.samples_stored


# ── the disk ──


def _one_long_life(cycles: int) -> list[Row]:
    """The recorded engines one after the other."""
    return list(islice(cycle(chain.from_iterable(read_recording(RECORDING).values())), cycles))


def _recorded_ticks(rows: list[Row]) -> Iterator[Tick]:
    engines = [engine(f"E{number:02}", f"SN-{number:02}", "cmapss-fd001") for number in range(ENGINES)]
    yield Tick(births=tuple(engines))
    for hour in count(1):
        ts = START_MS + hour * 1000
        samples = []
        for number, one in enumerate(engines):
            age = hour + SHIFT * number
            told = (OPERATING, age, *rows[age % len(rows)])
            samples += [Sample(one.device_id, point.name, ts, value) for point, value in zip(POINTS, told, strict=True)]
        yield Tick(tuple(samples))


def _noisy_ticks(seed: int) -> Iterator[Tick]:
    rng = random.Random(seed)  # noqa: S311 - no secrets
    points = tuple(Point(f"sensor_{number}", DataType.DOUBLE) for number in range(NOISY_POINTS))
    devices = [Device(f"D{number}", f"SN-{number}", "noise", points) for number in range(NOISY_DEVICES)]
    yield Tick(births=tuple(devices))
    for second in count(1):
        ts = START_MS + second * 1000
        yield Tick(tuple(Sample(one.device_id, point.name, ts, rng.gauss(100, 5)) for one in devices for point in points))


def _on_disk(prefix: str, path: Path, ticks: Iterator[Tick], samples: int) -> dict[str, object]:
    """What so many samples take, stored tick by tick."""
    buffer = EdgeBuffer(path, OUTAGE_BYTES)
    begun = time.process_time()
    stored = 0
    for tick in ticks:
        buffer.append(tick)
        stored += len(tick.samples)
        if stored >= samples:
            break
    cpu_s = time.process_time() - begun
    buffer.close()
    each = path.stat().st_size / stored
    return {
        f"{prefix}bytes_per_sample": round(each, 2),
        f"{prefix}hours_500_samples_in_2gb": round(OUTAGE_BYTES / each / OUTAGE_PER_S / 3600, 1),
        f"{prefix}store_cpu_us_per_sample": round(cpu_s / stored * 1e6, 1),
    }
