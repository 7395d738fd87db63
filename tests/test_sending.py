"""Between a queued row and the channel: edits of roots, rungs, pace, what is blocked, what cannot be read back, threads that
are gone, and what a person does about it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import make
import pytest
from fakes import FakeSink, Landed
from home import open_home
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_server import FakeSlack
from world import GAZETTE, SHIPS, SHIPS_TOPIC, TROOPS, TROOPS_AGAIN, TROOPS_RETOLD, TROOPS_TOPIC, WIRE, World

from monitor import pipeline
from monitor.app import waiting_since
from monitor.config import Slack
from monitor.errors import MaybeAccepted, Misconfigured, NotAccepted, RootGone, SendError, Unacceptable, Unreadable
from monitor.model import Alert, AlertKind, DeliveryState, Message, Notice, Notify, Placement, Relation, Topic
from monitor.outbox import edit_of
from monitor.rulings import split
from monitor.send import SlackSink
from monitor.store import Store

OTHER = "C0OTHER"
LOST = MaybeAccepted("slack: no usable answer (timed out)")
REFUSED = Unacceptable("invalid_blocks")
NOT_INVITED = Misconfigured("slack: not_in_channel: the bot is not in the channel; /invite it")
REVOKED = Misconfigured("slack: token_revoked: install the app again", everywhere=True)
ROOT_TROOPS, ROOT_SHIPS = f"root: {TROOPS[0]}", f"root: {SHIPS[0]}"


async def with_news(*script: SendError | Landed | None, settle: float = 0) -> World:
    """A world with one alert in the outbox, and a sink that is scripted."""
    world = World(sink=FakeSink(*script), settle=timedelta(seconds=settle))
    await world.know()
    await world.publish(WIRE, TROOPS)
    return world


async def with_two_channels(*script: SendError | None) -> World:
    """Troops are told in one channel, ships in another; nothing was yet."""
    world = World((TROOPS_TOPIC, replace(SHIPS_TOPIC, notify=Notify(channel=OTHER))), sink=FakeSink(*script))
    world.ops = "C0OPS"
    await world.know()
    return world


def states(world: World) -> list[str]:
    return [delivery.state.value for delivery in world.store.deliveries()]


def growth(world: World) -> list[tuple[int, bool]]:
    """Of each edit: sources, and whether the story is over."""
    return [(edit.growth.sources, edit.growth.closed) for edit in world.sink.edits if edit.growth]


def said(message: Message | None) -> str:
    assert message
    return f"{message.text} {message.blocks}"


# -- edits ----------------------------------------------------------------------------------------


async def test_root_is_edited_when_its_story_grows() -> None:
    world = await with_news()
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    [edit] = world.sink.edits
    assert (edit.thread, growth(world), edit.alert.kind) == ("ts1", [(2, False)], AlertKind.EDIT)
    assert "2 independent sources, 2 items" in said(edit.message)


async def test_copy_that_is_held_back_is_an_edit_too() -> None:
    world = await with_news()
    await world.deliver()
    await world.publish(GAZETTE, TROOPS)
    await world.deliver()
    assert (world.told(), len(world.sink.edits)) == ([ROOT_TROOPS], 1)


async def test_root_alone_is_not_edited() -> None:
    world = await with_news()
    for _ in range(3):
        await world.deliver()
        await world.publish(WIRE, TROOPS, SHIPS)
    assert world.sink.edits == []


async def test_edits_of_a_root_keep_their_gap_and_the_last_one_tells_all() -> None:
    world = await with_news()
    world.edit_gap = timedelta(minutes=30)
    await world.deliver()
    for article in (TROOPS_RETOLD, TROOPS_AGAIN, TROOPS):
        await world.publish(GAZETTE, article)
        await world.deliver()
    assert len(world.sink.edits) == 1
    world.wait(minutes=10)
    await world.deliver()
    await world.deliver()
    assert [edit.growth and edit.growth.items for edit in world.sink.edits] == [2, 4]


async def test_root_that_is_not_sent_is_not_edited_and_then_says_what_came_meanwhile() -> None:
    world = await with_news(NotAccepted("429", retry_after=1800))
    await world.deliver()
    await world.publish(GAZETTE, TROOPS)
    await world.deliver()
    assert world.sink.edits == []
    world.wait(minutes=30)
    await world.deliver()
    assert (world.told(), growth(world)) == ([ROOT_TROOPS], [(1, False)])
    assert "1 independent source, 2 items" in said(world.sink.edits[0].message)


async def test_alerts_go_before_edits() -> None:
    world = await with_news()
    await world.deliver()
    order: list[str] = []
    world.sink = Ordered(order)
    await world.publish(GAZETTE, TROOPS)
    await world.publish(WIRE, SHIPS)
    await world.deliver()
    assert order == ["root", "edit"]


class Ordered(FakeSink):
    """Notes what was asked of it, in order."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self.order = order

    def send(self, delivery: object) -> str:
        self.order.append("root")
        return super().send(delivery)  # type: ignore[arg-type]  # handed through

    def edit(self, delivery: object) -> None:
        self.order.append("edit")
        super().edit(delivery)  # type: ignore[arg-type]  # as above


