"""When an alert may go: silences, quiet hours through the nights in which clocks change, digests, budgets, and who wins."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.app import _gate
from monitor.config import Alerts, Config
from monitor.gate import Gate, quiet_until
from monitor.model import Alert, AlertKind, Hold, HoldReason, Mode, Notify, QuietHours, Severity, Silence, Told

NIGHT = QuietHours(time(22), time(7))
BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2024, 10, 29, 23, tzinfo=UTC)
SEVEN = datetime(2024, 10, 30, 7, tzinfo=UTC)


def silence(**fields: Any) -> Silence:
    return Silence(**({"until": SEVEN, "author": "ann", "comment": "known", "created": make.NOW, "id": 3} | fields))


def gate(*, quiet_hours: QuietHours | None = None, budget: int | None = None, **notify: Notify) -> Gate:
    """A gate of these topics: `gate(t1=Notify(...))`."""
    topics = {name: make.topic(id=name, notify=given) for name, given in notify.items()}
    return Gate(UTC, quiet_hours, budget, topics)


def alert(*topics: str, **fields: Any) -> Alert:
    return make.alert(matches=tuple(make.match(topic=topic) for topic in topics or ("dprk-troops",)), **fields)


def why(gate: Gate, alert: Alert, *silences: Silence, told: Told | None = None, now: datetime = MIDNIGHT) -> str:
    """The reason of the hold; empty if the alert goes."""
    hold = gate.hold(alert, None, silences, told or Told(), now)
    return hold.reason if hold else ""


# -- quiet hours ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2024-10-29T21:59", None),
        ("2024-10-29T22:00", "2024-10-30T07:00"),
        ("2024-10-30T06:59", "2024-10-30T07:00"),
        ("2024-10-30T07:00", None),
    ],
)
def test_hours_over_midnight(now: str, end: str | None) -> None:
    found = quiet_until(NIGHT, UTC, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == (datetime.fromisoformat(end).replace(tzinfo=UTC) if end else None)


@pytest.mark.parametrize(
    ("hours", "now", "end"),
    [
        # the night of 31 March has no 02:30: an hour shorter
        ("22:00-07:00", "2024-03-30T21:00", "2024-03-31T05:00"),
        ("22:00-02:30", "2024-03-31T00:29", "2024-03-31T00:30"),
        ("22:00-02:30", "2024-03-31T00:30", None),
        # that of 27 October has it twice, and is quiet until the second
        ("22:00-07:00", "2024-10-26T20:00", "2024-10-27T06:00"),
        ("22:00-02:30", "2024-10-27T00:45", "2024-10-27T01:30"),
        ("02:30-06:00", "2024-10-27T01:00", "2024-10-27T05:00"),
        # hours that the clock skips are no hours
        ("02:10-02:50", "2024-03-31T00:40", None),
    ],
)
def test_nights_in_which_clocks_change(hours: str, now: str, end: str | None) -> None:
    begin, ends = map(time.fromisoformat, hours.split("-"))
    found = quiet_until(QuietHours(begin, ends), BERLIN, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == (datetime.fromisoformat(end).replace(tzinfo=UTC) if end else None)


def test_hours_with_a_zone_of_their_own() -> None:
    # 22:00 in Kyiv is 20:00 UTC in winter time
    kyiv = QuietHours(time(22), time(7), "Europe/Kyiv")
    assert quiet_until(kyiv, UTC, datetime(2024, 10, 29, 20, tzinfo=UTC)) == datetime(2024, 10, 30, 5, tzinfo=UTC)


@given(
    st.times(),
    st.times(),
    st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"]
    ),
    st.datetimes(datetime(2024, 1, 1), datetime(2025, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
)
def test_quiet_hours_last_until_the_end_that_was_named(begin: time, end: time, zone: str, now: datetime) -> None:
    quiet = QuietHours(begin.replace(tzinfo=None), end.replace(tzinfo=None))
    until = quiet_until(quiet, ZoneInfo(zone), now)
    if until is not None:
        assert now < until <= now + timedelta(hours=26)
        for share in (0.1, 0.5, 0.9):
            assert quiet_until(quiet, ZoneInfo(zone), now + (until - now) * share) == until


def test_alert_in_quiet_hours_is_held_until_they_end() -> None:
    assert gate(quiet_hours=NIGHT).hold(alert(), None, (), Told(), MIDNIGHT) == Hold(
        HoldReason.QUIET_HOURS, SEVEN, "22:00-07:00"
    )


def test_topic_has_hours_of_its_own() -> None:
    asked = gate(quiet_hours=NIGHT, t1=Notify(quiet_hours=QuietHours(time(1), time(2))))
    assert why(asked, alert("t1")) == ""


def test_least_demanding_topic_decides() -> None:
    asked = gate(t1=Notify(quiet_hours=NIGHT), t2=Notify(mode=Mode.DIGEST), t3=Notify())
    assert why(asked, alert("t1", "t2", "t3")) == ""
    assert why(asked, alert("t2")) == "digest"
    # the one that ends by itself
    assert why(asked, alert("t2", "t1")) == "quiet hours"


def test_topic_that_is_gone_asks_for_nothing() -> None:
    assert why(gate(), alert("gone")) == ""


# -- severity, replies ----------------------------------------------------------------------------


def test_critical_passes_quiet_hours_and_budgets_but_no_silence() -> None:
    critical = alert(severity=Severity.CRITICAL)
    asked = gate(quiet_hours=NIGHT, budget=1)
    assert why(asked, critical, told=Told(7)) == ""
    assert why(asked, critical, silence(topic="dprk-troops")) == "silence"


def test_reply_passes_budgets() -> None:
    assert why(gate(budget=1), alert(kind=AlertKind.REPLY, parent="root"), told=Told(7)) == ""


def test_reply_shares_the_lot_of_a_root_that_does_not_stand() -> None:
    lot = Hold(HoldReason.QUIET_HOURS, SEVEN, "22:00-07:00")
    reply = alert(kind=AlertKind.REPLY, parent="root", severity=Severity.CRITICAL)
    assert gate().hold(reply, lot, (), Told(), MIDNIGHT) == lot


# -- budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("told", "held"), [(4, ""), (5, "budget"), (6, "budget")])
def test_budget_of_a_channel(told: int, held: str) -> None:
    assert why(gate(budget=5), alert(), told=Told(told)) == held


def test_budget_of_a_topic_holds_what_no_other_topic_wants() -> None:
    asked = gate(t1=Notify(daily_budget=2), t2=Notify(daily_budget=9), t3=Notify())
    told = Told(2, {"t1": 2, "t2": 2})
    assert [why(asked, alert(*topics), told=told) for topics in (["t1"], ["t1", "t2"], ["t1", "t3"])] == [
        "budget",
        "",
        "",
    ]


def test_day_is_the_local_one() -> None:
    assert Gate(BERLIN).day(datetime(2024, 10, 29, 23, 30, tzinfo=UTC)) == datetime(2024, 10, 29, 23, tzinfo=UTC)


# -- silences -------------------------------------------------------------------------------------

MATCHERS = [
    ({"topic": "dprk-troops"}, True), ({"topic": "brics"}, False),
    ({"story": "story-1"}, True), ({"story": "story-2"}, False),
    ({"source": "harbour wire"}, True), ({"source": "Gazette"}, False),
    ({"channel": make.CHANNEL}, True), ({"channel": "C0OTHER"}, False),
    ({"words": ("kursk",)}, True), ({"words": ("kurs",)}, False), ({"words": ("kurs*", "korean troops")}, True),
    ({"words": ("kursk", "sumy")}, False),
    ({"topic": "dprk-troops", "source": "Gazette"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("matchers", "held"), MATCHERS)
def test_silence_holds_what_all_its_matchers_name(matchers: dict[str, Any], *, held: bool) -> None:
    assert bool(why(gate(), alert(), silence(**matchers))) is held


def test_silence_of_a_topic_holds_nothing_that_another_topic_wants() -> None:
    one, other = silence(topic="t1"), silence(topic="t2")
    assert why(gate(), alert("t1", "t2"), one) == ""
    assert why(gate(), alert("t1", "t2"), one, other) == "silence"


def test_silence_says_whose_it_is_and_until_when() -> None:
    hold = gate().hold(alert(), None, [silence(topic="dprk-troops")], Told(), MIDNIGHT)
    assert hold == Hold(HoldReason.SILENCE, None, "silence 3 of ann, until 2024-10-30 07:00 UTC: known")


def test_budget_of_zero_is_none() -> None:
    assert _gate(Config(alerts=Alerts(daily_budget=0)), {}).daily_budget is None
    assert _gate(Config(), {}).daily_budget == 100
