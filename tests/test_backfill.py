"""Judging the past again, when somebody asks for it: a topic may be new, or changed."""

import dataclasses
from datetime import timedelta

from world import GAZETTE, NEVER_BY_SCORE, SHIPS, SHIPS_TOPIC, TROOPS, TROOPS_TOPIC, WIRE, World, learn

from monitor.model import Scope, Topic, Verdict
from monitor.pipeline import backfill

NO_TOPIC_YET = dataclasses.replace(
    SHIPS_TOPIC, id="other", terms=dataclasses.replace(SHIPS_TOPIC.terms, always=("chess",))
)
assert NO_TOPIC_YET.noise == NEVER_BY_SCORE


async def before_the_topic() -> World:
    """A world in which troops were seen when no topic asked for them."""
    world = World(topics=(NO_TOPIC_YET,))
    await world.know()
    await world.publish(WIRE, TROOPS)
    return world


async def told_after(world: World, *topics: Topic, span: timedelta = timedelta(days=2)) -> int:
    world.judge.learn(learn(topics))
    return await backfill(span, world.judge, world.collector)


async def test_a_changed_topic_alerts_on_nothing_of_the_past_by_itself() -> None:
    world = await before_the_topic()
    world.judge.learn(learn((TROOPS_TOPIC,)))
    await world.publish(WIRE, TROOPS)
    await world.deliver()
    assert world.sink.messages == []


async def test_a_backfill_tells_what_the_new_topic_takes_once() -> None:
    world = await before_the_topic()
    assert await told_after(world, TROOPS_TOPIC) == 1
    await world.deliver()
    assert [TROOPS[0] in message.message.text for message in world.sink.messages] == [True]
    assert await told_after(world, TROOPS_TOPIC) == 0


async def test_what_comes_after_a_backfill_is_a_reply_in_its_thread() -> None:
    world = await before_the_topic()
    await told_after(world, TROOPS_TOPIC)
    await world.publish(GAZETTE, ("North Korean troops seen near Kursk, Kyiv says", TROOPS[1] + " Kyiv agrees."))
    await world.deliver()
    assert [bool(message.alert.parent) for message in world.sink.messages] == [False, True]


async def test_two_reports_of_one_story_in_a_backfill_are_one_alert_and_what_follows() -> None:
    world = await before_the_topic()
    await world.publish(GAZETTE, TROOPS)
    await told_after(world, TROOPS_TOPIC)
    await world.deliver()
    assert len(world.sink.messages) == 1


async def test_a_backfill_goes_no_further_back_than_asked() -> None:
    world = await before_the_topic()
    world.wait(hours=5)
    assert await told_after(world, TROOPS_TOPIC, span=timedelta(hours=1)) == 0


async def test_a_topic_s_own_age_limit_holds_in_a_backfill() -> None:
    world = await before_the_topic()
    world.wait(hours=5)
    short = dataclasses.replace(TROOPS_TOPIC, scope=Scope(max_age=timedelta(hours=1)))
    assert await told_after(world, short) == 0


async def test_what_was_told_or_held_as_a_copy_is_not_judged_again() -> None:
    world = World(topics=(TROOPS_TOPIC,))
    await world.know()
    await world.publish(WIRE, TROOPS, SHIPS)
    await world.publish(GAZETTE, TROOPS)
    assert await told_after(world, TROOPS_TOPIC, SHIPS_TOPIC) == 1
    assert len(world.store.with_verdict(Verdict.COPY)) == 1
