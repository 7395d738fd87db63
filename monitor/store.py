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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from sqlite_utils import Database

from monitor.errors import BusyError, StateError
from monitor.model import (
    Alert,
    AlertKind,
    Delivery,
    DeliveryState,
    EmbeddedItem,
    Explained,
    Feed,
    FeedState,
    Item,
    Match,
    MatchOutcome,
    Member,
    Message,
    Placement,
    Record,
    Relation,
    Severity,
    Story,
    Validators,
    Vector,
    Verdict,
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

    def due_feeds(self, now: datetime) -> list[FeedState]:
        """The feeds whose time has come, longest overdue first."""
        due = f"{_FEED_STATES} WHERE f.active = 1 AND (f.next_poll IS NULL OR f.next_poll <= ?) ORDER BY f.next_poll, f.rowid"
        return [_feed_state(row) for row in self._rows(due, _text(now))]

    # -- polls ------------------------------------------------------------------------------------

    def unseen(self, item_ids: Sequence[str]) -> set[str]:
        """Those of the ids that no poll has brought yet."""
        known = set()
        for chunk in _chunks(item_ids):
            marks = ",".join("?" * len(chunk))
            known |= {row["id"] for row in self._rows(f"SELECT id FROM items WHERE id IN ({marks})", *chunk)}
        return set(item_ids) - known

    def commit_poll(
        self,
        feed: Feed,
        records: Sequence[Record],
        validators: Validators,
        model: str,
        next_poll: datetime,
        now: datetime,
    ) -> None:
        """Write all that one successful poll brought, as one transaction: items, vectors, matches, stories, alerts, and
        the validators with which the server will be asked next time."""
        with self._writing():
            for record in records:
                self._write_record(record, model, now)
            self._connection.execute(
                """UPDATE feeds SET etag = ?, last_modified = ?, body_hash = ?, last_poll = ?, last_success = ?, next_poll = ?,
                       first_success = coalesce(first_success, ?), failures = 0, last_error = '' WHERE url = ?""",
                (
                    validators.etag, validators.last_modified, validators.body_hash,
                    _text(now), _text(now), _text(next_poll), _text(now), feed.url,
                ),
            )  # fmt: skip

    def commit_failed_poll(self, feed: Feed, cause: str, weight: float, next_poll: datetime, now: datetime) -> None:
        with self._writing():
            self._connection.execute(
                "UPDATE feeds SET last_poll = ?, next_poll = ?, failures = failures + ?, last_error = ? WHERE url = ?",
                (_text(now), _text(next_poll), weight, cause, feed.url),
            )

    def _write_record(self, record: Record, model: str, now: datetime) -> None:
        item, placement, decision = record.embedded.item, record.placement, record.decision
        self._connection.execute(
            """INSERT INTO stories (id, title, opened, latest) VALUES (?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET latest = max(latest, excluded.latest), opened = min(opened, excluded.opened)""",
            (placement.story, item.title, _text(item.at), _text(item.at)),
        )
        self._connection.execute(
            """INSERT INTO items (id, feed_url, title, text, link, canonical_link, language, published, first_seen, at,
                   text_hash, story_id, relation, parent_id, likeness, because, verdict, verdict_because)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                item.id, item.feed.url, item.title, item.text, item.link, item.canonical_link, item.language,
                _text(item.published), _text(item.first_seen), _text(item.at), record.text_hash,
                placement.story, placement.relation, placement.parent, placement.likeness, placement.because,
                decision.verdict, decision.because,
            ),
        )  # fmt: skip
        self._write_vectors({record.text_hash: record.embedded.vector}, model, now)
        self._connection.executemany(
            """INSERT INTO matches (item_id, topic, score, bar, outcome, nearest, negative, terms, gate)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            [
                (item.id, m.topic, m.score, m.bar, m.outcome, m.nearest, m.negative, _json(m.terms), m.gate)
                for m in record.matches
            ],
        )
        for alert in decision.alerts:
            self._write_alert(alert, now)

    def _write_alert(self, alert: Alert, now: datetime) -> None:
        done = self._connection.execute(
            """INSERT INTO outbox (id, kind, channel, story_id, item_id, parent_id, matches, titles, severity, broadcast,
                   sources, created, state, updated)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
            (
                alert.id, alert.kind, alert.channel, alert.story, alert.item.id, alert.parent,
                _json([_match_row(match) for match in alert.matches]), _json(dict(alert.titles)), alert.severity,
                int(alert.broadcast), _json(alert.sources), _text(alert.created), DeliveryState.QUEUED, _text(now),
            ),
        )  # fmt: skip
        if done.rowcount:
            self._write_event(alert.id, "", DeliveryState.QUEUED, "", now)

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
        newest = self._one("SELECT max(first_seen) AS at FROM items")
        if newest is None or newest["at"] is None:
            return []
        since = _need_time(newest["at"]) - span
        rows = self._rows(f"{_ITEMS} WHERE i.first_seen >= ? ORDER BY i.rowid", _text(since))
        return [(_item(row), row["text_hash"], row["story_id"], Relation(row["relation"])) for row in rows]

    def members(self, span: timedelta, model: str) -> list[Member]:
        """The recent items for which this model has given a vector, in the order seen."""
        items = self.recent_items(span)
        vectors = self.vectors({text_hash for _, text_hash, _, _ in items}, model)
        return [
            Member(EmbeddedItem(item, vectors[text_hash]), story, relation)
            for item, text_hash, story, relation in items
            if text_hash in vectors
        ]

    def story(self, story_id: str) -> Story | None:
        row = self._one("SELECT id, title, opened, latest FROM stories WHERE id = ?", story_id)
        if row is None:
            return None
        items = [_item(r) for r in self._rows(f"{_ITEMS} WHERE i.story_id = ? ORDER BY i.at, i.rowid", story_id)]
        return Story(
            id=row["id"],
            title=row["title"],
            opened=_need_time(row["opened"]),
            latest=_need_time(row["latest"]),
            items=len(items),
            sources=tuple(dict.fromkeys(item.source for item in items)),
            languages=tuple(dict.fromkeys(item.language for item in items if item.language)),
        )

    def roots(self, story_id: str) -> dict[str, str]:
        """Channels that have been told of a story, or will be, each with the id of its root alert.

        A dead root tells nobody: the story's next item is news there again.
        """
        rows = self._rows(
            "SELECT channel, id FROM outbox WHERE story_id = ? AND kind = ? AND state <> ?",
            story_id, AlertKind.ROOT, DeliveryState.DEAD,
        )  # fmt: skip
        return {row["channel"]: row["id"] for row in rows}

    # -- outbox -----------------------------------------------------------------------------------

    def next_queued(self, now: datetime) -> Delivery | None:
        """The oldest alert that may be sent now; None if there is none.

        A reply may only once its root stands in the channel, or never will: then it stands there by itself. A channel in
        which one alert was told to wait waits whole.
        """
        row = self._one(
            f"""{_DELIVERIES} WHERE o.state = ? AND (o.parent_id = '' OR p.state IN (?, ?))
                AND NOT EXISTS (SELECT 1 FROM outbox w WHERE w.channel = o.channel AND w.state = ? AND w.not_before > ?)
                ORDER BY o.created, o.rowid LIMIT 1""",
            DeliveryState.QUEUED, DeliveryState.SENT, DeliveryState.DEAD, DeliveryState.QUEUED, _text(now),
        )  # fmt: skip
        return self._delivery(row) if row else None

    def claim(self, delivery_id: str, message: Message, now: datetime) -> bool:
        """Write down that a post is about to go out, and its frozen bytes; False if somebody else was quicker."""
        with self._writing():
            done = self._connection.execute(
                """UPDATE outbox SET state = ?, attempt = attempt + 1, sending_at = ?, message = coalesce(message, ?),
                       error = '', updated = ? WHERE id = ? AND state = ?""",
                (
                    DeliveryState.SENDING, _text(now), _message_json(message), _text(now), delivery_id, DeliveryState.QUEUED,
                ),
            )  # fmt: skip
            if done.rowcount:
                self._write_event(delivery_id, DeliveryState.QUEUED, DeliveryState.SENDING, "", now)
        return done.rowcount > 0

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

    def _write_event(self, alert_id: str, before: str, after: str, detail: str, now: datetime) -> None:
        self._connection.execute(
            "INSERT INTO events (at, alert_id, from_state, to_state, detail) VALUES (?, ?, ?, ?, ?)",
            (_text(now), alert_id, before, after, detail),
        )

    def _delivery(self, row: Row) -> Delivery:
        item = self._one(f"{_ITEMS} WHERE i.id = ?", row["item_id"])
        if item is None:  # a foreign key forbids it
            raise StateError(f"alert {row['id']} tells an item that is not in the database")
        alert = Alert(
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
        )
        return Delivery(
            alert=alert,
            state=DeliveryState(row["state"]),
            attempt=row["attempt"],
            not_before=_time(row["not_before"]),
            sending_at=_time(row["sending_at"]),
            message=_message(row["message"]),
            receipt=row["receipt"],
            thread=row["thread"] or "",
            error=row["error"],
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
            matches=tuple(_match({**match, "terms": json.loads(match["terms"])}) for match in matches),
            placement=Placement(
                row["story_id"], Relation(row["relation"]), row["parent_id"], row["likeness"], row["because"]
            ),
            story=story,
            verdict=Verdict(row["verdict"]),
            because=row["verdict_because"],
            deliveries=tuple(self._delivery(delivery) for delivery in told),
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
                      (SELECT count(*) FROM stories) AS stories, (SELECT count(DISTINCT story_id) FROM outbox) AS told,
                      (SELECT count(*) FROM outbox) AS alerts,
                      (SELECT count(DISTINCT item_id) FROM matches WHERE outcome IN (?, ?)) AS matched""",
            MatchOutcome.MATCHED, MatchOutcome.MATCHED_TERM,
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
    def _writing(self) -> Iterator[None]:
        """A transaction that holds the write lock from its first statement; rolled back if the block raises."""
        with _told("written"):
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


_FEED_STATES = "SELECT f.*, (SELECT count(*) FROM items i WHERE i.feed_url = f.url) AS items FROM feeds f"

_ITEMS = """SELECT i.*, f.title AS feed_title, f.kind AS feed_kind, f.country AS feed_country, f.language AS feed_language,
    f.site AS feed_site FROM items i JOIN feeds f ON f.url = i.feed_url"""

_DELIVERIES = """SELECT o.*, s.title AS story_title, p.receipt AS thread
    FROM outbox o JOIN stories s ON s.id = o.story_id LEFT JOIN outbox p ON p.id = o.parent_id AND o.parent_id <> ''"""


def _chunks(values: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """SQLite takes a limited number of parameters in one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _text(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat(timespec="milliseconds") if time else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _need_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


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
        items=row["items"],
    )


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
    )


def _match_row(match: Match) -> Row:
    return {
        "topic": match.topic, "score": match.score, "bar": match.bar, "outcome": match.outcome,
        "nearest": match.nearest, "negative": match.negative, "terms": match.terms, "gate": match.gate,
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
    )


def _message_json(message: Message) -> str:
    return _json({"text": message.text, "blocks": message.blocks, "terminal": message.terminal})


def _message(text: str | None) -> Message | None:
    if text is None:
        return None
    row = json.loads(text)
    return Message(text=row["text"], blocks=tuple(row["blocks"]), terminal=row["terminal"])
