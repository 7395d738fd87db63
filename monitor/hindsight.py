"""What topics would have done: an archive through match and decide, as if its items came now, sending nothing.

All items are looked at by their gists and terms (`sieve`), those nearest the bar as live, sentence by sentence. Items that the
state remembers stand in the stories in which they stood live: these were put together from all that was open, and by people's
word; what a topic takes of a day, by itself, would make others. A file has none, so what is taken of it is put in stories here.
Each topic is judged as if no other sent to its channels. The archive's own times are the clock: nothing is too old, and what
stood in a feed before its first poll counts as news.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from monitor.array_cache import ArrayCache
from monitor.background import Sample
from monitor.columns import Past, past_of
from monitor.config import Config
from monitor.database import FILE
from monitor.decide import Policy, decide
from monitor.embed import Embedder
from monitor.errors import StateError
from monitor.language import identified
from monitor.learning import (
    OWN_ITEMS,
    OWN_LEAST,
    OWN_SPAN,
    Learning,
    Report,
    now,
    open_learning,
    own_items,
    policy_of,
    silent,
    vectors,
)
from monitor.match import Matcher, embedded_items, item_texts, topic_texts
from monitor.model import (
    Alert,
    EmbeddedItem,
    Feed,
    Item,
    Match,
    MatchOutcome,
    Member,
    Placement,
    Root,
    Story,
    Telling,
    Topic,
    TopicStatus,
    Vector,
    Verdict,
    voices,
)
from monitor.recall import Recalled, Tongues, recall
from monitor.sieve import Near, near
from monitor.store import Store
from monitor.text import gist, text_hash, units

if TYPE_CHECKING:
    from monitor.group import OpenStories

#: From here on (decades: one in a hundred ordinary items) scores are shown, or from so far below a lower bar.
FLOOR, BELOW_BAR = 2.0, 0.5
#: How far back a state is looked at, where nobody says.
SPAN = timedelta(days=30)


#: learns topics, of which only the named ones will be asked
Learn: TypeAlias = Callable[[Sequence[Topic], Sequence[str]], Matcher]


@dataclass(frozen=True, slots=True)
class Judged:
    """One topic's judgement of an item of the past."""

    item: Item
    match: Match
    #: by its gist and each of its sentences, as live; else by the gist alone
    whole: bool
    vector: Vector


@dataclass(frozen=True, slots=True)
class Looked:
    """What one topic makes of an archive, before stories."""

    topic: Topic
    #: what it takes, and of the rest the nearest
    judged: tuple[Judged, ...]
    #: rarity in decades, by item, of all from a floor on
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Sent:
    """What would have come of an item that a topic takes."""

    item: Item
    match: Match
    verdict: Verdict
    because: str
    story: str
    #: where it would have been told
    channels: tuple[str, ...]
    #: when; None if not at all
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Tried:
    """What a topic would have done."""

    topic: Topic
    #: items of the archive, and the effective times of its first and last; None if it is empty
    items: int
    span: tuple[datetime, datetime] | None
    #: of each item that it takes, in the order of events
    sent: tuple[Sent, ...]
    #: of the others the nearest, nearest first
    silent: tuple[Judged, ...]
    scores: Mapping[str, float]
    #: items that were judged as live; all others by their gists alone
    whole: int
    #: items that were left out: the model gave no vector of them
    unread: int

    @property
    def bar(self) -> float:
        return -math.log10(self.topic.noise)

    @property
    def told(self) -> tuple[Sent, ...]:
        """What would have been a message."""
        return tuple(one for one in self.sent if one.at is not None)

    @property
    def days(self) -> float:
        """How long the archive is; at least a day."""
        return max((self.span[1] - self.span[0]) / timedelta(days=1), 1.0) if self.span else 1.0


# -- archives -------------------------------------------------------------------------------------


