"""A new topic from a few headlines: how rare its matches are to be, what it is to stay silent on, what its tests are.

Measures on an archive (`hindsight`), proposes, and drops what its own topic contradicts: what is written passes its tests.
Whether an item of the archive is on the subject only a person knows; unasked, look-alikes are proposed and not taken.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from monitor.hindsight import Hindsight, Judged, Learn
from monitor.model import Match, Topic, TopicTest
from monitor.rules import as_data, format_noise
from monitor.seed import Seed
from monitor.text import clip, fold
from monitor.toml import dump

#: How rare a match may be asked to be: one in so many ordinary items.
STEPS = (100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000)
#: Where nothing is measured, and tighter than this only where the archive would flood otherwise.
USUAL = 2000
#: Of the headlines, each judged by the topic that was learnt without it, so many may be missed: the strangest one of four.
MISSED = 0.25
#: An archive's items are near misses from so far below the bar on (decades), and clear from so far above it on.
NEAR, CLEAR = 0.7, 0.3
#: Of the archive so many items are proposed as tests of either kind, and so many as negatives.
TESTS, NEGATIVES = 4, 6
#: Examples that a topic needs; a further one that it finds without knowing it is better a test.
ENOUGH = 4
#: A person is asked of so many on either side of the bar.
ASKED = 6
#: Characters of a headline that goes into a file.
_LONGEST = 200

#: What a person says of an item that is shown with its score: it is on the subject, it is not, or nothing.
Ask: TypeAlias = Callable[[Judged, float], bool | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A bar, and why it lies there."""

    #: one in so many ordinary items
    step: int
    because: str

    @property
    def bar(self) -> float:
        return math.log10(self.step)


@dataclass(frozen=True, slots=True)
class Draft:
    """A topic to be written down."""

    topic: Topic
    measured: Measured
    #: look-alikes for the author to decide on
    proposed: tuple[str, ...]
    #: its tests were found in the archive, and nobody was asked
    unread: bool
    #: what was left out, because the topic itself says otherwise
    dropped: tuple[str, ...]


def draft(
    topic: Topic, pack: Sequence[Topic], learn: Learn, hindsight: Hindsight, whole: int, a_day: float, ask: Ask | None
) -> Draft:
    """Measure a topic's noise, and give it negatives and tests.

    pack: the other topics. whole: so many items are judged sentence by sentence. a_day: at most so many are to be taken a day.
    ask: a person who says of each near one what it is; None: nobody.
    """
    loose = replace(topic, noise=1 / STEPS[0])
    without = without_each(loose)
    matcher = learn([*pack, loose, *without], [loose.id, *(one.id for one in without)])
    by = {example: one.id for example, one in zip(topic.examples, without, strict=False)}
    left_out = [match.score for match in hindsight.headlines(matcher, by).values()] if without else []
    [looked] = hindsight.look(matcher, [loose.id], whole, whole)
    span = hindsight.past.span
    days = max((span[1] - span[0]).total_seconds() / 86_400, 1.0) if span else 1.0
    measured = measure(left_out, looked.scores.values(), days, a_day)
    near = nearest(looked.judged, measured.bar, topic)
    topic = held_out(replace(topic, noise=1 / measured.step), left_out, measured.bar)
    proposed: tuple[str, ...] = ()
    if ask:
        for one in to_ask(near, measured.bar, ASKED):
            topic = told(topic, title_of(one), one.match.score >= measured.bar, ask(one, measured.bar))
    else:
        topic = replace(topic, tests=(*topic.tests, *found_tests(near, measured.bar)))
        proposed = look_alikes(near, measured.bar)

    def judged(version: Topic, titles: Sequence[str]) -> Mapping[str, Match]:
        return hindsight.headlines(learn([*pack, version], [version.id]), dict.fromkeys(titles, version.id))

    topic, dropped = settled(topic, judged)
    return Draft(topic, measured, proposed, ask is None and bool(near), dropped)


