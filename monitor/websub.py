"""Let hubs tell us that a feed has news: a WebSub subscriber, https://www.w3.org/TR/websub/. Edge: aiohttp's server side.

Takes the requests of hubs, gives hints that a feed is due. A hint is all that a push can be: its content is read for its
signature and never kept, and the poll that follows is the truth. What to ask of a hub is decided by pure functions.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import unquote

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from monitor.errors import FetchError
from monitor.model import Subscription
from monitor.text import clip, plain

#: What we ask for; a hub decides. Short, so that a hub forgets a feed we dropped: we never unsubscribe.
LEASE = timedelta(days=5)
#: What we believe of a longer lease.
_LONGEST_LEASE = timedelta(days=30)
#: However often a hub pushes, it makes us poll a feed no more often than this.
_GAP = timedelta(seconds=60)
#: of a push, in bytes; as much as `fetch` takes of a feed, for nothing of it is kept
_LONGEST_PUSH = 10_000_000
_LONGEST_WAIT = 30.0  # seconds, for the body of a push
#: section 7.1.1; an HMAC stays sound where its hash no longer is, and most hubs sign with SHA-1
_METHODS = frozenset({"sha1", "sha256", "sha384", "sha512"})
#: how aiohttp calls a request that is not HTTP
_BROKEN = (HttpProcessingError, web.RequestPayloadError)


# -- the subscriber -------------------------------------------------------------------------------


class Subscriber:
    """Asks hubs, and answers them.

    `callback` is the address under which hubs reach us, and `key` makes of each subscription an address nobody can guess
    and the secret that its pushes are signed with, so that neither need be stored. `post` sends a form and gives the status
    of the answer, following redirects (section 5.1.2), or raises FetchError. `on_push` is given a feed's address and the
    time at which it is to be polled, `on_change` every new state of a subscription.
    """

    def __init__(
        self,
        callback: str,
        key: bytes,
        post: Callable[[str, Mapping[str, str]], Awaitable[int]],
        on_push: Callable[[str, datetime], None],
        on_change: Callable[[Subscription], None],
        clock: Callable[[], datetime],
        subscriptions: Iterable[Subscription] = (),
    ) -> None:
        self._callback = callback.rstrip("/") + "/"
        self._key = key
        self._post = post
        self._on_push = on_push
        self._on_change = on_change
        self._clock = clock
        #: by feed address
        self.subscriptions = {subscription.feed_url: subscription for subscription in subscriptions}
        #: last part of a callback's path -> feed
        self._feeds = {self._derive("callback", known): feed_url for feed_url, known in self.subscriptions.items()}
        #: feed -> the last poll that a push asked for
        self._polls: dict[str, datetime] = {}

    async def subscribe(self, asked: Subscription) -> None:
        """Ask a hub for what `due` gave. Whether it consents it says later, and perhaps before this returns."""
        self.forget(asked.feed_url)
        token = self._derive("callback", asked)
        self._feeds[token] = asked.feed_url
        self._remember(asked)
        form = {
            "hub.mode": "subscribe",
            "hub.topic": asked.topic,
            "hub.callback": self._callback + token,
            # Also to a hub without TLS, against section 5.1: who listens there learns nothing that he could not do without.
            "hub.secret": self._derive("secret", asked),
            "hub.lease_seconds": str(int(LEASE.total_seconds())),
        }
        try:
            status = await self._post(asked.hub, form)
            reason = "" if 200 <= status < 300 else f"http {status}"
        except FetchError as error:
            reason = str(error)
        if reason and self.subscriptions.get(asked.feed_url) == asked:
            self._remember(replace(asked, reason=reason))

    def forget(self, feed_url: str) -> None:
        """Know nothing more of a feed: its hub's requests meet a 404."""
        if known := self.subscriptions.pop(feed_url, None):
            del self._feeds[self._derive("callback", known)]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a hub. The path's last part is the capability, so that a proxy may rewrite what stands before it."""
        known = self.subscriptions.get(self._feeds.get(request.path.rpartition("/")[2], ""))
        if known is None:
            return _say(404)
        match request.method:
            case "GET":
                return self._verify(known, request.query)
            case "POST":
                return await self._receive(known, request)
            case _:
                return _say(405, Allow="GET, POST")

    def _verify(self, known: Subscription, query: Mapping[str, str]) -> web.Response:
        """Sections 5.2 and 5.3: the hub denies what we asked for, or would hear that it was we who asked."""
        mode, challenge, now = query.get("hub.mode", ""), query.get("hub.challenge", ""), self._clock()
        # hubs decode what need not be encoded
        if unquote(query.get("hub.topic", "")) != unquote(known.topic):
            return _say(404)
        if mode == "denied":
            reason = clip(plain(query.get("hub.reason", "")[:1000]), 200)
            self._remember(replace(known, state="denied", since=now, expires=None, reason=reason))
            return _say(200)
        if mode == "subscribe" and challenge and known.state != "denied":
            expires = now + _lease(query.get("hub.lease_seconds", ""))
            self._remember(replace(known, state="active", since=now, tries=0, expires=expires, reason=""))
            return _say(200, challenge)
        return _say(404)

    async def _receive(self, known: Subscription, request: web.Request) -> web.Response:
        """Section 7: a push. One with a bad signature is ignored, but not refused: nobody learns what a good one would be."""
        method, _, signature = request.headers.get("X-Hub-Signature", "").partition("=")
        signed = method in _METHODS
        digest = hmac.new(self._derive("secret", known).encode(), digestmod=method if signed else "sha256")
        size = 0
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > _LONGEST_PUSH:
                        return _say(413)
                    digest.update(chunk)
        except (OSError, *_BROKEN):  # too slow, gone, or not HTTP any more
            return _say(400)
        genuine = hmac.compare_digest(digest.hexdigest().encode(), signature.lower().encode("ascii", "replace"))
        if signed and genuine and known.state != "denied":
            self._announce(known.feed_url)
        return _say(202)

    def _announce(self, feed_url: str) -> None:
        """Have the feed polled now, or a gap after the last time; a poll that is still to come will see this news too."""
        now, last = self._clock(), self._polls.get(feed_url)
        if last is None or abs(now - last) > _GAP:  # a poll further ahead is from before the clock was set back
            at = now
        elif now >= last:
            at = last + _GAP
        else:
            return
        self._polls[feed_url] = at
        self._on_push(feed_url, at)

    def _remember(self, subscription: Subscription) -> None:
        self.subscriptions[subscription.feed_url] = subscription
        self._on_change(subscription)

    def _derive(self, purpose: str, subscription: Subscription) -> str:
        """Give 64 hex digits for one purpose of one subscription; another hub gets others."""
        about = json.dumps([purpose, subscription.feed_url, subscription.hub, subscription.topic])
        return hmac.digest(self._key, about.encode(), "sha256").hex()


@asynccontextmanager
async def listening(subscriber: Subscriber, address: str) -> AsyncIterator[int]:
    """Answer hubs at a local "host:port" until the context is left; gives the port, which matters where 0 was asked for.

    Raises: OSError.
    """
    host, _, port = address.rpartition(":")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", subscriber.answer)
    # A log of requests, or of broken ones, would show capabilities.
    log = logging.getLogger("monitor.websub")
    log.addFilter(_is_our_fault)
    # A signature is over the bytes as they were sent.
    runner = web.AppRunner(application, access_log=None, logger=log, auto_decompress=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _is_our_fault(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], _BROKEN))


def _lease(seconds: str) -> timedelta:
    """Read hub.lease_seconds; hubs of before the standard leave it out, and then mean what was asked for."""
    if not (seconds.isascii() and seconds.isdecimal()):
        return LEASE
    return min(timedelta(seconds=int(seconds[:10])), _LONGEST_LEASE)


def _say(status: int, text: str = "", **headers: str) -> web.Response:
    # A challenge is a stranger's text: no browser may take it for a page.
    always = {"Server": "news-monitor", "X-Content-Type-Options": "nosniff"}
    return web.Response(status=status, text=text, headers=always | headers)
