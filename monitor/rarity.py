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
from monitor.words import Bags, WordIds, WordWeights

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
    usual: places of the topics by whose tails the usual one is told; None: all.
    """

    def __init__(
        self,
        topics: Sequence[TopicTexts],
        negatives: Sequence[Matrix],
        background: Background,
        pack: Matrix | None = None,
        usual: Sequence[int] | None = None,
    ) -> None:
        self.background = background
        self.topics = len(topics)
        self.texts = [one.words for one in topics]
        self._words = _Postings(self.texts, background.word_weights)
        self.directions: dict[Parts, _Directions] = {}
        self._scales: dict[tuple[Tongue, Parts], _Scale] = {}
        self._tails: dict[tuple[Tongue, Parts], Matrix] = {}
        self._tables: dict[Parts, tuple[Matrix, NDArray[np.bool_]]] = {}
        self._usual = slice(None) if usual is None else list(usual)
        self._some: dict[tuple[int, ...], Some] = {}
        if topics:
            if pack is None:
                pack = np.concatenate([*(one.vectors for one in topics), *negatives])
                pack = pack[:: pack_step(len(pack))]
            vectors = [one.vectors for one in topics]
            for alive in background.patterns:
                self.directions[alive] = _Directions.of(vectors, negatives, pack, background, alive)

    def __len__(self) -> int:
        return self.topics

    def shared_words(self, words: Bags) -> Matrix:
        """What the words of texts have in common with each topic; shape (texts, topics)."""
        return self._words.scores(words, self.background.word_weights)

    def rarities(self, centred: Matrix, shared: Matrix, tongue: Tongue) -> Matrix:
        """How rare texts of one tongue are, in decades; shape (texts, topics).

        centred: as `Background.centred` gives them; all zero where no engine reads the script, and then nothing is rare.
        shared: as `shared_words` gives it.
        """
        alive = self.background.alive(tongue.script)
        if not self.topics or not any(alive):
            return np.zeros(shared.shape, dtype=np.float32)
        return self.scale(tongue, alive).rarity(self.directions[alive].scores(centred) + WORD_WEIGHT * shared)

    def of_some(self, places: Sequence[int]) -> Some:
        """What is asked of some topics only, without the work of all."""
        key = tuple(places)
        if key not in self._some:
            self._some[key] = Some(self, key)
        return self._some[key]

    def contrast(self, place: int, centred: Vector, tongue: Tongue) -> float:
        """Where a text lies between a topic's negatives and its own texts: -0.5 at the mean of those, 0.5 at that of these.

        0 where no engine reads the script. Only for a topic with negatives.
        """
        alive = self.background.alive(tongue.script)
        return self.directions[alive].contrast(place, centred) if any(alive) else 0.0

    def likeness(self) -> Matrix:
        """The cosine of the topics' directions, where most parts live; shape (topics, topics)."""
        if not self.directions:
            return np.zeros((self.topics, self.topics), dtype=np.float32)
        means = self.directions[max(self.directions, key=sum)].means
        units = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.float32(1e-9))
        return np.asarray(units @ units.T, dtype=np.float32)

    def scale(self, tongue: Tongue, alive: Parts) -> _Scale:
        """Where ordinary items of a tongue score; a column a topic."""
        name, rows = self.background.rows_like(tongue)
        if (name, alive) not in self._scales:
            wide_name, wide = self.background.rows_like(tongue, TAIL_ITEMS)
            scores = self._ordinary(rows, alive)
            if (wide_name, alive) not in self._tails:  # of a script, mostly, and so of many languages
                wide_scores = scores if wide_name == name else self._ordinary(wide, alive)
                self._tails[wide_name, alive] = _tail(wide_scores, self._usual)
            self._scales[name, alive] = _Scale(*_place(scores), self._tails[wide_name, alive])
        return self._scales[name, alive]

    def _ordinary(self, rows: NDArray[np.intp], alive: Parts) -> Matrix:
        """What the background's items score, of those in which all these parts live."""
        background = self.background
        rows = rows[background.rows_having(alive)[rows]]
        if len(background) * self.topics > _CELLS:
            return self._scored(rows, alive)
        # a language is a part of its script: what was scored once is not scored again, while it is no great table
        if alive not in self._tables:
            shape = len(background), self.topics
            self._tables[alive] = np.empty(shape, dtype=np.float32), np.zeros(len(background), dtype=np.bool_)
        table, known = self._tables[alive]
        missing = rows[~known[rows]]
        table[missing] = self._scored(missing, alive)
        known[missing] = True
        return np.asarray(table[rows])

    def _scored(self, rows: NDArray[np.intp], alive: Parts) -> Matrix:
        shared = self.shared_words(self.background.words.take(rows))
        return self.directions[alive].scores(self.background.some_rows(rows)) + WORD_WEIGHT * shared