async def grown(*script: SendError | None) -> World:
    """A root that was sent, and its edit tried once."""
    world = await with_news()
    world.sink.edit_outcomes = list(script)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS)
    await world.deliver()
    return world


@pytest.mark.parametrize("error", [LOST, NotAccepted("429", retry_after=20)])
async def test_edit_whose_answer_was_lost_or_refused_is_simply_tried_again(error: SendError) -> None:
    world = await grown(error)
    world.wait(seconds=30)
    await world.deliver()
    assert (len(world.sink.edits), world.sink.looks, edit_state(world)) == (2, [], "sent")


def edit_state(world: World) -> str:
    [root] = [d for d in world.store.deliveries() if d.alert.kind is AlertKind.ROOT]
    edit = world.store.delivery(edit_of(root.alert.id))
    return edit.state.value if edit else ""


async def test_edit_that_is_told_to_wait_holds_up_no_alert() -> None:
    world = await grown(NotAccepted("429", retry_after=600))
    await world.publish(WIRE, SHIPS)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS, ROOT_SHIPS]


async def test_edit_that_is_refused_ends_for_good_and_quietly() -> None:
    world = await grown(Unacceptable("cant_update_message"))
    await world.publish(GAZETTE, TROOPS_AGAIN)
    await world.deliver()
    assert (len(world.sink.edits), edit_state(world), world.store.undelivered()) == (1, "dropped", {})


async def test_edit_of_a_root_that_was_deleted_ends_it_and_the_story_s_next_item_is_a_root() -> None:
    world = await grown(RootGone("message_not_found"))
    assert (edit_state(world), states(world), world.store.undelivered()) == ("dropped", ["dropped"], {})
    await world.publish(GAZETTE, TROOPS_AGAIN)
    await world.deliver()
    assert (len(world.sink.edits), world.told()) == (1, [ROOT_TROOPS, f"root: {TROOPS_AGAIN[0]}"])


async def test_edit_that_was_on_the_wire_at_a_crash_is_tried_again() -> None:
    world = await with_news()
    await world.deliver()
    await world.publish(GAZETTE, TROOPS)
    edit = world.store.next_queued(world.now)
    assert edit
    assert world.store.claim(edit.alert.id, make.message(), world.now, seen=edit)
    world.restart()
    assert edit_state(world) == "queued"
    await world.deliver()
    assert len(world.sink.edits) == 1


async def test_story_that_grew_between_rendering_and_claim_is_rendered_again() -> None:
    world = await with_news()
    await world.deliver()
    await world.publish(GAZETTE, TROOPS)
    edit = world.store.next_queued(world.now)
    assert edit
    await world.publish(GAZETTE, TROOPS_AGAIN)
    assert not world.store.claim(edit.alert.id, make.message(), world.now, seen=edit)


async def test_story_that_grew_while_its_edit_was_on_the_wire_is_edited_again() -> None:
    world = await with_news()
    await world.deliver()
    await world.publish(GAZETTE, TROOPS)
    edit = world.store.next_queued(world.now)
    assert edit
    assert world.store.claim(edit.alert.id, make.message(), world.now, seen=edit)
    await world.publish(GAZETTE, TROOPS_AGAIN)
    world.store.settle(edit.alert.id, DeliveryState.SENT, world.now)
    assert edit_state(world) == "queued"


async def test_story_that_is_closed_says_so_once() -> None:
    world = await with_news()
    await world.deliver()
    world.store.close_stories([timeline.story.id for timeline in world.store.told_and_open()], world.now)
    await world.deliver()
    await world.deliver()
    assert (growth(world), list(world.store.told_and_open())) == ([(1, True)], [])


async def test_closed_story_that_goes_on_is_open_again() -> None:
    world = await with_news()
    await world.deliver()
    world.store.close_stories([t.story.id for t in world.store.told_and_open()], world.now)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert growth(world) == [(1, True), (2, False)]


