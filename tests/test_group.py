"""Meaning is a vector by hand: items told about one event share its direction."""

from dataclasses import replace
from datetime import timedelta
from functools import cache

import make
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.group import LATE, OpenStories
from monitor.model import EmbeddedItem, Feed, Item, Member, Placement, Relation, Vector

HOUR = timedelta(hours=1)
WINDOW = timedelta(hours=72)
DIMENSION = 32

#: Words that no two of these texts share, so that only meaning joins them.
LEADS = (
    "Officials in the region said on Tuesday that the strike had hit a residential building near the river.",
    "Rescue crews worked through the night while neighbours brought blankets, tea and torches to the ruins.",
    "Flights from the capital were delayed after controllers reported unidentified objects over the runway.",
)
TEXT = " ".join(LEADS)


@cache
def direction(event: int) -> NDArray[np.float64]:
    return np.random.default_rng(event).normal(size=DIMENSION)


def told(event: int, likeness: float = 0.9, salt: int = 0) -> Vector:
    """A unit vector about an event: its cosine with another of the same event is about `likeness` squared."""
    own = np.random.default_rng((event, salt, 99)).normal(size=DIMENSION)
    centre = direction(event) / np.linalg.norm(direction(event))
    own -= own @ centre * centre
    vector = likeness * centre + (1 - likeness**2) ** 0.5 * own / np.linalg.norm(own)
    return vector.astype(np.float32)


def outlet(name: str, **fields: object) -> Feed:
    return make.feed(url=f"https://{name.lower().replace(' ', '-')}.example/rss", title=name, **fields)


def news(
    title: str, at: timedelta = 0 * HOUR, *, source: str = "Harbour Wire", event: int = 1, salt: int = 0,
    likeness: float = 0.9, seen: timedelta | None = None, **fields: object,
) -> EmbeddedItem:  # fmt: skip
    values = {
        "title": title,
        "text": "",
        "feed": outlet(source),
        "link": f"https://example.org/{source}/{title}",
        "published": make.NOW + at,
        "first_seen": make.NOW + (at if seen is None else seen),
    }
    return EmbeddedItem(make.item(**(values | fields)), told(event, likeness, salt))


def stories(window: timedelta = WINDOW) -> OpenStories:
    return OpenStories(make.PlainSpace(DIMENSION), window)


def put(into: OpenStories, *items: EmbeddedItem) -> list[Placement]:
    """Place items and add them where they belong, as the pipeline does."""
    placements = []
    for item in items:
        placement = into.place(item)
        into.add(Member(item, placement.story, placement.relation))
        placements.append(placement)
    return placements


def relation(first: EmbeddedItem, second: EmbeddedItem) -> Relation:
    return put(stories(), first, second)[1].relation


# -- copies ----------------------------------------------------------------------------------------

TITLE = "Russian strike hits apartment block in Kharkiv, 14 wounded"
RUSSIAN = "Российский удар по жилому дому в Харькове: 14 раненых"
CHINESE = "俄罗斯袭击哈尔科夫住宅楼致14人受伤"
CHINESE_TEXT = (
    "当地官员周二表示，袭击击中了河边一栋居民楼，救援人员彻夜在废墟中搜寻，邻居们送来毛毯、热茶和手电筒。"
    "检察机关已经立案调查，市长呼吁居民在防空警报解除之前留在掩体内，并感谢国际社会提供的援助。"
)

