"""What every command needs: the configuration, the store, the models; and what becomes of our errors: exit codes."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

from monitor.config import Config, load, secrets
from monitor.errors import (
    BusyError,
    ConfigError,
    EngineError,
    MonitorError,
    Problem,
    RevisionError,
    RulesError,
    RulingError,
    StateError,
)
from monitor.log import hide, redacted
from monitor.log import set_up as set_up_log
from monitor.model import Feed

if TYPE_CHECKING:
    from monitor.learning import Learning
    from monitor.pipeline import Judge
    from monitor.store import Store

P = ParamSpec("P")
T = TypeVar("T")

EXIT_CODES: dict[type[MonitorError], int] = {
    ConfigError: 78,
    RulesError: 1,
    RevisionError: 1,
    RulingError: 1,
    StateError: 69,
    EngineError: 69,
    BusyError: 75,
}


def command(function: Callable[P, T]) -> Callable[P, T]:
    """Turn what we raise on purpose into a message and an exit code."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except MonitorError as error:
            click.echo(redacted(f"monitor: {error}"), err=True)
            sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))

    return guarded


def read_config(context: click.Context) -> Config:
    config = load(context.find_root().obj, os.environ)
    set_up_log(config.log.level, config.log.format)
    hide(secrets(config, os.environ))
    return config


def read_duration(option: str, text: str) -> timedelta:
    from monitor.toml import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error


def nothing_yet(config: Config) -> str:
    return f"nothing yet in {config.state}: `monitor run` or `monitor once` begins"


def tell(problems: Sequence[Problem], *, err: bool = False) -> None:
    """Print problems; exit 1 if one is more than a warning."""
    for problem in problems:
        click.echo(str(problem), err=err)
    if any(not problem.warning for problem in problems):
        sys.exit(1)


def fail(message: str) -> NoReturn:
    click.echo(redacted(f"monitor: {message}"), err=True)
    sys.exit(1)


def open_store(config: Config) -> Store:
    from monitor.store import Store

    return Store.open(config.state)


def open_store_to_read(config: Config) -> Store | None:
    """The store, or None if nothing was ever written: asking must not make one."""
    from monitor.database import FILE

    return open_store(config) if (config.state / FILE).exists() else None


def learn(config: Config, topics: Any = None) -> tuple[Learning, Judge]:
    from monitor.app import open_judge
    from monitor.embed import use_all_cores
    from monitor.learning import open_learning
    from monitor.rules import load_rules
    from monitor.vector_cache import cache_of

    topics = load_rules(config.rules) if topics is None else topics
    use_all_cores()
    learning = open_learning(config, lazily=True, kept=cache_of(os.environ))
    return learning, open_judge(config, learning, topics, cached=True, report=progress())


def folders(config: Config) -> str:
    """Where the topics are, for people."""
    return ", ".join(map(str, config.rules))


def embed_text(learning: Learning, title: str, text: str) -> Any:
    from monitor.language import identified
    from monitor.model import Item
    from monitor.text import plain, text_hash

    title, text = (plain(title), plain(text)) if title else (plain(text), "")
    item = Item(text_hash(title), Feed("text:"), title or "-", text, "", "", "", None, utc_now())
    (embedded,) = learning.embed([identified(item)])
    return embedded


def progress() -> Callable[[str, int, int], None]:
    """Make what tells people at a terminal how far a long work is, once it has taken a second."""
    began, is_shown = time.monotonic(), sys.stderr.isatty()

    def report(doing: str, done: int, of: int) -> None:
        if is_shown and time.monotonic() - began > 1:
            said = "" if done >= of else f"{doing}: {done:,} of {of:,}"
            click.echo(f"\r\x1b[K{said}", err=True, nl=False)

    return report


def short(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "never"


def iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def utc_now() -> datetime:
    return datetime.now(UTC)
