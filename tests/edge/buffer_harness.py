"""What the tests of the buffer put into it."""

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vigia.edge.samples import Device, Point, Sample, Tick, Value
from vigia.sparkplug.datatypes import DataType

POINTS = (Point("t", DataType.DOUBLE, "Cel", 0.0, 100.0), Point("s", DataType.INT32, kind="state"))


def device(device_id: str = "d", serial: str = "1") -> Device:
    return Device(device_id, serial, "m", POINTS)


def sample(ts: int, value: Value | None = 1.0, device_id: str = "d", point: str = "t") -> Sample:
    return Sample(device_id, point, ts, value)


def noise(ts: int, count: int = 50) -> Tick:
    """Samples that no compression makes short: about eight bytes each."""
    rng = random.Random(ts)  # noqa: S311 - no secrets
    return Tick(samples=tuple(sample(ts, rng.random()) for _ in range(count)))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[str | None]:
    """Mounts a disk of `size` ("2m") at `folder`; gives why it cannot, or None."""
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if not mount or not umount:
        yield "mount and umount are not installed"
        return
    made = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={size}", "vigia-test", folder], capture_output=True, text=True, check=False)
    if made.returncode:
        yield made.stderr.strip()
        return
    try:
        yield None
    finally:
        subprocess.run([umount, "--lazy", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Another program takes what room there is, but for `leave` bytes."""
    other = folder / "other"
    with other.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            while shutil.disk_usage(folder).free >= leave + size:
                try:
                    file.write(bytes(size))
                except OSError:
                    break
    return other


def sound(buffer: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    connection = sqlite3.connect(buffer)
    try:
        return bool(connection.execute("pragma integrity_check").fetchone() == ("ok",))
    finally:
        connection.close()
