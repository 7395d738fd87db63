"""How the log is written: one event a line on stderr, the event first, then key=value; JSON where a program reads it."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.errors import SECRET


def set_up(level: str, style: Literal["auto", "json", "text"]) -> None:
    """Send our log, and warnings of the libraries, to stderr."""
    number = logging.getLevelNamesMapping()[level.upper()]
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    draw: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=10,
            sort_keys=False,
            # the default shows the locals of every frame, and breaks long ones, secrets too, over lines
            exception_formatter=structlog.dev.plain_traceback,
        )
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    shared: list[Processor] = [
        _event_first,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=True),
        *([] if text else [structlog.processors.format_exc_info]),
    ]

    def renderer(logger: WrappedLogger, name: str, event: EventDict) -> str:
        # last of all: a secret may stand in a list, a traceback or an object that only now became text
        return SECRET.sub("…", str(draw(logger, name, event)))

    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    # the libraries' INFO is two lines a tick from the scheduler, and one a weight from the engines
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def _event_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {"event": event.pop("event", ""), **event}
