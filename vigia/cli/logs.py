"""How a long-running process logs: one line an event, key=value, to stderr."""

import logging
import sys

import structlog


def configure_logging(level: str) -> None:
    """Log events of `level` ("debug", "info", "warning", "error") and above; libraries' own logs from warning on."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="timestamp=%(asctime)s level=%(levelname)s event=%(message)r"
    )