COPIES = [
    ("word for word", TITLE, TEXT, TITLE, TEXT),
    ("title alone", TITLE, "", TITLE, ""),
    ("case and quotation marks", TITLE, TEXT, TITLE.upper(), TEXT),
    ("UPDATE 1-", TITLE, TEXT, f"UPDATE 1-{TITLE}", TEXT),
    ("UPDATE 3 -", f"UPDATE 2-{TITLE}", TEXT, f"UPDATE 3 - {TITLE}", TEXT),
    ("BREAKING:", TITLE, TEXT, f"BREAKING: {TITLE}", TEXT),
    ("Срочно.", RUSSIAN, TEXT, f"Срочно. {RUSSIAN}", TEXT),
    ("快讯：", CHINESE, CHINESE_TEXT, f"快讯：{CHINESE}", CHINESE_TEXT),
    ("- Outlet", TITLE, TEXT, f"{TITLE} - Meridian Courier", TEXT),
    ("| Outlet", TITLE, TEXT, f"{TITLE} | Meridian Courier", TEXT),
    ("— «Outlet»", RUSSIAN, TEXT, f"{RUSSIAN} — «Meridian Courier»", TEXT),
    ("the original's outlet credited", TITLE, TEXT, f"{TITLE} - Harbour Wire", TEXT),
    ("(Reuters)", TITLE, TEXT, TITLE, f"{TEXT} (Reuters)"),
    ("— ТАСС", RUSSIAN, TEXT, f"{RUSSIAN} — ТАСС", TEXT),
    ("（新华社）", CHINESE, CHINESE_TEXT, CHINESE, f"{CHINESE_TEXT}（新华社）"),
    ("a small edit", TITLE, TEXT, TITLE, TEXT.replace("had hit", "struck")),
    ("a word cut", TITLE, TEXT, TITLE, TEXT.replace("residential ", "")),
    ("a credit inside a Chinese text", CHINESE, CHINESE_TEXT, CHINESE, "据当地报道，" + CHINESE_TEXT),
]


@pytest.mark.parametrize(
    ("title", "text", "other", "other_text"), [case[1:] for case in COPIES], ids=[c[0] for c in COPIES]
)
def test_the_same_text_elsewhere_is_a_copy(title: str, text: str, other: str, other_text: str) -> None:
    first = news(title, text=text)
    second = news(other, HOUR, source="Meridian Courier", text=other_text, salt=1)
    root, copy = put(stories(), first, second)
    assert copy.relation is Relation.COPY, copy.because
    assert (copy.story, copy.parent) == (root.story, first.item.id)
    assert "the same text as" in copy.because
    assert 0 <= copy.likeness <= 1.0001


NOT_COPIES = [
    ("other numbers", "Air defence downs 56 of 89 drones overnight", TEXT, "Air defence downs 37 of 61 drones overnight", TEXT),
    ("another number in the text", TITLE, f"{TEXT} 14 were taken to hospital.", TITLE, f"{TEXT} 15 were taken to hospital."),
    ("a count in words", "Strike kills three in Kharkiv", TEXT, "Strike kills five in Kharkiv", TEXT),
    ("a count in Russian", "При ударе погибли трое", TEXT, "При ударе погибли двое", TEXT),
    ("another name", TITLE, f"{TEXT} Mayor Terekhov spoke.", TITLE, f"{TEXT} Mayor Sadovyi spoke."),
    ("another place", TITLE, TEXT, TITLE.replace("Kharkiv", "Sumy"), TEXT),
    ("a negation", "Moscow will attend the talks", TEXT, "Moscow will not attend the talks", TEXT),
    ("a Russian negation", "Москва приедет на переговоры", TEXT, "Москва не приедет на переговоры", TEXT),
    ("a Chinese negation", CHINESE, CHINESE_TEXT, CHINESE, CHINESE_TEXT.replace("已经立案", "未立案")),
    ("a Chinese name", "王毅会见外长", f"{CHINESE_TEXT}王毅出席。", "王毅会见外长", f"{CHINESE_TEXT}董军出席。"),
    ("a Chinese count", CHINESE, CHINESE_TEXT.replace("一栋", "三栋"), CHINESE, CHINESE_TEXT.replace("一栋", "两栋")),
    ("half of the text", TITLE, TEXT, TITLE, LEADS[0]),
    ("only the text's beginning differs", TITLE, TEXT, TITLE, " ".join(LEADS[1:])),
    ("titles without a word", "🔥", "", "⚡", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "text", "other", "other_text"), [case[1:] for case in NOT_COPIES], ids=[c[0] for c in NOT_COPIES]
)
def test_what_says_something_else_is_never_a_copy(title: str, text: str, other: str, other_text: str) -> None:
    """However alike in meaning: a copy is told to nobody."""
    first = news(title, text=text, likeness=1.0)
    second = news(other, HOUR, source="Meridian Courier", text=other_text, likeness=1.0)
    assert relation(first, second) is not Relation.COPY


