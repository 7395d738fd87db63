"""What the monitor remembers: SQLite through sqlite-utils. Each read and write is a named method that takes and gives
the nouns of `model`. No decision is made here; all SQL is, in this file and the six that it stands on: `database`
(connection, transactions, rows), `story_store`, `readback`, `outbox`, `holds`, `retention`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from monitor.database import ITEMS, Row, as_item, as_json, as_placement, as_text, as_time, chunks, need_time
from monitor.errors import StateError
from monitor.holds import Holds
from monitor.model import (
    Ailment,
    AlertKind,
    Condition,
    DeliveryState,
    Explained,
    Feed,
    FeedState,
    Hints,
    HoldReason,
    Item,
    MatchOutcome,
    Notice,
    Numbers,
    Opinion,
    Polled,
    Record,
    Relation,
    Rhythm,
    Severity,
    Subscription,
    Validators,
    Vector,
    Verdict,
    Version,
    Vitals,
)
from monitor.outbox import DELIVERIES, as_match
from monitor.retention import Retention


class Store(Holds, Retention):
    """All that a monitor remembers."""

    # -- feeds ------------------------------------------------------------------------------------

    def add_feed(self, feed: Feed, now: datetime) -> bool:
        """Add a feed, or bring back or correct one that is known; True if it was not on the list."""
        with self._writing():
            known = self._one("SELECT active FROM feeds WHERE url = ?", feed.url)
            self._connection.execute(
                """INSERT INTO feeds (url, title, kind, country, language, site, added) VALUES (?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (url) DO UPDATE SET title = excluded.title, kind = excluded.kind, country = excluded.country,
                       language = excluded.language, site = excluded.site, active = 1""",
                (feed.url, feed.title, feed.kind, feed.country, feed.language, feed.site, as_text(now)),
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
        return [_feed_state(row) for row in self._rows(due, as_text(now), each, limit)]

    def overdue(self, now: datetime) -> list[str]:
        """The addresses of the feeds whose time has come, longest overdue first."""
        rows = self._rows(
            """SELECT url FROM feeds f WHERE f.active = 1 AND coalesce(f.next_poll, '') <= ?
               ORDER BY coalesce(f.next_poll, ''), f.rowid""",
            as_text(now),
        )
        return [row["url"] for row in rows]

    def polled_since(self, time: datetime) -> bool:
        """Whether a poll of any feed was written down from then on."""
        return self._one("SELECT 1 FROM feeds WHERE active = 1 AND last_poll >= ? LIMIT 1", as_text(time)) is not None

    def put_off(self, times: Mapping[str, datetime]) -> None:
        """Give feeds the time of their next poll."""
        with self._writing():
            self._connection.executemany(
                "UPDATE feeds SET next_poll = ? WHERE url = ?", [(as_text(time), url) for url, time in times.items()]
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
                    "UPDATE feeds SET released = 1, next_poll = ? WHERE url = ?", (as_text(now), url)
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

    def turn_back(self, now: datetime) -> timedelta:
        """If the clock was put back, take as much off what waits for a time: by how much; zero if it was not.

        That shows in a poll that is to come. What the outbox says of what was sent stays as it is.
        """
        row = self._one("SELECT max(last_poll) AS at FROM feeds WHERE active = 1")
        ahead = need_time(row["at"]) - now if row and row["at"] else timedelta(0)
        if ahead < SET_BACK:
            return timedelta(0)

        def earlier(text: str | None) -> str | None:
            return as_text(max(now, need_time(text) - ahead)) if text and need_time(text) > now else text

        with self._writing():
            for table, key, columns, where in _TIMES_TO_COME:
                rows = self._rows(f"SELECT {key} AS id, {', '.join(columns)} FROM {table} WHERE {where}")
                self._connection.executemany(
                    f"UPDATE {table} SET {', '.join(f'{column} = ?' for column in columns)} WHERE {key} = ?",
                    [(*(earlier(row[column]) for column in columns), row["id"]) for row in rows],
                )
        return ahead

    # -- polls ------------------------------------------------------------------------------------

    def known(self, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Those of the keys that name an item of an earlier poll: the item's id, and its content."""
        found: dict[str, tuple[str, str]] = {}
        for chunk in chunks(keys):
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
        for chunk in chunks(item_ids):
            marks = ",".join("?" * len(chunk))
            found |= {
                row["id"]: _version(row) for row in self._rows(f"SELECT * FROM items WHERE id IN ({marks})", *chunk)
            }
        return found

    def held_items(self, url: str) -> list[Item]:
        """What the storm breaker holds of a feed, in the order seen."""
        rows = self._rows(f"{ITEMS} WHERE i.feed_url = ? AND i.verdict = ? ORDER BY i.rowid", url, Verdict.HELD)
        return [as_item(row) for row in rows]

    def untold(self, since: datetime) -> list[Item]:
        """What was seen since then, and no topic took or nobody was told of, in the order of events."""
        verdicts = (Verdict.NO_MATCH, Verdict.FIRST_POLL, Verdict.TOO_OLD, Verdict.SHADOW)
        marks = ",".join("?" * len(verdicts))
        rows = self._rows(
            f"{ITEMS} WHERE i.first_seen >= ? AND i.verdict IN ({marks}) ORDER BY i.at, i.rowid",
            as_text(since),
            *verdicts,
        )
        return [as_item(row) for row in rows]

    def commit_again(self, records: Sequence[Record], model: str, now: datetime, ruling: int | None = None) -> None:
        """Write down what known items came to when they were judged again, as one transaction.

        ruling: the latest that the judging heeded (`latest_ruling`); None if that does not matter.

        Raises: OvertakenError if there is a later one.
        """
        with self._writing():
            self._refuse_overtaken(ruling)
            for record in records:
                self._write_record(record, model, now)
            self._want_edits((record.placement.story for record in records), now)

    def item_times(self, url: str, count: int) -> list[datetime]:
        """The effective times of a feed's latest items, latest first."""
        rows = self._rows("SELECT at FROM items WHERE feed_url = ? ORDER BY at DESC LIMIT ?", url, count)
        return [need_time(row["at"]) for row in rows]

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
            self._want_edits((record.placement.story for record in records), polled.at)
            self._connection.executemany(
                # it may have been let go since the poll began
                "INSERT OR IGNORE INTO identities (key, item_id) SELECT ?, id FROM items WHERE id = ?",
                polled.aliases.items(),
            )
            self._offered_again(polled.offered_again, polled.at)
            self._write_polled(polled)

    def _write_polled(self, polled: Polled) -> None:
        rhythm, validators, at = polled.rhythm, polled.validators, as_text(polled.at)
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
                as_text(polled.next_poll), polled.pause.total_seconds(), polled.full, at, at,
                _seconds(rhythm.gap), _seconds(rhythm.longest_gap), as_text(rhythm.newest), as_text(rhythm.last_new),
                rhythm.severity, as_text(rhythm.severity_at), polled.gap, at, polled.feed.url,
            ),
        )  # fmt: skip
        # released by a person while this poll was under way: what is held waits for the next, which is now
        self._connection.execute("UPDATE feeds SET next_poll = ? WHERE url = ? AND released = 1", (at, polled.feed.url))
        if polled.hints is not None:
            hints = polled.hints
            self._connection.execute(
                "UPDATE feeds SET hint_period = ?, skip_hours = ?, skip_days = ?, hub = ?, hub_topic = ? WHERE url = ?",
                (
                    _seconds(hints.period), as_json(sorted(hints.skip_hours)), as_json(sorted(hints.skip_days)), hints.hub,
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
                    as_text(now), as_text(next_poll), (next_poll - now).total_seconds(), weight, cause, weight, as_text(now),
                    feed.url,
                ),
            )  # fmt: skip

    def _write_record(self, record: Record, model: str, now: datetime) -> None:
        item, placement, decision = record.embedded.item, record.placement, record.decision
        self._connection.execute(
            """INSERT INTO stories (id, title, opened, latest) VALUES (?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET latest = max(latest, excluded.latest), opened = min(opened, excluded.opened),
                   closed = NULL""",
            (placement.story, item.title, as_text(item.at), as_text(item.at)),
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
                as_text(item.published), item.published_raw, as_text(item.first_seen), as_text(item.at), record.text_hash,
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
                    as_json(m.terms),
                    m.gate,
                    as_json(m.words),
                    m.unit,
                    m.opinion,
                )
                for m in record.matches
            ],
        )
        for alert in decision.alerts:
            self._write_alert(alert, now)
        for alert in decision.held:
            self._write_alert(alert, now, DeliveryState.HELD, reason=HoldReason.CORROBORATION)
        for alert_id in decision.released:
            self._let_out(alert_id, item, now)

    def _write_revision(self, before: Version, item: Item, now: datetime) -> None:
        if before.revision < item.revision:
            self._connection.execute(
                "INSERT INTO revisions (item_id, revision, until, title, text) VALUES (?, ?, ?, ?, ?)",
                (item.id, before.revision, as_text(now), before.title, before.text),
            )

    # -- health -----------------------------------------------------------------------------------

    def ailments(self) -> list[Ailment]:
        """What is, or lately was, wrong with feeds and network, oldest first."""
        rows = self._rows("SELECT * FROM ailments ORDER BY since, feed_url, condition")
        return [
            Ailment(
                row["feed_url"], Condition(row["condition"]), row["because"], need_time(row["since"]), as_time(row["told"]),
                as_time(row["absent_since"]),
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
                    (a.feed_url, a.condition, a.because, as_text(a.since), as_text(a.told), as_text(a.absent_since))
                    for a in ailments
                ],
            )
            if notice is not None:
                self._write_notice(notice, now)

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
                row["feed_url"], row["hub"], row["topic"], row["state"], need_time(row["since"]), row["tries"],
                as_time(row["expires"]), row["reason"],
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
                    one.feed_url, one.hub, one.topic, one.state, as_text(one.since), one.tries, as_text(one.expires),
                    one.reason,
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
                (as_text(at), url),
            )
            self._connection.execute("UPDATE subscriptions SET pushed = ? WHERE feed_url = ?", (as_text(at), url))

    def push_counts(self) -> dict[str, tuple[int, int, datetime | None]]:
        """For each subscription, by feed: polls with news that a push had announced, those that none had, the last push."""
        rows = self._rows("SELECT feed_url, pushes, unannounced, pushed FROM subscriptions")
        return {row["feed_url"]: (row["pushes"], row["unannounced"], as_time(row["pushed"])) for row in rows}

    def keep_push_counts(self, url: str, pushes: int, unannounced: int) -> None:
        with self._writing(durably=False):
            self._connection.execute(
                "UPDATE subscriptions SET pushes = ?, unannounced = ? WHERE feed_url = ?", (pushes, unannounced, url)
            )

    def opinions(self, keys: Sequence[str]) -> dict[str, Opinion]:
        """Second opinions that were had before, by `opinion.cache_key`."""
        found: dict[str, Opinion] = {}
        for chunk in chunks(list(keys)):
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
                [(key, bool(o.relevant), o.confidence, o.because, o.by, as_text(now)) for key, o in opinions.items()],
            )

    def ordinary_items(self, since: datetime, count: int, model: str) -> list[tuple[Item, Vector]]:
        """At most `count` items seen since then, copies aside, and the vectors this model gave.

        A fair draw, and hardly another one a day later: ids are hashes.
        """
        rows = self._rows(
            f"{ITEMS} WHERE i.first_seen >= ? AND i.relation <> ? AND i.verdict NOT IN (?, ?) ORDER BY i.id LIMIT ?",
            as_text(since), Relation.COPY, Verdict.HELD, Verdict.DROPPED, count,
        )  # fmt: skip
        vectors = self.vectors({row["text_hash"] for row in rows}, model)
        return [(as_item(row), vectors[row["text_hash"]]) for row in rows if row["text_hash"] in vectors]

    def texts(self, count: int) -> list[str]:
        """Title and text of at most `count` items; a fair draw: ids are hashes."""
        return [f"{row['title']}\n{row['text']}" for row in self._rows(f"{ITEMS} ORDER BY i.id LIMIT ?", count)]

    # -- looking back -----------------------------------------------------------------------------

    def explain(self, wanted: str) -> Explained | None:
        """The newest item with this id, the beginning of an id (6 digits or more), or this link."""
        row = self._one(
            f"""{ITEMS} WHERE i.id = ? OR (length(?) >= 6 AND substr(i.id, 1, length(?)) = ?) OR i.link = ?
                OR i.canonical_link = ? ORDER BY i.first_seen DESC LIMIT 1""",
            *[wanted] * 6,
        )
        return self._explained(row) if row else None

    def with_verdict(self, verdict: Verdict) -> list[Explained]:
        """The items that came to this verdict, in the order seen."""
        return [self._explained(row) for row in self._rows(f"{ITEMS} WHERE i.verdict = ? ORDER BY i.rowid", verdict)]

    def _explained(self, row: Row) -> Explained:
        story = self.story(row["story_id"])
        if story is None:  # a foreign key forbids it
            raise StateError(f"item {row['id']} stands in a story that is not in the database")
        matches = self._rows("SELECT * FROM matches WHERE item_id = ? ORDER BY score DESC", row["id"])
        told = self._rows(
            f"{DELIVERIES} WHERE o.item_id = ? AND o.kind <> ? ORDER BY o.created", row["id"], AlertKind.EDIT
        )
        return Explained(
            item=as_item(row),
            matches=tuple(
                as_match({**match, **{key: json.loads(match[key]) for key in ("terms", "words")}}) for match in matches
            ),
            placement=as_placement(row),
            story=story,
            verdict=Verdict(row["verdict"]),
            because=row["verdict_because"],
            deliveries=tuple(self._delivery(delivery) for delivery in told),
            by_hand=bool(row["by_hand"]),
        )

    def verdict_counts(self, since: datetime | None = None) -> dict[str, int]:
        """Items by verdict, first seen at or after `since`; else all that ever were, also those that were let go."""
        if since is None:
            return dict(Counter(self.let_go_counts()[0]) + Counter(self._tally("verdict")))
        rows = self._rows(
            "SELECT verdict, count(*) AS n FROM items WHERE first_seen >= ? GROUP BY verdict", as_text(since)
        )
        return {row["verdict"]: row["n"] for row in rows}

    def vitals(self, now: datetime) -> Vitals:
        """What says whether the work is done."""
        return Vitals(
            feeds=self.feeds(),
            outbox=self.outbox_counts(),
            blockages=self.blockages(),
            outage=self.outage() is not None,
            at=now,
        )

    def numbers(self, now: datetime) -> Numbers:
        """How much there is of everything."""
        vitals = self.vitals(now)
        return Numbers(
            feeds=vitals.feeds,
            outbox=vitals.outbox,
            blockages=vitals.blockages,
            outage=vitals.outage,
            at=vitals.at,
            stories=self._tally("story").get("", 0) + self.let_go_counts()[1],
            verdicts=self.verdict_counts(),
            held=self.held_counts(),
            canary=self.flight(),
            link=self.link(),
        )

    def outage(self) -> Ailment | None:
        """The outage of our own network, while it lasts."""
        return next((a for a in self.ailments() if not a.feed_url and not a.absent_since), None)

    def totals(self) -> dict[str, int]:
        """Rows of the main tables, items that a topic took, and how many items and stories there were before these."""
        row = self._one(
            """SELECT (SELECT count(*) FROM feeds WHERE active = 1) AS feeds,
                      (SELECT coalesce(sum(n), 0) FROM tallies WHERE what = 'feed') AS items,
                      (SELECT n FROM tallies WHERE what = 'story') AS stories,
                      (SELECT count(DISTINCT story_id) FROM outbox WHERE state <> ?) AS told,
                      (SELECT count(*) FROM outbox WHERE kind <> 'edit') AS alerts,
                      (SELECT count(DISTINCT item_id) FROM matches WHERE outcome IN (?, ?)) AS matched""",
            DeliveryState.HELD, MatchOutcome.MATCHED, MatchOutcome.MATCHED_TERM,
        )  # fmt: skip
        verdicts, stories = self.let_go_counts()
        gone = {"items let go": sum(verdicts.values()), "stories let go": stories}
        return dict(row or {}) | ({} if verdicts == {} else gone)


