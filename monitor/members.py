"""What is kept of the items in open stories: what comparing takes, some 1,000 bytes each, in columns; never an item itself."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.copies import Wording, without_reissue, wording
from monitor.model import EmbeddedItem, Feed, Item, Relation, Vector
from monitor.neighbours import Neighbours
from monitor.space import Space
from monitor.text import gist, script
from monitor.words import WordIds, word_ids

#: So many items of a language weigh as much as what is ordinary in it, in the middle that likeness is measured from.
LEANING = 1_000
#: Words are counted by the last bits of their hashes.
_WORD_TABLE = 1 << 20
_WORD_MASK = np.uint32(_WORD_TABLE - 1)

Rows = NDArray[np.int64]
Thing = TypeVar("Thing", bound=Hashable)
Number = TypeVar("Number", bound=np.generic)

_RELATIONS = list(Relation)


@dataclass(frozen=True, slots=True)
class Sight:
    """What of an item is compared, made once."""

    #: as `Space.vector` gives it
    vector: Vector
    words: WordIds
    #: the language, or the script where nobody says the language: only within one do words say much
    tongue: str
    wording: Wording


def sight(embedded: EmbeddedItem, space: Space) -> Sight:
    item = embedded.item
    text = gist(without_reissue(item.title), item.text)
    return Sight(space.vector(embedded), word_ids(text), item.language or script(text), wording(item))


class Members:
    """Items by row, in the order in which they were added."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.ids: list[str] = []
        self._table = np.zeros(
            0,
            np.dtype(
                [
                    # the vector in steps of `scale`
                    ("vector", np.int8, (space.dimension,)), ("scale", np.float32),
                    ("at", np.float64), ("seen", np.float64), ("relation", np.int8),
                    ("tongue", np.int16), ("language", np.int16), ("feed", np.int32), ("link", np.uint32),
                    ("words", np.int64), ("word_count", np.int32), ("text", np.int64), ("text_size", np.int32),
                ]
            ),
        )  # fmt: skip
        # one row's after the other's
        self._words = np.zeros(0, dtype=np.uint32)
        self._words_used = 0
        self._texts = bytearray()
        self._tongues: _Numbered[str] = _Numbered()
        self._languages: _Numbered[str] = _Numbered()
        self._feeds: _Numbered[Feed] = _Numbered()
        self._neighbours = Neighbours(space.common[1] - space.common[0])
        #: in how many ordinary items and rows each word stands
        self._word_counts = space.word_weights.counts(_WORD_TABLE)
        #: of each tongue, the sum of its rows' vectors, and how many they are
        self._sums = np.zeros((0, space.dimension), dtype=np.float64)
        self._counts = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    # -- asking -----------------------------------------------------------------------------------

    def nearest(self, vector: Vector, count: int) -> Rows:
        """At most so many rows that mean nearly the same, in the order added."""
        return self._neighbours.nearest(vector[slice(*self._space.common)], count).astype(np.int64)

    def at(self, rows: Rows) -> NDArray[np.float64]:
        """Effective times, Unix."""
        return np.asarray(self._table["at"][rows], dtype=np.float64)

    def in_tongue(self, rows: Rows, tongue: str) -> NDArray[np.bool_]:
        """Which rows are written in this tongue."""
        return np.asarray(self._table["tongue"][rows] == self._tongues.find(tongue))

    def meaning(self, one: Sight, rows: Rows) -> Vector:
        """Cosine of each row with an item, from the middle of its language; the mean over the parts that live in both.

        The middle moves with the news: while one subject fills it, having that subject in common says little.
        """
        theirs = self._table["vector"][rows] * self._table["scale"][rows, None]
        middles = np.asarray(self._sums / (self._counts + LEANING)[:, None], dtype=np.float32)
        tongues, places = self._table["tongue"][rows], np.arange(len(rows))
        tongue = self._tongues.find(one.tongue)
        total, shared = np.zeros(len(rows), dtype=np.float32), np.zeros(len(rows), dtype=np.float32)
        for start, end in self._space.bounds:
            if one.vector[start:end].any():
                part, middle = theirs[:, start:end], middles[:, start:end]
                mine = one.vector[start:end] - (middle[tongue] if tongue >= 0 else 0)
                # (part - middle) times mine, and times itself, without making the differences
                squares, products = np.einsum("ij,ij->i", part, part), np.vstack([mine, middle]) @ part.T
                shifts, own = products[1 + tongues, places], np.einsum("ij,ij->i", middle, middle)[tongues]
                dots = products[0] - (middle @ mine)[tongues]
                lengths = np.sqrt(np.maximum(squares - 2 * shifts + own, 1e-9)) * max(float(np.linalg.norm(mine)), 1e-9)
                living = squares > 0
                total += np.where(living, dots / lengths, 0)
                shared += living
        return np.asarray(total / np.maximum(shared, 1), dtype=np.float32)

    def shared_words(self, one: Sight, rows: Rows) -> Vector:
        """Cosine of each row with an item as sets of words, weighted by how rare these are in ordinary and in this news."""
        if not len(one.words):
            return np.zeros(len(rows), dtype=np.float32)
        theirs, owners = self._words_of(rows)
        weights = self._weights(theirs)
        places = np.minimum(np.searchsorted(one.words, theirs), len(one.words) - 1)
        shared = np.bincount(owners, weights * (one.words[places] == theirs), minlength=len(rows))
        lengths = np.bincount(owners, weights, minlength=len(rows)) * self._weights(one.words).sum()
        likeness = np.divide(shared, np.sqrt(lengths), out=np.zeros(len(rows)), where=lengths > 0)
        return np.asarray(likeness, dtype=np.float32)

    def _weights(self, words: WordIds) -> NDArray[np.float64]:
        """What words tell: inverse document frequency (Spärck Jones 1972), cubed: names tell most."""
        counts = self._word_counts[words & _WORD_MASK]
        rarity = np.log((self._space.word_weights.texts + len(self) + 1) / (counts + 0.5))
        return np.asarray(rarity * rarity * rarity, dtype=np.float64)

    def wording(self, row: int) -> Wording:
        one = self._table[row]
        title, _, text = zlib.decompress(self._packed(row)).decode("utf-8", "replace").partition("\n")
        feed = self.feed(row)
        return Wording(title, text, feed.name, feed.url, int(one["link"]), _time(one["at"]))

    def feed(self, row: int) -> Feed:
        return self._feeds.things[int(self._table["feed"][row])]

    def language(self, row: int) -> str:
        """Empty where nobody says."""
        return self._languages.things[int(self._table["language"][row])]

    def relation(self, row: int) -> Relation:
        return _RELATIONS[int(self._table["relation"][row])]

    def seen_since(self, before_newest: float) -> Rows:
        """The rows that were first seen so many seconds, or fewer, before the one seen last."""
        seen = self._table["seen"][: len(self)]
        return np.flatnonzero(seen >= seen.max(initial=0) - before_newest)

    # -- keeping ----------------------------------------------------------------------------------

    def add(self, item: Item, one: Sight, relation: Relation) -> int:
        """Keep an item; its row."""
        row = len(self)
        self.ids.append(item.id)
        self._table = roomy(self._table, row + 1)
        self._table["at"][row] = item.at.timestamp()
        self._table["seen"][row] = item.first_seen.timestamp()
        self._table["relation"][row] = _RELATIONS.index(relation)
        self._write(row, item, one)
        return row

    def amend(self, row: int, item: Item, now: Sight) -> None:
        """Let a row say what its item says now."""
        one = self._table[row]
        words, _ = self._words_of(np.array([row]))
        np.subtract.at(self._word_counts, words & _WORD_MASK, 1)
        self._sums[one["tongue"]] -= one["vector"] * one["scale"]
        self._counts[one["tongue"]] -= 1
        self._write(row, item, now)

    def only(self, rows: Sequence[int]) -> Members:
        """The same with these rows alone, in their order."""
        kept = Members(self._space)
        kept._tongues, kept._languages, kept._feeds = self._tongues, self._languages, self._feeds
        kept.ids = [self.ids[row] for row in rows]
        # all at once: row by row it takes seconds, in which no poll can be judged
        chosen = np.array(rows, dtype=np.int64)
        table = kept._table = self._table[chosen]
        kept._words, _ = self._words_of(chosen)
        kept._words_used = len(kept._words)
        table["words"] = np.cumsum(table["word_count"], dtype=np.int64) - table["word_count"]
        kept._word_counts += np.bincount(kept._words & _WORD_MASK, minlength=_WORD_TABLE).astype(np.int32)
        kept._texts = bytearray().join(map(self._packed, rows))
        table["text"] = np.cumsum(table["text_size"], dtype=np.int64) - table["text_size"]
        vectors = table["vector"] * table["scale"][:, None]
        kept._sums, kept._counts = np.zeros_like(self._sums), np.bincount(table["tongue"], minlength=len(self._counts))
        np.add.at(kept._sums, table["tongue"], vectors)
        kept._neighbours.add_all(range(len(rows)), vectors[:, slice(*self._space.common)])
        return kept

    def _write(self, row: int, item: Item, one: Sight) -> None:
        self._table["tongue"][row] = self._tongues.number(one.tongue)
        self._table["language"][row] = self._languages.number(item.language)
        self._table["feed"][row] = self._feeds.number(item.feed)
        self._table["link"][row] = one.wording.link
        scale = float(np.abs(one.vector).max()) / 127 or 1.0
        packed = zlib.compress(f"{one.wording.title}\n{one.wording.text}".encode("utf-8", "replace"), 1)
        self._put(row, np.round(one.vector / scale).astype(np.int8), np.float32(scale), one.words, packed)

    def _put(self, row: int, vector: NDArray[np.int8], scale: np.float32, words: WordIds, packed: bytes) -> None:
        one = self._table[row]
        one["vector"], one["scale"] = vector, scale
        one["words"], one["word_count"], self._words_used = self._words_used, len(words), self._words_used + len(words)
        self._words = roomy(self._words, self._words_used)
        self._words[one["words"] : self._words_used] = words
        np.add.at(self._word_counts, words & _WORD_MASK, 1)
        one["text"], one["text_size"] = len(self._texts), len(packed)
        self._texts += packed
        tongue = one["tongue"]
        if tongue >= len(self._counts):
            self._counts = np.pad(self._counts, (0, tongue + 1 - len(self._counts)))
            self._sums = np.pad(self._sums, ((0, tongue + 1 - len(self._sums)), (0, 0)))
        self._sums[tongue] += vector * scale
        self._counts[tongue] += 1
        self._neighbours.add(row, (vector * scale)[slice(*self._space.common)])

    def _words_of(self, rows: Rows) -> tuple[WordIds, Rows]:
        """The words of rows, one row's after the other's, and of each the place of its row."""
        counts = self._table["word_count"][rows].astype(np.int64)
        owners = np.repeat(np.arange(len(rows)), counts)
        offsets = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._words[np.repeat(self._table["words"][rows], counts) + offsets], owners

    def _packed(self, row: int) -> bytes:
        one = self._table[row]
        return bytes(self._texts[one["text"] : one["text"] + one["text_size"]])


class _Numbered(Generic[Thing]):
    """Things by number, from 0 on."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self._numbers: dict[Thing, int] = {}

    def number(self, thing: Thing) -> int:
        number = self._numbers.setdefault(thing, len(self.things))
        if number == len(self.things):
            self.things.append(thing)
        return number

    def find(self, thing: Thing) -> int:
        """-1 if it has none."""
        return self._numbers.get(thing, -1)


def roomy(column: NDArray[Number], count: int) -> NDArray[Number]:
    """The column, with room for so many; it grows by a quarter, so that growing stays cheap and little is wasted."""
    if count <= len(column):
        return column
    grown = np.zeros(max(count, 64, len(column) * 5 // 4), dtype=column.dtype)
    grown[: len(column)] = column
    return grown


def _time(timestamp: float) -> datetime:
    return datetime.fromtimestamp(float(timestamp), UTC)
