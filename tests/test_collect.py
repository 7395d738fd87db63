"""What publishers do to their feeds between two polls, and what is told of it: edits, moves, storms, silence, outages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from xml.sax.saxutils import escape

import make
import pytest
from world import GAZETTE, NOTHING, SHIPS, TROOPS, TROOPS_RETOLD, WEATHER, WIRE, World

from monitor.errors import FetchError, ParseError
from monitor.health import conditions
from monitor.model import Condition, FeedState, PollOutcome, Verdict


@dataclass(frozen=True)
class Post:
    """An item as a publisher writes it."""

    title: str
    text: str = ""
    guid: str = ""
    link: str = ""
    #: before the poll that first brings it; None: undated
    age: timedelta | None = timedelta(minutes=5)


def post(title: str, text: str = "", **fields: object) -> Post:
    key = hashlib.sha256(title.encode()).hexdigest()[:8]
    defaults = {"guid": key, "link": f"https://wire.example/news/{key}"}
    return Post(title, text, **(defaults | fields))  # type: ignore[arg-type]  # by the caller's word


def document(posts: Sequence[Post], now: datetime) -> bytes:
    items = "".join(
        f"<item><title>{escape(p.title)}</title><description>{escape(p.text)}</description>"
        + (f'<guid isPermaLink="false">{escape(p.guid)}</guid>' if p.guid else "")
        + (f"<link>{escape(p.link)}</link>" if p.link else "")
        + (f"<pubDate>{format_datetime(now - p.age)}</pubDate>" if p.age is not None else "")
        + "</item>"
        for p in posts
    )
    return f'<rss version="2.0"><channel><title>Wire</title>{items}</channel></rss>'.encode()


class Wire:
    """A world, and the wire's feed in it, which shows what it is told to show."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.began = world.now

    async def shows(self, *posts: Post, after: timedelta = timedelta(minutes=10)) -> PollOutcome:
        """Let time pass, poll, deliver. Ages of posts count from the world's beginning."""
        self.world.now += after
        self.world.fetch.script(WIRE.url, document(posts, self.began))
        [outcome] = await self.world.poll(WIRE)
        await self.world.deliver()
        return outcome

    async def fails(self, error: Exception, after: timedelta = timedelta(minutes=10)) -> None:
        self.world.now += after
        self.world.fetch.script(WIRE.url, error)
        await self.world.poll(WIRE)

    @property
    def state(self) -> FeedState:
        return next(state for state in self.world.store.feeds() if state.feed == WIRE)

    @property
    def items(self) -> int:
        return self.state.items


@pytest.fixture
async def wire() -> Wire:
    """The wire, polled once with the weather."""
    wire = Wire(World())
    await wire.shows(post(*WEATHER))
    return wire


TROOPS_POST = post(*TROOPS)
OLD = [post(f"Old story number {n}", f"What happened on day {n}.", age=timedelta(days=2, hours=n)) for n in range(20)]

# -- items under another name ---------------------------------------------------------------------

RENAMED = {
    "the guids change": lambda p: replace(p, guid="v2-" + p.guid),
    "the guids go": lambda p: replace(p, guid=""),
    "http becomes https, and guids were links": lambda p: replace(p, guid=p.link.replace("https", "http")),
    "the site moves to another host": lambda p: replace(p, guid="", link=p.link.replace("wire.example", "new.example")),
    "guids and hosts change": lambda p: replace(p, guid="x" + p.guid, link=p.link.replace("wire.", "www.wire.")),
    "a query appears": lambda p: replace(p, guid=p.guid + "?v=2", link=p.link + "?session=17"),
    "links change altogether, dates stay": lambda p: replace(p, guid="", link=f"https://wire.example/?p={p.guid}"),
}


@pytest.mark.parametrize("rename", RENAMED.values(), ids=RENAMED.keys())
async def test_items_under_another_name_are_known(wire: Wire, rename) -> None:
    posts = [TROOPS_POST, *OLD]
    await wire.shows(*posts)
    assert await wire.shows(*map(rename, posts)) is PollOutcome.NOTHING_NEW
    assert wire.world.told() == [f"root: {TROOPS[0]}"]
    # and from then on without a second look
    assert await wire.shows(*map(rename, reversed(posts))) is PollOutcome.NOTHING_NEW
    assert wire.items == 22


async def test_daily_column_is_new_every_day(wire: Wire) -> None:
    for day in range(3):
        column = post("North Korean troops: the day in brief", f"Day {day}.", age=-timedelta(days=day))
        await wire.shows(
            replace(column, guid=f"brief-{day}", link=f"https://wire.example/brief/{day}"), after=timedelta(days=1)
        )
    assert wire.items == 4


