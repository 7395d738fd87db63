"""Which of a great many items are near a topic, by gist and terms: a cheap look at all, so that the exact one is for few. Pure.

Takes items in columns, gives for each topic those that score from a floor on, exactly as matching would by the gist alone, and
those in which one of its `always` terms stands. The cheap look overrates: what it leaves out would hardly have come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from monitor.background import Matrix, Tongue
from monitor.match import Matcher
from monitor.model import Past, Topic, Vector
from monitor.terms import Pieces, pieces_of
from monitor.text import LEAD, code_points, fold, gist, letter_kinds, scripts
from monitor.words import STEM, WordIds, stems, word_id, word_ids

#: Items that are looked at in one go.
BLOCK = 8192
#: Words that stand in more than one in so many ordinary items say little of a topic: what they may add is taken for granted.
COMMON, GRANTED = 30, 0.04
#: Shorter words of letters are not looked for: they stand inside others, a hundred times for each time that they are meant.
SHORTEST = 3
#: A text's words are, as a vector, at least as long as this times the root of their number, which is its letters by so many.
LENGTH_A_WORD, LETTERS_A_WORD = 4.5, 7.0

Rows: TypeAlias = NDArray[np.intp]
#: is told how much is done, of how much
Report: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Near:
    """What is near one topic."""

    rows: Rows
    #: of the gist, in decades; as `Matcher.scores` gives it
    rarity: Vector
    #: one of the topic's `always` terms stands in it
    named: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Block:
    #: places in the archive: from, and up to
    start: int
    end: int
    #: titles and texts, folded, a line each, and where each begins; and its signs
    folded: str
    begins: Rows
    codes: NDArray[np.uint32]
    #: how long the gist of each is at most, and how long its words are at least
    ends: Rows
    lengths: Vector


class Sieve:
    """An archive, made ready once: topics are many, and tried again."""

    def __init__(self, past: Past) -> None:
        self.past = past
        scripts = _scripts(past)
        names = list(dict.fromkeys(zip(past.languages, scripts, strict=True)))
        self._tongues = [Tongue(*name) for name in names]
        place = {name: n for n, name in enumerate(names)}
        self._tongue_of = np.array([place[name] for name in zip(past.languages, scripts, strict=True)], dtype=np.intp)
        self._blocks: list[_Block] = []
        self._words: dict[int, WordIds] = {}

    def near(
        self, matcher: Matcher, topics: Sequence[str], floors: Sequence[float], report: Report = lambda _done, _of: None
    ) -> dict[str, Near]:
        """For each topic what is near it.

        floors: from which rarity on, in decades, for each.
        """
        places = [matcher.places[topic] for topic in topics]
        chosen = [matcher.topics[topic] for topic in topics]
        words, terms = _words(chosen, matcher), _always(chosen)
        sought = _Sought(words, terms, len(topics))
        floor = np.array(floors, dtype=np.float32)
        likely: list[tuple[Rows, Matrix]] = []
        named: list[tuple[Rows, Rows]] = []
        for block in self._made():
            shared, (items, who) = sought.look(block)
            near = np.flatnonzero((self._at_most(matcher, block, shared, places) >= floor).any(axis=1))
            likely.append((block.start + near, shared[near]))
            named.append((block.start + items, who))
            report(block.end, len(self.past))
        names = self._named(matcher, chosen, named)
        rows = np.union1d(self._nearer(matcher, likely, floor, places), sorted({row for row, _ in names})).astype(
            np.intp
        )
        exact = self._exactly(matcher, rows, places)
        found = {}
        for n, topic in enumerate(topics):
            by_name = np.isin(rows, [row for row, who in names if who == n])
            kept = by_name | (exact[:, n] >= floor[n])
            found[topic] = Near(rows[kept], exact[kept, n], by_name[kept])
        return found

    def _made(self) -> Iterator[_Block]:
        """The archive's blocks; each made when it is first looked at."""
        past = self.past
        for number, start in enumerate(range(0, len(past), BLOCK)):
            if number == len(self._blocks):
                self._blocks.append(_block(past, start, min(start + BLOCK, len(past))))
            yield self._blocks[number]

    def _at_most(self, matcher: Matcher, block: _Block, shared: Matrix, places: Sequence[int]) -> Matrix:
        rarity = np.zeros(shared.shape, dtype=np.float32)
        vectors = self.past.vectors[block.start : block.end].astype(np.float32)
        tongues = self._tongue_of[block.start : block.end]
        for tongue in np.unique(tongues):
            rows = np.flatnonzero(tongues == tongue)
            rarity[rows] = matcher.ranks.at_most(vectors[rows], shared[rows], self._tongues[tongue], places)
        return rarity

    def _nearer(
        self, matcher: Matcher, likely: Sequence[tuple[Rows, Matrix]], floor: Vector, places: Sequence[int]
    ) -> Rows:
        """Of what is likely, what may be near by its exact direction too: to read all words of the others takes a second."""
        rows = np.concatenate([*(rows for rows, _ in likely), np.zeros(0, np.intp)])
        shared = np.concatenate([*(shared for _, shared in likely), np.zeros((0, len(places)), np.float32)])
        near = np.zeros(len(rows), dtype=np.bool_)
        for some, centred, tongue in self._centred(matcher, rows):
            near[some] = (matcher.ranks.rarities_by(centred, shared[some], tongue, places) >= floor).any(axis=1)
        return rows[near]

    def _exactly(self, matcher: Matcher, rows: Rows, places: Sequence[int]) -> Matrix:
        rarity = np.zeros((len(rows), len(places)), dtype=np.float32)
        words = [self._words_of(row) for row in rows.tolist()]
        shared = matcher.ranks.shared_words(words, places)
        for some, centred, tongue in self._centred(matcher, rows):
            rarity[some] = matcher.ranks.rarities_by(centred, shared[some], tongue, places)
        return rarity

    def _words_of(self, row: int) -> WordIds:
        """The words of an item's gist: two versions of a topic ask for mostly the same."""
        if row not in self._words:
            self._words[row] = word_ids(gist(self.past.titles[row], self.past.texts[row]))
        return self._words[row]

    def _centred(self, matcher: Matcher, rows: Rows) -> Iterator[tuple[Rows, Matrix, Tongue]]:
        """Places among `rows`, of one tongue at a time, and the centred vectors of the items there."""
        for number, tongue in enumerate(self._tongues):
            of_tongue = np.flatnonzero(self._tongue_of[rows] == number)
            for start in range(0, len(of_tongue), BLOCK):
                some = of_tongue[start : start + BLOCK]
                vectors = self.past.vectors[rows[some]].astype(np.float32)
                yield some, matcher.background.centred(vectors, [tongue] * len(some)), tongue

    def _named(
        self, matcher: Matcher, topics: Sequence[Topic], likely: Sequence[tuple[Rows, Rows]]
    ) -> set[tuple[int, int]]:
        """Of items and topics those in which one of the topic's `always` terms stands, and not only a piece of it."""
        pairs: dict[int, list[int]] = {}
        for rows, who in likely:
            for row, number in zip(rows.tolist(), who.tolist(), strict=True):
                pairs.setdefault(row, []).append(number)
        named = set()
        for row, numbers in pairs.items():
            found = matcher.lexicon.find(f"{self.past.titles[row]}\n{self.past.texts[row]}")
            named |= {(row, n) for n in set(numbers) if any(term in found for term in topics[n].terms.always)}
        return named


