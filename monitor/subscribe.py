"""When to ask a hub to push a feed to us, and whether its pushes can be relied on. Pure; `websub` does the asking.

WebSub, https://www.w3.org/TR/websub/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from monitor.model import Subscription

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def is_live(subscription: Subscription | None, now: datetime) -> bool:
    """Say whether a hub has promised to push at this time."""
    return subscription is not None and subscription.expires is not None and now < subscription.expires


def due(now: datetime, offers: Iterable[tuple[str, str, str]], known: Mapping[str, Subscription]) -> list[Subscription]:
    """Give what to ask for now, each for `Subscriber.subscribe`.

    `offers` are (feed address, hub, topic) as the feeds name them now, `known` is by feed address. A lease is renewed when
    80 % of it is gone, a request that nobody verified repeated after an hour, two, four, up to a day, a denied one after a
    day. A feed that names another hub or topic is heard once an hour.
    """
    wanted = []
    for feed_url, hub, topic in offers:
        asked = Subscription(feed_url, hub, topic, "asked", now, tries=1)
        before = known.get(feed_url)
        if before is None or ((before.hub, before.topic) != (hub, topic) and now >= before.since + _HOUR):
            wanted.append(asked)
        elif (before.hub, before.topic) == (hub, topic) and now >= before.since + _pause(before):
            wanted.append(replace(asked, tries=before.tries + 1, expires=before.expires))
    return wanted


def _pause(subscription: Subscription) -> timedelta:
    match subscription.state:
        case "asked":
            return min(_HOUR / 2 * (1 << min(subscription.tries, 6)), _DAY)
        case "active":
            return max(((subscription.expires or subscription.since) - subscription.since) * 0.8, _HOUR)
        case "denied":
            return _DAY


# -- whether to rely on it ------------------------------------------------------------------------

#: Polls with news after which we forget half of what we counted, and of these a push must have announced so many.
_MEMORY = 16
_ENOUGH = 4


def counted(pushes: int, unannounced: int, *, found: datetime, pushed: datetime | None) -> tuple[int, int]:
    """Count a poll that found new items at `found`; `pushed` is when the feed's last push made it due, None if never.

    `pushes` are the polls with news that a push had announced no more than ten minutes before, `unannounced` the others.
    """
    announced = pushed is not None and found - pushed <= timedelta(minutes=10)
    pushes, unannounced = pushes + announced, unannounced + (not announced)
    # A hub that worked for years may stop today. Halves are rounded against it.
    return (pushes // 2, (unannounced + 1) // 2) if pushes + unannounced >= _MEMORY else (pushes, unannounced)


def trusted(pushes: int, unannounced: int) -> bool:
    """Say whether a feed's pushes have announced enough of its news that it may be polled less often."""
    return pushes >= _ENOUGH and unannounced * 4 <= pushes
