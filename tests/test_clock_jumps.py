"""The clock is put back, or forward: by hours, by the hour that October has twice, by a second. Nothing stalls, floods, or is
told twice."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import make
import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from fakes import FakeFetch
from home import Clock, Home, open_home
from hypothesis import given
from hypothesis import strategies as st
from world import GAZETTE, SHIPS, TROOPS, TROOPS_AGAIN, TROOPS_RETOLD, WEATHER, WIRE, World

from monitor import daemon
from monitor.errors import MaybeAccepted, NotAccepted
from monitor.model import DeliveryState
from monitor.store import SET_BACK, Store

HOUR = timedelta(hours=1)
JUMPS = (-3 * HOUR, 3 * HOUR)


async def minutes_pass(home: Home, count: int) -> None:
    """What the daemon does, each minute."""
    for _ in range(count):
        home.clock.wait(minutes=1)
        await home.monitor.review()
        await home.monitor.poll_due()
        await home.monitor.deliver()


def publish(fetch: FakeFetch, clock: Clock, *articles: tuple[str, str]) -> None:
    for feed in (WIRE, GAZETTE):
        fetch.script(feed.url, make.rss(WEATHER, *articles, published=clock()))


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("restart", [False, True])
async def test_news_is_told_once_and_soon_after_a_jump(tmp_path: Path, jump: timedelta, restart: bool) -> None:
    fetch, clock = FakeFetch(), Clock()
    publish(fetch, clock)
    async with open_home(tmp_path, WIRE, GAZETTE, fetch=fetch, clock=clock) as home:
        await minutes_pass(home, 60)
        publish(fetch, clock, TROOPS)
        await minutes_pass(home, 30)
        told = [m.alert.item.title for m in home.sink.messages]
        if not restart:
            clock.now += jump
            publish(fetch, clock, SHIPS, TROOPS)
            asked = len(fetch.requests)
            await minutes_pass(home, 20)
    if restart:
        clock.now += jump
        publish(fetch, clock, SHIPS, TROOPS)
        asked = len(fetch.requests)
        async with open_home(tmp_path, fetch=fetch, clock=clock) as home:
            await minutes_pass(home, 20)
            told += [m.alert.item.title for m in home.sink.messages]
    else:
        told = [m.alert.item.title for m in home.sink.messages]
    assert sorted(told) == sorted([TROOPS[0], SHIPS[0]])
    # two feeds, every five to ten minutes
    assert 2 <= len(fetch.requests) - asked <= 12


@pytest.mark.parametrize("refusal", [NotAccepted("429", retry_after=60.0), MaybeAccepted("timeout")])
async def test_what_waits_to_be_sent_is_not_held_for_the_hours_that_came_back(refusal: Exception) -> None:
    world = World(settle=timedelta(seconds=60))
    await world.know()
    await world.publish(WIRE, WEATHER, TROOPS)
    world.sink.outcomes = [refusal]  # type: ignore[list-item]  # of both kinds
    await world.deliver()
    assert world.store.outbox_counts() != {"sent": 1}

    world.wait(hours=-3)
    world.store.turn_back(world.now)
    for _ in range(4):
        world.wait(minutes=2)
        await world.deliver()
    assert world.told() == [f"root: {TROOPS[0]}"]
    assert world.store.outbox_counts() == {"sent": 1}


async def test_reply_waits_for_no_try_that_is_to_come() -> None:
    world = World()
    world.reply_gap = timedelta(minutes=10)
    await world.know()
    await world.publish(WIRE, WEATHER, TROOPS)
    await world.deliver()
    await world.publish(GAZETTE, WEATHER, TROOPS_RETOLD)
    await world.deliver()
    before = len(world.told())
    world.wait(hours=-3)
    world.store.turn_back(world.now)
    await world.publish(GAZETTE, WEATHER, TROOPS_RETOLD, TROOPS_AGAIN)
    await world.deliver()
    assert len(world.told()) == before + 1


async def test_blocked_channel_is_probed_when_it_was_to_be() -> None:
    world = World()
    await world.know()
    world.store.block("C0NEWS", "not_in_channel", None, world.now)
    [before] = world.store.blockages()
    world.wait(hours=-3)
    world.store.turn_back(world.now)
    [after] = world.store.blockages()
    assert before.next_probe - after.next_probe == timedelta(hours=3)


@given(st.timedeltas(-2 * SET_BACK, timedelta(hours=12)), st.timedeltas(timedelta(0), timedelta(hours=6)))
def test_no_feed_rests_longer_than_it_was_to(back: timedelta, pause: timedelta) -> None:
    """Nor is one polled sooner, but for the clock's own jump."""
    feed, now = make.feed(), make.NOW
    with closing(Store.in_memory()) as store:
        store.add_feed(feed, now)
        store.commit_poll(make.polled(feed=feed, at=now, next_poll=now + pause), [], "model")
        turned = store.turn_back(now - back)
        [state] = store.feeds()
        assert turned == (back if back >= SET_BACK else timedelta(0))
        assert state.next_poll
        assert abs(state.next_poll - (now - turned) - pause) < timedelta(milliseconds=2)
        # once
        assert store.turn_back(now - back) == timedelta(0)


