import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from fakes import Answer, FeedServer

from monitor.errors import FetchError
from monitor.fetch import Fetcher, FetchPolicy
from monitor.model import Document, Feed, NotModified, PollOutcome, Validators

POLICY = FetchPolicy(
    user_agent="news-monitor tests",
    connect_timeout=2.0,
    read_timeout=2.0,
    total_timeout=5.0,
    max_bytes=100_000,
    allow_private=frozenset({"127.0.0.1"}),
)
BODY = "<rss version='2.0'><channel><title>Новости</title></channel></rss>".encode()
KNOWN = Validators(etag='"1"', last_modified="Tue, 29 Oct 2024 14:00:00 GMT", body_hash="00")


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(POLICY) as fetcher:
        yield fetcher


async def failure(fetcher: Fetcher, url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await fetcher.fetch(Feed(url), Validators())
    return caught.value


def with_policy(**changes: object) -> Fetcher:
    fields = {name: getattr(POLICY, name) for name in POLICY.__dataclass_fields__}
    return Fetcher(FetchPolicy(**(fields | changes)))


# -- documents ------------------------------------------------------------------------------------


async def test_an_answer_becomes_a_document(server: FeedServer, fetcher: Fetcher) -> None:
    feed = Feed(server.serve("/feed", Answer(BODY, etag='"1"', headers={"Content-Type": "application/rss+xml"})))
    document = await fetcher.fetch(feed, Validators())
    assert isinstance(document, Document)
    assert (document.feed, document.url, document.body) == (feed, feed.url, BODY)
    assert document.headers["content-type"] == "application/rss+xml"


async def test_validators_come_from_the_answer(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(b"body", etag='W/"1"', last_modified="Tue, 29 Oct 2024 14:00:00 GMT"))
    answer = await fetcher.fetch(Feed(url), Validators())
    assert answer.validators == Validators(
        'W/"1"',
        "Tue, 29 Oct 2024 14:00:00 GMT",
        "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5",
    )


async def test_a_compressed_body_is_decompressed(server: FeedServer, fetcher: Fetcher) -> None:
    document = await fetcher.fetch(Feed(server.serve("/feed", Answer(BODY, gzip=True))), Validators())
    assert isinstance(document, Document)
    assert document.body == BODY


async def test_a_redirect_is_followed_and_the_new_address_is_told(server: FeedServer, fetcher: Fetcher) -> None:
    server.serve("/new", Answer(BODY))
    document = await fetcher.fetch(Feed(server.redirect("/old", "/new", 301)), Validators())
    assert isinstance(document, Document)
    assert document.url == server.url("/new")


async def test_the_server_is_told_who_asks(server: FeedServer, fetcher: Fetcher) -> None:
    await fetcher.fetch(Feed(server.serve("/feed", Answer(BODY))), Validators())
    assert server.requests[0].headers["user-agent"] == "news-monitor tests"


async def test_a_cookie_is_not_given_back(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(BODY, headers={"Set-Cookie": "track=1"}))
    await fetcher.fetch(Feed(url), Validators())
    await fetcher.fetch(Feed(url), Validators())
    assert "cookie" not in server.requests[1].headers


# -- nothing new ----------------------------------------------------------------------------------


async def test_what_we_know_is_asked_for_conditionally(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(BODY))
    await fetcher.fetch(Feed(url), KNOWN)
    asked = server.requests[0].headers
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"1"', "Tue, 29 Oct 2024 14:00:00 GMT")


async def test_304_keeps_the_validators_it_does_not_renew(server: FeedServer, fetcher: Fetcher) -> None:
    feed = Feed(server.serve("/feed", Answer(BODY, etag='"1"')))
    answer = await fetcher.fetch(feed, KNOWN)
    assert answer == NotModified(feed, PollOutcome.NOT_MODIFIED, KNOWN)


async def test_304_with_a_new_etag_renews_it(server: FeedServer, fetcher: Fetcher) -> None:
    feed = Feed(server.serve("/feed", Answer(status=304, headers={"ETag": '"2"'})))
    answer = await fetcher.fetch(feed, KNOWN)
    assert answer.validators == Validators('"2"', KNOWN.last_modified, "00")


async def test_304_to_an_unconditional_request_is_a_failure(server: FeedServer, fetcher: Fetcher) -> None:
    assert (await failure(fetcher, server.serve("/feed", Answer(status=304)))).cause == "http 304"


async def test_the_same_body_again_is_nothing_new(server: FeedServer, fetcher: Fetcher) -> None:
    feed = Feed(server.serve("/feed", Answer(BODY, etag='"1"'), Answer(BODY, etag='"2"')))
    first = await fetcher.fetch(feed, Validators())
    second = await fetcher.fetch(feed, first.validators)
    assert isinstance(second, NotModified)
    assert (second.outcome, second.validators.etag) == (PollOutcome.SAME_BODY, '"2"')


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "weight"), [(404, 1.0), (403, 1.0), (410, 1.0), (204, 1.0), (429, 0.5), (500, 0.5), (503, 0.5)]
)
async def test_a_status_is_named_and_weighed(server: FeedServer, fetcher: Fetcher, status: int, weight: float) -> None:
    error = await failure(fetcher, server.serve("/feed", Answer(status=status)))
    assert (error.cause, error.weight) == (f"http {status}", weight)


