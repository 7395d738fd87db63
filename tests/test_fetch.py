import asyncio
import base64
import contextlib
import gzip
import socket
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import brotli
import pytest
from aiohttp import web
from backports import zstd
from fakes import CERTIFICATE, Answer, FeedServer

from monitor.errors import FetchError
from monitor.fetch import FeedOptions, Fetcher, FetchPolicy, Turns
from monitor.model import Document, Feed, NotModified, PollOutcome, Validators

POLICY = FetchPolicy(
    user_agent="news-monitor tests",
    connect_timeout=2.0,
    read_timeout=2.0,
    total_timeout=5.0,
    max_bytes=100_000,
    host_gap=0.0,
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


@pytest.fixture
def neighbour() -> Iterator[FeedServer]:
    """A server on another host."""
    with FeedServer("127.0.0.2") as server:
        yield server


def with_policy(**changes: Any) -> Fetcher:
    return Fetcher(replace(POLICY, **changes))


def with_options(server: FeedServer, *, path: str = "/", proxied: bool = False, **options: Any) -> Fetcher:
    """A fetcher with options for what lies under a path of this server; it may go to the neighbour as well."""
    hosts = frozenset() if proxied else frozenset({"127.0.0.1", "127.0.0.2"})
    return with_policy(options=(FeedOptions(server.url(path), **options),), allow_private=hosts)


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


def deflated(data: bytes, window: int) -> bytes:
    packer = zlib.compressobj(wbits=window)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip in parts": ("gzip", lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:])),
    "deflate": ("deflate", lambda data: deflated(data, 15)),
    "deflate without its header": ("deflate", lambda data: deflated(data, -15)),
    "brotli": ("br", lambda data: brotli.compress(data, quality=1)),
    "zstandard": ("zstd", zstd.compress),
}


@pytest.mark.parametrize(("coding", "compress"), CODINGS.values(), ids=CODINGS)
async def test_a_compressed_body_is_decompressed(
    server: FeedServer, fetcher: Fetcher, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    url = server.serve("/feed", Answer(compress(BODY), headers={"Content-Encoding": coding}))
    document = await fetcher.fetch(Feed(url), Validators())
    assert isinstance(document, Document)
    assert document.body == BODY
    assert coding in server.requests[0].headers["accept-encoding"].split(", ")


@pytest.mark.parametrize("name", ["gzip", "brotli", "zstandard"])
async def test_a_body_larger_than_any_buffer_is_decompressed_whole(server: FeedServer, name: str) -> None:
    coding, compress = CODINGS[name]
    body = b"".join(b"<item>%d</item>" % n for n in range(200_000))
    url = server.serve("/feed", Answer(compress(body), headers={"Content-Encoding": coding}))
    async with with_policy(max_bytes=10_000_000) as fetcher:
        document = await fetcher.fetch(Feed(url), Validators())
    assert isinstance(document, Document)
    assert document.body == body


async def test_the_server_is_told_who_asks(server: FeedServer, fetcher: Fetcher) -> None:
    await fetcher.fetch(Feed(server.serve("/feed", Answer(BODY))), Validators())
    assert server.requests[0].headers["user-agent"] == "news-monitor tests"


async def test_a_cookie_is_not_given_back(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(BODY, headers={"Set-Cookie": "track=1"}))
    await fetcher.fetch(Feed(url), Validators())
    await fetcher.fetch(Feed(url), Validators())
    assert "cookie" not in server.requests[1].headers


async def test_a_header_that_is_a_list_may_stand_on_several_lines() -> None:
    hub, topic = b'<https://hub.example/>; rel="hub"', b'<https://news.example/feed>; rel="self"'
    lines = [b"HTTP/1.1 200 OK", b"Link: " + hub, b"link: " + topic, b"Server: a", b"Server: b", b"Content-Length: 1"]
    with raw_server(b"\r\n".join([*lines, b"", b"x"])) as url:
        async with with_policy() as fetcher:
            document = await fetcher.fetch(Feed(url), Validators())
    assert document.headers["link"] == f"{hub.decode()}, {topic.decode()}"
    assert document.headers["server"] == "b"


# -- nothing new ----------------------------------------------------------------------------------


async def test_what_we_know_is_asked_for_conditionally(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(BODY))
    await fetcher.fetch(Feed(url), KNOWN)
    asked = server.requests[0].headers
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"1"', "Tue, 29 Oct 2024 14:00:00 GMT")


async def test_304_keeps_the_validators_it_does_not_renew(server: FeedServer, fetcher: Fetcher) -> None:
    feed = Feed(server.serve("/feed", Answer(BODY, etag='"1"')))
    answer = await fetcher.fetch(feed, KNOWN)
    assert isinstance(answer, NotModified)
    assert (answer.feed, answer.outcome, answer.validators) == (feed, PollOutcome.NOT_MODIFIED, KNOWN)


async def test_304_brings_its_headers(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(status=304, headers={"Cache-Control": "max-age=600"}))
    answer = await fetcher.fetch(Feed(url), KNOWN)
    assert answer.headers["cache-control"] == "max-age=600"


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
    assert second.headers["etag"] == '"2"'


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "weight"),
    [(204, 1.0), (301, 1.0), (401, 1.0), (403, 1.0), (404, 0.5), (410, 1.0), (429, 0.5), (500, 0.5), (503, 0.5)],
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


