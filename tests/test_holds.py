"""What is held, and what comes of it: delivered for real, through the gate and the outbox, into a channel in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import Any

import make
import pytest
from fakes import FakeSink, Landed
from hypothesis import given, settings
from hypothesis import strategies as st
from world import at_once

from monitor.digest import Schedule
from monitor.errors import MaybeAccepted, NotAccepted, SendError, Unacceptable
from monitor.gate import Gate
from monitor.model import (
    Alert,
    AlertKind,
    Corroboration,
    Decision,
    Delivery,
    DeliveryState,
    Mode,
    Notify,
    Placement,
    QuietHours,
    Relation,
    Severity,
    Silence,
    Topic,
    Verdict,
)
from monitor.pipeline import Courier, deliver
from monitor.rulings import merge
from monitor.store import Store

#: 22:00 on a Tuesday
EVENING = datetime(2024, 10, 29, 22, tzinfo=UTC)
NIGHT = QuietHours(time(22), time(7))
EIGHT = Schedule(daily=time(8), weekly=(0, time(8)))
GAP = timedelta(minutes=10)
#: whole, and on every rung below
REFUSED = [Unacceptable("invalid_blocks")] * 4


class Desk:
    """A channel, its outbox, and what asks for times and numbers."""

    def __init__(self, *outcomes: SendError | Landed | None, now: datetime = EVENING, **gate: Any) -> None:
        self.now = now
        self.store = Store.in_memory()
        self.store.add_feed(make.feed(), now)
        self.sink = FakeSink(*outcomes)
        self.gate = Gate(**gate)
        self.schedule = EIGHT
        self.count = 0
        self.deliver()  # a digest that was due before is not made

    def publish(self, *titles: str, **fields: Any) -> list[Alert]:
        return [self._publish(title, fields) for title in titles]

    def _publish(self, title: str, fields: dict[str, Any]) -> Alert:
        self.count += 1
        item = make.item(
            title=title, link=f"https://outlet.example/{self.count}", published=self.now, first_seen=self.now
        )
        alert = make.alert(**({"item": item, "story": item.id, "story_title": title, "created": self.now} | fields))
        self.commit(alert)
        return alert

    def follow(self, root: Alert, title: str, **fields: Any) -> Alert:
        """Publish an update of a root's story."""
        return self._publish(title, {"kind": AlertKind.REPLY, "story": root.story, "parent": root.id} | fields)

    def commit(self, alert: Alert) -> None:
        relation = Relation.UPDATE if alert.parent else Relation.ROOT
        decision = Decision(Verdict.ALERT, "news", (alert,))
        if alert.corroboration:
            decision = Decision(Verdict.WAITING, "waits", held=(alert,))
        record = make.record(
            item=alert.item, matches=alert.matches, placement=Placement(alert.story, relation), decision=decision
        )
        self.store.commit_poll(make.polled(at=self.now), [record], "m")

    def silence(self, hours: float = 12, **matchers: Any) -> int:
        until = self.now + timedelta(hours=hours)
        return self.store.add_silence(Silence(until, "ann", "", self.now, **matchers))

    def deliver(self, **after: float) -> list[str]:
        """Let time pass and deliver; what was sent."""
        self.now += timedelta(**after)
        before = len(self.sink.messages)
        courier = Courier(
            self.sink,
            self.store,
            at_once,
            at_once,
            lambda: self.now,
            timedelta(0),
            GAP,
            gate=lambda: self.gate,
            digests=self.schedule,
        )
        asyncio.run(deliver(courier))
        return [told(delivery) for delivery in self.sink.messages[before:]]

    def restart(self) -> None:
        self.store.doubt_all_sending(self.now)
        self.store.unblock_all(self.now)

    def states(self) -> dict[str, str]:
        """What every alert has come to, with the reason where it is held."""
        return {
            d.alert.item.title: f"{d.state} {d.reason}" if d.state is DeliveryState.HELD else d.state
            for d in self.store.deliveries()
            if isinstance(d.alert, Alert)
        }

    def blocks(self) -> str:
        """The last message, as it stands."""
        message = self.sink.messages[-1].message
        assert message
        return str(message.blocks)


def told(delivery: Delivery) -> str:
    alert = delivery.alert
    return alert.item.title if isinstance(alert, Alert) else alert.kind


# -- quiet hours ----------------------------------------------------------------------------------


def test_what_quiet_hours_held_goes_out_one_by_one() -> None:
    desk = Desk(quiet_hours=NIGHT)
    desk.publish("one", "two", "three")
    assert desk.deliver() == []
    assert set(desk.states().values()) == {"held quiet hours"}
    assert desk.deliver(hours=8, minutes=59) == []
    assert desk.deliver(minutes=1) == ["one", "two", "three"]


