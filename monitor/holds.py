"""What is held in the outbox and why, the silences that people asked for, and the digests that tell what was held."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from monitor.database import Row, as_json, as_text, as_time, chunks, need_time
from monitor.model import (
    AlertKind,
    DeliveryState,
    Digest,
    Hold,
    HoldReason,
    MatchOutcome,
    Matter,
    Message,
    Relation,
    Severity,
    Silence,
    Told,
)
from monitor.outbox import DELIVERIES, Outbox, message_json, waits_for_sources

_MAY_BE_HELD = (DeliveryState.QUEUED, DeliveryState.BLOCKED)
_ENDED_UNTIL = "silences ended until"
_TAKEN = [outcome for outcome in MatchOutcome if outcome.taken]


class Holds(Outbox):
    """The tables of what is held."""

    def told(self, channel: str, since: datetime, topics: Sequence[str] = ()) -> Told:
        """Roots that a channel was told of since then, or that are on the wire: in all, and of each of these topics."""
        counts = self._one(
            f"""SELECT count(*) AS n {"".join(f", count(json_type(titles, ?)) AS n{n}" for n in range(len(topics)))}
                FROM outbox WHERE channel = ? AND kind = ? AND sending_at >= ? AND state IN (?, ?, ?)""",
            *(f'$."{topic}"' for topic in topics), channel, AlertKind.ROOT, as_text(since),
            DeliveryState.SENT, DeliveryState.SENDING, DeliveryState.UNKNOWN,
        )  # fmt: skip
        return Told(counts["n"], {topic: counts[f"n{n}"] for n, topic in enumerate(topics)}) if counts else Told()

    def hold(self, holds: Mapping[str, Hold], now: datetime) -> list[str]:
        """Hold alerts whose turn it is: queued or blocked ones, and roots that were held for sources; which ones were."""
        held = []
        # not durably: what a power cut undoes is held again when its turn comes again
        with self._writing(durably=False):
            for alert_id, hold in holds.items():
                row = self._one("SELECT state, reason FROM outbox WHERE id = ?", alert_id)
                if row is None or not (row["state"] in _MAY_BE_HELD or waits_for_sources(row)):
                    continue
                if waits_for_sources(row):
                    self._write_sources(alert_id)
                if self._unfold(alert_id, now, f"{alert_id} is held", alone=False):
                    # its bytes tell others, which are asked about by themselves
                    self._connection.execute("UPDATE outbox SET message = NULL WHERE id = ?", (alert_id,))
                self._connection.execute(
                    "UPDATE outbox SET state = ?, reason = ?, held_because = ?, not_before = ?, updated = ? WHERE id = ?",
                    (DeliveryState.HELD, hold.reason, hold.because, as_text(hold.until), as_text(now), alert_id),
                )
                self._write_event(alert_id, row["state"], DeliveryState.HELD, hold.reason, now)
                held.append(alert_id)
        return held

    def over(self, now: datetime) -> dict[str, int]:
        """How many alerts of each channel were held for quiet hours that are over."""
        rows = self._rows(
            "SELECT channel, count(*) AS n FROM outbox WHERE state = ? AND reason = ? AND not_before <= ? GROUP BY channel",
            DeliveryState.HELD, HoldReason.QUIET_HOURS, as_text(now),
        )  # fmt: skip
        return {row["channel"]: row["n"] for row in rows}

    def let_go(self, channel: str, now: datetime) -> None:
        """Queue what a channel's quiet hours held, now that they are over."""
        with self._writing():
            rows = self._rows(
                "SELECT id FROM outbox WHERE state = ? AND reason = ? AND not_before <= ? AND channel = ?",
                DeliveryState.HELD, HoldReason.QUIET_HOURS, as_text(now), channel,
            )  # fmt: skip
            for row in rows:
                self._connection.execute(
                    "UPDATE outbox SET state = ?, not_before = NULL, updated = ? WHERE id = ?",
                    (DeliveryState.QUEUED, as_text(now), row["id"]),
                )
                self._write_event(row["id"], DeliveryState.HELD, DeliveryState.QUEUED, "its quiet hours are over", now)

    def held_counts(self) -> dict[str, int]:
        """Alerts that are held, by reason."""
        rows = self._rows(
            "SELECT reason, count(*) AS n FROM outbox WHERE state = ? GROUP BY reason", DeliveryState.HELD
        )
        return {row["reason"]: row["n"] for row in rows}

    # -- silences ---------------------------------------------------------------------------------

    def add_silence(self, silence: Silence) -> int:
        """Write a silence down; its number."""
        with self._writing():
            done = self._connection.execute(
                """INSERT INTO silences (topic, story, source, channel, words, until, author, comment, created)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    silence.topic, silence.story, silence.source, silence.channel, as_json(silence.words),
                    as_text(silence.until), silence.author, silence.comment, as_text(silence.created),
                ),
            )  # fmt: skip
            self._want_edits([silence.story], silence.created)
        return int(done.lastrowid or 0)

    def remove_silence(self, number: int, now: datetime) -> bool:
        """End a silence before its time; False if it is over, or never was."""
        with self._writing():
            done = self._connection.execute(
                "UPDATE silences SET removed = ? WHERE id = ? AND removed IS NULL AND until > ?",
                (as_text(now), number, as_text(now)),
            )
            if done.rowcount:
                self._want_edits(
                    [row["story"] for row in self._rows("SELECT story FROM silences WHERE id = ?", number)], now
                )
        return done.rowcount > 0

    def end_silences(self, now: datetime) -> None:
        """Have the roots of stories whose silence ran out since the last time say so no more."""
        rows = self._rows(
            "SELECT story FROM silences WHERE story <> '' AND removed IS NULL AND until > ? AND until <= ?",
            self.fact(_ENDED_UNTIL), as_text(now),
        )  # fmt: skip
        if rows:
            with self._writing():
                self._want_edits([row["story"] for row in rows], now)
            # after it: to want an edit twice is to want it once
            self.remember(_ENDED_UNTIL, as_text(now) or "")

    def silences(self, now: datetime | None = None) -> list[Silence]:
        """The silences in force at a moment, oldest first; all that ever were, if none is named."""
        where = "WHERE removed IS NULL AND until > ?" if now else ""
        rows = self._rows(f"SELECT * FROM silences {where} ORDER BY id", *([as_text(now)] if now else []))
        return list(map(_silence, rows))

    # -- digests ----------------------------------------------------------------------------------

    def channels(self, since: datetime) -> list[str]:
        """Channels that were told anything of an item since then, or for which anything is held."""
        rows = self._rows(
            """SELECT DISTINCT channel FROM outbox WHERE kind IN (?, ?) AND sending_at >= ?
               UNION SELECT DISTINCT channel FROM outbox WHERE state = ? AND reason <> ? ORDER BY channel""",
            AlertKind.ROOT, AlertKind.REPLY, as_text(since), DeliveryState.HELD, HoldReason.CORROBORATION,
        )  # fmt: skip
        return [row["channel"] for row in rows]

    def matter(self, channel: str, since: datetime, now: datetime) -> Matter:
        """What a digest may tell of."""
        held = self._rows(
            f"""{DELIVERIES} WHERE o.state = ? AND o.channel = ? AND o.kind IN (?, ?) AND o.reason <> ?
                ORDER BY o.created, o.rowid""",
            DeliveryState.HELD, channel, AlertKind.ROOT, AlertKind.REPLY, HoldReason.CORROBORATION,
        )  # fmt: skip
        told = self._rows(
            f"""{DELIVERIES} WHERE o.channel = ? AND o.kind IN (?, ?) AND o.sending_at > ? AND o.sending_at <= ?
                AND o.state = ? ORDER BY o.sending_at, o.rowid""",
            channel, AlertKind.ROOT, AlertKind.REPLY, as_text(since), as_text(now), DeliveryState.SENT,
        )  # fmt: skip
        stories = {row["story_id"] for row in (*held, *told)}
        return Matter(
            tuple(map(self._delivery, held)), tuple(map(self._delivery, told)), self._sources(sorted(stories))
        )

    def _sources(self, stories: Sequence[str]) -> dict[str, int]:
        """The number of independent sources of each story: of those that wrote something of their own."""
        counts: dict[str, int] = {}
        for chunk in chunks(stories):
            rows = self._rows(
                f"""SELECT i.story_id, count(DISTINCT coalesce(nullif(f.title, ''), f.url)) AS n
                    FROM items i JOIN feeds f ON f.url = i.feed_url
                    WHERE i.relation <> ? AND i.story_id IN ({",".join("?" * len(chunk))}) GROUP BY i.story_id""",
                Relation.COPY, *chunk,
            )  # fmt: skip
            counts |= {row["story_id"]: row["n"] for row in rows}
        return counts

    def story_times(self, since: datetime) -> dict[str, list[datetime]]:
        """Of each topic, when each of the stories began of which it took an item since then; its first item counts."""
        rows = self._rows(
            f"""SELECT m.topic, min(i.first_seen) AS at FROM items i JOIN matches m ON m.item_id = i.id
                WHERE i.first_seen >= ? AND m.outcome IN ({",".join("?" * len(_TAKEN))}) GROUP BY m.topic, i.story_id""",
            as_text(since), *_TAKEN,
        )  # fmt: skip
        times: dict[str, list[datetime]] = {}
        for row in rows:
            times.setdefault(row["topic"], []).append(need_time(row["at"]))
        return times

    def first_taken(self) -> dict[str, datetime]:
        """When each topic first took an item."""
        rows = self._rows(
            f"""SELECT m.topic, min(i.first_seen) AS at FROM matches m JOIN items i ON i.id = m.item_id
                WHERE m.outcome IN ({",".join("?" * len(_TAKEN))}) GROUP BY m.topic""",
            *_TAKEN,
        )
        return {row["topic"]: need_time(row["at"]) for row in rows}

    def write_digest(
        self,
        channel: str,
        since: datetime,
        compose: Callable[[Matter], tuple[Digest, Message] | None],
        now: datetime,
    ) -> Digest | None:
        """Queue what is composed of a channel's matter, and fold into it what is held, as one transaction.

        None: there was nothing to tell, or this digest stands in the outbox already.
        """
        with self._writing():
            matter = self.matter(channel, since, now)
            composed = compose(matter)
            if composed is None:
                return None
            digest, message = composed
            done = self._connection.execute(
                """INSERT INTO outbox (id, kind, channel, parent_id, matches, titles, severity, broadcast, sources, created,
                       state, updated, message, occasion, since)
                   VALUES (?, ?, ?, '', '[]', '{}', ?, 0, '[]', ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING""",
                (
                    digest.id, digest.kind, channel, Severity.HIGH, as_text(digest.created), DeliveryState.QUEUED,
                    as_text(now), message_json(message), digest.occasion, as_text(digest.since),
                ),
            )  # fmt: skip
            if not done.rowcount:
                return None
            self._write_event(digest.id, "", DeliveryState.QUEUED, digest.occasion, now)
            self._fold(digest.id, [delivery.alert.id for delivery in matter.held], now)
            # made before, by a monitor whose database we are no longer
            self._take(digest.id, channel, "", now)
        return digest


def _silence(row: Row) -> Silence:
    return Silence(
        until=need_time(row["until"]),
        author=row["author"],
        comment=row["comment"],
        created=need_time(row["created"]),
        topic=row["topic"],
        story=row["story"],
        source=row["source"],
        channel=row["channel"],
        words=tuple(json.loads(row["words"])),
        removed=as_time(row["removed"]),
        id=row["id"],
    )
