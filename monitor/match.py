"""Which topics an item belongs to, and why: vectors and terms in, one judgement a topic out.

A topic takes an item that is rare enough among ordinary news in the topic's sense (`rarity`), or that has one of its
`always` terms; then gates may shut: terms, negatives, scope. An item is looked at in units (`text.units`), and the best
counts: of a digest, one sentence. Nothing here touches the world.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitor.background import Background, Matrix, Tongue, cosine
from monitor.language import identify
from monitor.model import EmbeddedItem, Item, Match, MatchOutcome, Terms, Topic, TopicStatus, Vector
from monitor.rarity import Ranks, Some, TopicTexts, pack_step
from monitor.terms import Found, Lexicon, Term, terms_of
from monitor.text import gist, script, scripts, units
from monitor.words import Bags, word_ids

#: An item is nearer to the negatives when the contrast of the means (-0.5 at the negatives', 0.5 at the examples') and the
#: difference of the nearest texts' likeness, so weighted, come below the margin. Measured: DESIGN.md, "Matching".
NEAREST_WEIGHT, NEGATIVE_MARGIN = 1.0, -0.1
#: Near misses from here on (decades: one in twenty ordinary items) are judgements too, so that it can be said what fell short.
NEAR = 1.3
#: Of all topics so many, evenly drawn, say what tail is usual: a median, of which a quarter counts.
USUAL_TOPICS = 100

#: a reload brings most texts of topics again; those of items never come back
_topic_word_ids = lru_cache(maxsize=1 << 16)(word_ids)


class Matcher:
    """Topics, learnt. Making one is cheap (a matrix product a topic), so a changed rule file makes a new one.

    vectors: text -> vector for each of `topic_texts`.
    asked: only these topics will be asked. The others count for the scatter of the pack, and some of them for what is the usual
        tail: a thousand topics' scores of all ordinary items take half a minute.
    read: tells what a text is written in, as `tongue_of` does.
    before: another one, of which the half that takes long is taken over if it is the same: what is learnt of texts alone.
    """

    def __init__(
        self,
        topics: Iterable[Topic],
        vectors: Mapping[str, Vector],
        background: Background,
        asked: Collection[str] | None = None,
        read: Callable[[str], Tongue] | None = None,
        before: Matcher | None = None,
    ) -> None:
        every = {topic.id: topic for topic in topics if topic.status is not TopicStatus.OFF}
        self.background = background
        usual = list(every)[:: math.ceil(len(every) / USUAL_TOPICS)] if every else []
        kept = every.keys() if asked is None else {*asked, *usual}
        self.topics = {one: topic for one, topic in every.items() if one in kept}
        #: of each topic its column in what `ranks` gives
        self.places = {topic: place for place, topic in enumerate(self.topics)}
        self.lexicon = _lexicon(t for t in self.topics.values() if asked is None or t.id in asked)
        pack = [*(text for t in every.values() for text in _told(t)), *(n for t in every.values() for n in t.negatives)]
        pack = pack[:: pack_step(len(pack))]
        told, against = list(map(_told, self.topics.values())), [topic.negatives for topic in self.topics.values()]
        of = (background, told, against, pack, usual)
        if before and before.learnt and before.learnt.of == of:
            learnt = before.learnt
        else:
            written = list(dict.fromkeys([*topic_texts(self.topics.values()), *pack]))
            texts = _Texts(written, vectors, background, list(map(read or tongue_of, written)))
            ranks = Ranks(
                [TopicTexts(texts.centred(one), tuple(map(_topic_word_ids, one))) for one in told],
                [texts.centred(one) for one in against],
                background,
                texts.centred(pack),
                [self.places[one] for one in usual],
            )
            learnt = LearntOfTexts(of, texts, ranks)
        self.ranks: Ranks = learnt.ranks
        #: the texts of a thousand topics are 50 MB: not for who is never asked for them again
        self.learnt: LearntOfTexts | None = None if asked is None else learnt
        self._learnt = [_Learnt.of(topic, learnt.texts) for topic in self.topics.values()]
        #: where a judgement begins to be worth having
        self._near = np.minimum(NEAR, [one.bar for one in self._learnt])
        #: places of the topics that a term lets in or keeps out by itself
        self._by_term: dict[str, list[int]] = {}
        for place, one in enumerate(self._learnt):
            for term in (*one.always, *one.exclude):
                self._by_term.setdefault(term.written, []).append(place)

    def scores(self, embedded: EmbeddedItem) -> Vector:
        """How rare an item is among ordinary ones, in each topic's sense; decades, in the order of `topics`."""
        return self._scored(embedded).best

    def judge(self, embedded: EmbeddedItem, *, every: bool = False) -> list[Match]:
        """The judgements of those topics that take the item, come near, or know one of its terms; of every topic if so asked.

        In the order of `topics`.
        """
        if not self._learnt:
            return []
        item = embedded.item
        scored = self._scored(embedded)
        found = self.lexicon.find(f"{item.title}\n{item.text}")
        likenable = self.background.length_one(scored.centred)
        near = np.ones(len(self._learnt), dtype=bool) if every else scored.best >= self._near
        near[[place for term in found for place in self._by_term.get(term, ())]] = True
        return [
            self._judge(int(place), item, found, scored, scored.rarities[:, place], likenable)
            for place in np.flatnonzero(near)
        ]

    def judge_by(self, embedded: EmbeddedItem, topic_id: str) -> Match:
        """The judgement of one topic, however far the item is.

        Raises: KeyError if the topic is not known.
        """
        place, item = self.places[topic_id], embedded.item
        scored = self._scored(embedded, self.ranks.of_some([place]))
        return self._judged_by(place, item, scored, self.background.length_one(scored.centred))

    def judge_gists(self, items: Sequence[Item], vectors: Matrix, topic_id: str) -> list[Match]:
        """The same for many items, by their gists alone.

        vectors: a row an item.
        """
        place = self.places[topic_id]
        some = self.ranks.of_some([place])
        gists = [gist(item.title, item.text) for item in items]
        tongues = [Tongue(item.language, name) for item, name in zip(items, scripts(gists), strict=True)]
        scored = self._rarities(gists, self.background.centred(vectors, tongues), tongues, some)
        likenable = self.background.length_one(scored.centred)
        return [
            self._judged_by(place, item, scored.only(row), likenable[row : row + 1]) for row, item in enumerate(items)
        ]

    def _judged_by(self, place: int, item: Item, scored: _Scored, likenable: Matrix) -> Match:
        found = self.lexicon.find(f"{item.title}\n{item.text}")
        return self._judge(place, item, found, scored, scored.rarities[:, 0], likenable)

    def likeness(self) -> Matrix:
        """How alike the topics are learnt, -1 to 1, in the order of `topics`; shape (topics, topics)."""
        return self.ranks.likeness()

    def _scored(self, embedded: EmbeddedItem, some: Some | None = None) -> _Scored:
        """Place each unit of an item among ordinary news, in the sense of each topic or of some."""
        item = embedded.item
        texts = units(item.title, item.text)
        vectors = embedded.vector[None] if embedded.further is None else np.vstack([embedded.vector, embedded.further])
        texts = texts[: len(vectors)]
        tongues = [Tongue(item.language, script(text)) for text in texts]
        scored = self._rarities(texts, self.background.centred(vectors, tongues), tongues, some)
        # Many pieces have many chances: together they are to have one, as the gist has, and the title.
        scored.rarities[2:] -= math.log10(max(len(texts) - 2, 1))
        return scored

    def _rarities(self, texts: Sequence[str], centred: Matrix, tongues: Sequence[Tongue], some: Some | None) -> _Scored:
        asked = some or self.ranks
        rarities = np.zeros((len(texts), len(asked)), dtype=np.float32)
        for tongue in set(tongues):
            rows = [row for row, one in enumerate(tongues) if one == tongue]
            shared = asked.shared_words(Bags.of([word_ids(texts[row]) for row in rows]))
            rarities[rows] = asked.rarities(centred[rows], shared, tongue)
        return _Scored(texts, tongues, centred, rarities)

    def _judge(
        self, place: int, item: Item, found: Found, scored: _Scored, rarities: Vector, likenable: Matrix
    ) -> Match:
        """rarities: of each unit, in this topic's sense."""
        learnt = self._learnt[place]
        best, against = self._telling(place, scored, rarities, likenable)
        topic, rarity = learnt.topic, float(rarities[best])
        likeness = cosine(learnt.units.astype(np.float32), likenable[best])

        def judged(outcome: MatchOutcome, terms: tuple[str, ...] = (), gate: str = "", negative: str = "") -> Match:
            return Match(
                topic=topic.id,
                score=rarity,
                bar=learnt.bar,
                outcome=outcome,
                nearest=learnt.texts[int(np.argmax(likeness))],
                negative=negative,
                terms=terms,
                gate=gate,
                words=tuple(found.words(term) for term in terms),
                unit=scored.texts[best] if best > 1 else "",
            )

        if outside := _outside(topic, item):
            return judged(MatchOutcome.OUT_OF_SCOPE, gate=outside)
        if terms := found.among(learnt.exclude):
            return judged(MatchOutcome.EXCLUDED_TERM, terms, gate=terms[0])
        if terms := found.among(learnt.always):
            return judged(MatchOutcome.MATCHED_TERM, terms)
        gate, terms = _gate(learnt, found, scored.tongues[0].script)
        if rarity < learnt.bar:
            outcome = MatchOutcome.BELOW_BAR
        elif gate:
            outcome = MatchOutcome.NO_REQUIRED_TERM
        else:
            outcome = MatchOutcome.NEARER_NEGATIVE if against else MatchOutcome.MATCHED
        return judged(outcome, terms, gate, against)

    def _telling(self, place: int, scored: _Scored, rarities: Vector, likenable: Matrix) -> tuple[int, str]:
        """The unit by which a topic judges an item, and the negative that this one is nearer to than to the examples.

        The rarest, unless it is nearer to a negative, and another that is rare enough is not.
        """
        order = [int(n) for n in np.argsort(-rarities, kind="stable")]
        negatives = {order[0]: self._nearer_negative(place, order[0], scored, likenable)}
        for n in order:
            if n not in negatives and rarities[n] >= self._learnt[place].bar:
                negatives[n] = self._nearer_negative(place, n, scored, likenable)
            if not negatives.get(n, "none"):
                return n, ""
        return order[0], negatives[order[0]]

    def _nearer_negative(self, place: int, unit: int, scored: _Scored, likenable: Matrix) -> str:
        """The negative that a unit is nearer to than to the examples; empty if to none."""
        learnt = self._learnt[place]
        if not len(learnt.negative_units):
            return ""
        likeness = cosine(learnt.units.astype(np.float32), likenable[unit])
        against = cosine(learnt.negative_units.astype(np.float32), likenable[unit])
        # the nearest text alone would be the one in the item's language; the means alone know no single look-alike
        leaning = self.ranks.contrast(place, scored.centred[unit], scored.tongues[unit])
        leaning += NEAREST_WEIGHT * float(likeness.max() - against.max())
        return learnt.topic.negatives[int(np.argmax(against))] if leaning < NEGATIVE_MARGIN else ""


