"""Which topics an item belongs to, and why: vectors and terms in, one judgement a topic out.

The score. For each topic a linear discriminant is learnt from its description and examples against a background of
ordinary news: w = S^-1 (mean of the topic's vectors), all vectors centred on the mean of their script, S the background's
covariance shrunk towards its diagonal. (Few-shot linear discriminant analysis; Hariharan, Malik, Ramanan: "Discriminative
decorrelation for clustering and classification", ECCV 2012, for one-example topics; Ledoit and Wolf 2004 for the shrinking.)

What comes out of w . x has no meaning by itself, so it is placed among the scores of the background in the same script and
said as rarity: a score of 3.3 decades means that one in 10**3.3 = 2,000 ordinary items scores as high. Location and
spread are each topic's own; the shape of the tail is common to all, because no sample is large enough to show one in
20,000, and because the background may hold the topic itself.

Terms gate or grant after that. Nothing here touches the world.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.model import EmbeddedItem, Item, Match, MatchOutcome, Topic, TopicStatus, Vector
from monitor.text import fold, script

#: Covariance is shrunk this far towards its mean diagonal; 0.2 and 0.8 measured worse.
SHRINKAGE = 0.5
#: A script with fewer background items than this borrows location and spread from the whole background.
ENOUGH = 150
#: A topic's location and spread are read at these quantiles: above the second, the background may hold the topic itself.
MEDIAN, SHOULDER = 0.5, 0.9
#: The tail's shape is read from this many background items, each taken for a topic of its own.
EXEMPLARS = 400
#: Nobody can tell one in 10**6 from one in 10**7 by a few thousand items.
RAREST = 6.0

Matrix = Vector


class Background:
    """Ordinary news, against which topics are learnt.

    vectors: as `embed` gives them, one row an item; scripts: each row's script; parts: where each engine's part ends.
    """

    def __init__(self, vectors: Matrix, scripts: Sequence[str], parts: Sequence[int]) -> None:
        if len(vectors) != len(scripts) or not len(vectors):
            raise ValueError("a background needs one script a vector, and at least one vector")
        self.parts = tuple(parts)
        self.dimension = int(parts[-1])
        names = np.array(scripts)
        self._all = vectors.mean(axis=0)
        self._means: dict[str, Vector] = {str(name): vectors[names == name].mean(axis=0) for name in np.unique(names)}
        self._rows: dict[str, Matrix] = {name: vectors[names == name] - mean for name, mean in self._means.items()}
        self._alive = {name: self._parts_alive(rows) for name, rows in self._rows.items()}
        self._precisions: dict[tuple[bool, ...], Matrix] = {}

    @property
    def scripts(self) -> tuple[str, ...]:
        return tuple(self._rows)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def rows(self, name: str) -> Matrix:
        """Centred vectors of the script; those of every script if it has too few of its own."""
        own = self._rows.get(name)
        if own is not None and len(own) >= ENOUGH:
            return own
        return np.concatenate(list(self._rows.values()))

    def centred(self, vector: Vector, name: str) -> Vector:
        """Take off what the script has in common; a part that is all zero stays so."""
        mean = self._means.get(name, self._all)
        out: Vector = np.where(self._live(self._parts_alive(vector[None])), vector - mean, np.float32(0))
        return out

    def unit(self, vector: Vector, name: str) -> Vector:
        """Centred, each living part of equal length, the whole of length 1: here a cosine means something."""
        out: Vector = self.centred(vector, name)
        start = 0
        for end in self.parts:
            out[start:end] /= np.linalg.norm(out[start:end]) or 1.0
            start = end
        out /= np.linalg.norm(out) or 1.0
        return out

    def discriminant(self, positives: Matrix, alive: tuple[bool, ...]) -> Vector:
        """The direction that tells a topic from the background, for items of which these parts are alive.

        positives: centred vectors; a part is averaged over those in which it lives.
        """
        mean = np.zeros(self.dimension, dtype=np.float32)
        for start, end, lives in zip((0, *self.parts), self.parts, alive, strict=False):
            having = positives[np.any(positives[:, start:end], axis=1), start:end]
            if lives and len(having):
                mean[start:end] = having.mean(axis=0)
        live = self._live(alive)
        direction = np.zeros(self.dimension, dtype=np.float32)
        direction[live] = self._precision(alive) @ mean[live]
        return direction

    def alive(self, name: str) -> tuple[bool, ...]:
        """Which parts live for items of a script; only those that read every script, for one never seen."""
        if name in self._alive:
            return self._alive[name]
        return tuple(all(flags) for flags in zip(*self._alive.values(), strict=True))

    def _precision(self, alive: tuple[bool, ...]) -> Matrix:
        """Inverse covariance within scripts, over the living parts of every script in which at least these live."""
        if alive not in self._precisions:
            live = self._live(alive)
            rows = np.concatenate(
                [
                    rows[:, live]
                    for name, rows in self._rows.items()
                    if all(have or not need for have, need in zip(self._alive[name], alive, strict=True))
                ]
            )
            covariance = rows.T @ rows / len(rows)
            mean_diagonal = float(np.trace(covariance)) / len(covariance)
            covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * mean_diagonal * np.eye(len(covariance))
            self._precisions[alive] = np.linalg.inv(covariance).astype(np.float32)
        return self._precisions[alive]

    def _parts_alive(self, rows: Matrix) -> tuple[bool, ...]:
        return tuple(bool(np.any(rows[:, start:end])) for start, end in zip((0, *self.parts), self.parts, strict=False))

    def _live(self, alive: tuple[bool, ...]) -> Vector:
        return np.repeat(alive, np.diff((0, *self.parts)))


class Tail:
    """The common shape of the scores of ordinary items: how rare is one that lies z spreads above the median?

    Learnt by taking background items, a few hundred of them, for topics of one example each. The median over them is taken
    at every rarity, so that those few whose event the background tells often do not count.
    """

    def __init__(self, background: Background) -> None:
        rows = max((background.rows(name) for name in background.scripts), key=len)
        alive = background.alive(max(background.scripts, key=lambda name: len(background.rows(name))))
        step = max(1, len(rows) // EXEMPLARS)
        exemplars = rows[::step]
        directions = np.stack([background.discriminant(row[None], alive) for row in exemplars])
        scores = rows @ directions.T
        scores[np.arange(0, len(rows), step)[: len(exemplars)], np.arange(len(exemplars))] = (
            np.nan
        )  # an item is not its own background
        # from one in two to as rare as the sample can show with a handful of items
        self._decades = np.linspace(0.3, math.log10(max(len(rows) / 5, 4)), 24)
        quantiles = np.nanquantile(scores, 1 - 10**-self._decades, axis=0)
        location, spread = _place(scores)
        self._z = np.maximum.accumulate(np.median((quantiles - location) / spread, axis=1))

    def rarity(self, z: Vector) -> Vector:
        """Decades of rarity, 0 to RAREST; beyond the sample, the last stretch goes on straight."""
        inside = np.interp(z, self._z, self._decades)
        slope = (self._decades[-1] - self._decades[-6]) / max(float(self._z[-1] - self._z[-6]), 1e-6)
        beyond = self._decades[-1] + (z - self._z[-1]) * slope
        below = self._decades[0] * np.exp(np.minimum(z - self._z[0], 0))  # keeps the order of what nobody asks about
        rarity = np.where(z > self._z[-1], beyond, np.where(z < self._z[0], below, inside))
        return np.clip(rarity, 0.0, RAREST)


def _place(scores: Matrix) -> tuple[Vector, Vector]:
    """Location and spread of each column, in units of a normal distribution's deviation, by its robust quantiles."""
    median, shoulder = np.nanquantile(scores, [MEDIAN, SHOULDER], axis=0)
    return median, np.maximum((shoulder - median) / 1.2816, 1e-9)  # 1.2816: the normal quantile of 0.9