class Archive(Protocol):
    past: Past

    def items(self, rows: Sequence[int]) -> list[Item]: ...

    def tellings(self, taken: Sequence[Judged], windows: Mapping[str, timedelta]) -> Iterator[Telling]:
        """All items of the stories in which these stand, in the order of events within each.

        windows: by item, how long its story stays open, where its topics say so.
        """
        ...


class Remembered:
    """The items of a state."""

    def __init__(self, store: Store, past: Past) -> None:
        self._store = store
        self.past = past

    def items(self, rows: Sequence[int]) -> list[Item]:
        found = self._store.tellings([self.past.ids[row] for row in rows])
        return [found[self.past.ids[row]].item for row in rows]

    def tellings(self, taken: Sequence[Judged], windows: Mapping[str, timedelta]) -> Iterator[Telling]:  # noqa: ARG002 - stories are as they were
        stands = self._store.tellings([one.item.id for one in taken])
        stories = dict.fromkeys(telling.placement.story for telling in stands.values())
        for timeline in self._store.timelines_of(stories):
            yield from timeline.tellings


class Filed:
    """The items of a file."""

    def __init__(
        self, items: Sequence[Item], vectors: Mapping[str, Vector], stories: Callable[[], OpenStories]
    ) -> None:
        """vectors: by gist. stories: gives a set with nothing in it."""
        self._items = items
        self._stories = stories
        rows = ((one.id, one.title, one.text, one.language, vectors[gist(one.title, one.text)]) for one in items)
        times = [item.at for item in items]
        self.past = replace(past_of(rows), span=(min(times), max(times)) if times else None)

    def items(self, rows: Sequence[int]) -> list[Item]:
        return [self._items[row] for row in rows]

    def tellings(self, taken: Sequence[Judged], windows: Mapping[str, timedelta]) -> Iterator[Telling]:
        stories = self._stories()
        stories.longest = max([stories.window, *windows.values()])
        once = {one.item.id: one for one in taken}
        for one in sorted(once.values(), key=lambda one: one.item.at):
            embedded = EmbeddedItem(one.item, one.vector)
            placement = stories.place(embedded, windows.get(one.item.id))
            stories.add(Member(embedded, placement.story, placement.relation))
            yield Telling(one.item, placement, Verdict.NO_MATCH)


def read_file(
    items: Sequence[Item],
    span: timedelta | None,
    learning: Learning,
    stories: Callable[[], OpenStories],
    store: Store | None,
    report: Report,
) -> Filed:
    """Make an archive of a file's items, the last `span` of them; embeds what no store has the vectors of."""
    newest = max((item.at for item in items), default=None)
    if span and newest:
        items = [item for item in items if item.at >= newest - span]
    items = list(map(identified, items))
    return Filed(items, vectors([gist(one.title, one.text) for one in items], learning, store, report), stories)


# -- looking back ---------------------------------------------------------------------------------


