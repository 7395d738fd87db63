"""Any rulings on any outbox: what waits is told once, in the thread of the story in which its item stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import make
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import RulingError
from monitor.model import (
    Alert,
    AlertKind,
    Corroboration,
    Decision,
    Delivery,
    DeliveryState,
    Placement,
    Relation,
    Verdict,
)
from monitor.rulings import merge, split
from monitor.store import Store
from monitor.threads import rethread

NOW, GAP = make.NOW, timedelta(minutes=10)
ENDS = {DeliveryState.SENT, DeliveryState.BATCHED, DeliveryState.DEAD}
REFUSALS = [DeliveryState.QUEUED, DeliveryState.BLOCKED, DeliveryState.DEAD]

#: the story that so many items join, or one of their own if there is none of that number, and whether the first one's topic
#: asks for corroboration
PUBLISH = st.tuples(
    st.just("publish"), st.sampled_from([0, 0, 1, 9]), st.sampled_from([False, False, True]), st.integers(1, 4)
)
OUTCOMES = [DeliveryState.SENT, DeliveryState.SENT, DeliveryState.SENT, DeliveryState.UNKNOWN, *REFUSALS]
#: how a try ends, and which item is taken out of the latest story meanwhile
TRY = st.tuples(st.just("try"), st.sampled_from(OUTCOMES), st.none() | st.integers(0, 5))
MERGE = st.tuples(st.just("merge"), st.integers(0, 2), st.integers(0, 2))
SPLIT = st.tuples(st.just("split"), st.integers(0, 1), st.integers(0, 4))


class Desk:
    """A store, a channel, and a person."""

    def __init__(self) -> None:
        self.store = Store.in_memory()
        self.store.add_feed(make.feed(), NOW)
        self.now = NOW
        self.count = 0
        #: how often the channel took a message that tells an alert
        self.told: Counter[str] = Counter()

    def publish(self, number: int, asks: bool, count: int) -> None:
        for _ in range(count):
            self._publish(number, asks)
            number = 0  # the latest

    def _publish(self, number: int, asks: bool) -> None:
        """As `decide` has it: a root is held or not, what comes for a root that waits is counted."""
        self.now += timedelta(minutes=3)
        self.count += 1
        item = make.item(title=f"Item {self.count}", published=self.now, first_seen=self.now)
        stories = self.stories()
        story = stories[number] if number < len(stories) else item.id
        root = self.store.roots(story).get(make.CHANNEL)
        needed = Corroboration(sources=2, within=timedelta(hours=1)) if asks and not root else None
        alert = make.alert(
            id=f"alert {self.count}", kind=AlertKind.REPLY if root else AlertKind.ROOT, item=item, story=story,
            created=self.now, parent=root.alert.id if root else "", corroboration=needed,
        )  # fmt: skip
        decision = Decision(Verdict.ALERT, "", (alert,))
        if needed:
            decision = Decision(Verdict.WAITING, "", held=(alert,))
        elif root and root.held:
            decision = Decision(Verdict.WAITING, "")
        placement = Placement(story, Relation.ROOT if story == item.id else Relation.UPDATE)
        self.store.commit_poll(make.polled(), [make.record(item=item, placement=placement, decision=decision)], "m")

    def attempt(self, end: DeliveryState, taken_out: int | None = None) -> None:
        delivery = self.store.next_queued(self.now, GAP)
        if delivery is None:
            return
        # what was frozen tells what it told
        batch = [] if delivery.message else [alert.id for alert in delivery.batch]
        # the message names what it tells
        message = delivery.message or make.message(text=",".join([delivery.alert.id, *batch]))
        assert self.store.claim(delivery.alert.id, message, self.now, before=delivery.state, batch=batch, seen=delivery)
        if delivery.alert.kind is AlertKind.EDIT:
            # of what was told already
            self.store.settle(delivery.alert.id, DeliveryState.SENT, self.now)
            return
        if taken_out is not None:
            self.split(0, taken_out)
        self.settle(delivery, end)

    def settle(self, delivery: Delivery, end: DeliveryState) -> None:
        id_ = delivery.alert.id
        if end is DeliveryState.SENT:
            [message] = [d.message for d in self.store.deliveries() if d.alert.id == id_]
            assert message
            self.told.update(message.text.split(","))
        self.store.settle(id_, end, self.now, receipt="ts" if end is DeliveryState.SENT else "", plan=rethread)

    def merge(self, one: int, other: int) -> None:
        stories = self.stories()
        if one != other and max(one, other) < len(stories):
            self.store.rule([stories[one], stories[other]], lambda t, d: merge(t, d, "ann"), self.now)

    def split(self, number: int, item: int) -> None:
        timelines = list(self.store.timelines(every=True))
        if number < len(timelines) and item < len(timelines[number].tellings):
            ids = [timelines[number].tellings[item].item.id]
            # nothing may be left of it
            with suppress(RulingError):
                self.store.rule(
                    [timelines[number].story.id], lambda t, d: split(t[0], ids, d, "ann", self.now), self.now
                )

    def stories(self) -> list[str]:
        return [timeline.story.id for timeline in self.store.timelines(every=True)]

    def finish(self) -> None:
        """Every doubt is settled, every block removed, every deadline passed."""
        for _ in range(60):
            if {delivery.state for delivery in self.store.deliveries()} <= ENDS:
                return
            self.now += timedelta(hours=2)
            for delivery in self.store.deliveries(DeliveryState.UNKNOWN):
                self.settle(delivery, DeliveryState.SENT)
            self.store.unblock_all(self.now)
            self.attempt(DeliveryState.SENT)

    def rows(self) -> Iterator[tuple[Delivery, Alert]]:
        for delivery in self.store.deliveries():
            assert isinstance(delivery.alert, Alert)
            yield delivery, delivery.alert


def check(desk: Desk) -> None:
    rows = {alert.id: (delivery, alert) for delivery, alert in desk.rows()}
    for story in desk.stories():
        living = [(d, a) for d, a in rows.values() if a.story == story and d.state is not DeliveryState.DEAD]
        waiting = {DeliveryState.HELD, DeliveryState.QUEUED, DeliveryState.BLOCKED}
        fresh = [a.id for d, a in living if a.kind is AlertKind.ROOT and d.state in waiting]
        known = [a.id for d, a in living if a.kind is AlertKind.ROOT and d.state not in waiting]
        # no second root goes out
        assert len(fresh) <= (0 if known else 1)
        for delivery, alert in living:
            if delivery.state in waiting and alert.parent:
                assert delivery.state is not DeliveryState.HELD
                assert rows[alert.parent][1].kind is AlertKind.ROOT
                assert rows[alert.parent][1].story == story or rows[alert.parent][0].state is DeliveryState.DEAD
    for delivery, _ in rows.values():
        if delivery.state is DeliveryState.BATCHED:
            assert rows[delivery.carrier][0].message


@settings(max_examples=40, deadline=None)
@given(st.lists(PUBLISH, min_size=1, max_size=3), st.lists(st.one_of(PUBLISH, TRY, TRY, MERGE, SPLIT), max_size=20))
def test_whatever_a_person_rules_each_alert_is_told_once(
    begin: list[tuple[str, int, bool, int]], then: list[tuple[str, int, int]]
) -> None:
    desk = Desk()
    for happening, *how in [*begin, *then]:
        {"publish": desk.publish, "try": desk.attempt, "merge": desk.merge, "split": desk.split}[happening](*how)  # type: ignore[operator]  # by its name
        check(desk)
    desk.finish()
    rows = list(desk.rows())
    assert {delivery.state for delivery, _ in rows} <= ENDS
    assert desk.told == {alert.id: 1 for delivery, alert in rows if delivery.state is not DeliveryState.DEAD}