@pytest.mark.parametrize("status", [403, 503])
async def test_a_challenge_for_browsers_is_a_bot_wall(server: FeedServer, fetcher: Fetcher, status: int) -> None:
    url = server.serve("/feed", Answer(b"<html>", status=status, headers={"CF-Mitigated": "challenge"}))
    error = await failure(fetcher, url)
    assert (error.cause, error.weight) == ("bot wall", 0.5)


async def test_a_page_is_left_to_the_parser(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(b"<html>Just a moment", headers={"Content-Type": "text/html"}))
    assert isinstance(await fetcher.fetch(Feed(url), Validators()), Document)


async def test_a_silent_server_is_a_timeout(server: FeedServer) -> None:
    async with with_policy(read_timeout=0.1) as fetcher:
        error = await failure(fetcher, server.serve("/feed", Answer(BODY, delay=0.5)))
    assert (error.cause, error.weight) == ("timeout", 0.5)


async def test_a_dripping_server_meets_the_deadline(server: FeedServer) -> None:
    async with with_policy(total_timeout=0.3) as fetcher:
        error = await failure(fetcher, server.serve("/feed", Answer(BODY, drip=0.1)))
    assert error.cause == "timeout"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
async def test_a_body_cut_short_is_a_document_whose_etag_is_not_kept(
    server: FeedServer, chunked: bool, compressed: bool
) -> None:
    body = b"".join(b"<item>%d</item>" % (n * n) for n in range(20_000))
    answer = Answer(body, etag='"1"', cut=50_000, chunked=chunked, gzip=compressed)
    async with with_policy(max_bytes=1_000_000) as fetcher:
        document = await fetcher.fetch(Feed(server.serve("/feed", answer)), Validators(body_hash="00"))
    assert isinstance(document, Document)
    assert len(document.body) >= 50_000
    assert body.startswith(document.body)
    assert document.validators == Validators()


async def test_a_body_cut_short_at_the_first_poll_is_not_what_we_had(server: FeedServer, fetcher: Fetcher) -> None:
    document = await fetcher.fetch(Feed(server.serve("/feed", Answer(BODY, cut=20))), Validators())
    assert isinstance(document, Document)
    assert document.body == BODY[:20]


async def test_a_body_that_never_begins_is_a_failure(server: FeedServer, fetcher: Fetcher) -> None:
    error = await failure(fetcher, server.serve("/feed", Answer(BODY, etag='"1"', cut=0)))
    assert (error.cause, error.weight) == ("connection", 0.5)


async def test_a_dropped_connection_is_a_failure(server: FeedServer, fetcher: Fetcher) -> None:
    error = await failure(fetcher, server.serve("/feed", Answer(reset=True)))
    assert (error.cause, error.weight) == ("connection", 0.5)


async def test_an_answer_that_is_not_http_is_a_failure(fetcher: Fetcher) -> None:
    with raw_server(b"220 smtp.example ESMTP\r\n") as url:
        error = await failure(fetcher, url)
    assert (error.cause, error.weight) == ("protocol", 1.0)


async def test_a_large_body_is_refused(server: FeedServer, fetcher: Fetcher) -> None:
    assert (await failure(fetcher, server.serve("/feed", Answer(b"x" * 100_001)))).cause == "too large"


def bomb(packer: Any) -> bytes:
    """A hundred megabytes of zeros, compressed."""
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()


class BrotliPacker(brotli.Compressor):
    compress = brotli.Compressor.process
    flush = brotli.Compressor.finish