@pytest.mark.parametrize(
    ("link", "expected"),
    [("https://a.example/1", Relation.COPY), ("https://a.example/2", Relation.UPDATE)],
    ids=["same page", "another page"],
)
def test_within_a_source_only_the_same_page_is_a_near_copy(link: str, expected: Relation) -> None:
    """Publishers reuse their own templates."""
    first = news(TITLE, text=TEXT, link="https://a.example/1")
    again = news(TITLE, HOUR, text=TEXT.replace("had hit", "struck"), link=link)
    assert relation(first, again) is expected


def test_the_very_same_text_is_a_copy_within_a_source_too() -> None:
    first = news(TITLE, text=TEXT, link="https://a.example/1")
    assert relation(first, news(TITLE, HOUR, text=TEXT, link="https://a.example/2")) is Relation.COPY


@pytest.mark.parametrize(("hours", "expected"), [(48, Relation.COPY), (49, Relation.UPDATE)])
def test_after_48_hours_the_same_text_is_news_again(hours: int, expected: Relation) -> None:
    later = news(TITLE, hours * HOUR, source="Meridian Courier", text=TEXT)
    assert relation(news(TITLE, text=TEXT), later) is expected


def test_a_copy_of_a_copy_names_the_original() -> None:
    original = news(TITLE, text=TEXT)
    copies = [news(TITLE, n * HOUR, source=f"Paper {n}", text=TEXT) for n in range(1, 5)]
    placements = put(stories(), original, *copies)
    assert [p.relation for p in placements] == [Relation.ROOT] + [Relation.COPY] * 4
    assert {p.parent for p in placements[1:]} == {original.item.id}


def test_a_copy_of_an_update_joins_the_same_story() -> None:
    root = news("Strike on Kharkiv", text=LEADS[0])
    update = news("Kharkiv digs out its neighbours", HOUR, text=LEADS[1], source="Other Wire", salt=1)
    copy = news("Kharkiv digs out its neighbours", 2 * HOUR, text=LEADS[1], source="Third Wire", salt=2)
    placements = put(stories(), root, update, copy)
    assert [p.relation for p in placements] == [Relation.ROOT, Relation.UPDATE, Relation.COPY]
    assert {p.story for p in placements} == {root.item.id}
    assert placements[2].parent == update.item.id


# -- updates ---------------------------------------------------------------------------------------


def test_the_same_event_in_other_words_is_an_update() -> None:
    root, update = put(
        stories(), news("Strike on Kharkiv", text=LEADS[0]), news("Crews dig", HOUR, text=LEADS[1], salt=1)
    )
    assert (update.relation, update.story, update.parent) == (Relation.UPDATE, root.story, root.story)
    assert "the same event as “Strike on Kharkiv” (Harbour Wire; likeness 0." in update.because


def test_another_event_opens_a_story_named_after_its_item() -> None:
    second = news("Flights delayed", HOUR, text=LEADS[2], event=2)
    placement = put(stories(), news("Strike on Kharkiv", text=LEADS[0]), second)[1]
    assert (placement.relation, placement.story, placement.parent) == (Relation.ROOT, second.item.id, "")
    assert placement.because.startswith("nothing open is like it; the nearest is “Strike on Kharkiv”")


def test_the_first_item_opens_a_story() -> None:
    first = news("Strike on Kharkiv")
    assert stories().place(first) == Placement(first.item.id, Relation.ROOT, because="nothing is open")


def test_look_alikes_stay_apart() -> None:
    """One template, two events: alike in half of the words, not in meaning."""
    one = news("Explosion at chemical plant in Texas injures 3", text=LEADS[0], event=1)
    two = news("Explosion at ammunition depot in Tver injures 8", HOUR, text=LEADS[1], event=2)
    assert relation(one, two) is Relation.ROOT


