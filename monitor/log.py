"""How the log is written: one event a line on stderr, the event first, then key=value; JSON where a program reads it."""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

#: Tokens and webhook addresses of Slack, whatever text they hide in.
_SECRET = re.compile(r"xox[a-z](?:\.xox[a-z])?-[\w-]+|xapp-[\w-]+|hooks\.slack\.com/services/\S+")


def set_up(level: str, style: Literal["auto", "json", "text"]) -> None:
    """Send our log, and warnings of the libraries, to stderr."""
    number = logging.getLevelNamesMapping()[level.upper()]
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=10, sort_keys=False)
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=True),
        _without_secrets,
    ]
    structlog.configure(
        processors=[*shared, *([] if text else [structlog.processors.format_exc_info]), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    # the libraries' INFO is two lines a tick from the scheduler, and one a weight from the engines
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def _without_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _SECRET.sub("…", value) if isinstance(value, str) else value for key, value in event.items()}
