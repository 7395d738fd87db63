"""Which topics an item belongs to, and why: vectors and terms in, one judgement a topic out.

The score. For each topic a linear discriminant is learnt from its description and examples against a background of
ordinary news: w = S^-1 (mean of the topic's vectors), all vectors centred on the mean of their script, S the background's
covariance shrunk towards its diagonal. (Few-shot linear discriminant analysis; Hariharan, Malik, Ramanan: "Discriminative
decorrelation for clustering and classification", ECCV 2012, for one-example topics; Ledoit and Wolf 2004 for the shrinking.)
A share of S comes from the texts of all topics together: what the topics of a pack have in common, be it China and Russia,
tells none of them apart, and is worth as little as what all news has in common.

What comes out of w . x has no meaning by itself, so it is placed among the scores of the background in the same script and
said as rarity: a score of 3.3 decades means that one in 10**3.3 = 2,000 ordinary items scores as high. Location and
spread are each topic's own; the shape of the tail is common to all of a pack, because no sample is large enough to show
one in 20,000, and because the background may hold the topic itself.

Terms gate or grant after that. Nothing here touches the world.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from monitor.model import EmbeddedItem, Item, Match, MatchOutcome, Topic, TopicStatus, Vector
from monitor.text import fold, gist, script

#: Covariance is shrunk this far towards its mean diagonal; 0.2 and 0.8 measured worse.
SHRINKAGE = 0.5
#: The share of the covariance that comes from the topics' own texts. Measured: DESIGN.md, "Matching".
PACK_SHARE = 0.15
#: A script with fewer background items than this borrows location and spread from the whole background.
ENOUGH = 150
#: A topic's location and spread are read at these quantiles: above the second, the background may hold the topic itself.
MEDIAN, SHOULDER = 0.5, 0.9
#: The tail's shape is read from the topics' own scores and, where they are few, from this many background items, each
#: taken for a topic of one example. The latter weigh as much as ten topics.
EXEMPLARS, FEW_TOPICS = 400, 10
#: An item is nearer to the negatives when the contrast of the means (-0.5 at the negatives', 0.5 at the examples') and the
#: difference of the nearest texts' likeness, so weighted, come below the margin. Measured: DESIGN.md, "Matching".
NEAREST_WEIGHT, NEGATIVE_MARGIN = 2.0, -0.1
#: Nobody can tell one in 10**6 from one in 10**7 by a few thousand items.
RAREST = 6.0

Matrix: TypeAlias = Vector
#: for each engine's part of a vector, whether it lives or is all zero
Parts: TypeAlias = tuple[bool, ...]


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
        self._curves: dict[str, NDArray[np.float64]] = {}
        self._alive = {name: self._parts_alive(rows) for name, rows in self._rows.items()}

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
        """Centred, each living part of length 1: here a cosine means something (see `cosine`)."""
        out: Vector = self.centred(vector, name)
        for start, end in zip((0, *self.parts), self.parts, strict=False):
            out[start:end] /= np.linalg.norm(out[start:end]) or 1.0
        return out

    def discriminant(self, positives: Matrix, alive: Parts, precision: Matrix) -> Vector:
        """The direction that tells a topic from the background, for items of which these parts are alive.

        positives: centred vectors; a part is averaged over those in which it lives.
        """
        live = self._live(alive)
        direction = np.zeros(self.dimension, dtype=np.float32)
        direction[live] = precision @ self.mean(positives, alive)[live]
        return direction

    def mean(self, rows: Matrix, alive: Parts) -> Vector:
        """The mean of centred vectors, each living part over those rows in which it lives; zero where none does."""
        mean = np.zeros(self.dimension, dtype=np.float32)
        for start, end, lives in zip((0, *self.parts), self.parts, alive, strict=False):
            having = rows[np.any(rows[:, start:end], axis=1), start:end]
            if lives and len(having):
                mean[start:end] = having.mean(axis=0)
        return mean

    def alive(self, name: str) -> Parts:
        """Which parts live for items of a script; only those that read every script, for one never seen."""
        if name in self._alive:
            return self._alive[name]
        return tuple(all(flags) for flags in zip(*self._alive.values(), strict=True))

    def exemplar_curve(self, name: str) -> NDArray[np.float64]:
        """The tail's shape for a script, of background items taken for topics (see `_curve`)."""
        if name not in self._curves:
            rows, alive = self.rows(name), self.alive(name)
            precision = self.precision(alive)
            chosen = np.unique(np.linspace(0, len(rows) - 1, EXEMPLARS).astype(int))
            scores = rows @ np.stack([self.discriminant(rows[n][None], alive, precision) for n in chosen]).T
            scores[chosen, np.arange(len(chosen))] = np.nan  # an item is not its own background
            self._curves[name] = _curve(scores)
        return self._curves[name]

    def precision(self, alive: Parts, pack: Matrix | None = None) -> Matrix:
        """Inverse covariance within scripts of the living parts, a share of it from a pack's centred vectors.

        Only rows in which all these parts live count. Shape (living dimensions, the same).
        """
        if not any(alive):
            return np.zeros((0, 0), dtype=np.float32)
        covariance = self._covariance(np.concatenate(list(self._rows.values())), alive)
        own = self._covariance(pack, alive) if pack is not None else np.zeros_like(covariance)
        if spread := float(np.trace(own)):
            share = PACK_SHARE * float(np.trace(covariance)) / spread
            covariance = np.float32(1 - PACK_SHARE) * covariance + np.float32(share) * own
        mean_diagonal = float(np.trace(covariance)) / len(covariance)
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * mean_diagonal * np.eye(len(covariance))
        return np.linalg.inv(shrunk).astype(np.float32)

    def _covariance(self, rows: Matrix, alive: Parts) -> Matrix:
        """Second moments of the rows in which all these parts live; zero if there are none."""
        needed = [part for part, lives in enumerate(alive) if lives]
        bounds = (0, *self.parts)
        having = np.all([np.any(rows[:, bounds[n] : bounds[n + 1]], axis=1) for n in needed], axis=0)
        chosen = rows[having][:, self._live(alive)]
        return np.asarray(chosen.T @ chosen / max(len(chosen), 1), dtype=np.float32)

    def _parts_alive(self, rows: Matrix) -> Parts:
        return tuple(bool(np.any(rows[:, start:end])) for start, end in zip((0, *self.parts), self.parts, strict=False))

    def _live(self, alive: Parts) -> NDArray[np.bool_]:
        return np.repeat(alive, np.diff((0, *self.parts)))