@pytest.mark.parametrize(
    ("value", "seconds"), [("120", 120.0), ("999999", 86_400.0), ("-5", None), ("soon", None), ("²", None), ("", None)]
)
async def test_retry_after_in_seconds(server: FeedServer, fetcher: Fetcher, value: str, seconds: float | None) -> None:
    url = server.serve("/feed", Answer(status=429, headers={"Retry-After": value}))
    assert (await failure(fetcher, url)).retry_after == seconds


async def test_retry_after_as_a_date_counts_from_the_servers_clock(server: FeedServer, fetcher: Fetcher) -> None:
    # http.server sends a Date of its own.
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    error = await failure(fetcher, server.serve("/feed", Answer(status=503, headers={"Retry-After": until})))
    assert error.retry_after == pytest.approx(600, abs=5)


async def test_retry_after_in_the_past_is_no_wait(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(status=503, headers={"Retry-After": "Tue, 29 Oct 2024 14:00:00 GMT"}))
    assert (await failure(fetcher, url)).retry_after == 0.0


async def test_a_silent_server_is_a_timeout(server: FeedServer) -> None:
    async with with_policy(read_timeout=0.1) as fetcher:
        error = await failure(fetcher, server.serve("/feed", Answer(BODY, delay=0.5)))
    assert (error.cause, error.weight) == ("timeout", 0.5)


async def test_a_dripping_server_meets_the_deadline(server: FeedServer) -> None:
    async with with_policy(total_timeout=0.3) as fetcher:
        error = await failure(fetcher, server.serve("/feed", Answer(BODY, drip=0.1)))
    assert error.cause == "timeout"


async def test_waiting_for_a_turn_at_a_host_is_not_held_against_the_feed(server: FeedServer) -> None:
    url = server.serve("/feed", Answer(BODY, delay=0.3))
    async with with_policy(total_timeout=1.0, per_host=1) as fetcher:
        answers = await asyncio.gather(*(fetcher.fetch(Feed(url), Validators()) for _ in range(4)))
    assert len(answers) == 4


async def test_a_host_is_asked_so_many_things_at_once(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(BODY, delay=0.05))
    await asyncio.gather(*(fetcher.fetch(Feed(url), Validators()) for _ in range(6)))
    assert server.most_at_once == 2


async def test_a_body_cut_short_is_a_failure_so_that_its_etag_is_not_kept(server: FeedServer, fetcher: Fetcher) -> None:
    error = await failure(fetcher, server.serve("/feed", Answer(BODY, etag='"1"', cut=20)))
    assert (error.cause, error.weight) == ("connection", 1.0)


async def test_a_dropped_connection_is_a_failure(server: FeedServer, fetcher: Fetcher) -> None:
    assert (await failure(fetcher, server.serve("/feed", Answer(reset=True)))).cause == "connection"


async def test_a_large_body_is_refused(server: FeedServer, fetcher: Fetcher) -> None:
    assert (await failure(fetcher, server.serve("/feed", Answer(b"x" * 100_001)))).cause == "too large"


