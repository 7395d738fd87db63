"""Put the monitor's state, and what went by since its start, in numbers that Prometheus reads. Pure: nothing here listens.

Names and units as https://prometheus.io/docs/practices/naming/ has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client import Counter as Count
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from monitor.health import conditions
from monitor.model import (
    Alert,
    AlertKind,
    Condition,
    Delivery,
    DeliveryState,
    HoldReason,
    Numbers,
    PollOutcome,
    Record,
    Verdict,
)

#: name -> what it says. Names never change; a new meaning gets a new name.
GAUGES = {
    "news_monitor_feeds": "Feeds on the list.",
    "news_monitor_feeds_failing": "Feeds whose last poll failed.",
    "news_monitor_feeds_in_condition": "Feeds with something wrong, by condition; one feed may have several.",
    "news_monitor_held_items": "Items that the storm breaker holds.",
    "news_monitor_outage": "1 while our own network is out.",
    "news_monitor_items": "Items ever seen, by verdict.",
    "news_monitor_stories": "Stories ever opened.",
    "news_monitor_outbox": "Alerts and notices, by the state of their delivery.",
    "news_monitor_held_alerts": "Alerts that are held, by reason.",
    "news_monitor_blockages": "Causes for which nothing goes to a channel, or to any, until a person acts.",
    "news_monitor_overdue_seconds": "By how much the longest overdue feed is.",
    "news_monitor_canary_failed": "1 while the latest canary has failed.",
    "news_monitor_canary_arrived_timestamp_seconds": "When the latest canary arrived, in Unix time; 0: it has not.",
    "news_monitor_buttons_connected": "1 while Slack can tell of buttons that were pressed.",
    "news_monitor_last_poll_timestamp_seconds": "When a poll was last written down, in Unix time; 0: never.",
}
#: The same of what the daemon saw since its start; only it can serve them.
SINCE_START = {
    "news_monitor_polls": "Polls since the start, by outcome.",
    "news_monitor_published_to_fetched_seconds": "From an item's publication, as its feed has it, to our having it.",
    "news_monitor_fetched_to_judged_seconds": "From our having an item to its being matched, grouped and decided.",
    "news_monitor_judged_to_sent_seconds": "From the decision to alert to the alert's being accepted where it goes.",
    "news_monitor_published_to_sent_seconds": "From an item's publication to its alert's being accepted.",
}
METRICS = GAUGES | SINCE_START

#: News is minutes old when its feed has it, and hours when nobody polled; our own steps take seconds.
_MINUTES = (60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800)

# when each number began is when the process did
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it so


def metrics(numbers: Numbers) -> str:
    """Give what is known without the daemon, as OpenMetrics text. Every label value is there from the beginning."""
    registry = CollectorRegistry()
    registry.register(_State(numbers))
    return _text(registry).decode()


class Telemetry:
    """What went by since the start, counted where it happens."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()

        def lasting(name: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, SINCE_START[name], registry=registry, buckets=buckets)

        polls = "news_monitor_polls"
        self._polls = Count(polls, SINCE_START[polls], ["outcome"], registry=registry)
        for outcome in PollOutcome:
            self._polls.labels(outcome.value)
        self._fetched = lasting("news_monitor_published_to_fetched_seconds", _MINUTES)
        self._judged = lasting("news_monitor_fetched_to_judged_seconds", _SECONDS)
        self._sent = lasting("news_monitor_judged_to_sent_seconds", _SECONDS)
        self._told = lasting("news_monitor_published_to_sent_seconds", _MINUTES)

    def note_poll(self, outcome: PollOutcome) -> None:
        self._polls.labels(outcome.value).inc()

    def note_judged(self, records: Sequence[Record], *, first_poll: bool, now: datetime) -> None:
        """Take in what a poll wrote down. What stood in a feed before us says nothing of how quick we are."""
        for record in records:
            item = record.embedded.item
            if first_poll or record.before is not None:
                continue
            if item.published:
                self._fetched.observe(_seconds(item.published, item.first_seen))
            self._judged.observe(_seconds(item.first_seen, now))

    def note_sent(self, delivery: Delivery, now: datetime) -> None:
        """Take in that a message was accepted. Edits and what was held on purpose are not late."""
        alert = delivery.alert
        if not isinstance(alert, Alert) or alert.kind is AlertKind.EDIT or delivery.reason:
            return
        self._sent.observe(_seconds(alert.created, now))
        if alert.item.published:
            self._told.observe(_seconds(alert.item.published, now))

    def exposition(self, numbers: Numbers, others: Sequence[Collector] = ()) -> tuple[str, bytes]:
        """Give these and the state's, and the others' metrics: content type and text."""
        registry = CollectorRegistry()
        for collector in (_State(numbers), *others):
            registry.register(collector)
        own = _text(self._registry)
        return openmetrics.CONTENT_TYPE_LATEST, own.removesuffix(_END) + _text(registry)


_END = b"# EOF\n"


def _text(registry: CollectorRegistry) -> bytes:
    text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it so
    return text


def _seconds(begin: datetime, end: datetime) -> float:
    """A publisher's clock may be ahead of ours."""
    return max((end - begin).total_seconds(), 0.0)


class _State(Collector):
    """The gauges of one moment."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        values = _values(self._numbers)
        for name, told in GAUGES.items():
            value = values[name]
            if isinstance(value, tuple):
                label, by = value
                family = GaugeMetricFamily(name, told, labels=[label])
                for key, count in by.items():
                    family.add_metric([key], count)
                yield family
            else:
                yield GaugeMetricFamily(name, told, value=value)


def _values(numbers: Numbers) -> dict[str, float | tuple[str, Mapping[str, float]]]:
    """A value each, or a label and a value for each of its own."""
    states, now, canary = numbers.feeds, numbers.at, numbers.canary
    found = Counter(condition for state in states for condition in conditions(state, now))
    overdue = [(now - state.next_poll).total_seconds() for state in states if state.next_poll and state.next_poll < now]
    polls = [state.last_poll.timestamp() for state in states if state.last_poll]
    return {
        "news_monitor_feeds": len(states),
        "news_monitor_feeds_failing": sum(bool(state.last_error) for state in states),
        "news_monitor_feeds_in_condition": (
            "condition",
            {condition: found[condition] for condition in Condition if condition is not Condition.OUTAGE},
        ),
        "news_monitor_held_items": sum(state.held for state in states),
        "news_monitor_outage": int(numbers.outage),
        "news_monitor_items": ("verdict", {verdict: numbers.verdicts.get(verdict, 0) for verdict in Verdict}),
        "news_monitor_stories": numbers.stories,
        "news_monitor_outbox": ("state", {state: numbers.outbox.get(state, 0) for state in DeliveryState}),
        "news_monitor_held_alerts": ("reason", {reason: numbers.held.get(reason, 0) for reason in HoldReason}),
        "news_monitor_blockages": len(numbers.blockages),
        "news_monitor_overdue_seconds": round(max(overdue, default=0.0), 3),
        "news_monitor_canary_failed": int(canary is not None and bool(canary.failed)),
        "news_monitor_canary_arrived_timestamp_seconds": (
            round(canary.arrived.timestamp(), 3) if canary and canary.arrived else 0
        ),
        "news_monitor_buttons_connected": int(numbers.link is not None and not numbers.link.problem),
        "news_monitor_last_poll_timestamp_seconds": round(max(polls, default=0.0), 3),
    }