def cosine(units: Matrix, unit: Vector) -> Vector:
    """Likeness of each row to one vector, both as `Background.unit` gives them: the mean over the parts that live in both."""
    # the parts that live in a text of one script live in one of the other too, or the other way round
    shared = np.minimum((units * units).sum(axis=1), float(unit @ unit))
    return np.asarray(units @ unit / np.maximum(np.round(shared), 1), dtype=np.float32)


class Tail:
    """How rare is an ordinary item that scores z spreads above the median? One curve for all topics and items of a script.

    decades: rarities, rising, as far as the sample can show them; z: the score that goes with each.
    """

    def __init__(self, decades: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        self._decades = decades
        self._z = np.maximum.accumulate(z)

    def rarity(self, z: Vector) -> Vector:
        """Decades of rarity, 0 to RAREST; beyond the sample, the last stretch goes on straight."""
        inside = np.interp(z, self._z, self._decades)
        slope = (self._decades[-1] - self._decades[-6]) / max(float(self._z[-1] - self._z[-6]), 1e-6)
        beyond = self._decades[-1] + (z - self._z[-1]) * slope
        below = self._decades[0] * np.exp(np.minimum(z - self._z[0], 0))  # keeps the order of what nobody asks about
        rarity = np.where(z > self._z[-1], beyond, np.where(z < self._z[0], below, inside))
        return np.asarray(np.clip(rarity, 0.0, RAREST), dtype=np.float32)


def _decades(sample: int) -> NDArray[np.float64]:
    """From one in two to as rare as a sample of this size shows with a handful of items."""
    return np.linspace(0.3, math.log10(max(sample / 5, 4)), 24)


def _curve(scores: Matrix) -> NDArray[np.float64]:
    """The z that goes with each rarity of `_decades`, the median over the columns of scores.

    The median: those few topics whose events the background tells often do not count.
    """
    location, spread = _place(scores)
    quantiles = np.nanquantile(scores, 1 - 10 ** -_decades(len(scores)), axis=0)
    return np.asarray(np.median((quantiles - location) / spread, axis=1))


def _place(scores: Matrix) -> tuple[Vector, Vector]:
    """Location and spread of each column, in units of a normal distribution's deviation, by its robust quantiles."""
    median, shoulder = np.nanquantile(scores, [MEDIAN, SHOULDER], axis=0)
    return median, np.maximum((shoulder - median) / 1.2816, 1e-9)  # 1.2816: the normal quantile of 0.9


class Matcher:
    """Topics, learnt. Making one is cheap (a matrix product a topic), so a changed rule file makes a new one.

    vectors: text -> vector for each topic's description, examples and negatives.
    """

    def __init__(self, topics: Iterable[Topic], vectors: Mapping[str, Vector], background: Background) -> None:
        self._background = background
        self.topics = {topic.id: topic for topic in topics if topic.status is not TopicStatus.OFF}
        self._learnt = [_Learnt.of(topic, vectors, background) for topic in self.topics.values()]
        self._views: dict[str, _View] = {}

    def rarities(self, vector: Vector, script_name: str) -> Vector:
        """How rare an item is among ordinary ones, in each topic's sense; decades, in the order of `topics`."""
        # an engine that reads the script is needed; without one, terms alone can take an item
        if not self._learnt or not any(self._background.alive(script_name)):
            return np.zeros(len(self._learnt), dtype=np.float32)
        view = self._view(script_name)
        score = view.directions @ self._background.centred(vector, script_name)
        return view.tail.rarity((score - view.location) / view.spread)

    def judge(self, embedded: EmbeddedItem) -> list[Match]:
        """Each topic's judgement of an item, in the order of `topics`."""
        if not self._learnt:
            return []
        item = embedded.item
        text = Searchable(f"{item.title}\n{item.text}")
        name = script(gist(item.title, item.text))
        view = self._view(name)
        seen = _Seen(
            item=item,
            text=text,
            script=name,
            unit=self._background.unit(embedded.vector, name),
        )
        contrasts = (view.contrasts @ self._background.centred(embedded.vector, name) - view.middles) / view.gaps
        return [
            _judge(learnt, seen, float(rarity), float(contrast))
            for learnt, rarity, contrast in zip(
                self._learnt, self.rarities(embedded.vector, name), contrasts, strict=True
            )
        ]

    def _view(self, name: str) -> _View:
        """The topics as they look to items of a script; made when the script is first met."""
        if name not in self._views:
            background, alive = self._background, self._background.alive(name)
            pack = np.concatenate([np.concatenate([one.positives, one.negatives]) for one in self._learnt])
            precision = background.precision(alive, pack)
            directions = np.stack([background.discriminant(one.positives, alive, precision) for one in self._learnt])
            scores = background.rows(name) @ directions.T
            location, spread = _place(scores)
            weight = len(self._learnt) / (len(self._learnt) + FEW_TOPICS)
            curve = weight * _curve(scores) + (1 - weight) * background.exemplar_curve(name)
            contrasts, middles, gaps = [], [], []
            for one, direction in zip(self._learnt, directions, strict=True):
                toward, against = background.mean(one.positives, alive), background.mean(one.negatives, alive)
                contrast = direction - background.discriminant(one.negatives, alive, precision)
                contrasts.append(contrast)
                middles.append(float((toward + against) @ contrast / 2))
                gaps.append(max(float((toward - against) @ contrast), 1e-9))
            self._views[name] = _View(
                directions,
                location,
                spread,
                Tail(_decades(len(scores)), curve),
                np.stack(contrasts),
                np.array(middles),
                np.array(gaps),
            )
        return self._views[name]


@dataclass(frozen=True, slots=True)
class _View:
    """What the items of one script are multiplied with; a row, or a number, a topic."""

    directions: Matrix
    #: where the directions put the script's ordinary items
    location: Vector
    spread: Vector
    tail: Tail
    #: from the mean of the negatives to the mean of the examples, whitened; half-way lies `middles`, all the way `gaps`
    contrasts: Matrix
    middles: NDArray[np.float64]
    gaps: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Learnt:
    """One topic, ready to judge."""

    topic: Topic
    bar: float
    #: centred
    positives: Matrix
    #: as `Background.unit` gives them, in the order of `texts`
    units: Matrix
    texts: tuple[str, ...]
    #: centred; and as `unit` gives them, both in the order of `topic.negatives`
    negatives: Matrix
    negative_units: Matrix
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
            negatives=_stacked([background.centred(vectors[text], script(text)) for text in topic.negatives], none),
            negative_units=_stacked([background.unit(vectors[text], script(text)) for text in topic.negatives], none),
            always=_terms(topic.terms.always),
            require=tuple(_terms(group) for group in topic.terms.require),
            exclude=_terms(topic.terms.exclude),
        )