BOMBS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.compressobj(wbits=31),
    "deflate": lambda: zlib.compressobj(wbits=15),
    "br": lambda: BrotliPacker(quality=1),
    "zstd": zstd.ZstdCompressor,
}


@pytest.mark.parametrize(("coding", "packer"), BOMBS.items(), ids=BOMBS)
async def test_a_bomb_is_refused_before_it_goes_off(
    server: FeedServer, fetcher: Fetcher, coding: str, packer: Callable[[], Any]
) -> None:
    url = server.serve("/feed", Answer(bomb(packer()), headers={"Content-Encoding": coding}))
    tracemalloc.start()
    try:
        error = await failure(fetcher, url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.cause == "too large"
    assert peak < 3_000_000


async def test_a_body_that_is_not_compressed_as_claimed_is_refused(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(BODY, headers={"Content-Encoding": "gzip"}))
    assert (await failure(fetcher, url)).cause == "encoding"


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
        error = await failure(fetcher, url)
    assert (error.cause, error.weight) == ("refused", 0.5)


async def test_an_unknown_host_counts_little(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    error = await failure(fetcher, "http://nowhere.invalid/feed")
    assert (error.cause, error.weight) == ("dns", 0.25)
    assert error.unreached


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404),
        Answer(status=302, headers={"Location": "http://[::1"}),
        Answer(reset=True),
        Answer(BODY, cut=0),
        Answer(BODY, headers={"X": "x" * 40_000}),
    ],
)
async def test_no_failure_tells_a_secret_of_the_url(server: FeedServer, fetcher: Fetcher, answer: Answer) -> None:
    url = server.serve("/feed?key=hunter2", answer).replace("http://", "http://user:hunter2@")
    assert "hunter2" not in str(await failure(fetcher, url))


@pytest.mark.parametrize("answer", [Answer(status=503), Answer(b"x" * 100_001), Answer(status=301)])
async def test_what_a_publisher_says_is_not_our_networks_fault(
    server: FeedServer, fetcher: Fetcher, answer: Answer
) -> None:
    assert not (await failure(fetcher, server.serve("/feed", answer))).unreached


# -- redirects ------------------------------------------------------------------------------------


async def test_a_redirect_is_followed_and_the_address_that_answered_is_told(
    server: FeedServer, fetcher: Fetcher
) -> None:
    server.serve("/new", Answer(BODY))
    document = await fetcher.fetch(Feed(server.redirect("/old", "/new", 301)), Validators())
    assert isinstance(document, Document)
    assert document.url == server.url("/new")


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


async def test_a_redirect_without_a_target_is_a_failure(server: FeedServer, fetcher: Fetcher) -> None:
    assert (await failure(fetcher, server.serve("/feed", Answer(status=302)))).cause == "http 302"


#: statuses of the hops /0 -> /1 -> …, and the path that the feed has moved to
MOVES = {
    "no redirect": ([], ""),
    "moved": ([301], "/1"),
    "moved, the method kept": ([308], "/1"),
    "moved twice": ([301, 308], "/2"),
    "elsewhere for now": ([302], ""),
    "elsewhere for now, the other ways": ([303, 307], ""),
    "moved, and elsewhere for now": ([301, 302], "/1"),
    "elsewhere for now, which moved": ([302, 301], ""),
    "moved, elsewhere for now, which moved": ([301, 307, 308], "/1"),
}


@pytest.mark.parametrize(("hops", "moved_to"), MOVES.values(), ids=MOVES)
async def test_a_feed_has_moved_as_far_as_redirects_are_permanent(
    server: FeedServer, fetcher: Fetcher, hops: list[int], moved_to: str
) -> None:
    for n, status in enumerate(hops):
        server.redirect(f"/{n}", f"/{n + 1}", status)
    server.serve(f"/{len(hops)}", Answer(BODY))
    document = await fetcher.fetch(Feed(server.url("/0")), Validators())
    assert document.moved_to == (moved_to and server.url(moved_to))


@pytest.mark.parametrize("hops", [[], [302], [301], [301, 302]])
async def test_an_address_is_asked_in_the_feeds_place_and_may_have_moved_on(
    server: FeedServer, fetcher: Fetcher, hops: list[int]
) -> None:
    for n, status in enumerate(hops):
        server.redirect(f"/{n}", f"/{n + 1}", status)
    server.serve(f"/{len(hops)}", Answer(BODY))
    document = await fetcher.fetch(Feed(server.url("/feed")), Validators(), address=server.url("/0"))
    assert document.moved_to == server.url("/1" if hops[:1] == [301] else "/0")
    assert server.requests[0].path == "/0"


