"""What is to be told, and what became of it: the outbox, its ledger of events, and what people's rulings do to both.

A row is written with the items that it tells, in one transaction. Nothing is sent that was not claimed first, and a claim
freezes the message's bytes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from monitor.database import ITEMS, Row, as_item, as_json, as_text, as_time, chunks, need_time
from monitor.errors import RulingError, StateError
from monitor.model import (
    ENDED,
    Alert,
    AlertKind,
    Blockage,
    Corroboration,
    Delivery,
    DeliveryState,
    Digest,
    DigestKind,
    Escalation,
    Event,
    Feedback,
    Growth,
    Hold,
    HoldReason,
    Item,
    Match,
    MatchOutcome,
    Message,
    Notice,
    Placement,
    Rearrangement,
    Root,
    Ruling,
    RulingKind,
    Severity,
    Telling,
    Thread,
    Timeline,
    Voice,
)
from monitor.readback import ReadBack

#: How often what is blocked is tried, with one message.
PROBE_EVERY = timedelta(minutes=15)
#: Says in which threads deliveries are to be told, now that a person has moved their items.
Plan = Callable[[Sequence[Delivery], Sequence[Telling]], Mapping[str, Thread | None]]
#: An edit's id is uuid5 of its root's: there is one row for all edits of a root.
_EDITS = uuid.UUID("5b7a3a0e-3a55-5d8c-9d0d-4b1f7f0f5c9e")


class Outbox(ReadBack):
    """The tables of what is told."""

    def roots(self, story_id: str) -> dict[str, Root]:
        """Channels that have been told of a story, or will be, each with its root.

        A root that is dead, or dropped, tells nobody: the story's next item is news there again. Where stories were merged, a
        channel may have several: the oldest that was sent is the thread, and one that is held is it only if there is no other.
        What is held for other reasons than sources is told, if later: to whoever decides it is a root like any.
        """
        rows = self._rows(
            f"""{DELIVERIES} WHERE o.story_id = ? AND o.kind = ? AND o.state NOT IN (?, ?)
                ORDER BY CASE WHEN o.state = ? THEN 2 WHEN o.state IN (?, ?) THEN 0 WHEN o.state = ? THEN -1 ELSE 1 END,
                    o.created DESC, o.rowid DESC""",
            story_id, AlertKind.ROOT, *ENDED,
            DeliveryState.SENT, DeliveryState.QUEUED, DeliveryState.BLOCKED, DeliveryState.HELD,
        )  # fmt: skip
        if not rows:
            return {}
        escalated = {
            row["channel"]
            for row in self._rows(
                # told in a thread of this story, wherever the item that told it stands by now
                """SELECT o.channel FROM outbox o JOIN outbox p ON p.id = o.parent_id
                   WHERE p.story_id = ? AND o.escalated = 1 AND o.state NOT IN (?, ?)""",
                story_id, *ENDED,
            )
        }  # fmt: skip
        more = self.wanting_more(story_id)
        # the last of a channel wins
        return {
            row["channel"]: Root(
                self._alert(row), waits_for_sources(row), row["channel"] in escalated, row["channel"] in more
            )
            for row in rows
        }

    def _write_alert(
        self, alert: Alert, now: datetime, state: DeliveryState = DeliveryState.QUEUED, reason: str = ""
    ) -> None:
        kind, parent = self._standing_thread(alert)
        done = self._connection.execute(
            """INSERT INTO outbox (id, kind, channel, story_id, item_id, parent_id, matches, titles, severity, broadcast,
                   sources, created, state, updated, formerly, not_before, reason, corroboration, independent, escalated,
                   escalation)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
            (
                alert.id, kind, alert.channel, alert.story, alert.item.id, parent,
                as_json([match_row(match) for match in alert.matches]), as_json(dict(alert.titles)), alert.severity,
                int(alert.broadcast), as_json(alert.sources), as_text(alert.created), state, as_text(now), alert.formerly,
                as_text(alert.deadline), reason, _corroboration_json(alert.corroboration), _voices_json(alert.independent),
                int(alert.escalation is not None), _escalation_json(alert.escalation),
            ),
        )  # fmt: skip
        if done.rowcount:
            self._write_event(alert.id, "", state, reason, now)
            self._take_adopted(alert, now)

    def _let_out(self, alert_id: str, item: Item, now: datetime) -> None:
        """Queue a root that was held, because of this item, with the sources that its story has by now."""
        done = self._connection.execute(
            "UPDATE outbox SET state = ?, not_before = NULL, updated = ? WHERE id = ? AND state = ? AND reason = ?",
            (DeliveryState.QUEUED, as_text(now), alert_id, DeliveryState.HELD, HoldReason.CORROBORATION),
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

    def queue(self, notice: Notice, now: datetime, message: Message | None = None) -> None:
        """Queue a notice; `message` is what it says, if that is not to be rendered from its text."""
        with self._writing():
            self._write_notice(notice, now, message)

    def _write_notice(self, notice: Notice, now: datetime, message: Message | None = None) -> None:
        done = self._connection.execute(
            """INSERT INTO outbox (id, kind, channel, parent_id, matches, titles, severity, broadcast, sources, created, state,
                   updated, text, message)
               VALUES (?, ?, ?, '', '[]', '{}', ?, 0, '[]', ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
            (
                # before the alerts of a burst, which may take hours
                notice.id, notice.kind, notice.channel, Severity.HIGH, as_text(notice.created), DeliveryState.QUEUED,
                as_text(now), notice.text, message_json(message) if message else None,
            ),
        )  # fmt: skip
        if done.rowcount:
            self._write_event(notice.id, "", DeliveryState.QUEUED, "", now)
            self._take_adopted(notice, now)

    def withdraw(self, delivery_id: str, now: datetime) -> None:
        """Take a notice out of the outbox, whatever has come of it."""
        with self._writing():
            before = self._one("SELECT state, channel FROM outbox WHERE id = ? AND item_id IS NULL", delivery_id)
            if before:
                self._connection.execute("DELETE FROM outbox WHERE id = ?", (delivery_id,))
                self._write_event(delivery_id, before["state"], "", "withdrawn", now)
                # what it found blocked, nobody else has met
                self._connection.execute(
                    """DELETE FROM blockages WHERE channel = ? AND NOT EXISTS (
                           SELECT 1 FROM outbox o WHERE o.channel = blockages.channel AND o.state IN (?, ?))""",
                    (before["channel"], DeliveryState.QUEUED, DeliveryState.BLOCKED),
                )

    def deliveries_of(self, story_ids: Sequence[str]) -> list[Delivery]:
        """What was told, or waits to be told, of the items of these stories, oldest first; without edits."""
        marks = ",".join("?" * len(story_ids))
        rows = self._rows(
            f"{DELIVERIES} WHERE o.story_id IN ({marks}) AND o.kind <> ? ORDER BY o.created, o.rowid",
            *story_ids, AlertKind.EDIT,
        )  # fmt: skip
        return [self._delivery(row) for row in rows]

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
            if planned.ruling.kind is RulingKind.MERGE:
                self._connection.executemany(
                    "UPDATE silences SET story = ? WHERE story = ?",
                    [(planned.ruling.story, story) for story in planned.ruling.stories],
                )
            self._want_edits(planned.ruling.stories, now)
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

    def _rethread(self, alert_id: str, plan: Plan, now: datetime) -> None:
        """Give an alert that was refused the thread that a ruling had given it, had it not been on the wire just then.

        So also what its message was to tell beside it.
        """
        stories = [
            row["story_id"]
            for row in self._rows(
                """SELECT story_id FROM outbox WHERE id = ? UNION
                   SELECT story_id FROM outbox WHERE carrier_id = ? AND carrier_id <> ''
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
            """UPDATE outbox SET kind = ?, parent_id = ?, message = NULL, rung = 0,
                   broadcast = CASE WHEN ? = '' THEN 0 ELSE broadcast END,
                   escalated = ?, escalation = CASE WHEN ? THEN escalation ELSE '' END,
                   not_before = CASE WHEN ? IS NOT NULL THEN ? WHEN state = ? THEN NULL ELSE not_before END,
                   state = CASE WHEN ? IS NOT NULL THEN ? WHEN state = ? THEN ? ELSE state END,
                   reason = CASE WHEN ? IS NOT NULL THEN ? ELSE reason END, updated = ?
               WHERE id = ?""",
            (
                thread.kind, thread.parent, thread.parent, thread.escalates, thread.escalates,
                as_text(thread.until), as_text(thread.until), DeliveryState.HELD,
                as_text(thread.until), DeliveryState.HELD, DeliveryState.HELD, DeliveryState.QUEUED,
                as_text(thread.until), HoldReason.CORROBORATION, as_text(now), thread.alert,
            ),
        )  # fmt: skip
        [after] = self._rows("SELECT state FROM outbox WHERE id = ?", thread.alert)
        if after != before:
            why = f"told in the thread of {thread.parent}" if thread.parent else "corroboration"
            self._write_event(thread.alert, before["state"], after["state"], why, now)

    def next_queued(
        self,
        now: datetime,
        reply_gap: timedelta = timedelta(0),
        *,
        pace: timedelta = timedelta(0),
        edit_gap: timedelta = timedelta(0),
    ) -> Delivery | None:
        """The alert whose turn it is, with what its message tells beside it, else the oldest edit; None if there is neither.

        The most severe first, of these the oldest. A reply may only once its root stands in the channel, or is known not to
        stand there by itself, now or ever. And only `reply_gap` after the try of another reply in its thread, unless it tells
        an escalation; zero: at once, each by itself. A root that is held for sources may when its time has come. A channel in
        which one alert was told to wait waits whole, and each waits for `pace` after a try; a channel that is blocked waits for
        its next probe, which is one message.

        An edit may while its root stands in the channel, `edit_gap` after the one before. It keeps no pace with the alerts,
        which another of Slack's limits is for, nor do they wait for it.
        """
        paused = self._paused(now)
        closed = {*paused, *self._just_posted(now, pace)}
        elsewhere = _elsewhere(closed)
        # each state is asked for apart: for all at once SQLite would sort all that waits, for each that is sent
        found = [
            self._one(
                f"""{DELIVERIES} WHERE o.state = ? AND {RANK} < {LAST}
                    AND (o.parent_id = '' OR p.state IN (?, ?, ?, ?) OR p.state = ? AND p.reason <> ?)
                    AND (o.parent_id = '' OR o.escalated = 1 OR NOT EXISTS (
                        SELECT 1 FROM outbox r WHERE r.parent_id = o.parent_id AND r.kind <> 'edit' AND r.id <> o.id
                            AND r.parent_id <> '' AND r.state <> ? AND r.sending_at > ? AND r.sending_at <= ?)) {elsewhere}
                    ORDER BY {RANK}, o.created, o.rowid LIMIT 1""",
                state, DeliveryState.SENT, DeliveryState.BATCHED, *ENDED,
                DeliveryState.HELD, HoldReason.CORROBORATION,
                # nothing is greater than NULL
                DeliveryState.DEAD, as_text(now - reply_gap) if reply_gap else None, as_text(now),
                *closed,
            )
            for state in (DeliveryState.QUEUED, DeliveryState.BLOCKED)
        ]  # fmt: skip
        found.append(
            self._one(
                f"""{DELIVERIES} WHERE o.state = ? AND o.reason = ? AND o.not_before <= ? {elsewhere}
                    ORDER BY o.not_before, o.rowid LIMIT 1""",
                DeliveryState.HELD, HoldReason.CORROBORATION, as_text(now), *closed,
            )
        )  # fmt: skip
        rows = [row for row in found if row is not None]
        if not rows:
            return self._next_edit(now, edit_gap, paused)
        delivery = self._delivery(min(rows, key=lambda row: (SEVEREST_FIRST.index(row["severity"]), row["created"])))
        if delivery.state is DeliveryState.HELD:
            return replace(delivery, alert=self._as_of_now(delivery.alert))
        if delivery.message:
            return replace(delivery, batch=tuple(map(self._alert, self._told_by(delivery.alert.id))))
        return self._with_batch(delivery) if reply_gap else delivery

    def _next_edit(self, now: datetime, edit_gap: timedelta, paused: Iterable[str]) -> Delivery | None:
        waiting = self._rows(
            "SELECT channel FROM outbox WHERE state = ? AND kind = 'edit' AND not_before > ?",
            DeliveryState.QUEUED, as_text(now),
        )  # fmt: skip
        closed = {*paused, *(row["channel"] for row in waiting)}
        row = self._one(
            f"""{DELIVERIES} WHERE o.state = ? AND o.kind = 'edit' AND p.state = ?
                AND (o.sending_at IS NULL OR o.sending_at <= ? OR o.sending_at > ?)
                {_elsewhere(closed)} ORDER BY o.created, o.rowid LIMIT 1""",
            DeliveryState.QUEUED, DeliveryState.SENT, as_text(now - edit_gap), as_text(now), *closed,
        )  # fmt: skip
        return self._grown(self._delivery(row), now) if row else None

    def _paused(self, now: datetime) -> list[str]:
        """The channels that are blocked ('': all but those of a [[sink]] are), or were told to wait."""
        rows = self._rows(
            """SELECT channel FROM outbox WHERE state = ? AND kind <> 'edit' AND not_before > ?
               UNION SELECT channel FROM blockages WHERE next_probe > ?""",
            DeliveryState.QUEUED, as_text(now), as_text(now),
        )  # fmt: skip
        return [row["channel"] for row in rows]

    def _just_posted(self, now: datetime, pace: timedelta) -> dict[str, datetime]:
        """The channels in which a post was last tried less than `pace` ago, and when.

        A time to come is of a clock that was put back: it holds up nobody.
        """
        rows = self._rows(
            """SELECT channel, max(sending_at) AS at FROM outbox WHERE kind <> 'edit' AND sending_at > ? AND sending_at <= ?
               GROUP BY channel""",
            as_text(now - pace), as_text(now),
        )  # fmt: skip
        return {row["channel"]: need_time(row["at"]) for row in rows} if pace else {}

    def until_paced(self, now: datetime, pace: timedelta) -> timedelta:
        """How long until pace alone holds up no channel for which something is queued; zero if it holds up none now."""
        queued = {
            row["channel"]
            for row in self._rows("SELECT DISTINCT channel FROM outbox WHERE state = ?", DeliveryState.QUEUED)
        }
        posted = [at for channel, at in self._just_posted(now, pace).items() if channel in queued]
        return min(posted) + pace - now if posted else timedelta(0)

    def _told_by(self, carrier: str) -> list[Row]:
        return self._rows(
            f"{DELIVERIES} WHERE o.carrier_id = ? AND o.carrier_id <> '' AND o.state = ? ORDER BY o.created, o.rowid",
            carrier, DeliveryState.BATCHED,
        )  # fmt: skip

    def _grown(self, edit: Delivery, now: datetime) -> Delivery:
        """An edit with its root, and its story, as of now."""
        assert isinstance(edit.alert, Alert)  # noqa: S101 - an edit is never a notice's
        story = self.story(edit.alert.story)
        row = self._one("SELECT closed FROM stories WHERE id = ?", edit.alert.story)
        if story is None or row is None:  # a foreign key forbids it
            raise StateError(f"{edit.alert.id} edits a story that is not in the database")
        silence = self._one(
            # one that holds all of it
            """SELECT author, until FROM silences WHERE story = ? AND topic = '' AND source = '' AND channel IN ('', ?)
                   AND words = '[]' AND removed IS NULL AND until > ? ORDER BY until DESC""",
            story.id, edit.alert.channel, as_text(now),
        )  # fmt: skip
        growth = Growth.of(
            story,
            closed=row["closed"] is not None,
            silenced_by=silence["author"] if silence else "",
            silenced_until=as_time(silence["until"]) if silence else None,
        )
        return replace(edit, alert=self._as_of_now(edit.alert), growth=growth)

    def _as_of_now(self, alert: Alert | Notice | Digest) -> Alert | Notice | Digest:
        """A held root with the sources that its story has by now."""
        story = self.story(alert.story) if isinstance(alert, Alert) else None
        if not isinstance(alert, Alert) or story is None:
            return alert
        return replace(alert, sources=story.sources, independent=story.independent)

    def _with_batch(self, delivery: Delivery) -> Delivery:
        """Add the replies that wait in the same thread; frozen bytes take no more, and what was refused goes alone."""
        alert = delivery.alert
        if not isinstance(alert, Alert) or not alert.parent or delivery.message or delivery.carrier:
            return delivery
        rows = self._rows(
            f"""{DELIVERIES} WHERE o.parent_id = ? AND o.parent_id <> '' AND o.kind = ? AND o.id <> ? AND o.state = ?
                AND o.message IS NULL
                AND o.carrier_id = '' ORDER BY o.created, o.rowid""",
            alert.parent, AlertKind.REPLY, alert.id, DeliveryState.QUEUED,
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

        before: QUEUED, BLOCKED where it is a probe, or HELD where its time has come. batch: the replies that the message is to
        tell as well. seen: what the message was made of; False also if a person has moved it, or one of the batch, to another
        thread since, or if it is an edit and its story has grown.
        """
        if seen is not None and seen.message is not None:
            batch = ()  # folded when its bytes were frozen
        with self._writing():
            if seen is not None and not self._is_as_seen(seen, batch, now):
                return False
            done = self._connection.execute(
                """UPDATE outbox SET state = ?, attempt = attempt + 1, sending_at = ?, message = coalesce(message, ?),
                       error = '', updated = ? WHERE id = ? AND state = ?""",
                (DeliveryState.SENDING, as_text(now), message_json(message), as_text(now), delivery_id, before),
            )
            if done.rowcount:
                self._connection.execute(
                    f"UPDATE blockages AS b SET next_probe = ? FROM outbox o WHERE o.id = ? AND {_BLOCKS}",
                    (as_text(now + PROBE_EVERY), delivery_id),
                )
                if before is DeliveryState.HELD:
                    self._write_sources(delivery_id)
                self._fold(delivery_id, batch, now)
                self._write_event(delivery_id, before, DeliveryState.SENDING, "", now)
        return done.rowcount > 0

    def _is_as_seen(self, seen: Delivery, batch: Sequence[str], now: datetime) -> bool:
        """Whether a delivery still stands in its thread, with the bytes that it had or none, and so do those of its batch; and
        an edit tells how its story stands."""
        if seen.growth and self._grown(seen, now) != seen:
            return False
        parent = seen.alert.parent if isinstance(seen.alert, Alert) else ""
        marks = ",?" * len(batch)
        row = self._one(
            # by id alone: as an alternative to another condition it would mean reading the whole table
            f"""SELECT count(*) AS n FROM outbox WHERE id IN (?{marks}) AND parent_id = ?
                AND CASE id WHEN ? THEN kind = ? AND (message IS NULL) = ? ELSE state = ? AND message IS NULL END""",
            seen.alert.id, *batch, parent, seen.alert.id, seen.alert.kind, seen.message is None, DeliveryState.QUEUED,
        )  # fmt: skip
        return row is not None and row["n"] == 1 + len(batch)

    def _fold(self, carrier: str, batch: Sequence[str], now: datetime) -> None:
        """Have alerts told by the carrier's message: replies that are queued, or what is held and goes into a digest.

        A reply's message is shown in the channel if one of them is to be.
        """
        for alert_id in batch:
            [before] = self._rows("SELECT state FROM outbox WHERE id = ?", alert_id)
            self._connection.execute(
                "UPDATE outbox SET state = ?, carrier_id = ?, not_before = NULL, updated = ? WHERE id = ? AND state IN (?, ?)",
                (
                    DeliveryState.BATCHED, carrier, as_text(now), alert_id, DeliveryState.QUEUED, DeliveryState.HELD,
                ),
            )  # fmt: skip
            self._write_event(alert_id, before["state"], DeliveryState.BATCHED, f"told by {carrier}", now)
        self._connection.execute(
            """UPDATE outbox SET broadcast = 1
               WHERE id = ? AND kind = ? AND EXISTS (SELECT 1 FROM outbox m WHERE m.carrier_id = ?
                   AND m.carrier_id <> '' AND m.broadcast = 1)""",
            (carrier, AlertKind.REPLY, carrier),
        )

    def _unfold(self, carrier: str, now: datetime, why: str, *, alone: bool) -> bool:
        """Queue again what a message was to tell beside its carrier; what a digest was to tell is held for the next one.

        False: it was to tell nothing more. alone: each is told by itself from now on.
        """
        carried = self._one("SELECT kind FROM outbox WHERE id = ?", carrier)
        after = DeliveryState.HELD if carried and carried["kind"] == AlertKind.DIGEST else DeliveryState.QUEUED
        rows = self._rows(
            "SELECT id FROM outbox WHERE carrier_id = ? AND carrier_id <> '' AND state = ?",
            carrier,
            DeliveryState.BATCHED,
        )
        for row in rows:
            self._connection.execute(
                "UPDATE outbox SET state = ?, carrier_id = CASE WHEN ? THEN carrier_id ELSE '' END, updated = ? WHERE id = ?",
                (after, alone, as_text(now), row["id"]),
            )
            self._write_event(row["id"], DeliveryState.BATCHED, after, why, now)
        return bool(rows)

    def settle(
        self,
        delivery_id: str,
        state: DeliveryState,
        now: datetime,
        *,
        receipt: str = "",
        error: str = "",
        not_before: datetime | None = None,
        over: Callable[[Blockage], Notice | None] = lambda _blockage: None,
        plan: Plan | None = None,
    ) -> None:
        """Write down what came of a try. What a person dropped meanwhile stays dropped, unless it is found to be sent.

        over: makes of each blockage that this one shows to be over the notice that tells ops. plan: applied at once to what was
        not sent: while it was on the wire a person may have moved its item, and a ruling lets be what may be out.
        """
        with self._writing():
            ended = self._blockages_of(delivery_id) if state is DeliveryState.SENT else []
            self._settle(delivery_id, state, now, receipt, error, not_before, plan)
            for notice in map(over, ended):
                if notice is not None:
                    self._write_notice(notice, now)

    def _settle(
        self,
        delivery_id: str,
        state: DeliveryState,
        now: datetime,
        receipt: str = "",
        error: str = "",
        not_before: datetime | None = None,
        plan: Plan | None = None,
    ) -> None:
        row = self._one("SELECT kind, state, channel, story_id, sources, message FROM outbox WHERE id = ?", delivery_id)
        if row is None or (row["state"] == DeliveryState.DROPPED and state is not DeliveryState.SENT):
            return
        if state is DeliveryState.SENT:
            self._connection.execute(
                f"DELETE FROM blockages AS b WHERE EXISTS (SELECT 1 FROM outbox o WHERE o.id = ? AND {_BLOCKS})",
                (delivery_id,),
            )
        if state is DeliveryState.SENT and row["kind"] == AlertKind.EDIT and row["message"] is None:
            state = DeliveryState.QUEUED  # its story grew while it was on the wire
        self._connection.execute(
            """UPDATE outbox SET state = ?, receipt = CASE WHEN ? = '' THEN receipt ELSE ? END, error = ?, not_before = ?,
                   updated = ? WHERE id = ?""",
            (state, receipt, receipt, error, as_text(not_before), as_text(now), delivery_id),
        )
        self._write_event(delivery_id, row["state"], state, error, now)
        if state in ENDED:
            # each by itself: one of them may be why it was refused
            self._unfold(delivery_id, now, f"{delivery_id} is {state}", alone=True)
        if state is DeliveryState.SENT and row["kind"] == AlertKind.ROOT:
            story = self.story(row["story_id"])
            if story and as_json(story.sources) != row["sources"]:
                self._want_edit(delivery_id, now)
        if plan and state in (DeliveryState.QUEUED, DeliveryState.BLOCKED, DeliveryState.DEAD):
            self._rethread(delivery_id, plan, now)

    def degrade(
        self, delivery_id: str, now: datetime, error: str, *, lowest: bool, plan: Plan | None = None
    ) -> DeliveryState:
        """Have what was refused as it is sent in another form, and say what it is now: dead where there is none.

        What told several replies goes apart, each whole and alone: one of them may be why. Else the message goes a rung lower.

        lowest: it stands on the last rung. plan: as for `settle`.
        """
        with self._writing():
            is_reply = self._one("SELECT 1 FROM outbox WHERE id = ? AND kind = ?", delivery_id, AlertKind.REPLY)
            if is_reply and self._told_by(delivery_id):
                self._unfold(delivery_id, now, f"the message of {delivery_id} was refused", alone=True)
                # it is its own carrier: so it goes alone as well
                self._connection.execute(
                    "UPDATE outbox SET message = NULL, carrier_id = id WHERE id = ?", (delivery_id,)
                )
            elif not lowest:
                self._connection.execute("UPDATE outbox SET rung = rung + 1 WHERE id = ?", (delivery_id,))
            else:
                self._settle(delivery_id, DeliveryState.DEAD, now, error=error, plan=plan)
                return DeliveryState.DEAD
            self._settle(delivery_id, DeliveryState.QUEUED, now, error=error, plan=plan)
        return DeliveryState.QUEUED

    def repeat(self, delivery_id: str, now: datetime, error: str, plan: Plan | None = None) -> None:
        """Queue again what may stand in its channel, because nobody can look."""
        with self._writing():
            self._connection.execute("UPDATE outbox SET repeats = repeats + 1 WHERE id = ?", (delivery_id,))
            self._settle(delivery_id, DeliveryState.QUEUED, now, error=error, plan=plan)

    def lose_root(self, delivery_id: str, now: datetime, error: str, plan: Plan | None = None) -> None:
        """Write down that the root of a reply, or of an edit, was deleted in the channel; the edit is over.

        The reply is queued again, and stands by itself, as does what waits to be replied. What comes after it is a new root.
        """
        with self._writing():
            row = self._one("SELECT parent_id, kind FROM outbox WHERE id = ?", delivery_id)
            self._end(row["parent_id"] if row else "", "deleted in the channel", f"{delivery_id}: {error}", now)
            if row is None or row["kind"] == AlertKind.EDIT:
                return
            # rendered anew: by itself it names its story
            self._unfold(delivery_id, now, f"the root of {delivery_id} is gone", alone=False)
            self._connection.execute("UPDATE outbox SET message = NULL, rung = 0 WHERE id = ?", (delivery_id,))
            self._settle(delivery_id, DeliveryState.QUEUED, now, error=error, plan=plan)

    def _end(self, delivery_id: str, reason: str, detail: str, now: datetime) -> None:
        """Drop a row, what its message was to tell beside it apart, and with it its edit."""
        self._settle(delivery_id, DeliveryState.DROPPED, now, error=detail)
        self._connection.execute("UPDATE outbox SET reason = ?, error = '' WHERE id = ?", (reason, delivery_id))
        edit_id = edit_of(delivery_id)
        self._settle(edit_id, DeliveryState.DROPPED, now, error=detail)

    # -- edits ------------------------------------------------------------------------------------

    def _want_edits(self, story_ids: Iterable[str], now: datetime) -> None:
        """Have the roots that were sent of these stories say how these stand now."""
        for story_id in dict.fromkeys(story_ids):
            for row in self._rows(
                # + keeps SQLite from reading all that was ever sent
                "SELECT id FROM outbox WHERE story_id = ? AND kind = ? AND +state = ?",
                story_id, AlertKind.ROOT, DeliveryState.SENT,
            ):  # fmt: skip
                self._want_edit(row["id"], now)

    def _want_edit(self, root_id: str, now: datetime) -> None:
        """Queue the edit of a root, anew if it was sent; the newest wins, so what was frozen of it is out of date."""
        edit_id = edit_of(root_id)
        known = self._one("SELECT state FROM outbox WHERE id = ?", edit_id)
        if known is None:
            self._connection.execute(
                """INSERT INTO outbox (id, kind, channel, story_id, item_id, parent_id, matches, titles, severity, broadcast,
                       sources, created, state, updated)
                   SELECT ?, ?, channel, story_id, item_id, id, '[]', '{}', severity, 0, '[]', ?, ?, ? FROM outbox
                   WHERE id = ?""",
                (edit_id, AlertKind.EDIT, as_text(now), DeliveryState.QUEUED, as_text(now), root_id),
            )
            self._write_event(edit_id, "", DeliveryState.QUEUED, "", now)
        elif known["state"] == DeliveryState.SENT:
            self._connection.execute(
                "UPDATE outbox SET state = ?, message = NULL, attempt = 0, created = ?, updated = ? WHERE id = ?",
                (DeliveryState.QUEUED, as_text(now), as_text(now), edit_id),
            )
            self._write_event(edit_id, DeliveryState.SENT, DeliveryState.QUEUED, "its story grew", now)
        else:
            self._connection.execute("UPDATE outbox SET message = NULL WHERE id = ?", (edit_id,))

    def told_and_open(self) -> Iterator[Timeline]:
        """The stories that some channel was told of by a root, and that have not been closed."""
        rows = self._rows(
            """SELECT DISTINCT s.id FROM outbox o JOIN stories s ON s.id = o.story_id
               WHERE o.kind = ? AND o.state = ? AND s.closed IS NULL ORDER BY s.latest""",
            AlertKind.ROOT, DeliveryState.SENT,
        )  # fmt: skip
        for chunk in chunks([row["id"] for row in rows], 50):
            yield from self._timelines(chunk)

    def close_stories(self, story_ids: Sequence[str], now: datetime) -> None:
        """Write down that stories fell silent, and have their roots say so."""
        with self._writing():
            self._connection.executemany(
                "UPDATE stories SET closed = ? WHERE id = ?", [(as_text(now), story_id) for story_id in story_ids]
            )
            self._want_edits(story_ids, now)

    # -- what a person must act on, and does ------------------------------------------------------

    def block(self, channel: str, because: str, notice: Notice | None, now: datetime) -> bool:
        """Write down why a channel ('': any) is blocked; True if that is news. Then the notice that tells ops is queued too."""
        with self._writing():
            before = self._one("SELECT because FROM blockages WHERE channel = ?", channel)
            self._connection.execute(
                """INSERT INTO blockages (channel, because, since, next_probe) VALUES (?, ?, ?, ?)
                   ON CONFLICT (channel) DO UPDATE SET because = excluded.because, next_probe = excluded.next_probe""",
                (channel, because, as_text(now), as_text(now + PROBE_EVERY)),
            )
            is_news = before is None or before["because"] != because
            if notice is not None and is_news:
                self._write_notice(notice, now)
        return is_news

    def blockages(self) -> list[Blockage]:
        """What is blocked, longest first."""
        rows = self._rows(
            f"""SELECT b.*, (SELECT count(*) FROM outbox o WHERE o.state IN (?, ?) AND o.kind <> ?
                   AND {_BLOCKS}) AS waiting FROM blockages b ORDER BY b.since, b.channel""",
            DeliveryState.QUEUED, DeliveryState.BLOCKED, AlertKind.EDIT,
        )  # fmt: skip
        return [
            Blockage(
                row["channel"], row["because"], need_time(row["since"]), need_time(row["next_probe"]), row["waiting"]
            )
            for row in rows
        ]

    def _blockages_of(self, delivery_id: str) -> list[Blockage]:
        """Those that a delivery waits behind; what waits is counted only where there are any."""
        rows = self._rows(
            f"SELECT b.channel FROM blockages b WHERE EXISTS (SELECT 1 FROM outbox o WHERE o.id = ? AND {_BLOCKS})",
            delivery_id,
        )
        channels = {row["channel"] for row in rows}
        return [one for one in self.blockages() if one.channel in channels] if channels else []

    def retry_delivery(self, delivery_id: str, author: str, now: datetime) -> bool:
        """Have a delivery tried at once that is dead, blocked, in doubt or told to wait; False if it is nothing of the kind.

        What is dead is rendered anew: what refused it may have been mended by an upgrade.
        """
        states = (DeliveryState.DEAD, DeliveryState.BLOCKED, DeliveryState.UNKNOWN, DeliveryState.QUEUED)
        with self._writing():
            row = self._one("SELECT * FROM outbox WHERE id = ?", delivery_id)
            if row is None or row["state"] not in states:
                return False
            if row["state"] == DeliveryState.DEAD:
                if row["kind"] == AlertKind.DIGEST:  # what it was to tell is held for the next one
                    return False
                self._connection.execute("UPDATE outbox SET message = NULL, rung = 0 WHERE id = ?", (delivery_id,))
            self._connection.execute(
                "UPDATE outbox SET state = ?, not_before = NULL, updated = ? WHERE id = ?",
                (DeliveryState.QUEUED, as_text(now), delivery_id),
            )
            self._connection.execute(
                f"UPDATE blockages AS b SET next_probe = ? FROM outbox o WHERE o.id = ? AND {_BLOCKS}",
                (as_text(now), delivery_id),
            )
            self._write_event(delivery_id, row["state"], DeliveryState.QUEUED, f"{author}: try again", now)
        return True

    def drop_delivery(self, delivery_id: str, reason: str, author: str, now: datetime) -> bool:
        """End a delivery unsent, because a person says so; False if it was told, was dropped, or is on the wire just now."""
        told = (DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.BATCHED, DeliveryState.DROPPED)
        with self._writing():
            row = self._one("SELECT state FROM outbox WHERE id = ?", delivery_id)
            if row is None or row["state"] in told:
                return False
            self._end(delivery_id, reason, f"{author}: {reason}", now)
        return True

    def delivery(self, delivery_id: str) -> Delivery | None:
        """A row of the outbox, with the other alerts that its message tells."""
        row = self._one(f"{DELIVERIES} WHERE o.id = ?", delivery_id)
        beside = tuple(map(self._alert, self._told_by(delivery_id)))
        return replace(self._delivery(row), batch=beside) if row else None

    def deliveries_named(self, name: str) -> list[str]:
        """The ids of rows that a name may mean: an id, or the beginning of one (6 characters or more)."""
        rows = self._rows("SELECT id FROM outbox WHERE id = ?", name) or self._rows(
            "SELECT id FROM outbox WHERE length(?) >= 6 AND substr(id, 1, length(?)) = ? ORDER BY id", name, name, name
        )
        return [row["id"] for row in rows]

    def latest_deliveries(
        self, limit: int, *, states: Sequence[DeliveryState] = (), channel: str = "", since: datetime | None = None
    ) -> list[Delivery]:
        """The outbox, edits included, latest first."""
        marks = ",".join("?" * len(states))
        rows = self._rows(
            f"""{DELIVERIES} WHERE o.created >= ? AND o.channel = coalesce(?, o.channel)
                {f"AND o.state IN ({marks})" if states else ""} ORDER BY o.created DESC, o.rowid DESC LIMIT ?""",
            as_text(since) or "", channel or None, *states, limit,
        )  # fmt: skip
        return [self._delivery(row) for row in rows]

    def events_of(self, delivery_id: str) -> list[Event]:
        """All that became of a delivery, in order."""
        rows = self._rows("SELECT * FROM events WHERE alert_id = ? ORDER BY id", delivery_id)
        return [Event(need_time(row["at"]), row["from_state"], row["to_state"], row["detail"]) for row in rows]

    def doubt_all_sending(self, now: datetime, settle: timedelta = timedelta(0)) -> int:
        """While nothing is being sent: what is written down as on the wire is now unknown, and edits are queued again. How
        many there were.

        The process that sent it has ended, or could not write down what came of it. The settle time begins now: the last
        byte may have left just before.
        """
        rows = self._rows("SELECT id, kind FROM outbox WHERE state = ?", DeliveryState.SENDING)
        if not rows:
            return 0
        why = "what came of it was not written down"
        with self._writing():
            for row in rows:
                if row["kind"] == AlertKind.EDIT:  # to edit a second time does no harm
                    self._settle(row["id"], DeliveryState.QUEUED, now, error=why)
                else:
                    self._settle(row["id"], DeliveryState.UNKNOWN, now, error=why, not_before=now + settle)
        return len(rows)

    def unblock_all(self, now: datetime) -> int:
        """After a person may have acted (a start, a reload): try what configuration had stopped at once, each cause with one
        message."""
        with self._writing():
            self._connection.execute("UPDATE blockages SET next_probe = ?", (as_text(now),))
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
        """Alerts and notices in the outbox, oldest first; all of them if no state is named. Edits are neither."""
        marks = ",".join("?" * len(states))
        where = f"AND o.state IN ({marks})" if states else ""
        rows = self._rows(
            f"{DELIVERIES} WHERE o.kind <> ? {where} ORDER BY o.created, o.rowid", AlertKind.EDIT, *states
        )
        return [self._delivery(row) for row in rows]

    def outbox_counts(self) -> dict[str, int]:
        """Alerts and notices in the outbox, by state."""
        return self._tally("outbox")

    def undelivered(self) -> dict[str, int]:
        """What was tried and is not delivered, by state. What never was waits for its time, or behind one of these."""
        rows = self._rows(
            """SELECT state, count(*) AS n FROM outbox WHERE attempt > 0 AND kind <> ? AND state NOT IN (?, ?, ?, ?)
               GROUP BY state""",
            AlertKind.EDIT, DeliveryState.SENT, DeliveryState.BATCHED, DeliveryState.DROPPED, DeliveryState.HELD,
        )  # fmt: skip
        return {row["state"]: row["n"] for row in rows}

    def alerts_of(self, item_id: str) -> list[Alert]:
        """The alerts that told this item, or will, oldest first; those that are dead or dropped told nobody."""
        rows = self._rows(
            f"{DELIVERIES} WHERE o.item_id = ? AND o.kind <> ? AND o.state NOT IN (?, ?) ORDER BY o.rowid",
            item_id, AlertKind.EDIT, *ENDED,
        )  # fmt: skip
        return [self._alert(row) for row in rows]

    def feedback_on_alerts(self, since: datetime) -> list[tuple[Alert, list[Feedback]]]:
        """What people said of alerts since then, in the order in which they first did.

        A reaction under a message that tells several is of each of them, and says among how many. Of a digest nobody can tell.
        """
        said: dict[str, list[Feedback]] = {}
        for one, pressed in self.feedback_with_source(since):
            beside = [] if pressed else [row["id"] for row in self._told_by(one.alert)]
            if not self._one("SELECT 1 FROM outbox WHERE id = ? AND kind = ?", one.alert, AlertKind.DIGEST):
                for alert in (one.alert, *beside):
                    said.setdefault(alert, []).append(replace(one, alert=alert, among=1 + len(beside)))
        alerts = [self._one(f"{DELIVERIES} WHERE o.id = ? AND o.item_id IS NOT NULL", alert) for alert in said]
        return [(self._alert(row), said[row["id"]]) for row in alerts if row]

    def alerted_topics(self) -> list[str]:
        """Topics that some alert names, by their ids' order."""
        rows = self._rows(
            "SELECT DISTINCT json_extract(m.value, '$.topic') AS topic FROM outbox, json_each(matches) m ORDER BY topic"
        )
        return [row["topic"] for row in rows]

    def _delivery(self, row: Row) -> Delivery:
        kinds: dict[str, Callable[[Row], Alert | Notice | Digest]] = {
            AlertKind.NOTICE: _notice,
            AlertKind.CANARY: _notice,
            AlertKind.DIGEST: _digest,
        }
        return Delivery(
            alert=kinds.get(row["kind"], self._alert)(row),
            state=DeliveryState(row["state"]),
            attempt=row["attempt"],
            not_before=as_time(row["not_before"]),
            sending_at=as_time(row["sending_at"]),
            message=_message(row["message"]),
            receipt=row["receipt"],
            thread=row["thread"] or "",
            error=row["error"],
            reason=row["reason"],
            because=row["held_because"],
            root_hold=_root_hold(row),
            carrier=row["carrier_id"],
            rung=row["rung"],
            repeats=row["repeats"],
        )

    def _alert(self, row: Row) -> Alert:
        if row["kind"] == AlertKind.EDIT:
            root = self._one(f"{DELIVERIES} WHERE o.id = ?", row["parent_id"])
            if root is None:  # a row of the outbox never goes, once it was sent
                raise StateError(f"{row['id']} edits a root that is not in the database")
            return replace(self._alert(root), id=row["id"], kind=AlertKind.EDIT, parent=row["parent_id"])
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


#: A token's fault is no matter of another sink's channels, which have a colon in them (`text.sink_of`).
_BLOCKS = "(b.channel = o.channel OR b.channel = '' AND instr(o.channel, ':') = 0)"


def _elsewhere(closed: Collection[str]) -> str:
    others = " AND instr(o.channel, ':') > 0" if "" in closed else ""
    return f"AND o.channel NOT IN ({','.join('?' * len(closed))}){others}"


def edit_of(root_id: str) -> str:
    """The id of the row that edits a root."""
    return str(uuid.uuid5(_EDITS, root_id))


#: whose turn it is: the most severe first, edits last; as the index `outbox_turn` has it
RANK = """CASE WHEN o.kind = 'edit' THEN 4 WHEN o.severity = 'critical' THEN 0 WHEN o.severity = 'high' THEN 1
    WHEN o.severity = 'notice' THEN 2 ELSE 3 END"""
LAST = 4
SEVEREST_FIRST = list(reversed(Severity))

#: the thread of a root that is not there any more is none
DELIVERIES = f"""SELECT o.*, s.title AS story_title, CASE WHEN p.state <> '{DeliveryState.DROPPED}' THEN p.receipt END
        AS thread, p.state AS root_state, p.reason AS root_reason, p.not_before AS root_until, p.held_because AS root_because
    FROM outbox o LEFT JOIN stories s ON s.id = o.story_id LEFT JOIN outbox p ON p.id = o.parent_id AND o.parent_id <> ''"""


def waits_for_sources(row: Row) -> bool:
    return bool(row["state"] == DeliveryState.HELD and row["reason"] == HoldReason.CORROBORATION)


def _root_hold(row: Row) -> Hold | None:
    """Why the root of a reply does not stand in the channel by itself."""
    if row["root_state"] == DeliveryState.BATCHED:
        return Hold(HoldReason.DIGEST, because="its story was told in a digest")
    if row["root_state"] == DeliveryState.HELD and row["root_reason"] != HoldReason.CORROBORATION:
        return Hold(HoldReason(row["root_reason"]), as_time(row["root_until"]), row["root_because"])
    return None


def _digest(row: Row) -> Digest:
    return Digest(
        row["id"], row["channel"], DigestKind(row["occasion"]), need_time(row["since"]), need_time(row["created"])
    )


def _notice(row: Row) -> Notice:
    return Notice(row["id"], row["channel"], row["text"], need_time(row["created"]), AlertKind(row["kind"]))


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


def message_json(message: Message) -> str:
    return as_json({"text": message.text, "blocks": message.blocks, "terminal": message.terminal})


def _message(text: str | None) -> Message | None:
    if text is None:
        return None
    row = json.loads(text)
    return Message(text=row["text"], blocks=tuple(row["blocks"]), terminal=row["terminal"])