async def test_feed_that_forgets_and_repeats_tells_nothing_twice(wire: Wire) -> None:
    await wire.shows(TROOPS_POST, *OLD)
    await wire.shows()
    await wire.shows(post(*NOTHING))
    assert await wire.shows(TROOPS_POST, *OLD) is PollOutcome.NOTHING_NEW
    assert wire.world.told() == [f"root: {TROOPS[0]}"]


# -- edits ----------------------------------------------------------------------------------------


async def test_edited_title_is_told_in_the_thread(wire: Wire) -> None:
    await wire.shows(TROOPS_POST)
    await wire.shows(replace(TROOPS_POST, title="North Korean troops not near Kursk after all"))
    assert wire.world.told() == [f"root: {TROOPS[0]}", "reply: North Korean troops not near Kursk after all"]
    root, edit = wire.world.sink.messages
    assert edit.alert.formerly == TROOPS[0]
    assert edit.alert.parent == root.alert.id
    assert wire.items == 2


async def test_edit_is_told_also_if_no_topic_would_take_it(wire: Wire) -> None:
    await wire.shows(TROOPS_POST)
    await wire.shows(replace(TROOPS_POST, title="Correction: soldiers seen near Kursk were Russian"))
    assert wire.world.told()[1] == "reply: Correction: soldiers seen near Kursk were Russian"


async def test_second_edit_is_told_as_well_and_a_restart_between_changes_nothing(wire: Wire) -> None:
    await wire.shows(TROOPS_POST)
    await wire.shows(replace(TROOPS_POST, title="North Korean troops near Kursk: 30 killed"))
    wire.world.restart()
    await wire.shows(replace(TROOPS_POST, title="North Korean troops near Kursk: 70 killed"))
    await wire.shows(replace(TROOPS_POST, title="North Korean troops near Kursk: 70 killed"))
    assert wire.world.told()[1:] == [
        "reply: North Korean troops near Kursk: 30 killed",
        "reply: North Korean troops near Kursk: 70 killed",
    ]


@pytest.mark.parametrize(
    "edit",
    [
        {"title": TROOPS[0].upper()},
        {"title": f"14:32 {TROOPS[0]}"},
        {"text": f"{TROOPS[1]} 123 comments"},
        {"text": ""},
        {"text": f"{TROOPS[1][:40]}…"},
        {"age": timedelta(minutes=1)},
    ],
)
async def test_edit_of_no_weight_is_not_told(wire: Wire, edit: dict[str, object]) -> None:
    await wire.shows(TROOPS_POST)
    assert await wire.shows(replace(TROOPS_POST, **edit)) is PollOutcome.NOTHING_NEW  # type: ignore[arg-type]
    assert wire.world.told() == [f"root: {TROOPS[0]}"]


async def test_edit_that_makes_a_topic_take_it_is_news(wire: Wire) -> None:
    silent = post("Soldiers seen near Kursk")
    await wire.shows(silent)
    await wire.shows(replace(silent, title="North Korean soldiers seen near Kursk"))
    assert wire.world.told() == ["root: North Korean soldiers seen near Kursk"]
    assert wire.world.store.with_verdict(Verdict.ALERT)[0].item.revision == 1


async def test_edit_of_what_stood_there_before_us_is_not_news() -> None:
    wire = Wire(World())
    await wire.shows(TROOPS_POST)
    await wire.shows(replace(TROOPS_POST, title="North Korean troops near Kursk: 30 killed"))
    assert wire.world.told() == []
    assert wire.world.verdicts() == {"North Korean troops near Kursk: 30 killed": "first poll"}


async def test_edit_of_history_is_only_written_down(wire: Wire) -> None:
    await wire.shows(TROOPS_POST)
    later = timedelta(days=20)
    await wire.shows(TROOPS_POST, post(*NOTHING, age=-later), after=later)
    await wire.world.publish(GAZETTE, ("Something new", "Here."))
    wire.world.judge.stories.forget()
    await wire.shows(replace(TROOPS_POST, title="North Korean troops left Kursk long ago"))
    assert wire.world.told() == [f"root: {TROOPS[0]}"]


# -- storms ---------------------------------------------------------------------------------------

MIGRATED = [replace(p, guid=f"new-{n}", link="", age=None, title=f"{p.title}!!") for n, p in enumerate(OLD)]
ARCHIVE = [post(f"North Korean troops, archive page {n}", age=timedelta(hours=30 + n)) for n in range(12)]


