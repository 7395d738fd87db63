"""Topics put to the test, through the real steps: by the tests inside their files, and by what a change of them would have
meant for the items of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from monitor.explain import judgement
from monitor.feedback import Effect, Proposal
from monitor.language import identified
from monitor.match import Matcher, embedded_items, item_texts
from monitor.model import EmbeddedItem, Feed, FeedbackKind, Item, Member, StoryTest, Topic, TopicTest, Vector
from monitor.pipeline import Judge
from monitor.text import gist, text_hash

#: Any time does: tests of topics have no clock.
_START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trial:
    """One test and how it went."""

    topic: Topic
    #: the test's title or name
    name: str
    line: int | None
    passed: bool
    #: what was expected, what came, and why; for a person who must mend the topic
    because: str


def texts_of_tests(topics: Iterable[Topic]) -> list[str]:
    """Every text of the topics' tests that must be embedded, each once."""
    steps = (gist(step.title, step.text) for topic in topics for test in topic.story_tests for step in test.steps)
    items = [_item(test.title, test.text, test.lang, _START, 0) for topic in topics for test in topic.tests]
    return list(dict.fromkeys([*item_texts(items), *steps]))


def run_tests(topics: Sequence[Topic], judge: Judge, vectors: Mapping[str, Vector]) -> Iterator[Trial]:
    """Run every test of every topic that is not off, in the order of the files.

    vectors: of `texts_of_tests`, by text.
    """
    topics = [topic for topic in topics if topic.id in judge.matcher.topics]
    tests = [(topic, test) for topic in topics for test in topic.tests]
    items = [_item(test.title, test.text, test.lang, _START, n) for n, (_, test) in enumerate(tests)]
    for (topic, test), embedded in zip(tests, embedded_items(items, vectors), strict=True):
        yield _topic_test(topic, test, embedded, judge.matcher)
    for topic in topics:
        for story in topic.story_tests:
            yield _story_test(topic, story, judge, vectors)


def _topic_test(topic: Topic, test: TopicTest, embedded: EmbeddedItem, matcher: Matcher) -> Trial:
    match = matcher.judge_by(embedded, topic.id)
    wanted = "alert" if test.alert else "silent"
    return Trial(
        topic,
        test.title,
        test.line,
        match.matched is test.alert,
        f"expected {wanted}: {match.outcome}; {judgement(match)}",
    )


def _story_test(topic: Topic, test: StoryTest, judge: Judge, vectors: Mapping[str, Vector]) -> Trial:
    stories = judge.no_stories(topic.story.window)
    for n, step in enumerate(test.steps):
        item = _item(step.title, step.text, "", _START + step.at, n)
        embedded = EmbeddedItem(item, vectors[gist(step.title, step.text)])
        placement = stories.place(embedded)
        if placement.relation != step.expect:
            why = (
                f"step {n + 1}, “{step.title}”: expected {step.expect}, came {placement.relation}: {placement.because}"
            )
            return Trial(topic, test.name, test.line, False, why)
        stories.add(Member(embedded, placement.story, placement.relation))
    return Trial(topic, test.name, test.line, True, "")


def effects(
    proposals: Sequence[Proposal],
    past: Sequence[tuple[Item, Vector]],
    learn: Callable[[Sequence[Topic]], Matcher],
    embed: Callable[[Sequence[Item]], Sequence[EmbeddedItem]],
) -> Iterator[tuple[Proposal, Effect]]:
    """Say of each proposal what it would have changed.

    past: items with the vectors that are kept of them, of title and lead; so the topic is judged by these, before and after.
    """
    items = [EmbeddedItem(item, vector) for item, vector in past]
    taken: dict[str, list[bool]] = {}
    for proposal in proposals:
        topic = proposal.topic
        if topic.id not in taken:
            taken[topic.id] = _taken(items, learn([topic]))
        matcher = learn([proposal.changed])
        after = _taken(items, matcher)
        [own] = embed([proposal.item])
        pairs = zip(items, taken[topic.id], after, strict=True)
        changed = [(one.item, is_taken) for one, was_taken, is_taken in pairs if was_taken != is_taken]
        yield (
            proposal,
            Effect(
                works=_taken([own], matcher) == [proposal.kind is FeedbackKind.USEFUL],
                looked_at=len(items),
                gone=tuple(item for item, is_taken in changed if not is_taken),
                come=tuple(item for item, is_taken in changed if is_taken),
            ),
        )


def _taken(items: Sequence[EmbeddedItem], matcher: Matcher) -> list[bool]:
    """Which items the matcher's only topic takes."""
    return [any(match.matched for match in matcher.judge(one)) for one in items]


def _item(title: str, text: str, language: str, at: datetime, number: int) -> Item:
    # each from a source of its own: within one source a near copy is no copy
    feed = Feed(url=f"test:{number}")
    return identified(Item(text_hash(f"{number} {title}"), feed, title, text, "", "", language, at, at))
