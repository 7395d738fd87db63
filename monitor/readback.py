"""What channels show of our alerts, as we remember it: tellings that the outbox did not know of, and people's feedback.

A database that was put back from an older copy does not know all that it told. What such a telling told is kept here, and
takes the place of the alert when that is decided again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from monitor.database import Row, as_json, as_text, as_time, chunks, need_time
from monitor.model import (
    ENDED,
    SHORT_ID,
    Alert,
    AlertKind,
    DeliveryState,
    Expected,
    Feedback,
    FeedbackKind,
    Flight,
    Link,
    Notice,
    Posted,
)
from monitor.story_store import Stories
from monitor.text import fold

#: So much of a headline is looked for in a message: more may have been cut off there, and less names nothing.
HEADLINE, SHORTEST_HEADLINE = 80, 20


class ReadBack(Stories):
    """The tables of what was read back, and what they change in the outbox."""

    # -- what a channel is compared with ----------------------------------------------------------

    def told_channels(self, since: datetime) -> list[str]:
        """The channels that were told of something since then, or are to be, by name."""
        rows = self._rows(
            "SELECT DISTINCT channel FROM outbox WHERE updated >= ? OR state IN (?, ?, ?) ORDER BY channel",
            as_text(since), DeliveryState.QUEUED, DeliveryState.UNKNOWN, DeliveryState.BLOCKED,
        )  # fmt: skip
        return [row["channel"] for row in rows]

    def expected(
        self, channel: str, since: datetime, standing: Collection[str], now: datetime, reply_gap: timedelta
    ) -> list[Expected]:
        """The deliveries to a channel that changed since then, are not sent yet, or are among those that stand there."""
        columns = f"""SELECT o.id, o.state, o.receipt, o.sending_at, o.updated, o.not_before, o.parent_id,
                -- a root that was adopted, and is not decided again yet, has no row
                coalesce(p.receipt, (SELECT a.receipt FROM adopted a WHERE a.delivery_id = o.parent_id)) AS thread,
                p.state AS root_state, (
                    SELECT max(r.sending_at) FROM outbox r
                    WHERE r.parent_id = o.parent_id AND o.parent_id <> '' AND r.kind <> 'edit' AND r.id <> o.id
                ) AS thread_tried
            FROM outbox o LEFT JOIN outbox p ON p.id = o.parent_id AND o.parent_id <> ''
            WHERE o.channel = ? AND o.kind NOT IN ({_NO_MESSAGES})"""
        rows = self._rows(
            f"{columns} AND (o.updated >= ? OR o.state NOT IN (?, ?, ?, ?))", channel,
            as_text(since), DeliveryState.SENT, DeliveryState.BATCHED, *ENDED,
        )  # fmt: skip
        missing = sorted(set(standing) - {row["id"] for row in rows})
        for chunk in chunks(missing):
            rows += self._rows(f"{columns} AND o.id IN ({','.join('?' * len(chunk))})", channel, *chunk)
        waits = any(
            row["state"] == DeliveryState.QUEUED and (row["not_before"] or "") > (as_text(now) or "") for row in rows
        ) or self._rows("SELECT 1 FROM blockages WHERE channel IN ('', ?)", channel)
        return [
            Expected(
                row["id"], DeliveryState(row["state"]), row["receipt"], row["thread"] or "", as_time(row["sending_at"]),
                None if waits else _free_since(row, reply_gap),
            )
            for row in rows
        ]  # fmt: skip

    def tried_since(self) -> datetime | None:
        """When the delivery was first tried that is tried for longest, and is not accepted, refused or blocked yet; None if
        there is none. Whoever waits for his next try, or for his doubt to be settled, is not free, and waits all the same."""
        row = self._one(
            f"""SELECT min((SELECT min(e.at) FROM events e WHERE e.alert_id = o.id AND e.to_state = ?)) AS at
                FROM outbox o WHERE o.state IN (?, ?, ?) AND o.attempt > 0 AND o.kind NOT IN ({_NO_MESSAGES})
                    AND NOT EXISTS (SELECT 1 FROM blockages b WHERE b.channel IN ('', o.channel))""",
            DeliveryState.SENDING, DeliveryState.QUEUED, DeliveryState.UNKNOWN, DeliveryState.SENDING,
        )  # fmt: skip
        return as_time(row["at"]) if row else None

    def adopted(self, delivery_ids: Collection[str]) -> set[str]:
        """Those of the deliveries that were adopted."""
        found: set[str] = set()
        for chunk in chunks(sorted(delivery_ids)):
            marks = ",".join("?" * len(chunk))
            rows = self._rows(f"SELECT DISTINCT delivery_id FROM adopted WHERE delivery_id IN ({marks})", *chunk)
            found |= {row["delivery_id"] for row in rows}
        return found

    def lively_threads(self, channel: str, since: datetime) -> list[str]:
        """Receipts of the roots into whose threads something was posted from then on."""
        rows = self._rows(
            """SELECT DISTINCT p.receipt FROM outbox o JOIN outbox p ON p.id = o.parent_id
               WHERE o.channel = ? AND o.parent_id <> '' AND o.sending_at >= ? AND p.receipt <> ''""",
            channel, as_text(since),
        )  # fmt: skip
        return [row["receipt"] for row in rows]

    def oldest_thread(self, channel: str, since: datetime) -> datetime | None:
        """When the oldest root was sent whose story has an item from then on; None if there is none."""
        row = self._one(
            """SELECT min(o.sending_at) AS at FROM outbox o JOIN stories s ON s.id = o.story_id
               WHERE o.channel = ? AND o.kind = ? AND o.state = ? AND s.latest >= ?""",
            channel, AlertKind.ROOT, DeliveryState.SENT, as_text(since),
        )  # fmt: skip
        return as_time(row["at"]) if row else None

    # -- adopting ---------------------------------------------------------------------------------

    def adopt(self, posted: Posted, now: datetime) -> bool:
        """Write down that this message stands in its channel, and all that it tells with it; False if that is known.

        What waits to be told of it is told. What is on the wire is left alone: its answer says the same.
        """
        with self._writing():
            row = self._one("SELECT state, receipt FROM outbox WHERE id = ?", posted.delivery)
            if row and row["state"] == DeliveryState.SENDING:
                return False
            if row and row["state"] == DeliveryState.SENT:
                if row["receipt"] == posted.receipt:
                    return False
                self._connection.execute(
                    "UPDATE outbox SET receipt = ?, updated = ? WHERE id = ?",
                    (posted.receipt, as_text(now), posted.delivery),
                )
                self._write_event(posted.delivery, row["state"], row["state"], f"stands at {posted.receipt}", now)
                return True
            own = {posted.delivery, *(posted.items[:1] if posted.kind in (AlertKind.ROOT, AlertKind.REPLY) else ())}
            self._connection.executemany(
                """INSERT INTO adopted (channel, told, delivery_id, own, kind, receipt, thread, text, at)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (channel, told, delivery_id) DO UPDATE SET receipt = excluded.receipt""",
                [
                    (
                        posted.channel, told, posted.delivery, told in own, posted.kind, posted.receipt, posted.thread,
                        posted.text, as_text(_posted_at(posted)),
                    )
                    for told in dict.fromkeys((posted.delivery, *posted.tells, *posted.items))
                ],
            )  # fmt: skip
            self._take_waiting(posted, now)
        return True

    def _take_waiting(self, posted: Posted, now: datetime) -> None:
        """What waits to be sent, and this message tells, is sent."""
        told = list(dict.fromkeys((posted.delivery, *posted.tells, *posted.items)))
        marks = ",".join("?" * len(told))
        waiting = self._rows(
            f"""SELECT id, item_id FROM outbox WHERE channel = ? AND state NOT IN (?, ?, ?) AND kind NOT IN ({_NO_MESSAGES})
                AND (id IN ({marks}) OR item_id IN ({marks}) OR substr(item_id, 1, ?) IN ({marks})) ORDER BY rowid""",
            posted.channel, DeliveryState.SENT, DeliveryState.BATCHED, DeliveryState.SENDING, *told, *told, SHORT_ID, *told,
        )  # fmt: skip
        for row in waiting:
            self._take(row["id"], posted.channel, row["item_id"] or "", now)

    def _take_adopted(self, alert: Alert | Notice, now: datetime) -> None:
        """Let a row that was just written stand for what its channel shows already, if it does: it is not told again.

        That is so if the channel shows the same alert; else an alert about the same item, which was decided otherwise then;
        else the same headline, in a message that is younger than the item: who tells a story first is chance.
        """
        if isinstance(alert, Notice):
            self._take(alert.id, alert.channel, "", now)
        elif not self._take(alert.id, alert.channel, alert.item.id, now) and not alert.formerly:
            headline = _letters(alert.item.title)[:HEADLINE]
            entries = self._rows(
                "SELECT * FROM adopted WHERE channel = ? AND at >= ?", alert.channel, as_text(alert.item.at)
            )
            same = (entry for entry in entries if headline in _letters(entry["text"]))
            entry = next(same, None) if len(headline) >= SHORTEST_HEADLINE else None
            if entry:
                self._write_told(alert.id, entry, now)

    def _take(self, row_id: str, channel: str, item_id: str, now: datetime) -> bool:
        names = (row_id, item_id or row_id, item_id[:SHORT_ID] or row_id)
        entry = self._one(
            """SELECT * FROM adopted WHERE channel = ? AND taken_by = '' AND told IN (?, ?, ?)
               ORDER BY told <> ?, receipt LIMIT 1""",
            channel, *names, row_id,
        )  # fmt: skip
        if entry is None:
            return False
        # and what told of the item's later versions: what its publisher makes of it from now on is news
        self._connection.execute(
            """UPDATE adopted SET taken_by = ? WHERE channel = ? AND taken_by = '' AND (
                   told IN (?, ?, ?) OR own = 1 AND delivery_id IN (
                       SELECT delivery_id FROM adopted WHERE channel = ? AND told IN (?, ?, ?) AND own = 1))""",
            (row_id, channel, *names, channel, *names),
        )
        self._write_told(row_id, entry, now)
        return True

    def _write_told(self, row_id: str, entry: Row, now: datetime) -> None:
        """Write a row as it stands in the channel: of its kind, in its thread, or in another's message."""
        [before] = self._rows("SELECT state, kind, parent_id FROM outbox WHERE id = ?", row_id)
        carrier = "" if entry["own"] else entry["delivery_id"]
        kind, parent = before["kind"], before["parent_id"]
        if kind in (AlertKind.ROOT, AlertKind.REPLY) and entry["kind"] in (AlertKind.ROOT, AlertKind.REPLY):
            kind, parent = entry["kind"], self._root_at(entry["channel"], entry["thread"])
        state = DeliveryState.BATCHED if carrier else DeliveryState.SENT
        self._connection.execute(
            """UPDATE outbox SET state = ?, kind = ?, parent_id = ?, carrier_id = ?, receipt = ?, not_before = NULL, error = '',
                   sending_at = ?, updated = ? WHERE id = ?""",
            (
                state, kind, parent, carrier, "" if carrier else entry["receipt"], entry["at"], as_text(now), row_id,
            ),
        )  # fmt: skip
        if kind == AlertKind.ROOT and entry["own"]:
            # what stands in its thread was adopted before it
            self._connection.execute(
                "UPDATE outbox SET parent_id = ? WHERE parent_id = ?", (row_id, entry["delivery_id"])
            )
        why = f"the channel shows it, told by {entry['delivery_id']} at {entry['receipt']}"
        self._write_event(row_id, before["state"], state, why, now)

    def _root_at(self, channel: str, receipt: str) -> str:
        """The root that stands at a receipt; empty if there is none."""
        if not receipt:
            return ""
        row = self._one(
            """SELECT id FROM outbox WHERE channel = ? AND receipt = ? AND kind = ?
               UNION ALL SELECT delivery_id FROM adopted WHERE channel = ? AND receipt = ? LIMIT 1""",
            channel, receipt, AlertKind.ROOT, channel, receipt,
        )  # fmt: skip
        return row["id"] if row else ""

    def _standing_thread(self, alert: Alert) -> tuple[AlertKind, str]:
        """An alert's kind and parent, where the root that it was decided to follow turned out to be a reply itself."""
        parent = self._one("SELECT kind FROM outbox WHERE id = ?", alert.parent) if alert.parent else None
        if parent is None or parent["kind"] != AlertKind.REPLY:
            return alert.kind, alert.parent
        root = self._one(
            """SELECT id FROM outbox WHERE story_id = ? AND channel = ? AND kind = ? AND state NOT IN (?, ?)
               ORDER BY created, rowid LIMIT 1""",
            alert.story, alert.channel, AlertKind.ROOT, *ENDED,
        )  # fmt: skip
        return (AlertKind.REPLY, root["id"]) if root else (AlertKind.ROOT, "")

    def _write_event(self, alert_id: str, before: str, after: str, detail: str, now: datetime) -> None:
        self._connection.execute(
            "INSERT INTO events (at, alert_id, from_state, to_state, detail) VALUES (?, ?, ?, ?, ?)",
            (as_text(now), alert_id, before, after, detail),
        )

    # -- feedback ---------------------------------------------------------------------------------

    def keep_feedback(
        self, said: Mapping[str, Iterable[tuple[FeedbackKind, str]]], now: datetime
    ) -> tuple[list[Feedback], list[Feedback]]:
        """Let what is remembered of these deliveries be what reactions say of them now: what is new by that, what is over.

        What was said by a button stays.
        """
        begun: list[Feedback] = []
        over: list[Feedback] = []
        with self._writing():
            for delivery, wanted in said.items():
                alert = self.row_of(delivery)
                known = {(one.kind, one.user): one for one in self._feedback("WHERE alert_id = ?", alert)}
                fresh = [Feedback(alert, kind, user, now) for kind, user in sorted(set(wanted) - known.keys())]
                stale = [
                    one
                    for one in self._feedback("WHERE alert_id = ? AND pressed = 0", alert)
                    if (one.kind, one.user) not in set(wanted)
                ]
                self._connection.executemany(
                    "INSERT INTO feedback (alert_id, kind, user, at) VALUES (?, ?, ?, ?)",
                    [(one.alert, one.kind, one.user, as_text(one.at)) for one in fresh],
                )
                self._connection.executemany(
                    "DELETE FROM feedback WHERE alert_id = ? AND kind = ? AND user = ?",
                    [(one.alert, one.kind, one.user) for one in stale],
                )
                begun += fresh
                over += stale
        return begun, over

    def keep_press(self, one: Feedback, *, take_back: bool) -> bool:
        """Write down what a person said by a button, or that it is taken back; False if that changes nothing.

        To do it twice is to do it once. A reaction that says the same stays a reaction.
        """
        key = (one.alert, one.kind, one.user)
        with self._writing():
            if take_back:
                done = self._connection.execute(
                    "DELETE FROM feedback WHERE alert_id = ? AND kind = ? AND user = ? AND pressed = 1", key
                )
                return done.rowcount > 0
            known = self._one("SELECT 1 FROM feedback WHERE alert_id = ? AND kind = ? AND user = ?", *key)
            self._connection.execute(
                """INSERT INTO feedback (alert_id, kind, user, at, pressed) VALUES (?, ?, ?, ?, 1)
                   ON CONFLICT (alert_id, kind, user) DO UPDATE SET pressed = 1""",
                (*key, as_text(one.at)),
            )
        return known is None

    def row_of(self, delivery: str) -> str:
        """The row of the outbox that a message stands for: its own, or the one that an adopted one took the place of."""
        row = self._one("SELECT taken_by FROM adopted WHERE told = ? AND own = 1 AND taken_by <> ''", delivery)
        return row["taken_by"] if row else delivery

    def wanting_more(self, story_id: str) -> set[str]:
        """The channels in which somebody wants to see more of a story."""
        rows = self._rows(
            "SELECT DISTINCT o.channel FROM feedback f JOIN outbox o ON o.id = f.alert_id WHERE o.story_id = ? AND f.kind = ?",
            story_id, FeedbackKind.MORE,
        )  # fmt: skip
        return {row["channel"] for row in rows}

    def feedback(self, since: datetime) -> list[Feedback]:
        """What people said since then, oldest first."""
        return [one for one, _ in self.feedback_with_source(since)]

    def feedback_with_source(self, since: datetime) -> list[tuple[Feedback, bool]]:
        """The same, each with whether a button said it."""
        rows = self._rows("SELECT * FROM feedback WHERE at >= ? ORDER BY at, alert_id, kind, user", as_text(since))
        return [(_as_feedback(row), bool(row["pressed"])) for row in rows]

    def _feedback(self, where: str, *values: object) -> list[Feedback]:
        return list(map(_as_feedback, self._rows(f"SELECT * FROM feedback {where}", *values)))

    # -- the connection for presses, and the canary -----------------------------------------------

    def link(self) -> Link | None:
        """How the connection for presses stood when it last changed; None if there is none wanted."""
        if not (text := self.fact(_LINK)):
            return None
        since, _, problem = text.partition(" ")
        return Link(need_time(since), problem)

    def keep_link(self, link: Link | None) -> None:
        self.remember(_LINK, f"{as_text(link.since)} {link.problem}" if link else "")

    def flight(self) -> Flight | None:
        """The latest canary; None if there was none."""
        if not (text := self.fact(_CANARY)):
            return None
        row = json.loads(text)
        return Flight(row["id"], need_time(row["began"]), as_time(row["arrived"]), row["failed"])

    def keep_flight(self, flight: Flight) -> None:
        times = {"began": as_text(flight.began), "arrived": as_text(flight.arrived)}
        self.remember(_CANARY, as_json(asdict(flight) | times))


_LINK = "buttons"
_CANARY = "canary"
#: An edit changes a message, and is none; a canary leaves no trace.
_NO_MESSAGES = "'edit', 'canary'"


def _as_feedback(row: Row) -> Feedback:
    return Feedback(row["alert_id"], FeedbackKind(row["kind"]), row["user"], need_time(row["at"]))


def _free_since(row: Row, reply_gap: timedelta) -> datetime | None:
    """Since when nothing has kept a queued delivery from being sent."""
    if row["state"] != DeliveryState.QUEUED:
        return None
    if row["parent_id"] and row["root_state"] not in (DeliveryState.SENT, *ENDED):
        return None
    times = [need_time(row["updated"])]
    times += [need_time(row["not_before"])] if row["not_before"] else []
    times += [need_time(row["thread_tried"]) + reply_gap] if row["thread_tried"] else []
    return max(times)


def _posted_at(posted: Posted) -> datetime:
    return datetime.fromtimestamp(float(posted.receipt), UTC)


def _letters(text: str) -> str:
    """What of a text is the same however it was rendered."""
    return re.sub(r"[\W_]+", "", fold(text))
