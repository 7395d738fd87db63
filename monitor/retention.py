"""What is not needed any more, and goes: items in stories that nobody was told of, judgements, vectors, and the room that they
took. What was told, and what waits to be, stays for ever.

All in steps of a bounded size, each a transaction of its own: the store's thread is for polls and alerts. A step takes a mark,
where the one before it stopped, and gives its own; None: there is no more. None of it is durable by itself: what a power cut
brings back goes the next time.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from monitor.database import Connected, Row, as_json, as_text, chunks
from monitor.model import MatchOutcome, Verdict
from monitor.text import text_hash

#: where the last step stopped: when an item was first seen, and its place among those of that moment
Mark = tuple[str, int]
Step = Callable[[datetime, Mark, int], Mark | None]
START: Mark = ("", 0)
#: Pages of a file that is shrunk a little at a time that stay free: the next hours fill them again.
FREE_PAGES = 4096
#: Items that a step deletes, at most: what was told, and is only passed over, tells nothing of how long they take.
AT_ONCE = 25
#: Pages of the log that a step's commit waits for, at most.
LOG_PAGES = 100

#: That a feed still has something is noted so late: not at each poll.
_LATE = timedelta(days=1)

_TALLY, _MISSES = "let go", "misses"


class Retention(Connected):
    """Letting go, and what is remembered of what is gone."""

    def let_go_items(self, before: datetime, mark: Mark, count: int) -> Mark | None:
        """Delete items first seen before then, and all that hangs on them, out of stories in which nothing is needed.

        Needed is a story with a younger item, or one that is held by the storm breaker, or that a person put there; one of
        which anybody was told, or is to be; and one that is silenced. Names stay: the item is not new if it is offered again.
        """
        rows = self._seen(before, mark, count)
        if not rows:
            return None
        gone = self._unneeded({row["story_id"] for row in rows}, before)
        items = [row for row in rows if row["story_id"] in gone]
        last = rows[-1] if len(items) <= AT_ONCE else items[AT_ONCE - 1]
        with self._step():
            self._forget(items[:AT_ONCE])
        return last["first_seen"], last["n"]

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        """A step's transaction. Its commit never has to bring more than a few pages of the log to the database: one in
        so many does, and 1,000 of them, as SQLite has it, take several steps' time."""
        (pages,) = self._connection.execute("PRAGMA wal_autocheckpoint").fetchone()
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        try:
            with self._writing(durably=False):
                yield
        finally:
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def _seen(self, before: datetime, mark: Mark, count: int) -> list[Row]:
        return self._rows(
            """SELECT rowid AS n, id, feed_url, first_seen, story_id, verdict FROM items
               WHERE (first_seen, rowid) > (?, ?) AND first_seen < ? ORDER BY first_seen, rowid LIMIT ?""",
            *mark, as_text(before), count,
        )  # fmt: skip

    def _unneeded(self, story_ids: set[str], before: datetime) -> set[str]:
        rows = self._rows(
            """SELECT s.value AS id FROM json_each(?) s WHERE NOT EXISTS (
                   SELECT 1 FROM items i WHERE i.story_id = s.value AND (i.first_seen >= ? OR i.verdict = ? OR i.by_hand = 1
                       OR EXISTS (SELECT 1 FROM outbox o WHERE o.item_id = i.id))
               ) AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.story_id = s.value)
               AND NOT EXISTS (SELECT 1 FROM silences WHERE story = s.value AND removed IS NULL AND until > ?)""",
            as_json(sorted(story_ids)), as_text(before), Verdict.HELD, as_text(before),
        )  # fmt: skip
        return {row["id"] for row in rows}

    def _forget(self, items: Sequence[Row]) -> None:
        feeds = {row["id"]: _number(row["feed_url"]) for row in items}
        for ids in chunks(list(feeds)):
            marks = ",".join("?" * len(ids))
            others = self._rows(f"SELECT key, item_id FROM identities WHERE item_id IN ({marks})", *ids)
            names = {name: feeds[name] for name in ids} | {row["key"]: feeds[row["item_id"]] for row in others}
            self._connection.executemany(
                """INSERT INTO let_go (name, feed, offered) VALUES (?, ?, (SELECT max(first_seen) FROM items))
                   ON CONFLICT (name) DO NOTHING""",
                list(names.items()),
            )
            for table in ("identities", "revisions", "matches"):
                self._connection.execute(f"DELETE FROM {table} WHERE item_id IN ({marks})", ids)
            self._connection.execute(f"DELETE FROM items WHERE id IN ({marks})", ids)
        empty = self._connection.executemany(
            "DELETE FROM stories WHERE id = ? AND NOT EXISTS (SELECT 1 FROM items WHERE story_id = stories.id)",
            [(story,) for story in {row["story_id"] for row in items}],
        ).rowcount
        if items:
            self._count(Counter(row["verdict"] for row in items), max(empty, 0))

    def _count(self, verdicts: Counter[str], stories: int) -> None:
        before, closed = self.let_go_counts()
        total = {verdict: before.get(verdict, 0) + verdicts[verdict] for verdict in {*before, *verdicts}}
        self._remember(_TALLY, as_json({"verdicts": total, "stories": closed + stories}))

    def let_go_counts(self) -> tuple[dict[str, int], int]:
        """How many items were ever let go, by verdict, and how many stories with them."""
        known = json.loads(self.fact(_TALLY) or '{"verdicts": {}, "stories": 0}')
        return known["verdicts"], known["stories"]

    def are_let_go(self, names: Sequence[str]) -> set[str]:
        """Those of the names that an item had which is not kept any more."""
        found: set[str] = set()
        for chunk in chunks(names):
            marks = ",".join("?" * len(chunk))
            found |= {row["name"] for row in self._rows(f"SELECT name FROM let_go WHERE name IN ({marks})", *chunk)}
        return found

    def was_let_go(self, begin: str) -> bool:
        """Whether an item was let go whose name begins so, with 6 characters or more."""
        return len(begin) >= 6 and bool(
            self._rows("SELECT 1 FROM let_go WHERE name BETWEEN ? AND ? || 'g'", begin, begin)
        )

    def _offered_again(self, names: Sequence[str], at: datetime) -> None:
        """Note that a feed still has what was let go."""
        self._connection.executemany(
            "UPDATE let_go SET offered = ? WHERE name = ? AND offered < ?",
            [(as_text(at), name, as_text(at - _LATE)) for name in names],
        )

    def forget_names(self, before: datetime, _mark: Mark, count: int) -> Mark | None:
        """Forget names that were last offered before then, by feeds that have brought something since: it was not there.

        A feed that is silent for a year may offer the same ten items all the while, and nobody reads them again.
        """
        lively = self._rows("SELECT url FROM feeds WHERE last_new >= ?", as_text(before))
        with self._step():
            done = self._connection.execute(
                """DELETE FROM let_go WHERE name IN (SELECT name FROM let_go WHERE offered < ?
                       AND feed IN (SELECT value FROM json_each(?)) LIMIT ?)""",
                (as_text(before - _LATE), as_json([_number(row["url"]) for row in lively]), count),
            )
        return START if done.rowcount == count else None

    def let_go_misses(self, before: datetime, mark: Mark, count: int) -> Mark | None:
        """Delete judgements, of items first seen before then, that took nothing."""
        rows = self._seen(before, mark if mark > START else (self.fact(_MISSES), 0), count)
        if not rows:
            return None
        last = rows[-1]
        taken = as_json([outcome for outcome in MatchOutcome if outcome.taken])
        with self._step():
            self._connection.execute(
                """DELETE FROM matches WHERE item_id IN (SELECT value FROM json_each(?))
                   AND outcome NOT IN (SELECT value FROM json_each(?))""",
                (as_json([row["id"] for row in rows]), taken),
            )
            # what is older has none any more
            self._remember(_MISSES, last["first_seen"])
        return last["first_seen"], last["n"]

    def let_go_vectors(self, before: datetime, _mark: Mark, count: int) -> Mark | None:
        """Delete vectors that were last made or used before then."""
        return self._delete("vectors WHERE rowid IN (SELECT rowid FROM vectors WHERE used < ? LIMIT ?)", before, count)

    def let_go_opinions(self, before: datetime, _mark: Mark, count: int) -> Mark | None:
        """Delete second opinions that were had before then."""
        return self._delete("opinions WHERE key IN (SELECT key FROM opinions WHERE at < ? LIMIT ?)", before, count)

    def _delete(self, which: str, before: datetime, count: int) -> Mark | None:
        with self._step():
            done = self._connection.execute(f"DELETE FROM {which}", (as_text(before), count))
        return START if done.rowcount == count else None

    def shrink(self, _before: datetime, _mark: Mark, count: int) -> Mark | None:
        """Give free pages back to the disk, but for some; a database of before `auto_vacuum` fills them again instead."""
        free = self._rows("PRAGMA freelist_count")[0]["freelist_count"] - FREE_PAGES
        if free <= 0 or not self.shrinks():
            return None
        self._vacuum(min(free, count))
        return START if free > count else None

    def sizes(self) -> tuple[int, int]:
        """Bytes of the file, and how many of them are free."""
        page, pages, free = (
            int(self._rows(f"PRAGMA {name}")[0][name]) for name in ("page_size", "page_count", "freelist_count")
        )
        return page * pages, page * free

    def shrinks(self) -> bool:
        """Whether the file gives room back; one that was made by an early release does not, until it was copied once."""
        return bool(self._rows("PRAGMA auto_vacuum")[0]["auto_vacuum"] == 2)


def _number(feed_url: str) -> int:
    """A feed in a few bytes; that two may share one only keeps names longer."""
    return int(text_hash(feed_url)[:6], 16)
