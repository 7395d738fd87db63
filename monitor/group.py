"""Which story an item belongs to: the same text again (a copy), the same event told anew (an update), or something new.

One pass, in the order seen. What a copy is, `copies` says. An update must be like a story in meaning and in words, near in
time, and more like it than items are like stories of no concern to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from monitor.copies import Wording, numbers, repetition, same_words, wording, words
from monitor.ids import Ids
from monitor.members import Members, Rows, Sight, Texts, roomy, sight
from monitor.model import EmbeddedItem, Member, Placement, Relation, Story, Vector, voices
from monitor.space import Space

#: Open items whose meaning is looked at closely: those nearest by signs, in whatever language. And those, nearest in
#: meaning, whose words are.
CANDIDATES, CLOSE = 96, 48
#: Of them, those that may be what an item copies: the most alike, meaning and words together at least the last.
REPEATED, REPEATED_FROM = 8, 0.8

#: The same text means the same; its vector was kept in steps.
WORD_FOR_WORD = 0.8

#: What meaning weighs against words within a language, and both across languages. All measured: DESIGN.md, "Stories".
MEANING = 0.6
MEANING_ACROSS, WORDS_ACROSS = 0.85, 0.6
#: What distance in time takes off, at most, and the time in which two thirds of that are taken off.
FADING, FADING_TIME = 0.3, timedelta(hours=24)
#: A story's likeness to an item is that of its nearest member and the mean of its nearest few, so weighted: one member
#: alone chains stories that merely touch.
NEAREST, MEMBERS = 0.75, 5
#: Stories that are weighed: those of the most alike members.
SHORTLIST = 12
#: The third- to the fifth-best story say how alike an item and a story of no concern to it are today, and so much of that
#: does not count: while one subject fills the news, everything resembles everything.
OTHERS = slice(2, 5)
OTHERS_SHARE = 0.4
#: Any two items are alike as much as this, also while there are too few stories to tell.
OTHERS_LEAST = 0.1
#: An update joins from here on.
SAME_STORY = 0.31
#: And so much later for each doubling of the words beyond a headline's, up to two.
LONGER, HEADLINE = 0.03, 8
#: Items that come later than others that were published after them find these for so long after the window.
LATE = timedelta(hours=24)


#: To forget is to write down the rest anew: not for less than a twentieth.
FORGET_FROM = 1.05


@dataclass(frozen=True, slots=True)
class _Likeness:
    """How alike an item and some open items are; an element each."""

    rows: Rows
    meaning: Vector
    words: Vector
    across: NDArray[np.bool_]
    #: all in one, less what time takes off
    total: Vector


class OpenStories:
    """The items of the last `window`, ready to be compared with.

    It changes only by `add`, `amend` and `forget`; `place` looks and says. What a restart reads back from the store and adds
    in the order in which they were seen gives the same answers.
    """

    def __init__(self, space: Space, window: timedelta, texts: Callable[[], Texts] | None = None) -> None:
        """texts: makes what keeps the items' texts; in memory if None."""
        self._space = space
        self.window = window
        #: the longest window that a topic asks for
        self.longest = window
        self._members = Members(space, texts)
        self._stories = _Stories(self._members.ids)
        self._seen_last: tuple[EmbeddedItem, Sight] | None = None

    def __len__(self) -> int:
        return len(self._members)

    def place(self, embedded: EmbeddedItem, window: timedelta | None = None) -> Placement:
        """Say where an item belongs, without putting it there.

        A root's story is named after the item itself, so that placing it again after a crash gives the same name.
        """
        item, one = embedded.item, self._sight(embedded)
        rows = self._members.nearest(one.vector, CANDIDATES)
        at, silence = item.at.timestamp(), window or self.window
        distance = self._stories.silence_at(rows, at)
        closed = rows[(distance > silence.total_seconds()) & (distance <= (silence + LATE).total_seconds())]
        rows = rows[distance <= silence.total_seconds()]
        like = self._likeness(one, rows)
        if copied := self._copied(one.wording, like):
            return self._joined(copied[0], Relation.COPY, 1.0, copied[1])
        if (again := self._said_before(one, closed)) is not None:
            told = self._members.wording(again)
            because = f"word for word what “{told.title}” ({told.source}) said; it opens it again"
            return self._joined(again, Relation.UPDATE, 1.0, because)
        if not len(rows):
            return Placement(item.id, Relation.ROOT, because="nothing is open")
        row, likeness = self._nearest_story(like)
        bar = _bar(one)
        told = self._members.wording(row)
        if likeness < bar:
            because = f"nothing open is like it; the nearest is “{told.title}” ({likeness:.2f} of {bar:.2f})"
            return Placement(item.id, Relation.ROOT, likeness=max(likeness, 0.0), because=because)
        because = f"the same event as “{told.title}” ({told.source}; likeness {likeness:.2f})"
        return self._joined(row, Relation.UPDATE, likeness, because)

    def _said_before(self, one: Sight, closed: Rows) -> int | None:
        """An item of a story that is over, but not forgotten, which this is word for word; None if there is none."""
        if not len(closed):
            return None
        meaning = self._members.meaning(one, closed)
        nearest = int(closed[np.argmax(meaning)])
        is_same = meaning.max() >= WORD_FOR_WORD and same_words(one.wording, self._members.wording(nearest))
        return nearest if is_same else None

    def _sight(self, embedded: EmbeddedItem) -> Sight:
        # what is placed is mostly added next
        if self._seen_last is None or self._seen_last[0] is not embedded:
            self._seen_last = embedded, sight(embedded, self._space)
        return self._seen_last[1]

    def _joined(self, row: int, relation: Relation, likeness: float, because: str) -> Placement:
        item_id = self._members.ids[row]
        return Placement(self._stories.name(row), relation, item_id, likeness, because)

    def _likeness(self, one: Sight, rows: Rows) -> _Likeness:
        meaning = self._members.meaning(one, rows)
        if len(rows) > CLOSE:
            close = np.argpartition(-meaning, CLOSE)[:CLOSE]
            close.sort()
            rows, meaning = rows.take(close), meaning.take(close)
        words = self._members.shared_words(one, rows)
        across = ~self._members.in_tongue(rows, one.tongue)
        likeness = np.where(
            across, MEANING_ACROSS * meaning + WORDS_ACROSS * words, MEANING * meaning + (1 - MEANING) * words
        )
        away = np.abs(self._members.at(rows) - one.wording.at.timestamp()) / FADING_TIME.total_seconds()
        total = likeness - FADING * (1 - np.exp(-away))
        return _Likeness(rows, meaning, words, across, total.astype(np.float32))

    def _copied(self, one: Wording, like: _Likeness) -> tuple[int, str] | None:
        """The earliest open item that this repeats, and why it is said to."""
        alike = like.meaning + like.words
        nearest = np.argsort(-alike, kind="stable")[:REPEATED]
        for row in np.sort(like.rows[nearest[alike[nearest] >= REPEATED_FROM]]).tolist():
            if (found := repetition(one, self._members.wording(row))).is_copy:
                return row, found.because
        return None

    def _nearest_story(self, like: _Likeness) -> tuple[int, float]:
        """The most alike member of the most alike story, and how alike that story is, less what does not count."""
        stories: dict[int, list[int]] = {}
        story_of = self._stories.numbers(like.rows).tolist()
        for place in np.argsort(-like.total, kind="stable").tolist():
            if story_of[place] in stories or len(stories) < SHORTLIST:
                stories.setdefault(story_of[place], []).append(place)

        total = like.total.tolist()
        ranked = []
        for places in stories.values():
            values = [total[place] for place in places[:MEMBERS]]
            ranked.append((NEAREST * values[0] + (1 - NEAREST) * sum(values) / len(values), places[0]))
        ranked.sort(key=itemgetter(0), reverse=True)
        alike, nearest = ranked[0]
        others = [other for other, _ in ranked[OTHERS]]
        usual = max(sum(others) / len(others) if others else 0.0, OTHERS_LEAST)
        return int(like.rows[nearest]), alike - OTHERS_SHARE * usual

    def compare(self, one: EmbeddedItem, other: EmbeddedItem) -> str:
        """Say in a paragraph why two items, were nothing else open, would be one story, or not."""
        alone = OpenStories(self._space, self.longest)
        alone.add(Member(other, other.item.id, Relation.ROOT))
        seen = alone._sight(one)
        like = alone._likeness(seen, np.zeros(1, dtype=np.int64))
        apart = abs(one.item.at - other.item.at)
        mine, theirs = (f"{each.item.title} {each.item.text}" for each in (one, other))
        return " ".join(
            [
                _ALONE[alone.place(one).relation],
                f"Copy: {repetition(seen.wording, wording(other.item)).because}.",
                (
                    f"Likeness: meaning {like.meaning[0]:.2f}, words {like.words[0]:.2f}"
                    f"{', in two languages' if like.across[0] else ''}, {_hours(apart)} apart: {like.total[0]:.2f} in all; "
                    f"one story begins at {_bar(seen):.2f}, and what is {_hours(self.longest)} apart "
                    "is two."
                ),
                f"Words in both: {_few(words(mine) & words(theirs))}.",
                f"Numbers in one only: {_few(numbers(mine) ^ numbers(theirs))}.",
            ]
        )

    def add(self, member: Member) -> None:
        """Put an item where it was placed."""
        row = self._members.add(member.embedded.item, self._sight(member.embedded), member.relation)
        self._stories.add(row, member.story, member.embedded.item.at.timestamp())

    def amend(self, embedded: EmbeddedItem) -> bool:
        """Let a member say what its publisher says now, at the time at which it stands; False if it is not open any more."""
        row = self._stories.row(embedded.item.id)
        if row is not None:
            self._members.amend(row, embedded.item, self._sight(embedded))
        return row is not None

    def is_open(self, item_id: str) -> bool:
        return self._stories.row(item_id) is not None

    def placement_of(self, item_id: str) -> Placement:
        """Where an open item stands.

        Raises: KeyError if it is not open.
        """
        row = self._stories.row(item_id)
        if row is None:
            raise KeyError(item_id)
        because = "it stands there since it was first seen"
        return Placement(self._stories.name(row), self._members.relation(row), because=because)

    @property
    def span(self) -> timedelta:
        """How far back from the newest item, by when they were seen, items are kept: late ones must find their story."""
        return max(self.window, self.longest) + LATE

    def forget(self) -> None:
        """Let go of items that were seen longer ago than `span` before the newest, once they are enough to be worth it."""
        rows = self._members.seen_since(self.span.total_seconds()).tolist()
        if len(rows) * FORGET_FROM > len(self):
            return
        names = [self._stories.name(row) for row in rows]
        self._members.keep(rows)
        self._stories = _Stories(self._members.ids)
        for row, at in enumerate(self._members.at(np.arange(len(rows))).tolist()):
            self._stories.add(row, names[row], at)

    def story(self, story_id: str) -> Story:
        """What the open items tell of a story.

        Raises: KeyError if none is open.
        """
        rows = self._stories.rows(story_id)
        times = self._members.at(np.array(rows))
        tellings = [
            (self._members.feed(rows[n]), datetime.fromtimestamp(times[n], UTC), self._members.relation(rows[n]))
            for n in np.argsort(times, kind="stable")
        ]
        spoken = dict.fromkeys(self._members.language(row) for row in rows)
        return Story(
            id=story_id,
            title=self._members.wording(rows[0]).title,
            opened=tellings[0][1],
            latest=tellings[-1][1],
            items=len(rows),
            voices=voices(tellings),
            languages=tuple(filter(None, spoken)),
        )


