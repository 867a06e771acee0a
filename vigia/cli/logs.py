"""How a process logs: one line an event, key=value, to stderr or a file."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from types import ModuleType


def configure_logging(level: str, output: TextIO | None = None) -> None:
    """Log events of `level` ("debug", "info", "warning", "error") and above to `output` or stderr; libraries' own from warning on."""
    output = output or sys.stderr
    with _without_rich():
        import structlog

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


@contextmanager
def _without_rich() -> Iterator[None]:
    """As if rich were not installed: structlog would load it for a renderer not used here, at every start of every command."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if "rich" in modules:
        yield
        return
    modules["rich"] = None
    try:
        yield
    finally:
        del modules["rich"]