def _scripts(past: Past) -> list[str]:
    """What the gist of each item is written in."""
    found = ["Latin"] * len(past)
    strange = []
    for row, (title, text) in enumerate(zip(past.titles, past.texts, strict=True)):
        # the title is always of the gist
        if not (title.isascii() and text.isascii() and title.lower() != title.upper()):
            strange.append(row)
    for start in range(0, len(strange), BLOCK):
        rows = strange[start : start + BLOCK]
        for row, name in zip(rows, scripts([gist(past.titles[row], past.texts[row]) for row in rows]), strict=True):
            found[row] = name
    return found


def _block(past: Past, start: int, end: int) -> _Block:
    lines = [fold(f"{past.titles[row]} {past.texts[row]}") for row in range(start, end)]
    sizes = np.array([len(line) for line in lines], dtype=np.intp)
    begins = np.cumsum(sizes + 1) - sizes - 1
    folded = "\n".join(lines)
    # a little more than the gist: folding may lengthen it
    reach = np.minimum(sizes, [len(title) + LEAD + 20 for title in past.titles[start:end]])
    lengths = LENGTH_A_WORD * np.sqrt(np.maximum(reach / LETTERS_A_WORD, 3)).astype(np.float32)
    return _Block(start, end, folded, begins, code_points(folded), begins + reach, lengths)


# -- what is looked for ---------------------------------------------------------------------------


