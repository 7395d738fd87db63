"""How rare an item is among ordinary news, in each topic's sense. Vectors and words in, decades out. Pure.

For each topic a linear discriminant is learnt from its title, description and examples against a background of ordinary
news: w = S^-1 m, m the mean of the topic's vectors, all vectors centred on the mean of their language, S the background's
covariance within languages, shrunk towards its diagonal. (Few-shot linear discriminant analysis; Hariharan, Malik, Ramanan:
"Discriminative decorrelation for clustering and classification", ECCV 2012, for one-example topics; Ledoit and Wolf 2004 for
the shrinking.) A share of S comes from the texts of all topics together: what the topics of a pack have in common, be it
China and Russia, tells none of them apart, and is worth as little as what all news has in common. Of an item's length in the
whitened space only the root counts: strange texts are far from everything. To that comes what no vector shows: the words
that item and topic share, each weighed by its rarity (the cosine of their inverse document frequencies).

The sum has no meaning by itself, so it is placed among the scores of the background's items in the same language and said as
rarity: 3.3 decades mean that one in 10**3.3 = 2,000 ordinary items scores as high. Each topic has a location and a spread of
its own, from quantiles below those that the topic's own items can reach, should the background tell of it. Where the tail
begins, what is common to all topics steadies each (a background may hold a topic, but not all of them), within the bounds that
tails kept in backgrounds known to be clean; beyond what a sample shows it goes on as an exponential (the domain of Gumbel:
Pickands 1975; peaks over a threshold).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.background import Background, Matrix, Parts, Tongue
from monitor.model import Vector
from monitor.words import WordIds, WordWeights

#: What a cosine of words adds, in deviations of the vectors' score. Measured: DESIGN.md, "Matching".
WORD_WEIGHT = 15.0
#: The power of an item's length in the whitened space that is taken off; 0 and 1 measured worse, by a little.
LENGTH_POWER = 0.5
#: Items that tell how far ordinary ones scatter on a direction, and texts that tell what a pack has in common.
DEVIATION_ITEMS, PACK_TEXTS = 2000, 4000
#: Location and spread are a topic's own, by these quantiles.
MEDIAN, SHOULDER = 0.5, 0.9
#: The tail is read at these, and its shape from a script with so many items, else from all.
TAIL = (0.95, 0.98, 0.99, 0.995)
TAIL_ITEMS = 1000
#: A topic's own share in where its tail lies; the rest is what the median topic has.
OWN = 0.75
#: From the first of these quantiles to the last, the score above the median grew by so much in clean backgrounds.
TAIL_GROWTH = (1.25, 2.0)
#: Beyond the last, the tail is this much longer than the stretch before says.
BEYOND = 1.2
#: What lengths ordinary items hardly fall short of, and exceed.
LENGTHS = (0.005, 0.995)
#: texts times topics that are looked at in one go
_CELLS = 4_000_000
_NORMAL_SHOULDER = 1.2816  # the normal quantile of 0.9


@dataclass(frozen=True, slots=True)
class TopicTexts:
    """The texts of a topic, as the background sees them; each counts the same."""

    #: centred, a row each; at least one
    vectors: Matrix
    words: tuple[WordIds, ...]


def pack_step(texts: int) -> int:
    """Every how many of a pack's texts are taken for its scatter: of all topics their own first, then all their negatives."""
    return max(1, texts // PACK_TEXTS)


class Ranks:
    """Topics, learnt: places items among ordinary ones. Cheap to make, so a changed rule file makes a new one.

    negatives: for each topic the centred vectors of its look-alikes, which may be none.
    pack: centred vectors of texts of the pack (`pack_step`), of which a share goes into the scatter; None: of these topics.
    """

    def __init__(
        self,
        topics: Sequence[TopicTexts],
        negatives: Sequence[Matrix],
        background: Background,
        pack: Matrix | None = None,
    ) -> None:
        self._background = background
        self._topics = len(topics)
        self._texts = [one.words for one in topics]
        self._words = _Postings(self._texts, background.word_weights)
        self._directions: dict[Parts, _Directions] = {}
        self._scales: dict[tuple[Tongue, Parts], _Scale] = {}
        self._tails: dict[tuple[Tongue, Parts], Matrix] = {}
        if topics:
            if pack is None:
                pack = np.concatenate([*(one.vectors for one in topics), *negatives])
                pack = pack[:: pack_step(len(pack))]
            vectors = [one.vectors for one in topics]
            for alive in background.patterns:
                self._directions[alive] = _Directions.of(vectors, negatives, pack, background, alive)

    def rarities(self, centred: Matrix, words: Sequence[WordIds], tongue: Tongue) -> Matrix:
        """How rare texts of one tongue are, in decades; shape (texts, topics).

        centred: as `Background.centred` gives them; all zero where no engine reads the script, and then nothing is rare.
        """
        alive = self._background.alive(tongue.script)
        if not self._topics or not any(alive):
            return np.zeros((len(centred), self._topics), dtype=np.float32)
        return self._scale(tongue, alive).rarity(self._scores(centred, words, alive))

    def rarities_by(self, centred: Matrix, shared: Matrix, tongue: Tongue, places: Sequence[int]) -> Matrix:
        """The same for some topics, where it is known what the texts' words have in common with them; shape (texts, places)."""
        alive = self._background.alive(tongue.script)
        if not any(alive):
            return np.zeros(shared.shape, dtype=np.float32)
        score = self._directions[alive].scores(centred, places) + WORD_WEIGHT * shared
        return self._scale(tongue, alive).only(places).rarity(score)

    def shared_words(self, words: Sequence[WordIds], places: Sequence[int]) -> Matrix:
        """What the words of texts have in common with some topics; shape (texts, places)."""
        weights = self._background.word_weights
        return _Postings([self._texts[place] for place in places], weights).scores(words, weights)

    def at_most(self, vectors: Matrix, shared: Matrix, tongue: Tongue, places: Sequence[int]) -> Matrix:
        """Hardly less than `rarities` would give for some topics, and mostly more, for a fraction of the work.

        vectors: of texts of one tongue, as `embed` gives them. shared: what their words have in common with those topics, or
        more; shape (texts, places), as what comes back.
        """
        alive = self._background.alive(tongue.script)
        if not any(alive):
            return np.zeros(shared.shape, dtype=np.float32)
        directions = self._directions[alive]
        toward = directions.toward(places)
        score = vectors @ toward - self._background.middle(tongue) @ toward
        shortest, longest = directions.lengths
        score = np.where(score > 0, score / shortest**LENGTH_POWER, score / longest**LENGTH_POWER)
        return self._scale(tongue, alive).only(places).rarity(score + WORD_WEIGHT * shared)

    def contrast(self, place: int, centred: Vector, tongue: Tongue) -> float:
        """Where a text lies between a topic's negatives and its own texts: -0.5 at the mean of those, 0.5 at that of these.

        0 where no engine reads the script. Only for a topic with negatives.
        """
        alive = self._background.alive(tongue.script)
        return self._directions[alive].contrast(place, centred) if any(alive) else 0.0

    def likeness(self) -> Matrix:
        """The cosine of the topics' directions, where most parts live; shape (topics, topics)."""
        if not self._directions:
            return np.zeros((self._topics, self._topics), dtype=np.float32)
        means = self._directions[max(self._directions, key=sum)].means
        units = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.float32(1e-9))
        return np.asarray(units @ units.T, dtype=np.float32)

    def _scale(self, tongue: Tongue, alive: Parts) -> _Scale:
        name, rows = self._background.rows_like(tongue)
        if (name, alive) not in self._scales:
            wide_name, wide = self._background.rows_like(tongue, TAIL_ITEMS)
            scores = self._ordinary(rows, alive)
            if (wide_name, alive) not in self._tails:  # of a script, mostly, and so of many languages
                self._tails[wide_name, alive] = _tail(scores if wide_name == name else self._ordinary(wide, alive))
            self._scales[name, alive] = _Scale(*_place(scores), self._tails[wide_name, alive])
        return self._scales[name, alive]

    def _ordinary(self, rows: NDArray[np.intp], alive: Parts) -> Matrix:
        """What the background's items score, of those in which all these parts live."""
        background = self._background
        rows = rows[background.having(background.rows[rows], alive)]
        return self._scores(background.rows[rows], [background.words[n] for n in rows], alive)

    def _scores(self, centred: Matrix, words: Sequence[WordIds], alive: Parts) -> Matrix:
        shared = self._words.scores(words, self._background.word_weights)
        return self._directions[alive].scores(centred) + WORD_WEIGHT * shared


