"""The numbers: all there from the beginning, and right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import make
import pytest

from monitor.metrics import GAUGES, SINCE_START, Telemetry, metrics
from monitor.model import (
    Alert,
    AlertKind,
    Blockage,
    Condition,
    Delivery,
    DeliveryState,
    FeedState,
    HoldReason,
    Link,
    Numbers,
    PollOutcome,
    Verdict,
)


def numbers(*states: FeedState, outage: bool = False, blockages: tuple[Blockage, ...] = ()) -> Numbers:
    return Numbers(
        feeds=states, stories=3, verdicts={"alert": 2}, outbox={"sent": 1}, held={"budget": 3}, blockages=blockages,
        outage=outage, canary=None, link=None, at=make.NOW,
    )  # fmt: skip


def lines(*states: FeedState, outage: bool = False) -> list[str]:
    return metrics(numbers(*states, outage=outage)).splitlines()


def value(telemetry: Telemetry, line: str) -> str:
    _, text = telemetry.exposition(numbers())
    [found] = [one for one in text.decode().splitlines() if one.startswith(line + " ")]
    return found.rpartition(" ")[2]


def test_every_metric_is_typed_told_and_there_from_the_beginning() -> None:
    shown = lines()
    for name, told in GAUGES.items():
        assert f"# TYPE {name} gauge" in shown
        assert f"# HELP {name} {told}" in shown
        assert any(line.startswith((f"{name} ", f"{name}{{")) for line in shown)
    assert shown[-1] == "# EOF"


def test_every_word_has_its_number() -> None:
    shown = "\n".join(lines())
    for condition in set(Condition) - {Condition.OUTAGE}:
        assert f'news_monitor_feeds_in_condition{{condition="{condition}"}} 0.0' in shown
    for verdict in Verdict:
        assert f'news_monitor_items{{verdict="{verdict}"}} {2.0 if verdict is Verdict.ALERT else 0.0}' in shown
    for state in DeliveryState:
        assert f'news_monitor_outbox{{state="{state}"}} {1.0 if state is DeliveryState.SENT else 0.0}' in shown
    for reason in HoldReason:
        assert f'news_monitor_held_alerts{{reason="{reason}"}} {3.0 if reason is HoldReason.BUDGET else 0.0}' in shown


@pytest.mark.parametrize(("link", "value"), [(None, 0), (Link(make.NOW), 1), (Link(make.NOW, "invalid_auth"), 0)])
def test_connection_for_buttons_is_there_or_not(link: Link | None, value: int) -> None:
    shown = metrics(replace(numbers(), link=link))
    assert f"\nnews_monitor_buttons_connected {value}.0\n" in shown


def test_blockages_are_counted() -> None:
    blockage = Blockage("C0NEWS", "invite the bot", make.NOW, make.NOW, 2)
    assert "\nnews_monitor_blockages 2.0\n" in metrics(numbers(blockages=(blockage, blockage)))


def test_feeds_are_counted() -> None:
    gone = FeedState(make.feed(), last_error="http 410", failures=1.0, next_poll=make.NOW - timedelta(seconds=90))
    holding = FeedState(make.feed(), first_success=make.NOW, last_poll=make.NOW, held=12)
    shown = lines(gone, holding, outage=True)
    assert {
        "news_monitor_feeds 2.0", "news_monitor_feeds_failing 1.0", 'news_monitor_feeds_in_condition{condition="gone"} 1.0',
        'news_monitor_feeds_in_condition{condition="storm"} 1.0', "news_monitor_held_items 12.0", "news_monitor_outage 1.0",
        "news_monitor_overdue_seconds 90.0", "news_monitor_last_poll_timestamp_seconds 1.7302122e+09",
    } <= set(shown)  # fmt: skip


def test_served_metrics_are_those_of_the_state_and_since_the_start() -> None:
    kind, text = Telemetry().exposition(numbers())
    shown = text.decode().splitlines()
    assert kind.startswith("application/openmetrics-text")
    for name, told in SINCE_START.items():
        assert f"# HELP {name} {told}" in shown
    assert set(lines()) <= set(shown)
    assert [n for n, line in enumerate(shown) if line == "# EOF"] == [len(shown) - 1]


def test_polls_are_counted_by_outcome() -> None:
    telemetry = Telemetry()
    telemetry.note_poll(PollOutcome.NEW)
    telemetry.note_poll(PollOutcome.NEW)
    assert value(telemetry, 'news_monitor_polls_total{outcome="new"}') == "2.0"
    assert value(telemetry, f'news_monitor_polls_total{{outcome="{PollOutcome.FAILED.value}"}}') == "0.0"


def sent(alert: Alert, reason: str = "") -> Delivery:
    return Delivery(alert, DeliveryState.SENDING, 1, reason=reason)


def test_how_late_an_alert_is_counts_from_its_publication_and_from_its_decision() -> None:
    telemetry = Telemetry()
    alert = make.alert()
    telemetry.note_sent(sent(alert), alert.created + timedelta(seconds=40))
    assert value(telemetry, "news_monitor_judged_to_sent_seconds_sum") == "40.0"
    assert value(telemetry, 'news_monitor_judged_to_sent_seconds_bucket{le="30.0"}') == "0.0"
    assert value(telemetry, 'news_monitor_judged_to_sent_seconds_bucket{le="60.0"}') == "1.0"
    assert value(telemetry, "news_monitor_published_to_sent_seconds_count") == "1.0"


def test_what_was_held_and_what_is_edited_says_nothing_of_how_late_we_are() -> None:
    telemetry = Telemetry()
    edit = replace(make.alert(), kind=AlertKind.EDIT)
    for delivery in (sent(make.alert(), HoldReason.QUIET_HOURS), sent(edit)):
        telemetry.note_sent(delivery, make.NOW)
    assert value(telemetry, "news_monitor_judged_to_sent_seconds_count") == "0.0"


def test_items_are_timed_unless_they_stood_in_the_feed_before_us() -> None:
    telemetry = Telemetry()
    item = make.item(published=make.NOW - timedelta(minutes=10), first_seen=make.NOW)
    record = make.record(item=item)
    telemetry.note_judged([record], first_poll=True, now=make.NOW)
    telemetry.note_judged([record], first_poll=False, now=make.NOW + timedelta(seconds=2))
    telemetry.note_judged(
        [make.record(item=make.item(published=make.NOW + timedelta(hours=1), first_seen=make.NOW))],
        first_poll=False,
        now=make.NOW,
    )
    assert value(telemetry, "news_monitor_published_to_fetched_seconds_sum") == "600.0"
    assert value(telemetry, "news_monitor_fetched_to_judged_seconds_sum") == "2.0"
    assert value(telemetry, "news_monitor_fetched_to_judged_seconds_count") == "2.0"