async def test_a_304_says_where_the_feed_has_moved(server: FeedServer, fetcher: Fetcher) -> None:
    server.serve("/new", Answer(BODY, etag='"1"'))
    answer = await fetcher.fetch(Feed(server.redirect("/old", "/new", 301)), KNOWN)
    assert (type(answer), answer.moved_to) == (NotModified, server.url("/new"))


async def test_an_address_is_given_without_its_fragment_or_credentials(server: FeedServer, fetcher: Fetcher) -> None:
    server.serve("/new", Answer(BODY))
    location = server.url("/new#top").replace("http://", "http://them:secret@")
    document = await fetcher.fetch(Feed(server.redirect("/old", location, 301)), Validators())
    assert document.moved_to == server.url("/new")
    assert "authorization" not in server.requests[1].headers


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


# -- turns at a host ------------------------------------------------------------------------------


async def test_waiting_for_a_turn_at_a_host_is_not_held_against_the_feed(server: FeedServer) -> None:
    url = server.serve("/feed", Answer(BODY, delay=0.3))
    async with with_policy(total_timeout=1.0, per_host=1) as fetcher:
        answers = await asyncio.gather(*(fetcher.fetch(Feed(url), Validators()) for _ in range(4)))
    assert len(answers) == 4


async def test_a_host_is_asked_so_many_things_at_once(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/feed", Answer(BODY, delay=0.05))
    await asyncio.gather(*(fetcher.fetch(Feed(url), Validators()) for _ in range(6)))
    assert server.most_at_once == 2


async def test_the_gap_is_kept_by_all_feeds_of_a_host_whatever_their_ports(server: FeedServer) -> None:
    began = asyncio.get_running_loop().time()
    with FeedServer() as other:
        urls = [server.serve("/a", Answer(BODY)), server.serve("/b", Answer(BODY)), other.serve("/c", Answer(BODY))]
        async with with_policy(host_gap=0.1) as fetcher:
            await asyncio.gather(*(fetcher.fetch(Feed(url), Validators()) for url in urls))
    assert asyncio.get_running_loop().time() - began >= 0.2


async def starts(turns: Turns, *hosts: str, stay: float = 0.0) -> list[tuple[int, float]]:
    """Let callers come in this order, each to its host; who had a turn when, in order."""
    log: list[tuple[int, float]] = []

    async def call(number: int, host: str) -> None:
        async with turns.turn(host):
            log.append((number, asyncio.get_running_loop().time()))
            await asyncio.sleep(stay)

    await asyncio.gather(*(call(number, host) for number, host in enumerate(hosts)))
    return log


@pytest.mark.parametrize(("at_once", "gap", "stay"), [(1, 0.0, 0.001), (2, 0.01, 0.0), (2, 0.01, 0.03)])
async def test_who_comes_first_is_served_first_and_the_gap_is_kept(at_once: int, gap: float, stay: float) -> None:
    log = await starts(Turns(at_once, gap), *["a"] * 8, stay=stay)
    times = [at for _, at in log]
    assert [number for number, _ in log] == list(range(8))
    assert all(later - earlier >= gap for earlier, later in pairwise(times))


async def test_one_host_waits_for_no_other() -> None:
    log = await starts(Turns(1, 0.05), "a", "a", "b", "b", "c")
    assert [number for number, _ in log[:3]] == [0, 2, 4]


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    turns = Turns(1, 0.02)
    async with turns.turn("a"):
        waiting = asyncio.create_task(starts(turns, "a"))
        await asyncio.sleep(0)
        waiting.cancel()
    assert len(await starts(turns, "a", "a")) == 2


async def test_idle_hosts_are_forgotten_and_those_in_use_are_not() -> None:
    turns = Turns(1, 0.0)
    async with turns.turn("busy"):
        turns.pause("paused", 60)
        for number in range(10_000):
            await starts(turns, f"host{number}")
        assert len(turns) <= 1_000
        waiting = asyncio.create_task(starts(turns, "busy"))
        await asyncio.sleep(0.01)
        assert not waiting.done()
    assert len(await waiting) == 1
    with pytest.raises(FetchError):
        turns.refuse_paused("paused")


# -- a host that asks to wait ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_who_asks_to_wait_is_left_alone_by_all_feeds_of_the_host(
    server: FeedServer, fetcher: Fetcher, status: int
) -> None:
    busy = server.serve("/busy", Answer(status=status, headers={"Retry-After": "120"}))
    assert (await failure(fetcher, busy)).retry_after == 120
    error = await failure(fetcher, server.serve("/other", Answer(BODY)))
    assert (error.cause, error.weight, len(server.requests)) == ("host asked to wait", 0.0, 1)
    assert error.retry_after == pytest.approx(120, abs=5)


