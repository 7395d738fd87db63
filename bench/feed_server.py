"""Many publishers on one port of this machine, for benchmarks: real documents that change, stay, dawdle and break.

    python bench/feed_server.py --documents ../shared/fixtures/real_feeds [--feeds 10000] [--seed 1]

Prints its port, and serves until it is killed. Each host has an address of its own in 127.0.0.0/8, all of which Linux
answers, so that clients count it as a host of its own. What becomes of a poll is drawn from the seed, the feed and how
often that feed was asked before: two clients that ask alike are answered alike. `/stats` gives what was seen since it was
last looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import enum
import json
import random
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate
from pathlib import Path

#: Before any answer, as if from the next town: seconds.
LATENCY = 0.02
#: Before, or over, the answer of a feed that dawdles: seconds.
SLOW = (2.0, 5.0)
RETRY_AFTER = 60  # seconds
#: In so many pieces a body drips.
DRIPS = 10


class Fate(enum.StrEnum):
    """What becomes of one poll."""

    FIRST = "first"  # the whole document, at once
    UNCHANGED = "unchanged"
    CHANGED = "changed"  # one to three new items on top, as many old ones gone
    SLOW = "slow"  # complete in the end; half of them changed, half of them drip
    BROKEN = "broken"


_SHARES = {Fate.UNCHANGED: 70, Fate.CHANGED: 15, Fate.SLOW: 10, Fate.BROKEN: 5}
_BREAKS = ("404", "500", "503", "reset", "html", "cut", "empty")
#: What feeds give to ask "anything new?" with: half of them all there is, a quarter a date, a quarter nothing.
_VALIDATORS = (("ETag", "Last-Modified"), ("ETag", "Last-Modified"), ("Last-Modified",), ())


def address(host: int) -> str:
    return f"127.{1 + host // 62_500}.{host // 250 % 250}.{1 + host % 250}"


def urls(feeds: int, hosts: int, port: int) -> list[str]:
    """The feeds' addresses by their numbers; neighbours are on different hosts."""
    return [f"http://{address(feed % hosts)}:{port}/feed/{feed}" for feed in range(feeds)]


# -- documents ------------------------------------------------------------------------------------

_ITEM = re.compile(rb"<(item|entry)[\s>].*?</\1>", re.DOTALL)
_TITLE = re.compile(rb"<title\b[^>]*>\s*(?:<!\[CDATA\[)?")
#: what names an item, be that an element's text or an attribute; not beyond its path: a parameter may name nothing
_NAME = re.compile(
    rb"<(?:guid|id|link)\b[^>]*>\s*(?:<!\[CDATA\[)?[^<>\]\s?#]+|<link\b[^>]*href=[\"'][^\"'?#]+|rdf:about=[\"'][^\"'?#]+"
)
_RSS_DATE = re.compile(rb"(<pubDate>)[^<]*")
_ISO_DATE = re.compile(rb"(<(?:published|updated|dc:date)\b[^>]*>)[^<]*")


@dataclass(frozen=True, slots=True)
class Model:
    """A real document, cut so that items can be put on top."""

    head: bytes
    #: newest first, each with what stands before it
    items: tuple[bytes, ...]
    tail: bytes

    @classmethod
    def of(cls, document: bytes) -> Model | None:
        """None if there is no item in it."""
        found = list(_ITEM.finditer(document))
        if not found:
            return None
        starts = [found[0].start(), *(one.end() for one in found)]
        items = [document[start : one.end()] for start, one in zip(starts, found, strict=False)]
        return cls(document[: starts[0]], tuple(items), document[starts[-1] :])

    def with_news(self, news: list[bytes]) -> bytes:
        """The document with these items on top, and as many as it had."""
        return b"".join((self.head, *[*news, *self.items][: len(self.items)], self.tail))

    def news(self, number: int, when: datetime) -> bytes:
        """The feed's item of this number, made from one of the document's own."""
        mark = b"-n%d" % number
        item = _NAME.sub(lambda name: name[0] + mark, self.items[number % len(self.items)])
        item = _TITLE.sub(lambda title: title[0] + b"News %d: " % number, item)
        item = _RSS_DATE.sub(rb"\g<1>" + format_datetime(when).encode(), item)
        return _ISO_DATE.sub(rb"\g<1>" + when.isoformat(timespec="seconds").encode(), item)


@dataclass(slots=True)
class Feed:
    number: int
    model: Model
    validators: tuple[str, ...]
    polls: int = 0
    #: items made so far; says which version the document is
    made: int = 0
    news: list[bytes] = field(default_factory=list)

    def change(self, items: int) -> None:
        for _ in range(items):
            self.made += 1
            self.news.insert(0, self.model.news(self.made, datetime.now(UTC)))
        del self.news[len(self.model.items) :]

    def headers(self) -> dict[str, str]:
        every = {"ETag": f'"{self.number}-{self.made}"', "Last-Modified": formatdate(1e9 + self.made, usegmt=True)}
        return {name: every[name] for name in self.validators}


# -- what was seen --------------------------------------------------------------------------------


@dataclass(slots=True)
class Seen:
    #: greatest number of requests at one moment, of any one host
    most_at_once: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    #: feed and Unix time of each request, in order
    arrivals: list[tuple[int, float]] = field(default_factory=list)


