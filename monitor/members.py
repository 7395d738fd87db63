"""What is kept of the items in open stories: what comparing takes, some 400 bytes each, in columns; never an item itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from mmap import mmap
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.copies import Wording, without_reissue, wording
from monitor.ids import Ids
from monitor.model import EmbeddedItem, Feed, Item, Relation, Vector
from monitor.neighbours import Neighbours
from monitor.space import Space
from monitor.text import gist, script
from monitor.words import WordIds, gathered, sums_of, word_ids

#: So many items of a language weigh as much as what is ordinary in it, in the middle that likeness is measured from.
LEANING = 1_000
#: Words are counted by the last bits of their hashes.
_WORD_TABLE = 1 << 20
_WORD_MASK = np.uint32(_WORD_TABLE - 1)
#: Rows whose vectors are made whole at once.
_BLOCK = 4_096
#: Steps to each side of zero in which a vector's numbers are kept, two to a byte; and of each byte its two numbers.
_STEPS = 7
_PAIRS = ((np.arange(256)[:, None] >> np.array([0, 4]) & 15) - (_STEPS + 1)).astype(np.float32).view(np.float64).ravel()

Rows = NDArray[np.int64]
Thing = TypeVar("Thing", bound=Hashable)
Number = TypeVar("Number", bound=np.generic)

_RELATIONS = list(Relation)
_COLUMNS = {
    "at": np.float64, "seen": np.int32, "relation": np.int8, "tongue": np.int16, "language": np.int16,
    "feed": np.int32, "link": np.uint32, "words": np.uint32, "word_count": np.uint32, "text": np.int64,
    "text_size": np.uint16,
}  # fmt: skip


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


class Texts(Protocol):
    """Texts, one after the other, by where they begin."""

    def add(self, text: bytes) -> int:
        """Keep a text; where it begins."""
        ...

    def read(self, start: int, size: int) -> bytes:
        """The text of this size that was added there."""
        ...


class _TextsInMemory:
    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, text: bytes) -> int:
        self._kept += text
        return len(self._kept) - len(text)

    def read(self, start: int, size: int) -> bytes:
        return bytes(self._kept[start : start + size])


class Members:
    """Items by row, in the order in which they were added."""

    def __init__(self, space: Space, texts: Callable[[], Texts] | None = None) -> None:
        """texts: makes what keeps their texts; in memory if None."""
        self._space = space
        self._make_texts = texts or _TextsInMemory
        self.ids = Ids()
        self._columns: dict[str, NDArray[Any]] = {name: np.zeros(0, kind) for name, kind in _COLUMNS.items()}
        self._parts = [_Part(end - start) for start, end in space.bounds]
        # one row's after the other's
        self._words = np.zeros(0, dtype=np.uint32)
        self._words_used = 0
        self._texts = self._make_texts()
        self._tongues: _Numbered[str] = _Numbered()
        self._languages: _Numbered[str] = _Numbered()
        self._feeds: _Numbered[Feed] = _Numbered()
        self._neighbours = Neighbours(space.common[1] - space.common[0])
        #: in how many ordinary items and rows each word stands
        self._word_counts = space.word_weights.counts(_WORD_TABLE)
        #: of each tongue, the sum of its rows' vectors, how many they are, and their middle
        self._sums = np.zeros((0, space.dimension), dtype=np.float64)
        self._counts = np.zeros(0, dtype=np.int64)
        self._middles = np.zeros((0, space.dimension), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    # -- asking -----------------------------------------------------------------------------------

    def nearest(self, vector: Vector, count: int) -> Rows:
        """At most so many rows that mean nearly the same, in the order added."""
        return self._neighbours.nearest(vector[slice(*self._space.common)], count).astype(np.int64)

    def at(self, rows: Rows) -> NDArray[np.float64]:
        """Effective times, Unix."""
        return self._columns["at"].take(rows)

    def in_tongue(self, rows: Rows, tongue: str) -> NDArray[np.bool_]:
        """Which rows are written in this tongue."""
        return np.asarray(self._columns["tongue"].take(rows) == self._tongues.find(tongue))

    def meaning(self, one: Sight, rows: Rows) -> Vector:
        """Cosine of each row with an item, from the middle of its language; the mean over the parts that live in both.

        The middle moves with the news: while one subject fills it, having that subject in common says little.
        """
        tongues, tongue = self._columns["tongue"].take(rows), self._tongues.find(one.tongue)
        total, shared = np.zeros(len(rows), dtype=np.float32), np.zeros(len(rows), dtype=np.float32)
        for part, (start, end) in zip(self._parts, self._space.bounds, strict=True):
            mine, middles = one.vector[start:end], self._middles[:, start:end]
            if part.used and mine.any():
                mine = mine - middles[tongue] if tongue >= 0 else mine
                theirs, scales, living = part.rows(rows)
                # theirs, of length 1, less their middle: its product with mine, and its length, without making the difference
                both = np.concatenate((middles, mine[None]))
                inner = both @ both.T
                products = (theirs @ both.T) * scales[:, None]
                shifts = products.ravel().take(tongues + np.arange(0, products.size, len(both)))
                lengths = np.sqrt(np.maximum(1 - 2 * shifts + inner.diagonal().take(tongues), 1e-9))
                cosines = (products[:, -1] - inner[-1].take(tongues)) / (lengths * max(math.sqrt(inner[-1, -1]), 1e-9))
                total += living * cosines
                shared += living
        return np.asarray(total / np.maximum(shared, 1), dtype=np.float32)

    def shared_words(self, one: Sight, rows: Rows) -> Vector:
        """Cosine of each row with an item as sets of words, weighted by how rare these are in ordinary and in this news."""
        if not len(one.words):
            return np.zeros(len(rows), dtype=np.float32)
        theirs, starts = self._words_of(rows)
        weights = self._weights(theirs)
        places = np.searchsorted(one.words[:-1], theirs)
        shared = sums_of(weights * (one.words.take(places) == theirs), starts)
        lengths = sums_of(weights, starts) * self._weights(one.words).sum()
        none: Vector = np.zeros(len(rows), dtype=np.float32)
        return np.asarray(np.divide(shared, np.sqrt(lengths), out=none, where=lengths > 0), dtype=np.float32)

    def _weights(self, words: WordIds) -> Vector:
        """What words tell: inverse document frequency (Spärck Jones 1972), cubed: names tell most."""
        counts = self._word_counts.take(words & _WORD_MASK).astype(np.float32)
        rarity = np.log(np.float32(self._space.word_weights.texts + len(self) + 1) / (counts + np.float32(0.5)))
        return np.asarray(rarity * rarity * rarity, dtype=np.float32)

    def wording(self, row: int) -> Wording:
        title, _, text = self._texts.read(*self._text_at(row)).decode("utf-8", "replace").partition("\n")
        feed = self.feed(row)
        return Wording(
            title, text, feed.name, feed.url, int(self._columns["link"][row]), _time(self._columns["at"][row])
        )

    def feed(self, row: int) -> Feed:
        return self._feeds.things[int(self._columns["feed"][row])]

    def language(self, row: int) -> str:
        """Empty where nobody says."""
        return self._languages.things[int(self._columns["language"][row])]

    def relation(self, row: int) -> Relation:
        return _RELATIONS[int(self._columns["relation"][row])]

    def seen_since(self, before_newest: float) -> Rows:
        """The rows that were first seen so many seconds, or fewer, before the one seen last; to the minute."""
        seen = self._columns["seen"][: len(self)]
        newest = seen.max() if len(seen) else 0
        return np.flatnonzero(seen >= newest - before_newest / 60)

    # -- keeping ----------------------------------------------------------------------------------

    def add(self, item: Item, one: Sight, relation: Relation) -> int:
        """Keep an item; its row."""
        row = len(self)
        self.ids.append(item.id)
        if row >= len(self._columns["at"]):
            self._columns = {name: roomy(column, row + 1) for name, column in self._columns.items()}
        self._columns["at"][row] = item.at.timestamp()
        self._columns["seen"][row] = item.first_seen.timestamp() // 60
        self._columns["relation"][row] = _RELATIONS.index(relation)
        self._write(row, item, one)
        return row

    def amend(self, row: int, item: Item, now: Sight) -> None:
        """Let a row say what its item says now."""
        words, _ = self._words_of(np.array([row]))
        np.subtract.at(self._word_counts, words & _WORD_MASK, 1)
        self._lean(int(self._columns["tongue"][row]), -self._vectors(np.array([row]))[0], -1)
        self._write(row, item, now)

    def keep(self, rows: Sequence[int]) -> None:
        """Let go of all but these rows, which are numbered anew, in their order."""
        # a column after the other, and all its rows at once: by the row it takes seconds, in which no poll can be judged
        chosen = np.array(rows, dtype=np.int64)
        self.ids = Ids(self.ids[row] for row in rows)
        let_go, _ = self._words_of(np.setdiff1d(np.arange(len(self._columns["at"])), chosen))
        self._word_counts -= np.bincount(let_go & _WORD_MASK, minlength=_WORD_TABLE).astype(np.int32)
        self._words, _ = self._words_of(chosen)
        self._words_used = len(self._words)
        texts, kept = self._texts, self._make_texts()
        for row in rows:
            kept.add(texts.read(*self._text_at(row)))
        self._texts = kept
        columns = self._columns = {name: column.take(chosen) for name, column in self._columns.items()}
        for begin, size in (("words", "word_count"), ("text", "text_size")):
            sizes = columns[size].astype(np.int64)
            columns[begin][:] = np.cumsum(sizes) - sizes
        for part in self._parts:
            part.keep(chosen)
        self._neighbours = Neighbours(self._space.common[1] - self._space.common[0])
        self._sums, self._counts = np.zeros_like(self._sums), np.zeros_like(self._counts)
        for start in range(0, len(rows), _BLOCK):
            block = np.arange(start, min(start + _BLOCK, len(rows)))
            vectors = self._vectors(block)
            np.add.at(self._sums, columns["tongue"][block], vectors)
            self._neighbours.add_all(block.tolist(), vectors[:, slice(*self._space.common)])
        self._counts += np.bincount(columns["tongue"], minlength=len(self._counts))
        self._middles[:] = self._sums / (self._counts + LEANING)[:, None]

    def _write(self, row: int, item: Item, one: Sight) -> None:
        tongue = self._tongues.number(one.tongue)
        text = f"{one.wording.title}\n{one.wording.text}".encode("utf-8", "replace")
        columns, begin = self._columns, self._words_used
        columns["tongue"][row], columns["language"][row] = tongue, self._languages.number(item.language)
        columns["feed"][row], columns["link"][row] = self._feeds.number(item.feed), one.wording.link
        columns["text"][row], columns["text_size"][row] = self._texts.add(text), len(text)
        columns["words"][row], columns["word_count"][row] = begin, len(one.words)
        self._words_used += len(one.words)
        self._words = roomy(self._words, self._words_used)
        self._words[begin : self._words_used] = one.words
        np.add.at(self._word_counts, one.words & _WORD_MASK, 1)
        parts = zip(self._parts, self._space.bounds, strict=True)
        # what is kept is what counts, so that an edit takes out what was put in
        vector = np.concatenate([part.put(row, one.vector[start:end]) for part, (start, end) in parts])
        self._lean(tongue, vector, 1)
        self._neighbours.add(row, vector[slice(*self._space.common)])

    def _lean(self, tongue: int, vector: Vector, count: int) -> None:
        """Move a tongue's middle by so many rows, of which this is the sum."""
        if tongue >= len(self._counts):
            more = ((0, tongue + 1 - len(self._counts)), (0, 0))
            self._counts = np.pad(self._counts, more[0])
            self._sums, self._middles = np.pad(self._sums, more), np.pad(self._middles, more)
        self._sums[tongue] += vector
        self._counts[tongue] += count
        self._middles[tongue] = self._sums[tongue] / (self._counts[tongue] + LEANING)

    def _vectors(self, rows: Rows) -> Vector:
        """As they are kept; shape (rows, dimensions)."""
        parts = (part.rows(rows) for part in self._parts)
        return np.hstack([vectors * (scales * living)[:, None] for vectors, scales, living in parts])

    def _words_of(self, rows: Rows) -> tuple[WordIds, Rows]:
        """The words of rows, one row's after the other's, and where each row's begin, and the last one's end."""
        return gathered(self._words, self._columns["words"].take(rows), self._columns["word_count"].take(rows))

    def _text_at(self, row: int) -> tuple[int, int]:
        return int(self._columns["text"][row]), int(self._columns["text_size"][row])


