"""A story in words: what a list shows of it, and what is shown of one."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import timedelta

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import (
    AlertKind,
    DeliveryState,
    Feed,
    Placement,
    Relation,
    Ruling,
    RulingKind,
    Telling,
    Timeline,
    Verdict,
    voices,
)
from monitor.stories import COLUMNS, Openness, best_headline, kinds, listed, listed_data, shown

OPEN = Openness(make.NOW, timedelta(hours=72), {})
GAZETTE = make.feed(
    url="https://gazette.example/rss", title="Gazette", kind="state media", country="Russia", language="ru"
)
POST = make.feed(url="https://post.example/rss", title="Post", kind="", country="", language="")


def telling(minutes: int, title: str, feed: Feed, relation: Relation = Relation.UPDATE, **fields: object) -> Telling:
    item = make.item(
        id=f"{minutes:016}", title=title, feed=feed, published=make.NOW - timedelta(minutes=60 - minutes),
    )  # fmt: skip
    parent = "" if relation is Relation.ROOT else f"{0:016}"
    placement = Placement("story-1", relation, parent, because=f"why {minutes}")
    return Telling(item, placement, Verdict.REPLY, topics=("troops",), **fields)  # type: ignore[arg-type]  # by its word


def timeline(*tellings: Telling) -> Timeline:
    told = [(one.item, one.placement.relation) for one in tellings]
    story = make.story(
        title=told[0][0].title, opened=told[0][0].at, latest=told[-1][0].at, items=len(told),
        voices=voices((item.feed, item.at, relation) for item, relation in told),
        languages=tuple(dict.fromkeys(item.language for item, _ in told if item.language)),
    )  # fmt: skip
    return Timeline(story, tellings)


TROOPS = timeline(
    telling(0, "North Korean troops seen near Kursk", make.feed(), Relation.ROOT),
    telling(5, "Russia says no North Korean troops are near Kursk", GAZETTE),
    telling(10, "North Korean troops seen near Kursk", POST, Relation.COPY),
    telling(15, "North Korean troops near Kursk: what is known", make.feed(), by_hand=True),
)
RULING = Ruling(RulingKind.MERGE, "ann", "story-1", ("story-1", "story-2"), ("0" * 14 + "15",), make.NOW)


def test_a_story_is_shown_from_its_sources_to_its_items() -> None:
    root = make.delivery(state=DeliveryState.SENT, alert=make.alert(item=TROOPS.tellings[0].item))
    reply = make.delivery(
        state=DeliveryState.BLOCKED,
        error="no_text",
        alert=make.alert(kind=AlertKind.REPLY, item=TROOPS.tellings[1].item),
    )
    assert shown(TROOPS, OPEN, [root, reply], [RULING]).splitlines() == [
        "Story     story-1",
        "          North Korean troops seen near Kursk",
        "          2024-10-29 13:30 to 2024-10-29 13:45 UTC, 4 items, in en, ru",
        "          open: it takes items within 72 h of its latest",
        "",
        "By hand   2024-10-29 14:30  merge by ann: 1 item of story-2 to story-1",
        "",
        "Sources   2: 1 wire, 1 state media",
        "          2024-10-29 13:30  Harbour Wire (wire, United Kingdom)",
        "          2024-10-29 13:35  Gazette (state media, Russia)",
        "          only copied: Post",
        "",
        "Topics    troops",
        "",
        "Told      2024-10-29 14:30  root to C0NEWS, sent: North Korean troops seen near Kursk",
        "          2024-10-29 14:30  reply in C0NEWS, blocked (no_text): Russia says no North Korean troops are near Kursk",
        "",
        "Items",
        "2024-10-29 13:30  0000000000000000  root, Harbour Wire (wire, United Kingdom), en",
        "                  North Korean troops seen near Kursk",
        "                  why 0",
        "2024-10-29 13:35  0000000000000005  update, Gazette (state media, Russia), ru",
        "                  Russia says no North Korean troops are near Kursk",
        "                  why 5",
        "2024-10-29 13:40  0000000000000010  copy, Post",
        "                  North Korean troops seen near Kursk",
        "                  why 10",
        "2024-10-29 13:45  0000000000000015  update, by hand, Harbour Wire (wire, United Kingdom), en",
        "                  North Korean troops near Kursk: what is known",
        "                  why 15",
    ]


def test_a_story_of_which_nobody_was_told_says_so() -> None:
    alone = timeline(replace(telling(0, "Rain expected over the weekend", POST, Relation.ROOT), topics=()))
    lines = shown(alone, OPEN, [], []).splitlines()
    assert "Topics    none took it" in lines
    assert "Told      nobody" in lines
    assert "Sources   1: 1 of unknown kind" in lines
    assert not [line for line in lines if line.startswith("By hand")]


def test_kinds_count_independent_sources_alone() -> None:
    assert kinds(TROOPS.story) == {"wire": 1, "state media": 1}


def test_best_headline_is_not_always_the_root_s() -> None:
    live = telling(-5, "Live: what we know this morning", POST, Relation.ROOT)
    assert best_headline(timeline(live, *TROOPS.tellings[1:])) == "North Korean troops near Kursk: what is known"


@pytest.mark.parametrize(
    ("hours", "windows", "is_open"),
    [
        (72, {}, True), (73, {}, False), (73, {"troops": 96}, True), (25, {"troops": 24}, False), (73, {"ships": 96}, False),
    ],
)  # fmt: skip
def test_a_story_is_open_within_the_window_of_the_topics_that_took_it(
    hours: int, windows: dict[str, int], is_open: bool
) -> None:
    newest = TROOPS.story.latest + timedelta(hours=hours)
    by_topic = {topic: timedelta(hours=window) for topic, window in windows.items()}
    assert Openness(newest, timedelta(hours=72), by_topic).is_open(TROOPS) is is_open


def test_list_and_its_data_say_what_was_put_by_hand() -> None:
    assert listed(TROOPS, OPEN).splitlines()[0].endswith("4 items, 2 sources · open · by hand")
    assert listed_data(TROOPS, OPEN)["by_hand"] is True


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@given(st.text("aБ港 ,", min_size=1, max_size=200), st.integers(1, 9))
def test_a_list_fits_a_terminal(title: str, sources: int) -> None:
    feeds = [make.feed(title=f"{title} {n}", kind=title, country=f"{title} {n}") for n in range(sources)]
    first, *others = [telling(n, title, feed) for n, feed in enumerate(feeds)]
    lines = listed(timeline(first, *others), OPEN).splitlines()
    assert len(lines) == 3
    assert max(map(columns, lines)) <= COLUMNS


def test_a_line_is_cut_only_where_it_must_be() -> None:
    for length, end in ((98, "x"), (99, "…")):
        line = listed(timeline(telling(0, "x" * length, POST, Relation.ROOT)), OPEN).splitlines()[1]
        assert (columns(line), line[-1]) == (100, end)
