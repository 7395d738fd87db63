"""What is remembered of stories: their items and vectors, the stories as told, and what people ruled on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from monitor.database import (
    ITEMS,
    Connected,
    Row,
    as_item,
    as_placement,
    as_text,
    as_time,
    as_vector,
    chunks,
    need_time,
)
from monitor.errors import OvertakenError
from monitor.model import (
    EmbeddedItem,
    Item,
    MatchOutcome,
    Member,
    Relation,
    Ruling,
    RulingKind,
    Story,
    Telling,
    Timeline,
    Vector,
    Verdict,
    voices,
)
from monitor.text import text_hash

#: judged, that is neither held nor dropped by a person
_JUDGED = f"verdict NOT IN ('{Verdict.HELD}', '{Verdict.DROPPED}')"
_OF_LATE = f"(at >= ? OR first_seen >= ?) AND {_JUDGED}"
_SAID = "text_hash || '|' || content_hash || '|' || language"


class Stories(Connected):
    """The tables of stories, and of what items are compared by."""

    def recent_items(self, span: timedelta) -> list[tuple[Item, str, str, Relation]]:
        """Items seen within `span` of the newest, in the order seen: item, hash of its text, story, relation.

        Measured from the newest item, not from the clock: a pause or a jump of the clock closes no story.
        """
        rows = self._recent(ITEMS, span)
        return [(as_item(row), row["text_hash"], row["story_id"], Relation(row["relation"])) for row in rows]

    def members(self, span: timedelta, model: str) -> Iterator[Member]:
        """The recent items for which this model has given a vector, in the order seen; read a few at a time: all are 200 MB."""
        for ids in chunks([row["id"] for row in self._recent("SELECT i.id FROM items i", span)]):
            rows = self._rows(f"{ITEMS} WHERE i.id IN ({','.join('?' * len(ids))}) ORDER BY i.rowid", *ids)
            vectors = self.vectors({row["text_hash"] for row in rows}, model)
            for row in rows:
                if row["text_hash"] in vectors:
                    embedded = EmbeddedItem(as_item(row), vectors[row["text_hash"]])
                    yield Member(embedded, row["story_id"], Relation(row["relation"]), bool(row["by_hand"]))

    def _recent(self, items: str, span: timedelta) -> list[Row]:
        newest = self.newest()
        if newest is None:
            return []
        return self._rows(
            f"{items} WHERE i.first_seen >= ? AND i.verdict <> ? ORDER BY i.rowid", as_text(newest - span), Verdict.HELD
        )

    def newest(self) -> datetime | None:
        """When the newest item was first seen; None if there is none."""
        row = self._one("SELECT max(first_seen) AS at FROM items")
        return as_time(row["at"]) if row else None

    def embedded(self, item_id: str, model: str) -> EmbeddedItem | None:
        """An item with the vector that this model gave; None if it is not known, or the model never saw it."""
        row = self._one(f"{ITEMS} WHERE i.id = ?", item_id)
        vector = self.vectors([row["text_hash"]], model).get(row["text_hash"]) if row else None
        return None if row is None or vector is None else EmbeddedItem(as_item(row), vector)

    def vectors(self, text_hashes: Iterable[str], model: str) -> dict[str, Vector]:
        """The vectors that this model has given for texts, by the texts' hashes; what it never saw is left out."""
        found: dict[str, Vector] = {}
        for chunk in chunks(list(text_hashes)):
            marks = ",".join("?" * len(chunk))
            rows = self._rows(
                f"SELECT text_hash, vector FROM vectors WHERE model = ? AND text_hash IN ({marks})",
                model,
                *chunk,
            )
            found |= {row["text_hash"]: as_vector(row["vector"]) for row in rows}
        return found

    def use_vectors(self, text_hashes: Sequence[str], model: str, now: datetime) -> None:
        """Note that vectors were used."""
        with self._writing(durably=False):
            self._connection.executemany(
                "UPDATE vectors SET used = ? WHERE text_hash = ? AND model = ?",
                [(as_text(now), key, model) for key in text_hashes],
            )

    def keep_vectors(self, vectors: Mapping[str, Vector], model: str, now: datetime) -> None:
        """Keep vectors by the hashes of their texts."""
        with self._writing():
            self._write_vectors(vectors, model, now)

    def _write_vectors(self, vectors: Mapping[str, Vector], model: str, now: datetime) -> None:
        self._connection.executemany(
            """INSERT INTO vectors (text_hash, model, vector, used) VALUES (?, ?, ?, ?)
               ON CONFLICT (text_hash, model) DO UPDATE SET used = excluded.used""",
            [(key, model, vector.astype("<f2").tobytes(), as_text(now)) for key, vector in vectors.items()],
        )

    def story(self, story_id: str) -> Story | None:
        row = self._one("SELECT id, title, opened, latest FROM stories WHERE id = ?", story_id)
        if row is None:
            return None
        rows = self._rows(f"{ITEMS} WHERE i.story_id = ? ORDER BY i.at, i.rowid", story_id)
        return as_story(row, [(as_item(row), Relation(row["relation"])) for row in rows])

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
            as_text(since) or "",
            *([] if every and not topic else [*taken, topic or None]),
        )
        for chunk in chunks([row["id"] for row in rows], 50):
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
        for row in self._rows(f"{ITEMS} WHERE i.story_id IN ({marks}) ORDER BY i.at, i.rowid", *story_ids):
            tellings.setdefault(row["story_id"], []).append(_telling(row, topics.get(row["id"], [])))
        for story_id in story_ids:
            if told := tellings.get(story_id):
                story = as_story(stories[story_id], [(telling.item, telling.placement.relation) for telling in told])
                yield Timeline(story, tuple(told))

    def timelines_of(self, story_ids: Iterable[str]) -> Iterator[Timeline]:
        """These stories, in the order named; what is unknown, or empty, is left out."""
        for chunk in chunks(list(story_ids), 50):
            yield from self._timelines(chunk)

    def tellings(self, item_ids: Sequence[str]) -> dict[str, Telling]:
        """Items as they stand in their stories, by id; without the topics that took them."""
        found: dict[str, Telling] = {}
        for chunk in chunks(item_ids):
            rows = self._rows(f"{ITEMS} WHERE i.id IN ({','.join('?' * len(chunk))})", *chunk)
            found |= {row["id"]: _telling(row, ()) for row in rows}
        return found

    def newest_judged(self) -> datetime | None:
        """The effective time of the latest item that was judged; None if there is none."""
        row = self._one(f"SELECT max(at) AS at FROM items WHERE {_JUDGED}")
        return as_time(row["at"]) if row else None

    def standing_in_brief(self, since: datetime, seen_since: datetime) -> str:
        """What changes if `standings` does: a fraction of the work."""
        sql = f"""SELECT group_concat(id || '|' || {_SAID} || '|' || relation, '|'), (SELECT count(*) FROM vectors)
                  FROM items WHERE {_OF_LATE}"""
        [(said, vectors)] = self._tuples(sql, as_text(since), as_text(seen_since))
        return text_hash(f"{said} {vectors}")

    def standings(self, since: datetime, seen_since: datetime, model: str) -> list[tuple[str, str, str, str, str, int]]:
        """Of the judged items of a time, or seen in another: id, what changes if its words do, effective time, when it was
        first seen, relation, whether the model has given a vector; in columns since they are many."""
        sql = f"""SELECT id, {_SAID}, substr(at, 1, 23), substr(first_seen, 1, 23), relation,
                      EXISTS (SELECT 1 FROM vectors v WHERE v.text_hash = items.text_hash AND v.model = ?)
                  FROM items WHERE {_OF_LATE}"""
        return self._tuples(sql, model, as_text(since), as_text(seen_since))

    def bodies(self, item_ids: Sequence[str], model: str) -> Iterator[tuple[str, str, str, str, Vector]]:
        """Id, title, text, language and vector of each of these items of which the model gave one, in no order."""
        for chunk in chunks(item_ids):
            rows = self._tuples(
                f"""SELECT i.id, i.title, i.text, i.language, v.vector FROM items i
                    JOIN vectors v ON v.text_hash = i.text_hash AND v.model = ?
                    WHERE i.id IN ({",".join("?" * len(chunk))})""",
                model,
                *chunk,
            )
            for item_id, title, text, language, vector in rows:
                yield item_id, title, text, language, as_vector(vector)

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


def _beginning(name: str) -> tuple[str, str]:
    """The first and the last id that begin so; no id for less than 6 characters, which are no beginning."""
    return (name, name + "\U0010ffff") if len(name) >= 6 else ("~", "")


def _telling(row: Row, topics: Sequence[str]) -> Telling:
    return Telling(as_item(row), as_placement(row), Verdict(row["verdict"]), bool(row["by_hand"]), tuple(topics))


def as_story(row: Row, tellings: Sequence[tuple[Item, Relation]]) -> Story:
    return Story(
        id=row["id"],
        title=row["title"],
        opened=need_time(row["opened"]),
        latest=need_time(row["latest"]),
        items=len(tellings),
        voices=voices((item.feed, item.at, relation) for item, relation in tellings),
        languages=tuple(dict.fromkeys(item.language for item, _ in tellings if item.language)),
    )


def _ruling(row: Row) -> Ruling:
    detail = json.loads(row["detail"])
    return Ruling(
        RulingKind(row["kind"]), row["author"], detail["story"], tuple(detail["stories"]), tuple(detail["items"]),
        as_time(row["at"]),
    )  # fmt: skip
