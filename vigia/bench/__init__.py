"""Measurements of this machine: real parts, seeded content, ratios within one run. `vigia bench` prints what they return as JSON."""

from vigia.errors import VigiaError


class BenchError(VigiaError):
    """The measurement could not be finished."""
