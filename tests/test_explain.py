import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import make
import pytest

from monitor.explain import (
    as_data,
    explain,
    explain_pair,
    explain_text,
    explained_data,
    joined_by,
    judgement,
    one_in,
    pair_data,
    source,
)
from monitor.match import MatchOutcome
from monitor.model import Alert, DeliveryState, Match, Placement, Relation, Verdict
from monitor.rulings import merge
from monitor.store import Store

EXAMPLE = "North Korean soldiers arrive in Russia for training"
RARE = "as rare as 1 in 13,000; the bar is 1 in 2,000"
LIKE = f"; most like “{EXAMPLE}”"

WORDS: list[tuple[dict[str, Any], str]] = [
    ({"terms": ()}, f"{RARE}{LIKE}"),
    ({"terms": ("troops", "soldier*")}, f"{RARE}; terms “troops”, “soldier*”{LIKE}"),
    (
        {"outcome": MatchOutcome.MATCHED_TERM, "score": 1.0, "terms": ("brics clear",)},
        "alerts on the term “brics clear” whatever the score (as rare as 1 in 10; the bar is 1 in 2,000)" + LIKE,
    ),
    (
        {"outcome": MatchOutcome.BELOW_BAR, "score": 2.0, "terms": ()},
        f"not rare enough: as rare as 1 in 100; the bar is 1 in 2,000{LIKE}",
    ),
    (
        {"outcome": MatchOutcome.NO_REQUIRED_TERM, "gate": "troops | soldiers", "terms": ()},
        f"rare enough ({RARE}), but has none of the required terms troops | soldiers{LIKE}",
    ),
    (
        {"outcome": MatchOutcome.NO_REQUIRED_TERM, "gate": "x" * 70, "terms": ()},
        f"rare enough ({RARE}), but has none of the required terms {'x' * 60}…{LIKE}",
    ),
    (
        {"outcome": MatchOutcome.EXCLUDED_TERM, "terms": ("war film",), "gate": "war film"},
        f"shut out by the term “war film” ({RARE}){LIKE}",
    ),
    (
        {"outcome": MatchOutcome.NEARER_NEGATIVE, "negative": "North Korean tourists arrive", "terms": ()},
        f"rare enough ({RARE}), but nearer to the negative “North Korean tourists arrive” than to any example{LIKE}",
    ),
    (
        {"outcome": MatchOutcome.OUT_OF_SCOPE, "gate": "language en", "terms": ()},
        f"outside the topic's scope: language en ({RARE}){LIKE}",
    ),
    (
        {"outcome": MatchOutcome.OPINION_AGAINST, "opinion": "judge-1 is against it, 80 % sure", "terms": ()},
        f"rare enough, but only just, and the second opinion is against it ({RARE}){LIKE}; judge-1 is against it, 80 % sure",
    ),
    (
        {"outcome": MatchOutcome.MATCHED_OPINION, "opinion": "judge-1 is for it, 80 % sure", "terms": ()},
        f"not quite rare enough, but the second opinion is for it ({RARE}){LIKE}; judge-1 is for it, 80 % sure",
    ),
    (
        {"outcome": MatchOutcome.BELOW_BAR, "score": 2.0, "terms": (), "gate": "troops", "negative": "Tourists arrive"},
        (
            "not rare enough: as rare as 1 in 100; the bar is 1 in 2,000; besides, it has none of the required terms troops; "
            f"besides, it is nearer to the negative “Tourists arrive” than to any example{LIKE}"
        ),
    ),
    (
        {"terms": ("санкция",), "words": ("санкциями",), "unit": "Kim sends more."},
        f"{RARE}; terms “санкциями (санкция)”; its part “Kim sends more.” is{LIKE.removeprefix(';')}",
    ),
]


@pytest.mark.parametrize(
    ("fields", "words"), WORDS, ids=[f"{n} {f.get('outcome', '')}" for n, (f, _) in enumerate(WORDS)]
)
def test_each_outcome_has_its_words(fields: dict[str, Any], words: str) -> None:
    assert judgement(make.match(**fields)) == words


