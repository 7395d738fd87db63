"""Digests: when they are due, what they tell, which topics spike, and that Slack takes every one of them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import make
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.digest import Period, Schedule, chance_of, compose, render_digest, spikes
from monitor.model import (
    Alert,
    AlertKind,
    Delivery,
    DeliveryState,
    Digest,
    DigestKind,
    HoldReason,
    Matter,
    Mode,
    Notify,
    Severity,
    Spike,
)

BERLIN = ZoneInfo("Europe/Berlin")
DAY, WEEK = timedelta(days=1), timedelta(days=7)
TODAY = Period(DigestKind.DAILY, make.NOW - DAY, make.NOW)
TOPICS = {
    "troops": make.topic(id="troops", title="Troops", theme="Military cooperation"),
    "ships": make.topic(id="ships", title="Ships", theme="Trade and economy", notify=Notify(mode=Mode.BOTH)),
    "bare": make.topic(id="bare", title="Bare"),
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def alert(title: str, topic: str = "troops", **fields: Any) -> Alert:
    item = make.item(title=title, link=f"https://outlet.example/{title}"[:200])
    defaults = {"item": item, "story": title, "story_title": title, "matches": (make.match(topic=topic),)}
    return make.alert(**(defaults | {"titles": {topic: topic.title()}} | fields))


def held(told: Alert, reason: HoldReason = HoldReason.BUDGET) -> Delivery:
    return Delivery(told, DeliveryState.HELD, 0, reason=reason)


def sent(told: Alert) -> Delivery:
    return Delivery(told, DeliveryState.SENT, 1)


def digest(*matter: Delivery, period: Period = TODAY, sources: dict[str, int] | None = None, **rising: Spike) -> Digest:
    waits = tuple(one for one in matter if one.state is DeliveryState.HELD)
    told = tuple(one for one in matter if one.state is DeliveryState.SENT)
    found = compose(make.CHANNEL, period, Matter(waits, told, sources or {}), TOPICS, rising)
    assert found
    return found


# -- when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "since", "due"),
    [
        ("2024-10-29T06:59", "2024-10-27T07:00", "2024-10-28T07:00"),
        ("2024-10-29T07:00", "2024-10-28T07:00", "2024-10-29T07:00"),
        # summer time ended on the 27th: that day had 25 hours
        ("2024-10-27T12:00", "2024-10-26T06:00", "2024-10-27T07:00"),
    ],
)
def test_daily_digest_is_due_at_the_local_hour(now: str, since: str, due: str) -> None:
    assert Schedule(daily=time(8), zone=BERLIN).latest(at(now)) == [Period(DigestKind.DAILY, at(since), at(due))]


def test_weekly_digest_stands_for_that_mornings_daily() -> None:
    both = Schedule(daily=time(8), weekly=(0, time(8)))
    monday = Period(DigestKind.WEEKLY, at("2024-10-21T08:00"), at("2024-10-28T08:00"))
    assert both.latest(at("2024-10-28T09:00")) == [monday]
    tuesday = Period(DigestKind.DAILY, at("2024-10-28T08:00"), at("2024-10-29T08:00"))
    assert both.latest(at("2024-10-29T09:00")) == [monday, tuesday]


def test_next_digest() -> None:
    assert Schedule(weekly=(0, time(8))).next(at("2024-10-28T08:00")) == at("2024-11-04T08:00")
    assert Schedule(daily=time(8), weekly=(0, time(8))).next(at("2024-10-28T08:00")) == at("2024-10-29T08:00")
    assert Schedule().next(make.NOW) is None
    assert Schedule().latest(make.NOW) == []


# -- what -----------------------------------------------------------------------------------------


def test_stories_stand_under_their_themes_with_the_reason() -> None:
    made = digest(
        held(alert("Troops"), HoldReason.QUIET_HOURS),
        held(alert("Ships", "ships"), HoldReason.DIGEST),
        held(alert("Bare", "bare", severity=Severity.INFO), HoldReason.SILENCE),
        sources={"Troops": 3},
    )
    assert {
        theme: [(line.alert.item.title, line.sources, line.reason) for line in lines]
        for theme, lines in made.themes.items()
    } == {
        "Military cooperation": [("Troops", 3, "quiet hours")],
        "Trade and economy": [("Ships", 1, "")],
        "Other": [("Bare", 1, "silenced")],
    }


def test_story_is_one_line_under_its_roots_headline() -> None:
    root = alert("Troops")
    reply = alert("Later", story="Troops", kind=AlertKind.REPLY, parent=root.id)
    [line] = digest(held(reply), held(root)).lines
    assert (line.alert.item.title, line.others) == ("Troops", 1)


def test_what_matters_most_is_first() -> None:
    low, wide, high = alert("low", severity=Severity.INFO), alert("wide"), alert("high", severity=Severity.CRITICAL)
    made = digest(held(low), held(wide), held(alert("narrow")), held(high), sources={"wide": 5})
    assert [line.alert.item.title for line in made.lines] == ["high", "wide", "narrow", "low"]


def test_day_is_told_in_counts() -> None:
    root = alert("Troops")
    reply = alert("Later", story="Troops", kind=AlertKind.REPLY, parent=root.id)
    made = digest(sent(root), sent(reply), sent(alert("More")))
    assert made.lines == ()
    assert "Told in the day: 2 stories and 1 update (Troops 2)" in str(render_digest(made).blocks)


def test_week_lists_what_was_told_and_a_day_what_wants_both() -> None:
    told = [sent(alert("Troops")), sent(alert("Ships", "ships"))]
    assert [line.alert.item.title for line in digest(*told).lines] == ["Ships"]
    week = Period(DigestKind.WEEKLY, make.NOW - WEEK, make.NOW)
    assert [line.alert.item.title for line in digest(*told, period=week).lines] == ["Troops", "Ships"]


def test_nothing_is_no_digest() -> None:
    assert compose(make.CHANNEL, TODAY, Matter((), (), {}), TOPICS) is None


def test_digest_of_one_period_has_one_id() -> None:
    one, other = digest(held(alert("Troops"))), digest(held(alert("Ships")))
    assert one.id == other.id
    later = Period(DigestKind.DAILY, make.NOW, make.NOW + DAY)
    assert digest(held(alert("Troops")), period=later).id != one.id


# -- spikes ---------------------------------------------------------------------------------------


def times(days: int, each: int, today: int) -> list[datetime]:
    """So many stories on each of so many days before, and today."""
    before = [TODAY.since - DAY * day - timedelta(hours=hour) for day in range(days) for hour in range(each)]
    return before + [make.NOW - timedelta(minutes=n) for n in range(today)]


@pytest.mark.parametrize(
    ("began", "first", "spike"),
    [
        # 3 a day, and 11: P = 0.0003; 9: P = 0.004
        (times(28, 3, 11), 60, Spike("Troops", 11, 3.0)),
        (times(28, 3, 9), 60, None),
        # four are too few to be worth a line
        (times(28, 0, 4), 60, None),
        # silent for a month, though it once was not
        (times(28, 0, 5), 60, Spike("Troops", 5, 0.0)),
        # at work for ten days
        (times(10, 1, 8), 10, Spike("Troops", 8, 1.0)),
        # or for six: nobody knows what is usual
        (times(6, 1, 50), 6, None),
    ],
)
def test_spike_is_far_above_the_topics_own_usual(began: list[datetime], first: int, spike: Spike | None) -> None:
    found = spikes({"troops": began}, {"troops": TODAY.since - DAY * first}, TOPICS, TODAY)
    assert found.get("troops") == (spike and Spike(spike.topic, spike.stories, pytest.approx(spike.usual, abs=0.05)))


@pytest.mark.parametrize(
    ("count", "mean", "chance"), [(0, 3.0, 1.0), (1, 1.0, 0.63212), (11, 3.0, 0.00029), (5, 0.0, 0.0), (0, 0.0, 1.0)]
)
def test_chance_is_poissons(count: int, mean: float, chance: float) -> None:
    assert chance_of(count, mean) == pytest.approx(chance, abs=5e-6)


def test_spike_is_told_to_channels_that_hear_of_its_topic() -> None:
    troops, ships = Spike("Troops", 14, 3.1), Spike("Ships", 9, 1.0)
    made = digest(held(alert("Troops")), troops=troops, ships=ships)
    assert made.spikes == (troops,)
    assert "📈 Troops: 14 new stories, 3.1 are usual" in str(render_digest(made).blocks)


# -- the message ----------------------------------------------------------------------------------


def test_terminal_shows_headlines_with_their_links() -> None:
    made = digest(held(alert("Troops"), HoldReason.QUIET_HOURS), sent(alert("More")), sources={"Troops": 3})
    assert render_digest(made).terminal.splitlines() == [
        "▤ Daily digest, 29 Oct 14:30 UTC: 1 story",
        "  Military cooperation",
        "    • Troops — Troops · 3 sources · quiet hours",
        "      https://outlet.example/Troops",
        "  Told in the day: 1 story (Troops 1)",
    ]


def test_long_digest_says_how_many_are_left_out_and_who_lists_them() -> None:
    made = digest(*[held(alert(f"Troops {n} " + "and what else there is to say " * 4)) for n in range(200)])
    message = render_digest(made)
    [more] = [line for line in str(message.blocks[-1]).split("'") if "more; all of them" in line]
    left = int(more.split()[1])
    shown = str(message.blocks).count("https://outlet.example")
    assert shown + left == 200
    assert more.endswith(f"monitor outbox show {made.id[:8]}")
    assert message.terminal.count("•") == 100


TEXTS = st.one_of(
    st.text(max_size=300), st.sampled_from(["<!channel>", "*bold* & <b>", "&" * 300, "‮evil", "制裁" * 100])
)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from(Severity)), min_size=1, max_size=60), st.integers(0, 15))
def test_slack_takes_every_digest(stories: list[tuple[str, str, Severity]], rising: int) -> None:
    topics = {f"t{n}": make.topic(id=f"t{n}", title=name, theme=name) for n, (_, name, _) in enumerate(stories)}
    alerts = [
        alert(title, f"t{n}", story=f"{n}", titles={f"t{n}": name}, severity=severity, id=f"{n}")
        for n, (title, name, severity) in enumerate(stories)
    ]
    found = {f"t{n}": Spike(name, 9, 1.0) for n, (_, name, _) in enumerate(stories[:rising])}
    made = compose(make.CHANNEL, TODAY, Matter(tuple(map(held, alerts)), (), {}), topics, found)
    assert made
    message = render_digest(made)
    texts = [
        block["text"]["text"] if "text" in block else block["elements"][0]["text"]  # type: ignore[index]  # any JSON
        for block in message.blocks
    ]
    assert len(texts) <= 10
    assert all(0 < len(text) <= 2_500 for text in texts)
    assert sum(map(len, texts)) <= 10_000
    assert 0 < len(message.text) <= 3_000
    assert "<!" not in str(message.blocks)