class Hindsight:
    """An archive, ready for topics to be tried on."""

    def __init__(
        self, archive: Archive, learning: Learning, store: Store | None, policy: Policy, report: Report = silent
    ) -> None:
        """store: where vectors of further texts are found and kept; None: they are made, and forgotten."""
        self._archive = archive
        self._learning = learning
        self._store = store
        self._policy = replace(policy, max_age=timedelta.max)
        self._report = report
        #: what was asked last, and what was near
        self._found: tuple[object, dict[str, Near]] | None = None

    @property
    def past(self) -> Past:
        return self._archive.past

    def items(self, item_ids: Sequence[str]) -> list[Item]:
        """Some of the archive's items, by their ids."""
        places = {item: row for row, item in enumerate(self.past.ids)}
        return self._archive.items([places[item] for item in item_ids])

    def look(
        self,
        matcher: Matcher,
        topics: Sequence[str],
        whole: int,
        shown: int,
        floors: Mapping[str, float] = MappingProxyType({}),
    ) -> list[Looked]:
        """Judge the archive by some of the matcher's topics.

        whole: so many of those nearest below each bar are judged as live. shown: so many of the others at most are judged too.
        floors: by topic, from where on scores are told, in decades; FLOOR where nothing is said, and never above the bar.
        """
        bars = [-math.log10(matcher.topics[topic].noise) for topic in topics]
        lowest = [min(floors.get(topic, FLOOR), bar - BELOW_BAR) for topic, bar in zip(topics, bars, strict=True)]
        asked = matcher.ranks, topics, [matcher.topics[topic].terms.always for topic in topics], lowest
        # of two versions that differ in a bar alone the same is near
        if not self._found or self._found[0] != asked:
            found = near(
                self.past, self._read, matcher, topics, lowest, lambda done, of: self._report("looking back", done, of)
            )
            self._found = asked, found
        found = self._found[1]
        return [
            self._judged(matcher, topic, found[topic], bar, whole, max(shown, whole))
            for topic, bar in zip(topics, bars, strict=True)
        ]

    def _read(self, rows: Sequence[int]) -> list[str]:
        return [f"{item.title}\n{item.text}" for item in self._archive.items(rows)]

    def _judged(self, matcher: Matcher, topic: str, near: Near, bar: float, whole: int, shown: int) -> Looked:
        past = self._archive.past
        scores = dict(zip((past.ids[row] for row in near.rows), near.rarity.tolist(), strict=True))
        reaching = (near.rarity >= bar) | near.named
        below = np.flatnonzero(~reaching)
        below = below[np.argsort(-near.rarity[below], kind="stable")][:shown]
        places = np.concatenate([np.flatnonzero(reaching), below])
        rows = near.rows[places].tolist()
        items = self._archive.items(rows)
        # what the gist's neighbourhood shuts out, another unit may let in
        judged: list[Judged] = []
        again: list[tuple[Item, int]] = []
        first_below = len(rows) - len(below)
        vectors = past.vectors[rows].astype(np.float32)
        matches = matcher.judge_gists(items, vectors, topic)
        for number, (item, row) in enumerate(zip(items, rows, strict=True)):
            match, has_more = matches[number], gist(item.title, item.text) != item.title
            if whole and has_more and number < first_below + whole and match.outcome in _OPEN:
                again.append((item, row))
            judged.append(Judged(item, match, not has_more, vectors[number]))
        further = self._whole(matcher, topic, again)
        judged = [further.get(one.item.id, one) for one in judged]
        scores |= {one.item.id: one.match.score for one in judged}
        return Looked(matcher.topics[topic], tuple(judged), scores)

    def _whole(self, matcher: Matcher, topic: str, items: Sequence[tuple[Item, int]]) -> dict[str, Judged]:
        """Judge items by all their units."""
        texts = [unit for item, _ in items for unit in units(item.title, item.text)[1:]]
        known = vectors(texts, self._learning, self._store, self._report)
        found = {}
        for item, row in items:
            vector = self._archive.past.vectors[row].astype(np.float32)
            further = np.stack([known[unit] for unit in units(item.title, item.text)[1:]])
            match = matcher.judge_by(EmbeddedItem(item, vector, further), topic)
            found[item.id] = Judged(item, match, True, vector)
        return found

    def headlines(self, matcher: Matcher, titles: Mapping[str, str]) -> dict[str, Match]:
        """Judge headlines, nothing but these, each by one of the matcher's topics.

        titles: with the topic to ask. Of one that says nothing to the models the score is 0.
        """
        at = datetime.min.replace(tzinfo=UTC)
        asked = []
        for title, topic in titles.items():
            scope = matcher.topics[topic].scope
            feed = Feed("headline:", min(scope.sources, default=""), min(scope.kinds, default=""))
            asked.append((Item(text_hash(title), feed, title, "", "", "", "", None, at), topic))
        return dict(zip(titles, self.judge(matcher, asked), strict=True))

    def judge(self, matcher: Matcher, asked: Sequence[tuple[Item, str]]) -> list[Match]:
        """Judge items as live, each by one of the matcher's topics."""
        items = [item if item.language else identified(item) for item, _ in asked]
        embedded = embedded_items(items, vectors(item_texts(items), self._learning, self._store, self._report))
        return [matcher.judge_by(one, topic) for one, (_, topic) in zip(embedded, asked, strict=True)]

    def send(self, looked: Sequence[Looked], shown: int) -> list[Tried]:
        """Put what topics take in stories, the same for all of them, and decide what they would have told, each by itself."""
        taken, windows = list[Judged](), dict[str, timedelta]()
        for each in looked:
            for one in each.judged:
                if one.match.matched:
                    taken.append(one)
                    if window := each.topic.story.window:
                        windows[one.item.id] = max(window, windows.get(one.item.id, window))
        stories: dict[str, list[Telling]] = {}
        for telling in self._archive.tellings(taken, windows):
            stories.setdefault(telling.placement.story, []).append(telling)
        story_of = {telling.item.id: story for story, tellings in stories.items() for telling in tellings}
        return [self._tried(each, stories, story_of, shown) for each in looked]

    def _tried(
        self, looked: Looked, stories: Mapping[str, Sequence[Telling]], story_of: Mapping[str, str], shown: int
    ) -> Tried:
        past = self._archive.past
        matches = {one.item.id: one.match for one in looked.judged if one.match.matched}
        topic = replace(looked.topic, status=TopicStatus.ACTIVE)
        touched = dict.fromkeys(story_of[item] for item in matches)
        sent = [one for story in touched for one in self._sent(topic, stories[story], matches)]
        silent = sorted(
            (one for one in looked.judged if not one.match.matched), key=lambda one: (-one.match.score, one.item.id)
        )
        return Tried(
            topic=looked.topic,
            items=len(past),
            span=past.span,
            sent=tuple(sorted(sent, key=lambda one: one.item.at)),
            silent=tuple(silent[:shown]),
            scores=looked.scores,
            whole=sum(one.whole for one in looked.judged),
            unread=past.unread,
        )

    def _sent(self, topic: Topic, tellings: Sequence[Telling], matches: Mapping[str, Match]) -> Iterator[Sent]:
        """One story, as its channels would have been told of it."""
        roots: dict[str, Root] = {}
        waiting: dict[str, Sent] = {}  # by alert: what it would tell, once it goes out
        so_far: list[Telling] = []
        for telling in tellings:
            so_far.append(telling)
            item, story, match = telling.item, _story(telling.placement, so_far), matches.get(telling.item.id)
            decision = decide(
                item,
                [match] if match else [],
                telling.placement,
                story,
                {topic.id: topic},
                first_poll=False,
                told=roots,
                policy=self._policy,
                now=item.at,
            )
            for channel, root in list(roots.items()):
                if root.alert.id in decision.released:
                    roots[channel] = Root(replace(root.alert, independent=story.independent))
                    yield replace(waiting.pop(root.alert.id), at=item.at)
            _note(roots, decision.alerts, decision.held)
            reason = match or next((m for alert in decision.alerts for m in alert.matches), None)
            if reason is None:
                continue
            channels = tuple(alert.channel for alert in (*decision.alerts, *decision.held))
            one = Sent(item, reason, decision.verdict, decision.because, story.id, channels, None)
            for alert in decision.held:
                waiting[alert.id] = one
            if not decision.held:
                yield replace(one, at=item.at if decision.alerts else None)
        end = self._archive.past.span
        for root in roots.values():
            if root.alert.id in waiting and root.alert.deadline:
                out = end is not None and root.alert.deadline <= end[1]
                yield replace(waiting.pop(root.alert.id), at=root.alert.deadline if out else None)