def begun(
    topic_id: str, seed: Seed, title: str, description: str, headlines: Sequence[str], owner: str, theme: str
) -> Topic:
    """A topic of what an author says, and of what the seed has where he says nothing."""
    examples = dict.fromkeys(_one_line(one) for one in (*headlines, *seed.headlines))
    return Topic(
        id=topic_id,
        title=_one_line(title or seed.title),
        description=_one_line(description or seed.description, 2 * _LONGEST),
        theme=theme,
        owner=owner,
        examples=tuple(one for one in examples if one),
    )


def _one_line(text: str, longest: int = _LONGEST) -> str:
    return clip(" ".join(text.split()), longest) if text.strip() else ""


def without_each(topic: Topic) -> list[Topic]:
    """The topic without each of its examples in turn, under other ids; none of a topic that has but one.

    Nor does it know an example from its description: of a report's paragraph both are made.
    """
    if len(topic.examples) < 2:
        return []
    return [
        replace(
            topic,
            id=f"{topic.id}~{n}",
            examples=(*topic.examples[:n], *topic.examples[n + 1 :]),
            description=topic.title if fold(example) in fold(topic.description) else topic.description,
        )
        for n, example in enumerate(topic.examples)
    ]


def held_out(topic: Topic, left_out: Sequence[float], bar: float) -> Topic:
    """The topic with the headlines that it finds best by itself as tests, where it has more examples than it needs."""
    spare = len(topic.examples) - ENOUGH
    best = sorted(range(len(left_out)), key=lambda n: -left_out[n])[: max(spare, 0)]
    moved = {topic.examples[n] for n in best if left_out[n] >= bar + CLEAR}
    return replace(
        topic,
        examples=tuple(one for one in topic.examples if one not in moved),
        tests=(*topic.tests, *(TopicTest(one, alert=True) for one in topic.examples if one in moved)),
    )


def measure(left_out: Sequence[float], scores: Iterable[float], days: float, a_day: float) -> Measured:
    """Put the bar as high as most headlines allow that the topic does not know, and so high that the archive does not flood.

    left_out: how rare each headline is for the topic without it, in decades. scores: of an archive of so many days.
    """
    scores = list(scores)
    allowed = sorted(left_out)[int(len(left_out) * MISSED)] if left_out else math.log10(USUAL)
    by_headlines = max(
        [step for step in STEPS if math.log10(step) <= min(allowed, math.log10(USUAL))], default=STEPS[0]
    )
    calm = [step for step in STEPS if _reaching(scores, step) <= a_day * days]
    step = max(by_headlines, calm[0] if calm else STEPS[-1])
    found = sum(score >= math.log10(step) for score in left_out)
    said = [f"{found} of {len(left_out)} headlines are found at it by the others"] if left_out else []
    if scores:
        said.append(f"{_reaching(scores, step):,} past items reach it in {days:,.0f} day{'s' * (days >= 1.5)}")
    if step > by_headlines:
        said.append(f"1/{by_headlines} would bring {_reaching(scores, by_headlines):,}")
    return Measured(step, "; ".join(said) or "as usual: nothing to measure by")


def _reaching(scores: Iterable[float], step: int) -> int:
    return sum(score >= math.log10(step) for score in scores)


def title_of(one: Judged) -> str:
    return _one_line(one.item.title)


def nearest(judged: Iterable[Judged], bar: float, topic: Topic) -> list[Judged]:
    """What was found about a bar, rarest first, each title once, without what the topic knows."""
    known = {fold(text) for text in (*topic.examples, *topic.negatives, topic.title, topic.description)}
    found = []
    for one in sorted(judged, key=lambda one: (-one.match.score, one.item.id)):
        if one.match.score >= bar - NEAR and title_of(one) and fold(title_of(one)) not in known:
            known.add(fold(title_of(one)))
            found.append(one)
    return found


def to_ask(near: Sequence[Judged], bar: float, count: int) -> list[Judged]:
    """Of these, so many just above a bar and so many just below it: where a person's word tells most."""
    above = [one for one in near if one.match.score >= bar]
    below = [one for one in near if one.match.score < bar]
    return [*above[-count:], *below[:count]]


