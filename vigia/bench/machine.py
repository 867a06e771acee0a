"""On what a figure was measured: without it the figure says nothing."""

import os
import platform
from importlib import metadata
from pathlib import Path

import psutil
from google.protobuf.internal import api_implementation

GIB = 1 << 30
PACKAGES = ("vigia", "numpy", "numba", "paho-mqtt", "protobuf", "psycopg")


def machine() -> dict[str, object]:
    """Processor, cores, memory, system, and how busy it was with other work (1-minute load average) when this was called."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Versions of what the measurements run in this environment."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found, "protobuf_implementation": api_implementation.Type()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
