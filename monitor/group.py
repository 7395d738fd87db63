"""Which story an item belongs to: the same text again (a copy), the same event told anew (an update), or something new.

A copy must be near-verbatim, with the same numbers and names: two events told by one template reach a cosine of 0.97, so
likeness of meaning alone never suppresses anything. An update needs likeness in meaning and in words, within the window.
`OpenStories` keeps the items of the window in memory and is exact: it compares with every one of them.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.model import EmbeddedItem, Item, Member, Placement, Relation, Story, Vector, voices
from monitor.text import fold, gist, script

#: A copy shares this much of its shingles with its original: what two different events on one template share is 0.59 to
#: 0.81 (5-character shingles, Jaccard).
COPY_OVERLAP = 0.85
COPY_WINDOW = timedelta(hours=48)
SHINGLE = 5
#: Characters of the text, beside the title, in which a copy must agree.
COMPARED = 1_000
#: Candidates for a copy: the most alike in words.
CANDIDATES = 8

#: Weight of likeness in meaning against likeness in words; across languages meaning alone counts.
#: What a window's distance in time takes off. All measured: DESIGN.md, "Stories".
MEANING, MEANING_ACROSS = 0.6, 1.05
FADING = 0.1
#: A story's likeness to an item is that of its nearest member and the mean of its nearest ten, so weighted (one member
#: alone chains stories that merely touch); an update joins from the bar on.
NEAREST, MEMBERS = 0.3, 10
SAME_STORY = 0.40
#: Stories that are looked at: those of the most alike members.
SHORTLIST = 12

#: Gives an item's vector in the space where a cosine means something: centred on its script, each engine's part of length
#: 1, or zero where the engine does not read the script.
Centre = Callable[[EmbeddedItem], Vector]

Number = TypeVar("Number", np.float32, np.float64)

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_HAN = re.compile(r"[\u3400-\u9fff]")
#: What an outlet puts before a headline that it sends again.
_REISSUE = re.compile(
    r"^\s*(?:update[ds]?\s*\d*|breaking|urgent|exclusive|flash|срочно|молния|обновлено|дополнено|оновлено|терміново|快讯|更新)"
    r"\s*[-–—:：.]\s*",
    re.IGNORECASE,
)
#: Agencies whose name other outlets put after what they reprint; an item's own outlet is known from its feed.
_AGENCIES = (
    "Reuters", "AP", "Associated Press", "AFP", "Bloomberg", "DPA", "UPI", "Kyodo", "Yonhap", "Xinhua", "TASS", "Interfax",
    "RIA Novosti", "Ukrinform", "Укрінформ", "Укринформ", "УНІАН", "УНИАН", "ТАСС", "РИА Новости", "Интерфакс", "Рейтер",
    "新华社", "中新社", "路透社", "法新社", "美联社", "中央社",
)  # fmt: skip
_NEGATIONS = frozenset({"no", "not", "never", "без", "не", "нет", "ні", "немає"})
#: What turns a report into another one though it is written small: headlines count in words up to ten or so.
_COUNTS = frozenset(
    _WORD.findall(
        "two three four five six seven eight nine ten eleven twelve hundred thousand million billion "
        "два две двух двое три трех трое четыре четырех четверо пять пяти пятеро шесть шести семь семи восемь восьми "
        "девять девяти десять десяти сто тысяча тысячи дві двоє трьох троє чотири чотирьох шість сім вісім тисяча"
    )
)
_TELLING_HAN = frozenset("不没沒無无未非否一二三四五六七八九十百千万萬亿億两兩")


@dataclass(frozen=True, slots=True)
class _Traits:
    """What of an item is compared in words, made once."""

    words: frozenset[str]
    #: the language, or the script where nobody says the language: only within one do words compare
    tongue: str


_NO_TRAITS = _Traits(frozenset(), "")


class OpenStories:
    """The items of the last `window`, ready to be compared with.

    It changes only by `add` and `forget`; `place` looks and says. What a restart reads back from the store and adds in the
    order in which they were seen gives the same answers.
    """

    def __init__(self, centre: Centre, window: timedelta) -> None:
        self._centre = centre
        self.window = window
        #: the longest window that a topic asks for
        self.longest = window
        self._reset()

    def _reset(self) -> None:
        self._members: list[Member] = []
        self._traits: list[_Traits] = []
        self._by_story: dict[str, list[int]] = {}
        self._by_item: dict[str, int] = {}
        #: word -> the members that have it
        self._postings: dict[str, list[int]] = defaultdict(list)
        # columns beside the members, grown by doubling
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._times = np.zeros(0, dtype=np.float64)
        self._norms = np.zeros(0, dtype=np.float32)
        #: how many engines read the member
        self._parts = np.zeros(0, dtype=np.float32)

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
        for position in np.argsort(-words, kind="stable")[:CANDIDATES]:
            n = int(near[position])
            if why := _copy(item, self._members[n].embedded.item):
                return self._joined(n, Relation.COPY, float(words[position]), why)
        likeness = self._likeness(embedded, traits, near, words)
        best, found = self._nearest_story(near, likeness)
        other = self._members[best].embedded.item
        if found < SAME_STORY:
            because = f"nothing open is like it; the nearest is “{other.title}” ({found:.2f} of {SAME_STORY:.2f})"
            return Placement(item.id, Relation.ROOT, likeness=found, because=because)
        return self._joined(
            best, Relation.UPDATE, found, f"the same event as “{other.title}” ({other.source}; likeness {found:.2f})"
        )

    def _likeness(
        self, embedded: EmbeddedItem, traits: _Traits, near: NDArray[np.int64], words: Vector
    ) -> NDArray[np.float64]:
        vector = self._centre(embedded)
        shared = np.minimum(self._parts[near], np.round(vector @ vector))
        meaning = (self._vectors[: len(self)] @ vector)[near] / np.maximum(shared, 1)
        across = np.array([self._traits[n].tongue != traits.tongue for n in near])
        likeness = np.where(across, MEANING_ACROSS * meaning, MEANING * meaning + (1 - MEANING) * words)
        away = np.abs(self._times[near] - embedded.item.at.timestamp()) / self.window.total_seconds()
        faded: NDArray[np.float64] = likeness - FADING * away
        return faded

    def _nearest_story(self, near: NDArray[np.int64], likeness: NDArray[np.float64]) -> tuple[int, float]:
        """The most alike member of the most alike story, and how alike the story is."""
        stories: dict[str, list[int]] = {}
        for position in np.argsort(-likeness, kind="stable"):
            story = self._members[near[position]].story
            if story in stories or len(stories) < SHORTLIST:
                stories.setdefault(story, []).append(int(position))

        def alike(positions: list[int]) -> float:
            values = likeness[positions[:MEMBERS]]
            return float(NEAREST * values[0] + (1 - NEAREST) * values.mean())

        best = max(stories.values(), key=alike)
        return int(near[best[0]]), alike(best)

    def add(self, member: Member) -> None:
        """Put an item where it was placed."""
        count = len(self)
        if count == len(self._times):
            room = max(64, 2 * count)
            self._vectors = _grown(self._vectors, (room, member.embedded.vector.size))
            self._times = _grown(self._times, (room,))
            self._norms = _grown(self._norms, (room,))
            self._parts = _grown(self._parts, (room,))
        self._members.append(member)
        self._traits.append(_NO_TRAITS)
        self._write(count)
        self._by_story.setdefault(member.story, []).append(count)
        self._by_item[member.embedded.item.id] = count

    def amend(self, embedded: EmbeddedItem) -> bool:
        """Let a member say what its publisher says now, at the time at which it stands; False if it is not open any more."""
        n = self._by_item.get(embedded.item.id)
        if n is None:
            return False
        for word in self._traits[n].words:
            self._postings[word].remove(n)
        was = self._members[n].embedded.item
        # as the store keeps it: an edit is not later news
        item = replace(embedded.item, published=was.published, first_seen=was.first_seen)
        self._members[n] = replace(self._members[n], embedded=replace(embedded, item=item))
        self._write(n)
        return True

    def is_open(self, item_id: str) -> bool:
        return item_id in self._by_item

    def placement_of(self, item_id: str) -> Placement:
        """Where an open item stands.

        Raises: KeyError if it is not open.
        """
        member = self._members[self._by_item[item_id]]
        return Placement(member.story, member.relation, because="it stands there since it was first seen")

    def _write(self, n: int) -> None:
        """Fill a member's columns from what it says."""
        embedded = self._members[n].embedded
        vector, traits = self._centre(embedded), _traits(embedded.item)
        for word in traits.words:
            self._postings[word].append(n)
        self._traits[n] = traits
        self._vectors[n] = vector
        self._parts[n] = np.round(vector @ vector)
        self._times[n] = embedded.item.at.timestamp()
        self._norms[n] = math.sqrt(sum(self._rarity(word) for word in traits.words) or 1.0)

    @property
    def span(self) -> timedelta:
        """How far back from the newest item, by when they were seen, items are kept: late ones must find their story."""
        return 2 * max(self.window, self.longest)

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

    def story(self, story_id: str) -> Story:
        """What the open items tell of a story.

        Raises: KeyError if none is open.
        """
        members = [self._members[n] for n in self._by_story[story_id]]
        items = [member.embedded.item for member in members]
        tellings = [(member.embedded.item, member.relation) for member in members]
        return Story(
            id=story_id,
            title=items[0].title,
            opened=min(item.at for item in items),
            latest=max(item.at for item in items),
            items=len(items),
            voices=voices(sorted(tellings, key=lambda telling: telling[0].at)),
            languages=tuple(dict.fromkeys(item.language for item in items if item.language)),
        )

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
    text = gist(_REISSUE.sub("", item.title), item.text)
    return _Traits(frozenset(_words(fold(text))), item.language or script(text))


