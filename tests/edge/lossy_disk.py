"""A disk that forgets what was not flushed: every write and flush of SQLite in this process passes through here.

SQLite reaches files through a table of functions (its VFS). This one hands everything on to the real one, so files are what they
would be, and keeps beside it what each flush has made safe. After a power cut a file is what was safe, and of what was written since
an arbitrary part: whole sectors, in any order, or nothing.
"""

import _sqlite3
import contextlib
import ctypes
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECTOR = 512
OK = 0
IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE, IOERR_DELETE = 778, 1034, 1546, 2570
FORGOTTEN = "-shm"  # shared memory: no file that a flush could make safe

_POINTER = ctypes.c_void_p
_XOPEN = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _POINTER, ctypes.c_int, _POINTER)
_XDELETE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_int)
_XWRITE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_int, ctypes.c_int64)
_XTRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int64)
_XSYNC = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int)
_UNCHANGED = ["xFileSize", "xLock", "xUnlock", "xCheckReservedLock", "xFileControl", "xSectorSize", "xDeviceCharacteristics"]


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 2: files that are not mapped into memory."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("xClose", _POINTER),
        ("xRead", _POINTER),
        ("xWrite", _XWRITE),
        ("xTruncate", _XTRUNCATE),
        ("xSync", _XSYNC),
        *((name, _POINTER) for name in _UNCHANGED),
        *((name, _POINTER) for name in ("xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap")),
    )


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", _POINTER),
        ("zName", ctypes.c_char_p),
        ("pAppData", _POINTER),
        ("xOpen", _XOPEN),
        ("xDelete", _XDELETE),
        *((f"other{number}", _POINTER) for number in range(14)),
    )


@dataclass
class _File:
    """`safe` survives a power cut; `written` may: (offset, bytes), or (size, None) where it was cut. `entered`: its name is safe too."""

    safe: bytearray = field(default_factory=bytearray)
    written: list[tuple[int, bytes | None]] = field(default_factory=list)
    entered: bool = False

    def flush(self) -> None:
        for at, data in self.written:
            _apply(self.safe, at, data)
        self.written.clear()
        self.entered = True

    def after_power_cut(self, keeps: Callable[[], bool]) -> bytes:
        """`keeps` is asked for each sector of each write."""
        content = bytearray(self.safe)
        for at, data in self.written:
            if data is None:
                if keeps():
                    _apply(content, at, None)
                continue
            start = 0
            while start < len(data):
                end = min(len(data), start + SECTOR - (at + start) % SECTOR)
                if keeps():
                    _apply(content, at + start, data[start:end])
                start = end
        return bytes(content)


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data


