"""Passwords: argon2id, hashed off the event loop, two at a time (each needs 64 MiB)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


def hash_password(password: str) -> str:
    """The argon2id hash to store; takes tens of milliseconds."""
    return _hasher.hash(password)


async def matches(password: str, password_hash: str | None) -> bool:
    """True if `password` belongs to the hash. None (no such account) takes as long and is False."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, password, password_hash)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody has this password")


def _verify(password: str, password_hash: str | None) -> bool:
    try:
        _hasher.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
