"""A real `Monitor` on a folder of state, with the store in its own thread, between a net of one's choice and a channel in
memory. What `app.open_monitor` opens, without the models; for tests of the daemon's parts at work together."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import make
from fakes import FakeEmbedder, FakeSink, background, no_rules, ordinary, parse_here, usual_pace
from world import TOPICS, at_once, learn

from monitor.app import Monitor
from monitor.config import Config, Ops, Polling, Slack
from monitor.decide import Policy
from monitor.fetch import Fetcher, FetchPolicy
from monitor.learning import Learning
from monitor.model import Feed, FeedState, PollOutcome
from monitor.pipeline import Collector, Courier, Fetch, Judge
from monitor.push import Pushes, open_pushes
from monitor.rules import load_rules
from monitor.schedule import Pace
from monitor.send import SlackSink
from monitor.store import Store
from monitor.watch import Watch, snapshot

P = ParamSpec("P")
T = TypeVar("T")

OPS = "C0OPS"


class Clock:
    """The time, which only a test moves."""

    def __init__(self, now: datetime = make.NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class Home:
    monitor: Monitor
    clock: Clock
    folder: Path
    sink: FakeSink
    collector: Collector
    #: None where hubs cannot reach us
    pushes: Pushes | None = None

    async def ask(self, question: Callable[[Store], T]) -> T:
        return await self.monitor.ask(question)

    async def feed(self, url: str) -> FeedState:
        return next(state for state in await self.ask(Store.feeds) if state.feed.url == url)

    async def poll(self) -> list[PollOutcome]:
        """Poll what is due, once."""
        return await self.monitor.poll_due()

    async def review(self) -> list[str]:
        """Look at the feeds' health, deliver, and give what ops were told by this, a line each."""
        before = len(self.sink.messages)
        await self.monitor.review()
        await self.monitor.deliver()
        told = [m.message.text for m in self.sink.messages[before:] if m.message and m.alert.channel == OPS]
        return [line for text in told for line in text.removeprefix("The monitor itself: ").split("; ")]


def in_thread(executor: ThreadPoolExecutor) -> Callable[..., Awaitable[object]]:
    def call(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(executor, functools.partial(function, *args, **kwargs))

    return call


@asynccontextmanager
async def open_home(
    folder: Path,
    *feeds: Feed,
    clock: Clock | None = None,
    fetch: Fetch | None = None,
    polling: Polling = Polling(),  # noqa: B008 - frozen
    callback: str = "",
    pace_for: Callable[[Feed], Pace] = usual_pace,
    kind: type[Store] = Store,
    heartbeat: Any = None,
    slack: SlackSink | None = None,
    slack_options: Slack = Slack(),  # noqa: B008 - frozen
    rules: Path | None = None,
) -> AsyncIterator[Home]:
    """Open a monitor whose list has these feeds, beside those that it had.

    slack: where alerts go, in place of the channel in memory. fetch: None means the real one, on loopback.
    callback: where hubs reach us, an address with a port of this machine. rules: a folder whose topics are in force, and
    watched; None: those of `world`.
    """
    clock, sink = clock or Clock(), FakeSink()
    folders = (rules or folder.with_name("rules"),)
    config = Config(state=folder, rules=folders, polling=polling, ops=Ops(channel=OPS), slack=slack_options)
    async with AsyncExitStack() as stack:
        in_store = in_thread(stack.enter_context(ThreadPoolExecutor(1)))
        store = kind.open(folder)
        stack.push_async_callback(in_store, store.close)
        for feed in feeds:
            await in_store(store.add_feed, feed, clock())
        fetcher = await stack.enter_async_context(Fetcher(LOOPBACK))
        pushes = None
        if callback:
            listen = callback.split("/")[2]
            pushes = await stack.enter_async_context(
                open_pushes(callback, listen, folder, fetcher, store, in_store, clock)
            )
        topics = tuple(load_rules(rules)) if rules else TOPICS
        judge = Judge(
            learn(topics), background(), timedelta(hours=72), Policy("C0NEWS", timedelta(days=3), timedelta(0))
        )
        judge.rebuild(await in_store(store.members, judge.stories.span, FakeEmbedder().id))
        collector = Collector(
            fetch or fetcher, parse_here, FakeEmbedder(), store, in_store, at_once, clock, lambda: 0.5, pace_for, no_rules,
            note_news=pushes.note_news if pushes else lambda _feed, _now: None,
        )  # fmt: skip
        courier = Courier(slack or sink, store, in_store, at_once, clock, timedelta(0))
        monitor = Monitor(
            config,
            store,
            Learning(FakeEmbedder(), ordinary, background()),
            judge,
            collector,
            courier,
            pushes,
            heartbeat=heartbeat,
            watch=Watch(snapshot([rules])) if rules else None,
        )
        yield Home(monitor, clock, folder, sink, collector, pushes)


LOOPBACK = FetchPolicy(
    user_agent="news-monitor tests", connect_timeout=2.0, read_timeout=30.0, total_timeout=30.0, host_gap=0.0,
    allow_private=frozenset({"127.0.0.1"}),
)  # fmt: skip


def at_folder(folder: Path, change: Callable[[Store], T]) -> T:
    """Do something to a folder of state beside the monitor that works on it, as a command does."""
    with closing(Store.open(folder)) as store:
        return change(store)