#: Judgements that another part of the item may overturn.
_OPEN = (MatchOutcome.BELOW_BAR, MatchOutcome.NEARER_NEGATIVE)


def _note(roots: dict[str, Root], alerts: Iterable[Alert], held: Iterable[Alert]) -> None:
    """Take in what a decision changes for the items that come after it."""
    for alert in held:
        roots[alert.channel] = Root(alert, held=True)
    for alert in alerts:
        if alert.channel not in roots:
            roots[alert.channel] = Root(alert)
        elif alert.escalation:
            roots[alert.channel] = replace(roots[alert.channel], escalated=True)


def _story(placement: Placement, so_far: Sequence[Telling]) -> Story:
    return Story(
        id=placement.story,
        title=so_far[0].item.title,
        opened=so_far[0].item.at,
        latest=so_far[-1].item.at,
        items=len(so_far),
        voices=voices((one.item.feed, one.item.at, one.placement.relation) for one in so_far),
        languages=tuple(dict.fromkeys(one.item.language for one in so_far if one.item.language)),
    )


# -- two of them ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Changed:
    """An item of which two versions of a topic make something else."""

    #: what comes of it under each; None: it is not taken
    was: Sent | None
    now: Sent | None
    #: rarity under each; None: below what is looked at, or the topic is not there
    before: float | None
    after: float | None

    @property
    def sent(self) -> Sent:
        sent = self.now or self.was
        if sent is None:
            raise ValueError("nothing comes of it under either")
        return sent

    @property
    def sign(self) -> str:
        """+ taken now, - not any more, ± told otherwise."""
        return "±" if self.was and self.now else "+" if self.now else "-"


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of a topic's file does."""

    topic: str
    #: added | removed | changed
    kind: str
    #: the keys of the file that differ
    keys: tuple[str, ...]
    #: None: it was not there, or sent nothing; or both are None: nothing that bears on what is sent has changed
    before: Tried | None
    after: Tried | None
    items: tuple[Changed, ...]


