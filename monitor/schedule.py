"""Say when to poll a feed next. Pure: the time, and the luck of the draw, come in as arguments.

Refuses to give a feed up: the longest pause is `ceiling`, or a day where the server itself asked for more.
`jitter`, drawn by the caller from [0, 1), moves a pause by up to a tenth, so that feeds first polled together drift apart.
"""

from __future__ import annotations

from datetime import datetime, timedelta

#: A server may ask for a pause, but not for silence.
_LONGEST_RETRY_AFTER = timedelta(days=1)


def after_success(now: datetime, *, interval: timedelta, jitter: float) -> datetime:
    """Give the time of the next poll after one that was answered: an interval, a tenth less or more."""
    return now + _spread(interval, jitter)


def after_failure(
    now: datetime,
    failures: float,
    *,
    interval: timedelta,
    ceiling: timedelta,
    retry_after: float | None,
    jitter: float,
) -> datetime:
    """Give the time of the next poll after one that failed.

    `failures` are the consecutive ones, weighted, this one included: each makes the pause one interval longer, up to
    `ceiling`. A Retry-After, in seconds, is kept where it is longer, but for no more than a day.
    """
    pause = min(_spread(interval * (1 + failures), jitter), ceiling)
    if retry_after is not None:
        # Only ever later than asked, and not all of a host's feeds at the same second.
        asked = timedelta(seconds=min(retry_after, _LONGEST_RETRY_AFTER.total_seconds())) * (1 + 0.1 * jitter)
        pause = max(pause, min(asked, _LONGEST_RETRY_AFTER))
    return now + pause


def _spread(pause: timedelta, jitter: float) -> timedelta:
    return pause * (0.9 + 0.2 * jitter)
