"""How a process logs: one line an event, key=value, to stderr or a file."""

import logging
import sys
from typing import TextIO

import structlog


def configure_logging(level: str, output: TextIO = sys.stderr) -> None:
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
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=max(number, logging.WARNING),
        stream=output,
        format="timestamp=%(asctime)s level=%(levelname)s event=%(message)r",
        force=True,
    )
