"""The gateway beside the machines: samples them, keeps every batch on disk until the host has it, speaks Sparkplug B."""

from vigia.errors import VigiaError


class EdgeError(VigiaError):
    """The gateway cannot do its work."""
