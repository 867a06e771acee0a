"""Where heavy work is done: in this process, or on the workers of a Dask cluster. The results are the same, bit for bit.

That holds because a unit of work (a fold, a block of machines) is a pure function of its arguments with seeds of its own, because units
are made without regard to how many workers there are, because results come back in the order of the units, and because every unit
computes its sums on one thread.
"""

import hashlib
import importlib
import importlib.util
import logging
import platform
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from os import cpu_count
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from vigia.errors import VigiaError

Shared = TypeVar("Shared")
Part = TypeVar("Part")
Result = TypeVar("Result")

CONNECT_S = 10.0
SILENCE_S = 30.0
"""A scheduler that answers nothing for so long is given up. As often it is asked whether it has workers: one lost may be started again."""
LONGEST_GREETING = 1 << 20
"""In bytes."""
SCHEMES = ("tcp", "tls")
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
        """See `Compute`. Raises ComputeError when the cluster is lost meanwhile; one lost worker's units are done by the others."""
        from distributed import KilledWorker  # noqa: PLC0415 - an optional library

        try:
            return self._watched(lambda: self._all(work, shared, parts))
        except KilledWorker:
            message = f"Several workers of the Dask cluster at {self.address} ended amid the same work; they may be short of memory."
        except (CancelledError, OSError):
            message = f"The Dask cluster at {self.address} was lost amid the work, and what was done with it; start the command again."
        raise ComputeError(message)

    def _all(self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Sequence[Part]) -> list[Result]:
        # As a unit of its own and not scattered: Dask makes it again where the worker that had it is lost.
        held = self.client.submit(_itself, shared, pure=False)
        futures = [self.client.submit(_one_thread, work, held, part, pure=False) for part in parts]
        found: list[Result] = self.client.gather(futures)
        return found

    def _watched(self, work: Callable[[], Result]) -> Result:
        """What `work` returns. Raises TimeoutError when the scheduler is silent or has no workers; closing the client then ends `work`."""
        working = _begun(work)
        while not wait([working], timeout=SILENCE_S).done:
            if not self.client.sync(self.client.scheduler.ncores, callback_timeout=SILENCE_S):
                raise TimeoutError
        return working.result()


def _begun(work: Callable[[], Result]) -> Future[Result]:
    """What becomes of `work`, on a thread that the end of the process does not wait for."""
    found: Future[Result] = Future()

    def do() -> None:
        try:
            found.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            found.set_exception(error)

    Thread(target=do, daemon=True).start()
    return found


@cache
def _one_thread_from_now_on() -> object:
    """A worker computes several units at once, and the limit is the whole process's: never set back, it cannot be lifted amid another."""
    return threadpool_limits(1, user_api="blas")


def _itself(shared: Shared) -> Shared:
    return shared


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
    client = _client(checked(address))
    try:
        try:
            _begun(lambda: _check(client, address)).result(SILENCE_S)
        except OSError:
            raise ComputeError(f"Not all workers of the Dask cluster at {address} answer; see which of them is stuck.") from None
        yield OnDask(client, address)
    finally:
        client.close()


def checked(address: str) -> str:
    """`address` if it can be a scheduler's. Raises ComputeError if not, and NoDaskError where Dask is not installed."""
    try:
        parts = urlsplit(address)
        fit = parts.scheme in SCHEMES and parts.hostname and parts.port and address == f"{parts.scheme}://{parts.netloc}"
    except ValueError:  # of the port
        fit = False
    if not fit:
        message = f"--dask {address!r} is no address of a Dask scheduler; write tcp://HOST:PORT or tls://HOST:PORT."
        raise ComputeError(message)
    try:
        installed = importlib.util.find_spec("distributed")
    except ValueError:
        installed = None
    if installed is None:
        raise NoDaskError
    return address


def _greets(address: str) -> bool:
    """Whether somebody is there and, without TLS, begins as Dask does: with how many bytes follow.

    Asked before Dask is, which waits for ever where nothing is said, takes any greeting for a length, and cleans up loudly.
    """
    where = urlsplit(address)
    try:
        with socket.create_connection((str(where.hostname), where.port or 0), CONNECT_S) as there:
            return where.scheme == "tls" or 0 < int.from_bytes(there.recv(8, socket.MSG_WAITALL), "little") < LONGEST_GREETING
    except OSError:
        return False


def _client(address: str) -> Any:  # noqa: ANN401 - distributed.Client, which says of hardly any method what it takes
    import dask  # noqa: PLC0415 - an optional library
    from distributed import Client  # noqa: PLC0415

    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"})  # a fleet's histories are meant to be sent
    for name in ("distributed", "distributed.client"):  # all that they say becomes one sentence here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    tls = ", and whether both sides have certificates of the same authority" if address.startswith("tls:") else ""
    nobody = f"No Dask scheduler answers at {address}; start one with `dask scheduler`, or see whether the address is right{tls}."
    if tls:
        _check_certificates(address)
    if not _greets(address):
        raise ComputeError(nobody)
    try:
        return _begun(lambda: cast("Any", Client)(address, timeout=CONNECT_S, set_as_default=False)).result(2 * CONNECT_S)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise ComputeError(nobody) from error


def _check_certificates(address: str) -> None:
    """Raise ComputeError unless Dask is told of certificates, and can read them."""
    from distributed.security import Security  # noqa: PLC0415 - an optional library

    names = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...TLS__CLIENT__CERT and ...TLS__CLIENT__KEY"
    try:
        context = cast("Any", Security)().get_connection_args("client")["ssl_context"]
    except OSError as error:
        message = f"The certificates for {address} cannot be used ({error.strerror or error}); see the files that {names} name."
        raise ComputeError(message) from None
    if context is None:
        raise ComputeError(f"{address} wants certificates; name the files with {names}.")


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