async def test_held_digest_material_and_quiet_hours_keep_their_time_of_day(tmp_path: Path) -> None:
    """Summer time ends: 02:30 comes twice in Berlin, and once in UTC, which is all that is written down."""
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2024, 10, 27, 2, 30, tzinfo=zone)
    fetch, clock = FakeFetch(), Clock(first)
    publish(fetch, clock)
    async with open_home(tmp_path, WIRE, fetch=fetch, clock=clock) as home:
        await minutes_pass(home, 10)
        publish(fetch, clock, TROOPS)
        clock.now = clock.now.astimezone(ZoneInfo("UTC")) + HOUR
        clock.now = clock.now.astimezone(zone)
        assert clock.now.fold == 1
        await minutes_pass(home, 15)
        assert [m.alert.item.title for m in home.sink.messages] == [TROOPS[0]]
        assert await home.ask(lambda store: store.turn_back(clock())) == timedelta(0)
        assert await home.ask(Store.outbox_counts) == {DeliveryState.SENT: 1}


# -- the scheduler ---------------------------------------------------------------------------------


async def test_clock_put_back_stops_no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """apscheduler waits for a time of day, which is then hours away."""
    monkeypatch.setattr(daemon, "CLOCK", 0.05)
    ahead, ticks = [0.0], 0

    async def tick() -> None:
        nonlocal ticks
        ticks += 1

    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True})
    job = scheduler.add_job(tick, "interval", seconds=0.03)
    scheduler.start()
    following = asyncio.create_task(daemon.follow_clock(scheduler, lambda: time.time() + ahead[0]))
    try:
        await asyncio.sleep(0.2)
        assert ticks >= 2
        job.modify(next_run_time=datetime.now(UTC) + 3 * HOUR)
        await asyncio.sleep(0.2)
        stalled = ticks
        ahead[0] -= 3 * 3600
        await asyncio.sleep(0.4)
        assert ticks > stalled + 2
    finally:
        following.cancel()
        scheduler.shutdown(wait=False)


async def test_clock_that_was_wrong_for_a_moment_stops_no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "CLOCK", 0.05)
    ticked = asyncio.Event()

    async def tick() -> None:
        ticked.set()

    scheduler = AsyncIOScheduler(timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True})
    scheduler.add_job(tick, "interval", seconds=0.03)
    scheduler.start()
    scheduler._start_timer(3 * 3600)  # noqa: SLF001 - what a look at a clock that was three hours back has left
    following = asyncio.create_task(daemon.follow_clock(scheduler, time.time))
    try:
        await asyncio.wait_for(ticked.wait(), 5)
    finally:
        following.cancel()
        scheduler.shutdown(wait=False)