def change(old: Topic | None, new: Topic | None, before: Tried | None, after: Tried | None) -> Change:
    """Say what differs between two versions of a topic, and in what they did; at least one is there."""
    either = new or old
    if either is None:
        raise ValueError("a topic that never was cannot change")
    was = {one.item.id: one for one in before.sent} if before else {}
    now = {one.item.id: one for one in after.sent} if after else {}
    items = [
        Changed(
            was=was.get(item_id),
            now=now.get(item_id),
            before=before.scores.get(item_id) if before else None,
            after=after.scores.get(item_id) if after else None,
        )
        for item_id in {**was, **now}
        if _outcome(was.get(item_id)) != _outcome(now.get(item_id))
    ]
    items.sort(key=lambda one: (one.sent.item.at, one.sent.item.id))
    kind = "changed" if old and new else "added" if new else "removed"
    return Change(either.id, kind, changed_keys(old, new) if old and new else (), before, after, tuple(items))


def _outcome(sent: Sent | None) -> tuple[object, ...] | None:
    return (sent.verdict, sent.channels, sent.at is None) if sent else None


#: The keys of a topic's file that bear on what it takes and sends, and the others.
_EFFECTIVE = ("title", "description", "examples", "negatives", "status", "noise", "terms", "scope", "story", "notify")
_OTHERS = ("theme", "severity", "owner", "tests", "story_tests")


def changed_keys(old: Topic, new: Topic) -> tuple[str, ...]:
    """The keys in which two versions of a topic differ; where in the file its tests stand is none."""
    return tuple(key for key in (*_EFFECTIVE, *_OTHERS) if _plain(old, key) != _plain(new, key))


def _plain(topic: Topic, key: str) -> object:
    value = getattr(topic, key)
    return tuple(replace(one, line=None) for one in value) if key in ("tests", "story_tests") else value


