"""Any sequence of items, told under any settings: what a channel gets of one story, decided and delivered for real.

Grouping is not asked: an item's place in the story is given. Items are taken by any of the topics, or by none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import make
from fakes import FakeSink, Landed
from hypothesis import given, settings
from hypothesis import strategies as st
from world import at_once

from monitor.decide import Policy, decide
from monitor.errors import MaybeAccepted, Misconfigured, NotAccepted, SendError, Unacceptable
from monitor.model import (
    Alert,
    AlertKind,
    Corroboration,
    DeliveryState,
    Followups,
    Item,
    Notify,
    Placement,
    Record,
    Relation,
    StoryPolicy,
    Topic,
    Verdict,
)
from monitor.pipeline import Courier, deliver
from monitor.store import Store

FEEDS = [
    make.feed(url=f"https://{n}.example/rss", title=f"Outlet {n}", kind=kind)
    for n, kind in enumerate(("wire", "wire", "independent", "state media", ""))
]
HERE, THERE = "C0NEWS", "C0OTHER"
STORY = "story"
#: An alert is told by itself or in another's message, or a person sees that it was refused.
ENDS = {DeliveryState.SENT, DeliveryState.BATCHED, DeliveryState.DEAD}


@dataclass(frozen=True)
class Telling:
    """One item of the story, and the time that passes before it."""

    feed: int
    relation: Relation
    topics: tuple[int, ...]
    after: timedelta
    #: deliver then, and restart
    delivers: bool
    restarts: bool


REQUIREMENTS = st.none() | st.builds(
    Corroboration,
    sources=st.integers(2, 4),
    kinds=st.none() | st.integers(2, 3),
    within=st.sampled_from([timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6)]),
)
TOPICS = st.lists(
    st.tuples(REQUIREMENTS, st.sampled_from(Followups), st.sampled_from([HERE, THERE])), min_size=1, max_size=3
).map(
    lambda given: [
        make.topic(id=f"t{n}", story=StoryPolicy(corroboration=needed), notify=Notify(channel, followups=followups))
        for n, (needed, followups, channel) in enumerate(given)
    ]
)
TELLINGS = st.lists(
    st.builds(
        Telling,
        feed=st.integers(0, len(FEEDS) - 1),
        relation=st.sampled_from([Relation.UPDATE, Relation.UPDATE, Relation.COPY]),
        topics=st.lists(st.integers(0, 2), max_size=3, unique=True).map(tuple),
        after=st.sampled_from([timedelta(0), timedelta(minutes=3), timedelta(minutes=20), timedelta(hours=2)]),
        delivers=st.booleans(),
        restarts=st.booleans(),
    ),
    min_size=1,
    max_size=12,
)
#: how tries end, one after the other; well, after these
OUTCOMES = st.lists(
    st.sampled_from(
        [None, NotAccepted("429"), Unacceptable("invalid_blocks"), Misconfigured("not_in_channel"), MaybeAccepted("lost"),
         Landed(MaybeAccepted("lost"))]
    ),
    max_size=6,
)  # fmt: skip
POLICIES = st.builds(
    Policy,
    channel=st.just(HERE),
    max_age=st.just(timedelta(days=3)),
    backfill=st.just(timedelta(0)),
    escalate_sources=st.sampled_from([0, 2, 3]),
    escalate_within=st.sampled_from([timedelta(minutes=5), timedelta(hours=1)]),
)


class Newsroom:
    """One story in a store, and a sink."""

    def __init__(self, topics: list[Topic], policy: Policy, gap: timedelta, outcomes: list[SendError | Landed | None]):
        self.topics = {topic.id: topic for topic in topics}
        self.policy = policy
        self.gap = gap
        self.now = make.NOW
        self.store = Store.in_memory()
        for feed in FEEDS:
            self.store.add_feed(feed, self.now)
        self.sink = FakeSink(*outcomes)
        #: item -> what it came to
        self.verdicts: dict[str, Verdict] = {}

    def publish(self, number: int, telling: Telling) -> None:
        self.now += telling.after
        item = make.item(title=f"Item {number}", feed=FEEDS[telling.feed], published=self.now, first_seen=self.now)
        relation = Relation.ROOT if not number else telling.relation
        placement = Placement(STORY, relation, because="it is the same")
        taken = [f"t{n}" for n in telling.topics if f"t{n}" in self.topics]
        self._keep(item, placement, taken)
        if telling.restarts:
            self.store.doubt_all_sending(self.now)
            self.store.unblock_all(self.now)
        if telling.delivers:
            self.deliver()

    def _keep(self, item: Item, placement: Placement, taken: list[str]) -> None:
        """Put an item into the story by its place alone, then decide and write that down."""
        record = make.record(item=item, placement=placement)
        self._commit(record)
        story = self.store.story(STORY)
        assert story
        matches = tuple(make.match(topic=topic) for topic in taken)
        decision = decide(
            item, matches, placement, story, self.topics,
            first_poll=False, told=self.store.roots(STORY), policy=self.policy, now=self.now,
        )  # fmt: skip
        self.store.commit_again(
            [replace(record, decision=decision, before=make.version(item_id=item.id))], "m", self.now
        )
        if taken:
            self.verdicts[item.id] = decision.verdict

    def _commit(self, record: Record) -> None:
        self.store.commit_poll(make.polled(feed=record.embedded.item.feed, at=self.now), [record], "m")

    def deliver(self) -> None:
        courier = Courier(self.sink, self.store, at_once, at_once, lambda: self.now, timedelta(0), self.gap)
        asyncio.run(deliver(courier))

    def finish(self) -> None:
        """Let all deadlines, gaps and doubts pass, and a person act on what is blocked."""
        for _ in range(40):
            if {delivery.state for delivery in self.store.deliveries()} <= ENDS:
                return
            self.now += timedelta(hours=7)
            self.store.unblock_all(self.now)
            self.deliver()

    def alerts(self, *states: DeliveryState) -> list[Alert]:
        return [d.alert for d in self.store.deliveries(*states) if isinstance(d.alert, Alert)]


def at_most_one_root_a_channel(room: Newsroom) -> bool:
    """Whether no channel has two roots that live: one that was refused told nobody."""
    living = [state for state in DeliveryState if state is not DeliveryState.DEAD]
    channels = [alert.channel for alert in room.alerts(*living) if alert.kind is AlertKind.ROOT]
    return len(channels) == len(set(channels))


@settings(max_examples=60, deadline=None)
@given(TOPICS, TELLINGS, POLICIES, st.sampled_from([timedelta(0), timedelta(minutes=10)]), OUTCOMES)
def test_story_is_told_once_and_nothing_is_lost(
    topics: list[Topic],
    tellings: list[Telling],
    policy: Policy,
    gap: timedelta,
    outcomes: list[SendError | Landed | None],
) -> None:
    room = Newsroom(topics, policy, gap, outcomes)
    for number, telling in enumerate(tellings):
        room.publish(number, telling)
        assert at_most_one_root_a_channel(room)
    for item, verdict in room.verdicts.items():
        has_alert = any(alert.item.id == item for alert in room.alerts())
        opens_wait = any(
            d.reason and d.alert.item.id == item for d in room.store.deliveries() if isinstance(d.alert, Alert)
        )
        if verdict in (Verdict.ALERT, Verdict.REPLY):
            assert has_alert
        elif verdict is Verdict.WAITING:
            assert has_alert is opens_wait
        else:
            assert verdict in (Verdict.COPY, Verdict.COUNTED)
            assert not has_alert
    room.finish()
    deliveries = room.store.deliveries()
    assert {d.state for d in deliveries} <= ENDS
    sent = {d.alert.id for d in deliveries if d.state is DeliveryState.SENT}
    assert {d.carrier for d in deliveries if d.state is DeliveryState.BATCHED} <= sent
    # and nothing twice
    posted = [m.alert.id for m in room.sink.messages]
    assert sorted(posted) == sorted(sent)
    for channel in (HERE, THERE):
        jumps = [
            d for d in deliveries if isinstance(d.alert, Alert) and d.alert.channel == channel and d.alert.escalation
        ]
        assert sum(d.state is not DeliveryState.DEAD for d in jumps) <= 1


@settings(max_examples=40, deadline=None)
@given(TOPICS, TELLINGS)
def test_thread_gets_one_reply_in_ten_minutes(topics: list[Topic], tellings: list[Telling]) -> None:
    gap = timedelta(minutes=10)
    room = Newsroom(topics, Policy(HERE, timedelta(days=3), timedelta(0)), gap, [])
    for number, telling in enumerate(tellings):
        room.publish(number, telling)
    room.finish()
    times: dict[str, list[datetime]] = {}
    for message in room.sink.messages:
        assert isinstance(message.alert, Alert)
        assert message.sending_at
        if message.alert.parent:
            times.setdefault(message.alert.parent, []).append(message.sending_at)
    assert all(later - earlier >= gap for sent in times.values() for earlier, later in pairwise(sent))
