"""How the log is written: one event a line on stderr, the event first, then key=value; JSON where a program reads it."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Literal
from urllib.parse import quote

from monitor.deferred import absent

with absent("rich"):  # for tracebacks in colour, which are not used: a quarter of what a command imports
    import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.errors import SECRET

#: What gives itself away by its form: a password in an address, and the key that some feeds bear in theirs.
_CREDENTIALS = re.compile(
    r"(?<=://)[^/\s@\"']+(?=@)"
    r"|(?<=[?&])((?:api[_-]?key|key|token|access[_-]?token|auth|sig|signature|password|pwd|secret)=)[^&\s\"'\\]+",
    re.IGNORECASE,
)
#: Shorter secrets would blank words, and guard little.
_SHORTEST = 8
#: What this process knows to be secret, longest first, as it may stand in a line.
hidden: list[str] = []


def hide(secrets: Iterable[str]) -> None:
    """Let none of these appear in the log from now on, besides what gives itself away by its form."""
    known = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
    hidden[:] = sorted(known | set(hidden), key=len, reverse=True)


def _forms(secret: str) -> tuple[str, ...]:
    """As it is, in an address, and in JSON."""
    return secret, quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]


def redacted(text: str) -> str:
    """The text without secrets."""
    for secret in hidden:
        text = text.replace(secret, "…")
    return _CREDENTIALS.sub(lambda found: f"{found[1] or ''}…", SECRET.sub("…", text))


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
        return redacted(str(draw(logger, name, event)))

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
    logging.captureWarnings(True)
    # a traceback that Python itself writes repeats the error's words, and with them what stands in them
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), trace)
        return
    structlog.get_logger().critical("uncaught", error=str(error), exc_info=(kind, error, trace))


def _event_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {"event": event.pop("event", ""), **event}