class Some:
    """Some of the topics that were learnt: what is asked of them again and again is made once."""

    def __init__(self, ranks: Ranks, places: Sequence[int]) -> None:
        self._ranks = ranks
        self._places = list(places)
        texts = [ranks.texts[place] for place in places]
        self._words = _Postings(texts, ranks.background.word_weights)
        self._directions = {alive: one.only(self._places) for alive, one in ranks.directions.items()}
        self._toward = {alive: one.toward(ranks.background.dimension) for alive, one in self._directions.items()}
        self._scales: dict[Tongue, _Scale] = {}

    def __len__(self) -> int:
        return len(self._places)

    def shared_words(self, words: Bags) -> Matrix:
        """As `Ranks` does."""
        return self._words.scores(words, self._ranks.background.word_weights)

    def rarities(self, centred: Matrix, shared: Matrix, tongue: Tongue) -> Matrix:
        """As `Ranks` does."""
        alive = self._ranks.background.alive(tongue.script)
        if not any(alive):
            return np.zeros(shared.shape, dtype=np.float32)
        score = self._directions[alive].scores(centred) + WORD_WEIGHT * shared
        return self._scale(tongue, alive).rarity(score)

    def at_most(self, vectors: Matrix, shared: Matrix, tongue: Tongue) -> Matrix:
        """Hardly less than `rarities` would give, and mostly more, for a fraction of the work.

        vectors: of texts of one tongue, as `embed` gives them.
        """
        background = self._ranks.background
        alive = background.alive(tongue.script)
        if not any(alive):
            return np.zeros(shared.shape, dtype=np.float32)
        toward, directions = self._toward[alive], self._directions[alive]
        score = vectors @ toward - background.middle(tongue) @ toward
        shortest, longest = directions.lengths
        score = np.where(score > 0, score / shortest**LENGTH_POWER, score / longest**LENGTH_POWER)
        return self._scale(tongue, alive).rarity(score + WORD_WEIGHT * shared)

    def _scale(self, tongue: Tongue, alive: Parts) -> _Scale:
        if tongue not in self._scales:
            self._scales[tongue] = self._ranks.scale(tongue, alive).only(self._places)
        return self._scales[tongue]


@dataclass(frozen=True, slots=True)
class _Directions:
    """The discriminants, for items of which the same parts live."""

    #: which dimensions of a vector these are
    live: slice | NDArray[np.bool_]
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

        rows = np.flatnonzero(background.rows_having(alive))
        some = background.some_rows(rows[:: max(1, len(rows) // DEVIATION_ITEMS)])
        low, high = np.quantile(np.linalg.norm(some[:, live] @ whitening, axis=1), LENGTHS).tolist()
        ones = np.ones(len(topics), dtype=np.float32)
        bare = cls(live, whitening, whitened(topics), whitened(negatives), ones, (low, high))
        return replace(bare, deviations=np.maximum(bare.scores(some).std(axis=0), np.float32(1e-9)))

    def scores(self, centred: Matrix) -> Matrix:
        """How far each text lies in each topic's direction, in deviations; shape (texts, topics)."""
        white = centred[:, self.live] @ self.whitening
        lengths = np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9)
        return np.asarray(white @ (self.means.T / self.deviations) / lengths**LENGTH_POWER, dtype=np.float32)

    def toward(self, dimension: int) -> Matrix:
        """The topics' directions in the space of vectors, a column each; a score is the product, less for length."""
        toward = np.zeros((dimension, len(self.means)), dtype=np.float32)
        toward[self.live] = self.whitening @ (self.means / self.deviations[:, None]).T
        return toward

    def only(self, places: Sequence[int]) -> _Directions:
        return replace(self, means=self.means[places], against=self.against[places], deviations=self.deviations[places])

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
        self._says = np.bincount(entries, weights.of_each(Bags.of(texts)) * shares, len(pairs)).astype(np.float32)
        self._users = pairs % max(len(topics), 1)
        self._known, starts = np.unique((pairs // max(len(topics), 1)).astype(np.uint32), return_index=True)
        self._ends = np.append(starts, len(pairs))

    def scores(self, texts: Bags, weights: WordWeights) -> Matrix:
        """The cosine of each text's words with each topic's, shape (texts, topics)."""
        shared = np.zeros((len(texts), self._topics), dtype=np.float32)
        if not len(self._known):
            return shared
        #: of each known word of the texts its place among the topics', or none
        places = np.minimum(np.searchsorted(self._known, texts.known), len(self._known) - 1)
        places[self._known[places] != texts.known] = -1
        told = weights.of_each(texts)
        chunk = max(1, _CELLS // max(self._topics, 1))
        for start in range(0, len(texts), chunk):
            bounds = texts.bounds[start : start + chunk + 1]
            within = slice(bounds[0], bounds[-1])
            shared[start : start + chunk] = self._of_few(places[texts.places[within]], told[within], np.diff(bounds))
        return shared

    def _of_few(self, places: NDArray[np.intp], told: Vector, counts: NDArray[np.int64]) -> Matrix:
        hits = np.flatnonzero(places >= 0)
        starts, users = self._ends[places[hits]], self._ends[places[hits] + 1] - self._ends[places[hits]]
        entries = np.arange(users.sum()) + np.repeat(starts - np.cumsum(users) + users, users)
        amounts = self._says[entries] * np.repeat(told[hits], users)
        owners = np.repeat(np.arange(len(counts)), counts)[hits]
        cells = np.repeat(owners * self._topics, users) + self._users[entries]
        shared = np.bincount(cells, amounts, len(counts) * self._topics)
        return shared.astype(np.float32).reshape(len(counts), self._topics)


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


def _tail(scores: Matrix, usual: slice | list[int]) -> Matrix:
    location, spread = _place(scores)
    own = np.maximum((np.quantile(scores, TAIL, axis=0) - location) / spread, _NORMAL_SHOULDER * 1.05)
    common = np.median(own[:, usual], axis=1, keepdims=True)
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