def test_much_that_quiet_hours_held_goes_out_in_a_digest() -> None:
    desk = Desk(quiet_hours=NIGHT)
    desk.publish("one", "two", "three", "four")
    desk.deliver()
    assert desk.deliver(hours=9) == ["digest"]
    assert "While it was quiet, 30 Oct 07:00 UTC: 4 stories" in desk.blocks()
    assert set(desk.states().values()) == {"batched"}
    assert desk.deliver(minutes=1) == []


def test_critical_alert_passes_at_night() -> None:
    desk = Desk(quiet_hours=NIGHT)
    desk.publish("one")
    desk.publish("war", severity=Severity.CRITICAL)
    assert desk.deliver() == ["war"]


def test_update_of_a_story_that_is_held_follows_its_root_in_the_morning() -> None:
    desk = Desk(quiet_hours=NIGHT)
    [root] = desk.publish("one")
    desk.deliver()
    desk.follow(root, "two")
    desk.deliver()
    assert desk.states() == {"one": "held quiet hours", "two": "held quiet hours"}
    assert desk.deliver(hours=9) == ["one", "two"]
    assert desk.sink.messages[-1].thread == "ts1"


def test_root_that_had_waited_for_sources_waits_for_the_morning_too() -> None:
    desk = Desk(quiet_hours=NIGHT)
    desk.publish("one", corroboration=Corroboration(sources=3, within=timedelta(hours=1)))
    assert desk.deliver(minutes=59) == []
    assert desk.states() == {"one": "held corroboration"}
    desk.deliver(minutes=1)
    assert desk.states() == {"one": "held quiet hours"}
    assert desk.deliver(hours=8) == ["one"]


def test_restart_changes_nothing() -> None:
    desk = Desk(quiet_hours=NIGHT)
    desk.publish("one")
    desk.deliver()
    desk.restart()
    assert desk.deliver(hours=1) == []
    assert desk.deliver(hours=8) == ["one"]


# -- budgets --------------------------------------------------------------------------------------


def test_budget_goes_to_what_is_most_severe_and_the_rest_to_the_digest() -> None:
    desk = Desk(daily_budget=2, now=make.NOW)
    desk.publish("low", "low too", severity=Severity.INFO)
    desk.publish("high", "high too", severity=Severity.HIGH)
    assert desk.deliver() == ["high", "high too"]
    assert desk.states()["low"] == "held budget"
    desk.publish("critical", severity=Severity.CRITICAL)
    assert desk.deliver() == ["critical"]
    # the next day has a budget of its own; what was held waits for the digest
    desk.publish("next day", created=desk.now)
    assert desk.deliver() == []
    desk.publish("the day after")
    assert desk.deliver(hours=10) == ["the day after"]
    assert desk.deliver(hours=8) == ["digest"]
    assert set(desk.states().values()) == {"sent", "batched"}


def test_updates_do_not_count() -> None:
    desk = Desk(daily_budget=2, now=make.NOW)
    [root] = desk.publish("one")
    desk.deliver()
    desk.follow(root, "two")
    desk.publish("three")
    assert desk.deliver() == ["two", "three"]


def test_alert_that_was_refused_does_not_count() -> None:
    desk = Desk(*REFUSED, daily_budget=1, now=make.NOW)
    desk.publish("one", "two")
    assert desk.deliver() == ["two"]


def test_topic_has_a_budget_of_its_own() -> None:
    topic = make.topic(notify=Notify(daily_budget=1))
    desk = Desk(topics={topic.id: topic}, now=make.NOW)
    desk.publish("one", "two")
    desk.publish("three", matches=(make.match(topic="other"),), titles={"other": "Other"})
    assert desk.deliver() == ["one", "three"]


# -- silences -------------------------------------------------------------------------------------


def test_silence_holds_what_waits_and_what_it_held_goes_to_the_next_digest() -> None:
    desk = Desk(NotAccepted("429"), now=make.NOW)
    desk.publish("one")
    desk.deliver()
    number = desk.silence(topic="dprk-troops")
    assert desk.deliver(minutes=5) == []
    assert desk.states() == {"one": "held silence"}
    assert desk.store.remove_silence(number, desk.now)
    desk.publish("two")
    assert desk.deliver() == ["two"]
    assert desk.deliver(hours=18) == ["digest"]
    assert "silenced" in desk.blocks()