class World:
    """All feeds, and what is going on at each host."""

    def __init__(self, models: list[Model], feeds: int, seed: int) -> None:
        self._seed = seed
        self.feeds = [self._feed(number, models) for number in range(feeds)]
        self.seen = Seen()
        self._at_once: Counter[str] = Counter()

    def _feed(self, number: int, models: list[Model]) -> Feed:
        luck = random.Random(f"{self._seed}/{number}")
        return Feed(number, luck.choice(models), luck.choice(_VALIDATORS))

    def fate(self, feed: Feed) -> tuple[Fate, random.Random]:
        """What becomes of the poll that now came in, and the luck for the rest of it."""
        luck = random.Random(f"{self._seed}/{feed.number}/{feed.polls}")
        fate = luck.choices(list(_SHARES), list(_SHARES.values()))[0] if feed.polls else Fate.FIRST
        feed.polls += 1
        self.seen.fates[fate] += 1
        self.seen.arrivals.append((feed.number, time.time()))
        if fate is Fate.CHANGED or (fate is Fate.SLOW and luck.random() < 0.5):
            feed.change(luck.randint(1, 3))
        return fate, luck

    @contextmanager
    def asked(self, host: str) -> Iterator[None]:
        self._at_once[host] += 1
        self.seen.most_at_once = max(self.seen.most_at_once, self._at_once[host])
        try:
            yield
        finally:
            self._at_once[host] -= 1

    def look(self) -> bytes:
        seen, self.seen = self.seen, Seen()
        return json.dumps({"most_at_once": seen.most_at_once, "fates": seen.fates, "arrivals": seen.arrivals}).encode()


# -- the wire -------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """HTTP/1.1 by hand: a framework would cost as much as the client that is measured."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._received = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host: str = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\r\n\r\n"):  # a GET has no body
            request, self._received = self._received.decode("latin-1"), b""
            self._task = asyncio.get_running_loop().create_task(self._answer(request))

    def connection_lost(self, _: Exception | None) -> None:
        if self._task:
            self._task.cancel()

    async def _answer(self, request: str) -> None:
        line, *fields = request.splitlines()
        path = line.split(" ")[1]
        if path == "/stats":
            self._send("200 OK", self._world.look(), {"Content-Type": "application/json"})
            return
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
        feed = self._world.feeds[int(path.rpartition("/")[2])]
        fate, luck = self._world.fate(feed)
        with self._world.asked(self._host):
            await asyncio.sleep(LATENCY)
            if fate is Fate.BROKEN:
                self._break(luck.choice(_BREAKS), feed)
                return
            pause = luck.uniform(*SLOW) if fate is Fate.SLOW else 0.0
            known = _is_known(feed.headers(), headers)
            if pause and (known or luck.random() < 0.5):
                await asyncio.sleep(pause)
                pause = 0.0
            if known:
                self._send("304 Not Modified", None, feed.headers())
                return
            await self._send_slowly(feed.model.with_news(feed.news), feed.headers(), pause)

    async def _send_slowly(self, body: bytes, headers: dict[str, str], pause: float) -> None:
        if not pause:
            self._send("200 OK", body, headers)
            return
        self._send("200 OK", body, headers, sent=0)
        step = len(body) // DRIPS + 1
        for start in range(0, len(body), step):
            await asyncio.sleep(pause / DRIPS)
            self._transport.write(body[start : start + step])

    def _break(self, how: str, feed: Feed) -> None:
        if how == "reset":
            # lingering for zero seconds makes the close a reset
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        elif how == "cut":
            body = feed.model.with_news(feed.news)
            self._send("200 OK", body, feed.headers(), sent=len(body) // 2)
            self._transport.close()
        elif how == "html":
            page = b"<!doctype html><html><head><title>Back soon</title></head><body><p>Back soon.</body></html>"
            self._send("200 OK", page, {"Content-Type": "text/html"})
        elif how == "empty":
            self._send("200 OK", b"", {})
        else:
            later = {"Retry-After": str(RETRY_AFTER)} if how == "503" else {}
            self._send(f"{how} Broken", b"", later)

    def _send(self, status: str, body: bytes | None, headers: dict[str, str], sent: int | None = None) -> None:
        """Send an answer, of its body the first `sent` bytes. A 304 has none."""
        length = {} if body is None else {"Content-Type": "application/xml", "Content-Length": str(len(body))}
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (length | headers).items())]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + (body or b"")[:sent])


def _is_known(ours: dict[str, str], theirs: dict[str, str]) -> bool:
    """Say whether a conditional request names the version we have (RFC 9110, section 13.2.2: the ETag goes first)."""
    if "if-none-match" in theirs:
        return theirs["if-none-match"] == ours.get("ETag")
    return "Last-Modified" in ours and theirs.get("if-modified-since") == ours["Last-Modified"]


async def serve(world: World, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(world), "0.0.0.0", port, backlog=4096)  # noqa: S104
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--documents", type=Path, required=True, help="folder of feeds, one a file")
    ask.add_argument("--feeds", type=int, default=10_000)
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--port", type=int, default=0)
    args = ask.parse_args()
    models = [model for file in sorted(args.documents.iterdir()) if (model := Model.of(file.read_bytes()))]
    asyncio.run(serve(World(models, args.feeds, args.seed), args.port))


if __name__ == "__main__":
    main()