def test_an_item_joins_the_nearest_of_several_stories() -> None:
    open_stories = stories()
    titles = (
        "Strike on Kharkiv",
        "Floods in Valencia",
        "Summit opens",
        "Rouble falls",
        "Reactor halted",
        "Ships collide",
    )
    events = [news(title, n * HOUR, event=n) for n, title in enumerate(titles, 1)]
    assert all(p.relation is Relation.ROOT for p in put(open_stories, *events))
    placement = open_stories.place(news("What came of it", 10 * HOUR, event=5, salt=3))
    assert (placement.relation, placement.story) == (Relation.UPDATE, events[4].item.id)


def test_placing_puts_nothing_anywhere() -> None:
    open_stories = stories()
    put(open_stories, news("Strike on Kharkiv"))
    item = news("Crews dig", HOUR, salt=1)
    assert open_stories.place(item) == open_stories.place(item)
    assert len(open_stories) == 1


# -- languages -------------------------------------------------------------------------------------


def test_another_language_joins_by_meaning_alone() -> None:
    english = news(TITLE, text=TEXT)
    russian = news("Удар по Харькову", HOUR, source="Телетайп", language="ru", salt=1)
    chinese = news(CHINESE, 2 * HOUR, source="海灯日报", language="zh", salt=2, text=CHINESE_TEXT)
    placements = put(stories(), english, russian, chinese)
    assert [p.relation for p in placements] == [Relation.ROOT, Relation.UPDATE, Relation.UPDATE]
    assert {p.story for p in placements} == {english.item.id}


def test_another_language_of_another_event_stays_apart() -> None:
    russian = news("Удар по Харькову", HOUR, language="ru", event=2)
    assert relation(news(TITLE, text=TEXT), russian) is Relation.ROOT


def test_meaning_counts_only_where_both_were_read() -> None:
    """Two engines, the first reads Latin only: an English and a Russian item compare in the second part."""
    half = DIMENSION // 2

    def parts(vector: Vector, *, latin: bool) -> Vector:
        out = np.concatenate(
            [vector[:half] / np.linalg.norm(vector[:half]), vector[half:] / np.linalg.norm(vector[half:])]
        )
        if not latin:
            out[:half] = 0
        return out.astype(np.float32)

    english = news(TITLE, text=TEXT, likeness=0.99)
    russian = news("Удар по Харькову", HOUR, language="ru", likeness=0.99, salt=1)
    other = news("Рейсы задержаны", 2 * HOUR, language="ru", event=2, salt=2)
    placements = put(
        stories(),
        replace(english, vector=parts(english.vector, latin=True)),
        replace(russian, vector=parts(russian.vector, latin=False)),
        replace(other, vector=parts(other.vector, latin=False)),
    )
    assert [p.relation for p in placements] == [Relation.ROOT, Relation.UPDATE, Relation.ROOT]
    assert placements[1].likeness > 0.5


# -- the window ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(72, Relation.UPDATE), (73, Relation.ROOT), (-72, Relation.UPDATE), (-73, Relation.ROOT)],
)
def test_a_story_takes_items_of_its_window_earlier_ones_too(hours: int, expected: Relation) -> None:
    other = news("Strike on Kharkiv apartment block: crews dig", hours * HOUR, salt=1, likeness=0.99)
    assert relation(news("Strike on Kharkiv apartment block", likeness=0.99), other) is expected


def test_the_very_same_text_opens_a_closed_story_again() -> None:
    open_stories = stories()
    first = news(TITLE, text=TEXT)
    put(open_stories, first)
    again = open_stories.place(news(TITLE.upper(), 80 * HOUR, source="Meridian Courier", text=TEXT))
    assert (again.relation, again.story) == (Relation.UPDATE, first.item.id)
    assert "opens it again" in again.because


