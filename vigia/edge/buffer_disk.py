"""The disk under a buffer: how much of it is left, and a reserve for the moment when other programs leave none."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

RESERVE_BYTES = 1024 * 1024  # more than the write-ahead log ever holds, so that it can always be emptied
Done = TypeVar("Done")


class Disk:
    """The disk of the buffer at `path`."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._reserve = path.with_name(f"{path.name}.reserve")

    def keep_reserve(self) -> None:
        """Hold some space back; not when it is scarce already."""
        with contextlib.suppress(OSError):
            disk = shutil.disk_usage(self._folder)
            size = min(RESERVE_BYTES, disk.total // 8)
            if not self._reserve.exists() and disk.free > 4 * size:
                self._reserve.write_bytes(bytes(size))

    def give_reserve(self) -> None:
        """Let the buffer have it."""
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def with_reserve(self, do: Callable[[], Done]) -> Done:
        """What `do` returns; when it raises because the disk is full, it is done once more with the reserve's room."""
        try:
            return do()
        except (OSError, sqlite3.Error):
            if not (self.is_full() and self._reserve.exists()):
                raise
        self.give_reserve()
        return do()

    def is_full(self) -> bool:
        """Whether there is nothing left."""
        try:
            return shutil.disk_usage(self._folder).free < RESERVE_BYTES // 16
        except OSError:
            return False

    def is_scarce(self) -> bool:
        """Whether the file should grow no more: what is left is for the write-ahead log, without which nothing can be dropped."""
        try:
            disk = shutil.disk_usage(self._folder)
        except OSError:
            return False
        return disk.free <= min(RESERVE_BYTES, disk.total // 4)
