"""From the broker to the database: the Sparkplug host application.

Whatever arrives is decoded, scored and committed in one transaction with the ledger range that proves it; only then is it acknowledged.
"""

from vigia.errors import VigiaError


class IngestError(VigiaError):
    """Ingest cannot work."""


class BrokerUnavailableError(IngestError):
    """No broker answers; check that it runs and that --broker (VIGIA_BROKER) names it."""