def test_no_outcome_lacks_words() -> None:
    told = {fields.get("outcome", MatchOutcome.MATCHED) for fields, _ in WORDS}
    assert told == set(MatchOutcome)


@pytest.mark.parametrize(
    ("decades", "count"),
    [
        (0.0, "1"),
        (0.3, "2"),
        (1.0, "10"),
        (1.3, "20"),
        (1.999, "100"),
        (2.0, "100"),
        (2.345, "220"),
        (3.30103, "2,000"),
        (4.1, "13,000"),
        (6.0, "1,000,000"),
    ],
)
def test_a_rarity_is_said_as_a_count(decades: float, count: str) -> None:
    assert one_in(decades) == count


def test_a_count_never_falls_as_the_rarity_rises() -> None:
    counts = [int(one_in(step / 100).replace(",", "")) for step in range(601)]
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Harbour Wire (wire, United Kingdom)"),
        ({"country": ""}, "Harbour Wire (wire)"),
        ({"kind": "", "country": ""}, "Harbour Wire"),
        ({"kind": "", "country": "", "title": ""}, "https://harbourwire.example/feed.xml"),
    ],
)
def test_a_source_is_named_with_what_is_known_of_it(fields: dict[str, str], said: str) -> None:
    assert source(make.feed(**fields)) == said


# -- a text that nobody saw ------------------------------------------------------------------------


def miss(topic: str, score: float) -> Match:
    return make.match(topic=topic, score=score, outcome=MatchOutcome.BELOW_BAR, terms=())


def test_a_text_is_told_its_topics_first_and_then_the_nearest() -> None:
    far = [miss(f"far-{n}", n / 10) for n in range(8)]
    told = explain_text("Soldiers seen", [*far, make.match(), miss("near", 3.2)]).splitlines()
    assert told[0] == "Text      Soldiers seen"
    assert told[2] == "Verdict   1 topic would take it"
    topics = [line[10:].split(":")[0] for line in told[4::2]]
    assert topics == ["✓ dprk-troops", "· near", "· far-7", "· far-6", "· far-5", "· far-4"]


@pytest.mark.parametrize(
    ("matches", "verdict"),
    [
        ([], "no topic would take it"),
        ([miss("near", 3.2)], "no topic would take it"),
        ([make.match(), make.match(topic="other")], "2 topics would take it"),
    ],
)
def test_a_texts_verdict_counts_the_topics(matches: list[Match], verdict: str) -> None:
    assert f"Verdict   {verdict}" in explain_text("Soldiers seen", matches).splitlines()


def test_for_programs_every_field_has_its_name() -> None:
    assert as_data([make.match(score=4.12345)]) == [
        {
            "topic": "dprk-troops",
            "outcome": "matched",
            "matched": True,
            "score": 4.123,
            "bar": 3.3,
            "nearest": EXAMPLE,
            "negative": "",
            "terms": ["troops"],
            "gate": "",
            "words": [],
            "unit": "",
            "opinion": "",
            "place": "",
        }
    ]


# -- what is remembered ----------------------------------------------------------------------------


def remembered(*records: Any) -> Store:
    store = Store.in_memory()
    for record in records:
        feed = record.embedded.item.feed
        store.add_feed(feed, make.NOW)
        store.commit_poll(make.polled(feed=feed), [record], "bag@1")
    return store


