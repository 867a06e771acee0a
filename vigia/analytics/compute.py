"""Where heavy work is done: in this process, or on the workers of a Dask cluster. The results are the same, bit for bit.

That holds because a unit of work (a fold, a block of machines) is a pure function of its arguments with seeds of its own, because units
are made without regard to how many workers there are, because results come back in the order of the units, and because every unit
computes its sums on one thread.
"""

import hashlib
import importlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from os import cpu_count
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from vigia.errors import VigiaError

Shared = TypeVar("Shared")
Part = TypeVar("Part")
Result = TypeVar("Result")

CONNECT_S = 10.0
ALIKE = ("numpy", "scipy", "scikit-learn", "numba")
"""Libraries on whose version the last bit of a result may depend."""


class ComputeError(VigiaError):
    """The Dask cluster cannot be used; see `docs/operations.md`."""


class NoDaskError(ComputeError):
    """`--dask` needs Dask; install it with `pip install vigia[server,dask]`, here and where the scheduler and the workers run."""


class Compute(Protocol):
    """Does units of work."""

    def map(self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Sequence[Part]) -> list[Result]:
        """`work(shared, part)` of each part, in the order of `parts`. Raises what `work` raises."""
        ...


@dataclass(frozen=True)
class InProcess:
    """Threads of this process, as many as it has cores."""

    def map(self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Sequence[Part]) -> list[Result]:
        """See `Compute`."""
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cpu_count()) as threads:
            return list(threads.map(lambda part: work(shared, part), parts))


@dataclass(frozen=True)
class OnDask:
    """The workers of a cluster. Made by `at`."""

    client: Any
    """distributed.Client"""
    address: str

    def map(self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Sequence[Part]) -> list[Result]:
        """See `Compute`. Raises ComputeError when the cluster is lost meanwhile."""
        from distributed import KilledWorker  # noqa: PLC0415 - an optional library

        try:
            held = self.client.scatter(shared, broadcast=True, hash=False)
            futures = [self.client.submit(_one_thread, work, held, part, pure=False) for part in parts]
            found: list[Result] = self.client.gather(futures)
        except (KilledWorker, CancelledError, OSError) as error:
            raise ComputeError(f"The Dask cluster at {self.address} was lost amid the work: {error}") from None
        return found


@cache
def _one_thread_from_now_on() -> object:
    """A worker computes several units at once, and the limit is the whole process's: never set back, it cannot be lifted amid another."""
    return threadpool_limits(1, user_api="blas")


def _one_thread(work: Callable[[Shared, Part], Result], shared: Shared, part: Part) -> Result:
    _one_thread_from_now_on()
    return work(shared, part)


@contextmanager
def at(address: str | None) -> Iterator[Compute]:
    """The cluster whose scheduler listens there (`tcp://HOST:PORT`, or `tls://` with Dask's own settings); None: this process.

    Raises NoDaskError, and ComputeError when nobody answers, no worker is there, or a worker has other versions.
    """
    if address is None:
        yield InProcess()
        return
    client = _client(address)
    try:
        _check(client, address)
        yield OnDask(client, address)
    finally:
        client.close()


def _client(address: str) -> Any:  # noqa: ANN401 - distributed.Client, which says of hardly any method what it takes
    try:
        from distributed import Client  # noqa: PLC0415 - an optional library
    except ImportError:
        raise NoDaskError from None
    try:
        return cast("Any", Client)(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        message = f"No Dask scheduler answers at {address}; start one with `dask scheduler`, or see whether the address is right."
        raise ComputeError(message) from error


def _check(client: Any, address: str) -> None:  # noqa: ANN401 - likewise
    """Raise ComputeError unless there are workers and all run what runs here."""
    workers = client.get_versions(check=False)["workers"]
    if not workers:
        raise ComputeError(f"The Dask scheduler at {address} has no workers; start some with `dask worker {address}`.")
    for worker, found in workers.items():
        # First of all and by Dask itself: another Python may not survive reading our functions.
        _same(worker, {"python": _release(found["host"]["python"])}, {"python": platform.python_version()})
    here = versions()
    for worker, there in client.run(_asked()).items():
        _same(worker, there, here)


def _release(python: str) -> str:
    """`3.11.7` of `3.11.7.final.0`."""
    return ".".join(python.split(".")[:3])


def _same(worker: str, there: Mapping[str, str], here: Mapping[str, str]) -> None:
    differing = [f"{name} {there.get(name, 'missing')} instead of {wanted}" for name, wanted in here.items() if there.get(name) != wanted]
    if differing:
        raise ComputeError(f"The Dask worker {worker} has {', '.join(differing)}; install there what is installed here.")


def _asked() -> Callable[[], dict[str, str]]:
    """A function that is sent as it is, and works where no Vigía, or another, is installed."""

    def ask() -> dict[str, str]:
        try:
            found: dict[str, str] = importlib.import_module("vigia.analytics.compute").versions()
        except (ImportError, AttributeError):
            return {}
        return found

    return ask


@cache
def versions() -> dict[str, str]:
    """What must be the same everywhere: the program's version and the hash of its analytics, and the libraries it computes with."""
    source = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        source.update(path.read_bytes())
    program = f"{metadata.version('vigia')} ({source.hexdigest()[:12]})"
    return {"vigia": program, **{name: metadata.version(name) for name in ALIKE}}
