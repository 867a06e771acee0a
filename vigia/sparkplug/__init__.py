"""The wire: Sparkplug B 3.0 topics, payloads and session rules. No I/O; used by the edge and by ingest.

One base error, `SparkplugError`: whatever a stranger puts on the wire ends in one of its children, with the reason as its message.
"""

from vigia.errors import VigiaError


class SparkplugError(VigiaError):
    """The message does not follow Sparkplug B."""


class TopicError(SparkplugError):
    """The topic does not follow Sparkplug B."""


class PayloadError(SparkplugError):
    """The payload does not follow Sparkplug B."""
