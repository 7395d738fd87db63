"""Looks at all that `doctor` asks about: files, the database, the disk, the clock, the models, Slack. Changes nothing."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from monitor.app import CLOCK, UNWELL, slack_problems, waiting_since
from monitor.backup import BACKUP, last_backup
from monitor.config import Config, load, sink_names
from monitor.database import FILE, trouble
from monitor.doctor import Seen
from monitor.embed import look
from monitor.errors import ConfigError, EngineError, StateError
from monitor.learning import open_learning
from monitor.model import Topic
from monitor.rules import check_topics
from monitor.store import Store

#: What the daemon noted of the clock is believed for so long.
_FRESH = timedelta(hours=3)
#: https://www.freedesktop.org/software/systemd/man/latest/systemd-timesyncd.service.html
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


def see(file: Path | None, env: Mapping[str, str], now: datetime, *, deep: bool) -> Seen:
    """deep: load the engines too."""
    try:
        config = load(file, env)
    except ConfigError as error:
        return Seen(now, configuration=error.problems)
    topics, problems = check_topics(config.rules, sink_names(config))
    seen = Seen(now, rules=problems, topics=len(topics), room=_room(config.state), model=_model(config, deep=deep))
    seen = replace(seen, synchronised=SYNCHRONISED.exists() or None, slack=_slack(config, env, topics))
    if not (config.state / FILE).exists():
        return seen
    try:
        with contextlib.closing(Store.open(config.state)) as store:
            return _with_database(seen, store, config)
    except StateError as error:
        return replace(seen, database=str(error))


def _with_database(seen: Seen, store: Store, config: Config) -> Seen:
    now, backup = seen.at, last_backup(store.fact(BACKUP))
    whole, (size, free) = store.damage(), store.sizes()
    return replace(
        seen,
        database=f"{config.state / FILE}: it is damaged: {whole}" if whole else "",
        numbers=store.numbers(now),
        trouble=trouble(config.state),
        polled=not store.overdue(now - UNWELL) or store.polled_since(now - UNWELL),
        waiting_since=waiting_since(store, config.alerts.reply_gap, now),
        size=size,
        free=free,
        shrinks=store.shrinks(),
        backup=backup[0] if backup else None,
        ahead=_ahead(store.fact(CLOCK), now),
    )


def _ahead(noted: str, now: datetime) -> timedelta | None:
    row = json.loads(noted) if noted else None
    known = row and abs(now - datetime.fromisoformat(row["at"])) < _FRESH
    return timedelta(seconds=row["ahead"]) if row and known else None


def _room(folder: Path) -> int | None:
    there = next((one for one in (folder, *folder.parents) if one.exists()), None)
    return shutil.disk_usage(there).free if there else None


def _model(config: Config, *, deep: bool) -> str:
    try:
        look(config.embedding.engines, config.embedding.backend)
        if deep:
            open_learning(config).embedder.embed(["a headline"])
    except EngineError as error:
        return str(error)
    return ""


def _slack(config: Config, env: Mapping[str, str], topics: Sequence[Topic]) -> Sequence[str] | None:
    try:
        return slack_problems(config, env, topics)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