def test_silence_that_is_over_holds_nothing_and_cannot_be_removed() -> None:
    desk = Desk(now=make.NOW)
    number = desk.silence(hours=1, channel=make.CHANNEL)
    desk.now += timedelta(hours=1)
    desk.publish("one")
    assert desk.deliver() == ["one"]
    assert not desk.store.remove_silence(number, desk.now)
    assert desk.store.silences(desk.now) == []
    assert [silence.id for silence in desk.store.silences()] == [number]


def test_silence_of_a_story_follows_it_into_a_merge() -> None:
    desk = Desk(now=make.NOW)
    first, second = desk.publish("one", "two")
    desk.silence(story=second.story)
    desk.store.rule([first.story, second.story], lambda t, d: merge(t, d, "ann"), desk.now)
    assert [silence.story for silence in desk.store.silences(desk.now)] == [first.story]


def test_silenced_update_does_not_slip_out_in_anothers_message() -> None:
    desk = Desk(now=make.NOW)
    [root] = desk.publish("one")
    desk.deliver()
    desk.silence(words=("sumy",))
    desk.follow(root, "Kursk")
    desk.follow(root, "Sumy")
    assert desk.deliver() == ["Kursk"]
    assert desk.states()["Sumy"] == "held silence"


def test_replies_of_a_message_that_was_refused_are_each_held() -> None:
    desk = Desk(None, NotAccepted("429"), now=make.NOW)
    [root] = desk.publish("one")
    desk.deliver()
    desk.follow(root, "two")
    desk.follow(root, "three")
    assert desk.deliver() == []
    assert desk.states() == {"one": "sent", "two": "queued", "three": "batched"}
    desk.silence(story=root.story)
    assert desk.deliver(minutes=30) == []
    assert desk.states() == {"one": "sent", "two": "held silence", "three": "held silence"}
    assert desk.deliver(hours=18) == ["digest"]
    assert "1 update" in desk.blocks()


# -- digests --------------------------------------------------------------------------------------


def digests_of(mode: Mode) -> dict[str, Topic]:
    topic = make.topic(theme="Military cooperation", notify=Notify(mode=mode))
    return {topic.id: topic}


def test_topic_in_digests_is_told_by_them_alone() -> None:
    desk = Desk(topics=digests_of(Mode.DIGEST), now=make.NOW)
    [root] = desk.publish("one")
    desk.follow(root, "two")
    assert desk.deliver() == []
    assert desk.deliver(hours=18) == ["digest"]
    assert "*Military cooperation*" in desk.blocks()
    assert "1 update" in desk.blocks()
    desk.follow(root, "three")
    assert desk.deliver() == []
    assert desk.states()["three"] == "held digest"
    assert desk.deliver(days=1) == ["digest"]


def test_topic_in_both_is_told_at_once_and_listed_again() -> None:
    desk = Desk(topics=digests_of(Mode.BOTH), now=make.NOW)
    desk.publish("one")
    assert desk.deliver() == ["one"]
    assert desk.deliver(hours=18) == ["digest"]
    assert "outlet.example/1|one>" in desk.blocks()


def test_digest_is_made_once_however_the_clock_goes() -> None:
    desk = Desk(topics=digests_of(Mode.DIGEST), now=make.NOW)
    desk.publish("one")
    assert desk.deliver(hours=18) == ["digest"]
    desk.publish("two")
    desk.restart()
    # back before its time, and past it again
    assert [desk.deliver(hours=hours) for hours in (-1, -23, 24, 1)] == [[]] * 4
    assert desk.deliver(days=365) == ["digest"]
    # a year ahead was wrong
    desk.publish("three")
    assert [desk.deliver(days=days) for days in (-364, 1)] == [[], ["digest"]]


def test_digest_is_late_rather_than_lost() -> None:
    desk = Desk(topics=digests_of(Mode.DIGEST), now=make.NOW)
    desk.publish("one")
    assert desk.deliver(days=3) == ["digest"]


def test_digest_that_is_due_in_quiet_hours_waits_for_their_end() -> None:
    # from 14:30, past 08:00, to 09:59 and 10:00
    desk = Desk(topics=digests_of(Mode.DIGEST), quiet_hours=QuietHours(time(22), time(10)), now=make.NOW)
    desk.publish("one")
    assert [desk.deliver(hours=19, minutes=29), desk.deliver(minutes=1), desk.deliver(hours=1)] == [[], ["digest"], []]


def test_day_without_anything_has_no_digest() -> None:
    desk = Desk(now=make.NOW)
    assert desk.deliver(days=1) == []