class Matcher:
    """Topics, learnt. Making one is cheap (a matrix product a topic), so a changed rule file makes a new one.

    vectors: text -> vector for each topic's description, examples and negatives.
    """

    def __init__(
        self, topics: Iterable[Topic], vectors: Mapping[str, Vector], background: Background, tail: Tail
    ) -> None:
        self._background = background
        self._tail = tail
        self.topics = {topic.id: topic for topic in topics if topic.status is not TopicStatus.OFF}
        self._learnt = [_Learnt.of(topic, vectors, background) for topic in self.topics.values()]
        self._scales: dict[str, tuple[Matrix, Vector, Vector]] = {}

    def rarities(self, vector: Vector, script_name: str) -> Vector:
        """How rare an item is among ordinary ones, in each topic's sense; decades, in the order of `topics`."""
        directions, location, spread = self._scale(script_name)
        score = directions @ self._background.centred(vector, script_name)
        return self._tail.rarity((score - location) / spread)

    def judge(self, embedded: EmbeddedItem) -> list[Match]:
        """Each topic's judgement of an item, in the order of `topics`."""
        item = embedded.item
        text = f"{item.title}\n{item.text}"
        name = script(text)
        if not self._learnt:
            return []
        rarities = self.rarities(embedded.vector, name)
        unit = self._background.unit(embedded.vector, name)
        searchable = Searchable(text)
        return [
            _judge(learnt, item, searchable, name, unit, float(rarity))
            for learnt, rarity in zip(self._learnt, rarities, strict=True)
        ]

    def _scale(self, name: str) -> tuple[Matrix, Vector, Vector]:
        """Directions for a script, and where they put its ordinary items; made when the script is first met."""
        if name not in self._scales:
            alive = self._background.alive(name)
            directions = np.stack([self._background.discriminant(learnt.positives, alive) for learnt in self._learnt])
            location, spread = _place(self._background.rows(name) @ directions.T)
            self._scales[name] = directions, location, spread
        return self._scales[name]