def test_an_item_that_was_told_is_explained_from_feed_to_receipt() -> None:
    near = miss("icc-putin", 1.5)
    record = make.alert_record(matches=(make.match(),), story="a" * 16, item=make.item(id="a" * 16))
    record = replace(
        record,
        matches=(*record.matches, near),
        placement=Placement("a" * 16, Relation.ROOT, because="nothing is open"),
    )
    store = remembered(record)
    alert: Alert = record.decision.alerts[0]
    assert store.claim(alert.id, make.message(), make.NOW)
    store.settle(alert.id, DeliveryState.SENT, make.NOW, receipt="1730212200.000100")
    known = store.explain("a" * 8)
    assert known is not None
    assert explain(known) == "\n".join(
        [
            "Item      aaaaaaaaaaaaaaaa",
            "          North Korean troops seen near Kursk, Seoul says",
            "          Harbour Wire (wire, United Kingdom), in en",
            "          published 2024-10-29 14:20 UTC, first seen 2024-10-29 14:26 UTC",
            "          https://harbourwire.example/2024/10/29/troops",
            "",
            "Verdict   alert — news to its channel",
            "",
            "Topics    ✓ dprk-troops: matched",
            f"            {RARE}; terms “troops”{LIKE}",
            "          · icc-putin: below the bar",
            f"            not rare enough: as rare as 1 in 32; the bar is 1 in 2,000{LIKE}",
            "",
            "Story     aaaaaaaaaaaaaaaa: 1 item from Harbour Wire",
            "          It opened the story: nothing is open",
            "",
            "Sent      root to C0NEWS: sent after 1 try, receipt 1730212200.000100",
        ]
    )
    data = explained_data(known)
    assert (data["id"], data["verdict"], data["story"], data["relation"]) == ("a" * 16, "alert", "a" * 16, "root")
    assert data["deliveries"] == [
        {"kind": "root", "channel": "C0NEWS", "state": "sent", "receipt": "1730212200.000100"}
    ]
    store.close()


def test_an_item_that_was_not_told_is_explained_too() -> None:
    item = make.item(id="b" * 16, published=None, link="", language="", feed=make.feed(kind="", country=""))
    store = remembered(make.record(item=item))
    known = store.explain("b" * 16)
    assert known is not None
    told = explain(known)
    assert "          published at an unknown time, first seen 2024-10-29 14:26 UTC" in told.splitlines()
    assert "          Harbour Wire\n" in told
    assert "Verdict   no match — there are no topics" in told
    assert "Topics    no topic came near: nothing above one in twenty ordinary items" in told
    assert told.endswith("Sent      nothing")
    store.close()


def test_a_copy_names_what_it_repeats_and_the_sources_so_far() -> None:
    root = make.record(item=make.item(id="c" * 16))
    copies = [
        make.record(
            item=make.item(
                id=f"{n:016x}", feed=make.feed(url=f"https://p{n}.example/rss", title=f"Paper {n}"),
                first_seen=make.NOW + timedelta(minutes=n),
            ),
            placement=Placement("c" * 16, Relation.COPY, "c" * 16, 1.0, "the same text as “Troops”"),
        )
        for n in range(1, 8)
    ]  # fmt: skip
    store = remembered(root, *copies)
    known = store.explain(f"{7:016x}")
    assert known is not None
    lines = explain(known).splitlines()
    papers = ", ".join(f"Paper {n}" for n in range(1, 6))
    assert f"Story     cccccccccccccccc: 8 items from Harbour Wire, {papers} …" in lines
    assert "          It is a copy: the same text as “Troops”" in lines
    store.close()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"state": DeliveryState.QUEUED, "attempt": 0}, "Sent      root to C0NEWS: queued after 0 tries"),
        (
            {"state": DeliveryState.BLOCKED, "attempt": 2, "error": "not_in_channel"},
            "Sent      root to C0NEWS: blocked after 2 tries, not_in_channel",
        ),
        (
            {"state": DeliveryState.HELD, "reason": "corroboration", "not_before": make.NOW},
            "Sent      root to C0NEWS: held for corroboration, until 2024-10-29 14:30 UTC at most",
        ),
        (
            {"state": DeliveryState.HELD, "reason": "quiet hours", "because": "22:00-07:00", "not_before": make.NOW},
            "Sent      root to C0NEWS: held for quiet hours (22:00-07:00), until 2024-10-29 14:30 UTC",
        ),
        (
            {"state": DeliveryState.HELD, "reason": "budget", "because": "5 a day"},
            "Sent      root to C0NEWS: held for budget (5 a day), until the channel's next digest, 2024-10-30 08:00 UTC",
        ),
        (
            {"state": DeliveryState.BATCHED, "carrier": "6fb09110"},
            "Sent      root to C0NEWS: batched, told in the message of 6fb09110",
        ),
    ],
)
def test_a_delivery_that_waits_says_why(fields: dict[str, Any], line: str) -> None:
    store = remembered(make.record(item=make.item(id="d" * 16)))
    known = store.explain("d" * 16)
    assert known is not None
    morning = datetime(2024, 10, 30, 8, tzinfo=UTC)
    assert explain(replace(known, deliveries=(make.delivery(**fields),)), morning).splitlines()[-1] == line
    assert known.verdict is Verdict.NO_MATCH
    store.close()


