"""A monitor between fake edges: real steps and real SQLite, for tests of what happens on feeds and in channels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

import make
from fakes import FakeEmbedder, FakeFetch, FakeSink, background, no_rules, parse_here, usual_pace

from monitor.decide import Policy
from monitor.match import Matcher, topic_texts
from monitor.model import Feed, PollOutcome, Terms, Topic, Verdict
from monitor.outage import Reachability
from monitor.pipeline import Asking, Collector, Courier, Judge, collect_all, deliver
from monitor.store import Store

P = ParamSpec("P")
T = TypeVar("T")

WIRE = make.feed(url="https://wire.example/rss", title="Wire")
GAZETTE = make.feed(url="https://gazette.example/rss", title="Gazette")

#: With such a bar only a term takes an item: what the models would make of these texts is not the question here.
NEVER_BY_SCORE = 1e-9
TROOPS_TOPIC = make.topic(id="troops", title="Troops", terms=Terms(always=("north korean",)), noise=NEVER_BY_SCORE)
SHIPS_TOPIC = make.topic(id="ships", title="Ships", terms=Terms(always=("warship*",)), noise=NEVER_BY_SCORE)
TOPICS = (TROOPS_TOPIC, SHIPS_TOPIC)

Article = tuple[str, str]
TROOPS = (
    "North Korean troops seen near Kursk",
    "Seoul's spy agency told lawmakers that 3,000 soldiers were moved west.",
)
TROOPS_RETOLD = (
    "Seoul: North Korean troops near Kursk",
    "The spy agency told lawmakers that soldiers were moved west by train.",
)
TROOPS_AGAIN = (
    "North Korean soldiers near Kursk: 3,000, Seoul says",
    "The spy agency told lawmakers they were moved west in October.",
)
SHIPS = ("Warships sail for drills in the Baltic", "Two frigates and a corvette left harbour this morning.")
WEATHER = ("Rain expected over the long weekend", "Umbrellas are advised on Saturday.")
NOTHING = ("Chess club elects a new treasurer", "Members voted by show of hands.")


async def at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Stands for every thread of `app`."""
    return function(*args, **kwargs)


@functools.cache
def learn(topics: tuple[Topic, ...]) -> Matcher:
    texts = topic_texts(topics)
    return Matcher(topics, dict(zip(texts, FakeEmbedder().embed(texts), strict=True)), background())


class World:
    """A monitor between fake edges. Two feeds are on its list; `know` has them polled once, so that they are not new."""

    def __init__(
        self, topics: tuple[Topic, ...] = TOPICS, settle: timedelta = timedelta(0), sink: FakeSink | None = None
    ):
        self.now = make.NOW
        self.policy = Policy("C0NEWS", max_age=timedelta(days=3), backfill=timedelta(0))
        self.store = Store.in_memory()
        self.fetch = FakeFetch()
        self.embedder = FakeEmbedder()
        self.sink = sink or FakeSink()
        self.settle = settle
        self.reply_gap = timedelta(0)
        self.edit_gap = timedelta(0)
        self.pace = timedelta(0)
        self.repeats, self.ops = True, ""
        self.reachability = Reachability()
        self.topics = topics
        #: who is asked for second opinions
        self.asking: Asking | None = None
        self.judge = self._new_judge()
        for feed in (WIRE, GAZETTE):
            self.store.add_feed(feed, self.now)

    def _new_judge(self) -> Judge:
        return Judge(learn(self.topics), background(), window=timedelta(hours=72), policy=self.policy)

    def clock(self) -> datetime:
        return self.now

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)

    async def sleep(self, seconds: float) -> None:
        self.wait(seconds=seconds)

    @property
    def collector(self) -> Collector:
        return Collector(
            self.fetch, parse_here, self.embedder, self.store, at_once, at_once, self.clock, lambda: 0.5, usual_pace, no_rules,
            self.reachability, asking=self.asking,
        )  # fmt: skip

    @property
    def courier(self) -> Courier:
        return Courier(
            self.sink, self.store, at_once, at_once, self.clock, self.settle, self.reply_gap,
            edit_gap=self.edit_gap, pace=self.pace, repeats=self.repeats, ops=self.ops, sleep=self.sleep,
        )  # fmt: skip

    async def know(self) -> None:
        for feed in (WIRE, GAZETTE):
            await self.publish(feed, WEATHER)

    async def publish(self, feed: Feed, *articles: Article, age: timedelta = timedelta(minutes=5)) -> list[PollOutcome]:
        """Let a feed publish articles, and poll it ten minutes after whatever was before."""
        self.wait(minutes=10)
        self.fetch.script(feed.url, make.rss(*articles, published=self.now - age))
        return await self.poll(feed)

    async def poll(self, *feeds: Feed) -> list[PollOutcome]:
        states = [state for state in self.store.feeds() if state.feed in feeds]
        return await collect_all(states, self.judge, self.collector, concurrency=4)

    async def poll_due(self) -> list[PollOutcome]:
        return await collect_all(self.store.due_feeds(self.now), self.judge, self.collector, concurrency=4)

    async def deliver(self) -> int:
        return await deliver(self.courier)

    def restart(self) -> None:
        """What a new process does with the state that the last one left."""
        self.judge = self._new_judge()
        self.judge.rebuild(self.store.members(self.judge.stories.span, self.embedder.id))
        self.store.doubt_all_sending(self.now)
        self.store.unblock_all(self.now)

    def told(self) -> list[str]:
        """What stands in the channel: kind and headline."""
        return [f"{m.alert.kind}: {m.alert.item.title}" for m in self.sink.messages]

    def verdicts(self) -> dict[str, str]:
        """The verdict on every article but the weather."""
        return {
            known.item.title: verdict.value
            for verdict in Verdict
            for known in self.store.with_verdict(verdict)
            if known.item.title != WEATHER[0]
        }
