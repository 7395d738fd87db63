"""What people said of alerts, made into proposals for the topics that told them. Pure, and only ever proposals: no weight
moves, no file is written.

An alert that was wrong becomes a negative, one that was useful and only just passed becomes an example; each with a test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.model import Alert, Feedback, FeedbackKind, Item, Match, MatchOutcome, Topic, TopicTest

#: What passed by less than this (decades) an example helps to pass; what passed by more needs none.
JUST_PASSED = 0.5


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of one topic that people's feedback asks for."""

    topic: Topic
    #: the topic with it
    changed: Topic
    kind: FeedbackKind
    item: Item
    users: tuple[str, ...]
    at: datetime
    #: so many alerts were told by the message that it was said of; 1: somebody meant this one
    among: int = 1

    @property
    def key(self) -> str:
        """The key of the topic's file that takes the item's title."""
        return "negatives" if self.kind is FeedbackKind.WRONG else "examples"

    @property
    def line(self) -> str:
        """What is added to that key's list."""
        return f"    {_quoted(self.item.title)},"

    @property
    def test(self) -> str:
        """What is added at the end of the file."""
        expect = "silent" if self.kind is FeedbackKind.WRONG else "alert"
        return f'[[tests]]\ntitle  = {_quoted(self.item.title)}\nexpect = "{expect}"'


@dataclass(frozen=True, slots=True)
class Effect:
    """What a proposal would have changed."""

    #: its own item comes out as it asks for
    works: bool
    #: items that were looked at
    looked_at: int
    #: items that the topic would not have taken any more, and those that it would have besides; in the order of events
    gone: tuple[Item, ...]
    come: tuple[Item, ...]


def proposals(said: Sequence[tuple[Alert, Sequence[Feedback]]], topics: Mapping[str, Topic]) -> Iterator[Proposal]:
    """Make what people said into proposals, in the order of the alerts.

    Where they disagree the more count; where as many say one as the other, nothing is proposed.
    """
    for alert, opinions in said:
        users = {
            kind: tuple(sorted({one.user for one in opinions if one.kind is kind}))
            for kind in (FeedbackKind.WRONG, FeedbackKind.USEFUL)
        }
        wrong, useful = len(users[FeedbackKind.WRONG]), len(users[FeedbackKind.USEFUL])
        if wrong == useful:
            continue
        kind = FeedbackKind.WRONG if wrong > useful else FeedbackKind.USEFUL
        at = max(one.at for one in opinions if one.kind is kind)
        among = min(one.among for one in opinions if one.kind is kind)
        for match in alert.matches:
            topic = topics.get(match.topic)
            if topic and (kind is FeedbackKind.WRONG or _just_passed(match)) and not _is_known(alert.item.title, topic):
                yield Proposal(topic, _changed(topic, kind, alert.item.title), kind, alert.item, users[kind], at, among)


def _just_passed(match: Match) -> bool:
    by_score = match.outcome in (MatchOutcome.MATCHED, MatchOutcome.MATCHED_OPINION)
    return by_score and match.score - match.bar < JUST_PASSED


def _is_known(title: str, topic: Topic) -> bool:
    """Whether the topic's author has dealt with it already."""
    return title in (*topic.examples, *topic.negatives, *(test.title for test in topic.tests))


def _changed(topic: Topic, kind: FeedbackKind, title: str) -> Topic:
    tests = (*topic.tests, TopicTest(title, alert=kind is FeedbackKind.USEFUL))
    if kind is FeedbackKind.WRONG:
        return replace(topic, negatives=(*topic.negatives, title), tests=tests)
    return replace(topic, examples=(*topic.examples, title), tests=tests)


def _quoted(text: str) -> str:
    # a JSON string is a TOML one; titles have no control characters
    return json.dumps(text, ensure_ascii=False)


# -- words ----------------------------------------------------------------------------------------


def proposed(proposal: Proposal, effect: Effect, shown: int) -> str:
    """A proposal for the person who keeps the topic; at most `shown` lines of what would go or come."""
    topic, users = proposal.topic, ", ".join(proposal.users)
    works = {
        FeedbackKind.WRONG: ("this item would be silent", "this alone would not silence the item"),
        FeedbackKind.USEFUL: ("this item would alert", "the item would not alert with this"),
    }[proposal.kind][not effect.works]
    changes = [f"      - {_dated(item)}" for item in effect.gone] + [f"      + {_dated(item)}" for item in effect.come]
    left = len(changes) - shown
    changed = f"{len(effect.gone)} less and {len(effect.come)} more"
    return "\n".join(
        [
            f"{topic.id} · {topic.path}",
            f"  {proposal.kind}, said {users} on {proposal.at:%Y-%m-%d}: “{proposal.item.title}”",
            *(
                [f"  said of a message that tells {proposal.among} alerts: look whether this one is meant"]
                * (proposal.among > 1)
            ),
            f"  add to {proposal.key}:",
            f"  {proposal.line}",
            "  add at the end of the file:",
            *(f"      {line}" for line in proposal.test.splitlines()),
            f"  {works}; {changed} of the last {effect.looked_at:,} items, by title and lead",
            *changes[:shown],
            *([f"      and {left} more"] if left > 0 else []),
        ]
    )


def proposed_data(proposal: Proposal, effect: Effect) -> dict[str, object]:
    """The same for programs."""
    return {
        "topic": proposal.topic.id,
        "file": proposal.topic.path,
        "kind": proposal.kind,
        "item": proposal.item.id,
        "title": proposal.item.title,
        "users": list(proposal.users),
        "at": proposal.at.isoformat(),
        "among": proposal.among,
        "key": proposal.key,
        "line": proposal.line.strip(),
        "test": proposal.test,
        "works": effect.works,
        "looked_at": effect.looked_at,
        "gone": [{"id": item.id, "title": item.title} for item in effect.gone],
        "come": [{"id": item.id, "title": item.title} for item in effect.come],
    }


def _dated(item: Item) -> str:
    return f"{item.at:%Y-%m-%d} {item.title} ({item.source})"
