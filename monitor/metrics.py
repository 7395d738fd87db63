"""Put the monitor's state in numbers that a program watches: OpenMetrics text, for a scraper that runs `status --metrics` or
reads the file it was written to. https://prometheus.io/docs/specs/om/open_metrics_spec/. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from monitor.health import conditions
from monitor.model import Condition, DeliveryState, FeedState, Flight, HoldReason, Verdict

#: name -> what it counts. Names never change; a new meaning gets a new name.
METRICS = {
    "news_monitor_feeds": "Feeds on the list.",
    "news_monitor_feeds_failing": "Feeds whose last poll failed.",
    "news_monitor_feeds_in_condition": "Feeds with something wrong, by condition; one feed may have several.",
    "news_monitor_held_items": "Items that the storm breaker holds.",
    "news_monitor_outage": "1 while our own network is out.",
    "news_monitor_items": "Items ever seen, by verdict.",
    "news_monitor_stories": "Stories ever opened.",
    "news_monitor_outbox": "Alerts and notices, by the state of their delivery.",
    "news_monitor_held_alerts": "Alerts that are held, by reason.",
    "news_monitor_overdue_seconds": "By how much the longest overdue feed is.",
    "news_monitor_canary_failed": "1 while the latest canary has failed.",
    "news_monitor_canary_arrived_timestamp_seconds": "When the latest canary arrived, in Unix time; 0: it has not.",
    "news_monitor_last_poll_timestamp_seconds": "When a poll was last written down, in Unix time; 0: never.",
}


def metrics(
    states: Sequence[FeedState],
    stories: int,
    verdicts: Mapping[str, int],
    outbox: Mapping[str, int],
    held: Mapping[str, int],
    *,
    outage: bool,
    canary: Flight | None = None,
    now: datetime,
) -> str:
    """Give all metrics. Every label value is there from the beginning, also where it counts nothing."""
    found = Counter(condition for state in states for condition in conditions(state, now))
    overdue = [(now - state.next_poll).total_seconds() for state in states if state.next_poll and state.next_poll < now]
    polls = [state.last_poll.timestamp() for state in states if state.last_poll]
    by_condition: dict[str, int] = {
        condition: found[condition] for condition in Condition if condition is not Condition.OUTAGE
    }
    values: dict[str, Iterator[str]] = {
        "news_monitor_feeds": _one(len(states)),
        "news_monitor_feeds_failing": _one(sum(bool(state.last_error) for state in states)),
        "news_monitor_feeds_in_condition": _each("condition", by_condition),
        "news_monitor_held_items": _one(sum(state.held for state in states)),
        "news_monitor_outage": _one(int(outage)),
        "news_monitor_items": _each("verdict", {verdict: verdicts.get(verdict, 0) for verdict in Verdict}),
        "news_monitor_stories": _one(stories),
        "news_monitor_outbox": _each("state", {state: outbox.get(state, 0) for state in DeliveryState}),
        "news_monitor_held_alerts": _each("reason", {reason: held.get(reason, 0) for reason in HoldReason}),
        "news_monitor_overdue_seconds": _one(round(max(overdue, default=0.0), 3)),
        "news_monitor_canary_failed": _one(int(canary is not None and bool(canary.failed))),
        "news_monitor_canary_arrived_timestamp_seconds": _one(
            round(canary.arrived.timestamp(), 3) if canary and canary.arrived else 0
        ),
        "news_monitor_last_poll_timestamp_seconds": _one(round(max(polls, default=0.0), 3)),
    }
    lines = []
    for name, help_text in METRICS.items():
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {help_text}", *(f"{name}{value}" for value in values[name])]
    return "\n".join([*lines, "# EOF", ""])


def _one(value: float) -> Iterator[str]:
    yield f" {value}"


def _each(label: str, values: Mapping[str, int]) -> Iterator[str]:
    for key, value in values.items():
        yield f'{{{label}="{key}"}} {value}'
