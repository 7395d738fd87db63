"""`feeds check` against a real server on loopback: each feed is asked twice, and what may happen in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta, timezone

import make
import pytest
from fakes import Answer, FakeFetch, FeedServer, no_rules, parse_here

from monitor.fetch import Fetcher, FetchPolicy
from monitor.model import Feed, PollOutcome, PublisherRules, Zones
from monitor.survey import CONCURRENCY, Surveyed, Surveyor

POLICY = FetchPolicy(
    user_agent="news-monitor tests", connect_timeout=2.0, read_timeout=2.0, total_timeout=5.0, host_gap=0.0,
    per_host=CONCURRENCY + 2, allow_private=frozenset({"127.0.0.1"}),
)  # fmt: skip
TITLES = ("Troops seen near Kursk", "Warships sail for drills", "Rain expected over the weekend")
BODY = make.rss(*((title, "Seoul told lawmakers so on Tuesday.") for title in TITLES), published=make.NOW)
LATER = make.rss(*((title, "Seoul told lawmakers so on Tuesday.") for title in (*TITLES, "Chess club votes")))
PAGE = b'<!doctype html><html><head>%s</head><body><a href="/about">About us</a></body></html>'
LINK = b'<link rel="alternate" type="application/rss+xml" title="%s" href="%s">'


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


@pytest.fixture
async def surveyor() -> AsyncIterator[Surveyor]:
    async with Fetcher(POLICY) as fetcher:
        yield Surveyor(fetcher, parse_here, no_rules, lambda: make.NOW)


async def at_once() -> None:
    """No time between two polls."""


async def surveyed(surveyor: Surveyor, url: str) -> Surveyed:
    [one] = await surveyor.survey([Feed(url)], at_once)
    return one


async def said(surveyor: Surveyor, url: str, about: str) -> list[str]:
    return [
        f"{found.level}: {found.says}" for found in (await surveyed(surveyor, url)).findings if found.about == about
    ]


# -- what can be used -----------------------------------------------------------------------------


async def test_good_feed_can_be_used_and_is_asked_twice(server: FeedServer, surveyor: Surveyor) -> None:
    found = await surveyed(surveyor, server.serve("/rss", Answer(BODY)))
    assert found.usable
    assert {finding.about for finding in found.findings} == {
        "document", "identity", "dates", "language", "asking", "second poll",
    }  # fmt: skip
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=404), "http 404: nothing stands at this address"),
        (Answer(status=410), "http 410: gone for good, its server says"),
        (Answer(status=500), "http 500"),
    ],
)
async def test_feed_that_cannot_be_fetched_cannot_be_used(
    server: FeedServer, surveyor: Surveyor, answer: Answer, words: str
) -> None:
    found = await surveyed(surveyor, server.serve("/rss", answer))
    [finding] = found.findings
    assert (found.usable, finding.about, finding.says) == (False, "fetching", words)
    assert len(server.requests) == 1


async def test_private_address_is_not_asked(server: FeedServer, surveyor: Surveyor) -> None:
    with FeedServer("127.0.0.2") as neighbour:
        url = neighbour.serve("/rss", Answer(BODY))
        assert "private address" in (await said(surveyor, url, "fetching"))[0]
        assert "private address" in (await said(surveyor, server.redirect("/rss", url), "fetching"))[0]
        assert neighbour.requests == []


async def test_feed_that_moved_for_good_can_be_used(server: FeedServer, surveyor: Surveyor) -> None:
    new = server.serve("/new", Answer(BODY))
    old = server.redirect("/old", new, 301)
    assert await said(surveyor, old, "address") == [f"warning: moved for good to {new}: put that on the list"]
    assert (await surveyed(surveyor, old)).usable


# -- pages ----------------------------------------------------------------------------------------


async def test_page_names_its_feeds(server: FeedServer, surveyor: Surveyor) -> None:
    links = LINK % (b"World", b"/world.rss") + LINK % (b"", b"https://other.example/rss")
    url = server.serve("/", Answer(PAGE % links, headers={"Content-Type": "text/html"}))
    found = await surveyed(surveyor, url)
    assert [(finding.about, finding.says) for finding in found.findings] == [
        ("parsing", "html: a page for people, not a feed"),
        ("instead", f"the page names {server.url('/world.rss')} (World)"),
        ("instead", "the page names https://other.example/rss"),
    ]
    assert not found.usable


async def test_of_a_page_of_many_feeds_the_first_are_named(server: FeedServer, surveyor: Surveyor) -> None:
    links = b"".join(LINK % (b"Desk %d" % n, b"/%d.rss" % n) for n in range(30))
    assert len(await said(surveyor, server.serve("/", Answer(PAGE % links)), "instead")) == 5


async def test_page_that_names_none_is_told_where_one_may_be(server: FeedServer, surveyor: Surveyor) -> None:
    [words] = await said(surveyor, server.serve("/news", Answer(PAGE % b"")), "instead")
    assert words.startswith(f"note: the page names no feed; often one is at {server.url('/news/feed')}, ")
    # they are guesses: nobody asked for them
    assert [request.path for request in server.requests] == ["/news"]


# -- the second poll ------------------------------------------------------------------------------

OTHER_GUIDS = (
    "warning: 3 items have another identity, such as “Troops seen near Kursk”: link, or title and time, tell them again; "
    'identity = "link" in publishers.toml is safer'
)
SAME = "note: nothing changed; asked for changes alone, its server "
#: the answers to two polls, and to a question for changes -> what is said
SECOND = {
    "nothing changed": ([Answer(BODY)], ["note: nothing changed"]),
    "an ETag that holds": ([Answer(BODY, etag='"1"')], [f"{SAME}says so"]),
    "a Last-Modified that holds": (
        [Answer(BODY, last_modified="Tue, 29 Oct 2024 14:00:00 GMT")], [f"{SAME}says so"]
    ),
    "an ETag that is new each time": (
        [Answer(BODY, etag=f'"{n}"') for n in range(3)], [f"{SAME}sends the whole document all the same"]
    ),
    "an ETag that lies": (
        [Answer(BODY, etag='"1"'), Answer(LATER, etag='"1"')],
        [
            "warning: the same ETag for other items: news may hide for a day, until a poll does without it",
            "note: 1 items new, 0 gone",
        ],
    ),
    "a failure": ([Answer(BODY), Answer(status=503)], ["warning: failed, and the first did not: http 503"]),
    "a page": ([Answer(BODY), Answer(PAGE % b"")], ["warning: failed, and the first did not: html"]),
    "a body cut off, and whole": ([Answer(BODY, cut=700), Answer(BODY)], ["note: 1 items new, 0 gone"]),
    "a body cut off, each time elsewhere": (
        [Answer(BODY, cut=700), Answer(BODY, cut=701)], ["note: the same items in another document"]
    ),
    "other guids": (
        [Answer(BODY), Answer(BODY.replace(b'Link="false">', b'Link="false">x'))],
        [OTHER_GUIDS],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answers", "words"), SECOND.values(), ids=SECOND.keys())
async def test_second_poll(server: FeedServer, surveyor: Surveyor, answers: list[Answer], words: list[str]) -> None:
    found = await surveyed(surveyor, server.serve("/rss", *answers))
    assert found.usable
    assert [f"{one.level}: {one.says}" for one in found.findings if one.about == "second poll"] == words


async def test_findings_of_both_polls_stand_worst_first(server: FeedServer, surveyor: Surveyor) -> None:
    url = server.serve("/rss", Answer(BODY), Answer(status=503))
    assert [finding.level for finding in (await surveyed(surveyor, url)).findings][:2] == ["warning", "note"]


async def test_server_that_says_nothing_changed_to_whoever_asks_for_all_is_an_error() -> None:
    fetch = FakeFetch()
    fetch.script("https://wire.example/rss", PollOutcome.NOT_MODIFIED)
    [found] = await Surveyor(fetch, parse_here, no_rules, lambda: make.NOW).survey(
        [Feed("https://wire.example/rss")], at_once
    )
    assert (found.usable, found.findings[0].says) == (False, "http 304: though nobody asked for changes alone")


# -- many feeds -----------------------------------------------------------------------------------


async def test_feeds_come_in_the_order_asked_for_each_with_its_own_findings(
    server: FeedServer, surveyor: Surveyor
) -> None:
    slow = server.serve("/slow", Answer(BODY, delay=0.1))
    feeds = [
        make.feed(url=slow),
        make.feed(url=server.url("/missing")),
        make.feed(url=server.serve("/a", Answer(BODY))),
    ]
    found = await surveyor.survey(feeds, at_once)
    assert [(one.feed, one.usable) for one in found] == [(feeds[0], True), (feeds[1], False), (feeds[2], True)]


async def test_waiting_for_the_second_poll_holds_up_no_other_feed(server: FeedServer, surveyor: Surveyor) -> None:
    feeds = [Feed(server.serve(f"/{n}", Answer(BODY, delay=0.01))) for n in range(3 * CONCURRENCY)]
    all_waiting = asyncio.Barrier(len(feeds))

    async def until_all_wait() -> None:
        async with asyncio.timeout(10):
            await all_waiting.wait()

    assert all(one.usable for one in await surveyor.survey(feeds, until_all_wait))
    assert server.most_at_once <= CONCURRENCY
    assert len(server.requests) == 2 * len(feeds)


async def test_no_feeds_are_no_findings(surveyor: Surveyor) -> None:
    assert await surveyor.survey([], at_once) == []


async def test_rules_of_the_publisher_hold(server: FeedServer, surveyor: Surveyor) -> None:
    bare = BODY.replace(b" +0000</pubDate>", b"</pubDate>")
    url = server.serve("/rss", Answer(bare))
    assert "cannot be read" in (await said(surveyor, url, "dates"))[0]
    rules = PublisherRules(zones=Zones(default=timezone(timedelta(hours=3))))
    ruled = replace(surveyor, rules_for=lambda _: rules)
    assert await said(ruled, url, "dates") == ["note: “Tue, 29 Oct 2024 14:30:00” is read as 2024-10-29 11:30 UTC"]