def test_week_begins_with_the_weekly_digest_alone() -> None:
    # Tuesday 14:30 to Monday 08:00
    desk = Desk(now=make.NOW)
    desk.publish("one")
    assert desk.deliver() == ["one"]
    desk.deliver(hours=18)
    assert desk.deliver(days=4, hours=23, minutes=30) == ["digest"]
    assert "Weekly digest, 4 Nov 08:00 UTC: 1 story" in desk.blocks()


def test_refused_digest_leaves_all_that_it_told_to_the_next() -> None:
    desk = Desk(*REFUSED, topics=digests_of(Mode.DIGEST), now=make.NOW)
    desk.publish("one", "two")
    assert desk.deliver(hours=18) == []
    assert set(desk.states().values()) == {"held digest"}
    assert desk.deliver(days=1) == ["digest"]
    assert set(desk.states().values()) == {"batched"}


def test_digest_whose_answer_was_lost_is_read_back() -> None:
    desk = Desk(Landed(MaybeAccepted("lost")), topics=digests_of(Mode.DIGEST), now=make.NOW)
    desk.publish("one")
    assert desk.deliver(hours=18) == ["digest"]
    desk.restart()
    assert desk.deliver(minutes=1) == []
    assert [d.state for d in desk.store.deliveries()] == ["batched", "sent"]


def test_digest_knows_what_it_tells() -> None:
    desk = Desk(topics=digests_of(Mode.DIGEST), now=make.NOW)
    desk.publish("one", "two")
    desk.deliver(hours=18)
    shown = desk.store.delivery(desk.sink.messages[-1].alert.id)
    assert shown
    assert [alert.item.title for alert in shown.batch] == ["one", "two"]


def test_dead_digest_is_not_tried_again_and_a_dropped_one_leaves_all_to_the_next() -> None:
    desk = Desk(*REFUSED, NotAccepted("429"), topics=digests_of(Mode.DIGEST), now=make.NOW)
    desk.publish("one")
    desk.deliver(hours=18)
    [dead] = [d.alert.id for d in desk.store.deliveries(DeliveryState.DEAD)]
    assert not desk.store.retry_delivery(dead, "ann", desk.now)
    assert desk.store.drop_delivery(dead, "old", "ann", desk.now)
    desk.deliver(days=1)
    [queued] = [d.alert.id for d in desk.store.deliveries(DeliveryState.QUEUED)]
    assert desk.store.drop_delivery(queued, "old", "ann", desk.now)
    assert desk.states() == {"one": "held digest"}
    assert desk.deliver(days=1) == ["digest"]


def test_root_says_no_more_that_its_story_is_silenced_once_the_silence_ran_out() -> None:
    desk = Desk(now=make.NOW)
    [root] = desk.publish("one")
    desk.deliver()
    desk.silence(story=root.story, hours=2)
    desk.deliver(hours=1)
    assert desk.sink.edits[-1].growth.silenced_by == "ann"
    for _ in range(3):
        desk.deliver(hours=1)
    assert [edit.growth.silenced_by for edit in desk.sink.edits] == ["ann", ""]


def test_root_says_that_its_story_is_silenced() -> None:
    desk = Desk(now=make.NOW)
    [root] = desk.publish("one")
    desk.deliver()
    number = desk.silence(story=root.story)
    desk.deliver(hours=1)
    assert desk.sink.edits[-1].growth.silenced_by == "ann"
    desk.store.remove_silence(number, desk.now)
    desk.deliver(hours=1)
    assert desk.sink.edits[-1].growth.silenced_by == ""


# -- a burst --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_burst_of_five_thousand_is_a_budget_and_a_digest() -> None:
    desk = Desk(daily_budget=100, now=make.NOW)
    alerts = []
    for n in range(5_000):
        item = make.item(id=f"{n:016x}", title=f"Item {n}", link=f"https://outlet.example/{n}")
        alerts.append(make.alert(item=item, story=item.id, story_title=item.title, severity=list(Severity)[n % 3]))
    records = [
        make.record(
            item=a.item, placement=Placement(a.story, Relation.ROOT), decision=Decision(Verdict.ALERT, "", (a,))
        )
        for a in alerts
    ]
    desk.store.commit_poll(make.polled(at=desk.now), records, "m")
    assert len(desk.deliver()) == 100
    assert {m.alert.severity for m in desk.sink.messages if isinstance(m.alert, Alert)} == {Severity.HIGH}
    assert desk.store.held_counts() == {"budget": 4_900}
    assert desk.deliver(hours=18) == ["digest"]
    assert Counter(desk.states().values()) == {"sent": 100, "batched": 4_900}
    message = desk.sink.messages[-1].message
    assert message
    assert len(message.blocks) <= 10
    assert "more; all of them: monitor outbox show" in str(message.blocks)