def told(topic: Topic, title: str, above: bool, is_on: bool | None) -> Topic:
    """The topic, with what a person says of an item that lies above its bar or below."""
    if is_on is None:
        return topic
    if is_on and not above:
        return replace(topic, examples=(*topic.examples, title))
    tests = (*topic.tests, TopicTest(title, alert=is_on))
    return replace(topic, tests=tests, negatives=topic.negatives if is_on else (*topic.negatives, title))


def found_tests(near: Sequence[Judged], bar: float) -> tuple[TopicTest, ...]:
    """What the topic makes of the archive, as tests: the clearest that it takes, and what it only just leaves."""
    taken = [one for one in near if one.match.score >= bar + CLEAR and one.match.matched][:TESTS]
    left = [one for one in near if one.match.score < bar - CLEAR][:TESTS]
    return (
        *(TopicTest(title_of(one), alert=True) for one in taken),
        *(TopicTest(title_of(one), alert=False) for one in left),
    )


def look_alikes(near: Sequence[Judged], bar: float) -> tuple[str, ...]:
    """What lies nearest to the bar, on either side: it may be what must stay silent."""
    doubtful = [one for one in near if one.match.score < bar + CLEAR]
    return tuple(title_of(one) for one in sorted(doubtful, key=lambda one: abs(one.match.score - bar))[:NEGATIVES])


#: gives a version of a topic's judgement of each headline
Judge: TypeAlias = Callable[[Topic, Sequence[str]], Mapping[str, Match]]


def settled(topic: Topic, judge: Judge) -> tuple[Topic, tuple[str, ...]]:
    """The topic without what it contradicts, and what that was: tests that fail, and negatives that it takes, or that keep out
    an example."""
    dropped: list[str] = []
    while True:
        titles = [*topic.examples, *topic.negatives, *(test.title for test in topic.tests)]
        found = judge(topic, list(dict.fromkeys(titles)))
        harmful = {found[one].negative for one in topic.examples if not found[one].matched}
        negatives = tuple(one for one in topic.negatives if one not in harmful and not found[one].matched)
        tests = tuple(test for test in topic.tests if found[test.title].matched is test.alert)
        if (negatives, tests) == (topic.negatives, topic.tests):
            return topic, tuple(dropped)
        dropped += [f"negative “{one}”" for one in topic.negatives if one not in negatives]
        dropped += [f"test “{test.title}”" for test in topic.tests if test not in tests]
        topic = replace(topic, negatives=negatives, tests=tests)


# -- the file -------------------------------------------------------------------------------------


def written(made: Draft) -> str:
    """The topic's file, with what was measured and what is proposed as comments."""
    topic, data = made.topic, as_data(made.topic)
    kept = {key: data[key] for key in ("title", "theme", "description", "owner") if data[key]}
    if topic.severity.value != "notice":
        kept["severity"] = data["severity"]
    if topic.status.value != "active":
        kept["status"] = data["status"]
    tests = [{"title": test.title, "expect": "alert" if test.alert else "silent"} for test in topic.tests]
    parts = [
        dump(kept),
        f"# measured: {made.measured.because}\n{dump({'noise': format_noise(topic.noise)})}",
        dump({"examples": list(topic.examples)}),
        "".join([_proposals(made.proposed), dump({"negatives": list(topic.negatives)})]),
    ]
    if tests:
        note = "# found in the archive, read by nobody yet: look whether each is right\n" if made.unread else ""
        parts.append(note + dump({"tests": tests}).lstrip())
    return "\n".join(parts)


def _proposals(titles: Sequence[str]) -> str:
    if not titles:
        return ""
    # a JSON string is a TOML one; titles have no control characters
    listed = "".join(f"#   {json.dumps(title, ensure_ascii=False)},\n" for title in titles)
    return f"# nearest to the bar; those that must stay silent go into negatives, those that must not into examples\n{listed}"
