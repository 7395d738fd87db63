"""The numbers: all there from the beginning, and right."""

from __future__ import annotations

from datetime import timedelta

import make

from monitor.metrics import METRICS, metrics
from monitor.model import Condition, DeliveryState, FeedState, HoldReason, Verdict


def lines(*states: FeedState, outage: bool = False) -> list[str]:
    return metrics(states, 3, {"alert": 2}, {"sent": 1}, {"budget": 3}, outage=outage, now=make.NOW).splitlines()


def test_every_metric_is_typed_told_and_there_from_the_beginning() -> None:
    shown = lines()
    for name, told in METRICS.items():
        assert f"# TYPE {name} gauge" in shown
        assert f"# HELP {name} {told}" in shown
        assert any(line.startswith((f"{name} ", f"{name}{{")) for line in shown)
    assert shown[-1] == "# EOF"


def test_every_word_has_its_number() -> None:
    shown = "\n".join(lines())
    for condition in set(Condition) - {Condition.OUTAGE}:
        assert f'news_monitor_feeds_in_condition{{condition="{condition}"}} 0' in shown
    for verdict in Verdict:
        assert f'news_monitor_items{{verdict="{verdict}"}} {2 if verdict is Verdict.ALERT else 0}' in shown
    for state in DeliveryState:
        assert f'news_monitor_outbox{{state="{state}"}} {1 if state is DeliveryState.SENT else 0}' in shown
    for reason in HoldReason:
        assert f'news_monitor_held_alerts{{reason="{reason}"}} {3 if reason is HoldReason.BUDGET else 0}' in shown


def test_feeds_are_counted() -> None:
    gone = FeedState(make.feed(), last_error="http 410", failures=1.0, next_poll=make.NOW - timedelta(seconds=90))
    holding = FeedState(make.feed(), first_success=make.NOW, last_poll=make.NOW, held=12)
    shown = lines(gone, holding, outage=True)
    assert {
        "news_monitor_feeds 2", "news_monitor_feeds_failing 1", 'news_monitor_feeds_in_condition{condition="gone"} 1',
        'news_monitor_feeds_in_condition{condition="storm"} 1', "news_monitor_held_items 12", "news_monitor_outage 1",
        "news_monitor_overdue_seconds 90.0", f"news_monitor_last_poll_timestamp_seconds {make.NOW.timestamp()}",
    } <= set(shown)  # fmt: skip