def _bar(one: Sight) -> float:
    """From where on an item is an update: long texts are alike more easily than headlines."""
    return SAME_STORY + LONGER * min(max(math.log2(max(len(one.words), 1) / HEADLINE), 0), 2)


class _Stories:
    """Which rows tell which story. A story's number is the row of its first open item, whose id is mostly its name."""

    def __init__(self, ids: Ids) -> None:
        """ids: of the items, by row; it grows beside this."""
        self._ids = ids
        self._count = 0
        #: the stories that bear another name than their first open item
        self._named: dict[int, str] = {}
        self._number_of: dict[str, int] = {}
        # by row: the number of its story, and the row before in that (-1: none)
        self._numbers, self._before = np.zeros(0, np.int32), np.zeros(0, np.int32)
        # by number: its last row, and when its first item took effect and its latest, in Unix minutes around them
        self._last, self._from, self._to = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32)

    def add(self, row: int, story_id: str, at: float) -> None:
        """Put a row, which is the next and whose item's id is known by now, in a story."""
        number, item_id = self._number(story_id), self._ids[row]
        self._count = row + 1
        if number is None:
            number = row
            if story_id != item_id:
                self._named[row], self._number_of[story_id] = story_id, row
        if row >= len(self._numbers):
            self._numbers, self._before, self._last = (
                roomy(column, row + 1) for column in (self._numbers, self._before, self._last)
            )
            self._from, self._to = roomy(self._from, row + 1), roomy(self._to, row + 1)
        start, end = math.floor(at / 60), math.ceil(at / 60)
        if number == row:
            self._before[row], self._from[row], self._to[row] = -1, start, end
        else:
            self._before[row] = self._last[number]
            self._from[number], self._to[number] = min(self._from[number], start), max(self._to[number], end)
        self._numbers[row], self._last[number] = number, row

    def row(self, item_id: str) -> int | None:
        return self._ids.find(item_id)

    def name(self, row: int) -> str:
        number = int(self._numbers[row])
        return self._named.get(number) or self._ids[number]

    def silence_at(self, rows: Rows, at: float) -> NDArray[np.float64]:
        """How long, in seconds, the rows' stories had been silent then, or were to be; 0 or less while they were told."""
        numbers = self.numbers(rows)
        silence = np.maximum(60.0 * self._from.take(numbers) - at, at - 60.0 * self._to.take(numbers))
        return np.asarray(silence, dtype=np.float64)

    def numbers(self, rows: Rows) -> NDArray[np.int32]:
        return self._numbers.take(rows)

    def rows(self, story_id: str) -> list[int]:
        """All rows of a story, in the order added.

        Raises: KeyError if it has none.
        """
        number = self._number(story_id)
        if number is None:
            raise KeyError(story_id)
        rows, row = [], int(self._last[number])
        while row >= 0:
            rows.append(row)
            row = int(self._before[row])
        return rows[::-1]

    def _number(self, story_id: str) -> int | None:
        if story_id in self._number_of:
            return self._number_of[story_id]
        # the item that gave a story its name may have been taken out of it, into another
        row = self._ids.find(story_id)
        if row is None or row >= self._count or self._numbers[row] != row or row in self._named:
            return None
        return row


_ALONE = {
    Relation.COPY: "One story: one is a copy of the other.",
    Relation.UPDATE: "One story: one is an update of the other.",
    Relation.ROOT: "Two stories, as far as these two go.",
}


def _hours(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    return f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _few(things: set[str]) -> str:
    return ", ".join(sorted(things, key=lambda thing: (-len(thing), thing))[:8]) or "none"