async def test_roots_on_which_a_person_ruled_are_edited() -> None:
    world = await with_news()
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    [timeline] = [t for t in world.store.timelines() if len(t.tellings) == 2]
    moved = timeline.tellings[1].item.id
    world.store.rule(
        [timeline.story.id], lambda told, sent: split(told[0], [moved], sent, "nina", world.now), world.now
    )
    await world.deliver()
    assert growth(world)[-1] == (1, False)


async def test_edits_are_no_alerts_to_whoever_counts() -> None:
    world = await grown()
    assert (world.store.outbox_counts(), world.store.totals()["alerts"], len(world.store.deliveries())) == (
        {"sent": 1}, 1, 1,
    )  # fmt: skip


# -- rungs ----------------------------------------------------------------------------------------


async def test_refused_message_goes_rung_by_rung_until_it_is_taken() -> None:
    world = await with_news(REFUSED, REFUSED, None)
    await world.deliver()
    [sent] = world.store.deliveries()
    shapes = [len(tried.message.blocks) for tried in world.sink.tries if tried.message]
    assert (sent.state, sent.rung, shapes[1:]) == (DeliveryState.SENT, 2, [1, 0])
    assert shapes[0] > 1


async def test_message_that_no_rung_saves_is_dead() -> None:
    world = await with_news(*[REFUSED] * 9)
    await world.deliver()
    assert (states(world), len(world.sink.tries)) == (["dead"], 4)


async def test_rung_is_kept_over_a_restart() -> None:
    world = await with_news(REFUSED, NotAccepted("429", retry_after=60))
    await world.deliver()
    world.restart()
    world.wait(minutes=1)
    await world.deliver()
    [_, second, third] = world.sink.tries
    assert second.message == third.message


async def test_dead_message_is_whole_again_when_a_person_tries_it_again() -> None:
    world = await with_news(*[REFUSED] * 4)
    await world.deliver()
    [dead] = world.store.deliveries()
    assert world.store.retry_delivery(dead.alert.id, "nina", world.now)
    await world.deliver()
    [sent] = world.store.deliveries()
    assert (sent.state, sent.rung) == (DeliveryState.SENT, 0)


# -- pace -----------------------------------------------------------------------------------------


def alerts(store: Store, count: int, channels: int) -> None:
    """Put alerts into the outbox, each of a story of its own, over so many channels."""
    for n in range(count):
        item = make.item(title=f"Item {n}", link=f"https://wire.example/{n}")
        alert = make.alert(item=item, story=item.id, story_title=item.title, channel=f"C0{n % channels:04}")
        record = make.alert_record(**{name: getattr(alert, name) for name in alert.__dataclass_fields__})
        store.commit_again([replace(record, placement=Placement(item.id, Relation.ROOT))], "m", make.NOW)


