from __future__ import annotations

import asyncio
import gzip
import hmac
import io
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import FetchError
from monitor.model import Subscription
from monitor.subscribe import counted, due, is_live, trusted
from monitor.websub import Subscriber, listening

NOW = datetime(2024, 10, 29, 14, 30, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
FEED = "https://news.example/rss.xml"
TOPIC = "https://news.example/~all?lang=ru&page=1"
PUBLIC = "https://monitor.example/websub/"
KEY = b"a key that only this state folder knows"


@dataclass
class World:
    """What the subscriber is given, and what it told."""

    now: datetime = NOW
    pushes: list[tuple[str, datetime]] = field(default_factory=list)
    changes: list[Subscription] = field(default_factory=list)

    def subscriber(self, hub: Hub, *known: Subscription, key: bytes = KEY) -> Subscriber:
        return Subscriber(
            PUBLIC, key, hub.post, lambda *push: self.pushes.append(push), self.changes.append, lambda: self.now, known
        )


class Hub:
    """A hub on loopback that calls back through the operator's proxy: PUBLIC leads to the subscriber's local port."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.url = ""
        self.status = 202
        #: raised instead of reaching the hub
        self.unreachable: FetchError | None = None
        #: verify before answering, as hubs of before the standard do
        self.at_once = False
        self.forms: list[dict[str, str]] = []
        self.port = 0
        self._session = session

    async def take(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        if self.at_once:
            assert await self.verify() == (200, self.challenge)
        return web.Response(status=self.status)

    async def post(self, url: str, form: Mapping[str, str]) -> int:
        """The client that the subscriber is given."""
        if self.unreachable:
            raise self.unreachable
        async with self._session.post(url, data=form) as response:
            return response.status

    challenge = "a <b>challenge</b> & more"

    @property
    def callback(self) -> str:
        public = self.forms[-1]["hub.callback"]
        assert public.startswith(PUBLIC)
        return public.replace(PUBLIC, f"http://127.0.0.1:{self.port}/websub/")

    async def ask(self, **query: str) -> tuple[int, str]:
        named = {f"hub.{name}": value for name, value in query.items()}
        async with self._session.get(self.callback, params=named) as response:
            return response.status, await response.text()

    async def verify(self, lease: str = "432000", topic: str = TOPIC) -> tuple[int, str]:
        return await self.ask(mode="subscribe", topic=topic, challenge=self.challenge, lease_seconds=lease)

    async def push(self, body: bytes = b"<rss/>", *, method: str = "sha256", signature: str | None = None) -> int:
        secret = self.forms[-1]["hub.secret"].encode()
        if signature is None:
            signature = f"{method}={hmac.new(secret, body, method).hexdigest()}"
        headers = {"X-Hub-Signature": signature, "Content-Type": "application/rss+xml"}
        return await self.deliver(body, {name: value for name, value in headers.items() if value})

    async def deliver(self, body: bytes, headers: Mapping[str, str]) -> int:
        async with self._session.post(self.callback, data=io.BytesIO(body), headers=headers) as response:
            return response.status


@pytest.fixture
async def idle_hub() -> AsyncIterator[Hub]:
    async with aiohttp.ClientSession() as session:
        hub = Hub(session)
        application = web.Application()
        application.router.add_post("/", hub.take)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield hub
        await runner.cleanup()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def subscriber(idle_hub: Hub, world: World) -> AsyncIterator[Subscriber]:
    """One that listens, and has asked for FEED."""
    subscriber = world.subscriber(idle_hub)
    async with listening(subscriber, "127.0.0.1:0") as idle_hub.port:
        await subscriber.subscribe(asked(idle_hub))
        yield subscriber


@pytest.fixture
def hub(idle_hub: Hub, subscriber: Subscriber) -> Hub:
    """The one that the subscriber has asked."""
    assert subscriber.subscriptions == {FEED: asked(idle_hub)}
    return idle_hub


def asked(at: Hub, /, feed_url: str = FEED, **changes: object) -> Subscription:
    return replace(Subscription(feed_url, at.url, TOPIC, "asked", NOW, tries=1), **changes)


# -- subscribing ----------------------------------------------------------------------------------


async def test_a_request_says_what_the_standard_asks_for(hub: Hub) -> None:
    (form,) = hub.forms
    assert {name: form[name] for name in ("hub.mode", "hub.topic", "hub.lease_seconds")} == {
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.lease_seconds": "432000",
    }
    assert form["hub.callback"].startswith(PUBLIC)
    assert len(form["hub.callback"]) == len(PUBLIC) + 64
    assert len(form["hub.secret"]) < 200
    assert form["hub.secret"] not in form["hub.callback"]


async def test_what_the_hub_verifies_becomes_active(hub: Hub, world: World, subscriber: Subscriber) -> None:
    world.now = NOW + 5 * SECOND
    assert await hub.verify(lease="3600") == (200, hub.challenge)
    active = Subscription(FEED, hub.url, TOPIC, "active", world.now, tries=0, expires=world.now + HOUR)
    assert world.changes == [asked(hub), active]
    assert subscriber.subscriptions == {FEED: active}


async def test_a_hub_may_verify_before_it_answers(hub: Hub, world: World, subscriber: Subscriber) -> None:
    hub.at_once, hub.status = True, 204
    await subscriber.subscribe(asked(hub, "https://news.example/2"))
    assert [change.state for change in world.changes] == ["asked", "asked", "active"]


async def test_a_hub_that_verifies_and_then_fails_has_promised_all_the_same(
    hub: Hub, world: World, subscriber: Subscriber
) -> None:
    hub.at_once, hub.status = True, 500
    await subscriber.subscribe(asked(hub))
    assert world.changes[-1].state == "active"


@pytest.mark.parametrize("status", [400, 404, 422, 500, 302])
async def test_a_refusal_is_remembered_and_asked_again_later(
    hub: Hub, world: World, subscriber: Subscriber, status: int
) -> None:
    hub.status = status
    await subscriber.subscribe(asked(hub, tries=2))
    assert world.changes[1:] == [asked(hub, tries=2), asked(hub, tries=2, reason=f"http {status}")]


async def test_an_unreachable_hub_is_remembered_and_asked_again_later(
    hub: Hub, world: World, subscriber: Subscriber
) -> None:
    hub.unreachable = FetchError("private address", "hub.example is not on the public internet")
    await subscriber.subscribe(asked(hub))
    assert world.changes[-1] == asked(hub, reason=str(hub.unreachable))


@pytest.mark.parametrize(
    ("lease", "believed"),
    [
        ("0", timedelta(0)),
        ("60", timedelta(minutes=1)),
        ("864000", 10 * DAY),
        ("9" * 4_000, 30 * DAY),
        ("", 5 * DAY),
        ("-1", 5 * DAY),
        ("1e3", 5 * DAY),
        ("²", 5 * DAY),
    ],
)
async def test_leases(hub: Hub, subscriber: Subscriber, lease: str, believed: timedelta) -> None:
    assert (await hub.verify(lease))[0] == 200
    assert subscriber.subscriptions[FEED].expires == NOW + believed


async def test_a_hub_may_write_the_topic_another_way(hub: Hub, subscriber: Subscriber) -> None:
    assert (await hub.verify(topic=TOPIC.replace("~", "%7E")))[0] == 200
    assert subscriber.subscriptions[FEED].state == "active"


@pytest.mark.parametrize(
    "query",
    [
        {"mode": "subscribe", "topic": "https://other.example/", "challenge": "x", "lease_seconds": "60"},
        {"mode": "subscribe", "challenge": "x", "lease_seconds": "60"},
        {"mode": "subscribe", "topic": TOPIC, "lease_seconds": "60"},
        {"mode": "unsubscribe", "topic": TOPIC, "challenge": "x"},
        {"mode": "denied", "topic": "https://other.example/"},
        {"mode": "Denied", "topic": TOPIC},
        {"topic": TOPIC, "challenge": "x"},
        {},
    ],
)
async def test_what_we_did_not_ask_for_is_not_confirmed(hub: Hub, world: World, query: dict[str, str]) -> None:
    assert await hub.ask(**query) == (404, "")
    assert world.changes == [asked(hub)]


async def test_a_denial_is_remembered_with_its_reason(hub: Hub, world: World) -> None:
    await hub.verify()
    assert await hub.ask(mode="denied", topic=TOPIC, reason="Too <b>many</b>\nsubscribers") == (200, "")
    denied = Subscription(FEED, hub.url, TOPIC, "denied", NOW, reason="Too many subscribers")
    assert world.changes[-1] == denied
    assert not is_live(denied, NOW)
    assert await hub.verify() == (404, "")
    assert await hub.push() == 202
    assert world.pushes == []


async def test_a_lease_outlives_the_request_to_renew_it(hub: Hub, world: World, subscriber: Subscriber) -> None:
    await hub.verify()
    world.now = NOW + 4 * DAY
    (again,) = due(world.now, [(FEED, hub.url, TOPIC)], subscriber.subscriptions)
    await subscriber.subscribe(again)
    assert hub.forms[0] == hub.forms[1]
    assert is_live(subscriber.subscriptions[FEED], NOW + 5 * DAY - SECOND)
    assert await hub.push() == 202
    assert len(world.pushes) == 1
    await hub.verify()
    assert is_live(subscriber.subscriptions[FEED], NOW + 9 * DAY - SECOND)


async def test_another_hub_gets_another_address_and_the_first_one_loses_its(hub: Hub, subscriber: Subscriber) -> None:
    await subscriber.subscribe(asked(hub, hub=f"{hub.url}?2"))
    first, second = hub.forms
    assert first["hub.callback"] != second["hub.callback"]
    assert first["hub.secret"] != second["hub.secret"]
    assert (await hub.verify())[0] == 200
    hub.forms.pop()
    assert (await hub.verify())[0] == 404
    assert await hub.push() == 404


async def test_a_forgotten_feed_is_unknown(hub: Hub, world: World, subscriber: Subscriber) -> None:
    subscriber.forget(FEED)
    subscriber.forget("https://never.example/known")
    assert await hub.verify() == (404, "")
    assert await hub.push() == 404
    assert (subscriber.subscriptions, world.pushes) == ({}, [])


async def test_after_a_restart_the_same_key_makes_the_same_addresses(
    hub: Hub, world: World, subscriber: Subscriber
) -> None:
    await hub.verify()
    async with listening(world.subscriber(hub, *subscriber.subscriptions.values()), "127.0.0.1:0") as hub.port:
        assert await hub.push() == 202
    async with listening(world.subscriber(hub, asked(hub), key=b"another"), "127.0.0.1:0") as hub.port:
        assert await hub.push() == 404
    assert world.pushes == [(FEED, NOW)]


# -- pushes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sha1", "sha256", "sha384", "sha512"])
async def test_a_signed_push_makes_its_feed_due(hub: Hub, world: World, subscriber: Subscriber, method: str) -> None:
    await subscriber.subscribe(asked(hub, "https://news.example/2"))
    assert await hub.push(method=method) == 202
    assert world.pushes == [("https://news.example/2", NOW)]


async def test_a_signature_may_be_written_in_capitals(hub: Hub, world: World) -> None:
    digest = hmac.new(hub.forms[0]["hub.secret"].encode(), b"<rss/>", "sha1").hexdigest()
    assert await hub.push(signature=f"sha1={digest.upper()}") == 202
    assert len(world.pushes) == 1


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "=",
        "sha256",
        "sha256=",
        "sha256=00",
        f"sha256={'é' * 64}",
        "nonsense=00",
        f"sha256={sha256(b'<rss/>').hexdigest()}",
    ],
)
async def test_a_push_that_is_not_signed_by_the_hub_is_received_and_ignored(
    hub: Hub, world: World, signature: str
) -> None:
    assert await hub.push(signature=signature) == 202
    assert world.pushes == []


async def test_a_push_signed_with_a_method_of_ours_under_another_name_is_ignored(hub: Hub, world: World) -> None:
    digest = hmac.new(hub.forms[0]["hub.secret"].encode(), b"<rss/>", "sha256").hexdigest()
    assert await hub.push(signature=f"sha3_256={digest}") == 202
    assert world.pushes == []


async def test_a_signature_is_over_the_bytes_as_sent(hub: Hub, world: World) -> None:
    body = gzip.compress(b"<rss/>")
    digest = hmac.new(hub.forms[0]["hub.secret"].encode(), body, "sha256").hexdigest()
    headers = {"X-Hub-Signature": f"sha256={digest}", "Content-Encoding": "gzip"}
    assert await hub.deliver(body, headers) == 202
    assert len(world.pushes) == 1


async def test_a_large_push_counts_and_a_huge_one_is_refused(hub: Hub, world: World) -> None:
    assert await hub.push(bytes(10_000_000)) == 202
    assert len(world.pushes) == 1
    world.now += HOUR
    assert await hub.push(bytes(10_000_001)) == 413
    assert len(world.pushes) == 1


async def test_a_push_that_does_not_end_is_given_up(hub: Hub, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.websub._LONGEST_WAIT", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    path = hub.callback.partition(str(hub.port))[2]
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx".encode())
    assert await reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"
    assert world.pushes == []
    writer.close()


async def test_pushes_make_a_feed_due_once_a_minute_and_none_is_lost(hub: Hub, world: World) -> None:
    for seconds in (0, 10, 20, 59, 60, 61, 119, 300, 301):
        world.now = NOW + seconds * SECOND
        assert await hub.push() == 202
    assert [(at - NOW).total_seconds() for _, at in world.pushes] == [0, 60, 120, 300, 360]


async def test_a_clock_that_is_set_back_silences_no_hub(hub: Hub, world: World) -> None:
    await hub.push()
    world.now = NOW - DAY
    await hub.push()
    assert world.pushes == [(FEED, NOW), (FEED, NOW - DAY)]


# -- strangers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods(hub: Hub, method: str) -> None:
    async with aiohttp.request(method, hub.callback) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, POST")
    async with aiohttp.request(method, hub.callback + "0") as response:
        assert (response.status, await response.text()) == (404, "")


@pytest.mark.parametrize(
    "path", ["", "websub", "websub/", "websub/x", "x/y/z", "%00", "%ff", "..%2f", "?hub.mode=denied"]
)
async def test_other_paths(hub: Hub, path: str) -> None:
    url = f"http://127.0.0.1:{hub.port}/{path}"
    async with aiohttp.request("GET", url) as got, aiohttp.request("POST", url, data=b"x") as posted:
        assert (got.status, await got.text(), posted.status, await posted.text()) == (404, "", 404, "")


async def test_a_proxy_may_take_the_prefix_away(hub: Hub) -> None:
    hub.forms[-1]["hub.callback"] = PUBLIC + hub.forms[-1]["hub.callback"].rpartition("/")[2]
    url = hub.callback.replace("/websub/", "/")
    async with aiohttp.request("POST", url, data=b"x") as response:
        assert response.status == 202


async def test_an_answer_tells_nothing_of_us_and_is_no_page(hub: Hub) -> None:
    query = {"hub.mode": "subscribe", "hub.topic": TOPIC, "hub.challenge": "<script>"}
    async with aiohttp.request("GET", hub.callback, params=query) as response:
        assert response.content_type == "text/plain"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Server"] == "news-monitor"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET {path}?hub.mode=subscribe&hub.topic=%ED%A0%80&hub.challenge=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET {path}?hub.topic={topic}&hub.mode=subscribe&hub.challenge=%ED%A0%80%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET {path}?hub.topic={topic}&hub.mode=denied&hub.reason=%ED%A0%80%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[/{path} HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST {path} HTTP/1.1\r\nHost: x\r\nX-Hub-Signature: sha1=\xff\xfe\r\nContent-Length: 1\r\n\r\nx",
        b"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx",
        b"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nnonsense\r\n",
        b"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n{pause}nonsense\r\n",
        b"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Encoding: br\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_broken_requests_are_no_errors_of_ours(
    hub: Hub, world: World, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    path = hub.callback.partition(str(hub.port))[2]
    topic = TOPIC.replace("&", "%26")
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    for part in request_bytes.replace(b"{path}", path.encode()).replace(b"{topic}", topic.encode()).split(b"{pause}"):
        writer.write(part)
        await asyncio.sleep(0.02)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b" 500 " not in answer.partition(b"\r\n")[0]
    assert world.pushes == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert path.rpartition("/")[2] not in caplog.text


async def test_nothing_of_what_happens_is_logged(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await hub.verify()
    await hub.push()
    await hub.push(signature="sha1=00")
    assert hub.forms[0]["hub.callback"].rpartition("/")[2] not in caplog.text
    assert hub.forms[0]["hub.secret"] not in caplog.text


# -- what to ask for ------------------------------------------------------------------------------

HUB = "https://hub.example/"
OFFER = (FEED, HUB, TOPIC)
ASKED = Subscription(FEED, HUB, TOPIC, "asked", NOW, tries=1)
ACTIVE = replace(ASKED, state="active", tries=0, expires=NOW + 5 * DAY)
DENIED = replace(ASKED, state="denied", tries=0, reason="no")


def test_a_feed_that_names_a_hub_is_asked_for_at_once() -> None:
    assert due(NOW, [OFFER], {}) == [ASKED]


def test_a_feed_that_names_none_any_more_is_not() -> None:
    assert due(NOW + 10 * DAY, [], {FEED: ACTIVE}) == []


@pytest.mark.parametrize(
    ("known", "pause"),
    [
        (ACTIVE, 4 * DAY),
        (replace(ACTIVE, expires=NOW + 10 * DAY), 8 * DAY),
        (replace(ACTIVE, expires=NOW + 10 * SECOND), HOUR),
        (DENIED, DAY),
        (ASKED, HOUR),
        (replace(ASKED, tries=2), 2 * HOUR),
        (replace(ASKED, tries=3), 4 * HOUR),
        (replace(ASKED, tries=5), 16 * HOUR),
        (replace(ASKED, tries=6), DAY),
        (replace(ASKED, tries=10**9), DAY),
    ],
)
def test_the_same_offer_is_taken_up_again_after_a_pause(known: Subscription, pause: timedelta) -> None:
    assert due(NOW + pause - SECOND, [OFFER], {FEED: known}) == []
    again = replace(ASKED, since=NOW + pause, tries=known.tries + 1, expires=known.expires)
    assert due(NOW + pause, [OFFER], {FEED: known}) == [again]


@pytest.mark.parametrize("known", [ASKED, ACTIVE, DENIED])
@pytest.mark.parametrize("offer", [(FEED, "https://hub.example/2", TOPIC), (FEED, HUB, "https://news.example/all")])
def test_another_offer_is_taken_up_within_the_hour_and_from_the_beginning(
    known: Subscription, offer: tuple[str, str, str]
) -> None:
    assert due(NOW + HOUR - SECOND, [offer], {FEED: known}) == []
    assert due(NOW + HOUR, [offer], {FEED: known}) == [Subscription(*offer, "asked", NOW + HOUR, tries=1)]


@given(
    state=st.sampled_from(["asked", "active"]),
    tries=st.integers(0, 100),
    lease=st.timedeltas(timedelta(0), timedelta(days=30)),
    waited=st.timedeltas(timedelta(0), timedelta(days=40)),
)
def test_what_is_asked_for_is_not_asked_for_again_at_once(
    state: str, tries: int, lease: timedelta, waited: timedelta
) -> None:
    known = replace(ASKED, state=state, tries=tries, expires=NOW + lease)  # type: ignore[arg-type]
    for again in due(NOW + waited, [OFFER], {FEED: known}):
        assert due(again.since + HOUR - SECOND, [OFFER], {FEED: again}) == []


@pytest.mark.parametrize(
    ("known", "live"),
    [
        (None, False),
        (ASKED, False),
        (ACTIVE, True),
        (replace(ASKED, expires=NOW + SECOND), True),
        (replace(ACTIVE, expires=NOW), False),
    ],
)
def test_live(known: Subscription | None, live: bool) -> None:
    assert is_live(known, NOW) is live


# -- whether to rely on it ------------------------------------------------------------------------


def counts(history: str) -> tuple[int, int]:
    """Count polls that found something new: `+` after a push, `-` without."""
    pushes, unannounced = 0, 0
    for outcome in history:
        pushed = NOW - SECOND if outcome == "+" else None
        pushes, unannounced = counted(pushes, unannounced, found=NOW, pushed=pushed)
    return pushes, unannounced


@pytest.mark.parametrize(
    ("history", "reliable"),
    [
        ("", False),
        ("+++", False),
        ("++++", True),
        ("++++-", True),
        ("++++--", False),
        ("+" * 15 + "--", False),
        ("+" * 1000, True),
        ("+" * 1000 + "-", True),
        ("+" * 1000 + "----", False),
        ("-" * 1000, False),
        ("-" * 1000 + "+" * 8, False),
        ("-" * 1000 + "+" * 30, True),
        ("+-" * 500, False),
    ],
)
def test_pushes_are_trusted_while_they_announce_the_news(history: str, reliable: bool) -> None:
    assert trusted(*counts(history)) is reliable


@given(st.text("+-", max_size=200))
def test_a_hub_that_stops_is_found_out_within_five_polls(history: str) -> None:
    assert not trusted(*counts(history + "-----"))


@pytest.mark.parametrize(
    ("pushed", "announced"),
    [
        (None, False),
        (NOW - timedelta(minutes=11), False),
        (NOW - timedelta(minutes=10), True),
        (NOW, True),
        (NOW + timedelta(seconds=60), True),
    ],
)
def test_a_push_announces_what_is_found_within_ten_minutes(pushed: datetime | None, announced: bool) -> None:
    assert counted(0, 0, found=NOW, pushed=pushed) == ((1, 0) if announced else (0, 1))