async def test_a_host_is_left_alone_for_ten_minutes_at_most(server: FeedServer, fetcher: Fetcher) -> None:
    url = server.serve("/busy", Answer(status=429, headers={"Retry-After": "86400"}))
    assert (await failure(fetcher, url)).retry_after == 86_400
    assert (await failure(fetcher, url)).retry_after == pytest.approx(600, abs=5)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=429),
        Answer(status=503, headers={"Retry-After": "0"}),
        Answer(status=404, headers={"Retry-After": "120"}),
    ],
)
async def test_who_does_not_ask_to_wait_is_asked_again(server: FeedServer, fetcher: Fetcher, answer: Answer) -> None:
    await failure(fetcher, server.serve("/feed", answer))
    assert isinstance(await fetcher.fetch(Feed(server.serve("/other", Answer(BODY))), Validators()), Document)


async def test_who_waits_for_a_turn_when_the_host_asks_to_wait_does_not_go(server: FeedServer) -> None:
    url = server.serve("/busy", Answer(status=429, delay=0.05, headers={"Retry-After": "120"}))
    async with with_policy(per_host=1) as fetcher:
        errors = await asyncio.gather(*(failure(fetcher, url) for _ in range(5)))
    assert [error.cause for error in errors] == ["http 429"] + ["host asked to wait"] * 4
    assert len(server.requests) == 1


async def test_nobody_queues_at_a_host_that_asked_to_wait() -> None:
    turns = Turns(1, 0.0)
    async with turns.turn("a"), asyncio.timeout(5):
        turns.pause("a", 60)
        with pytest.raises(FetchError, match="host asked to wait"):
            await starts(turns, "a")


async def test_a_redirect_to_a_host_that_asked_to_wait_is_not_followed(
    server: FeedServer, neighbour: FeedServer
) -> None:
    busy = neighbour.serve("/busy", Answer(status=429, headers={"Retry-After": "120"}))
    async with with_policy(allow_private=frozenset({"127.0.0.1", "127.0.0.2"})) as fetcher:
        assert (await failure(fetcher, server.redirect("/a", busy))).cause == "http 429"
        assert (await failure(fetcher, server.redirect("/b", busy))).cause == "host asked to wait"
        # the one that only sent us there is not meant
        assert isinstance(await fetcher.fetch(Feed(server.serve("/c", Answer(BODY))), Validators()), Document)
    assert len(neighbour.requests) == 1


async def test_a_host_is_asked_again_when_its_time_has_passed() -> None:
    turns = Turns(1, 0.0)
    turns.pause("a", 0.02)
    with pytest.raises(FetchError):
        await starts(turns, "a")
    await asyncio.sleep(0.03)
    assert len(await starts(turns, "a")) == 1


async def test_a_short_wait_does_not_undo_a_long_one() -> None:
    turns = Turns(1, 0.0)
    turns.pause("a", 60)
    turns.pause("a", 0.001)
    await asyncio.sleep(0.01)
    with pytest.raises(FetchError):
        turns.refuse_paused("a")


# -- posts to hubs --------------------------------------------------------------------------------

FORM = {"hub.mode": "subscribe", "hub.topic": "https://news.example/rss?a=1&b=ö", "hub.secret": "s3cret"}