def _words(folded: str) -> list[str]:
    """Words; for scripts without spaces, pairs of characters."""
    words = []
    for word in _WORD.findall(folded):
        if _HAN.search(word):
            words += [word[n : n + 2] for n in range(max(1, len(word) - 1))]
        elif len(word) > 1:
            words.append(word)
    return words


# -- copies ---------------------------------------------------------------------------------------


def _copy(item: Item, other: Item) -> str:
    """Why an item is a copy of another; empty if it is none."""
    if abs(item.at - other.at) > COPY_WINDOW:
        return ""
    mine, theirs = (_bare(one, (item.source, other.source)) for one in (item, other))
    if not _squeezed(mine):
        return ""
    if _squeezed(mine) == _squeezed(theirs):
        return f"the same text as “{other.title}” ({other.source})"
    same_page = bool(item.canonical_link) and item.canonical_link == other.canonical_link
    # publishers reuse their own templates: within one source only the same page is a copy
    if item.feed.url == other.feed.url and not same_page:
        return ""
    one, two = _shingles(_squeezed(mine)), _shingles(_squeezed(theirs))
    overlap = len(one & two) / len(one | two)
    if (
        overlap < COPY_OVERLAP
        or set(_NUMBER.findall(mine)) != set(_NUMBER.findall(theirs))
        or _names_differ(mine, theirs)
    ):
        return ""
    return f"{overlap:.0%} the same text as “{other.title}” ({other.source}), with the same numbers and names"