@dataclass(frozen=True, slots=True)
class _Learnt:
    """One topic, ready to judge."""

    topic: Topic
    bar: float
    #: centred
    positives: Matrix
    #: unit, in the order of `texts`
    units: Matrix
    texts: tuple[str, ...]
    #: unit, in the order of `topic.negatives`
    negatives: Matrix
    always: tuple[Term, ...]
    require: tuple[tuple[Term, ...], ...]
    exclude: tuple[Term, ...]

    @classmethod
    def of(cls, topic: Topic, vectors: Mapping[str, Vector], background: Background) -> _Learnt:
        texts = (topic.description, *topic.examples)
        none = np.zeros((0, background.dimension), dtype=np.float32)
        return cls(
            topic=topic,
            bar=-math.log10(topic.noise),
            positives=np.stack([background.centred(vectors[text], script(text)) for text in texts]),
            units=np.stack([background.unit(vectors[text], script(text)) for text in texts]),
            texts=texts,
            negatives=np.stack([background.unit(vectors[text], script(text)) for text in topic.negatives])
            if topic.negatives
            else none,
            always=_terms(topic.terms.always),
            require=tuple(_terms(group) for group in topic.terms.require),
            exclude=_terms(topic.terms.exclude),
        )


def topic_texts(topics: Iterable[Topic]) -> list[str]:
    """Every text of the topics that must be embedded, each once."""
    return list(dict.fromkeys(text for t in topics for text in (t.description, *t.examples, *t.negatives)))


def _judge(learnt: _Learnt, item: Item, text: Searchable, name: str, unit: Vector, rarity: float) -> Match:
    topic = learnt.topic
    likeness = learnt.units @ unit
    nearest = learnt.texts[int(np.argmax(likeness))]

    def judged(outcome: MatchOutcome, terms: tuple[str, ...] = (), gate: str = "", negative: str = "") -> Match:
        return Match(topic.id, rarity, learnt.bar, outcome, nearest, negative, terms, gate)

    if outside := _outside(topic, item):
        return judged(MatchOutcome.OUT_OF_SCOPE, gate=outside)
    if found := text.find(learnt.exclude):
        return judged(MatchOutcome.EXCLUDED_TERM, found, gate=found[0])
    if found := text.find(learnt.always):
        return judged(MatchOutcome.MATCHED_TERM, found)
    if rarity < learnt.bar:
        return judged(MatchOutcome.BELOW_BAR)
    found = ()
    for group in learnt.require:
        hits = text.find(group)
        if not hits and any(term.script == name for term in group):
            return judged(MatchOutcome.NO_REQUIRED_TERM, found, gate=" | ".join(term.written for term in group))
        found += hits
    if len(learnt.negatives):
        against = learnt.negatives @ unit
        if against.max() > likeness.max():
            return judged(MatchOutcome.NEARER_NEGATIVE, found, negative=topic.negatives[int(np.argmax(against))])
    return judged(MatchOutcome.MATCHED, found)


def _outside(topic: Topic, item: Item) -> str:
    """What of the topic's scope an item misses; empty if nothing. Age is the decision's matter: see `decide`."""
    scope = topic.scope
    if scope.languages and item.language and item.language not in scope.languages:
        return f"language {item.language}"
    if scope.kinds and item.feed.kind not in scope.kinds:
        return f"kind {item.feed.kind or 'unknown'}"
    if scope.sources and item.source not in scope.sources:
        return f"source {item.source}"
    return ""


# -- terms ----------------------------------------------------------------------------------------

_PUNCTUATION = re.compile(r"[^\w*]+")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, a phrase or a prefix*, ready to be looked for."""

    written: str
    pattern: re.Pattern[str]
    script: str


class Searchable:
    """A text in which terms are looked for: folded, its punctuation made into spaces."""

    def __init__(self, text: str) -> None:
        self._text = _squeezed(text.replace("*", " "))

    def find(self, terms: Sequence[Term]) -> tuple[str, ...]:
        """The terms that stand in the text, as their author wrote them."""
        return tuple(term.written for term in terms if term.pattern.search(self._text))


def _terms(written: Iterable[str]) -> tuple[Term, ...]:
    return tuple(Term(text, _pattern(text), script(text)) for text in written)


def _pattern(term: str) -> re.Pattern[str]:
    """Words whole unless they end in *; Han, which has no spaces, wherever it stands."""
    words = []
    for word in _squeezed(term).split():
        stem, star = word.rstrip("*"), word.endswith("*")
        end = "" if script(stem) == "Han" else r"\w*" if star else r"(?!\w)"
        start = "" if script(stem) == "Han" else r"(?<!\w)"
        words.append(start + re.escape(stem) + end)
    return re.compile(" ".join(words))


def _squeezed(text: str) -> str:
    return " ".join(_PUNCTUATION.sub(" ", fold(text)).split())