@dataclass
class PostOffice:
    """Takes posts on loopback, and answers each path with a status and, maybe, a Location."""

    url: str = ""
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: path, form and user agent of each post
    posts: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    #: posts that are being taken, at most
    at_once: int = 0
    _now: int = 0

    def says(self, path: str, status: int, location: str = "") -> str:
        self.answers[path] = (status, location)
        return self.url + path

    async def take(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.posts.append((request.path, form, request.headers["User-Agent"]))
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        await asyncio.sleep(0.01)
        self._now -= 1
        status, location = self.answers[request.path]
        return web.Response(status=status, headers={"Location": location} if location else {})


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    office = PostOffice()
    application = web.Application()
    application.router.add_post("/{path:.*}", office.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    office.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield office
    await runner.cleanup()


@pytest.mark.parametrize("status", [202, 204, 400, 404, 500])
async def test_a_post_brings_its_form_and_gives_the_status(office: PostOffice, fetcher: Fetcher, status: int) -> None:
    assert await fetcher.post(office.says("/hub", status), FORM) == status
    assert office.posts == [("/hub", FORM, "news-monitor tests")]


@pytest.mark.parametrize("status", [307, 308])
async def test_a_form_follows_redirects_that_keep_it(office: PostOffice, fetcher: Fetcher, status: int) -> None:
    office.says("/there", 202)
    assert await fetcher.post(office.says("/hub", status, "/there"), FORM) == 202
    assert [(path, form) for path, form, _ in office.posts] == [("/hub", FORM), ("/there", FORM)]


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_form_does_not_follow_the_others(office: PostOffice, fetcher: Fetcher, status: int) -> None:
    office.says("/there", 202)
    assert await fetcher.post(office.says("/hub", status, "/there"), FORM) == status
    assert len(office.posts) == 1


#: where a hub, or its redirect, leads -> the cause of the failure
NOWHERE = {
    "http://127.0.0.2:9/": "private address",
    "http://10.0.0.1/": "private address",
    "http://[::1]/": "private address",
    "ftp://hub.example/": "bad url",
    "file:///etc/passwd": "bad url",
    "https:///hub": "bad url",
}


async def post_failure(fetcher: Fetcher, url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await fetcher.post(url, FORM)
    return caught.value


@pytest.mark.parametrize(("url", "cause"), NOWHERE.items())
async def test_a_post_goes_nowhere_that_a_poll_would_not(fetcher: Fetcher, url: str, cause: str) -> None:
    assert (await post_failure(fetcher, url)).cause == cause


@pytest.mark.parametrize(("url", "cause"), NOWHERE.items())
async def test_a_posts_redirect_goes_nowhere_that_a_poll_would_not(
    office: PostOffice, fetcher: Fetcher, url: str, cause: str
) -> None:
    error = await post_failure(fetcher, office.says("/hub", 307, url))
    assert (error.cause, "s3cret" in str(error)) == (cause, False)


async def test_a_circle_of_posts_ends(office: PostOffice, fetcher: Fetcher) -> None:
    assert (await post_failure(fetcher, office.says("/hub", 308, "/hub"))).cause == "redirects"
    assert len(office.posts) == 6


async def test_a_hub_that_is_down_is_refused(fetcher: Fetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    assert (await post_failure(fetcher, url)).cause == "refused"


async def test_posts_take_turns_at_their_host_like_polls(office: PostOffice, fetcher: Fetcher) -> None:
    url = office.says("/hub", 202)
    await asyncio.gather(*(fetcher.post(url, FORM) for _ in range(6)))
    assert (len(office.posts), office.at_once) == (6, 2)


async def test_a_host_that_asked_to_wait_is_not_posted_to(
    server: FeedServer, office: PostOffice, fetcher: Fetcher
) -> None:
    await failure(fetcher, server.serve("/busy", Answer(status=429, headers={"Retry-After": "120"})))
    assert (await post_failure(fetcher, office.says("/hub", 202))).cause == "host asked to wait"


# -- options of a feed ----------------------------------------------------------------------------

KEY = {"X-Key": "hunter2", "Authorization": "Bearer hunter2", "Cookie": "session=hunter2"}


async def test_options_are_for_the_feeds_under_their_prefix(server: FeedServer) -> None:
    near = server.serve("/news/asia", Answer(BODY))
    far = server.serve("/newsroom", Answer(BODY))
    async with with_options(server, path="/news", headers=KEY, user_agent="Browser/1") as fetcher:
        await fetcher.fetch(Feed(near), Validators())
        await fetcher.fetch(Feed(far), Validators())
    asked, plain = (request.headers for request in server.requests)
    assert (asked["user-agent"], asked["x-key"], asked["authorization"]) == ("Browser/1", "hunter2", "Bearer hunter2")
    assert plain["user-agent"] == "news-monitor tests"
    assert "hunter2" not in str(plain)


async def test_the_longest_prefix_holds(server: FeedServer) -> None:
    options = [FeedOptions(server.url(path), user_agent=path) for path in ("/", "/news/asia", "/news")]
    async with with_policy(options=tuple(options)) as fetcher:
        await fetcher.fetch(Feed(server.serve("/news/asia?id=1", Answer(BODY))), Validators())
    assert server.requests[0].headers["user-agent"] == "/news/asia"


@pytest.mark.parametrize("path", ["", "/"])
async def test_another_host_that_looks_alike_gets_nothing(server: FeedServer, neighbour: FeedServer, path: str) -> None:
    lookalike = neighbour.serve("/feed", Answer(BODY)).replace("http://", server.url("") + "@")
    async with with_options(server, path=path, headers=KEY) as fetcher:
        await fetcher.fetch(Feed(lookalike), Validators())
    assert "hunter2" not in str(neighbour.requests)


async def test_a_redirect_within_the_origin_keeps_the_headers(server: FeedServer) -> None:
    server.serve("/elsewhere", Answer(BODY))
    async with with_options(server, path="/news", headers=KEY, user_agent="Browser/1") as fetcher:
        await fetcher.fetch(Feed(server.redirect("/news", "/elsewhere")), Validators())
    assert [request.headers["x-key"] for request in server.requests] == ["hunter2", "hunter2"]
    assert server.requests[1].headers["user-agent"] == "Browser/1"


async def test_a_redirect_to_another_host_leaves_the_headers_behind(server: FeedServer, neighbour: FeedServer) -> None:
    url = server.redirect("/news", neighbour.serve("/feed", Answer(BODY)))
    async with with_options(server, headers=KEY, user_agent="Browser/1") as fetcher:
        await fetcher.fetch(Feed(url.replace("http://", "http://me:hunter2@")), Validators())
        await fetcher.fetch(Feed(url), Validators())
    there = [request.headers for request in neighbour.requests]
    assert "hunter2" not in str(there)
    assert {headers["user-agent"] for headers in there} == {"news-monitor tests"}


async def test_a_redirect_to_another_port_leaves_the_headers_behind(server: FeedServer) -> None:
    with FeedServer() as other:
        url = server.redirect("/news", other.serve("/feed", Answer(BODY)))
        async with with_options(server, headers=KEY) as fetcher:
            await fetcher.fetch(Feed(url), Validators())
        assert "hunter2" not in str(other.requests)


async def test_a_redirect_there_and_back_brings_the_headers_home(server: FeedServer, neighbour: FeedServer) -> None:
    home = server.serve("/home", Answer(BODY))
    url = server.redirect("/news", neighbour.redirect("/away", home))
    async with with_options(server, headers=KEY) as fetcher:
        await fetcher.fetch(Feed(url), Validators())
    assert [request.headers.get("x-key") for request in server.requests] == ["hunter2", "hunter2"]
    assert "hunter2" not in str(neighbour.requests)


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", True), ("127.0.0.2", False)])
async def test_an_address_that_the_feed_moved_to_gets_the_headers_if_it_is_the_same_host(
    server: FeedServer, neighbour: FeedServer, host: str, told: bool
) -> None:
    there = server if host == server.host else neighbour
    address = there.serve("/moved", Answer(BODY))
    async with with_options(server, headers=KEY) as fetcher:
        await fetcher.fetch(Feed(server.url("/feed")), Validators(), address=address)
    assert ("x-key" in there.requests[0].headers) is told


async def test_credentials_of_the_url_go_to_its_own_host(server: FeedServer) -> None:
    server.serve("/news", Answer(BODY))
    feed = Feed(server.redirect("/feed", "/news").replace("http://", "http://me:hunter%202@"))
    async with with_policy() as fetcher:
        await fetcher.fetch(feed, Validators())
    secret = "Basic " + base64.b64encode(b"me:hunter 2").decode()
    assert [request.headers["authorization"] for request in server.requests] == [secret, secret]


async def test_a_proxy_is_asked_for_the_whole_address_and_may_be_private(server: FeedServer) -> None:
    server.redirect("http://news.example/feed", "http://cdn.example/feed")
    server.serve("http://cdn.example/feed", Answer(BODY))
    options = FeedOptions("http://news.example/", proxy=server.url("", "localhost"))
    async with with_policy(options=(options,), allow_private=frozenset()) as fetcher:
        document = await fetcher.fetch(Feed("http://news.example/feed"), Validators())
    assert isinstance(document, Document)
    assert (document.url, document.body) == ("http://cdn.example/feed", BODY)


@pytest.mark.parametrize("target", ["http://127.0.0.2/", "http://169.254.169.254/latest/meta-data/"])
async def test_a_proxy_is_not_asked_for_a_private_address(server: FeedServer, target: str) -> None:
    server.redirect("http://news.example/feed", target)
    options = FeedOptions("http://news.example/", proxy=server.url(""))
    async with with_policy(options=(options,), allow_private=frozenset()) as fetcher:
        error = await failure(fetcher, "http://news.example/feed")
    assert (error.cause, len(server.requests)) == ("private address", 1)


async def test_the_machine_of_a_proxy_stays_private_for_feeds(server: FeedServer, neighbour: FeedServer) -> None:
    options = FeedOptions("http://news.example/", proxy=neighbour.url("", "localhost"))
    async with with_policy(options=(options,), allow_private=frozenset()) as fetcher:
        error = await failure(fetcher, server.url("/feed", "localhost"))
    assert error.cause == "private address"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_down_is_named(scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with with_policy(options=(FeedOptions(f"{scheme}://news.example/", proxy=down),)) as fetcher:
            error = await failure(fetcher, f"{scheme}://news.example/feed")
    assert (error.cause, error.weight) == ("proxy", 0.5)


async def test_a_proxy_that_will_not_tunnel_is_named(server: FeedServer) -> None:
    # http.server answers CONNECT with 501.
    async with with_policy(options=(FeedOptions("https://news.example/", proxy=server.url("")),)) as fetcher:
        error = await failure(fetcher, "https://news.example/feed")
    assert (error.cause, str(error)) == ("proxy", "proxy: http 501")


# -- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def secure() -> Iterator[FeedServer]:
    """A server whose certificate nobody knows, with a key that is too short."""
    with FeedServer(tls=True) as server:
        yield server


async def test_a_server_without_tls_fails_in_tls(server: FeedServer, fetcher: Fetcher) -> None:
    error = await failure(fetcher, server.url("/feed").replace("http://", "https://"))
    assert (error.cause, error.weight) == ("tls", 0.5)


async def test_an_unknown_certificate_is_refused(secure: FeedServer, fetcher: Fetcher) -> None:
    error = await failure(fetcher, secure.serve("/feed", Answer(BODY)))
    assert (error.cause, error.weight) == ("tls", 0.5)


async def test_legacy_tls_takes_a_weak_key_but_not_an_unknown_one(
    secure: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(secure.serve("/feed", Answer(BODY)))
    async with with_options(secure, tls="legacy") as fetcher:
        assert (await failure(fetcher, feed.url)).cause == "tls"
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    async with with_options(secure, tls="legacy") as fetcher:
        assert isinstance(await fetcher.fetch(feed, Validators()), Document)


@pytest.mark.parametrize(("tls", "refused"), [("verify", True), ("legacy", False)])
async def test_legacy_tls_takes_a_server_that_cannot_renegotiate_securely(tls: Any, refused: bool) -> None:
    # A ServerHello of TLS 1.2 for ECDHE-RSA-AES128-GCM-SHA256 without any extension, and not a word more.
    hello = b"\x03\x03" + bytes(32) + b"\x00" + b"\xc0\x2f" + b"\x00"
    record = b"\x16\x03\x03" + (len(hello) + 4).to_bytes(2) + b"\x02" + len(hello).to_bytes(3) + hello
    with raw_server(record) as url:
        prefix = url.replace("http://", "https://")
        async with with_policy(options=(FeedOptions(prefix, tls=tls),)) as fetcher:
            error = await failure(fetcher, prefix)
    assert ("unsafe legacy renegotiation" in str(error).lower().replace("_", " ")) is refused


async def test_insecure_tls_takes_anything(secure: FeedServer) -> None:
    url = secure.serve("/feed", Answer(BODY))
    async with with_options(secure, tls="insecure") as fetcher:
        assert isinstance(await fetcher.fetch(Feed(url), Validators()), Document)


async def test_insecure_tls_ends_at_the_feeds_own_host(secure: FeedServer) -> None:
    with FeedServer("127.0.0.2", tls=True) as other:
        url = secure.redirect("/feed", other.serve("/feed", Answer(BODY)))
        async with with_options(secure, tls="insecure") as fetcher:
            assert (await failure(fetcher, url)).cause == "tls"


# -- help -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """Something that says this to one caller whatever it is asked, and hangs up; gives its URL."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            caller, _ = listener.accept()
            with caller:
                caller.recv(65_536)
                caller.sendall(answer)
                caller.shutdown(socket.SHUT_WR)
                caller.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            thread.join()
