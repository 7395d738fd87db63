"""Say whether the monitor does its work, check by check: what is ready, and what keeps it from being so. Pure.

The names are those that /readyz shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from monitor.model import DeliveryState, FeedState, Vitals

#: Of the feeds that are not known to be gone, so many must be fresh.
FRESH = 0.8
#: A feed is fresh if it is not overdue by so much, and has not failed for so long.
OVERDUE, FAILING = timedelta(minutes=15), timedelta(hours=1)
#: What could be sent has been, unless something is wrong, within this time.
UNSENT = timedelta(minutes=5)


def readiness(vitals: Vitals, *, trouble: str, stalled: str, waiting_since: datetime | None) -> dict[str, str]:
    """Give each check with what is wrong, in words; empty where all is well.

    trouble: what keeps us from reading or writing the database. stalled: which of our threads does not get on.
    waiting_since: since when the oldest delivery waits that could be sent; None if none does.
    """
    waits = vitals.at - waiting_since if waiting_since else timedelta(0)
    everywhere = next((one.because for one in vitals.blockages if not one.channel), "")
    return {
        "database": trouble,
        "progress": stalled,
        "network": "most hosts cannot be reached" if vitals.outage else "",
        "feeds": _stale(vitals.feeds, vitals.at),
        "delivery": f"an alert waits for {_minutes(waits)} min" if waits > UNSENT else "",
        "slack": everywhere and f"every channel is blocked: {everywhere}",
    }


def status_line(vitals: Vitals) -> str:
    """Say in a line how we are: what an operator asks first."""
    failing = sum(bool(state.last_error) for state in vitals.feeds)
    waiting = sum(vitals.outbox.get(state, 0) for state in (DeliveryState.QUEUED, DeliveryState.UNKNOWN))
    stuck = sum(vitals.outbox.get(state, 0) for state in (DeliveryState.BLOCKED, DeliveryState.DEAD))
    parts = [
        f"{len(vitals.feeds)} feeds" + (f", {failing} failing" if failing else ""),
        f"{vitals.outbox.get(DeliveryState.SENT, 0)} sent",
        f"{waiting} waiting" if waiting else "",
        f"{stuck} stuck" if stuck else "",
        "our network is out" if vitals.outage else "",
    ]
    return "running: " + "; ".join(filter(None, parts))


def _stale(states: Sequence[FeedState], now: datetime) -> str:
    fresh = sum(_is_fresh(state, now) for state in states)
    if fresh >= FRESH * len(states):
        return ""
    return f"{len(states) - fresh} of {len(states)} are overdue, or fail for an hour or longer"


def _is_fresh(state: FeedState, now: datetime) -> bool:
    on_time = state.next_poll is None or now - state.next_poll < OVERDUE
    return on_time and (state.failing_since is None or now - state.failing_since < FAILING)


def _minutes(span: timedelta) -> int:
    return int(span / timedelta(minutes=1))
