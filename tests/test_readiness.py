"""Whether the monitor does its work, check by check."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import make
import pytest

from monitor.model import Blockage, FeedState, Vitals
from monitor.readiness import readiness, status_line

WELL = FeedState(make.feed(), first_success=make.NOW, next_poll=make.NOW + timedelta(minutes=5))
LATE = replace(WELL, next_poll=make.NOW - timedelta(minutes=20))
FAILING = replace(WELL, last_error="timeout", failing_since=make.NOW - timedelta(hours=2))
STUMBLED = replace(WELL, last_error="timeout", failing_since=make.NOW - timedelta(minutes=2))
VITALS = Vitals(feeds=[WELL] * 5, outbox={"sent": 7}, blockages=[], outage=False, at=make.NOW)
BLOCKED = Blockage("C0NEWS", "invite the bot", make.NOW, make.NOW, 2)


def wrong(
    vitals: Vitals = VITALS, *, trouble: str = "", stalled: str = "", waits: timedelta | None = None
) -> dict[str, str]:
    since = vitals.at - waits if waits else None
    checks = readiness(vitals, trouble=trouble, stalled=stalled, waiting_since=since)
    assert list(checks) == ["database", "progress", "network", "feeds", "delivery", "slack"]
    return {name: problem for name, problem in checks.items() if problem}


def test_all_is_well() -> None:
    assert wrong() == {}
    assert wrong(replace(VITALS, feeds=[])) == {}


@pytest.mark.parametrize(
    ("feeds", "problem"),
    [
        ([WELL] * 4 + [LATE], ""),
        ([WELL] * 4 + [STUMBLED] * 4, ""),
        ([WELL] * 3 + [LATE, FAILING], "2 of 5 are overdue, or fail for an hour or longer"),
    ],
)
def test_some_feeds_may_be_late_or_fail(feeds: list[FeedState], problem: str) -> None:
    assert wrong(replace(VITALS, feeds=feeds)).get("feeds", "") == problem


def test_what_keeps_us_from_our_work_is_said() -> None:
    assert wrong(trouble="the disk is full") == {"database": "the disk is full"}
    assert wrong(stalled="engine has done nothing for 1300 s") == {"progress": "engine has done nothing for 1300 s"}
    assert wrong(replace(VITALS, outage=True)) == {"network": "most hosts cannot be reached"}


def test_alert_may_wait_a_little() -> None:
    assert wrong(waits=timedelta(minutes=4)) == {}
    assert wrong(waits=timedelta(minutes=17)) == {"delivery": "an alert waits for 17 min"}


def test_one_blocked_channel_is_not_the_end_and_all_are() -> None:
    assert wrong(replace(VITALS, blockages=[BLOCKED])) == {}
    everywhere = replace(BLOCKED, channel="", because="the token was revoked")
    assert wrong(replace(VITALS, blockages=[BLOCKED, everywhere])) == {
        "slack": "every channel is blocked: the token was revoked"
    }


@pytest.mark.parametrize(
    ("vitals", "line"),
    [
        (VITALS, "running: 5 feeds; 7 sent"),
        (
            replace(
                VITALS,
                feeds=[WELL, FAILING],
                outbox={"sent": 1, "queued": 2, "unknown": 1, "dead": 1, "held": 9},
                outage=True,
            ),
            "running: 2 feeds, 1 failing; 1 sent; 3 waiting; 1 stuck; our network is out",
        ),
    ],
)
def test_line_for_systemd_says_what_an_operator_asks_first(vitals: Vitals, line: str) -> None:
    assert status_line(vitals) == line
