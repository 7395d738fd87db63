"""What the monitor remembers: SQLite through sqlite-utils. Each read and write is a named method that takes and gives
the nouns of `model`. No decision is made here; all SQL is.

One connection, used by one thread. Every write is a transaction that begins IMMEDIATE (a deferred one that reads before it
writes fails at once if somebody else wrote in between). `synchronous` stays FULL: with NORMAL a power cut may forget that
a message was being sent, and it would be sent again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from sqlite_utils import Database

from monitor.errors import BusyError, OvertakenError, RulingError, StateError
from monitor.model import (
    Ailment,
    Alert,
    AlertKind,
    Condition,
    Corroboration,
    Delivery,
    DeliveryState,
    EmbeddedItem,
    Escalation,
    Explained,
    Feed,
    FeedState,
    Hints,
    Item,
    Match,
    MatchOutcome,
    Member,
    Message,
    Notice,
    Opinion,
    Placement,
    Polled,
    Rearrangement,
    Record,
    Relation,
    Rhythm,
    Root,
    Ruling,
    RulingKind,
    Severity,
    Story,
    Subscription,
    Telling,
    Thread,
    Timeline,
    Validators,
    Vector,
    Verdict,
    Version,
    Voice,
    voices,
)
from monitor.schema import migrations

Row = dict[str, Any]

FILE = "monitor.sqlite3"
LOCK = "monitor.lock"
#: "nmon": marks the file as ours, https://www.sqlite.org/pragma.html#pragma_application_id
APPLICATION_ID = 0x6E6D6F6E


class Lock:
    """A folder of state belongs to one process that writes alerts; the kernel lets go when that process dies."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / LOCK).open("a+")
        except OSError as error:
            raise StateError(f"{folder}: cannot be used as the monitor's folder of state: {error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise BusyError(
                f"another monitor (process {holder}) works on {folder}: stop it, or give this one a state folder of its own"
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class Store:
    """The database in a folder of state."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._database = Database(connection)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the folder's database, making and migrating it as needed. To be called in the thread that will use it.

        Raises: StateError, having written nothing to a file that is not ours.
        """
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            try:
                _refuse_strangers(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA foreign_keys = ON")
                store = cls(connection)
                migrations.apply(store._database)
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StateError(f"{path}: cannot be used as the monitor's database: {error}") from error
        return store

    @classmethod
    def in_memory(cls) -> Self:
        store = cls(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        store._connection.execute("PRAGMA foreign_keys = ON")
        migrations.apply(store._database)
        return store

    def close(self) -> None:
        self._connection.close()

    # -- feeds ------------------------------------------------------------------------------------

    def add_feed(self, feed: Feed, now: datetime) -> bool:
        """Add a feed, or bring back or correct one that is known; True if it was not on the list."""
        with self._writing():
            known = self._one("SELECT active FROM feeds WHERE url = ?", feed.url)
            self._connection.execute(
                """INSERT INTO feeds (url, title, kind, country, language, site, added) VALUES (?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (url) DO UPDATE SET title = excluded.title, kind = excluded.kind, country = excluded.country,
                       language = excluded.language, site = excluded.site, active = 1""",
                (feed.url, feed.title, feed.kind, feed.country, feed.language, feed.site, _text(now)),
            )
        return known is None or not known["active"]

    def remove_feed(self, url: str) -> bool:
        """Take a feed off the list; its items stay. False if it was not on it."""
        with self._writing():
            done = self._connection.execute("UPDATE feeds SET active = 0 WHERE url = ? AND active = 1", (url,))
            return done.rowcount > 0

    def feeds(self) -> list[FeedState]:
        """The feeds on the list, in the order in which they were added."""
        return [_feed_state(row) for row in self._rows(f"{_FEED_STATES} WHERE f.active = 1 ORDER BY f.added, f.rowid")]

    def due_feeds(self, now: datetime, limit: int = -1, each: int = 1_000_000) -> list[FeedState]:
        """The feeds whose time has come, longest overdue first; their items are not counted.

        At most `limit` of them, and at most `each` of one server (scheme, host and port): all of one server may be overdue
        at once, and the others' are not to be out of sight behind them.
        """
        due = """SELECT f.*, 0 AS items, 0 AS held FROM feeds f JOIN (
                     SELECT rowid AS id, row_number() OVER (
                         -- all before the slash that ends the host
                         PARTITION BY substr(url, 1, 7 + instr(substr(url, 9) || '/', '/'))
                         ORDER BY coalesce(next_poll, ''), rowid
                     ) AS place FROM feeds WHERE active = 1 AND coalesce(next_poll, '') <= ?
                 ) d ON d.id = f.rowid WHERE d.place <= ? ORDER BY coalesce(f.next_poll, ''), f.rowid LIMIT ?"""
        return [_feed_state(row) for row in self._rows(due, _text(now), each, limit)]

    def overdue(self, now: datetime) -> list[str]:
        """The addresses of the feeds whose time has come, longest overdue first."""
        rows = self._rows(
            """SELECT url FROM feeds f WHERE f.active = 1 AND coalesce(f.next_poll, '') <= ?
               ORDER BY coalesce(f.next_poll, ''), f.rowid""",
            _text(now),
        )
        return [row["url"] for row in rows]

    def put_off(self, times: Mapping[str, datetime]) -> None:
        """Give feeds the time of their next poll."""
        with self._writing():
            self._connection.executemany(
                "UPDATE feeds SET next_poll = ? WHERE url = ?", [(_text(time), url) for url, time in times.items()]
            )

    def forgive(self, weights: Mapping[str, float]) -> None:
        """Take back failures that turned out not to be the feeds'."""
        with self._writing():
            self._connection.executemany(
                "UPDATE feeds SET failures = max(0, failures - ?) WHERE url = ?",
                [(weight, url) for url, weight in weights.items()],
            )
            self._connection.execute("UPDATE feeds SET failing_since = NULL WHERE failures = 0")

    def release(self, url: str, now: datetime) -> int:
        """Let what the storm breaker holds of a feed be judged at its next poll, which is now; how many items that is."""
        with self._writing():
            held = self._one("SELECT count(*) AS n FROM items WHERE feed_url = ? AND verdict = ?", url, Verdict.HELD)
            if held and held["n"]:
                self._connection.execute(
                    "UPDATE feeds SET released = 1, next_poll = ? WHERE url = ?", (_text(now), url)
                )
        return int(held["n"]) if held else 0

    def drop(self, url: str) -> int:
        """Let what the storm breaker holds of a feed go untold; how many items that is."""
        with self._writing():
            done = self._connection.execute(
                "UPDATE items SET verdict = ?, verdict_because = 'a person dropped it' WHERE feed_url = ? AND verdict = ?",
                (Verdict.DROPPED, url, Verdict.HELD),
            )
            return done.rowcount

    # -- polls ------------------------------------------------------------------------------------

    def known(self, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Those of the keys that name an item of an earlier poll: the item's id, and its content."""
        found: dict[str, tuple[str, str]] = {}
        for chunk in _chunks(keys):
            marks = ",".join("?" * len(chunk))
            rows = self._connection.execute(
                f"""SELECT id, id, content_hash FROM items WHERE id IN ({marks})
                    UNION ALL SELECT n.key, i.id, i.content_hash FROM identities n JOIN items i ON i.id = n.item_id
                              WHERE n.key IN ({marks})""",
                [*chunk, *chunk],
            )
            found |= {key: (item_id, content) for key, item_id, content in rows}
        return found

    def contents(self, url: str, count: int) -> dict[str, str]:
        """The contents of a feed's latest items, by id."""
        rows = self._connection.execute(
            "SELECT id, content_hash FROM items WHERE feed_url = ? ORDER BY at DESC LIMIT ?", (url, count)
        )
        return dict(rows.fetchall())

    def versions(self, item_ids: Sequence[str]) -> dict[str, Version]:
        """What these items say as we know them, by id."""
        found: dict[str, Version] = {}
        for chunk in _chunks(item_ids):
            marks = ",".join("?" * len(chunk))
            found |= {
                row["id"]: _version(row) for row in self._rows(f"SELECT * FROM items WHERE id IN ({marks})", *chunk)
            }
        return found

    def held_items(self, url: str) -> list[Item]:
        """What the storm breaker holds of a feed, in the order seen."""
        rows = self._rows(f"{_ITEMS} WHERE i.feed_url = ? AND i.verdict = ? ORDER BY i.rowid", url, Verdict.HELD)
        return [_item(row) for row in rows]

    def untold(self, since: datetime) -> list[Item]:
        """What was seen since then, and no topic took or nobody was told of, in the order of events."""
        verdicts = (Verdict.NO_MATCH, Verdict.FIRST_POLL, Verdict.TOO_OLD, Verdict.SHADOW)
        marks = ",".join("?" * len(verdicts))
        rows = self._rows(
            f"{_ITEMS} WHERE i.first_seen >= ? AND i.verdict IN ({marks}) ORDER BY i.at, i.rowid",
            _text(since),
            *verdicts,
        )
        return [_item(row) for row in rows]

    def commit_again(self, records: Sequence[Record], model: str, now: datetime, ruling: int | None = None) -> None:
        """Write down what known items came to when they were judged again, as one transaction.

        ruling: the latest that the judging heeded (`latest_ruling`); None if that does not matter.

        Raises: OvertakenError if there is a later one.
        """
        with self._writing():
            self._refuse_overtaken(ruling)
            for record in records:
                self._write_record(record, model, now)

    def item_times(self, url: str, count: int) -> list[datetime]:
        """The effective times of a feed's latest items, latest first."""
        rows = self._rows("SELECT at FROM items WHERE feed_url = ? ORDER BY at DESC LIMIT ?", url, count)
        return [_need_time(row["at"]) for row in rows]

    def commit_poll(self, polled: Polled, records: Sequence[Record], model: str, ruling: int | None = None) -> None:
        """Write all that one successful poll brought, as one transaction: items, vectors, matches, stories, alerts, and
        what to ask the server with next time.

        ruling: the latest that the judging heeded (`latest_ruling`); None if that does not matter.

        Raises: OvertakenError if there is a later one.
        """
        with self._writing(durably=bool(records)):
            self._refuse_overtaken(ruling if records else None)
            for record in records:
                self._write_record(record, model, polled.at)
            self._connection.executemany(
                "INSERT INTO identities (key, item_id) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                polled.aliases.items(),
            )
            self._write_polled(polled)

    def _write_polled(self, polled: Polled) -> None:
        rhythm, validators, at = polled.rhythm, polled.validators, _text(polled.at)
        self._connection.execute(
            """UPDATE feeds SET etag = ?, last_modified = ?, body_hash = ?, moved_to = ?, last_poll = ?, last_success = ?,
                   next_poll = ?, pause = ?, full_fetch = CASE WHEN ? THEN ? ELSE full_fetch END,
                   first_success = coalesce(first_success, ?), failures = 0, last_error = '', failing_since = NULL,
                   gap = ?, longest_gap = ?, newest = ?, last_new = ?, severity = ?, severity_at = ?,
                   last_gap = CASE WHEN ? THEN ? ELSE last_gap END, released = released AND EXISTS (
                       SELECT 1 FROM items i WHERE i.feed_url = feeds.url AND i.verdict = 'held'
                   ) WHERE url = ?""",
            (
                validators.etag, validators.last_modified, validators.body_hash, polled.moved_to, at, at,
                _text(polled.next_poll), polled.pause.total_seconds(), polled.full, at, at,
                _seconds(rhythm.gap), _seconds(rhythm.longest_gap), _text(rhythm.newest), _text(rhythm.last_new),
                rhythm.severity, _text(rhythm.severity_at), polled.gap, at, polled.feed.url,
            ),
        )  # fmt: skip
        # released by a person while this poll was under way: what is held waits for the next, which is now
        self._connection.execute("UPDATE feeds SET next_poll = ? WHERE url = ? AND released = 1", (at, polled.feed.url))
        if polled.hints is not None:
            hints = polled.hints
            self._connection.execute(
                "UPDATE feeds SET hint_period = ?, skip_hours = ?, skip_days = ?, hub = ?, hub_topic = ? WHERE url = ?",
                (
                    _seconds(hints.period), _json(sorted(hints.skip_hours)), _json(sorted(hints.skip_days)), hints.hub,
                    hints.topic, polled.feed.url,
                ),
            )  # fmt: skip

    def commit_failed_poll(self, feed: Feed, cause: str, weight: float, next_poll: datetime, now: datetime) -> None:
        """Write down that a poll gave nothing. The next one asks the feed's own address: a redirect may be what failed."""
        with self._writing(durably=False):
            self._connection.execute(
                """UPDATE feeds SET last_poll = ?, next_poll = ?, pause = ?, failures = failures + ?, last_error = ?,
                       moved_to = '', failing_since = CASE WHEN ? > 0 THEN coalesce(failing_since, ?) ELSE failing_since END
                   WHERE url = ?""",
                (
                    _text(now), _text(next_poll), (next_poll - now).total_seconds(), weight, cause, weight, _text(now),
                    feed.url,
                ),
            )  # fmt: skip

    def _write_record(self, record: Record, model: str, now: datetime) -> None:
        item, placement, decision = record.embedded.item, record.placement, record.decision
        self._connection.execute(
            """INSERT INTO stories (id, title, opened, latest) VALUES (?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET latest = max(latest, excluded.latest), opened = min(opened, excluded.opened)""",
            (placement.story, item.title, _text(item.at), _text(item.at)),
        )
        is_edit = record.before is not None and record.before.verdict is not Verdict.HELD
        if record.before is not None:
            self._write_revision(record.before, item, now)
        self._connection.execute(
            f"""INSERT INTO items (id, feed_url, title, text, link, canonical_link, language, published, published_raw,
                   first_seen, at, text_hash, content_hash, revision, story_id, relation, parent_id, likeness, because, verdict,
                   verdict_because)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET title = excluded.title, text = excluded.text, link = excluded.link,
                   canonical_link = excluded.canonical_link, language = excluded.language, text_hash = excluded.text_hash,
                   content_hash = excluded.content_hash, revision = excluded.revision, verdict = excluded.verdict,
                   verdict_because = excluded.verdict_because {"" if is_edit else _AND_ITS_PLACE}""",
            (
                item.id, item.feed.url, item.title, item.text, item.link, item.canonical_link, item.language,
                _text(item.published), item.published_raw, _text(item.first_seen), _text(item.at), record.text_hash,
                item.content, item.revision, placement.story, placement.relation, placement.parent,
                placement.likeness, placement.because, decision.verdict, decision.because,
            ),
        )  # fmt: skip
        if record.embedded.vector.size:  # what is held was not embedded yet
            self._write_vectors({record.text_hash: record.embedded.vector}, model, now)
        if record.before is not None:
            self._connection.execute("DELETE FROM matches WHERE item_id = ?", (item.id,))
            # a held item had a story of its own until it was judged
            self._connection.execute(
                "DELETE FROM stories WHERE id = ? AND NOT EXISTS (SELECT 1 FROM items WHERE story_id = stories.id)",
                (item.id,),
            )
        self._connection.executemany(
            """INSERT INTO matches (item_id, topic, score, bar, outcome, nearest, negative, terms, gate, words, unit, opinion)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            [
                (
                    item.id,
                    m.topic,
                    m.score,
                    m.bar,
                    m.outcome,
                    m.nearest,
                    m.negative,
                    _json(m.terms),
                    m.gate,
                    _json(m.words),
                    m.unit,
                    m.opinion,
                )
                for m in record.matches
            ],
        )
        for alert in decision.alerts:
            self._write_alert(alert, now)
        for alert in decision.held:
            self._write_alert(alert, now, DeliveryState.HELD, reason="corroboration")
        for alert_id in decision.released:
            self._let_out(alert_id, item, now)

    def _write_revision(self, before: Version, item: Item, now: datetime) -> None:
        if before.revision < item.revision:
            self._connection.execute(
                "INSERT INTO revisions (item_id, revision, until, title, text) VALUES (?, ?, ?, ?, ?)",
                (item.id, before.revision, _text(now), before.title, before.text),
            )

    def _write_alert(
        self, alert: Alert, now: datetime, state: DeliveryState = DeliveryState.QUEUED, reason: str = ""
    ) -> None:
        done = self._connection.execute(
            """INSERT INTO outbox (id, kind, channel, story_id, item_id, parent_id, matches, titles, severity, broadcast,
                   sources, created, state, updated, formerly, not_before, reason, corroboration, independent, escalated,
                   escalation)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
            (
                alert.id, alert.kind, alert.channel, alert.story, alert.item.id, alert.parent,
                _json([_match_row(match) for match in alert.matches]), _json(dict(alert.titles)), alert.severity,
                int(alert.broadcast), _json(alert.sources), _text(alert.created), state, _text(now), alert.formerly,
                _text(alert.deadline), reason, _corroboration_json(alert.corroboration), _voices_json(alert.independent),
                int(alert.escalation is not None), _escalation_json(alert.escalation),
            ),
        )  # fmt: skip
        if done.rowcount:
            self._write_event(alert.id, "", state, reason, now)

    def _let_out(self, alert_id: str, item: Item, now: datetime) -> None:
        """Queue a root that was held, because of this item, with the sources that its story has by now."""
        done = self._connection.execute(
            "UPDATE outbox SET state = ?, not_before = NULL, updated = ? WHERE id = ? AND state = ?",
            (DeliveryState.QUEUED, _text(now), alert_id, DeliveryState.HELD),
        )
        if done.rowcount:
            self._write_sources(alert_id)
            self._write_event(alert_id, DeliveryState.HELD, DeliveryState.QUEUED, f"because of {item.id}", now)

    def _write_sources(self, alert_id: str) -> None:
        row = self._one("SELECT story_id FROM outbox WHERE id = ?", alert_id)
        story = self.story(row["story_id"]) if row else None
        if story is not None:
            self._connection.execute(
                "UPDATE outbox SET sources = ?, independent = ? WHERE id = ?",
                (_json(story.sources), _voices_json(story.independent), alert_id),
            )

    # -- health -----------------------------------------------------------------------------------

    def ailments(self) -> list[Ailment]:
        """What is, or lately was, wrong with feeds and network, oldest first."""
        rows = self._rows("SELECT * FROM ailments ORDER BY since, feed_url, condition")
        return [
            Ailment(
                row["feed_url"], Condition(row["condition"]), row["because"], _need_time(row["since"]), _time(row["told"]),
                _time(row["absent_since"]),
            )
            for row in rows
        ]  # fmt: skip

    def commit_review(self, ailments: Sequence[Ailment], notice: Notice | None, now: datetime) -> None:
        """Replace all ailments, and queue the notice that tells ops of them, as one transaction."""
        with self._writing():
            self._connection.execute("DELETE FROM ailments")
            self._connection.executemany(
                "INSERT INTO ailments (feed_url, condition, because, since, told, absent_since) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (a.feed_url, a.condition, a.because, _text(a.since), _text(a.told), _text(a.absent_since))
                    for a in ailments
                ],
            )
            if notice is not None:
                self._write_notice(notice, now)

    def _write_notice(self, notice: Notice, now: datetime) -> None:
        done = self._connection.execute(
            """INSERT INTO outbox (id, kind, channel, parent_id, matches, titles, severity, broadcast, sources, created, state,
                   updated, text)
               VALUES (?, ?, ?, '', '[]', '{}', ?, 0, '[]', ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
            (
                notice.id, notice.kind, notice.channel, Severity.INFO, _text(notice.created), DeliveryState.QUEUED,
                _text(now), notice.text,
            ),
        )  # fmt: skip
        if done.rowcount:
            self._write_event(notice.id, "", DeliveryState.QUEUED, "", now)

    # -- subscriptions ----------------------------------------------------------------------------

    def offers(self) -> list[tuple[str, str, str]]:
        """The feeds on the list that name a hub: address, hub, and the feed's name there."""
        rows = self._rows("SELECT url, hub, hub_topic FROM feeds WHERE active = 1 AND hub <> '' ORDER BY rowid")
        return [(row["url"], row["hub"], row["hub_topic"] or row["url"]) for row in rows]

    def subscriptions(self) -> list[Subscription]:
        """Those of the feeds on the list."""
        rows = self._rows(
            "SELECT s.* FROM subscriptions s JOIN feeds f ON f.url = s.feed_url WHERE f.active = 1 ORDER BY s.feed_url"
        )
        return [
            Subscription(
                row["feed_url"], row["hub"], row["topic"], row["state"], _need_time(row["since"]), row["tries"],
                _time(row["expires"]), row["reason"],
            )
            for row in rows
        ]  # fmt: skip

    def keep_subscription(self, one: Subscription) -> None:
        with self._writing():
            self._connection.execute(
                """INSERT INTO subscriptions (feed_url, hub, topic, state, since, tries, expires, reason)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (feed_url) DO UPDATE SET hub = excluded.hub, topic = excluded.topic, state = excluded.state,
                       since = excluded.since, tries = excluded.tries, expires = excluded.expires, reason = excluded.reason""",
                (
                    one.feed_url, one.hub, one.topic, one.state, _text(one.since), one.tries, _text(one.expires), one.reason,
                ),
            )  # fmt: skip

    def pushed(self, url: str, at: datetime) -> None:
        """Have a feed polled at this time, or earlier if it is due earlier: its hub says that there is news.

        A server that asked us to wait (`Retry-After`) is waited for all the same.
        """
        with self._writing(durably=False):
            self._connection.execute(
                """UPDATE feeds SET next_poll = min(coalesce(next_poll, ''), ?)
                   WHERE url = ? AND last_error NOT IN ('http 429', 'http 503')""",
                (_text(at), url),
            )
            self._connection.execute("UPDATE subscriptions SET pushed = ? WHERE feed_url = ?", (_text(at), url))

    def push_counts(self) -> dict[str, tuple[int, int, datetime | None]]:
        """For each subscription, by feed: polls with news that a push had announced, those that none had, the last push."""
        rows = self._rows("SELECT feed_url, pushes, unannounced, pushed FROM subscriptions")
        return {row["feed_url"]: (row["pushes"], row["unannounced"], _time(row["pushed"])) for row in rows}

    def keep_push_counts(self, url: str, pushes: int, unannounced: int) -> None:
        with self._writing(durably=False):
            self._connection.execute(
                "UPDATE subscriptions SET pushes = ?, unannounced = ? WHERE feed_url = ?", (pushes, unannounced, url)
            )

    # -- vectors ----------------------------------------------------------------------------------

    def vectors(self, text_hashes: Iterable[str], model: str) -> dict[str, Vector]:
        """The vectors that this model has given for texts, by the texts' hashes; what it never saw is left out."""
        found: dict[str, Vector] = {}
        for chunk in _chunks(list(text_hashes)):
            marks = ",".join("?" * len(chunk))
            rows = self._rows(
                f"SELECT text_hash, vector FROM vectors WHERE model = ? AND text_hash IN ({marks})",
                model,
                *chunk,
            )
            found |= {row["text_hash"]: _vector(row["vector"]) for row in rows}
        return found

    def keep_vectors(self, vectors: Mapping[str, Vector], model: str, now: datetime) -> None:
        """Keep vectors by the hashes of their texts."""
        with self._writing():
            self._write_vectors(vectors, model, now)

    def _write_vectors(self, vectors: Mapping[str, Vector], model: str, now: datetime) -> None:
        self._connection.executemany(
            """INSERT INTO vectors (text_hash, model, vector, used) VALUES (?, ?, ?, ?)
               ON CONFLICT (text_hash, model) DO UPDATE SET used = excluded.used""",
            [(key, model, vector.astype("<f2").tobytes(), _text(now)) for key, vector in vectors.items()],
        )

    # -- stories ----------------------------------------------------------------------------------

    def recent_items(self, span: timedelta) -> list[tuple[Item, str, str, Relation]]:
        """Items seen within `span` of the newest, in the order seen: item, hash of its text, story, relation.

        Measured from the newest item, not from the clock: a pause or a jump of the clock closes no story.
        """
        rows = self._recent(span)
        return [(_item(row), row["text_hash"], row["story_id"], Relation(row["relation"])) for row in rows]

    def members(self, span: timedelta, model: str) -> list[Member]:
        """The recent items for which this model has given a vector, in the order seen."""
        rows = self._recent(span)
        vectors = self.vectors({row["text_hash"] for row in rows}, model)
        return [
            Member(
                EmbeddedItem(_item(row), vectors[row["text_hash"]]), row["story_id"], Relation(row["relation"]),
                bool(row["by_hand"]),
            )
            for row in rows
            if row["text_hash"] in vectors
        ]  # fmt: skip

    def _recent(self, span: timedelta) -> list[Row]:
        newest = self.newest()
        if newest is None:
            return []
        return self._rows(
            f"{_ITEMS} WHERE i.first_seen >= ? AND i.verdict <> ? ORDER BY i.rowid", _text(newest - span), Verdict.HELD
        )

    def newest(self) -> datetime | None:
        """When the newest item was first seen; None if there is none."""
        row = self._one("SELECT max(first_seen) AS at FROM items")
        return _time(row["at"]) if row else None

    def embedded(self, item_id: str, model: str) -> EmbeddedItem | None:
        """An item with the vector that this model gave; None if it is not known, or the model never saw it."""
        row = self._one(f"{_ITEMS} WHERE i.id = ?", item_id)
        vector = self.vectors([row["text_hash"]], model).get(row["text_hash"]) if row else None
        return None if row is None or vector is None else EmbeddedItem(_item(row), vector)

    def opinions(self, keys: Sequence[str]) -> dict[str, Opinion]:
        """Second opinions that were had before, by `opinion.cache_key`."""
        found: dict[str, Opinion] = {}
        for chunk in _chunks(list(keys)):
            marks = ",".join("?" * len(chunk))
            for row in self._rows(f"SELECT * FROM opinions WHERE key IN ({marks})", *chunk):
                found[row["key"]] = Opinion(bool(row["relevant"]), row["confidence"], row["because"], row["made_by"])
        return found

    def keep_opinions(self, opinions: Mapping[str, Opinion], now: datetime) -> None:
        """Keep opinions that were had; `relevant` must not be None."""
        if not opinions:
            return
        with self._writing():
            self._connection.executemany(
                "INSERT OR REPLACE INTO opinions (key, relevant, confidence, because, made_by, at) VALUES (?, ?, ?, ?, ?, ?)",
                [(key, bool(o.relevant), o.confidence, o.because, o.by, _text(now)) for key, o in opinions.items()],
            )

    def ordinary_items(self, since: datetime, count: int, model: str) -> list[tuple[Item, Vector]]:
        """At most `count` items seen since then, copies aside, and the vectors this model gave.

        A fair draw, and hardly another one a day later: ids are hashes.
        """
        rows = self._rows(
            f"{_ITEMS} WHERE i.first_seen >= ? AND i.relation <> ? AND i.verdict NOT IN (?, ?) ORDER BY i.id LIMIT ?",
            _text(since), Relation.COPY, Verdict.HELD, Verdict.DROPPED, count,
        )  # fmt: skip
        vectors = self.vectors({row["text_hash"] for row in rows}, model)
        return [(_item(row), vectors[row["text_hash"]]) for row in rows if row["text_hash"] in vectors]

    def forget_misses(self, before: datetime) -> int:
        """Forget judgements, of items seen before then, that took nothing; how many."""
        with self._writing(durably=False):
            taken = [outcome for outcome in MatchOutcome if outcome.taken]
            marks = ",".join("?" * len(taken))
            return self._connection.execute(
                f"""DELETE FROM matches WHERE outcome NOT IN ({marks}) AND item_id IN (
                        SELECT id FROM items WHERE first_seen < ?)""",
                (*taken, _text(before)),
            ).rowcount

    def story(self, story_id: str) -> Story | None:
        row = self._one("SELECT id, title, opened, latest FROM stories WHERE id = ?", story_id)
        if row is None:
            return None
        rows = self._rows(f"{_ITEMS} WHERE i.story_id = ? ORDER BY i.at, i.rowid", story_id)
        return _story(row, [(_item(row), Relation(row["relation"])) for row in rows])

    def roots(self, story_id: str) -> dict[str, Root]:
        """Channels that have been told of a story, or will be, each with its root.

        A dead root tells nobody: the story's next item is news there again. Where stories were merged, a channel may have
        several: the oldest that was sent is the thread, and one that is held is it only if there is no other.
        """
        rows = self._rows(
            f"""{_DELIVERIES} WHERE o.story_id = ? AND o.kind = ? AND o.state <> ?
                ORDER BY CASE WHEN o.state = ? THEN 2 WHEN o.state IN (?, ?) THEN 0 WHEN o.state = ? THEN -1 ELSE 1 END,
                    o.created DESC, o.rowid DESC""",
            story_id, AlertKind.ROOT, DeliveryState.DEAD,
            DeliveryState.SENT, DeliveryState.QUEUED, DeliveryState.BLOCKED, DeliveryState.HELD,
        )  # fmt: skip
        if not rows:
            return {}
        escalated = {
            row["channel"]
            for row in self._rows(
                # told in a thread of this story, wherever the item that told it stands by now
                """SELECT o.channel FROM outbox o JOIN outbox p ON p.id = o.parent_id
                   WHERE p.story_id = ? AND o.escalated = 1 AND o.state <> ?""",
                story_id, DeliveryState.DEAD,
            )
        }  # fmt: skip
        # the last of a channel wins
        return {
            row["channel"]: Root(self._alert(row), row["state"] == DeliveryState.HELD, row["channel"] in escalated)
            for row in rows
        }

    def timeline(self, story_id: str) -> Timeline | None:
        return next(self._timelines([story_id]), None)

    def timelines(self, *, since: datetime | None = None, topic: str = "", every: bool = False) -> Iterator[Timeline]:
        """Stories whose latest item is not older than that, latest first, read as they are asked for.

        topic: only those of which it took an item. every: also those of which no topic did.
        """
        taken = [outcome for outcome in MatchOutcome if outcome.taken]
        took = f"""EXISTS (SELECT 1 FROM items i JOIN matches m ON m.item_id = i.id WHERE i.story_id = s.id
                       AND m.outcome IN ({",".join("?" * len(taken))}) AND m.topic = coalesce(?, m.topic))"""
        rows = self._rows(
            f"""SELECT s.id FROM stories s WHERE s.latest >= ? AND {"1" if every and not topic else took}
                ORDER BY s.latest DESC, s.id""",
            _text(since) or "",
            *([] if every and not topic else [*taken, topic or None]),
        )
        for chunk in _chunks([row["id"] for row in rows], 50):
            yield from self._timelines(chunk)

    def _timelines(self, story_ids: Sequence[str]) -> Iterator[Timeline]:
        """In the order named; what is unknown, or empty, is left out."""
        marks, taken = ",".join("?" * len(story_ids)), [outcome for outcome in MatchOutcome if outcome.taken]
        stories = {row["id"]: row for row in self._rows(f"SELECT * FROM stories WHERE id IN ({marks})", *story_ids)}
        topics: dict[str, list[str]] = {}
        for row in self._rows(
            f"""SELECT m.item_id, m.topic FROM items i JOIN matches m ON m.item_id = i.id
                WHERE i.story_id IN ({marks}) AND m.outcome IN ({",".join("?" * len(taken))}) ORDER BY m.score DESC""",
            *story_ids, *taken,
        ):  # fmt: skip
            topics.setdefault(row["item_id"], []).append(row["topic"])
        tellings: dict[str, list[Telling]] = {}
        for row in self._rows(f"{_ITEMS} WHERE i.story_id IN ({marks}) ORDER BY i.at, i.rowid", *story_ids):
            tellings.setdefault(row["story_id"], []).append(_telling(row, topics.get(row["id"], [])))
        for story_id in story_ids:
            if told := tellings.get(story_id):
                story = _story(stories[story_id], [(telling.item, telling.placement.relation) for telling in told])
                yield Timeline(story, tuple(told))

    def deliveries_of(self, story_ids: Sequence[str]) -> list[Delivery]:
        """What was told, or waits to be told, of the items of these stories, oldest first."""
        marks = ",".join("?" * len(story_ids))
        return [
            self._delivery(row)
            for row in self._rows(
                f"{_DELIVERIES} WHERE o.story_id IN ({marks}) ORDER BY o.created, o.rowid", *story_ids
            )
        ]

    def stories_named(self, name: str) -> list[str]:
        """The stories that a name may mean: a story's id or its beginning, or an item in it (`items_named`)."""
        if self._one("SELECT id FROM stories WHERE id = ?", name):
            return [name]  # the item that it is named after may stand elsewhere by now
        begin = self._rows("SELECT id FROM stories WHERE id BETWEEN ? AND ?", *_beginning(name))
        return sorted({row["id"] for row in begin} | set(self.items_named(name).values()))

    def items_named(self, name: str) -> dict[str, str]:
        """The items that a name may mean, each with its story: an id or its beginning (6 characters or more), or a link."""
        rows = self._rows("SELECT id, story_id FROM items WHERE id = ?", name) or self._rows(
            "SELECT id, story_id FROM items WHERE id BETWEEN ? AND ? OR canonical_link = ? OR link = ? ORDER BY rowid",
            *_beginning(name), name, name,
        )  # fmt: skip
        return {row["id"]: row["story_id"] for row in rows}

    # -- the hand's word --------------------------------------------------------------------------

    def latest_ruling(self) -> int:
        """The number of the latest ruling; 0 if there was none."""
        row = self._one("SELECT max(id) AS id FROM rulings")
        return (row["id"] or 0) if row else 0

    def _refuse_overtaken(self, ruling: int | None) -> None:
        if ruling is not None and self.latest_ruling() > ruling:
            raise OvertakenError("a person ruled on stories meanwhile")

    def rulings_on(self, story_id: str) -> list[Ruling]:
        """What people decided about a story, oldest first."""
        rows = self._rows(
            "SELECT * FROM rulings WHERE EXISTS (SELECT 1 FROM json_each(detail, '$.stories') WHERE value = ?) ORDER BY id",
            story_id,
        )
        return [_ruling(row) for row in rows]

    def rule(
        self,
        story_ids: Sequence[str],
        plan: Callable[[Sequence[Timeline], Sequence[Delivery]], Rearrangement],
        now: datetime,
    ) -> Ruling:
        """Do to stories what a plan says of them and their outbox, and write down who said so, as one transaction.

        Raises: RulingError, also what the plan raises.
        """
        with self._writing():
            timelines = list(self._timelines(story_ids))
            if missing := set(story_ids) - {timeline.story.id for timeline in timelines}:
                raise RulingError(f"no story {', '.join(sorted(missing))} any more")
            planned = plan(timelines, self.deliveries_of(story_ids))
            before = {
                telling.item.id: telling.placement
                for timeline in timelines
                for telling in timeline.tellings
                if telling.item.id in planned.placements
            }
            self._write_ruling(planned.ruling, before, now)
            self._write_places(planned, now)
            self._connection.executemany(
                # an alert is always of the story in which its item stands; where it was sent, it stays in its thread
                "UPDATE outbox SET story_id = (SELECT story_id FROM items WHERE id = item_id) WHERE story_id = ?",
                [(story,) for story in planned.ruling.stories],
            )
            self._write_threads(planned.threads, now)
            self._connection.executemany(
                "DELETE FROM stories WHERE id = ? AND NOT EXISTS (SELECT 1 FROM items WHERE story_id = stories.id)",
                [(story,) for story in planned.ruling.stories],
            )
        return planned.ruling

    def _write_ruling(self, ruling: Ruling, before: Mapping[str, Placement], now: datetime) -> None:
        stood = {
            item: [placement.story, placement.relation, placement.parent, placement.because]
            for item, placement in before.items()
        }
        detail = {"story": ruling.story, "stories": ruling.stories, "items": ruling.items, "before": stood}
        self._connection.execute(
            "INSERT INTO rulings (at, kind, detail, author) VALUES (?, ?, ?, ?)",
            (_text(now), ruling.kind, _json(detail), ruling.author),
        )

    def _write_places(self, planned: Rearrangement, now: datetime) -> None:
        self._connection.executemany(
            """INSERT INTO stories (id, title, opened, latest) VALUES (?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET title = excluded.title""",
            [(story, title, _text(now), _text(now)) for story, title in planned.titles.items()],
        )
        self._connection.executemany(
            "UPDATE items SET story_id = ?, relation = ?, parent_id = ?, likeness = ?, because = ? WHERE id = ?",
            [(p.story, p.relation, p.parent, p.likeness, p.because, item) for item, p in planned.placements.items()],
        )
        self._connection.executemany(
            "UPDATE items SET by_hand = 1 WHERE id = ?", [(item,) for item in planned.ruling.items]
        )
        self._connection.executemany(
            """UPDATE stories SET (opened, latest) = (SELECT min(at), max(at) FROM items WHERE story_id = stories.id)
               WHERE id = ? AND EXISTS (SELECT 1 FROM items WHERE story_id = stories.id)""",
            [(story,) for story in planned.ruling.stories],
        )

    def rethread(
        self,
        alert_id: str,
        plan: Callable[[Sequence[Delivery], Sequence[Telling]], Mapping[str, Thread | None]],
        now: datetime,
    ) -> None:
        """Give an alert that was refused the thread that a ruling had given it, had it not been on the wire just then.

        So also what its message was to tell beside it.
        """
        with self._writing():
            stories = [
                row["story_id"]
                for row in self._rows(
                    """SELECT story_id FROM outbox WHERE id = ? OR carrier_id = ?
                       UNION SELECT p.story_id FROM outbox o JOIN outbox p ON p.id = o.parent_id WHERE o.id = ?""",
                    alert_id, alert_id, alert_id,
                )
                if row["story_id"]
            ]  # fmt: skip
            if any(map(self.rulings_on, stories)):
                tellings = [telling for timeline in self._timelines(stories) for telling in timeline.tellings]
                self._write_threads(plan(self.deliveries_of(stories), tellings), now)

    def _write_threads(self, threads: Mapping[str, Thread | None], now: datetime) -> None:
        for alert_id in threads:
            # what its message was to tell beside it comes first: it may be rethreaded as well
            self._unfold(alert_id, now, f"{alert_id} is told anew", alone=False)
        for alert_id, thread in threads.items():
            if thread is None:
                self._connection.execute("DELETE FROM outbox WHERE id = ?", (alert_id,))
                self._write_event(alert_id, DeliveryState.QUEUED, "", "withdrawn: its story has no jump any more", now)
            else:
                self._write_thread(thread, now)

    def _write_thread(self, thread: Thread, now: datetime) -> None:
        [before] = self._rows("SELECT state FROM outbox WHERE id = ?", thread.alert)
        self._connection.execute(
            # rendered anew: a root reads otherwise than a reply
            """UPDATE outbox SET kind = ?, parent_id = ?, message = NULL,
                   broadcast = CASE WHEN ? = '' THEN 0 ELSE broadcast END,
                   escalated = ?, escalation = CASE WHEN ? THEN escalation ELSE '' END,
                   not_before = CASE WHEN ? IS NOT NULL THEN ? WHEN state = ? THEN NULL ELSE not_before END,
                   state = CASE WHEN ? IS NOT NULL THEN ? WHEN state = ? THEN ? ELSE state END, updated = ?
               WHERE id = ?""",
            (
                thread.kind, thread.parent, thread.parent, thread.escalates, thread.escalates,
                _text(thread.until), _text(thread.until), DeliveryState.HELD,
                _text(thread.until), DeliveryState.HELD, DeliveryState.HELD, DeliveryState.QUEUED, _text(now), thread.alert,
            ),
        )  # fmt: skip
        [after] = self._rows("SELECT state FROM outbox WHERE id = ?", thread.alert)
        if after != before:
            why = f"told in the thread of {thread.parent}" if thread.parent else "corroboration"
            self._write_event(thread.alert, before["state"], after["state"], why, now)

    # -- outbox -----------------------------------------------------------------------------------

    def next_queued(self, now: datetime, reply_gap: timedelta = timedelta(0)) -> Delivery | None:
        """The oldest alert that may be sent now, with what its message is to tell beside it; None if there is none.

        A reply may only once its root stands in the channel, or never will: then it stands there by itself. And only
        `reply_gap` after the try of another reply in its thread, unless it tells an escalation; zero: at once, each by
        itself. A root that is held may when its time has come. A channel in which one alert was told to wait waits whole.
        """
        row = self._one(
            f"""{_DELIVERIES} WHERE (
                    o.state = ? AND (o.parent_id = '' OR p.state IN (?, ?)) AND (
                        o.parent_id = '' OR o.escalated = 1 OR NOT EXISTS (
                            SELECT 1 FROM outbox r WHERE r.parent_id = o.parent_id AND r.parent_id <> '' AND r.id <> o.id
                                AND r.state <> ? AND r.sending_at > ?))
                    OR o.state = ? AND o.not_before <= ?
                )
                AND NOT EXISTS (SELECT 1 FROM outbox w WHERE w.channel = o.channel AND w.state = ? AND w.not_before > ?)
                ORDER BY o.created, o.rowid LIMIT 1""",
            DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.DEAD,
            # nothing is greater than NULL
            DeliveryState.DEAD, _text(now - reply_gap) if reply_gap else None,
            DeliveryState.HELD, _text(now),
            DeliveryState.QUEUED, _text(now),
        )  # fmt: skip
        if row is None:
            return None
        delivery = self._delivery(row)
        if delivery.state is DeliveryState.HELD:
            return replace(delivery, alert=self._as_of_now(delivery.alert))
        return self._with_batch(delivery) if reply_gap else delivery

    def _as_of_now(self, alert: Alert | Notice) -> Alert | Notice:
        """A held root with the sources that its story has by now."""
        story = self.story(alert.story) if isinstance(alert, Alert) else None
        if isinstance(alert, Notice) or story is None:
            return alert
        return replace(alert, sources=story.sources, independent=story.independent)

    def _with_batch(self, delivery: Delivery) -> Delivery:
        """Add the replies that wait in the same thread; frozen bytes take no more, and what was refused goes alone."""
        alert = delivery.alert
        if not isinstance(alert, Alert) or not alert.parent or delivery.message or delivery.carrier:
            return delivery
        rows = self._rows(
            f"""{_DELIVERIES} WHERE o.parent_id = ? AND o.id <> ? AND o.state = ? AND o.message IS NULL AND o.carrier_id = ''
                ORDER BY o.created, o.rowid""",
            alert.parent, alert.id, DeliveryState.QUEUED,
        )  # fmt: skip
        batch = tuple(map(self._alert, rows))
        broadcast = alert.broadcast or any(other.broadcast for other in batch)
        return replace(delivery, alert=replace(alert, broadcast=broadcast), batch=batch)

    def claim(
        self,
        delivery_id: str,
        message: Message,
        now: datetime,
        *,
        before: DeliveryState = DeliveryState.QUEUED,
        batch: Sequence[str] = (),
        seen: Delivery | None = None,
    ) -> bool:
        """Write down that a post is about to go out, and its frozen bytes; False if it is not `before` any more.

        before: QUEUED, or HELD where its time has come. batch: the replies that the message tells as well. seen: what the
        message was made of; False also if a person has moved it, or one of the batch, to another thread since.
        """
        with self._writing():
            if seen is not None and not self._is_as_seen(seen, batch):
                return False
            done = self._connection.execute(
                """UPDATE outbox SET state = ?, attempt = attempt + 1, sending_at = ?, message = coalesce(message, ?),
                       error = '', updated = ? WHERE id = ? AND state = ?""",
                (DeliveryState.SENDING, _text(now), _message_json(message), _text(now), delivery_id, before),
            )
            if done.rowcount:
                if before is DeliveryState.HELD:
                    self._write_sources(delivery_id)
                self._fold(delivery_id, batch, now)
                self._write_event(delivery_id, before, DeliveryState.SENDING, "", now)
        return done.rowcount > 0

    def _is_as_seen(self, seen: Delivery, batch: Sequence[str]) -> bool:
        """Whether a delivery still stands in its thread, with the bytes that it had or none, and so do those of its batch."""
        parent = seen.alert.parent if isinstance(seen.alert, Alert) else ""
        marks = ",".join("?" * len(batch))
        row = self._one(
            f"""SELECT count(*) AS n FROM outbox WHERE parent_id = ? AND (
                    id = ? AND kind = ? AND (message IS NULL) = ?
                    OR id IN ({marks}) AND state = ? AND message IS NULL)""",
            parent, seen.alert.id, seen.alert.kind, seen.message is None, *batch, DeliveryState.QUEUED,
        )  # fmt: skip
        return row is not None and row["n"] == 1 + len(batch)

    def _fold(self, carrier: str, batch: Sequence[str], now: datetime) -> None:
        """Have replies told by the carrier's message, which is shown in the channel if one of them is to be."""
        for alert_id in batch:
            self._connection.execute(
                "UPDATE outbox SET state = ?, carrier_id = ?, updated = ? WHERE id = ? AND state = ?",
                (DeliveryState.BATCHED, carrier, _text(now), alert_id, DeliveryState.QUEUED),
            )
            self._write_event(alert_id, DeliveryState.QUEUED, DeliveryState.BATCHED, f"told by {carrier}", now)
        self._connection.execute(
            """UPDATE outbox SET broadcast = 1
               WHERE id = ? AND EXISTS (SELECT 1 FROM outbox m WHERE m.carrier_id = ? AND m.broadcast = 1)""",
            (carrier, carrier),
        )

    def _unfold(self, carrier: str, now: datetime, why: str, *, alone: bool) -> None:
        """Queue again what a message was to tell beside its carrier.

        alone: each is told by itself from now on.
        """
        for row in self._rows(
            "SELECT id FROM outbox WHERE carrier_id = ? AND state = ?", carrier, DeliveryState.BATCHED
        ):
            self._connection.execute(
                "UPDATE outbox SET state = ?, carrier_id = CASE WHEN ? THEN carrier_id ELSE '' END, updated = ? WHERE id = ?",
                (DeliveryState.QUEUED, alone, _text(now), row["id"]),
            )
            self._write_event(row["id"], DeliveryState.BATCHED, DeliveryState.QUEUED, why, now)

    def settle(
        self,
        delivery_id: str,
        state: DeliveryState,
        now: datetime,
        *,
        receipt: str = "",
        error: str = "",
        not_before: datetime | None = None,
    ) -> None:
        """Write down what came of a try."""
        with self._writing():
            before = self._one("SELECT state FROM outbox WHERE id = ?", delivery_id)
            self._connection.execute(
                """UPDATE outbox SET state = ?, receipt = CASE WHEN ? = '' THEN receipt ELSE ? END, error = ?, not_before = ?,
                       updated = ? WHERE id = ?""",
                (state, receipt, receipt, error, _text(not_before), _text(now), delivery_id),
            )
            self._write_event(delivery_id, before["state"] if before else "", state, error, now)
            if state is DeliveryState.DEAD:
                # each by itself: one of them may be why it was refused
                self._unfold(delivery_id, now, f"{delivery_id} is dead", alone=True)

    def doubt_all_sending(self, now: datetime) -> int:
        """After a start: whatever was on the wire when the last process ended is now unknown. How many there were."""
        with self._writing():
            rows = self._rows("SELECT id FROM outbox WHERE state = ?", DeliveryState.SENDING)
            for row in rows:
                self._connection.execute(
                    "UPDATE outbox SET state = ?, updated = ? WHERE id = ?",
                    (DeliveryState.UNKNOWN, _text(now), row["id"]),
                )
                self._write_event(
                    row["id"], DeliveryState.SENDING, DeliveryState.UNKNOWN, "the process ended while sending", now
                )
        return len(rows)

    def unblock_all(self, now: datetime) -> int:
        """After a person may have acted (a start, a reload): try again what configuration had stopped."""
        with self._writing():
            rows = self._rows("SELECT id FROM outbox WHERE state = ?", DeliveryState.BLOCKED)
            for row in rows:
                self._connection.execute(
                    "UPDATE outbox SET state = ?, updated = ? WHERE id = ?",
                    (DeliveryState.QUEUED, _text(now), row["id"]),
                )
                self._write_event(
                    row["id"], DeliveryState.BLOCKED, DeliveryState.QUEUED, "a person may have acted", now
                )
        return len(rows)

    def doubtful(self, now: datetime, settle: timedelta) -> list[Delivery]:
        """Alerts of which nobody knows whether they were accepted, whose answer had time to show in the channel."""
        rows = self._rows(
            f"""{_DELIVERIES} WHERE o.state = ? AND o.sending_at <= ? AND (o.not_before IS NULL OR o.not_before <= ?)
                ORDER BY o.created, o.rowid""",
            DeliveryState.UNKNOWN, _text(now - settle), _text(now),
        )  # fmt: skip
        return [self._delivery(row) for row in rows]

    def deliveries(self, *states: DeliveryState) -> list[Delivery]:
        """The outbox, oldest first; all of it if no state is named."""
        marks = ",".join("?" * len(states))
        where = f"WHERE o.state IN ({marks})" if states else ""
        return [
            self._delivery(row) for row in self._rows(f"{_DELIVERIES} {where} ORDER BY o.created, o.rowid", *states)
        ]

    def outbox_counts(self) -> dict[str, int]:
        """Rows of the outbox by state."""
        return {row["state"]: row["n"] for row in self._rows("SELECT state, count(*) AS n FROM outbox GROUP BY state")}

    def undelivered(self) -> dict[str, int]:
        """What was tried and is not delivered, by state. What never was waits for its time, or behind one of these."""
        rows = self._rows(
            "SELECT state, count(*) AS n FROM outbox WHERE attempt > 0 AND state NOT IN (?, ?) GROUP BY state",
            DeliveryState.SENT, DeliveryState.BATCHED,
        )  # fmt: skip
        return {row["state"]: row["n"] for row in rows}

    def _write_event(self, alert_id: str, before: str, after: str, detail: str, now: datetime) -> None:
        self._connection.execute(
            "INSERT INTO events (at, alert_id, from_state, to_state, detail) VALUES (?, ?, ?, ?, ?)",
            (_text(now), alert_id, before, after, detail),
        )

    def alerts_of(self, item_id: str) -> list[Alert]:
        """The alerts that told this item, or will, oldest first; dead ones told nobody."""
        rows = self._rows(
            f"{_DELIVERIES} WHERE o.item_id = ? AND o.state <> ? ORDER BY o.rowid", item_id, DeliveryState.DEAD
        )
        return [self._alert(row) for row in rows]

    def _delivery(self, row: Row) -> Delivery:
        is_notice = row["kind"] == AlertKind.NOTICE
        return Delivery(
            alert=_notice(row) if is_notice else self._alert(row),
            state=DeliveryState(row["state"]),
            attempt=row["attempt"],
            not_before=_time(row["not_before"]),
            sending_at=_time(row["sending_at"]),
            message=_message(row["message"]),
            receipt=row["receipt"],
            thread=row["thread"] or "",
            error=row["error"],
            reason=row["reason"],
            carrier=row["carrier_id"],
        )

    def _alert(self, row: Row) -> Alert:
        item = self._one(f"{_ITEMS} WHERE i.id = ?", row["item_id"])
        if item is None:  # a foreign key forbids it
            raise StateError(f"alert {row['id']} tells an item that is not in the database")
        return Alert(
            id=row["id"],
            kind=AlertKind(row["kind"]),
            channel=row["channel"],
            story=row["story_id"],
            story_title=row["story_title"],
            item=_item(item),
            matches=tuple(_match(match) for match in json.loads(row["matches"])),
            titles=json.loads(row["titles"]),
            severity=Severity(row["severity"]),
            created=_need_time(row["created"]),
            broadcast=bool(row["broadcast"]),
            sources=tuple(json.loads(row["sources"])),
            parent=row["parent_id"],
            formerly=row["formerly"],
            independent=tuple(map(_voice, json.loads(row["independent"]))),
            corroboration=_corroboration(row["corroboration"]),
            escalation=_escalation(row["escalation"]),
        )

    # -- looking back -----------------------------------------------------------------------------

    def explain(self, wanted: str) -> Explained | None:
        """The newest item with this id, the beginning of an id (6 digits or more), or this link."""
        row = self._one(
            f"""{_ITEMS} WHERE i.id = ? OR (length(?) >= 6 AND substr(i.id, 1, length(?)) = ?) OR i.link = ?
                OR i.canonical_link = ? ORDER BY i.first_seen DESC LIMIT 1""",
            *[wanted] * 6,
        )
        return self._explained(row) if row else None

    def with_verdict(self, verdict: Verdict) -> list[Explained]:
        """The items that came to this verdict, in the order seen."""
        return [self._explained(row) for row in self._rows(f"{_ITEMS} WHERE i.verdict = ? ORDER BY i.rowid", verdict)]

    def _explained(self, row: Row) -> Explained:
        story = self.story(row["story_id"])
        if story is None:  # a foreign key forbids it
            raise StateError(f"item {row['id']} stands in a story that is not in the database")
        matches = self._rows("SELECT * FROM matches WHERE item_id = ? ORDER BY score DESC", row["id"])
        told = self._rows(f"{_DELIVERIES} WHERE o.item_id = ? ORDER BY o.created", row["id"])
        return Explained(
            item=_item(row),
            matches=tuple(
                _match({**match, **{key: json.loads(match[key]) for key in ("terms", "words")}}) for match in matches
            ),
            placement=_placement(row),
            story=story,
            verdict=Verdict(row["verdict"]),
            because=row["verdict_because"],
            deliveries=tuple(self._delivery(delivery) for delivery in told),
            by_hand=bool(row["by_hand"]),
        )

    def verdict_counts(self, since: datetime | None = None) -> dict[str, int]:
        """Items by verdict, first seen at or after `since`."""
        rows = self._rows(
            "SELECT verdict, count(*) AS n FROM items WHERE first_seen >= ? GROUP BY verdict", _text(since) or ""
        )
        return {row["verdict"]: row["n"] for row in rows}

    def totals(self) -> dict[str, int]:
        """Rows of the main tables, and items that a topic took."""
        row = self._one(
            """SELECT (SELECT count(*) FROM feeds WHERE active = 1) AS feeds, (SELECT count(*) FROM items) AS items,
                      (SELECT count(*) FROM stories) AS stories,
                      (SELECT count(DISTINCT story_id) FROM outbox WHERE state <> ?) AS told,
                      (SELECT count(*) FROM outbox) AS alerts,
                      (SELECT count(DISTINCT item_id) FROM matches WHERE outcome IN (?, ?)) AS matched""",
            DeliveryState.HELD, MatchOutcome.MATCHED, MatchOutcome.MATCHED_TERM,
        )  # fmt: skip
        return dict(row or {})

    def alerted_topics(self) -> list[str]:
        """Topics that some alert names, by their ids' order."""
        rows = self._rows(
            "SELECT DISTINCT json_extract(m.value, '$.topic') AS topic FROM outbox, json_each(matches) m ORDER BY topic"
        )
        return [row["topic"] for row in rows]

    def fact(self, key: str) -> str:
        """What was remembered under a key; empty if nothing was."""
        row = self._one("SELECT value FROM facts WHERE key = ?", key)
        return str(row["value"]) if row else ""

    def remember(self, key: str, value: str) -> None:
        with self._writing():
            self._connection.execute(
                "INSERT INTO facts (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, value),
            )

    # -- plumbing ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self, *, durably: bool = True) -> Iterator[None]:
        """A transaction that holds the write lock from its first statement; rolled back if the block raises.

        Not `durably`: a power cut may undo it, whole, with all that came after it. So it is for what the next poll would
        find out again; the next durable transaction makes it last as well.
        """
        with _told("written"):
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durably else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, *values: object) -> list[Row]:
        with _told("read"):
            return list(self._database.query(sql, values))

    def _one(self, sql: str, *values: object) -> Row | None:
        return next(iter(self._rows(sql, *values)), None)


@contextlib.contextmanager
def _told(done: str) -> Iterator[None]:
    """Turn what SQLite says of the database's state into an error of ours; what it says of our SQL and rows is a bug."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.DatabaseError as error:
        raise StateError(f"the database cannot be {done}: {error}") from error


def _refuse_strangers(connection: sqlite3.Connection) -> None:
    """Refuse a database that another program made; mark a new one as ours. Fails by itself on what is no database.

    Raises: sqlite3.DatabaseError.
    """
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if tables and owner != APPLICATION_ID:
        raise sqlite3.DatabaseError("it is another program's database")
    if not tables:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


#: An edited item stays where it stands, and why stays known.
_AND_ITS_PLACE = """, story_id = excluded.story_id, relation = excluded.relation, parent_id = excluded.parent_id,
    likeness = excluded.likeness, because = excluded.because"""

_FEED_STATES = f"""SELECT f.*, (SELECT count(*) FROM items i WHERE i.feed_url = f.url) AS items,
    (SELECT count(*) FROM items i WHERE i.feed_url = f.url AND i.verdict = '{Verdict.HELD}') AS held FROM feeds f"""

_ITEMS = """SELECT i.*, f.title AS feed_title, f.kind AS feed_kind, f.country AS feed_country, f.language AS feed_language,
    f.site AS feed_site FROM items i JOIN feeds f ON f.url = i.feed_url"""

_DELIVERIES = """SELECT o.*, s.title AS story_title, p.receipt AS thread
    FROM outbox o LEFT JOIN stories s ON s.id = o.story_id LEFT JOIN outbox p ON p.id = o.parent_id AND o.parent_id <> ''"""


def _chunks(values: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """SQLite takes a limited number of parameters in one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _beginning(name: str) -> tuple[str, str]:
    """The first and the last id that begin so; no id for less than 6 characters, which are no beginning."""
    return (name, name + "\U0010ffff") if len(name) >= 6 else ("~", "")


def _text(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat(timespec="milliseconds") if time else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _need_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _delta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _vector(blob: bytes) -> Vector:
    return np.frombuffer(blob, dtype="<f2").astype(np.float32)


def _feed_state(row: Row) -> FeedState:
    return FeedState(
        feed=Feed(row["url"], row["title"], row["kind"], row["country"], row["language"], row["site"]),
        validators=Validators(row["etag"], row["last_modified"], row["body_hash"]),
        first_success=_time(row["first_success"]),
        last_success=_time(row["last_success"]),
        last_poll=_time(row["last_poll"]),
        next_poll=_time(row["next_poll"]),
        failures=row["failures"],
        last_error=row["last_error"],
        failing_since=_time(row["failing_since"]),
        items=row["items"],
        moved_to=row["moved_to"],
        full_fetch=_time(row["full_fetch"]),
        pause=_delta(row["pause"]),
        rhythm=Rhythm(
            gap=_delta(row["gap"]),
            longest_gap=_delta(row["longest_gap"]),
            newest=_time(row["newest"]),
            last_new=_time(row["last_new"]),
            severity=Severity(row["severity"]) if row["severity"] else None,
            severity_at=_time(row["severity_at"]),
        ),
        hints=Hints(
            period=_delta(row["hint_period"]),
            skip_hours=frozenset(json.loads(row["skip_hours"])),
            skip_days=frozenset(json.loads(row["skip_days"])),
            hub=row["hub"],
            topic=row["hub_topic"],
        ),
        last_gap=_time(row["last_gap"]),
        held=row["held"],
        released=bool(row["released"]),
    )


def _version(row: Row) -> Version:
    return Version(
        row["id"], row["title"], row["text"], row["canonical_link"], _time(row["published"]), row["revision"],
        Verdict(row["verdict"]),
    )  # fmt: skip


def _notice(row: Row) -> Notice:
    return Notice(row["id"], row["channel"], row["text"], _need_time(row["created"]))


def _item(row: Row) -> Item:
    return Item(
        id=row["id"],
        feed=Feed(
            row["feed_url"],
            row["feed_title"],
            row["feed_kind"],
            row["feed_country"],
            row["feed_language"],
            row["feed_site"],
        ),
        title=row["title"],
        text=row["text"],
        link=row["link"],
        canonical_link=row["canonical_link"],
        language=row["language"],
        published=_time(row["published"]),
        first_seen=_need_time(row["first_seen"]),
        published_raw=row["published_raw"],
        content=row["content_hash"],
        revision=row["revision"],
    )


def _placement(row: Row) -> Placement:
    return Placement(row["story_id"], Relation(row["relation"]), row["parent_id"], row["likeness"], row["because"])


def _telling(row: Row, topics: Sequence[str]) -> Telling:
    return Telling(_item(row), _placement(row), Verdict(row["verdict"]), bool(row["by_hand"]), tuple(topics))


def _story(row: Row, tellings: Sequence[tuple[Item, Relation]]) -> Story:
    return Story(
        id=row["id"],
        title=row["title"],
        opened=_need_time(row["opened"]),
        latest=_need_time(row["latest"]),
        items=len(tellings),
        voices=voices((item.feed, item.at, relation) for item, relation in tellings),
        languages=tuple(dict.fromkeys(item.language for item, _ in tellings if item.language)),
    )


def _ruling(row: Row) -> Ruling:
    detail = json.loads(row["detail"])
    return Ruling(
        RulingKind(row["kind"]), row["author"], detail["story"], tuple(detail["stories"]), tuple(detail["items"]),
        _time(row["at"]),
    )  # fmt: skip


def _match_row(match: Match) -> Row:
    return {
        "topic": match.topic, "score": match.score, "bar": match.bar, "outcome": match.outcome,
        "nearest": match.nearest, "negative": match.negative, "terms": match.terms, "gate": match.gate,
        "words": match.words, "unit": match.unit, "opinion": match.opinion,
    }  # fmt: skip


def _match(row: Mapping[str, Any]) -> Match:
    return Match(
        topic=row["topic"],
        score=row["score"],
        bar=row["bar"],
        outcome=MatchOutcome(row["outcome"]),
        nearest=row["nearest"],
        negative=row["negative"],
        terms=tuple(row["terms"]),
        gate=row["gate"],
        # what waits in the outbox may have been judged before there were these
        words=tuple(row.get("words", ())),
        unit=row.get("unit", ""),
        opinion=row.get("opinion", ""),
    )


def _corroboration_json(needed: Corroboration | None) -> str:
    if needed is None:
        return ""
    return _json({"sources": needed.sources, "kinds": needed.kinds, "within": needed.within.total_seconds()})


def _corroboration(text: str) -> Corroboration | None:
    if not text:
        return None
    row = json.loads(text)
    return Corroboration(row["sources"], row["kinds"], timedelta(seconds=row["within"]))


def _escalation_json(jump: Escalation | None) -> str:
    if jump is None:
        return ""
    return _json({"sources": jump.sources, "recent": jump.recent, "within": jump.within.total_seconds()})


def _escalation(text: str) -> Escalation | None:
    if not text:
        return None
    row = json.loads(text)
    return Escalation(row["sources"], row["recent"], timedelta(seconds=row["within"]))


def _voices_json(heard: Sequence[Voice]) -> str:
    return _json(
        [
            {"source": v.source, "kind": v.kind, "country": v.country, "first": _text(v.first), "own": v.own}
            for v in heard
        ]
    )


def _voice(row: Mapping[str, Any]) -> Voice:
    return Voice(row["source"], row["kind"], row["country"], _need_time(row["first"]), row["own"])


def _message_json(message: Message) -> str:
    return _json({"text": message.text, "blocks": message.blocks, "terminal": message.terminal})


def _message(text: str | None) -> Message | None:
    if text is None:
        return None
    row = json.loads(text)
    return Message(text=row["text"], blocks=tuple(row["blocks"]), terminal=row["terminal"])
