"""Pushes at work: subscriptions kept alive, feeds made due by their hubs, and a count of whether that can be relied on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from secrets import token_bytes

from monitor.errors import StateError
from monitor.fetch import Fetcher
from monitor.model import Feed, Subscription
from monitor.pipeline import Clock, InThread
from monitor.store import Store
from monitor.subscribe import counted, due, is_live, trusted
from monitor.websub import Subscriber, listening

KEY = "websub.key"
_KEY_BYTES = 32
#: A feed whose pushes have proved good is polled so much less often, to see whether they still are.
STRETCH = 3.0


class Pushes:
    """What hubs tell us, and how far we trust it. Made by `open_pushes`."""

    def __init__(self, subscriber: Subscriber, store: Store, in_store: InThread, clock: Clock) -> None:
        self._subscriber = subscriber
        self._store = store
        self._in_store = in_store
        self._clock = clock
        #: feed -> what `counted` counts, and the last push
        self.counts: dict[str, tuple[int, int, datetime | None]] = {}

    async def renew(self) -> None:
        """Ask hubs for what they offer and we do not have, and again for what runs out; forget feeds off the list."""
        listed = {known.feed_url for known in await self._in_store(self._store.subscriptions)}
        for gone in self._subscriber.subscriptions.keys() - listed:
            self._subscriber.forget(gone)
        wanted = due(self._clock(), await self._in_store(self._store.offers), self._subscriber.subscriptions)
        # side by side: a hub that hangs holds up no other, and how many one is asked at once is the fetcher's to say
        await asyncio.gather(*map(self._subscriber.subscribe, wanted))

    def note_push(self, feed_url: str, at: datetime) -> None:
        pushes, unannounced, _ = self.counts.get(feed_url, (0, 0, None))
        self.counts[feed_url] = (pushes, unannounced, at)
        self._in_store(self._store.pushed, feed_url, at)

    def note_polled(self, feed_url: str, began: datetime) -> None:
        """Take in that a poll is done: what was pushed since it began may be news that it did not see."""
        *_, pushed = self.counts.get(feed_url, (0, 0, None))
        if pushed and pushed > began:
            self._in_store(self._store.pushed, feed_url, pushed)

    def note_change(self, subscription: Subscription) -> None:
        self._in_store(self._store.keep_subscription, subscription)

    def note_news(self, feed: Feed, now: datetime) -> None:
        """Take in that a poll found new items: had a push announced them?"""
        if not is_live(self._subscriber.subscriptions.get(feed.url), now):
            return
        pushes, unannounced, pushed = self.counts.get(feed.url, (0, 0, None))
        pushes, unannounced = counted(pushes, unannounced, found=now, pushed=pushed)
        self.counts[feed.url] = (pushes, unannounced, pushed)
        self._in_store(self._store.keep_push_counts, feed.url, pushes, unannounced)

    def stretch(self, feed: Feed) -> float:
        """Say by how much the feed's polls may lie further apart."""
        pushes, unannounced, _ = self.counts.get(feed.url, (0, 0, None))
        live = is_live(self._subscriber.subscriptions.get(feed.url), self._clock())
        return STRETCH if live and trusted(pushes, unannounced) else 1.0


@asynccontextmanager
async def open_pushes(
    callback: str, listen: str, folder: Path, fetcher: Fetcher, store: Store, in_store: InThread, clock: Clock
) -> AsyncIterator[Pushes]:
    """Listen for hubs, which reach us at `callback`, until the context is left.

    Raises: StateError if the key cannot be kept, or the address not be listened at.
    """
    subscriber = Subscriber(
        callback,
        _key(folder / KEY),
        fetcher.post,
        on_push=lambda feed_url, at: pushes.note_push(feed_url, at),
        on_change=lambda subscription: pushes.note_change(subscription),
        clock=clock,
        subscriptions=await in_store(store.subscriptions),
    )
    pushes = Pushes(subscriber, store, in_store, clock)
    pushes.counts = await in_store(store.push_counts)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(listening(subscriber, listen))
        except OSError as error:
            raise StateError(f"websub.listen: {listen} cannot be listened at: {error.strerror}") from error
        yield pushes


def _key(file: Path) -> bytes:
    """Give the key that callbacks and secrets are made of, made at the first start; readable by its owner alone."""
    try:
        file.touch(mode=0o600)
        # an empty key, which a start that was killed may leave, would be everybody's
        if file.stat().st_size < _KEY_BYTES:
            file.write_bytes(token_bytes(_KEY_BYTES))
        return file.read_bytes()
    except OSError as error:
        raise StateError(f"{file}: the key of WebSub subscriptions cannot be kept: {error.strerror}") from error
