"""The dead-man's switch: called while all is well, and never in the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import make
import pytest
from fakes import Answer, FakeFetch, FeedServer
from home import Home, open_home

from monitor.heartbeat import Heartbeat
from monitor.model import Notice
from monitor.store import Store


@pytest.fixture
def watch() -> FeedServer:
    return FeedServer()


async def beat(url: str) -> str:
    async with Heartbeat(url, timeout=5.0) as heartbeat:
        return await heartbeat.beat()


def test_call_that_is_answered_is_well(watch: FeedServer) -> None:
    with watch:
        assert asyncio.run(beat(watch.serve("/ping/secret", Answer(b"OK")))) == ""
        assert [request.path for request in watch.requests] == ["/ping/secret"]


@pytest.mark.parametrize(("answer", "why"), [(Answer(status=404), "http 404"), (Answer(reset=True), ""), (None, "")])
def test_call_that_fails_says_why_and_not_where(watch: FeedServer, answer: Answer | None, why: str) -> None:
    with watch:
        url = watch.serve("/ping/secret", answer) if answer else "http://127.0.0.1:1/ping/secret"
        said = asyncio.run(beat(url))

    assert said.startswith(why)
    assert said
    assert "secret" not in said


class FakeHeartbeat:
    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.beats = 0

    async def beat(self) -> str:
        self.beats += 1
        return self.answers.pop(0) if self.answers else ""


async def beats(folder: Path, *, polled: bool = True, late: bool = False, answers: tuple[str, ...] = ()) -> int:
    heartbeat, fetch = FakeHeartbeat(*answers), FakeFetch()
    feed = make.feed()
    fetch.script(feed.url, make.rss())
    async with open_home(folder, feed, fetch=fetch, heartbeat=heartbeat) as home:
        if polled:
            await home.poll()
        if late:
            await home.ask(lambda store: _queue(store, home))
        home.clock.wait(minutes=16)
        if polled:
            await home.poll()
        for _ in range(max(1, len(answers))):
            await home.monitor.beat()
    return heartbeat.beats


def _queue(store: Store, home: Home) -> None:
    store.queue(Notice("n1", make.CHANNEL, "a test", home.clock()), home.clock())


def test_switch_is_told_while_feeds_are_polled_and_nothing_waits(tmp_path: Path) -> None:
    assert asyncio.run(beats(tmp_path)) == 1


def test_switch_is_not_told_while_no_feed_is_polled(tmp_path: Path) -> None:
    assert asyncio.run(beats(tmp_path, polled=False)) == 0


def test_switch_is_not_told_while_something_waits_that_could_be_sent(tmp_path: Path) -> None:
    assert asyncio.run(beats(tmp_path, late=True)) == 0


def test_failure_of_the_call_harms_nothing(tmp_path: Path) -> None:
    assert asyncio.run(beats(tmp_path, answers=("http 500", "http 500", ""))) == 3


def test_pause_between_calls_is_a_setting() -> None:
    from monitor.config import Config

    assert Config().heartbeat.every == timedelta(minutes=5)