async def test_a_body_that_is_large_when_decompressed_is_refused(server: FeedServer, fetcher: Fetcher) -> None:
    assert (await failure(fetcher, server.serve("/feed", Answer(b"x" * 30_000_000, gzip=True)))).cause == "too large"


async def test_a_body_that_is_not_compressed_as_claimed_is_refused(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(BODY, headers={"Content-Encoding": "gzip"}))
    assert (await failure(fetcher, url)).cause == "encoding"


async def test_five_redirects_are_followed(server: FeedServer, fetcher: Fetcher) -> None:
    for hop in range(5):
        server.redirect(f"/{hop}", f"/{hop + 1}")
    server.serve("/5", Answer(BODY))
    assert isinstance(await fetcher.fetch(Feed(server.url("/0")), Validators()), Document)


async def test_a_circle_of_redirects_ends(server: FeedServer, fetcher: Fetcher) -> None:
    error = await failure(fetcher, server.redirect("/feed", "/feed"))
    assert (error.cause, len(server.requests)) == ("redirects", 6)


@pytest.mark.parametrize("location", ["ftp://news.example/feed", "file:///etc/passwd", "http://[::1", "http://"])
async def test_a_redirect_that_leads_nowhere_is_a_bad_url(server: FeedServer, fetcher: Fetcher, location: str) -> None:
    assert (await failure(fetcher, server.redirect("/feed", location))).cause == "bad url"


@pytest.mark.parametrize(
    "url",
    ["", "news.example/feed", "ftp://news.example/", "file:///etc/passwd", "http://", "http://a:99999/", "http://[::1"],
)
async def test_what_is_no_web_address_is_a_bad_url(fetcher: Fetcher, url: str) -> None:
    assert (await failure(fetcher, url)).cause == "bad url"


async def test_a_closed_port_is_refused(fetcher: Fetcher) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/feed"
        assert (await failure(fetcher, url)).cause == "refused"


async def test_a_server_without_tls_fails_in_tls(server: FeedServer, fetcher: Fetcher) -> None:
    error = await failure(fetcher, server.url("/feed").replace("http://", "https://"))
    assert (error.cause, error.weight) == ("tls", 0.5)


async def test_an_unknown_host_counts_little(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    error = await failure(fetcher, "http://nowhere.invalid/feed")
    assert (error.cause, error.weight) == ("dns", 0.25)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404),
        Answer(status=302, headers={"Location": "http://[::1"}),
        Answer(reset=True),
        Answer(BODY, cut=5),
        Answer(BODY, headers={"X": "x" * 40_000}),
    ],
)
async def test_no_failure_tells_a_secret_of_the_url(server: FeedServer, fetcher: Fetcher, answer: Answer) -> None:
    url = server.serve("/feed?key=hunter2", answer).replace("http://", "http://user:hunter2@")
    assert "hunter2" not in str(await failure(fetcher, url))


# -- private networks -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - asked for, not bound
        "224.0.0.1",
        "[::1]",
        "[fd00::1]",
        "[fe80::1]",
        "[::ffff:127.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
        "localhost",
    ],
)
async def test_a_private_address_is_refused(fetcher: Fetcher, host: str) -> None:
    assert (await failure(fetcher, f"http://{host}:9/feed")).cause == "private address"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
async def test_a_redirect_to_a_private_address_is_refused(server: FeedServer, fetcher: Fetcher, host: str) -> None:
    server.serve("/secret", Answer(BODY))
    error = await failure(fetcher, server.redirect("/feed", server.url("/secret", host)))
    assert (error.cause, [request.path for request in server.requests]) == ("private address", ["/feed"])


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1"])
async def test_other_spellings_of_the_loopback_address_do_not_get_through(server: FeedServer, host: str) -> None:
    url = server.url("/feed", host)
    async with with_policy(allow_private=frozenset()) as fetcher:
        await failure(fetcher, url)
    assert server.requests == []


async def test_a_host_that_is_named_may_be_private(server: FeedServer) -> None:
    server.serve("/feed", Answer(BODY))
    async with with_policy(allow_private=frozenset({"localhost"})) as fetcher:
        assert isinstance(await fetcher.fetch(Feed(server.url("/feed", "localhost")), Validators()), Document)