def read_ahead(topics: Collection[Topic]) -> None:
    """Do what of learning needs no vector, and is kept: a second or two, in which another thread may load the models."""
    _lexicon(topics)
    for text in topic_texts(topics):
        tongue_of(text)


def _lexicon(topics: Iterable[Topic]) -> Lexicon:
    return Lexicon(term for topic in topics for term in _written(topic.terms))


def topic_texts(topics: Iterable[Topic]) -> list[str]:
    """Every text of the topics that must be embedded, each once."""
    return list(dict.fromkeys(text for t in topics for text in (t.title, t.description, *t.examples, *t.negatives)))


def embedded_items(items: Sequence[Item], vectors: Mapping[str, Vector]) -> list[EmbeddedItem]:
    """Put items together with the vectors of their texts (`item_texts`)."""
    embedded = []
    for item in items:
        first, *others = [vectors[text] for text in units(item.title, item.text)]
        embedded.append(EmbeddedItem(item, first, np.stack(others) if others else None))
    return embedded


def item_texts(items: Iterable[Item]) -> list[str]:
    """Every text of the items that must be embedded, each once."""
    return list(dict.fromkeys(text for item in items for text in units(item.title, item.text)))


# -- topics, ready to judge -----------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)  # a reload brings most texts again
def tongue_of(text: str) -> Tongue:
    """What a topic's text is written in. Short Latin texts are English unless they clearly are not."""
    written = script(text)
    return Tongue(identify(text, "en" if written == "Latin" else ""), written)