SORTS_NOTHING = ["next_queued", "told", "over", "held_counts"]


@pytest.mark.parametrize("asked", [*SORTS_NOTHING, "claim", "settle", "commit"])
def test_nothing_that_is_asked_for_each_alert_looks_at_all_of_them(asked: str) -> None:
    """How SQLite means to go about it: no scan of the outbox, nor of all in one state, and nothing of it sorted."""
    desk = Desk(now=make.NOW)
    desk.publish("one")
    [waiting] = desk.store.deliveries()
    statements: list[str] = []
    connection = desk.store._connection  # noqa: SLF001 - what it is asked is the question
    connection.set_trace_callback(statements.append)
    questions = {
        "next_queued": lambda: desk.store.next_queued(desk.now, GAP),
        "told": lambda: desk.store.told(make.CHANNEL, desk.now, ["dprk-troops"]),
        "over": lambda: desk.store.over(desk.now),
        "held_counts": desk.store.held_counts,
        "claim": lambda: desk.store.claim(waiting.alert.id, make.message(), desk.now, seen=waiting),
        "settle": lambda: desk.store.settle(waiting.alert.id, DeliveryState.SENT, desk.now),
        "commit": lambda: desk.publish("two"),
    }
    questions[asked]()
    connection.set_trace_callback(None)
    assert statements
    for statement in statements:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            scanned = ("SCAN o", "SCAN p", "SCAN r")
            assert not [s for s in plan if s.startswith(scanned) or s.endswith("paused (state=?)")], (statement, plan)
            # what is sorted for the others is one story's
            assert asked not in SORTS_NOTHING or not [s for s in plan if "FOR ORDER BY" in s], (statement, plan)


# -- nothing is lost ------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(Severity), st.sampled_from(["t1", "t2", "t3"])),
        st.tuples(st.just("follow"), st.integers(0, 9), st.sampled_from(["t1", "t2", "t3"])),
        st.tuples(st.just("silence"), st.sampled_from(["t1", "t2"]), st.integers(1, 30)),
        st.tuples(st.just("remove"), st.integers(1, 3), st.none()),
        st.tuples(st.just("deliver"), st.sampled_from([0, 0, 5, 60, 600]), st.booleans()),
    ),
    max_size=25,
)
OUTCOMES = st.lists(
    st.sampled_from(
        [None, None, NotAccepted("429"), Unacceptable("no"), MaybeAccepted("lost"), Landed(MaybeAccepted("lost"))]
    ),
    max_size=8,
)
MODES = st.sampled_from(Mode)
ENDS = {"sent", "batched", "dead"}


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(STEPS, OUTCOMES, MODES, st.booleans(), st.integers(1, 4))
def test_every_alert_is_told_once_or_seen_to_wait(
    steps: list[tuple[str, Any, Any]], outcomes: list[Any], mode: Mode, quiet: bool, budget: int
) -> None:
    topics = {
        "t1": make.topic(id="t1", notify=Notify(mode=mode)),
        "t2": make.topic(id="t2", notify=Notify(quiet_hours=NIGHT, daily_budget=2)),
        "t3": make.topic(id="t3"),
    }
    desk = Desk(*outcomes, quiet_hours=NIGHT if quiet else None, daily_budget=budget, topics=topics)
    roots: list[Alert] = []
    for n, (step, one, other) in enumerate(steps):
        by = {"matches": (make.match(topic=other),), "titles": {other: str(other)}}
        if step == "publish":
            roots += desk.publish(f"root {n}", severity=one, **by)
        elif step == "follow" and roots:
            desk.follow(roots[one % len(roots)], f"reply {n}", **by)
        elif step == "silence":
            desk.silence(topic=one, hours=other)
        elif step == "remove":
            desk.store.remove_silence(one, desk.now)
        elif step == "deliver":
            desk.deliver(minutes=one)
            if other:
                desk.restart()
    # by day and by night
    for _ in range(2 * len(outcomes) + 8):
        desk.deliver(hours=12.5)
    deliveries = desk.store.deliveries()
    assert {d.state for d in deliveries} <= ENDS
    sent = [d.alert.id for d in deliveries if d.state is DeliveryState.SENT]
    assert {d.carrier for d in deliveries if d.state is DeliveryState.BATCHED} <= set(sent)
    # and nothing twice
    assert sorted(message.alert.id for message in desk.sink.messages) == sorted(sent)


def test_what_a_dead_root_said_is_not_held_against_its_updates() -> None:
    desk = Desk(*REFUSED, now=make.NOW)
    [root] = desk.publish("one")
    desk.deliver()
    desk.follow(root, "two")
    assert desk.deliver() == ["two"]