def test_a_copy_of_what_is_open_stays_with_it_though_a_closed_story_said_the_same() -> None:
    open_stories = stories()
    put(open_stories, news(TITLE, text=TEXT))
    later = news(TITLE, 90 * HOUR, source="Meridian Courier", text=TEXT)
    open_stories.add(Member(later, later.item.id, Relation.ROOT))
    copied = open_stories.place(news(TITLE, 91 * HOUR, source="Third Wire", text=TEXT))
    assert (copied.relation, copied.story) == (Relation.COPY, later.item.id)


def test_a_late_item_joins_its_story_though_newer_ones_stand_between() -> None:
    open_stories = stories()
    root = news("Strike on Kharkiv", text=LEADS[0])
    others = [news(f"Event {n}", n * 10 * HOUR, event=n, salt=n) for n in range(2, 9)]
    put(open_stories, root, *others)
    late = news("Crews dig", HOUR, seen=80 * HOUR, salt=1)
    assert open_stories.place(late).story == root.item.id


def test_a_topic_may_ask_for_another_window() -> None:
    open_stories = stories()
    put(open_stories, news("Strike on Kharkiv apartment block"))
    later = news("Strike on Kharkiv apartment block: crews dig", 24 * HOUR, salt=1)
    assert open_stories.place(later).relation is Relation.UPDATE
    assert open_stories.place(later, 12 * HOUR).relation is Relation.ROOT
    much_later = news("Crews dig after strike on Kharkiv apartment block", 100 * HOUR, salt=1)
    assert open_stories.place(much_later).relation is Relation.ROOT
    assert open_stories.place(much_later, 120 * HOUR).relation is Relation.UPDATE


def test_a_story_lives_on_as_long_as_items_come() -> None:
    items = [news(f"Day {n} of the siege of the city", n * 48 * HOUR, salt=n) for n in range(5)]
    assert len({p.story for p in put(stories(), *items)}) == 1


# -- forgetting ------------------------------------------------------------------------------------


def test_forgetting_keeps_what_was_seen_within_the_window_and_a_day() -> None:
    open_stories = stories()
    items = [news(f"Event {n}", n * 24 * HOUR, event=n) for n in range(1, 13)]
    put(open_stories, *items)
    assert open_stories.span == WINDOW + LATE
    open_stories.forget()
    # the newest is day 12: day 8 is kept, day 7 is not
    assert len(open_stories) == 5
    with pytest.raises(KeyError):
        open_stories.story(items[6].item.id)
    assert open_stories.story(items[7].item.id).title == "Event 8"


def test_an_archive_from_before_1970_is_forgotten_like_any() -> None:
    open_stories = stories()
    put(open_stories, *(news(f"Event {n}", (n * 24 - 500_000) * HOUR, event=n) for n in range(1, 13)))
    open_stories.forget()
    assert len(open_stories) == 5


def test_an_old_item_seen_only_now_is_kept() -> None:
    open_stories = stories()
    put(open_stories, news("Event 1", -300 * HOUR, event=1, seen=0 * HOUR), news("Event 2", event=2))
    open_stories.forget()
    assert len(open_stories) == 2


def test_what_is_kept_is_placed_as_before() -> None:
    open_stories = stories()
    put(open_stories, *(news(f"Event {n}", n * 24 * HOUR, event=n) for n in range(1, 13)))
    item = news("What came of it", 290 * HOUR, event=11, salt=1)
    before = open_stories.place(item)
    open_stories.forget()
    after = open_stories.place(item)
    assert (after.story, after.relation, after.parent) == (before.story, before.relation, before.parent)


def test_forgetting_nothing_is_allowed() -> None:
    open_stories = stories()
    open_stories.forget()
    assert len(open_stories) == 0


# -- edits -----------------------------------------------------------------------------------------


def reopened(before: OpenStories, items: list[EmbeddedItem], placements: list[Placement]) -> OpenStories:
    """What a restart makes of these items, in the order in which they were first seen."""
    again = stories(before.window)
    for item, placement in zip(items, placements, strict=True):
        again.add(Member(item, placement.story, placement.relation))
    return again


