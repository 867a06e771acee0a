"""A `vigia` command whose system's clock is wrong: `skewed_gateway.py FILE ...`; FILE says by how many seconds, at any moment anew."""

import sys
import time
from pathlib import Path

_said = Path(sys.argv[1])
_time_ns = time.time_ns


def time_ns() -> int:
    return _time_ns() + int(float(_said.read_text()) * 1_000_000_000)


time.time_ns = time_ns
time.time = lambda: time_ns() / 1_000_000_000
sys.argv[1:] = sys.argv[2:]

from vigia import cli  # noqa: E402 - what it imports must find the wrong clock

cli.main()