class _Texts:
    """The texts of all topics, as the background sees them."""

    def __init__(
        self, texts: Sequence[str], vectors: Mapping[str, Vector], background: Background, tongues: Sequence[Tongue]
    ) -> None:
        self._places = {text: place for place, text in enumerate(texts)}
        rows = np.array([vectors[text] for text in texts], dtype=np.float32).reshape(len(texts), background.dimension)
        self._centred = background.centred(rows, tongues)
        self._units = background.units(rows, tongues).astype(np.float16)

    def centred(self, texts: Sequence[str]) -> Matrix:
        return self._centred[[self._places[text] for text in texts]]

    def units(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """In half precision: a thousand topics have ten each."""
        return self._units[[self._places[text] for text in texts]]


@dataclass(frozen=True, slots=True)
class LearntOfTexts:
    """What is learnt of topics' texts alone, whatever their bars and terms."""

    of: tuple[Background, Sequence[Sequence[str]], Sequence[Sequence[str]], Sequence[str], Sequence[str]]
    texts: _Texts
    ranks: Ranks


def _told(topic: Topic) -> tuple[str, ...]:
    """What a topic is learnt from, each text once: who gives few examples has said what he means in title and description."""
    return (topic.title, topic.description, *topic.examples)


@dataclass(frozen=True, slots=True)
class _Learnt:
    """One topic, ready to judge."""

    topic: Topic
    bar: float
    #: as `Background.units` gives them, in the order of `texts`
    units: NDArray[np.float16]
    texts: tuple[str, ...]
    #: in the order of `topic.negatives`
    negative_units: NDArray[np.float16]
    always: tuple[Term, ...]
    require: tuple[tuple[Term, ...], ...]
    exclude: tuple[Term, ...]

    @classmethod
    def of(cls, topic: Topic, texts: _Texts) -> _Learnt:
        shown = (topic.description, *topic.examples)
        return cls(
            topic=topic,
            bar=-math.log10(topic.noise),
            units=texts.units(shown),
            texts=shown,
            negative_units=texts.units(topic.negatives),
            always=terms_of(topic.terms.always),
            require=tuple(terms_of(group) for group in topic.terms.require),
            exclude=terms_of(topic.terms.exclude),
        )


def _written(terms: Terms) -> tuple[str, ...]:
    return (*terms.exclude, *terms.always, *(term for group in terms.require for term in group))


# -- one item -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scored:
    """An item's units, and what each topic makes of the one that says most to it."""

    texts: Sequence[str]
    tongues: Sequence[Tongue]
    centred: Matrix
    #: of each unit, in the sense of each topic that is asked; shape (units, topics)
    rarities: Matrix

    def only(self, row: int) -> _Scored:
        """One of the texts by itself."""
        one = slice(row, row + 1)
        return _Scored(self.texts[one], self.tongues[one], self.centred[one], self.rarities[one])

    @property
    def best(self) -> Vector:
        """The rarity of the rarest unit, in each topic's sense."""
        return np.asarray(self.rarities.max(axis=0), dtype=np.float32)


def _gate(learnt: _Learnt, found: Found, written_in: str) -> tuple[str, tuple[str, ...]]:
    """The required group that an item has no term of, empty if it passes all, and the required terms that it has."""
    had: tuple[str, ...] = ()
    for group in learnt.require:
        hits = found.among(group)
        if not hits and any(term.script == written_in for term in group):
            return " | ".join(term.written for term in group if term.script == written_in), had
        had += hits
    return "", had


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
