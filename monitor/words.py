"""The words of a text as numbers: what two texts share that no vector shows, names above all. Pure.

A word stands for its inflections by its first letters; scripts that put no space between words give pairs of characters.
Nothing is kept of a word but 32 bits of its hash, so that a sample's words can be shipped and its texts cannot be read.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from monitor.text import fold

#: sorted hashes of the distinct words of a text; may be empty
WordIds: TypeAlias = NDArray[np.uint32]

#: Letters of a word that count: "sanction", "sanctions" and "sanctioned" are one. 6 measured as good as a stemmer.
STEM = 6
#: Han, kana, Hangul and Thai: no spaces, or endings that grow on the word
_UNSPACED = "\u0e01-\u0e4e\u1100-\u11ff\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]+|(?<![^\W_{_UNSPACED}])[^\W\d_{_UNSPACED}][^\W_{_UNSPACED}]+")
_FIRST_UNSPACED = re.compile(f"[{_UNSPACED}]")


def word_ids(text: str) -> WordIds:
    """Give the words of a text; numbers and single letters are none."""
    return np.array(sorted(map(word_id, stems(text))), dtype=np.uint32)


@lru_cache(maxsize=1 << 14)  # a few thousand are most of every text
def word_id(stem: str) -> int:
    return zlib.crc32(stem.encode("utf-8", "ignore"))


def stems(text: str) -> set[str]:
    """What is kept of the words of a text, folded: their beginnings, or pairs of characters."""
    folded = fold(text)
    found = _WORD.findall(folded)
    if text.isascii() or not _FIRST_UNSPACED.search(folded):
        return {word[:STEM] for word in found}
    words: set[str] = set()
    for word in found:
        if _FIRST_UNSPACED.match(word):
            words.update(word[n : n + 2] for n in range(max(len(word) - 1, 1)))
        else:
            words.add(word[:STEM])
    return words


@dataclass(frozen=True, slots=True)
class Bags:
    """Of a great many texts the words, each looked up once: places among those that stand in any of them."""

    #: sorted, each once
    known: WordIds
    #: of each text places in `known`, rising; one text after the other
    places: NDArray[np.uint32]
    #: where each text's begin, and at last where all end
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[WordIds]) -> Bags:
        if len(texts) == 1:
            return cls(texts[0], np.arange(len(texts[0]), dtype=np.uint32), bounds_of([len(texts[0])]))
        words = np.concatenate([*texts, np.zeros(0, np.uint32)])
        known, places = np.unique(words, return_inverse=True)
        return cls(known, places.astype(np.uint32), bounds_of(map(len, texts)))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def take(self, rows: NDArray[np.intp]) -> Bags:
        """Some of the texts, in the order given."""
        return Bags(self.known, *taken(self.places, self.bounds, rows))

    def __add__(self, other: Bags) -> Bags:
        known = np.union1d(self.known, other.known)
        places = [np.searchsorted(known, one.known).astype(np.uint32)[one.places] for one in (self, other)]
        return Bags(known, np.concatenate(places), np.append(self.bounds, other.bounds[1:] + self.bounds[-1]))


def bounds_of(counts: Iterable[int]) -> NDArray[np.int64]:
    """Where pieces of so many begin that stand one after the other, and at last where all end."""
    return np.cumsum([0, *counts], dtype=np.int64)


def taken(
    values: NDArray[np.uint32], bounds: NDArray[np.int64], rows: NDArray[np.intp]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Of such pieces some, in the order given: their values, and their bounds."""
    return gathered(values, bounds[rows], bounds[rows + 1] - bounds[rows])


def gathered(
    values: NDArray[np.uint32], starts: NDArray[np.integer], counts: NDArray[np.integer]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Pieces, by where each begins and its length, one after the other: their values, and their bounds."""
    bounds = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=bounds[1:])
    # `take` is twice as fast as an index
    return values.take(np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], counts)), bounds


def sums_of(values: NDArray[np.float32], bounds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of each piece the sum; it may be empty."""
    filled = bounds[1:] > bounds[:-1]
    if filled.all():
        return np.asarray(np.add.reduceat(values, bounds[:-1]) if len(filled) else values, dtype=np.float32)
    # `reduceat` gives an empty piece the value that comes next
    sums = np.zeros(len(filled), dtype=np.float32)
    sums[filled] = sums_of(values, np.append(bounds[:-1][filled], bounds[-1:]))
    return sums


class WordWeights:
    """What a word tells: log of how many texts of a sample there are to each that has it (inverse document frequency,
    Spärck Jones 1972)."""

    def __init__(self, sample: Sequence[WordIds]) -> None:
        #: texts in the sample
        self.texts = len(sample)
        self._known, self._counts = np.unique(np.concatenate([*sample, np.zeros(0, np.uint32)]), return_counts=True)
        self._weights = np.log((len(sample) + 1) / (self._counts + 0.5)).astype(np.float32)
        self._unseen = np.float32(np.log((len(sample) + 1) / 0.5))

    def counts(self, size: int) -> NDArray[np.int32]:
        """In how many texts of the sample each word stands, by its hash modulo `size`; shape (size,)."""
        return np.bincount(self._known % size, self._counts, minlength=size).astype(np.int32)

    def telling(self, words: WordIds) -> NDArray[np.float32]:
        """What each word tells, whatever stands beside it; shape (len(words),)."""
        if not len(self._known):
            return np.full(len(words), self._unseen)
        places = np.minimum(np.searchsorted(self._known, words), len(self._known) - 1)
        return np.where(self._known[places] == words, self._weights[places], self._unseen)

    def of(self, words: WordIds) -> NDArray[np.float32]:
        """Weights that make the text's words a vector of length 1; shape (len(words),)."""
        return self.of_each(Bags.of([words]))

    def of_each(self, texts: Bags) -> NDArray[np.float32]:
        """The same for many texts, one after the other; shape (words of all texts,)."""
        weights = self.telling(texts.known)[texts.places]
        lengths = np.sqrt(sums_of(weights * weights, texts.bounds))
        return np.asarray(weights / np.repeat(lengths, np.diff(texts.bounds)), dtype=np.float32)