def compare(
    olds: Sequence[Topic],
    news: Sequence[Topic],
    learn: Learn,
    hindsight: Hindsight,
    whole: int,
) -> list[Change]:
    """What two versions of a folder would have done otherwise: of each topic that was added, removed or changed.

    Each version is learnt as a whole: topics of a pack bear on one another, if little. Those that are the same are not judged.
    """
    old, new = ({topic.id: topic for topic in topics} for topics in (olds, news))
    found = differing(olds, news)
    bearing = [
        topic
        for topic in found
        if topic not in old or topic not in new or set(_EFFECTIVE) & set(changed_keys(old[topic], new[topic]))
    ]
    # a score is told if it would do for either
    floors = {
        topic: min(-math.log10(each[topic].noise) for each in (old, new) if topic in each) - BELOW_BAR
        for topic in bearing
    }
    looked = []
    for version, known, other in ((olds, old, new), (news, new, old)):
        sending = [topic for topic in bearing if _sends(known.get(topic), other.get(topic))]
        looked.append(hindsight.look(learn(version, sending), sending, whole, whole, floors) if sending else [])
    tried = iter(hindsight.send([one for each in looked for one in each], 0))
    before, after = ({one.topic.id: next(tried) for one in each} for each in looked)
    return [change(old.get(topic), new.get(topic), before.get(topic), after.get(topic)) for topic in found]


def differing(olds: Sequence[Topic], news: Sequence[Topic]) -> list[str]:
    """The topics that only one of two versions of a folder has, or that are not the same in both."""
    old, new = ({topic.id: topic for topic in topics} for topics in (olds, news))
    return [
        topic
        for topic in sorted(old | new)
        if topic not in old or topic not in new or changed_keys(old[topic], new[topic])
    ]


def _sends(topic: Topic | None, other: Topic | None) -> bool:
    """Tell whether a version of a topic sends; of two in shadow, say what they would send."""
    if topic is None or topic.status is TopicStatus.OFF:
        return False
    return topic.status is TopicStatus.ACTIVE or (other is not None and other.status is TopicStatus.SHADOW)


# -- from a configuration -------------------------------------------------------------------------


@contextlib.contextmanager
def open_hindsight(
    config: Config,
    span: timedelta | None,
    items: Sequence[Item] | None,
    report: Report,
    cache: ArrayCache | None = None,
) -> Iterator[tuple[Hindsight, Learn]]:
    """Make an archive ready, and what learns topics as the monitor of this state would.

    items: of a file; None: those of the state. span: only the last so much of them; None: all of a file, SPAN of a state.
    cache: where a state's items are kept in columns; None: they are made, and forgotten.

    Raises: StateError if there is no state to look back on, EngineError.
    """
    there = (config.state / FILE).exists()
    if not there and items is None:
        raise StateError(f"nothing yet in {config.state} to look back on; --archive FILE takes a file instead")
    with contextlib.closing(Store.open(config.state)) if there else contextlib.nullcontext() as store:

        @functools.cache
        def recalled(model: str) -> Recalled:
            name = text_hash(f"{config.state.resolve()}\n{model}")
            return recall(
                store, model, span or SPAN, now() - OWN_SPAN, OWN_ITEMS, cache, name,
                lambda done, of: report("reading the archive", done, of),
            ) if store else Recalled(past_of([]), past_of([]))  # fmt: skip

        def own(embedder: Embedder) -> Sample | None:
            if store is None or items is not None:
                return own_items(store, embedder.id, now) if store else None
            ordinary = recalled(embedder.id).ordinary
            return ordinary.sample() if len(ordinary) >= OWN_LEAST else None

        learning = open_learning(config, lazily=True, own=own)
        archive: Archive
        if items is not None:

            def stories() -> OpenStories:
                from monitor.group import OpenStories
                from monitor.space import CompactSpace

                return OpenStories(CompactSpace(learning.background), config.alerts.story_window)

            archive = read_file(items, span, learning, stories, store, report)
        elif store:
            archive = Remembered(store, recalled(learning.embedder.id).past)

        tongues = Tongues(cache)
        known: dict[str, Vector] = {}
        before: list[Matcher | None] = [None]

        def learn(topics: Sequence[Topic], asked: Sequence[str]) -> Matcher:
            known.update(vectors([text for text in topic_texts(topics) if text not in known], learning, store, report))
            matcher = learning.matcher(topics, known, asked, tongues, before[0])
            before[0] = matcher
            tongues.keep()
            return matcher

        yield Hindsight(archive, learning, store, policy_of(config), report), learn
