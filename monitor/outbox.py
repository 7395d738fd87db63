"""What is to be told, and what became of it: the outbox, its ledger of events, and what people's rulings do to both.

A row is written with the items that it tells, in one transaction. Nothing is sent that was not claimed first, and a claim
freezes the message's bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from monitor.database import ITEMS, Row, as_item, as_json, as_text, as_time, need_time
from monitor.errors import RulingError, StateError
from monitor.model import (
    Alert,
    AlertKind,
    Corroboration,
    Delivery,
    DeliveryState,
    Escalation,
    Item,
    Match,
    MatchOutcome,
    Message,
    Notice,
    Placement,
    Rearrangement,
    Root,
    Ruling,
    Severity,
    Telling,
    Thread,
    Timeline,
    Voice,
)
from monitor.story_store import Stories


class Outbox(Stories):
    """The tables of what is told."""

    def roots(self, story_id: str) -> dict[str, Root]:
        """Channels that have been told of a story, or will be, each with its root.

        A dead root tells nobody: the story's next item is news there again. Where stories were merged, a channel may have
        several: the oldest that was sent is the thread, and one that is held is it only if there is no other.
        """
        rows = self._rows(
            f"""{DELIVERIES} WHERE o.story_id = ? AND o.kind = ? AND o.state <> ?
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
                as_json([match_row(match) for match in alert.matches]), as_json(dict(alert.titles)), alert.severity,
                int(alert.broadcast), as_json(alert.sources), as_text(alert.created), state, as_text(now), alert.formerly,
                as_text(alert.deadline), reason, _corroboration_json(alert.corroboration), _voices_json(alert.independent),
                int(alert.escalation is not None), _escalation_json(alert.escalation),
            ),
        )  # fmt: skip
        if done.rowcount:
            self._write_event(alert.id, "", state, reason, now)

    def _let_out(self, alert_id: str, item: Item, now: datetime) -> None:
        """Queue a root that was held, because of this item, with the sources that its story has by now."""
        done = self._connection.execute(
            "UPDATE outbox SET state = ?, not_before = NULL, updated = ? WHERE id = ? AND state = ?",
            (DeliveryState.QUEUED, as_text(now), alert_id, DeliveryState.HELD),
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
                (as_json(story.sources), _voices_json(story.independent), alert_id),
            )

    def _write_notice(self, notice: Notice, now: datetime) -> None:
        done = self._connection.execute(
            """INSERT INTO outbox (id, kind, channel, parent_id, matches, titles, severity, broadcast, sources, created, state,
                   updated, text)
               VALUES (?, ?, ?, '', '[]', '{}', ?, 0, '[]', ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
            (
                notice.id, notice.kind, notice.channel, Severity.INFO, as_text(notice.created), DeliveryState.QUEUED,
                as_text(now), notice.text,
            ),
        )  # fmt: skip
        if done.rowcount:
            self._write_event(notice.id, "", DeliveryState.QUEUED, "", now)

    def deliveries_of(self, story_ids: Sequence[str]) -> list[Delivery]:
        """What was told, or waits to be told, of the items of these stories, oldest first."""
        marks = ",".join("?" * len(story_ids))
        return [
            self._delivery(row)
            for row in self._rows(f"{DELIVERIES} WHERE o.story_id IN ({marks}) ORDER BY o.created, o.rowid", *story_ids)
        ]

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
            (as_text(now), ruling.kind, as_json(detail), ruling.author),
        )

    def _write_places(self, planned: Rearrangement, now: datetime) -> None:
        self._connection.executemany(
            """INSERT INTO stories (id, title, opened, latest) VALUES (?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET title = excluded.title""",
            [(story, title, as_text(now), as_text(now)) for story, title in planned.titles.items()],
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
                as_text(thread.until), as_text(thread.until), DeliveryState.HELD,
                as_text(thread.until), DeliveryState.HELD, DeliveryState.HELD, DeliveryState.QUEUED, as_text(now), thread.alert,
            ),
        )  # fmt: skip
        [after] = self._rows("SELECT state FROM outbox WHERE id = ?", thread.alert)
        if after != before:
            why = f"told in the thread of {thread.parent}" if thread.parent else "corroboration"
            self._write_event(thread.alert, before["state"], after["state"], why, now)

    def next_queued(self, now: datetime, reply_gap: timedelta = timedelta(0)) -> Delivery | None:
        """The oldest alert that may be sent now, with what its message is to tell beside it; None if there is none.

        A reply may only once its root stands in the channel, or never will: then it stands there by itself. And only
        `reply_gap` after the try of another reply in its thread, unless it tells an escalation; zero: at once, each by
        itself. A root that is held may when its time has come. A channel in which one alert was told to wait waits whole.
        """
        row = self._one(
            f"""{DELIVERIES} WHERE (
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
            DeliveryState.DEAD, as_text(now - reply_gap) if reply_gap else None,
            DeliveryState.HELD, as_text(now),
            DeliveryState.QUEUED, as_text(now),
        )  # fmt: skip
        if row is None:
            return None
        delivery = self._delivery(row)
        if delivery.state is DeliveryState.HELD:
            return replace(delivery, alert=self._as_of_now(delivery.alert))
        return self._with_batch(delivery) if reply_gap or delivery.message else delivery

    def _as_of_now(self, alert: Alert | Notice) -> Alert | Notice:
        """A held root with the sources that its story has by now."""
        story = self.story(alert.story) if isinstance(alert, Alert) else None
        if isinstance(alert, Notice) or story is None:
            return alert
        return replace(alert, sources=story.sources, independent=story.independent)

    def _with_batch(self, delivery: Delivery) -> Delivery:
        """Add the replies that wait in the same thread; frozen bytes take no more, and what was refused goes alone."""
        alert = delivery.alert
        if not isinstance(alert, Alert) or not alert.parent or delivery.carrier:
            return delivery
        if delivery.message:
            rows = self._rows(
                f"{DELIVERIES} WHERE o.carrier_id = ? AND o.state = ? ORDER BY o.created, o.rowid",
                alert.id, DeliveryState.BATCHED,
            )  # fmt: skip
            return replace(delivery, batch=tuple(map(self._alert, rows)))
        rows = self._rows(
            f"""{DELIVERIES} WHERE o.parent_id = ? AND o.id <> ? AND o.state = ? AND o.message IS NULL AND o.carrier_id = ''
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
        if seen is not None and seen.message is not None:
            batch = ()  # folded when its bytes were frozen
        with self._writing():
            if seen is not None and not self._is_as_seen(seen, batch):
                return False
            done = self._connection.execute(
                """UPDATE outbox SET state = ?, attempt = attempt + 1, sending_at = ?, message = coalesce(message, ?),
                       error = '', updated = ? WHERE id = ? AND state = ?""",
                (DeliveryState.SENDING, as_text(now), _message_json(message), as_text(now), delivery_id, before),
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
                (DeliveryState.BATCHED, carrier, as_text(now), alert_id, DeliveryState.QUEUED),
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
                (DeliveryState.QUEUED, alone, as_text(now), row["id"]),
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
                (state, receipt, receipt, error, as_text(not_before), as_text(now), delivery_id),
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
                    (DeliveryState.UNKNOWN, as_text(now), row["id"]),
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
                    (DeliveryState.QUEUED, as_text(now), row["id"]),
                )
                self._write_event(
                    row["id"], DeliveryState.BLOCKED, DeliveryState.QUEUED, "a person may have acted", now
                )
        return len(rows)

    def doubtful(self, now: datetime, settle: timedelta) -> list[Delivery]:
        """Alerts of which nobody knows whether they were accepted, whose answer had time to show in the channel."""
        rows = self._rows(
            f"""{DELIVERIES} WHERE o.state = ? AND o.sending_at <= ? AND (o.not_before IS NULL OR o.not_before <= ?)
                ORDER BY o.created, o.rowid""",
            DeliveryState.UNKNOWN, as_text(now - settle), as_text(now),
        )  # fmt: skip
        return [self._delivery(row) for row in rows]

    def deliveries(self, *states: DeliveryState) -> list[Delivery]:
        """The outbox, oldest first; all of it if no state is named."""
        marks = ",".join("?" * len(states))
        where = f"WHERE o.state IN ({marks})" if states else ""
        return [self._delivery(row) for row in self._rows(f"{DELIVERIES} {where} ORDER BY o.created, o.rowid", *states)]

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
            (as_text(now), alert_id, before, after, detail),
        )

    def alerts_of(self, item_id: str) -> list[Alert]:
        """The alerts that told this item, or will, oldest first; dead ones told nobody."""
        rows = self._rows(
            f"{DELIVERIES} WHERE o.item_id = ? AND o.state <> ? ORDER BY o.rowid", item_id, DeliveryState.DEAD
        )
        return [self._alert(row) for row in rows]

    def alerted_topics(self) -> list[str]:
        """Topics that some alert names, by their ids' order."""
        rows = self._rows(
            "SELECT DISTINCT json_extract(m.value, '$.topic') AS topic FROM outbox, json_each(matches) m ORDER BY topic"
        )
        return [row["topic"] for row in rows]

    def _delivery(self, row: Row) -> Delivery:
        is_notice = row["kind"] == AlertKind.NOTICE
        return Delivery(
            alert=_notice(row) if is_notice else self._alert(row),
            state=DeliveryState(row["state"]),
            attempt=row["attempt"],
            not_before=as_time(row["not_before"]),
            sending_at=as_time(row["sending_at"]),
            message=_message(row["message"]),
            receipt=row["receipt"],
            thread=row["thread"] or "",
            error=row["error"],
            reason=row["reason"],
            carrier=row["carrier_id"],
        )

    def _alert(self, row: Row) -> Alert:
        item = self._one(f"{ITEMS} WHERE i.id = ?", row["item_id"])
        if item is None:  # a foreign key forbids it
            raise StateError(f"alert {row['id']} tells an item that is not in the database")
        return Alert(
            id=row["id"],
            kind=AlertKind(row["kind"]),
            channel=row["channel"],
            story=row["story_id"],
            story_title=row["story_title"],
            item=as_item(item),
            matches=tuple(as_match(match) for match in json.loads(row["matches"])),
            titles=json.loads(row["titles"]),
            severity=Severity(row["severity"]),
            created=need_time(row["created"]),
            broadcast=bool(row["broadcast"]),
            sources=tuple(json.loads(row["sources"])),
            parent=row["parent_id"],
            formerly=row["formerly"],
            independent=tuple(map(_voice, json.loads(row["independent"]))),
            corroboration=_corroboration(row["corroboration"]),
            escalation=_escalation(row["escalation"]),
        )


DELIVERIES = """SELECT o.*, s.title AS story_title, p.receipt AS thread
    FROM outbox o LEFT JOIN stories s ON s.id = o.story_id LEFT JOIN outbox p ON p.id = o.parent_id AND o.parent_id <> ''"""


def _notice(row: Row) -> Notice:
    return Notice(row["id"], row["channel"], row["text"], need_time(row["created"]))


def match_row(match: Match) -> Row:
    return {
        "topic": match.topic, "score": match.score, "bar": match.bar, "outcome": match.outcome,
        "nearest": match.nearest, "negative": match.negative, "terms": match.terms, "gate": match.gate,
        "words": match.words, "unit": match.unit, "opinion": match.opinion,
    }  # fmt: skip


def as_match(row: Mapping[str, Any]) -> Match:
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
    return as_json({"sources": needed.sources, "kinds": needed.kinds, "within": needed.within.total_seconds()})


def _corroboration(text: str) -> Corroboration | None:
    if not text:
        return None
    row = json.loads(text)
    return Corroboration(row["sources"], row["kinds"], timedelta(seconds=row["within"]))


def _escalation_json(jump: Escalation | None) -> str:
    if jump is None:
        return ""
    return as_json({"sources": jump.sources, "recent": jump.recent, "within": jump.within.total_seconds()})


def _escalation(text: str) -> Escalation | None:
    if not text:
        return None
    row = json.loads(text)
    return Escalation(row["sources"], row["recent"], timedelta(seconds=row["within"]))


def _voices_json(heard: Sequence[Voice]) -> str:
    return as_json(
        [
            {"source": v.source, "kind": v.kind, "country": v.country, "first": as_text(v.first), "own": v.own}
            for v in heard
        ]
    )


def _voice(row: Mapping[str, Any]) -> Voice:
    return Voice(row["source"], row["kind"], row["country"], need_time(row["first"]), row["own"])


def _message_json(message: Message) -> str:
    return as_json({"text": message.text, "blocks": message.blocks, "terminal": message.terminal})


def _message(text: str | None) -> Message | None:
    if text is None:
        return None
    row = json.loads(text)
    return Message(text=row["text"], blocks=tuple(row["blocks"]), terminal=row["terminal"])