def _bare(item: Item, outlets: tuple[str, ...]) -> str:
    """The text without "UPDATE 1-" before it and without the names of the outlets after headline and text."""
    credit = _credit(outlets)
    return f"{credit.sub('', _REISSUE.sub('', item.title))}\n{credit.sub('', item.text[:COMPARED])}"


@functools.lru_cache(4_096)
def _credit(outlets: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in (*_AGENCIES, *outlets) if name)
    return re.compile(rf"\s*[-–—|(（«\"“]+\s*[(（«\"“]*(?:{names})[)）»\"”]*\s*$", re.IGNORECASE)


def _squeezed(text: str) -> str:
    return " ".join(_WORD.findall(fold(text)))


def _shingles(text: str) -> frozenset[str]:
    return frozenset(text[n : n + SHINGLE] for n in range(max(1, len(text) - SHINGLE + 1)))


def _names_differ(one: str, other: str) -> bool:
    """Whether a word that one text has and the other lacks could be a name, counts, or turns the sense round."""
    mine, theirs = set(_WORD.findall(one)), set(_WORD.findall(other))
    if any(word[0].isupper() or fold(word) in _NEGATIONS | _COUNTS for word in mine ^ theirs):
        return True
    # Han has no capitals, so that characters which stand in for others may be a name; added ones are a credit
    here, there = Counter(_HAN.findall(one)), Counter(_HAN.findall(other))
    added, lost = here - there, there - here
    return bool(added and lost) or not _TELLING_HAN.isdisjoint(added + lost)
