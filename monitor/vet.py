"""What a topic file alone cannot tell: how feeds, channels, the matcher and past items take to its topics.

Takes topics with their files, gives problems; changes nothing and refuses nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from monitor.background import Background
from monitor.config import CHANNEL_ID
from monitor.errors import Level, Problem
from monitor.explain import judgement
from monitor.language import identified
from monitor.match import Matcher
from monitor.model import Feed, Item, Match, MatchOutcome, Topic, TopicStatus
from monitor.terms import Lexicon
from monitor.text import script, sink_of, text_hash
from monitor.toml import Keys, Source, did_you_mean, dotted, in_file_order, quote
from monitor.words import word_ids

if TYPE_CHECKING:
    from monitor.learning import Learning

Files: TypeAlias = Sequence[tuple[Topic, Source]]

#: Two topics are one from this likeness on. Of the shipped ones the most alike have 0.63; halves of one topic, learnt apart,
#: have 0.74 to 0.82, and a topic and its copy with half of the examples 0.92 to 0.94.
SAME = 0.85
#: Shares of ordinary items from which on a term says nothing: one that alerts by itself, one that shuts out, a group.
ALWAYS_SHARE, EXCLUDE_SHARE, REQUIRE_SHARE = 0.01, 0.1, 0.5
#: Of fewer items no share is said, ...
ENOUGH_FOR_A_SHARE = 200
#: ... and of fewer not that something never stands in them.
ENOUGH_FOR_NEVER = 1000

_ANY_TIME = datetime(2024, 1, 1, tzinfo=UTC)

#: where, what, how bad
_Found = Iterator[tuple[Keys, str, Level]]


def by_channels(files: Files, *, slack: bool, fallback: str) -> list[Problem]:
    """Find channels that nothing can be sent to.

    slack: there is a token; without one a name may do, on a terminal. fallback: the configuration's `alerts.channel`.
    """
    return _each(files, lambda topic: _channel(topic, slack, fallback))


def by_feeds(files: Files, feeds: Sequence[Feed]) -> list[Problem]:
    """Find scopes that no feed on the list is in; nothing is said where there is no list."""
    return _each(files, lambda topic: _scope(topic, feeds)) if feeds else []


def by_matcher(files: Files, learning: Learning, matcher: Matcher) -> list[Problem]:
    """Find examples that a topic would not take, negatives that it would, and topics that are one."""
    found: dict[str, list[tuple[Keys, str, Level]]] = {}
    texts = [
        (topic, (key, place), text)
        for topic in matcher.topics.values()
        for key, written in (("examples", topic.examples), ("negatives", topic.negatives))
        for place, text in enumerate(written)
    ]
    items = [_item(topic, text, number) for number, (topic, _, text) in enumerate(texts)]
    for (topic, keys, text), embedded in zip(texts, learning.embed(items), strict=True):
        match = matcher.judge_by(embedded, topic.id)
        told = _unlike_itself(match, text) if keys[0] == "examples" else _like_itself(match, text)
        if told:
            found.setdefault(topic.id, []).append((keys, *told))
    for one, other, likeness in _twins(matcher):
        said = f"learnt almost as {one} is (likeness {likeness:.2f} of 1); make one of the two, or give examples that part them"
        found.setdefault(other, []).append((("title",), said, Level.WARNING))
    return _each(files, lambda topic: iter(found.get(topic.id, [])))


def by_archive(files: Files, texts: Iterable[str], background: Background | None = None) -> list[Problem]:
    """Find terms that stand nearly everywhere, and groups of `require` that nothing ever met or that a script escapes.

    texts: of past items, title and text. background: what is ordinary; it knows single words alone.
    """
    seen = _Seen([topic for topic, _ in files], texts, background)
    return _each(files, lambda topic: itertools.chain(_shares(topic, seen), _groups(topic, seen)))


def _each(files: Files, look: Callable[[Topic], _Found]) -> list[Problem]:
    problems: list[Problem] = []
    for topic, source in files:
        found = look(topic)
        problems += in_file_order(
            [source.problem(keys, f"{dotted(keys)}: {said}", level) for keys, said, level in found]
        )
    return problems


# -- channels and feeds ---------------------------------------------------------------------------


def _channel(topic: Topic, slack: bool, fallback: str) -> _Found:
    channel = topic.notify.channel
    if channel is None:
        if slack and not fallback:
            said = "there is none to send to; write one here, or alerts.channel in monitor.toml for all topics"
            yield ("notify", "channel"), said, Level.ERROR
    elif not sink_of(channel) and not CHANNEL_ID.fullmatch(channel):
        said = (
            f'{quote(channel)} is a channel\'s name, and Slack wants its id; write that, as in "C0123456789": it stands at '
            "the bottom of the channel's About"
        )
        yield ("notify", "channel"), said, Level.ERROR if slack else Level.ADVICE


def _scope(topic: Topic, feeds: Sequence[Feed]) -> _Found:
    names, kinds = {feed.name for feed in feeds}, {feed.kind for feed in feeds if feed.kind}
    languages = {feed.language for feed in feeds}
    for key, wanted, known in (("sources", topic.scope.sources, names), ("kinds", topic.scope.kinds, kinds)):
        for one in sorted(wanted - known):
            fix = did_you_mean(one, sorted(known)) or "; take it out, or add such a feed"
            yield ("scope", key), f"no feed on the list is {quote(one)}{fix}", Level.WARNING
    if "" not in languages:  # a feed of no stated language may bring any
        for one in sorted(topic.scope.languages - languages):
            said = f"no feed on the list is in {quote(one)}; take it out, or add such a feed"
            yield ("scope", "languages"), said, Level.WARNING


# -- the matcher ----------------------------------------------------------------------------------

_WHY_NOT = {
    MatchOutcome.BELOW_BAR: "loosen noise, or give examples that are more alike",
    MatchOutcome.NO_REQUIRED_TERM: "give the group a term of this headline, or write one with a term of the group",
    MatchOutcome.EXCLUDED_TERM: "take the term out, or the example",
    MatchOutcome.NEARER_NEGATIVE: "take that negative out, or give more examples of this kind",
    MatchOutcome.OUT_OF_SCOPE: "widen scope, or take the example out",
}
#: what a file says against itself, in words and not in the opinion of a model
_CERTAIN = {MatchOutcome.NO_REQUIRED_TERM, MatchOutcome.EXCLUDED_TERM, MatchOutcome.MATCHED_TERM}


def _unlike_itself(match: Match, text: str) -> tuple[str, Level] | None:
    if match.matched:
        return None
    said = f"the topic would not take {quote(text)} ({judgement(match)}); {_WHY_NOT[match.outcome]}"
    return said, Level.ERROR if match.outcome in _CERTAIN else Level.WARNING


def _like_itself(match: Match, text: str) -> tuple[str, Level] | None:
    if not match.matched:
        return None
    certain = match.outcome in _CERTAIN
    fix = "write more of that term, or exclude one of this" if certain else "tighten noise, or give more such negatives"
    return f"the topic would take {quote(text)} ({judgement(match)}); {fix}", Level.ERROR if certain else Level.WARNING


def _item(topic: Topic, text: str, number: int) -> Item:
    """A headline as a feed within the topic's scope would bring it."""
    source, kind = min(topic.scope.sources, default=""), min(topic.scope.kinds, default="")
    feed = Feed(f"example:{number}", source, kind)
    return identified(Item(text_hash(f"{number} {text}"), feed, text, "", "", "", "", _ANY_TIME, _ANY_TIME))


