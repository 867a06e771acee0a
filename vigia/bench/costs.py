"""What processes cost while a measurement runs: CPU time of groups of them, and the memory of one group."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import psutil

RSS_EVERY_S = 0.1
SCAN_EVERY_S = 2.0  # looking for processes costs more than looking at them
MIB = 1 << 20

Finder = Callable[[], list[psutil.Process]]


@dataclass
class Costs:
    """CPU seconds (user and system) by group, and the watched group's memory: seconds since the beginning, and MiB."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    rss: list[tuple[float, float]] = field(default_factory=list)

    def per(self, group: str, units: float) -> float | None:
        """CPU seconds of the group by so many units; None when none of its processes is here to be seen."""
        return round(self.cpu_s[group] / units, 3) if group in self.cpu_s else None

    @property
    def rss_mb(self) -> float:
        """The largest."""
        return round(max((mib for _, mib in self.rss), default=0.0), 1)


def of_process(pid: int) -> Finder:
    """A process and what it started."""

    def find() -> list[psutil.Process]:
        try:
            process = psutil.Process(pid)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []

    return find


def of_database(name: str, *, whole_server: bool) -> Finder:
    """The server processes that serve a database; with `whole_server` those that serve them all as well."""

    def find() -> list[psutil.Process]:
        found = [process for process in psutil.process_iter() if _serves(process, name)]
        with contextlib.suppress(psutil.Error):
            main = found[0].parent() if found and whole_server else None
            return found if main is None else [main, *main.children()]
        return found

    return find


def _serves(process: psutil.Process, database: str) -> bool:
    try:
        words = " ".join(process.cmdline()).split()  # the title may come in one piece or in words
    except psutil.Error:
        return False
    return words[:1] == ["postgres:"] and database in words


@contextlib.asynccontextmanager
async def watching(groups: Mapping[str, Finder], memory_of: str) -> AsyncIterator[Costs]:
    """Watch the groups until it is left; the costs are complete then."""
    watch = _Watch(groups, memory_of)
    watch.scan()
    task = asyncio.create_task(watch.run())
    try:
        yield watch.costs
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        watch.scan()


class _Watch:
    def __init__(self, groups: Mapping[str, Finder], memory_of: str) -> None:
        self._groups = groups
        self._memory_of = memory_of
        self._first: dict[int, float] | None = None
        self._last: dict[int, float] = {}
        self._processes: dict[str, list[psutil.Process]] = {}
        self._begun = time.perf_counter()
        self.costs = Costs()

    async def run(self) -> None:
        scanned_at = self._begun
        while True:
            now = time.perf_counter()
            if now - scanned_at >= SCAN_EVERY_S:
                scanned_at = now
                await asyncio.to_thread(self.scan)
            rss = sum(_of(process, lambda one: one.memory_info().rss) for process in self._processes[self._memory_of])
            self.costs.rss.append((now - self._begun, rss / MIB))
            await asyncio.sleep(RSS_EVERY_S)

    def scan(self) -> None:
        """Look for the processes and at their CPU time. One that is new has spent all of its time here."""
        self._processes = {name: find() for name, find in self._groups.items()}
        for name, processes in self._processes.items():
            for process in processes:
                self._last[process.pid] = max(self._last.get(process.pid, 0.0), _of(process, _cpu_s))
            if self._first is not None and processes:
                spent = (self._last[one.pid] - self._first.get(one.pid, 0.0) for one in processes)
                self.costs.cpu_s[name] = max(self.costs.cpu_s.get(name, 0.0), sum(spent))
        if self._first is None:
            self._first = dict(self._last)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _of(process: psutil.Process, ask: Callable[[psutil.Process], float]) -> float:
    try:
        return ask(process)
    except psutil.Error:
        return 0.0  # it has ended; whoever waits for its work says so