def _stacked(rows: list[Vector], none: Matrix) -> Matrix:
    return np.stack(rows) if rows else none


def topic_texts(topics: Iterable[Topic]) -> list[str]:
    """Every text of the topics that must be embedded, each once."""
    return list(dict.fromkeys(text for t in topics for text in (t.description, *t.examples, *t.negatives)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What every topic looks at in an item, made once."""

    item: Item
    text: Searchable
    script: str
    unit: Vector


def _judge(learnt: _Learnt, seen: _Seen, rarity: float, contrast: float) -> Match:
    topic, text = learnt.topic, seen.text
    likeness = cosine(learnt.units, seen.unit)
    nearest = learnt.texts[int(np.argmax(likeness))]

    def judged(outcome: MatchOutcome, terms: tuple[str, ...] = (), gate: str = "", negative: str = "") -> Match:
        return Match(topic.id, rarity, learnt.bar, outcome, nearest, negative, terms, gate)

    if outside := _outside(topic, seen.item):
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
        if not hits and any(term.script == seen.script for term in group):
            shut = " | ".join(term.written for term in group if term.script == seen.script)
            return judged(MatchOutcome.NO_REQUIRED_TERM, found, gate=shut)
        found += hits
    if len(learnt.negatives):
        against = cosine(learnt.negative_units, seen.unit)
        # the nearest text alone would be the one in the item's language; the means alone know no single look-alike
        if contrast + NEAREST_WEIGHT * float(likeness.max() - against.max()) < NEGATIVE_MARGIN:
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
#: Scripts that put no space beside a word of another script ("金砖BRICS峰会", "BRICS가"): where one ends, a word does.
_HAN, _HANGUL = "\u3005-\u3007\u3041-\u3096\u30a1-\u30fc\u3400-\u9fff\uf900-\ufaff", "\u1100-\u11ff\uac00-\ud7a3"
_SEAM = re.compile(
    rf"(?<=[{_HAN}])(?=[^\s*{_HAN}])|(?<=[^\s*{_HAN}])(?=[{_HAN}])"
    rf"|(?<=[{_HANGUL}])(?=[^\s*{_HAN}{_HANGUL}])|(?<=[^\s*{_HAN}{_HANGUL}])(?=[{_HANGUL}])"
)


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


@functools.cache  # topics of a pack name the same countries
def _pattern(term: str) -> re.Pattern[str]:
    """Words whole unless they end in *; Han, which has no spaces, wherever it stands."""
    pattern, after_han = "", False
    for word in _squeezed(term).split():
        stem = word.rstrip("*")
        han = script(stem) == "Han"
        space = (" ?" if han and after_han else " ") if pattern else ""
        pattern += space + ("" if han or pattern else r"(?<!\S)") + re.escape(stem)
        pattern += "" if han else r"\S*" if word.endswith("*") else r"(?!\S)"
        after_han = han
    return re.compile(pattern)


def _squeezed(text: str) -> str:
    """Folded, with one space between words and none elsewhere."""
    return " ".join(_SEAM.sub(" ", _PUNCTUATION.sub(" ", fold(text))).split())
