"""Which of a story's headlines says best what it is about. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.model import Item, Relation
from monitor.text import width
from monitor.words import word_ids

#: A title narrower than so many Latin letters ("Kursk: latest") is a fragment: it may share all its words and say nothing.
FRAGMENT = 20
#: From so many titles on there is something to agree on; of fewer, the root's is taken.
ENOUGH = 3


def headline(tellings: Iterable[tuple[Item, Relation]]) -> str:
    """Choose the title that shares most words with the others, of what is no copy; of equals, the earliest.

    A fragment only if there is nothing else. Of the tellings there must be one.
    """
    items = sorted(tellings, key=lambda telling: (telling[0].at, telling[0].id))
    own = [item for item, relation in items if relation is not Relation.COPY] or [item for item, _ in items]
    if len(own) < ENOUGH:
        return next((item for item, relation in items if relation is Relation.ROOT), own[0]).title
    words = [frozenset(word_ids(item.title).tolist()) for item in own]
    shared = [sum(_overlap(one, other) for m, other in enumerate(words) if m != n) for n, one in enumerate(words)]
    whole = [n for n, item in enumerate(own) if width(item.title) >= FRAGMENT] or range(len(own))
    # rounded: the same sum in another order is no better title
    return own[max(whole, key=lambda n: (round(shared[n], 9), -n))].title


def _overlap(one: frozenset[int], other: frozenset[int]) -> float:
    """Jaccard's coefficient; 0 where there are no words at all."""
    return len(one & other) / len(one | other) if one or other else 0.0