def test_an_edited_item_stands_where_it_stood() -> None:
    open_stories = stories()
    first, update = news("Strike on Kharkiv", text=LEADS[0]), news("Crews dig", HOUR, text=LEADS[1], salt=1)
    put(open_stories, first, update)
    # whatever it says now
    assert open_stories.amend(news("Talks end", text=LEADS[2], event=3, id=update.item.id)) is True
    placement = open_stories.placement_of(update.item.id)
    assert (placement.story, placement.relation) == (first.item.id, Relation.UPDATE)
    assert open_stories.story(first.item.id).items == 2


def test_an_edited_item_is_compared_by_what_it_says_now() -> None:
    open_stories = stories()
    item = news("Strike on Kharkiv", text=LEADS[0])
    put(open_stories, item)
    open_stories.amend(news("Talks end", text=LEADS[2], event=3, id=item.item.id))
    assert open_stories.place(news("Crews dig", HOUR, text=LEADS[1], salt=1)).relation is Relation.ROOT
    assert open_stories.place(news("Talks end", HOUR, source="Other", text=LEADS[2], event=3)).relation is Relation.COPY
    assert open_stories.story(item.item.id).title == "Talks end"


def test_an_item_that_is_not_open_cannot_be_amended() -> None:
    open_stories = stories()
    put(open_stories, news("Strike on Kharkiv"))
    assert open_stories.amend(news("Talks end")) is False
    assert len(open_stories) == 1
    with pytest.raises(KeyError):
        open_stories.placement_of(news("Talks end").item.id)


def test_a_forgotten_item_cannot_be_amended_and_the_others_can() -> None:
    open_stories = stories()
    items = [news(f"Event {n}", n * 24 * HOUR, event=n) for n in range(1, 13)]
    put(open_stories, *items)
    open_stories.forget()
    assert [open_stories.amend(item) for item in (items[6], items[7])] == [False, True]


def test_an_edit_does_not_move_an_item_in_time() -> None:
    """Publishers date an edit anew, and a poll sees it now; the store keeps the first times, and so does a restart."""
    open_stories = stories()
    first, newest = news("Strike on Kharkiv", text=LEADS[0]), news("Event 2", 144 * HOUR, event=2)
    put(open_stories, first, newest)
    open_stories.amend(news("Strike on Kharkiv kills 7", 140 * HOUR, text=LEADS[0], id=first.item.id))
    story = open_stories.story(first.item.id)
    assert (story.title, story.opened, story.latest) == ("Strike on Kharkiv kills 7", make.NOW, make.NOW)
    put(open_stories, news("Event 3", 145 * HOUR, event=3))
    open_stories.forget()
    with pytest.raises(KeyError):
        open_stories.story(first.item.id)


@pytest.mark.parametrize("edited", range(4))
def test_a_restart_rebuilds_what_edits_left(edited: int) -> None:
    items = [
        news("Strike on Kharkiv", text=LEADS[0]),
        news("Crews dig", HOUR, text=LEADS[1], salt=1),
        news("Floods in Valencia", 2 * HOUR, text=LEADS[2], event=2),
        news("Rouble falls", 3 * HOUR, event=4),
    ]
    open_stories = stories()
    placements = put(open_stories, *items)
    for event in (6, 5):  # twice: the last word counts
        now = news(f"Summit opens on day {event}", event=event, id=items[edited].item.id)
        open_stories.amend(now)
    was = items[edited].item
    kept = replace(now.item, published=was.published, first_seen=was.first_seen)
    items[edited] = replace(now, item=kept)
    again = reopened(open_stories, items, placements)
    probes = [
        news("Rescue in Kharkiv", 4 * HOUR, salt=2), news("Water falls", 4 * HOUR, event=2, salt=2),
        news("Central bank acts", 4 * HOUR, event=4, salt=2), news("Leaders arrive", 4 * HOUR, event=5, salt=2),
        news("Nothing of this", 4 * HOUR, event=9), news(kept.title, 4 * HOUR, source="Other", event=5, salt=3),
    ]  # fmt: skip
    for probe in probes:
        one, other = open_stories.place(probe), again.place(probe)
        assert (one.story, one.relation, one.parent) == (other.story, other.relation, other.parent)
    for item, placement in zip(items, placements, strict=True):
        assert open_stories.placement_of(item.item.id) == again.placement_of(item.item.id)
        assert open_stories.story(placement.story) == again.story(placement.story)