def _twins(matcher: Matcher) -> Iterator[tuple[str, str, float]]:
    """Pairs of topics that are learnt alike. One in shadow beside one that is not is a trial of the other."""
    topics, likeness = list(matcher.topics.values()), matcher.likeness()
    for n, other in enumerate(topics):
        for m in np.flatnonzero(likeness[n, :n] >= SAME):
            one = topics[int(m)]
            if (one.status is TopicStatus.SHADOW) == (other.status is TopicStatus.SHADOW):
                yield one.id, other.id, float(likeness[n, m])


# -- past items -----------------------------------------------------------------------------------


class _Seen:
    """How often terms and groups of them stand in past items."""

    def __init__(self, topics: Sequence[Topic], texts: Iterable[str], background: Background | None) -> None:
        terms = {
            term
            for topic in topics
            for term in itertools.chain(topic.terms.always, topic.terms.exclude, *topic.terms.require)
        }
        groups = {group for topic in topics for group in topic.terms.require}
        by_term: dict[str, list[tuple[str, ...]]] = {}
        for group in groups:
            for term in group:
                by_term.setdefault(term, []).append(group)
        lexicon = Lexicon(terms)
        #: items in each script
        self.items: Counter[str] = Counter()
        self._terms: Counter[str] = Counter()
        #: items that met a group
        self.met: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            self.items[script(text)] += 1
            found = set(lexicon.find(text))
            self._terms.update(found)
            self.met.update({group for term in found for group in by_term.get(term, ())})
        self._words: dict[int, int] = {}
        self._ordinary: Counter[str] = Counter()
        if background is not None:
            words = background.words
            counts = np.bincount(words.places, minlength=len(words.known))
            self._words = dict(zip(words.known.tolist(), counts.tolist(), strict=True))
            for tongue, count in background.tongues.items():
                self._ordinary[tongue.script] += count

    def share(self, term: str) -> float:
        """The share of items in a term's script that have it: past ones, or if those are few, ordinary ones."""
        written = script(term)
        if self.items[written] >= ENOUGH_FOR_A_SHARE:
            return self._terms[term] / self.items[written]
        words = word_ids(term)
        if len(words) != 1 or term.endswith("*") or " " in term or self._ordinary[written] < ENOUGH_FOR_A_SHARE:
            return 0.0
        return self._words.get(int(words[0]), 0) / self._ordinary[written]