@dataclass(frozen=True, slots=True)
class _Directions:
    """The discriminants, for items of which the same parts live."""

    live: NDArray[np.bool_]
    whitening: Matrix
    #: whitened means of topics' texts and of their negatives; shape (topics, living dimensions)
    means: Matrix
    against: Matrix
    #: how ordinary items scatter on each
    deviations: Vector
    #: in the whitened space hardly any ordinary item is shorter than the first, or longer than the second
    lengths: tuple[float, float]

    @classmethod
    def of(
        cls, topics: Sequence[Matrix], negatives: Sequence[Matrix], pack: Matrix, background: Background, alive: Parts
    ) -> _Directions:
        live, whitening = background.live(alive), background.whitening(alive, pack)

        def whitened(rows: Sequence[Matrix]) -> Matrix:
            return np.stack([background.mean(one, alive) for one in rows])[:, live] @ whitening

        rows = background.rows[background.having(background.rows, alive)]
        some = rows[:: max(1, len(rows) // DEVIATION_ITEMS)]
        low, high = np.quantile(np.linalg.norm(some[:, live] @ whitening, axis=1), LENGTHS).tolist()
        ones = np.ones(len(topics), dtype=np.float32)
        bare = cls(live, whitening, whitened(topics), whitened(negatives), ones, (low, high))
        return replace(bare, deviations=np.maximum(bare.scores(some).std(axis=0), np.float32(1e-9)))

    def scores(self, centred: Matrix, places: Sequence[int] | slice = slice(None)) -> Matrix:
        """How far each text lies in each topic's direction, or in that of some, in deviations; shape (texts, topics)."""
        white = centred[:, self.live] @ self.whitening
        lengths = np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9)
        toward = self.means[places].T / self.deviations[places]
        return np.asarray(white / lengths**LENGTH_POWER @ toward, dtype=np.float32)

    def toward(self, places: Sequence[int]) -> Matrix:
        """The directions of some topics in the space of vectors, a column each; a score is the product, less for length."""
        toward = np.zeros((len(self.live), len(places)), dtype=np.float32)
        toward[self.live] = self.whitening @ (self.means[places] / self.deviations[places, None]).T
        return toward

    def contrast(self, place: int, centred: Vector) -> float:
        toward, against = self.means[place], self.against[place]
        axis = toward - against
        gap = max(float(axis @ axis), 1e-9)
        return float((centred[self.live] @ self.whitening - (toward + against) / 2) @ axis) / gap


class _Postings:
    """Which topics use a word, and how much it says there: for each topic, the mean of its texts' word vectors."""

    def __init__(self, topics: Sequence[Sequence[WordIds]], weights: WordWeights) -> None:
        self._topics = len(topics)
        texts = [ids for topic in topics for ids in topic]
        words = np.concatenate([*texts, np.zeros(0, np.uint32)])
        users = np.repeat(np.arange(len(topics)), [sum(map(len, topic)) for topic in topics])
        shares = np.repeat([1 / max(len(topic), 1) for topic in topics], [sum(map(len, topic)) for topic in topics])
        # a word that stands in many texts of a topic is one entry
        pairs, entries = np.unique(words.astype(np.int64) * max(len(topics), 1) + users, return_inverse=True)
        self._says = np.bincount(entries, weights.of_each(texts) * shares, len(pairs)).astype(np.float32)
        self._users = pairs % max(len(topics), 1)
        self._known, starts = np.unique((pairs // max(len(topics), 1)).astype(np.uint32), return_index=True)
        self._ends = np.append(starts, len(pairs))

    def scores(self, texts: Sequence[WordIds], weights: WordWeights) -> Matrix:
        """The cosine of each text's words with each topic's, shape (texts, topics)."""
        shared = np.zeros((len(texts), self._topics), dtype=np.float32)
        chunk = max(1, _CELLS // max(self._topics, 1))
        for start in range(0, len(texts), chunk):
            shared[start : start + chunk] = self._of_few(texts[start : start + chunk], weights)
        return shared

    def _of_few(self, texts: Sequence[WordIds], weights: WordWeights) -> Matrix:
        words = np.concatenate([*texts, np.zeros(0, np.uint32)])
        if not len(self._known) or not len(words):
            return np.zeros((len(texts), self._topics), dtype=np.float32)
        places = np.minimum(np.searchsorted(self._known, words), len(self._known) - 1)
        hits = np.flatnonzero(self._known[places] == words)
        starts, counts = self._ends[places[hits]], self._ends[places[hits] + 1] - self._ends[places[hits]]
        entries = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        told = self._says[entries] * np.repeat(weights.of_each(texts)[hits], counts)
        owners = np.repeat(np.arange(len(texts)), [len(text) for text in texts])[hits]
        cells = np.repeat(owners * self._topics, counts) + self._users[entries]
        shared = np.bincount(cells, told, len(texts) * self._topics)
        return shared.astype(np.float32).reshape(len(texts), self._topics)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where ordinary items of one tongue score; a column a topic."""

    location: Vector
    spread: Vector
    #: in spreads above the location, at the quantiles TAIL; shape (len(TAIL), topics)
    tail: Matrix

    def only(self, places: Sequence[int]) -> _Scale:
        return _Scale(self.location[places], self.spread[places], self.tail[:, places])

    def rarity(self, scores: Matrix) -> Matrix:
        """Decades of rarity, 0 and more; shape as given."""
        z = (scores - self.location) / self.spread
        rarity = _DECADES[0] * np.exp(np.minimum(z, 0.0))  # keeps the order of what nobody asks about
        low, low_decades = np.float32(0.0), _DECADES[0]
        for high, high_decades in zip((np.float32(_NORMAL_SHOULDER), *self.tail), _DECADES[1:], strict=True):
            rarity += np.clip((z - low) / (high - low), 0.0, 1.0) * (high_decades - low_decades)
            low, low_decades = high, high_decades
        decade = (self.tail[-1] - self.tail[0]) / (_DECADES[-1] - _DECADES[2]) * BEYOND
        rarity += np.maximum(z - self.tail[-1], 0.0) / decade
        return np.asarray(rarity, dtype=np.float32)


#: the rarity of an item at each quantile that a scale knows
_DECADES = (-np.log10(1 - np.array([MEDIAN, SHOULDER, *TAIL]))).astype(np.float32)


def _place(scores: Matrix) -> tuple[Vector, Vector]:
    """Location and spread of each column, the latter in units of a normal distribution's deviation."""
    location, shoulder = np.quantile(scores, [MEDIAN, SHOULDER], axis=0).astype(np.float32)
    return location, np.maximum((shoulder - location) / _NORMAL_SHOULDER, np.float32(1e-9))


def _tail(scores: Matrix) -> Matrix:
    location, spread = _place(scores)
    own = np.maximum((np.quantile(scores, TAIL, axis=0) - location) / spread, _NORMAL_SHOULDER * 1.05)
    common = np.median(own, axis=1, keepdims=True)
    tail = own**OWN * common ** (1 - OWN)
    tail[0] = common[0]
    low, high = (tail[0] * growth ** _progress()[:, None] for growth in TAIL_GROWTH)
    rising = np.maximum.accumulate(np.clip(tail, low, high), axis=0)
    # the same text over and over makes steps that nothing can be between
    return np.asarray(rising + 1e-3 * np.arange(len(TAIL))[:, None], dtype=np.float32)


def _progress() -> NDArray[np.float64]:
    """How far each of TAIL lies from the first to the last, in decades: 0 to 1."""
    decades = -np.log10(1 - np.array(TAIL))
    return np.asarray((decades - decades[0]) / (decades[-1] - decades[0]))
