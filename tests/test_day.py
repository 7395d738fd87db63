"""A day of simulated time on feeds that misbehave in every way we know of, all at once: the whole collecting half against
real SQLite, with a simulated net and clock. Seeded, so that a day that went wrong comes again."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime

import make
import pytest
from fakes import FakeEmbedder, background, no_rules, parse_here, usual_pace
from world import at_once, learn

from monitor.decide import Policy
from monitor.errors import FetchError
from monitor.model import Document, Feed, NotModified, PollOutcome, Validators
from monitor.outage import Reachability
from monitor.pipeline import Collector, Judge, collect_all
from monitor.schedule import spread_out
from monitor.store import Store

DAWN = make.NOW
DAY = timedelta(days=1)
FEEDS = 20
TICK = timedelta(seconds=60)
CONCURRENCY = 6
PACE = usual_pace(make.feed())
#: Our own line is down.
OUTAGE = (DAWN + timedelta(hours=12), DAWN + timedelta(hours=12, minutes=50))
RESTARTS = [DAWN + timedelta(hours=6, minutes=7), DAWN + timedelta(hours=18, minutes=31)]
RETRY_AFTER = 1_800.0  # seconds

WORDS = (
    "harbour budget orchard ministry glacier railway cellist poll bakery drought senator ferry verdict museum strike "
    "satellite census vineyard tunnel referee archive monsoon refinery parish lantern tariff quarry chorus"
).split()


@dataclass(frozen=True)
class Post:
    number: int
    at: datetime
    title: str


@dataclass
class Outlet:
    """A publisher, what it has written by any time, and what its server does to that."""

    number: int
    posts: list[Post]
    #: what goes wrong here, and when
    trouble: str
    since: datetime
    until: datetime
    #: items in its document
    window: int = 12
    #: numbers of the posts that some answer has shown whole
    shown: set[int] = field(default_factory=set)

    def wrong(self, what: str, now: datetime) -> bool:
        return self.trouble == what and self.since <= now < self.until

    def standing(self, now: datetime) -> list[Post]:
        posts = [post for post in self.posts if post.at <= now][-self.window :][::-1]
        if self.wrong("shrinks", now):
            posts = posts[:2]
        if self.wrong("order", now):
            posts = random.Random(str(now)).sample(posts, len(posts))  # noqa: S311 - a seeded simulation
        return posts

    def document(self, now: datetime) -> str:
        items = "".join(self._item(post, now) for post in self.standing(now))
        return f'<rss version="2.0"><channel><title>Outlet {self.number}</title>{items}</channel></rss>'

    def _item(self, post: Post, now: datetime) -> str:
        guid, link = f"{self.number}-{post.number}", f"https://h{self.number % 9}.example/{self.number}/{post.number}"
        title = post.title
        if self.wrong("guids", now):
            guid = hashlib.sha256(guid.encode()).hexdigest()
        if self.wrong("tracking", now):
            link += f"?utm_source={now:%H%M}"
            guid = link
        if self.wrong("clock", now):
            title += f" ({now:%H:%M})"
        date = "" if self.trouble == "undated" else f"<pubDate>{format_datetime(post.at)}</pubDate>"
        return f'<item><title>{title}</title><guid isPermaLink="false">{guid}</guid><link>{link}</link>{date}</item>'


TROUBLES = (
    "nothing", "nothing", "nothing", "http 404", "http 503", "timeout", "html", "empty", "cut", "guids", "tracking", "clock",
    "shrinks", "order", "lies", "moves", "undated", "our fault", "http 410",
)  # fmt: skip


class Net:
    """The simulated net: `fetch` as the pipeline knows it."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 - a seeded simulation
        self.now = DAWN
        self.outlets = {f"https://h{n % 9}.example/{n}/rss": self._outlet(n, draw) for n in range(FEEDS)}
        #: feed -> times of its polls
        self.polls: dict[str, list[datetime]] = defaultdict(list)
        self.told_to_wait: dict[str, datetime] = {}

    def _outlet(self, number: int, draw: random.Random) -> Outlet:
        gap = draw.choice([45, 110, 240])
        start = DAWN - timedelta(minutes=gap * 8)
        posts = [
            Post(
                n,
                start + timedelta(minutes=gap * n, seconds=draw.randrange(60)),
                " ".join(draw.sample(WORDS, 6)) + f" {n}",
            )
            for n in range(8 + 26 * 60 // gap)
        ]
        trouble = TROUBLES[number % len(TROUBLES)]
        since = DAWN + timedelta(minutes=draw.randrange(120, 9 * 60))
        return Outlet(number, posts, trouble, since, since + timedelta(minutes=draw.randrange(60, 300)))

    async def fetch(self, feed: Feed, validators: Validators, *, address: str = "") -> Document | NotModified:
        outlet, now = self.outlets[feed.url], self.now
        if OUTAGE[0] <= now < OUTAGE[1]:
            raise FetchError("dns", weight=0.25)
        self.polls[feed.url].append(now)
        if until := self.told_to_wait.pop(feed.url, None):
            assert now >= until, "asked again before Retry-After"
        for cause in ("http 404", "http 410", "timeout"):
            if outlet.wrong(cause, now):
                raise FetchError(cause, weight=0.5)
        if outlet.wrong("http 503", now):
            self.told_to_wait[feed.url] = now + timedelta(seconds=RETRY_AFTER)
            raise FetchError("http 503", weight=0.5, retry_after=RETRY_AFTER)
        if outlet.wrong("our fault", now):
            raise RuntimeError("a bug of ours")
        if address and not outlet.wrong("moves", now):
            raise FetchError("http 404", weight=0.5)  # the new address was a mistake of the publisher's
        return self._answer(feed, outlet, validators, address)

    def _answer(self, feed: Feed, outlet: Outlet, validators: Validators, address: str) -> Document | NotModified:
        now = self.now
        body = outlet.document(now).encode()
        if outlet.wrong("html", now):
            body = b"<!doctype html><html><body>We will be back</body></html>"
        elif outlet.wrong("empty", now):
            body = b""
        elif outlet.wrong("cut", now):
            body = body[: len(body) * 2 // 3]
        else:
            outlet.shown |= {post.number for post in outlet.standing(now)}
        etag = '"always"' if outlet.wrong("lies", now) else f'"{hashlib.sha256(body).hexdigest()[:9]}"'
        moved_to = "https://new.example/rss" if outlet.wrong("moves", now) else address
        received = Validators(etag=etag, body_hash=hashlib.sha256(body).hexdigest())
        if validators.etag == etag:
            return NotModified(feed, PollOutcome.NOT_MODIFIED, validators, {}, moved_to)
        if validators.body_hash == received.body_hash:
            return NotModified(feed, PollOutcome.SAME_BODY, received, {}, moved_to)
        return Document(feed, feed.url, {}, body, received, moved_to)


class Day:
    """The monitor's collecting half, ticking through a day."""

    def __init__(self, seed: int) -> None:
        self.net = Net(seed)
        self.store = Store.in_memory()
        self.draw = random.Random(seed)  # noqa: S311 - a seeded simulation
        for url in self.net.outlets:
            self.store.add_feed(make.feed(url=url, title=url), DAWN)
        self.start()

    def start(self) -> None:
        policy = Policy("C0NEWS", max_age=timedelta(days=3), backfill=timedelta(0))
        self.judge = Judge(learn(()), background(), timedelta(hours=72), policy)
        self.judge.rebuild(self.store.members(self.judge.stories.span, FakeEmbedder().id))
        self.edges = Collector(
            self.net, parse_here, FakeEmbedder(), self.store, at_once, at_once, lambda: self.net.now, self.draw.random,
            usual_pace, no_rules, Reachability(),
        )  # fmt: skip
        self.store.put_off(spread_out(self.store.overdue(self.net.now), self.net.now, PACE.interval))

    async def live(self) -> None:
        for now in self._ticks():
            self.net.now = now
            if any(now - TICK < restart <= now for restart in RESTARTS):
                self.start()
            due = self.store.due_feeds(now, CONCURRENCY)
            await collect_all(due, self.judge, self.edges, CONCURRENCY)

    def _ticks(self) -> Iterator[datetime]:
        now = DAWN
        while now < DAWN + DAY:
            now += TICK
            yield now


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2])
@pytest.mark.filterwarnings("ignore")
async def test_day(seed: int) -> None:
    day = Day(seed)
    await day.live()
    states = {state.feed.url: state for state in day.store.feeds()}
    for url, outlet in day.net.outlets.items():
        polls, state = day.net.polls[url], states[url]
        gaps = [later - earlier for earlier, later in zip([DAWN, *polls], [*polls, DAWN + DAY], strict=True)]
        # nobody starved: no feed waits longer than the ceiling and a tenth; one that is gone, for a day
        if outlet.trouble != "http 410":
            assert max(gaps) < PACE.ceiling * 1.1 + timedelta(minutes=51), (outlet.trouble, max(gaps))
            assert len(polls) > 4, outlet.trouble
        # nobody hammered
        assert min(gaps[1:-1], default=DAY) > PACE.floor * 0.85, (outlet.trouble, min(gaps[1:-1]))
        # every item stored once, and none twice
        stored = [item.title for item, *_ in day.store.recent_items(timedelta(days=9)) if item.feed.url == url]
        titles = [title.partition(" (")[0] for title in stored]
        assert len(titles) == len(set(titles)), (outlet.trouble, sorted(titles))
        if outlet.trouble not in ("http 410", "cut"):  # of a cut document we take what is whole
            expected = {outlet.posts[n].title for n in outlet.shown}
            assert set(titles) == expected, (outlet.trouble, expected ^ set(titles))
        # our own outage was held against nobody
        if outlet.trouble == "nothing":
            assert (state.failures, state.last_error) == (0.0, "")
    assert len(day.net.polls) == FEEDS
