"""Which story an item belongs to: the same text again (a copy), the same event told anew (an update), or something new.

A copy must be near-verbatim, with the same numbers and names: two events told by one template reach a cosine of 0.97, so
likeness of meaning alone never suppresses anything. An update needs likeness in meaning and in words, within the window.
`OpenStories` keeps the items of the window in memory and is exact: it compares with every one of them.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.model import EmbeddedItem, Item, Member, Placement, Relation, Vector
from monitor.text import fold, gist, script

#: A copy shares this much of its shingles with its original: what two different events on one template share is 0.59 to
#: 0.81 (5-character shingles, Jaccard).
COPY_OVERLAP = 0.85
COPY_WINDOW = timedelta(hours=48)
SHINGLE = 5

#: An update is at least this like a member of the story. Both measured: DESIGN.md, "Stories".
SAME_STORY = 0.45
SAME_STORY_ACROSS_SCRIPTS = 0.60
#: Weight of likeness in meaning against likeness in words, where both texts are in one script.
MEANING = 0.5

#: Gives an item's vector in the space where a cosine means something: centred on its script, of unit length.
Centre = Callable[[EmbeddedItem], Vector]

Number = TypeVar("Number", np.float32, np.float64)

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_HAN = re.compile(r"[\u3400-\u9fff]")
_REISSUE = re.compile(
    r"^\s*(?:update[ds]?\s*\d*|breaking|urgent|exclusive|flash|срочно|молния|обновлено|дополнено|оновлено|терміново|快讯|更新)"
    r"\s*[-–—:：.]\s*",
    re.IGNORECASE,
)
_NEGATIONS = frozenset({"no", "not", "never", "без", "не", "нет", "ні", "немає", "不", "没", "無", "无", "未"})


@dataclass(frozen=True, slots=True)
class _Traits:
    """What of an item is compared, made once."""

    words: frozenset[str]
    script: str
    numbers: frozenset[str]
    #: the text without what an outlet puts around it, its case kept
    bare: str
    folded: str
    shingles: frozenset[str]


class OpenStories:
    """The items of the last `window`, ready to be compared with.

    It changes only by `add` and `forget`; `place` looks and says. What a restart reads back from the store and adds in the
    order in which they were seen gives the same answers.
    """

    def __init__(self, centre: Centre, window: timedelta) -> None:
        self._centre = centre
        self.window = window
        self._reset()

    def _reset(self) -> None:
        self._members: list[Member] = []
        self._traits: list[_Traits] = []
        self._sources: dict[str, dict[str, None]] = {}
        #: word -> the members that have it
        self._postings: dict[str, list[int]] = defaultdict(list)
        # columns beside the members, grown by doubling
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._times = np.zeros(0, dtype=np.float64)
        self._norms = np.zeros(0, dtype=np.float32)

    def __len__(self) -> int:
        return len(self._members)

    def place(self, embedded: EmbeddedItem, window: timedelta | None = None) -> Placement:
        """Say where an item belongs, without putting it there.

        A root's story is named after the item itself, so that placing it again after a crash gives the same name.
        """
        item, count = embedded.item, len(self)
        near = np.flatnonzero(
            np.abs(self._times[:count] - item.at.timestamp()) <= (window or self.window).total_seconds()
        )
        if not len(near):
            return Placement(item.id, Relation.ROOT, because="nothing is open")
        traits = _traits(item)
        words = self._likeness_in_words(traits)[near]
        for position in np.argsort(-words, kind="stable")[:8]:
            n = int(near[position])
            if why := _copy(item, traits, self._members[n].embedded.item, self._traits[n]):
                return self._joined(n, Relation.COPY, float(words[position]), why)
        meaning = (self._vectors[:count] @ self._centre(embedded))[near]
        across = np.array([self._traits[n].script != traits.script for n in near])
        likeness = np.where(across, meaning, MEANING * meaning + (1 - MEANING) * words)
        bars = np.where(across, SAME_STORY_ACROSS_SCRIPTS, SAME_STORY)
        best = int(np.argmax(likeness - bars))
        found, bar, n = float(likeness[best]), float(bars[best]), int(near[best])
        other = self._members[n].embedded.item
        if found < bar:
            because = f"nothing open is like it; the nearest is “{other.title}” ({found:.2f} of {bar:.2f})"
            return Placement(item.id, Relation.ROOT, likeness=found, because=because)
        return self._joined(
            n, Relation.UPDATE, found, f"the same event as “{other.title}” ({other.source}; likeness {found:.2f})"
        )

    def add(self, member: Member) -> None:
        """Put an item where it was placed."""
        vector, traits, count = self._centre(member.embedded), _traits(member.embedded.item), len(self)
        if count == len(self._times):
            room = max(64, 2 * count)
            self._vectors = _grown(self._vectors, (room, len(vector)))
            self._times = _grown(self._times, (room,))
            self._norms = _grown(self._norms, (room,))
        for word in traits.words:
            self._postings[word].append(count)
        self._members.append(member)
        self._traits.append(traits)
        self._vectors[count] = vector
        self._times[count] = member.embedded.item.at.timestamp()
        self._norms[count] = math.sqrt(sum(self._rarity(word) for word in traits.words) or 1.0)
        self._sources.setdefault(member.story, {})[member.embedded.item.source] = None

    @property
    def span(self) -> timedelta:
        """How far back from the newest item, by when they were seen, items are kept: late ones must find their story."""
        return 2 * self.window

    def forget(self) -> None:
        """Let go of items that were seen longer ago than `span` before the newest."""
        if not self._members:
            return
        before = max(member.embedded.item.first_seen for member in self._members) - self.span
        kept = [member for member in self._members if member.embedded.item.first_seen >= before]
        if len(kept) < len(self):
            self._reset()
            for member in kept:
                self.add(member)

    def sources(self, story: str) -> tuple[str, ...]:
        """Who has told a story, in order of appearance; empty for a story that is not open."""
        return tuple(self._sources.get(story, ()))

    def _joined(self, n: int, relation: Relation, likeness: float, why: str) -> Placement:
        member = self._members[n]
        return Placement(member.story, relation, member.embedded.item.id, likeness, why)

    def _likeness_in_words(self, traits: _Traits) -> Vector:
        """Cosine with every member of the texts as sets of words, each weighted by how rare it is among the open items."""
        shared = np.zeros(len(self), dtype=np.float32)
        mine = 0.0
        for word in traits.words:
            rarity = self._rarity(word)
            mine += rarity
            shared[self._postings.get(word, [])] += rarity
        return shared / (math.sqrt(mine or 1.0) * self._norms[: len(self)])

    def _rarity(self, word: str) -> float:
        return math.log(1 + (len(self) + 1) / (1 + len(self._postings.get(word, ())))) ** 2


def _grown(column: NDArray[Number], shape: tuple[int, ...]) -> NDArray[Number]:
    grown = np.zeros(shape, dtype=column.dtype)
    if column.size:
        grown[: len(column)] = column
    return grown


def _traits(item: Item) -> _Traits:
    bare = _bare(item)
    folded = fold(bare)
    squeezed = " ".join(_WORD.findall(folded))
    return _Traits(
        words=frozenset(_words(folded)),
        script=script(bare),
        numbers=frozenset(_NUMBER.findall(bare)),
        bare=bare,
        folded=squeezed,
        shingles=frozenset(squeezed[n : n + SHINGLE] for n in range(max(1, len(squeezed) - SHINGLE + 1))),
    )


def _bare(item: Item) -> str:
    """The text without "UPDATE 1-" before the headline and " - Outlet" after it."""
    title = _REISSUE.sub("", item.title)
    head, mark, tail = title.rpartition(" - ")
    if not mark:
        head, mark, tail = title.rpartition(" | ")
    # an outlet's name is short and carries no figures; a clause is longer or has them
    if mark and len(tail.split()) <= 4 and not _NUMBER.search(tail) and len(head) > 3 * len(tail):
        title = head
    return gist(title, item.text)


def _words(folded: str) -> list[str]:
    """Words; for scripts without spaces, pairs of characters."""
    words = []
    for word in _WORD.findall(folded):
        if _HAN.search(word):
            words += [word[n : n + 2] for n in range(max(1, len(word) - 1))]
        elif len(word) > 1:
            words.append(word)
    return words


def _copy(item: Item, mine: _Traits, other: Item, theirs: _Traits) -> str:
    """Why an item is a copy of another; empty if it is none."""
    if abs(item.at - other.at) > COPY_WINDOW:
        return ""
    if mine.folded == theirs.folded:
        return f"the same text as “{other.title}” ({other.source})"
    same_page = bool(item.canonical_link) and item.canonical_link == other.canonical_link
    # publishers reuse their own templates: within one source only the same page is a copy
    if item.feed.url == other.feed.url and not same_page:
        return ""
    overlap = len(mine.shingles & theirs.shingles) / len(mine.shingles | theirs.shingles)
    if overlap < COPY_OVERLAP or mine.numbers != theirs.numbers or _names_differ(mine.bare, theirs.bare):
        return ""
    return f"{overlap:.0%} the same text as “{other.title}” ({other.source}), with the same numbers and names"


def _names_differ(one: str, other: str) -> bool:
    """Whether a word that one text has and the other lacks could be a name, or turns the sense round."""
    mine, theirs = set(_WORD.findall(one)), set(_WORD.findall(other))
    return any(word[0].isupper() or word.casefold() in _NEGATIONS for word in mine ^ theirs)