# -- two items ------------------------------------------------------------------------------------


def three_in_a_row() -> Store:
    """One opened a story, Two joined it by One, and Three by Two; Four stands alone."""
    titles = ("One", "Two", "Three", "Four")
    items = {title: make.item(title=title, link=f"https://wire.example/{title}") for title in titles}
    story = items["One"].id
    places = {
        "One": Placement(story, Relation.ROOT),
        "Two": Placement(story, Relation.UPDATE, items["One"].id),
        "Three": Placement(story, Relation.COPY, items["Two"].id),
        "Four": Placement(items["Four"].id, Relation.ROOT, because="nothing is open"),
    }
    return remembered(*(make.record(item=item, placement=places[title]) for title, item in items.items()))


def pair(store: Store, one: str, other: str) -> list[str]:
    first, second = (store.explain(f"https://wire.example/{title}") for title in (one, other))
    assert first
    assert second
    timeline = store.timeline(first.story.id)
    assert timeline
    words = explain_pair(first, second, timeline, "not alike")
    return [re.sub(r"\b[0-9a-f]{16}\b", "ID", line) for line in words.splitlines()]


def test_items_of_one_story_are_followed_to_its_root() -> None:
    assert pair(three_in_a_row(), "Three", "One") == [
        "Verdict   one story: ID",
        "",
        "Joined    “Three” joined by “Two”, which was joined by “One”",
        "Joined    “One” opened it",
        "Compared  not alike",
    ]


def test_items_of_two_stories_are_compared() -> None:
    assert pair(three_in_a_row(), "Two", "Four") == ["Verdict   two stories: ID, ID", "", "Compared  not alike"]


def test_what_a_person_decided_is_said_first() -> None:
    store = three_in_a_row()
    four, one = (store.explain(f"https://wire.example/{title}") for title in ("Four", "One"))
    assert four
    assert one
    store.rule([one.story.id, four.story.id], lambda stories, deliveries: merge(stories, deliveries, "ann"), make.NOW)
    assert pair(store, "Four", "Two")[2] == "By hand   “Four”: merged by hand (ann) with “One”"
    explained = store.explain(four.item.id)
    assert explained
    assert "          It is an update (by hand): merged by hand (ann) with “One”" in explain(explained).splitlines()


def test_a_pair_has_its_names_for_programs() -> None:
    store = three_in_a_row()
    three, one = (store.explain(f"https://wire.example/{title}") for title in ("Three", "One"))
    assert three
    assert one
    timeline = store.timeline(one.story.id)
    assert timeline
    data = pair_data(three, one, timeline, "not alike")
    assert (data["one_story"], data["compared"]) == (True, "not alike")
    assert data["items"] == [
        {"id": k.item.id, "title": k.item.title, "story": one.story.id, "by_hand": False, "because": k.placement.because,
         "joined_by": joined}
        for k, joined in ((three, ["Two", "One"]), (one, []))
    ]  # fmt: skip


def test_a_ring_of_parents_ends() -> None:
    store = three_in_a_row()
    one = store.explain("https://wire.example/One")
    assert one
    timeline = store.timeline(one.story.id)
    assert timeline
    ids = [telling.item.id for telling in timeline.tellings]
    ring = tuple(
        replace(telling, placement=replace(telling.placement, parent=parent))
        for telling, parent in zip(timeline.tellings, [ids[-1], *ids], strict=False)
    )
    assert len(joined_by(ids[0], replace(timeline, tellings=ring))) == 2