async def test_archive_that_surfaces_is_held_and_told_to_nobody(wire: Wire) -> None:
    await wire.shows(post(*NOTHING))
    await wire.shows(TROOPS_POST, *ARCHIVE)
    # what is really new is told all the same
    assert wire.world.told() == [f"root: {TROOPS[0]}"]
    assert wire.state.held == 12
    assert Condition.STORM in conditions(wire.state, wire.world.now)


async def test_held_items_are_not_held_twice_and_do_not_hide_news(wire: Wire) -> None:
    await wire.shows(*ARCHIVE)
    await wire.shows(*ARCHIVE)
    await wire.shows(TROOPS_POST, *ARCHIVE)
    assert (wire.state.held, wire.world.told()) == (12, [f"root: {TROOPS[0]}"])


async def test_released_items_are_judged_at_the_next_poll(wire: Wire) -> None:
    await wire.shows(*ARCHIVE)
    assert wire.world.store.release(WIRE.url, wire.world.now) == 12
    assert WIRE in [state.feed for state in wire.world.store.due_feeds(wire.world.now)]
    # also those that have left the feed meanwhile
    await wire.shows(*ARCHIVE[:5])
    assert wire.state.held == 0
    assert len(wire.world.told()) == 12
    assert wire.world.told()[0].startswith("root: ")
    assert wire.items == 13


async def test_released_when_nothing_changed_at_the_server(wire: Wire) -> None:
    await wire.shows(*ARCHIVE)
    wire.world.store.release(WIRE.url, wire.world.now)
    wire.world.fetch.script(WIRE.url, PollOutcome.NOT_MODIFIED)
    await wire.world.poll(WIRE)
    assert wire.state.held == 0


async def test_dropped_items_are_never_told(wire: Wire) -> None:
    await wire.shows(*ARCHIVE)
    assert wire.world.store.drop(WIRE.url) == 12
    await wire.shows(*ARCHIVE)
    assert (wire.world.told(), wire.state.held, wire.items) == ([], 0, 13)


async def test_restart_with_held_items_opens_no_stories_for_them(wire: Wire) -> None:
    await wire.shows(*ARCHIVE)
    wire.world.restart()
    assert len(wire.world.judge.stories) == 1


async def test_busy_hour_is_no_storm(wire: Wire) -> None:
    await wire.shows(*[post(f"North Korean troops, report {n} of many {n * n}") for n in range(30)])
    assert wire.state.held == 0


async def test_backlog_after_a_long_absence_is_no_storm(wire: Wire) -> None:
    backlog = [post(f"North Korean troops, report {n}", age=-timedelta(hours=n)) for n in range(30)]
    await wire.shows(*backlog, after=timedelta(hours=31))
    assert wire.state.held == 0
    assert Condition.GAP in conditions(wire.state, wire.world.now)


async def test_first_poll_tells_nothing() -> None:
    wire = Wire(World())
    await wire.shows(TROOPS_POST, *ARCHIVE)
    assert (wire.world.told(), wire.state.held) == ([], 0)


# -- gaps and rhythm ------------------------------------------------------------------------------


async def test_overlap_is_no_gap(wire: Wire) -> None:
    await wire.shows(post(*WEATHER), *[post(f"Report {n}") for n in range(9)])
    assert wire.state.last_gap is None


async def test_no_overlap_is_a_gap(wire: Wire) -> None:
    await wire.shows(*[post(f"Report {n}") for n in range(9)])
    assert wire.state.last_gap == wire.world.now


async def test_rhythm_is_learnt_and_kept(wire: Wire) -> None:
    reports = [post(f"Report {n}", age=timedelta(hours=-n)) for n in range(6)]
    await wire.shows(post(*WEATHER), *reports, after=timedelta(hours=6))
    rhythm = wire.state.rhythm
    assert rhythm.gap == timedelta(hours=1)
    assert (rhythm.newest, rhythm.last_new) == (wire.began + timedelta(hours=5), wire.world.now)
    assert wire.state.pause == timedelta(minutes=30)


async def test_feed_of_a_severe_topic_is_asked_more_often(wire: Wire) -> None:
    reports = [post(f"Report {n}", age=timedelta(hours=-6 * n)) for n in range(5)]
    await wire.shows(*reports, after=timedelta(hours=30))
    usual = wire.state.pause
    await wire.shows(*reports, post(TROOPS[0], age=timedelta(hours=-30)))
    assert wire.state.pause is not None
    assert usual is not None
    assert wire.state.pause < usual
    assert wire.state.rhythm.severity is not None


# -- asking ---------------------------------------------------------------------------------------


