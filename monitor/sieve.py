"""Which of a great many items are near a topic, by gist and terms: a cheap look at all, so that the exact one is for few. Pure.

Takes items in columns, gives for each topic those that score from a floor on, exactly as matching would by the gist alone, and
those in which one of its `always` terms stands. The cheap look overrates: what it leaves out would hardly have come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from monitor.background import Tongue
from monitor.columns import Past
from monitor.match import Matcher
from monitor.model import Topic, Vector

#: Items that are looked at in one go: few enough that what is made of them stays near the processor.
BLOCK = 2048

Rows: TypeAlias = NDArray[np.intp]
#: is told how much is done, of how much
Report: TypeAlias = Callable[[int, int], None]
#: gives titles and texts of rows
Read: TypeAlias = Callable[[Sequence[int]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Near:
    """What is near one topic."""

    rows: Rows
    #: of the gist, in decades; as `Matcher.scores` gives it
    rarity: Vector
    #: one of the topic's `always` terms stands in it
    named: NDArray[np.bool_]


def near(
    past: Past,
    read: Read,
    matcher: Matcher,
    topics: Sequence[str],
    floors: Sequence[float],
    report: Report = lambda _done, _of: None,
) -> dict[str, Near]:
    """For each topic what is near it, in the order of the archive.

    read: whole items. floors: from which rarity on, in decades, for each.
    """
    some = matcher.ranks.of_some([matcher.places[topic] for topic in topics])
    named = _named(past, read, matcher, [matcher.topics[topic] for topic in topics])
    floor = np.array(floors, dtype=np.float32)
    found, rarities, done = [np.zeros(0, np.intp)], [np.zeros((0, len(topics)), np.float32)], 0
    for rows, tongue in _blocks(past):
        shared = some.shared_words(past.gists.take(rows))
        vectors = past.vectors[rows].astype(np.float32)
        likely = np.flatnonzero((some.at_most(vectors, shared, tongue) >= floor).any(axis=1) | named[rows].any(axis=1))
        centred = matcher.background.centred(vectors[likely], [tongue] * len(likely))
        found.append(rows[likely])
        rarities.append(some.rarities(centred, shared[likely], tongue))
        report(done := done + len(rows), len(past))
    rows = np.concatenate(found)
    order = np.argsort(rows)
    rows, rarity = rows[order], np.concatenate(rarities)[order]
    kept = named[rows] | (rarity >= floor)
    return {
        topic: Near(rows[kept[:, n]], rarity[kept[:, n], n], named[rows[kept[:, n]], n])
        for n, topic in enumerate(topics)
    }


def _blocks(past: Past) -> Iterator[tuple[Rows, Tongue]]:
    """All items, a few of one tongue at a time."""
    for number, tongue in enumerate(past.tongues):
        rows = np.flatnonzero(past.tongue_of == number)
        for start in range(0, len(rows), BLOCK):
            yield rows[start : start + BLOCK], tongue


def _named(past: Past, read: Read, matcher: Matcher, topics: Sequence[Topic]) -> NDArray[np.bool_]:
    """Of items and topics those in which one of the topic's `always` terms stands; shape (items, topics)."""
    named = np.zeros((len(past), len(topics)), dtype=np.bool_)
    holding = past.texts.may_hold({term for topic in topics for term in topic.terms.always})
    rows = np.unique(np.concatenate([*holding.values(), np.zeros(0, np.intp)])).tolist()
    for row, text in zip(rows, read(rows), strict=True):
        found = matcher.lexicon.find(text)
        named[row] = [any(term in found for term in topic.terms.always) for topic in topics]
    return named