# -- what a story is -------------------------------------------------------------------------------


def test_a_story_tells_sources_and_languages_in_order_of_appearance() -> None:
    open_stories = stories()
    items = [
        news(TITLE, text=TEXT, source="Harbour Wire"),
        news("Удар по Харькову", HOUR, source="Телетайп", language="ru", salt=1),
        news(TITLE, 2 * HOUR, text=TEXT, source="Meridian Courier", salt=2),
        news("Crews dig", -HOUR, source="Harbour Wire", salt=3, text=LEADS[1]),
        news("Nobody says the language", 3 * HOUR, source="Bare", language="", salt=4, text=LEADS[2]),
    ]
    put(open_stories, *items)
    story = open_stories.story(items[0].item.id)
    assert (story.id, story.title, story.items) == (items[0].item.id, TITLE, 5)
    assert story.sources == ("Harbour Wire", "Телетайп", "Meridian Courier", "Bare")
    assert story.languages == ("en", "ru")
    assert (story.opened, story.latest) == (make.NOW - HOUR, make.NOW + 3 * HOUR)


def test_a_story_that_is_not_open_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        stories().story("nothing")


# -- laws ------------------------------------------------------------------------------------------

HEADLINES = st.sampled_from([TITLE, f"UPDATE 1-{TITLE}", "Crews dig", "Flights delayed", RUSSIAN, CHINESE, "Talks end"])
STREAM = st.lists(
    st.tuples(HEADLINES, st.integers(1, 4), st.integers(0, 200), st.sampled_from(["A", "B", "C"]), st.integers(0, 2)),
    max_size=30,
)


def _stream(rows: list[tuple[str, int, int, str, int]]) -> list[EmbeddedItem]:
    return [
        news(title, hours * HOUR, event=event, source=source, salt=salt, text=LEADS[salt], id=f"{n:016x}")
        for n, (title, event, hours, source, salt) in enumerate(rows)
    ]


@settings(max_examples=40, deadline=None)
@given(STREAM, st.integers(0, 30))
def test_a_restart_changes_no_placement(rows: list[tuple[str, int, int, str, int]], cut: int) -> None:
    """What the store gives back, added in order, is what was there before."""
    items = _stream(rows)
    placements = put(stories(), *items)
    again = stories()
    for item, placement in zip(items[:cut], placements, strict=False):
        again.add(Member(item, placement.story, placement.relation))
    assert put(again, *items[cut:]) == placements[cut:]


@settings(max_examples=40, deadline=None)
@given(STREAM)
def test_every_item_stands_in_one_story_and_parents_stand_in_the_same(
    rows: list[tuple[str, int, int, str, int]],
) -> None:
    items = _stream(rows)
    open_stories = stories()
    placements = put(open_stories, *items)
    home = {item.item.id: placement.story for item, placement in zip(items, placements, strict=True)}
    for item, placement in zip(items, placements, strict=True):
        if placement.relation is Relation.ROOT:
            assert (placement.story, placement.parent) == (item.item.id, "")
        else:
            assert home[placement.parent] == placement.story
        assert placement.because
    assert sum(open_stories.story(story).items for story in set(home.values())) == len(items)


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=200))
def test_no_text_breaks_the_comparison(title: str, other: str, text: str) -> None:
    first: Item = make.item(title=title or "-", text=text)
    second = make.item(title=other or "-", text=text, feed=outlet("Meridian Courier"))
    vector = told(1)
    assert len(put(stories(), EmbeddedItem(first, vector), EmbeddedItem(second, vector))) == 2