async def test_validators_are_ignored_once_a_day(wire: Wire) -> None:
    world = wire.world
    for _ in range(30):
        await wire.shows(post(*WEATHER), after=timedelta(hours=1))
    asked = [validators for url, validators in world.fetch.requests if url == WIRE.url]
    bare = [number for number, validators in enumerate(asked) if not validators.etag]
    assert bare == [0, 24]
    # the body is still compared: it need not be parsed again
    assert asked[24].body_hash


async def test_permanent_redirect_is_remembered_beside_the_address(wire: Wire) -> None:
    world = wire.world
    world.fetch.moved[WIRE.url] = "https://new.example/rss"
    await wire.shows(post(*WEATHER))
    await wire.shows(post(*WEATHER))
    assert [url for url, _ in world.fetch.requests[-2:]] == [WIRE.url, "https://new.example/rss"]
    assert wire.state.moved_to == "https://new.example/rss"
    assert wire.state.feed.url == WIRE.url


@pytest.mark.parametrize("error", [FetchError("http 404"), ParseError("html")])
async def test_moved_feed_that_fails_is_asked_at_its_own_address_again(wire: Wire, error: Exception) -> None:
    world = wire.world
    world.fetch.moved[WIRE.url] = "https://parked.example/"
    await wire.shows(post(*WEATHER))
    await wire.fails(error)
    world.fetch.moved.clear()
    await wire.shows(TROOPS_POST)
    assert [url for url, _ in world.fetch.requests[-2:]] == ["https://parked.example/", WIRE.url]
    assert wire.world.told() == [f"root: {TROOPS[0]}"]


async def test_failing_since_its_first_failure(wire: Wire) -> None:
    await wire.fails(FetchError("http 404", weight=0.5))
    first = wire.world.now
    await wire.fails(FetchError("timeout", weight=0.5))
    assert (wire.state.failing_since, wire.state.failures) == (first, 1.0)
    await wire.shows(post(*WEATHER))
    assert (wire.state.failing_since, wire.state.failures) == (None, 0)


async def test_gone_feed_is_asked_once_a_day_and_kept(wire: Wire) -> None:
    await wire.fails(FetchError("http 410"))
    assert wire.state.next_poll is not None
    assert timedelta(hours=20) < wire.state.next_poll - wire.world.now <= timedelta(days=1)
    assert Condition.GONE in conditions(wire.state, wire.world.now)


# -- an outage of our own network -----------------------------------------------------------------


async def test_outage_charges_nobody() -> None:
    world = World()
    feeds = [make.feed(url=f"https://host{n}.example/rss", title=f"Host {n}") for n in range(8)]
    for feed in feeds:
        world.store.add_feed(feed, world.now)
        world.fetch.script(feed.url, make.rss(WEATHER, published=world.now))
    await world.poll(*feeds)
    world.wait(minutes=10)
    for feed in feeds:
        world.fetch.script(feed.url, FetchError("dns", weight=0.25))
    for _ in range(3):
        await world.poll(*feeds)
        world.wait(minutes=1)
    states = [state for state in world.store.feeds() if state.feed in feeds]
    assert world.reachability.outage_since is not None
    assert {state.failures for state in states} == {0.0}
    assert {state.last_error for state in states} == {"dns"}
    for feed in feeds:
        world.fetch.script(feed.url, make.rss(WEATHER, TROOPS_RETOLD, published=world.now))
    await world.poll(*feeds)
    assert world.reachability.outage_since is None


async def test_hosts_that_answer_with_errors_are_no_outage() -> None:
    world = World()
    feeds = [make.feed(url=f"https://host{n}.example/rss") for n in range(8)]
    for feed in feeds:
        world.store.add_feed(feed, world.now)
        world.fetch.script(feed.url, FetchError("http 503", weight=0.5))
    await world.poll(*feeds)
    assert world.reachability.outage_since is None
    assert {state.failures for state in world.store.feeds() if state.feed in feeds} == {0.5}


# -- what the reader is told ----------------------------------------------------------------------


async def test_language_is_that_of_the_item_not_of_the_feed(wire: Wire) -> None:
    russian = post("Северокорейские военные замечены под Курском", "Об этом сообщила разведка Южной Кореи.")
    await wire.shows(russian, post(*SHIPS))
    languages = {item.title: item.language for item, *_ in wire.world.store.recent_items(timedelta(days=9))}
    assert (languages[russian.title], languages[SHIPS[0]]) == ("ru", "en")


async def test_late_item_is_told_as_late(wire: Wire) -> None:
    await wire.shows(TROOPS_POST, after=timedelta(hours=5))
    [message] = wire.world.sink.messages
    assert message.message is not None
    assert "late: published" in message.message.terminal
