"""Say when to poll a feed next. Pure: the time, and the luck of the draw, come in as arguments.

A feed is asked about twice for each item it brings, more often if what it brings matters, less often if it has been silent
for weeks, and never more often than its server wishes; all of it between a floor and a ceiling. Refuses to give a feed up.
`jitter`, drawn by the caller from [0, 1), moves a pause by up to a tenth, so that feeds first polled together drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from monitor.model import Hints, Rhythm, Severity
from monitor.text import http_date

#: A server may ask for a pause, but not for silence.
DAY = timedelta(days=1)
#: A feed that failed for so long, or is gone, is asked once a day.
LONG_DEATH = timedelta(days=7)
#: Items from which a feed's gaps are learnt.
REMEMBERED = 40
#: For so long an alert keeps its feed important.
IMPORTANT_FOR = timedelta(days=30)

_HIGH = (Severity.HIGH, Severity.CRITICAL)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often feeds are polled, by configuration."""

    #: of a feed of which nothing is known yet; the longest pause of one that matters most
    interval: timedelta
    floor: timedelta
    ceiling: timedelta
    #: by how much polls may lie further apart, because a hub pushes what is new
    stretch: float = 1.0


# -- after a success ------------------------------------------------------------------------------


def usual_pause(rhythm: Rhythm, pace: Pace, now: datetime) -> timedelta:
    """Give the pause that a feed's own rhythm asks for: half its usual gap, between floor and ceiling.

    What was taken by a topic within a month caps it: by a severe one at `interval`, by any at three times that. A feed
    silent for one, two, four weeks goes to a quarter, a half, the whole of the ceiling. (Half the mean gap, and the steps
    of silence, are what CommaFeed does; the cap is ours, because a think tank's one report a week is why it is read.)
    """
    pause = rhythm.gap / 2 if rhythm.gap is not None else pace.interval
    if rhythm.last_new is not None:
        weeks = (now - rhythm.last_new) / timedelta(weeks=1)
        pause = max([pause, *(share * pace.ceiling for after, share in _SILENCE if weeks >= after)])
    if rhythm.severity is not None and rhythm.severity_at is not None and now - rhythm.severity_at < IMPORTANT_FOR:
        pause = min(pause, pace.interval if rhythm.severity in _HIGH else 3 * pace.interval)
    return min(max(pause, pace.floor) * pace.stretch, pace.ceiling)


_SILENCE = ((1, 0.25), (2, 0.5), (4, 1.0))


def after_success(
    now: datetime, *, usual: timedelta, asked: timedelta | None, hints: Hints, pace: Pace, jitter: float
) -> datetime:
    """Give the time of the next poll after one that was answered.

    asked: what the server wishes (`asked_pause`), which can lengthen the pause up to the ceiling, never shorten it.
    """
    pause = max(usual, min(max(asked, pace.floor), pace.ceiling)) if asked else usual
    return _past_skipped(now + _spread(pause, jitter), hints, now + pace.ceiling)


def asked_pause(headers: Mapping[str, str], hints: Hints) -> timedelta | None:
    """Give the pause that a server asks for: its document's `ttl`, or the time its answer stays fresh, the longer one.

    Freshness as in RFC 9111, sections 4.2.1 and 5.2.2: `max-age` less `Age`, else `Expires` less `Date`; none where
    `no-cache` or `no-store` says that it is never fresh.
    """
    found = [pause for pause in (hints.period, _fresh_for(headers)) if pause and pause > timedelta(0)]
    return max(found, default=None)


def _fresh_for(headers: Mapping[str, str]) -> timedelta | None:
    control = headers.get("cache-control", "").lower()
    if "no-cache" in control or "no-store" in control:
        return None
    if found := re.search(r"\bmax-age\s*=\s*\"?(\d{1,9})", control):
        age = headers.get("age", "").strip()
        return timedelta(seconds=int(found[1]) - (int(age) if re.fullmatch("[0-9]{1,9}", age) else 0))
    expires, date = http_date(headers.get("expires", "")), http_date(headers.get("date", ""))
    return expires - date if expires and date else None


def _past_skipped(when: datetime, hints: Hints, latest: datetime) -> datetime:
    """Move a time out of the hours and days in which the publisher rests, but not beyond `latest`."""
    while when < latest and (when.hour in hints.skip_hours or when.weekday() in hints.skip_days):
        when = when.replace(minute=when.minute % 10, second=0) + timedelta(hours=1)
    return min(when, latest)


# -- after a failure ------------------------------------------------------------------------------


def after_failure(
    now: datetime,
    failures: float,
    *,
    dead: bool,
    usual: timedelta,
    ceiling: timedelta,
    retry_after: float | None,
    jitter: float,
) -> datetime:
    """Give the time of the next poll after one that failed.

    failures: the consecutive ones, weighted, this one included: each makes the pause one longer, up to `ceiling`.
    dead: gone, or failing for longer than LONG_DEATH: asked once a day from now on, and never forgotten.
    retry_after: in seconds; kept where it is longer, but for no more than a day.
    """
    pause = DAY * (0.9 + 0.1 * jitter) if dead else min(_spread(usual * (1 + failures), jitter), ceiling)
    if retry_after is not None:
        # Only ever later than asked, and not all of a host's feeds at the same second.
        asked = timedelta(seconds=min(retry_after, DAY.total_seconds())) * (1 + 0.1 * jitter)
        pause = max(pause, min(asked, DAY))
    return now + pause


def is_dead(cause: str, failing_since: datetime | None, now: datetime) -> bool:
    """Say whether a failing feed is gone by its server's word, or has failed for so long that nobody expects it back."""
    return cause == "http 410" or (failing_since is not None and now - failing_since > LONG_DEATH)


# -- many feeds -----------------------------------------------------------------------------------

#: Between the first polls of two feeds after a start.
_APART = timedelta(seconds=0.5)


def spread_out(feeds: Sequence[str], now: datetime, interval: timedelta) -> dict[str, datetime]:
    """Give overdue feeds, the longest overdue first, times evenly over the next interval: all at once would be a burst on
    our network, and would come again as one every interval."""
    apart = min(_APART, interval / len(feeds)) if feeds else _APART
    return {feed: now + apart * n for n, feed in enumerate(feeds)}


# -- rhythm ---------------------------------------------------------------------------------------


_TOGETHER = timedelta(seconds=1)


def learn_rhythm(rhythm: Rhythm, times: Sequence[datetime], taken: Sequence[Severity], now: datetime) -> Rhythm:
    """Give the rhythm after a poll that brought something new.

    times: of the feed's latest items, these included, in any order; taken: severities of the topics that took new ones.
    """
    ordered = sorted(times)[-REMEMBERED:]
    # what stood in the feed at its first poll has its publisher's times, or all of it the time of that poll
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(ordered) if later - earlier > _TOGETHER]
    known = len(gaps) >= 2
    severity, since = rhythm.severity, rhythm.severity_at
    if severity and since and now - since >= IMPORTANT_FOR:
        severity, since = None, None
    ranks = list(Severity)
    highest = max(taken, key=ranks.index, default=None)
    if highest and (severity is None or ranks.index(highest) >= ranks.index(severity)):
        severity, since = highest, now
    return replace(
        rhythm,
        gap=timedelta(seconds=median(gaps)) if known else rhythm.gap,
        longest_gap=timedelta(seconds=max(gaps)) if known else rhythm.longest_gap,
        newest=ordered[-1] if ordered else rhythm.newest,
        last_new=now,
        severity=severity,
        severity_at=since,
    )


def _spread(pause: timedelta, jitter: float) -> timedelta:
    return pause * (0.9 + 0.2 * jitter)