class LossyDisk:
    """Watches SQLite's files below `folder` while it is in use; see `lossy_disk`.

    `cut_after` counts down what reaches the disk: at 0 the power is off, and everything fails.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cut_after: int | None = None
        self._files: dict[Path, _File] = {}
        self._lock = threading.RLock()  # a signal may come amid a write of its own thread

    @property
    def is_off(self) -> bool:
        return self.cut_after is not None and self.cut_after <= 0

    def power_cut(self, to: Path, seed: int) -> None:
        """Make in `to` what is found when the power is back. `seed` says what of the rest had reached the disk."""
        rng = random.Random(seed)  # noqa: S311 - no secrets
        kept = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        self._save(to, lambda: rng.random() < kept)

    def kill(self, to: Path) -> None:
        """Make in `to` what is found when the process was killed: the system has all that was written."""
        self._save(to, lambda: True)

    def _save(self, to: Path, keeps: Callable[[], bool]) -> None:
        with self._lock:
            self._write_files(to, keeps)

    def _write_files(self, to: Path, keeps: Callable[[], bool]) -> None:
        to.mkdir()
        for path in sorted({*self._files, *(path for path in self.folder.iterdir() if path.is_file())}):
            if path.name.endswith(FORGOTTEN):
                continue
            file = self._files.get(path)
            if file is None:
                shutil.copyfile(path, to / path.name)
            elif file.entered or keeps():
                (to / path.name).write_bytes(file.after_power_cut(keeps))

    # ── what SQLite does ──

    def _spend(self) -> bool:
        """Whether the power is still on."""
        if self.cut_after is not None:
            self.cut_after -= 1
        return not self.is_off

    def opened(self, path: Path) -> None:
        with self._lock:
            if path not in self._files:
                there = path.read_bytes() if path.exists() else b""
                self._files[path] = _File(bytearray(there), entered=bool(there))

    def may_write(self, path: Path, at: int, data: bytes | None, code: int) -> int:
        with self._lock:
            if not self._spend():
                return code
            self._files[path].written.append((at, data))
            return OK

    def may_flush(self, path: Path) -> int:
        with self._lock:
            if not self._spend():
                return IOERR_FSYNC
            self._files[path].flush()
            # The first flush of a file also makes the names in its folder safe.
            for file in self._files.values():
                file.entered = True
            return OK

    def may_delete(self, path: Path) -> int:
        with self._lock:
            if not self._spend():
                return IOERR_DELETE
            self._files.pop(path, None)
            return OK


class _Layer:
    """The table of functions that SQLite calls, for one disk."""

    def __init__(self, disk: LossyDisk) -> None:
        self._disk = disk
        self._paths: dict[int, Path] = {}
        self._tables: dict[int, tuple[_Methods, _Methods]] = {}
        self._sqlite = ctypes.CDLL(_sqlite3.__file__)
        self._sqlite.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._real = self._sqlite.sqlite3_vfs_find(None)
        real = self._real.contents
        self._vfs = _Vfs.from_buffer_copy(real)
        self._vfs.pNext = None
        self._vfs.zName = b"lossy"
        self._vfs.xOpen = _XOPEN(self._open)
        self._vfs.xDelete = _XDELETE(self._delete)

    def install(self) -> None:
        assert self._sqlite.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == OK

    def remove(self) -> None:
        self._sqlite.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
        self._sqlite.sqlite3_vfs_register(self._real, 1)

    def _open(self, vfs: int, name: int, file: int, flags: int, out: int) -> int:
        code: int = self._real.contents.xOpen(vfs, name, file, flags, out)
        path = Path(ctypes.string_at(name).decode()) if name else None
        if code == OK and path is not None and path.parent == self._disk.folder:
            self._disk.opened(path)
            self._paths[file] = path
            table = ctypes.cast(file, ctypes.POINTER(_POINTER))
            table[0] = ctypes.addressof(self._watched(int(table[0] or 0)))
        return code

    def _watched(self, real: int) -> _Methods:
        """The functions at `real`, ours among them. Kept for ever: SQLite goes on using it."""
        if real not in self._tables:
            made = _Methods.from_buffer_copy(_Methods.from_address(real))
            made.iVersion = 2
            original = _Methods.from_buffer_copy(made)
            made.xWrite = _XWRITE(lambda file, data, size, at: self._write(original, file, data, size, at))
            made.xTruncate = _XTRUNCATE(lambda file, size: self._truncate(original, file, size))
            made.xSync = _XSYNC(lambda file, _flags: self._disk.may_flush(self._paths[file]))
            self._tables[real] = (made, original)
        return self._tables[real][0]

    def _write(self, original: _Methods, file: int, data: int, size: int, at: int) -> int:
        code = self._disk.may_write(self._paths[file], at, ctypes.string_at(data, size), IOERR_WRITE)
        return code or original.xWrite(file, data, size, at)

    def _truncate(self, original: _Methods, file: int, size: int) -> int:
        return self._disk.may_write(self._paths[file], size, None, IOERR_TRUNCATE) or original.xTruncate(file, size)

    def _delete(self, vfs: int, name: int, sync: int) -> int:
        path = Path(ctypes.string_at(name).decode())
        code = self._disk.may_delete(path) if path.parent == self._disk.folder else OK
        return code or self._real.contents.xDelete(vfs, name, sync)


@contextlib.contextmanager
def lossy_disk(folder: Path) -> Iterator[LossyDisk]:
    """SQLite's files below `folder` are on a lossy disk until this is left. All connections to them must be closed by then."""
    disk = LossyDisk(folder)
    layer = _Layer(disk)
    layer.install()
    try:
        yield disk
    finally:
        layer.remove()
        _KEPT.append(layer)


_KEPT: list[Any] = []