#: A clock that was put back by less, as by a leap second, harms nothing.
SET_BACK = timedelta(minutes=1)
#: What waits for a time: table, key, columns, which rows. Not what a person, or quiet hours, named a time of day for.
_TIMES_TO_COME = (
    ("feeds", "url", ("next_poll", "last_poll", "last_success", "full_fetch"), "active = 1"),
    ("blockages", "channel", ("next_probe",), "1"),
    (
        "outbox",
        "id",
        ("not_before", "sending_at"),
        (
            f"state IN ('{DeliveryState.QUEUED}', '{DeliveryState.SENDING}', '{DeliveryState.UNKNOWN}')"
            f" OR state = '{DeliveryState.HELD}' AND reason = '{HoldReason.CORROBORATION}'"
        ),
    ),
)

#: An edited item stays where it stands, and why stays known.
_AND_ITS_PLACE = """, story_id = excluded.story_id, relation = excluded.relation, parent_id = excluded.parent_id,
    likeness = excluded.likeness, because = excluded.because"""

_FEED_STATES = f"""SELECT f.*, coalesce((SELECT n FROM tallies WHERE what = 'feed' AND key = f.url), 0) AS items,
    (SELECT count(*) FROM items i WHERE i.feed_url = f.url AND i.verdict = '{Verdict.HELD}') AS held FROM feeds f"""


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _delta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _feed_state(row: Row) -> FeedState:
    return FeedState(
        feed=Feed(row["url"], row["title"], row["kind"], row["country"], row["language"], row["site"]),
        validators=Validators(row["etag"], row["last_modified"], row["body_hash"]),
        first_success=as_time(row["first_success"]),
        last_success=as_time(row["last_success"]),
        last_poll=as_time(row["last_poll"]),
        next_poll=as_time(row["next_poll"]),
        failures=row["failures"],
        last_error=row["last_error"],
        failing_since=as_time(row["failing_since"]),
        items=row["items"],
        moved_to=row["moved_to"],
        full_fetch=as_time(row["full_fetch"]),
        pause=_delta(row["pause"]),
        rhythm=Rhythm(
            gap=_delta(row["gap"]),
            longest_gap=_delta(row["longest_gap"]),
            newest=as_time(row["newest"]),
            last_new=as_time(row["last_new"]),
            severity=Severity(row["severity"]) if row["severity"] else None,
            severity_at=as_time(row["severity_at"]),
        ),
        hints=Hints(
            period=_delta(row["hint_period"]),
            skip_hours=frozenset(json.loads(row["skip_hours"])),
            skip_days=frozenset(json.loads(row["skip_days"])),
            hub=row["hub"],
            topic=row["hub_topic"],
        ),
        last_gap=as_time(row["last_gap"]),
        held=row["held"],
        released=bool(row["released"]),
    )


def _version(row: Row) -> Version:
    return Version(
        row["id"], row["title"], row["text"], row["canonical_link"], as_time(row["published"]), row["revision"],
        Verdict(row["verdict"]),
    )  # fmt: skip
