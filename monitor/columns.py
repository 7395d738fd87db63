"""Items of the past in columns, so many that each as an object would be too much: how each is written, what it says, in which
words. Pure. What takes long to make can be taken apart into arrays, kept, and put together again.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.background import Sample, Tongue
from monitor.model import Vector
from monitor.terms import Concordance, searched_words
from monitor.text import gist, scripts
from monitor.words import Bags, bounds_of, word_ids

#: Gists whose script is told in one go.
_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Past:
    """Items of the past, a row each."""

    ids: Sequence[str]
    #: what gists are written in, and of each item's the place there
    tongues: Sequence[Tongue]
    tongue_of: NDArray[np.uint16]
    #: of the items' gists, as they are kept
    vectors: NDArray[np.float16] = field(repr=False)
    #: words of gists, and of whole items
    gists: Bags = field(repr=False)
    texts: Concordance = field(repr=False)
    #: the effective times of the earliest and the latest; None if there is no item
    span: tuple[datetime, datetime] | None = None
    #: items of that time of which the model has given no vector, and which are left out
    unread: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> Past:
        """Some of the items, in the order given; all of them, in their order, are not copied."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        return replace(
            self,
            ids=[self.ids[row] for row in rows.tolist()],
            tongue_of=self.tongue_of[rows],
            vectors=self.vectors[rows],
            gists=self.gists.take(rows),
            texts=self.texts.take(rows),
        )

    def __add__(self, other: Past) -> Past:
        if not len(self) or not len(other):
            return self if len(self) else other
        tongues = list(dict.fromkeys([*self.tongues, *other.tongues]))
        places = np.array([tongues.index(one) for one in other.tongues], dtype=np.uint16)
        return replace(
            self,
            ids=[*self.ids, *other.ids],
            tongues=tongues,
            tongue_of=np.concatenate([self.tongue_of, places[other.tongue_of]]),
            vectors=np.concatenate([self.vectors, other.vectors]),
            gists=self.gists + other.gists,
            texts=self.texts + other.texts,
        )

    def sample(self) -> Sample:
        """The items as ordinary ones."""
        words, bounds = self.gists.known[self.gists.places], self.gists.bounds.tolist()
        return Sample(
            self.vectors.astype(np.float32),
            [self.tongues[place] for place in self.tongue_of.tolist()],
            [words[start:end] for start, end in pairwise(bounds)],
        )


#: an item's id, title, text, language and the vector of its gist
Row = tuple[str, str, str, str, Vector]


def past_of(rows: Iterable[Row]) -> Past:
    """Put items in columns, in their order."""
    ids, gists, languages, vectors, words, ends = [], [], [], [], [], []
    places: dict[str, int] = {}
    spoken = array("I")
    for item_id, title, text, language, vector in rows:
        ids.append(item_id)
        languages.append(language)
        vectors.append(vector.astype(np.float16))
        gists.append(gist(title, text))
        words.append(word_ids(gists[-1]))
        found = [places.setdefault(word, len(places)) for word in searched_words(f"{title}\n{text}")]
        spoken.extend(found)
        ends.append(len(found))
    written = [name for start in range(0, len(gists), _AT_ONCE) for name in scripts(gists[start : start + _AT_ONCE])]
    named = list(map(Tongue, languages, written))
    tongues = {one: n for n, one in enumerate(dict.fromkeys(named))}
    return Past(
        ids=ids,
        tongues=list(tongues),
        tongue_of=np.array([tongues[one] for one in named], dtype=np.uint16),
        vectors=np.array(vectors, dtype=np.float16).reshape(len(ids), -1 if ids else 0),
        gists=Bags.of(words),
        texts=Concordance(list(places), np.array(spoken, dtype=np.uint32), bounds_of(ends)),
    )


# -- taken apart, to be kept ----------------------------------------------------------------------


def as_arrays(past: Past) -> dict[str, NDArray[Any]]:
    """All but what depends on the day: span, and what was unread."""
    return {
        "ids": packed(past.ids),
        "languages": packed([one.language for one in past.tongues]),
        "scripts": packed([one.script for one in past.tongues]),
        "tongue_of": past.tongue_of,
        "vectors": past.vectors,
        "gists_known": past.gists.known,
        "gists_places": past.gists.places,
        "gists_bounds": past.gists.bounds,
        "words": packed(past.texts.words),
        "texts_places": past.texts.places,
        "texts_bounds": past.texts.bounds,
    }


def of_arrays(arrays: Mapping[str, NDArray[Any]]) -> Past:
    return Past(
        ids=unpacked(arrays["ids"]),
        tongues=list(map(Tongue, unpacked(arrays["languages"]), unpacked(arrays["scripts"]))),
        tongue_of=arrays["tongue_of"],
        vectors=arrays["vectors"],
        gists=Bags(arrays["gists_known"], arrays["gists_places"], arrays["gists_bounds"]),
        texts=Concordance(unpacked(arrays["words"]), arrays["texts_places"], arrays["texts_bounds"]),
    )


def packed(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Texts, none with a NUL in it, as an array."""
    return np.frombuffer("".join(f"{text}\0" for text in texts).encode("utf-8", "surrogatepass"), dtype=np.uint8)


def unpacked(array: NDArray[np.uint8]) -> list[str]:
    return array.tobytes().decode("utf-8", "surrogatepass").split("\0")[:-1]