async def paced(count: int, channels: int, sink: FakeSink | SlackSink) -> World:
    world = World()
    world.sink = sink  # type: ignore[assignment]  # either will do
    world.pace = timedelta(seconds=1)
    world.store.add_feed(make.feed(), world.now)
    alerts(world.store, count, channels)
    assert await world.deliver() == count
    return world


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 30), st.integers(1, 6))
def test_no_channel_gets_two_posts_within_the_pace_and_none_waits_longer(count: int, channels: int) -> None:
    sink = FakeSink()
    world = asyncio.run(paced(count, channels, sink))
    by_channel: dict[str, list[float]] = {}
    for tried in sink.tries:
        assert tried.sending_at
        by_channel.setdefault(tried.alert.channel, []).append((tried.sending_at - make.NOW).total_seconds())
    assert all(times == list(range(len(times))) for times in by_channel.values())
    assert world.now - make.NOW == timedelta(seconds=-(-count // channels) - 1)


async def test_two_hundred_alerts_over_twenty_channels_take_less_than_a_minute() -> None:
    world = await paced(200, 20, FakeSink())
    assert world.now - make.NOW < timedelta(minutes=1)


async def test_channel_that_waits_for_its_pace_holds_up_no_other() -> None:
    world = await with_two_channels()
    world.pace = timedelta(seconds=10)
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.publish(WIRE, SHIPS)
    world.sink.outcomes = []
    before = world.now
    await world.deliver()
    assert ([t.alert.channel for t in world.sink.tries], world.now) == (["C0NEWS", "C0NEWS", OTHER], before)


async def test_clock_that_was_put_back_holds_up_nobody() -> None:
    world = await with_news()
    world.pace = timedelta(seconds=10)
    await world.deliver()
    await world.publish(WIRE, SHIPS)
    world.wait(hours=-5)
    await world.deliver()
    assert world.told() == [ROOT_TROOPS, ROOT_SHIPS]


# -- what is blocked ------------------------------------------------------------------------------


async def test_what_is_for_a_blocked_channel_waits_behind_one_and_costs_no_calls() -> None:
    world = await with_two_channels(NOT_INVITED)
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    await world.publish(GAZETTE, ("North Korean envoys leave for Moscow", "They board a train at the border."))
    await world.publish(WIRE, SHIPS)
    world.wait(minutes=-11)
    await world.deliver()
    assert [t.alert.channel for t in world.sink.tries] == ["C0NEWS", "C0OPS", OTHER]
    assert Counter(states(world)) == {"blocked": 1, "queued": 1, "sent": 2}
    [blockage] = world.store.blockages()
    assert (blockage.channel, blockage.because, blockage.waiting) == ("C0NEWS", str(NOT_INVITED), 2)


async def test_blocked_channel_is_probed_with_its_oldest_alert_and_then_all_the_rest_flows() -> None:
    world = await with_two_channels(NOT_INVITED)
    await world.publish(WIRE, TROOPS)
    await world.publish(GAZETTE, ("North Korean envoys leave for Moscow", "They board a train at the border."))
    await world.deliver()
    world.wait(minutes=14)
    assert await world.deliver() == 0
    world.wait(minutes=1)
    assert await world.deliver() == 3  # the third to ops
    assert (world.store.blockages(), set(states(world))) == ([], {"sent"})


async def test_ops_are_told_once_of_each_cause() -> None:
    world = await with_two_channels(NOT_INVITED, None, NOT_INVITED, Misconfigured("slack: is_archived"))
    await world.publish(WIRE, TROOPS)
    for _ in range(3):
        await world.deliver()
        world.wait(minutes=15)
    notices = [m.message.text for m in world.sink.messages if m.message and m.alert.kind is AlertKind.NOTICE]
    assert [text.split(";")[0].partition(": ")[2] for text in notices] == [
        "C0NEWS is blocked: slack: notˍinˍchannel: the bot is not in the channel", "C0NEWS is blocked: slack: isˍarchived",
    ]  # fmt: skip


async def test_ops_are_told_once_that_it_is_over() -> None:
    world = await with_two_channels(NOT_INVITED, None, NOT_INVITED)
    await world.publish(WIRE, TROOPS)
    for _ in range(4):
        await world.deliver()
        world.wait(minutes=15)
    notices = [m.message.text for m in world.sink.messages if m.message and m.alert.kind is AlertKind.NOTICE]
    assert [text.partition(": ")[2].partition(" blocked")[0] for text in notices] == ["C0NEWS is", "C0NEWS is not"]


async def test_ops_cannot_be_told_of_their_own_channel() -> None:
    world = await with_two_channels(NOT_INVITED)
    world.ops = "C0NEWS"
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    assert states(world) == ["blocked"]


async def test_token_that_was_revoked_blocks_every_channel_with_one_call() -> None:
    world = await with_two_channels(REVOKED, REVOKED)
    await world.publish(WIRE, TROOPS)
    await world.publish(WIRE, TROOPS, SHIPS)
    await world.deliver()
    await world.deliver()
    assert (len(world.sink.tries), Counter(states(world))) == (1, {"blocked": 1, "queued": 1})
    world.wait(minutes=15)
    await world.deliver()
    world.restart()
    await world.deliver()
    assert (len(world.sink.tries), Counter(states(world))) == (5, {"sent": 3})
    assert world.sink.messages[-1].alert.channel == "C0OPS"


async def test_token_that_was_revoked_is_no_matter_of_another_sink_s_channel() -> None:
    world = World((TROOPS_TOPIC, replace(SHIPS_TOPIC, notify=Notify(channel="desk:"))), sink=FakeSink(REVOKED))
    world.ops = "desk:"
    await world.know()
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    await world.publish(WIRE, TROOPS, SHIPS)
    await world.deliver()
    assert [m.alert.channel for m in world.sink.messages] == ["desk:", "desk:"]
    [blockage] = world.store.blockages()
    assert (blockage.channel, blockage.waiting) == ("", 1)


async def test_restart_or_reload_probes_at_once_and_tells_ops_nothing_new() -> None:
    world = await with_two_channels(NOT_INVITED, None, NOT_INVITED)
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    world.restart()
    await world.deliver()
    assert [t.alert.kind for t in world.sink.tries] == ["root", "notice", "root"]


async def test_probe_that_never_arrived_waits_for_the_next_time() -> None:
    world = await with_two_channels(NOT_INVITED, None, NotAccepted("no network"))
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    world.wait(minutes=15)
    await world.deliver()
    await world.deliver()
    assert (len(world.sink.tries), len(world.store.blockages())) == (3, 1)
    world.wait(minutes=15)
    await world.deliver()
    assert (world.store.blockages(), set(states(world))) == ([], {"sent"})


async def test_edit_that_is_blocked_is_not_what_a_person_is_shown() -> None:
    world = await grown(NOT_INVITED)
    assert (edit_state(world), states(world), len(world.store.blockages())) == ("queued", ["sent"], 1)
    world.wait(minutes=15)
    await world.deliver()
    assert (edit_state(world), world.store.blockages()) == ("sent", [])


# -- what cannot be read back ---------------------------------------------------------------------

UNREADABLE = Unreadable("slack: missing_scope: channels:history")


async def test_doubt_that_nobody_may_settle_is_sent_again_after_a_while_and_says_so() -> None:
    world = await with_news(Landed(LOST))
    world.sink.unreadable = UNREADABLE
    for _ in range(15):
        await world.deliver()
        world.wait(minutes=1)
    assert (len(world.sink.tries), states(world)) == (1, ["unknown"])
    await world.deliver()
    first, second = world.sink.tries
    assert ("may repeat" in said(first.message), "(may repeat an alert)" in said(second.message)) == (False, True)
    assert states(world) == ["sent"]


async def test_doubt_is_looked_at_until_then() -> None:
    world = await with_news(Landed(LOST))
    world.sink.unreadable = UNREADABLE
    await world.deliver()
    world.wait(minutes=10)
    await world.deliver()
    world.sink.unreadable = None
    world.wait(minutes=1)
    await world.deliver()
    assert (len(world.sink.tries), states(world)) == (1, ["sent"])


async def test_doubt_is_held_for_a_person_where_that_is_wanted() -> None:
    world = await with_news(Landed(LOST))
    world.repeats, world.sink.unreadable = False, UNREADABLE
    for _ in range(3):
        await world.deliver()
        world.wait(days=1)
    assert (len(world.sink.tries), states(world)) == (1, ["unknown"])
    [unknown] = world.store.deliveries()
    assert world.store.drop_delivery(unknown.alert.id, "it stands there", "nina", world.now)
    await world.deliver()
    assert states(world) == ["dropped"]


async def test_outage_is_no_reason_to_send_again() -> None:
    world = await with_news(Landed(LOST))
    world.sink.unreadable = MaybeAccepted("slack: cannot be reached")
    for _ in range(3):
        await world.deliver()
        world.wait(days=1)
    assert (len(world.sink.tries), states(world)) == (1, ["unknown"])


async def test_each_repeat_waits_twice_as_long_as_the_one_before() -> None:
    world = await with_news(*[LOST] * 4)
    world.sink.unreadable = UNREADABLE
    waits = []
    for _ in range(4):
        started = world.now
        await world.deliver()
        while len(world.sink.tries) == len(waits) + 1 and world.now - started < timedelta(hours=5):
            world.wait(minutes=1)
            await world.deliver()
        waits.append((world.now - started) // timedelta(minutes=1))
    assert waits[:3] == [15, 30, 60]


# -- roots that are gone --------------------------------------------------------------------------


async def with_gone_root() -> World:
    """A root that was deleted in the channel, and the reply that found it so."""
    world = await with_news()
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    world.sink.outcomes = [RootGone("slack: thread_not_found")]
    await world.deliver()
    return world


async def test_reply_whose_root_was_deleted_is_told_by_itself_and_names_its_story() -> None:
    world = await with_gone_root()
    last = world.sink.messages[-1]
    assert (states(world), last.thread) == (["dropped", "sent"], "")
    assert f"More on “{TROOPS[0]}”" in said(last.message)


async def test_story_whose_root_was_deleted_goes_on_in_a_thread_of_its_own() -> None:
    world = await with_gone_root()
    await world.publish(WIRE, TROOPS_AGAIN)
    await world.publish(GAZETTE, TROOPS_RETOLD, ("Troops near Kursk are North Korean", TROOPS_RETOLD[1]))
    await world.deliver()
    assert [(m.alert.kind, m.thread) for m in world.sink.messages[2:]] == [("root", ""), ("reply", "ts3")]


async def test_replies_that_waited_for_a_root_that_was_deleted_stand_together() -> None:
    world = await with_news()
    await world.deliver()
    world.reply_gap = timedelta(minutes=30)
    for article in (TROOPS_RETOLD, TROOPS_AGAIN):
        await world.publish(GAZETTE, article)
    world.sink.outcomes = [RootGone("slack: thread_not_found")]
    await world.deliver()
    world.wait(hours=1)
    await world.deliver()
    assert states(world) == ["dropped", "sent", "batched"]
    assert "More on" in said(world.sink.messages[-1].message)


# -- a person's word ------------------------------------------------------------------------------


async def test_reply_of_a_dropped_root_stands_by_itself() -> None:
    world = await with_news(NOT_INVITED)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    [root, _] = world.store.deliveries()
    assert world.store.drop_delivery(root.alert.id, "wrong", "nina", world.now)
    world.wait(minutes=15)
    await world.deliver()
    assert (states(world), world.told()) == (["dropped", "sent"], [f"reply: {TROOPS_RETOLD[0]}"])
    assert [(e.before, e.after, e.detail) for e in world.store.events_of(root.alert.id)][-1] == (
        "blocked", "dropped", "nina: wrong",
    )  # fmt: skip


@pytest.mark.parametrize("state", DeliveryState)
async def test_what_was_told_or_may_be_on_the_wire_is_neither_dropped_nor_tried_again(state: DeliveryState) -> None:
    world = await with_news()
    [alert] = world.store.deliveries()
    world.store.settle(alert.alert.id, state, world.now)
    dropped = world.store.drop_delivery(alert.alert.id, "no", "nina", world.now)
    told = {DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.BATCHED, DeliveryState.DROPPED}
    assert dropped is (state not in told)
    assert not world.store.retry_delivery(alert.alert.id, "nina", world.now)


async def test_what_was_dropped_while_it_was_looked_for_stays_dropped() -> None:
    world = await with_news(LOST)
    await world.deliver()
    [unknown] = world.store.deliveries()
    world.store.drop_delivery(unknown.alert.id, "no", "nina", world.now)
    world.store.settle(unknown.alert.id, DeliveryState.QUEUED, world.now)
    assert states(world) == ["dropped"]


async def test_blocked_delivery_that_a_person_tries_again_is_the_probe() -> None:
    world = await with_news(NOT_INVITED)
    await world.deliver()
    [blocked] = world.store.deliveries()
    assert world.store.retry_delivery(blocked.alert.id, "nina", world.now)
    await world.deliver()
    assert (states(world), world.store.blockages()) == (["sent"], [])


# -- Slack itself ---------------------------------------------------------------------------------


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlack() as slack:
        yield slack


async def on_slack(slack: FakeSlack, *topics: Topic) -> World:
    """A world that tells Slack; its clock is Slack's."""
    world = World(topics or (TROOPS_TOPIC, SHIPS_TOPIC), settle=timedelta(seconds=60))
    world.sink = SlackSink(slack.token, slack.url)  # type: ignore[assignment]  # in place of the fake
    slack.clock = lambda: world.now.timestamp()
    world.pace, world.ops = timedelta(seconds=1), "C0OPS"
    await world.know()
    await world.publish(WIRE, TROOPS)
    return world


async def test_rate_of_slack_is_never_passed(slack: FakeSlack) -> None:
    world = World()
    slack.clock, slack.burst = lambda: world.now.timestamp(), 1
    world.sink = SlackSink(slack.token, slack.url)  # type: ignore[assignment]  # in place of the fake
    world.pace = timedelta(seconds=1)
    world.store.add_feed(make.feed(), world.now)
    alerts(world.store, 200, 20)
    assert await world.deliver() == 200
    assert (len(slack.requests), len(slack.messages)) == (200, 200)
    assert world.now - make.NOW < timedelta(minutes=1)


async def test_message_in_slack_is_edited_in_its_place(slack: FakeSlack) -> None:
    world = await on_slack(slack)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS)
    await world.deliver()
    [message] = slack.messages
    [root] = world.store.deliveries()
    assert isinstance(root.alert, Alert)
    assert "2 items" in message["text"]
    assert "edited" in message
    assert message["metadata"]["event_payload"] == {
        "delivery_id": root.alert.id, "kind": "root", "tells": [root.alert.id], "items": [root.alert.item.id],
    }  # fmt: skip


async def test_message_of_several_replies_says_which(slack: FakeSlack) -> None:
    world = await on_slack(slack)
    world.reply_gap = timedelta(minutes=10)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD, ("Troops near Kursk are North Korean", TROOPS_RETOLD[1]))
    await world.deliver()
    _, first, second = (delivery.alert for delivery in world.store.deliveries())
    payload = slack.messages[-1]["metadata"]["event_payload"]
    assert (payload["kind"], payload["tells"]) == ("reply", [first.id, second.id])
    assert len(payload["items"]) == 2


def test_metadata_of_very_many_stays_within_what_slack_takes(slack: FakeSlack) -> None:
    link = "https://outlet.example/"
    batch = tuple(make.alert(id=f"{n:036}", item=make.item(link=f"{link}{n}")) for n in range(5_000))
    sink = SlackSink(slack.token, slack.url)
    for rung in (0, 1):
        sink.send(make.delivery(batch=batch, rung=rung))
    payload, refused = (message["metadata"]["event_payload"] for message in slack.messages)
    assert (len(json.dumps(payload)) < 8_000, len(json.dumps(refused)) < 4_000) == (True, True)
    assert (len(payload["tells"]), len(payload["items"])) == (50, 50)
    [_, posted] = sink.history(make.CHANNEL, make.NOW - timedelta(days=1))
    assert [item[:8] for item in posted.items[1:]] == [alert.item.id[:8] for alert in batch[:549]]


async def test_edit_pings_nobody_and_makes_no_links(slack: FakeSlack) -> None:
    world = await on_slack(slack)
    loud = ("@channel #general North Korean troops seen at https://evil.example", TROOPS[1])
    await world.publish(WIRE, TROOPS, loud)
    for _ in range(2):
        await world.deliver()
        await world.publish(GAZETTE, TROOPS_RETOLD, loud)
    updates = [arguments for method, arguments in slack.requests if method == "chat.update"]
    assert {(update["parse"], update["link_names"]) for update in updates} == {("none", False)}
    assert [message["pings"] for message in slack.messages] == [[]] * len(slack.messages)


async def test_bot_that_is_not_invited_is_told_of_and_what_waits_goes_once_it_is(slack: FakeSlack) -> None:
    world = await on_slack(slack, TROOPS_TOPIC, replace(SHIPS_TOPIC, notify=Notify(channel=OTHER)))
    slack.outside = {"C0NEWS"}
    await world.publish(WIRE, TROOPS, SHIPS)
    for _ in range(3):
        await world.deliver()
        world.wait(seconds=5)
    assert [m["channel"] for m in slack.messages] == [OTHER, "C0OPS"]
    assert "/invite it" in slack.messages[1]["text"]
    slack.outside = set()
    world.wait(minutes=15)
    await world.deliver()
    assert (slack.messages[2]["channel"], world.store.blockages()) == ("C0NEWS", [])


async def test_reload_takes_the_token_that_its_file_has_by_now_and_what_was_blocked_goes_out(
    slack: FakeSlack, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(slack.token, encoding="utf-8")
    file.chmod(0o600)
    (tmp_path / "rules").mkdir()
    old = slack.token
    options = Slack(token_file=file)
    async with open_home(tmp_path / "state", slack=SlackSink(old, slack.url), slack_options=options) as home:
        slack.clock = lambda: home.clock().timestamp()
        slack.renew("xoxb-fake-2")
        await home.ask(lambda store: store.queue(Notice("n1", "C0NEWS", "a test", home.clock()), home.clock()))
        await home.monitor.deliver()
        await home.monitor.reload()
        await home.monitor.deliver()
        assert (slack.messages, len(await home.ask(lambda store: store.blockages()))) == ([], 1)

        file.write_text("no token\n", encoding="utf-8")
        await home.monitor.reload()
        file.write_text("xoxb-fake-2\n", encoding="utf-8")
        await home.monitor.reload()
        await home.monitor.deliver()
        assert (slack.delivery_ids(), await home.ask(lambda store: store.blockages())) == (["n1"], [])


@pytest.mark.parametrize("removed", [True, False])
async def test_reply_to_a_root_that_was_deleted_in_slack_stands_in_the_channel(slack: FakeSlack, removed: bool) -> None:
    world = await on_slack(slack)
    await world.deliver()
    if removed:
        slack.remove(slack.messages[0]["ts"])
    else:
        slack.fault("thread_not_found")
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.deliver()
    assert "thread_ts" not in slack.messages[-1]
    assert states(world) == ["dropped", "sent"]


async def test_reply_whose_answer_was_lost_is_found_where_slack_put_it_without_its_root(slack: FakeSlack) -> None:
    world = await on_slack(slack)
    await world.deliver()
    slack.remove(slack.messages[0]["ts"])
    slack.fault("accept_then_close")
    await world.publish(GAZETTE, TROOPS_RETOLD)
    for _ in range(4):
        await world.deliver()
        world.wait(minutes=1)
    assert (len(slack.messages), states(world)) == (1, ["dropped", "sent"])


async def test_doubt_without_the_scope_to_read_is_told_twice_and_says_so(slack: FakeSlack) -> None:
    world = await on_slack(slack)
    slack.scopes -= {"channels:history"}
    slack.fault("accept_then_close")
    for _ in range(18):
        await world.deliver()
        world.wait(minutes=1)
    assert ["may repeat" in message["text"] for message in slack.messages] == [False, True]


def test_check_names_what_each_channel_lacks(slack: FakeSlack) -> None:
    slack.outside, slack.archived, slack.scopes = {"C0NEWS", "C0SECRET"}, {"C0OLD"}, slack.scopes - {"chat:write"}
    slack.private = {"C0SECRET"}
    problems = SlackSink(slack.token, slack.url).check(["C0NEWS", "C0OLD", "C0SECRET", "C0WELL"])
    assert [problem.partition(";")[0] for problem in problems] == [
        "slack: the app lacks the scope chat:write: nothing can be posted",
        "C0NEWS: slack: the bot is not in #c0news",
        "C0OLD: slack: #c0old is archived",
        "C0SECRET: slack: channel_not_found: no such channel, or the bot is not in it",
    ]
    assert problems[1].endswith("type /invite @monitor there")


def test_check_says_once_that_nothing_can_be_read_back(slack: FakeSlack) -> None:
    slack.scopes -= {"channels:history", "groups:history", "channels:read"}
    [problem] = SlackSink(slack.token, slack.url).check(["C0NEWS", "C0OTHER"])
    assert problem.startswith(
        "slack: the app lacks the scope channels:history or groups:history: no channel can be read back"
    )


def test_check_names_the_scope_that_one_channel_needs(slack: FakeSlack) -> None:
    slack.scopes, slack.private = slack.scopes - {"groups:history"}, {"C0SECRET"}
    [problem] = SlackSink(slack.token, slack.url).check(["C0NEWS", "C0SECRET"])
    assert (problem.partition(":")[0], problem.rpartition(" ")[2]) == ("C0SECRET", "groups:history")


# -- what we cannot put in words ------------------------------------------------------------------


def stumble(monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    """Let our rendering fail on a title: the faults that we know of are mended."""

    def render(alert: Alert, batch: Sequence[Alert] = (), **more: Any) -> Message:
        if title in [one.item.title for one in (alert, *batch)]:
            raise ZeroDivisionError(title)
        return rendered(alert, batch, **more)

    rendered = pipeline.render
    monkeypatch.setattr(pipeline, "render", render)


async def test_alert_that_cannot_be_rendered_is_dead_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    stumble(monkeypatch, TROOPS[0])
    world = await with_two_channels()
    await world.publish(WIRE, TROOPS, SHIPS)
    await world.deliver()
    assert world.told() == [f"root: {SHIPS[0]}"]
    assert sorted(states(world)) == ["dead", "sent"]


async def test_reply_that_cannot_be_rendered_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stumble(monkeypatch, TROOPS_AGAIN[0])
    world = await with_two_channels()
    world.reply_gap = timedelta(minutes=10)
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    await world.publish(GAZETTE, TROOPS_RETOLD)
    await world.publish(WIRE, TROOPS_AGAIN)
    for _ in range(3):
        await world.deliver()
        world.wait(minutes=10)
    assert world.told() == [f"root: {TROOPS[0]}", f"reply: {TROOPS_RETOLD[0]}"]
    assert sorted(states(world)) == ["dead", "sent", "sent"]


@pytest.mark.parametrize("failure", [NotAccepted("slack: cannot be reached"), LOST], ids=["refused", "in doubt"])
async def test_alert_that_is_tried_in_vain_waits_though_it_is_not_free(failure: SendError) -> None:
    """Slack is down: the next try, or the next look, is always a while away."""
    world = await with_news(*[failure] * 50, settle=60)
    world.sink.unreadable = MaybeAccepted("slack: cannot be reached")
    await world.deliver()
    began = world.now
    for _ in range(20):
        world.wait(minutes=1)
        await world.deliver()
    assert waiting_since(world.store, timedelta(0), world.now) == began
    world.sink.outcomes, world.sink.unreadable = [], None
    for _ in range(3):
        world.wait(minutes=5)
        await world.deliver()
    assert states(world) == ["sent"]
    assert waiting_since(world.store, timedelta(0), world.now) is None


async def test_alert_of_a_blocked_channel_waits_for_a_person() -> None:
    world = await with_news(NOT_INVITED)
    await world.deliver()
    world.wait(minutes=6)
    assert waiting_since(world.store, timedelta(0), world.now) is None