def _words(topics: Sequence[Topic], matcher: Matcher) -> dict[str, dict[int, float]]:
    """The words that tell of topics, by their stems: which topic, and what it adds that an item has it, whatever its length."""
    weights = matcher.background.word_weights
    least = math.log(COMMON)
    said: dict[str, dict[int, float]] = {}
    for number, topic in enumerate(topics):
        texts = [sorted(stems(text)) for text in (topic.title, topic.description, *topic.examples)]
        for text in texts:
            ids = np.array([word_id(stem) for stem in text], dtype=np.uint32)
            for stem, weight, telling in zip(text, weights.of(ids), weights.telling(ids), strict=True):
                if telling >= least and (len(stem) >= SHORTEST or not _is_spaced(stem)):
                    users = said.setdefault(stem, {})
                    users[number] = users.get(number, 0.0) + float(weight * telling) / len(texts)
    return said


def _always(topics: Sequence[Topic]) -> dict[str, set[int]]:
    """Pieces of topics' `always` terms, and whose."""
    pieces: dict[str, set[int]] = {}
    for number, topic in enumerate(topics):
        for term in topic.terms.always:
            for piece in pieces_of(term):
                pieces.setdefault(piece, set()).add(number)
    return pieces


class _Sought:
    def __init__(self, words: dict[str, dict[int, float]], terms: dict[str, set[int]], topics: int) -> None:
        pieces = sorted({*words, *terms})
        self._pieces = Pieces(pieces)
        self._topics = topics
        self._sizes = np.array([len(piece) for piece in pieces], dtype=np.intp)
        spaced = [_is_spaced(piece) for piece in pieces]
        self._opens = np.array(spaced, dtype=np.bool_)
        self._closes = np.array(
            [n and len(piece) < STEM for n, piece in zip(spaced, pieces, strict=True)], dtype=np.bool_
        )
        self._said = _pairs([words.get(piece, {}) for piece in pieces])
        self._named = _pairs([dict.fromkeys(terms.get(piece, ()), 1.0) for piece in pieces])

    def look(self, block: _Block) -> tuple[Matrix, tuple[Rows, Rows]]:
        """What the words of each item have in common with each topic, or more; and which items have a piece of whose terms."""
        ends, which = self._pieces.find(block.folded)
        items = np.searchsorted(block.begins, ends, side="right") - 1
        named = self._expanded(self._named, np.unique(items * len(self._sizes) + which))
        starts = ends - self._sizes[which]
        is_word = ends < block.ends[items]
        is_word &= ~(self._opens[which] & _is_letter(block.codes, starts))
        is_word &= ~(self._closes[which] & _is_letter(block.codes, ends + 1))
        said = self._expanded(self._said, np.unique(items[is_word] * len(self._sizes) + which[is_word]))
        count = block.end - block.start
        added = np.bincount(said[0] * self._topics + said[1], said[2], count * self._topics)
        shared = added.reshape(count, self._topics) / block.lengths[:, None] + GRANTED
        return shared.astype(np.float32), (named[0], named[1])

    def _expanded(self, pairs: _Pairs, keys: Rows) -> tuple[Rows, Rows, Vector]:
        """Items, topics and amounts, from items and pieces."""
        items, which = np.divmod(keys, max(len(self._sizes), 1))
        starts, counts = pairs.starts[which], pairs.starts[which + 1] - pairs.starts[which]
        entries = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        return np.repeat(items, counts), pairs.topics[entries], pairs.amounts[entries]


def _is_spaced(word: str) -> bool:
    """Tell whether a word is of a script that puts spaces beside its words, as far as one is known: Latin, Cyrillic."""
    return bool(1 <= letter_kinds()[min(ord(word[0]), 0xFFFF)] <= 2)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Topics and amounts of each piece, one piece after the other."""

    starts: Rows
    topics: Rows
    amounts: Vector


def _pairs(users: Sequence[dict[int, float]]) -> _Pairs:
    return _Pairs(
        np.cumsum([0, *map(len, users)]),
        np.array([topic for each in users for topic in each], dtype=np.intp),
        np.array([amount for each in users for amount in each.values()], dtype=np.float32),
    )


def _is_letter(codes: NDArray[np.uint32], places: Rows) -> NDArray[np.bool_]:
    inside = (places >= 0) & (places < len(codes))
    if not len(codes):
        return inside
    signs = np.minimum(codes[np.clip(places, 0, len(codes) - 1)], 0xFFFF)
    return np.asarray(inside & (letter_kinds()[signs] > 0))