class _Part:
    """One engine's part of the rows' vectors, of those where it lives."""

    def __init__(self, dimension: int) -> None:
        self.used = 0
        #: by row; -1 where the part is zero
        self._places = np.zeros(0, dtype=np.int32)
        self._dimension = dimension
        # by place: the vector in steps, two dimensions to a byte, and the step that makes its length 1
        self._vectors = np.zeros((0, (dimension + 1) // 2), dtype=np.uint8)
        self._scales = np.zeros(0, dtype=np.float32)

    def put(self, row: int, vector: Vector) -> Vector:
        """Keep a row's part; the part as it is kept."""
        self._places = roomy(self._places, row + 1)
        largest = float(np.abs(vector).max())
        if not largest:
            self._places[row] = -1
            return vector
        self._places[row] = place = self.used
        self._vectors, self._scales = roomy(self._vectors, place + 1), roomy(self._scales, place + 1)
        steps = np.round(vector * np.float32(_STEPS / largest))
        scale = np.float32(1 / math.sqrt(steps @ steps))
        halves = (steps + (_STEPS + 1)).astype(np.uint8)
        self._vectors[place], self._scales[place] = halves[::2], scale
        self._vectors[place, : len(halves) // 2] |= halves[1::2] << 4
        self.used += 1
        return steps * scale

    def rows(self, rows: Rows) -> tuple[Vector, Vector, NDArray[np.bool_]]:
        """Of each row the vector in steps, the step, and whether it lives: if not, the others say nothing."""
        places = self._places.take(rows)
        living = places >= 0
        if not self.used:
            nothing = np.zeros((len(rows), self._dimension), dtype=np.float32)
            return nothing, nothing[:, 0], living
        pairs = _PAIRS.take(self._vectors.take(places, axis=0, mode="wrap"))
        return pairs.view(np.float32)[:, : self._dimension], self._scales.take(places, mode="wrap"), living

    def keep(self, rows: Rows) -> None:
        places = self._places[rows]
        living = places >= 0
        self._vectors, self._scales = self._vectors[places[living]], self._scales[places[living]]
        self._places = np.where(living, np.cumsum(living) - 1, -1).astype(np.int32)
        self.used = len(self._scales)


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
    """The column, with room for so many; it grows by half, so that growing stays cheap.

    Of what the system maps only what was written to takes memory, and all of it is given back: on the heap, columns that
    grow in turns leave holes, which were as large as they.
    """
    if count <= len(column):
        return column
    shape = max(count, 1_024, len(column) * 3 // 2), *column.shape[1:]
    grown = np.frombuffer(mmap(-1, math.prod(shape) * column.dtype.itemsize), dtype=column.dtype).reshape(shape)
    grown[: len(column)] = column
    return grown


def _time(timestamp: float) -> datetime:
    return datetime.fromtimestamp(float(timestamp), UTC)