def _shares(topic: Topic, seen: _Seen) -> _Found:
    for place, term in enumerate(topic.terms.always):
        if (share := seen.share(term)) > ALWAYS_SHARE:
            said = f"{quote(term)} stands in {share:.1%} of ordinary items, alerts on each; write more of it, or use require"
            yield ("terms", "always", place), said, Level.WARNING
    for place, term in enumerate(topic.terms.exclude):
        if (share := seen.share(term)) > EXCLUDE_SHARE:
            said = f"{quote(term)} stands in {share:.1%} of ordinary items, and shuts out each; write more of it"
            yield ("terms", "exclude", place), said, Level.WARNING


def _groups(topic: Topic, seen: _Seen) -> _Found:
    shown = {script(example) for example in topic.examples} - {""}
    for place, group in enumerate(topic.terms.require):
        keys: Keys = ("terms", "require", place)
        scripts = {script(term) for term in group}
        items = sum(seen.items[one] for one in scripts)
        if items >= ENOUGH_FOR_NEVER and not seen.met[group]:
            said = f"none of {items:,} past items has a term of this group; nothing would pass, look for a slip in it"
            yield keys, said, Level.WARNING
        elif items >= ENOUGH_FOR_A_SHARE and seen.met[group] > REQUIRE_SHARE * items:
            said = (
                f"{seen.met[group] / items:.0%} of past items have a term of this group; it keeps out little, narrow it"
            )
            yield keys, said, Level.ADVICE
        if escaped := sorted(shown - scripts):
            said = f"no term in {' and '.join(escaped)}, which examples are in; they pass unasked, name it too if you can whole"
            yield keys, said, Level.ADVICE
