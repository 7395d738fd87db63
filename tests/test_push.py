"""WebSub at work, from a document that names a hub to the item that a push brought: a fake hub on loopback, a real monitor."""

from __future__ import annotations

import asyncio
import hmac
import socket
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import make
import pytest
from aiohttp import web
from home import Clock, Home, at_folder, open_home

from monitor.errors import StateError
from monitor.model import Feed, Hints, PollOutcome, Subscription
from monitor.push import KEY, STRETCH, Pushes
from monitor.store import Store

NEW, SAME = PollOutcome.NEW, PollOutcome.SAME_BODY
TEXT = "Seoul's spy agency told lawmakers that soldiers were moved west."


@dataclass
class Newsroom:
    """A publisher and its hub on one loopback server. The hub answers as scripted, and verifies when told to."""

    session: aiohttp.ClientSession
    url: str = ""
    titles: list[str] = field(default_factory=lambda: ["Rain expected"])
    #: what the hub was asked for, in order
    forms: list[dict[str, str]] = field(default_factory=list)
    #: times the feed was asked for
    polls: int = 0
    #: the hub does not answer, and the feed not either, before these are set
    hub_answers: asyncio.Event = field(default_factory=asyncio.Event)
    feed_answers: asyncio.Event = field(default_factory=asyncio.Event)
    #: told of each request
    asked: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def feed(self) -> Feed:
        return make.feed(url=f"{self.url}/rss", title="Wire")

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.asked:
            await self.asked.wait_for(happened)

    async def _note(self) -> None:
        async with self.asked:
            self.asked.notify_all()

    async def give(self, _: web.Request) -> web.Response:
        self.polls += 1
        await self._note()
        body = make.rss(*((title, TEXT) for title in self.titles))
        await self.feed_answers.wait()
        link = f'<a:link xmlns:a="http://www.w3.org/2005/Atom" rel="hub" href="{self.url}/hub"/>'
        body = body.replace(b"<channel>", b"<channel>" + link.encode())
        return web.Response(body=body, content_type="application/rss+xml")

    async def take(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        await self._note()
        await self.hub_answers.wait()
        return web.Response(status=202)

    async def ask(self, form: dict[str, str], **query: str) -> int:
        named = {f"hub.{name}": value for name, value in ({"topic": form["hub.topic"]} | query).items()}
        async with self.session.get(form["hub.callback"], params=named) as response:
            return response.status

    async def verify(self, lease: str = "432000") -> int:
        return await self.ask(self.forms[-1], mode="subscribe", challenge="c", lease_seconds=lease)

    async def push(self, form: dict[str, str] | None = None, *, secret: str = "") -> int:
        form = form or self.forms[-1]
        body = b"<rss/>"
        signature = hmac.new((secret or form["hub.secret"]).encode(), body, "sha256").hexdigest()
        headers = {"X-Hub-Signature": f"sha256={signature}"}
        async with self.session.post(form["hub.callback"], data=body, headers=headers) as response:
            return response.status


@pytest.fixture
async def newsroom() -> AsyncIterator[Newsroom]:
    async with aiohttp.ClientSession() as session:
        newsroom = Newsroom(session)
        application = web.Application()
        application.router.add_get("/rss", newsroom.give)
        application.router.add_post("/hub", newsroom.take)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        newsroom.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        newsroom.hub_answers.set()
        newsroom.feed_answers.set()
        yield newsroom
        await runner.cleanup()


@pytest.fixture
def callback() -> str:
    """An address of this machine where nobody listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}/websub/"


@pytest.fixture
def clock() -> Clock:
    return Clock()


Open = Callable[..., Any]


@pytest.fixture
def open_monitor(tmp_path: Path, newsroom: Newsroom, callback: str, clock: Clock) -> Open:
    """Open a monitor on the same state, clock and callback each time; the first has the newsroom's feed on its list."""
    return lambda *feeds: open_home(tmp_path, *(feeds or (newsroom.feed,)), clock=clock, callback=callback)


@pytest.fixture
async def home(open_monitor: Open, newsroom: Newsroom) -> AsyncIterator[Home]:
    """A monitor that has polled the feed once, ten minutes ago, and has an active subscription."""
    async with open_monitor() as home:
        await home.poll()
        await home.monitor.subscribe()
        assert await newsroom.verify() == 200
        home.clock.wait(minutes=3)
        yield home


async def subscription(home: Home) -> Subscription | None:
    return next(iter(await home.ask(Store.subscriptions)), None)


async def titles(home: Home) -> list[str]:
    return [item.title for item, *_ in await home.ask(lambda store: store.recent_items(timedelta(days=9)))]


def pushes(home: Home) -> Pushes:
    assert home.pushes
    return home.pushes


# -- subscribing ----------------------------------------------------------------------------------


async def test_feed_that_names_a_hub_is_subscribed_to_once_it_was_polled(
    open_monitor: Open, newsroom: Newsroom
) -> None:
    async with open_monitor() as home:
        await home.monitor.subscribe()
        assert newsroom.forms == []
        await home.poll()
        await home.monitor.subscribe()
        [form] = newsroom.forms
        assert (form["hub.mode"], form["hub.topic"]) == ("subscribe", newsroom.feed.url)
        known = await subscription(home)
        assert known
        assert (known.state, known.hub, known.expires) == ("asked", f"{newsroom.url}/hub", None)


async def test_verified_subscription_is_written_down(home: Home) -> None:
    known = await subscription(home)
    assert known
    assert (known.state, known.expires) == ("active", make.NOW + timedelta(days=5))


async def test_hub_is_asked_once(home: Home, newsroom: Newsroom) -> None:
    for _ in range(3):
        home.clock.wait(hours=1)
        await home.monitor.subscribe()
    assert len(newsroom.forms) == 1


async def test_lease_is_renewed_before_it_ends(home: Home, newsroom: Newsroom) -> None:
    home.clock.wait(days=4, hours=1)
    await home.monitor.subscribe()
    first, second = newsroom.forms
    assert first == second
    known = await subscription(home)
    assert known
    assert (known.state, known.expires) == ("asked", make.NOW + timedelta(days=5))


async def test_denied_subscription_is_left_for_a_day_and_the_feed_is_polled(
    open_monitor: Open, newsroom: Newsroom, clock: Clock
) -> None:
    async with open_monitor() as home:
        await home.poll()
        await home.monitor.subscribe()
        assert await newsroom.ask(newsroom.forms[-1], mode="denied", reason="members only") == 200
        known = await subscription(home)
        assert known
        assert (known.state, known.reason) == ("denied", "members only")
        clock.wait(hours=23)
        await home.monitor.subscribe()
        assert (len(newsroom.forms), await home.poll()) == (1, [SAME])
        clock.wait(hours=2)
        await home.monitor.subscribe()
        assert len(newsroom.forms) == 2


async def test_hub_that_is_gone_is_asked_again_and_harms_nothing(
    open_monitor: Open, newsroom: Newsroom, clock: Clock
) -> None:
    hub = newsroom.url
    with socket.create_server(("127.0.0.1", 0)) as closed:
        newsroom.url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    async with open_monitor(make.feed(url=f"{hub}/rss")) as home:
        await home.poll()
        await home.monitor.subscribe()
        known = await subscription(home)
        assert known
        assert (known.state, known.reason, known.tries) == ("asked", "refused", 1)
        clock.wait(hours=1)
        await home.monitor.subscribe()
        known = await subscription(home)
        assert known
        assert (known.tries, await home.poll()) == (2, [SAME])


async def test_hub_that_hangs_holds_up_no_other(open_monitor: Open, newsroom: Newsroom) -> None:
    other = make.feed(url=f"{newsroom.url}/rss?second")
    async with open_monitor(newsroom.feed, other) as home:
        await home.poll()
        newsroom.hub_answers.clear()
        renewing = asyncio.create_task(home.monitor.subscribe())
        await newsroom.until(lambda: len(newsroom.forms) == 2)
        newsroom.hub_answers.set()
        await renewing


async def test_feed_without_a_hub_is_not_subscribed_to(open_monitor: Open, newsroom: Newsroom) -> None:
    async with open_monitor() as home:
        await home.poll()
        await home.ask(lambda store: store.commit_poll(make.polled(feed=newsroom.feed, hints=Hints()), [], "m"))
        await home.monitor.subscribe()
        assert (newsroom.forms, await subscription(home)) == ([], None)


async def test_without_a_callback_nobody_is_asked(tmp_path: Path, newsroom: Newsroom) -> None:
    async with open_home(tmp_path, newsroom.feed) as home:
        await home.poll()
        await home.monitor.subscribe()
        assert (newsroom.forms, home.pushes) == ([], None)


# -- pushes ---------------------------------------------------------------------------------------


async def test_push_brings_the_item_at_once(home: Home, newsroom: Newsroom) -> None:
    assert await home.poll() == []
    newsroom.titles.append("North Korean troops seen near Kursk")
    assert await newsroom.push() == 202
    assert await home.poll() == [NEW]
    assert await titles(home) == newsroom.titles
    assert await home.monitor.deliver() == 1


async def test_push_of_a_stranger_makes_nothing_due(home: Home, newsroom: Newsroom) -> None:
    await newsroom.push(secret="guessed")  # noqa: S106 - it is wrong
    assert await home.poll() == []


async def test_many_pushes_make_one_poll_a_minute(home: Home, newsroom: Newsroom) -> None:
    for _ in range(5):
        await newsroom.push()
        await home.poll()
    assert newsroom.polls == 2
    home.clock.wait(seconds=60)
    assert await home.poll() == [SAME]


async def test_push_while_the_feed_is_polled_is_followed_by_another_poll(home: Home, newsroom: Newsroom) -> None:
    home.clock.wait(minutes=10)
    newsroom.feed_answers.clear()
    polling = asyncio.create_task(home.poll())
    await newsroom.until(lambda: newsroom.polls == 2)
    # the answer is on its way, and this is not in it
    home.clock.wait(seconds=1)
    newsroom.titles.append("North Korean troops seen near Kursk")
    await newsroom.push()
    assert await home.poll() == []
    newsroom.feed_answers.set()
    assert (await polling, await home.poll()) == ([SAME], [NEW])
    home.clock.wait(minutes=1)
    assert await home.poll() == []


# -- feeds that go --------------------------------------------------------------------------------


async def test_push_for_a_removed_feed_does_nothing(home: Home, newsroom: Newsroom) -> None:
    at_folder(home.folder, lambda store: store.remove_feed(newsroom.feed.url))
    assert await newsroom.push() == 202
    assert (await home.poll(), newsroom.polls) == ([], 1)


async def test_removed_feed_is_soon_unknown_to_its_hub(home: Home, newsroom: Newsroom) -> None:
    at_folder(home.folder, lambda store: store.remove_feed(newsroom.feed.url))
    await home.monitor.subscribe()
    assert (await newsroom.push(), await newsroom.verify(), len(newsroom.forms)) == (404, 404, 1)


async def test_feed_that_comes_back_is_subscribed_to_anew(home: Home, newsroom: Newsroom) -> None:
    at_folder(home.folder, lambda store: store.remove_feed(newsroom.feed.url))
    await home.monitor.subscribe()
    at_folder(home.folder, lambda store: store.add_feed(newsroom.feed, make.NOW))
    await home.monitor.subscribe()
    assert (len(newsroom.forms), await newsroom.verify(), await newsroom.push()) == (2, 200, 202)


# -- restarts -------------------------------------------------------------------------------------


async def test_restart_keeps_the_subscription_and_its_address(open_monitor: Open, newsroom: Newsroom) -> None:
    async with open_monitor() as home:
        await home.poll()
        await home.monitor.subscribe()
        await newsroom.verify()
    async with open_monitor() as home:
        await home.monitor.subscribe()
        assert len(newsroom.forms) == 1
        newsroom.titles.append("Warships sail")
        assert (await newsroom.push(), await home.poll()) == (202, [NEW])


async def test_removed_feed_stays_unknown_after_a_restart(
    open_monitor: Open, newsroom: Newsroom, tmp_path: Path
) -> None:
    async with open_monitor() as home:
        await home.poll()
        await home.monitor.subscribe()
        await newsroom.verify()
    at_folder(tmp_path, lambda store: store.remove_feed(newsroom.feed.url))
    async with open_monitor(make.feed()) as home:
        assert (await newsroom.push(), await subscription(home)) == (404, None)


# -- trust ----------------------------------------------------------------------------------------


async def announce(home: Home, newsroom: Newsroom, times: int) -> None:
    for n in range(times):
        home.clock.wait(minutes=2)
        newsroom.titles.append(f"Report {n} at {home.clock.now}")
        await newsroom.push()
        assert await home.poll() == [NEW]


async def test_feed_whose_pushes_proved_good_is_polled_less_often(home: Home, newsroom: Newsroom) -> None:
    await announce(home, newsroom, 3)
    assert pushes(home).stretch(newsroom.feed) == 1.0
    await announce(home, newsroom, 1)
    assert pushes(home).stretch(newsroom.feed) == STRETCH
    assert pushes(home).stretch(make.feed()) == 1.0


async def test_feed_is_polled_as_often_as_before_when_its_lease_has_ended(home: Home, newsroom: Newsroom) -> None:
    await announce(home, newsroom, 4)
    home.clock.wait(days=6)
    assert pushes(home).stretch(newsroom.feed) == 1.0


async def test_feed_is_polled_as_often_as_before_when_its_hub_goes_silent(home: Home, newsroom: Newsroom) -> None:
    await announce(home, newsroom, 4)
    for n in range(2):
        home.clock.wait(minutes=30)
        newsroom.titles.append(f"Unannounced {n}")
        assert await home.poll() == [NEW]
    assert pushes(home).stretch(newsroom.feed) == 1.0


async def test_trust_outlives_a_restart(open_monitor: Open, newsroom: Newsroom) -> None:
    async with open_monitor() as home:
        await home.poll()
        await home.monitor.subscribe()
        await newsroom.verify()
        await announce(home, newsroom, 4)
        counts = pushes(home).counts
    async with open_monitor() as home:
        assert pushes(home).counts == counts
        assert pushes(home).stretch(newsroom.feed) == STRETCH


# -- opening --------------------------------------------------------------------------------------


async def test_key_is_made_once_and_for_its_owner_alone(open_monitor: Open, tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        async with open_monitor():
            keys.append((tmp_path / KEY).read_bytes())
    assert (len(keys[0]), len(set(keys))) == (32, 1)
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600


async def test_key_that_a_killed_start_left_empty_is_made_again(open_monitor: Open, tmp_path: Path) -> None:
    (tmp_path / KEY).touch(mode=0o600)
    async with open_monitor():
        assert len((tmp_path / KEY).read_bytes()) == 32


async def test_key_that_cannot_be_kept_is_an_error_of_ours(open_monitor: Open, tmp_path: Path) -> None:
    (tmp_path / KEY).mkdir()
    with pytest.raises(StateError, match=str(tmp_path / KEY)):
        async with open_monitor():
            pass


async def test_address_in_use_is_named(open_monitor: Open, callback: str) -> None:
    host, port = callback.split("/")[2].split(":")
    with socket.create_server((host, int(port))), pytest.raises(StateError, match=rf"websub\.listen: .*{port}"):
        async with open_monitor():
            pass


async def test_what_fails_at_work_is_not_taken_for_a_failure_to_listen(open_monitor: Open) -> None:
    with pytest.raises(OSError, match="disk on fire"):
        async with open_monitor():
            raise OSError("disk on fire")
