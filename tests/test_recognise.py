"""Polls of one feed, one after the other, over a memory that keeps names as the store does: who came first keeps a name."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from urllib.parse import urlsplit

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import NOW

from monitor.model import Document, FeedState, Item, Rhythm, Verdict, Version
from monitor.parse import parse
from monitor.recognise import (
    STORM,
    Recognised,
    Sighting,
    is_gap,
    is_material,
    is_suspect,
    recognise,
    storm,
    strangers,
)
from monitor.text import fold

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SITE = "https://wire.example"
TEXT = "Officials in the region said on Tuesday that the strike had hit a residential building near the river."
OTHER_TEXT = "Flights from the capital were delayed after controllers reported unidentified objects over a runway."


def news(title: str, guid: str = "", link: str = "", text: str = TEXT, at: datetime | None = None) -> Item:
    return make.item(id=guid or link or title, title=title, link=link, text=text, published=at, first_seen=NOW)


def document(*items: Item) -> list[Item]:
    """Give the items their other names, as `parse` does: what several share names none of them."""
    counts = Counter(name for item in items for name in _names(item))
    return [replace(item, keys=tuple(name for name in _names(item) if counts[name] == 1)) for item in items]


def _names(item: Item) -> Iterator[str]:
    path = urlsplit(item.canonical_link).path
    if path.strip("/"):
        yield f"link {item.canonical_link}"
        yield f"path {path} {fold(item.title)}"
    if item.published:
        yield f"time {item.published} {fold(item.title)}"


class Memory:
    """What is known of one feed."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.versions: dict[str, Version] = {}

    def poll(self, items: Sequence[Item]) -> Recognised:
        asked = {name for item in items for name in (item.id, *item.keys)}
        known = {name: self._known(self.names[name]) for name in asked if name in self.names}
        versions = {item_id: self.versions[item_id] for item_id in strangers(items, known)}
        found = recognise(items, known, versions)
        told = [*found.new, *(sighting.item for sighting in found.known if sighting.changed)]
        self.versions |= {item.id: version(item) for item in told}
        for name, item_id in [*((item.id, item.id) for item in found.new), *found.aliases.items()]:
            self.names.setdefault(name, item_id)
        return found

    def _known(self, item_id: str) -> tuple[str, str]:
        known = self.versions[item_id]
        return item_id, make.content(known.title, known.text)


def version(item: Item) -> Version:
    return Version(item.id, item.title, item.text, item.canonical_link, item.published, 0, Verdict.NO_MATCH)


def new(found: Recognised) -> list[str]:
    return [item.title for item in found.new]


def known(found: Recognised) -> list[str]:
    return [sighting.item.id for sighting in found.known]


# -- who is it ------------------------------------------------------------------------------------

STRIKE = news("Strike hits a house in Kharkiv", "g1", f"{SITE}/2024/strike", at=NOW - HOUR)
UNDATED = replace(STRIKE, published=None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(STRIKE, STRIKE, id="nothing changed"),
        pytest.param(STRIKE, replace(STRIKE, title="Two dead", text="", published=None), id="all but the guid"),
        pytest.param(STRIKE, replace(STRIKE, id="wp:1"), id="a new guid"),
        pytest.param(UNDATED, replace(UNDATED, id="wp:1"), id="a new guid, undated"),
        pytest.param(STRIKE, replace(STRIKE, id="wp:1", published=None), id="a new guid, its date lost"),
        pytest.param(
            STRIKE, replace(STRIKE, id="wp:1", title="Strike hits house in Kharkiv: two dead"),
            id="a new guid, and a title edited",
        ),
        pytest.param(
            STRIKE, replace(STRIKE, id="wp:1", title="Two dead after a night of bombs"),
            id="a new guid and another title, at the same time on the same page",
        ),
        pytest.param(
            STRIKE, replace(STRIKE, id="wp:1", published=NOW + 5 * HOUR, text=TEXT + " Two people died."),
            id="a new guid, and its date renewed with a paragraph more",
        ),
        pytest.param(
            UNDATED, replace(UNDATED, id="wp:1", title="Strike hits house in Kharkiv: two dead"),
            id="a new guid, and a title edited, undated",
        ),
        pytest.param(
            UNDATED, news(STRIKE.title, f"{SITE}/2024/strike", "https://www.wire.example/2024/strike"),
            id="another host",
        ),
        pytest.param(
            STRIKE,
            news(STRIKE.title, link="https://www.wire.example/2024/strike", at=NOW - HOUR - 30 * MINUTE),
            id="another host, and a date half an hour off",
        ),
        pytest.param(STRIKE, news(STRIKE.title, link=f"{SITE}/?p=7", at=NOW - HOUR), id="another page, same time"),
        pytest.param(
            STRIKE, news(STRIKE.title.upper(), "wp:1", at=NOW - HOUR), id="no link any more, and a title in capitals"
        ),
    ],
)  # fmt: skip
def test_an_item_under_another_name_is_known(before: Item, after: Item) -> None:
    memory = Memory()
    memory.poll(document(before))
    found = memory.poll(document(after))
    assert (new(found), known(found)) == ([], ["g1"])


BRIEFING = news("Morning briefing", "b1", f"{SITE}/briefing/28", at=NOW - DAY)
LIVE = news("Ukraine war live: Kharkiv hit by missiles", "l1", f"{SITE}/live", at=NOW - HOUR)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(STRIKE, news("Talks open in Ankara", "g2", f"{SITE}/talks", at=NOW), id="all of it another"),
        pytest.param(
            BRIEFING, news("Morning briefing", "b2", f"{SITE}/briefing/29", OTHER_TEXT, at=NOW),
            id="a daily title, on another page",
        ),
        pytest.param(
            BRIEFING, replace(BRIEFING, id="b2", text=OTHER_TEXT, published=NOW),
            id="a daily title, on the same page",
        ),
        pytest.param(
            BRIEFING, news("Morning briefing", "b2", "https://m.wire.example/briefing/28", OTHER_TEXT, at=NOW),
            id="a daily title, and the same path",
        ),
        pytest.param(
            BRIEFING, news("Morning briefing", "b2", "https://m.wire.example/briefing/28", at=NOW),
            id="a daily title, the same path, and a text that never changes",
        ),
        pytest.param(BRIEFING, news("Morning briefing", "b2", at=NOW), id="a daily title without a page"),
        pytest.param(
            LIVE, news("Storm floods Valencia, hundreds missing", "l2", f"{SITE}/live", OTHER_TEXT, at=NOW),
            id="a live page with another story",
        ),
        pytest.param(
            replace(LIVE, published=None), news("Storm floods Valencia", "l2", f"{SITE}/live", OTHER_TEXT),
            id="a live page with another story, undated",
        ),
        pytest.param(
            news("Kharkiv", "a", f"{SITE}/"), news("Kharkiv", "b", f"{SITE}/"), id="the home page for a link, undated"
        ),
    ],
)  # fmt: skip
def test_another_item_that_looks_alike_is_new(before: Item, after: Item) -> None:
    memory = Memory()
    memory.poll(document(before))
    found = memory.poll(document(after))
    assert (new(found), known(found)) == ([after.title], [])


def test_a_page_that_passed_to_another_story_does_not_swallow_it() -> None:
    """The latest story stands at /latest for an hour, then moves to a page of its own."""
    memory = Memory()
    memory.poll(document(replace(STRIKE, link=f"{SITE}/latest", canonical_link=f"{SITE}/latest")))
    memory.poll(document(replace(STRIKE, text="")))
    talks = news("Talks open in Ankara", "g2", f"{SITE}/latest", OTHER_TEXT, at=NOW - 30 * MINUTE)
    assert new(memory.poll(document(talks))) == ["Talks open in Ankara"]


def test_two_items_side_by_side_on_one_page_are_two() -> None:
    memory = Memory()
    statement = news("Statement on grain", "s1", f"{SITE}/statements", at=NOW - DAY)
    assert new(memory.poll(document(statement))) == ["Statement on grain"]
    again = news("Statement on grain exports", "s2", f"{SITE}/statements", at=NOW)
    assert new(memory.poll(document(again, statement))) == ["Statement on grain exports"]


def test_an_item_stands_beside_its_own_copy_whatever_their_order() -> None:
    memory = Memory()
    memory.poll(document(STRIKE))
    copy = replace(STRIKE, id="g2", published=NOW)
    # the keys of a careless parser: the copy bears the first one's name, and comes before it
    found = memory.poll([replace(copy, keys=(f"link {STRIKE.link}",)), STRIKE])
    assert (new(found), known(found)) == ([STRIKE.title], ["g1"])


def test_two_strangers_cannot_both_be_the_same_item() -> None:
    memory = Memory()
    memory.poll(document(STRIKE))
    one, other = replace(STRIKE, id="x", keys=(f"link {STRIKE.link}",)), replace(STRIKE, id="y")
    found = memory.poll([one, replace(other, keys=(f"time {STRIKE.published} {fold(STRIKE.title)}",))])
    assert ([item.id for item in found.new], known(found)) == (["y"], ["g1"])


def test_a_hub_that_several_items_share_names_none_of_them() -> None:
    memory = Memory()
    titles = ("Grain", "Steel", "Oil")
    memory.poll(document(*(news(title, f"a{title}", f"{SITE}/trade") for title in titles)))
    found = memory.poll(document(*(news(f"{title} again", f"b{title}", f"{SITE}/trade") for title in titles)))
    assert new(found) == ["Grain again", "Steel again", "Oil again"]


def test_an_alias_is_remembered_when_all_other_names_have_changed() -> None:
    memory = Memory()
    memory.poll(document(STRIKE))
    memory.poll(document(replace(STRIKE, id="wp:1")))
    moved = news("Two dead in the east", "wp:1", f"{SITE}/east", at=NOW)
    assert known(memory.poll(document(moved))) == ["g1"]
    by_its_new_page = news("Two dead in the east", "third", f"{SITE}/2024/strike", at=NOW - HOUR)
    assert known(memory.poll(document(by_its_new_page))) == ["g1"]


def test_a_feed_that_flips_between_two_versions_brings_nothing_new() -> None:
    memory = Memory()
    old = document(*(news(f"Story {n}", f"old{n}", f"{SITE}/story/{n}", at=NOW - n * HOUR) for n in range(20)))
    renamed = document(*(replace(item, id=f"new{item.id}", keys=()) for item in old))
    assert len(memory.poll(old).new) == 20
    for items in (renamed, old, renamed):
        found = memory.poll(items)
        assert (new(found), known(found)) == ([], [item.id for item in old])
        assert not any(sighting.changed for sighting in found.known)


def test_an_item_under_two_of_its_names_in_one_document_is_seen_once() -> None:
    """Its own name speaks: were both heard, each would be an edit of the other, at every poll."""
    memory = Memory()
    memory.poll(document(STRIKE))
    memory.poll(document(replace(STRIKE, id="wp:1")))
    for _ in range(2):
        found = memory.poll([replace(STRIKE, id="wp:1", title="Strike, in short"), STRIKE])
        assert [(sighting.item.title, sighting.changed) for sighting in found.known] == [(STRIKE.title, False)]


def test_an_item_of_which_no_version_is_left_is_new() -> None:
    item = replace(STRIKE, id="wp:1", keys=("link",))
    found = recognise([item], {"link": ("g1", "")}, {})
    assert found.new == (item,)


def test_only_versions_of_items_under_other_names_are_asked_for() -> None:
    by_id, by_key = replace(STRIKE, keys=("link",)), replace(STRIKE, id="x", keys=("path", "time", "link"))
    names = {"g1": ("g1", ""), "link": ("g1", ""), "time": ("g9", "")}
    assert strangers([by_id, by_key, replace(by_key, id="y")], names) == ["g9", "g1"]


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        pytest.param(make.content(STRIKE.title, STRIKE.text), False, id="the same words"),
        pytest.param(make.content(STRIKE.title, ""), True, id="others"),
        pytest.param("", False, id="unknown: from before there were hashes"),
    ],
)
def test_words_that_are_not_what_they_were_are_noticed(content: str, changed: bool) -> None:
    found = recognise([STRIKE], {"g1": ("g1", content)}, {})
    assert found.known == (Sighting(STRIKE, changed),)


def rss(guid: str, link: str, dates: bool) -> list[Item]:
    """Twenty items as `parse` gives them, guid and link made from their number."""
    items = "".join(
        f"<item><title>Report {n} from the east</title><description>{TEXT}</description>"
        f"<guid isPermaLink='false'>{guid.format(n)}</guid><link>{link.format(n).replace('&', '&amp;')}</link>"
        + (f"<pubDate>Tue, 29 Oct 2024 {n:02}:10:00 GMT</pubDate></item>" if dates else "</item>")
        for n in range(20)
    )
    body = f"<rss version='2.0'><channel><title>Wire</title>{items}</channel></rss>".encode()
    return list(parse(Document(make.feed(), make.feed().url, {}, body), NOW).items)


@pytest.mark.parametrize(
    ("guid", "link"),
    [
        pytest.param("g{}", f"{SITE}/report/{{}}", id="the same"),
        pytest.param("https://wire.example/?p={}", f"{SITE}/report/{{}}", id="guids in another scheme"),
        pytest.param("", f"{SITE}/report/{{}}", id="no guids any more"),
        pytest.param("N/A", f"{SITE}/report/{{}}", id="one guid for all"),
        pytest.param("g{}", f"{SITE}/new/{{}}", id="links moved"),
        pytest.param("x{}", f"{SITE}/report/{{}}?utm_source=rss&utm_medium=feed", id="new guids, and links tracked"),
        pytest.param("x{}", "http://www.wire.example/report/{}", id="new guids, without https, with www"),
    ],
)
@pytest.mark.parametrize("dates", [True, False])
def test_a_publisher_that_renames_everything_brings_nothing_new(guid: str, link: str, dates: bool) -> None:
    memory = Memory()
    before = memory.poll(rss("g{}", f"{SITE}/report/{{}}", dates))
    assert len(before.new) == 20
    for _ in range(2):
        found = memory.poll(rss(guid, link, dates))
        assert new(found) == []
        assert known(found) == [item.id for item in before.new]


#: So few of everything that names clash all the time. Made before, and drawn whole: one draw costs what each of five would.
few_items = st.sampled_from(
    [
        news(title=title, guid=guid, link=link, text=text, at=at)
        for title in ("Strike", "Strike hits Kharkiv", "Talks", "Morning briefing")
        for guid in ("", "g1", "g2", "g3")
        for link in ("", f"{SITE}/", f"{SITE}/a", f"{SITE}/b", "https://m.wire.example/a")
        for text in ("", TEXT, OTHER_TEXT)
        for at in (None, NOW - DAY, NOW - HOUR, NOW)
    ]
)
documents = st.lists(few_items, max_size=6, unique_by=lambda item: item.id).map(lambda items: document(*items))


@given(history=st.lists(documents, max_size=4), last=documents, order=st.randoms())
def test_a_document_that_comes_again_in_any_order_brings_nothing_new(
    history: list[list[Item]], last: list[Item], order: Random
) -> None:
    memory = Memory()
    for items in [*history, last]:
        memory.poll(items)
    order.shuffle(last)
    assert memory.poll(last).new == ()


@given(st.lists(documents, min_size=2, max_size=6))
def test_no_item_is_ever_told_twice_or_taken_for_one_that_is_unknown(history: list[list[Item]]) -> None:
    memory, seen = Memory(), set[str]()
    for items in history:
        found = memory.poll(items)
        fresh, old = [item.id for item in found.new], known(found)
        assert seen.isdisjoint(fresh)
        assert seen.issuperset(old)
        assert len({*fresh, *old}) == len(fresh) + len(old) <= len(items)
        seen.update(fresh)


# -- what changed ---------------------------------------------------------------------------------


def before(title: str = STRIKE.title, text: str = TEXT) -> Version:
    return replace(version(STRIKE), title=title, text=text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Strike on Kharkiv", "Strike  on “Kharkiv”!"),
        ("STRIKE ON KHARKIV", "Strike on Kharkiv"),
        ("Ещё один удар по Харькову", "Еще один удар по Харькову"),
        ("Live updates at 14:30", "Live updates at 15:05"),
        ("Live updates at 9:30 a.m.", "Live updates at 10:05 p.m."),
        ("Live updates at 9.30pm", "Live updates at 10.05 pm"),
        ("实时更新 14：30", "实时更新 15：05"),
        ("Strike on Kharkiv – 5 min ago", "Strike on Kharkiv – 2 hours ago"),
        ("Strike on Kharkiv (59 minutes ago)", "Strike on Kharkiv (an hour ago)"),
        ("Удар по Харькову, 5 минут назад", "Удар по Харькову, 2 ч. назад"),
        ("Удар по Харькову, 1 день назад", "Удар по Харькову, 2 дня назад"),
        ("Удар по Харкову, 5 хв тому", "Удар по Харкову, 2 години тому"),
        ("Удар по Харкову, 5 хвилин тому", "Удар по Харкову, 2 год. тому"),
        ("哈尔科夫遇袭 5分钟前", "哈尔科夫遇袭 2个小时前"),
        ("Strike on Kharkiv (12 comments)", "Strike on Kharkiv (1,213 comments)"),
        ("Strike on Kharkiv | Comments: 12", "Strike on Kharkiv | Comments: 13"),
        ("Strike on Kharkiv | 1.2k views", "Strike on Kharkiv | 3 k views"),
        ("Удар по Харькову. Комментариев: 12", "Удар по Харькову. Комментариев: 1 213"),
        ("Удар по Харькову, 12 просмотров", "Удар по Харькову, 1 просмотр"),
        ("Удар по Харкову (12 коментарів)", "Удар по Харкову (13 коментарів)"),
        ("Удар по Харкову. Переглядів: 12", "Удар по Харкову. Переглядів: 345"),
        ("哈尔科夫遇袭（12条评论）", "哈尔科夫遇袭（13条评论）"),
        ("哈尔科夫遇袭 阅读：1234", "哈尔科夫遇袭 阅读：2234"),
        ("哈爾科夫遇襲 評論(3)", "哈爾科夫遇襲 評論(5)"),
    ],
)
def test_a_clock_or_a_counter_in_a_title_is_no_change(old: str, new: str) -> None:
    assert not is_material(before(old), new, TEXT)
    assert not is_material(before(new), old, TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3 killed in Kharkiv", "7 killed in Kharkiv"),
        ("3 killed, 5 hurt in Kharkiv", "5 killed, 3 hurt in Kharkiv"),
        ("Three killed in Kharkiv", "Seven killed in Kharkiv"),
        ("В Харькове 3 погибших", "В Харькове 12 погибших"),
        ("У Харкові 3 загиблих", "У Харкові 12 загиблих"),
        ("哈尔科夫3人死亡", "哈尔科夫12人死亡"),
        ("哈尔科夫遇袭", "哈尔科夫未遇袭"),
        ("Minister resigns", "Minister does not resign"),
        ("Russia accuses Ukraine of attack", "Ukraine accuses Russia of attack"),
        ("Fed sets rate at 4.25%", "Fed sets rate at 4.75%"),
        ("Dow falls 500 points", "Dow falls 1,200 points"),
        ("UN adopts resolution with 93 votes", "UN adopts resolution with 141 votes"),
        ("Fund sells 2m shares", "Fund sells 9m shares"),
        ("Hostage held for 5 days", "Hostage held for 6 days"),
        ("500 000 человек без света", "700 000 человек без света"),
        ("Strike on Kharkiv", "UPDATE: Strike on Kharkiv"),
    ],
)
def test_any_other_word_or_number_in_a_title_is_a_change(old: str, new: str) -> None:
    assert is_material(before(old), new, TEXT)
    assert is_material(before(new), old, TEXT)


ZH = "外交部发言人星期二在例行记者会上表示，双方将就粮食出口问题举行新一轮磋商。"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(TEXT, "", id="empty, and back again"),
        pytest.param(TEXT, TEXT[:60] + "…", id="cut elsewhere"),
        pytest.param(TEXT, TEXT[:40], id="cut within a word"),
        pytest.param(ZH, ZH[:20] + "…", id="cut elsewhere, in Chinese"),
        pytest.param(TEXT, f"{TEXT} {OTHER_TEXT}", id="a paragraph more"),
        pytest.param(TEXT, f"KYIV, Oct 29 (Wire) - {TEXT}", id="a dateline"),
        pytest.param(TEXT, TEXT.replace("Tuesday", "Wednesday"), id="a word"),
        pytest.param(f"14:30 {TEXT} 12 comments", f"15:05 {TEXT} 1,200 comments", id="a clock and a counter"),
        pytest.param("Updated 5 min ago", "Updated 3 hours ago", id="nothing but a clock"),
        pytest.param("12 comments", "13 comments", id="nothing but a counter"),
        pytest.param("Read more", TEXT, id="a text instead of none to speak of"),
        pytest.param("1 2 3 4 5 6 7 8", "9 10 11 12 13 14 15", id="nothing but numbers"),
    ],
)
def test_a_text_that_says_the_same_or_nothing_is_no_change(old: str, new: str) -> None:
    assert not is_material(before(text=old), STRIKE.title, new)
    assert not is_material(before(text=new), STRIKE.title, old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TEXT, OTHER_TEXT),
        (ZH, "中国商务部宣布对进口汽车加征百分之二十五的临时关税，措施自十一月一日起生效。"),
        (
            "Чиновники сообщили, что удар пришёлся по жилому дому у реки.",
            "Рейсы задержаны из-за неизвестных объектов над взлётной полосой.",
        ),
    ],
)
def test_a_text_that_was_written_anew_is_a_change(old: str, new: str) -> None:
    assert is_material(before(text=old), STRIKE.title, new)


def test_a_title_that_is_left_out_every_other_time_is_no_change() -> None:
    """`parse` takes the text's first sentence in its place."""
    text = f"{TEXT} {OTHER_TEXT}"
    assert not is_material(before(text=text), TEXT, text)


def test_a_title_corrected_to_what_the_text_begins_with_is_a_change() -> None:
    assert is_material(before("7 killed in Kharkiv", "3 killed in Kharkiv, officials say."), "3 killed in Kharkiv",
                       "3 killed in Kharkiv, officials say.")  # fmt: skip


@given(title=st.text(min_size=1), text=st.text())
def test_what_did_not_change_is_no_change(title: str, text: str) -> None:
    assert not is_material(before(title, text), title, text)


@pytest.mark.parametrize("unit", ["1", "1,", "5 评", "views(1 "])
def test_a_text_made_to_be_slow_is_read_in_one_pass(unit: str) -> None:
    """Were it quadratic, this would take minutes."""
    assert not is_material(before(text=unit * 100_000), STRIKE.title, unit * 99_999)


# -- storms and gaps ------------------------------------------------------------------------------

LAST = NOW - 10 * MINUTE


def state(**fields: object) -> FeedState:
    """A feed that was polled ten minutes ago, and whose newest item is an hour older."""
    defaults = {
        "feed": make.feed(),
        "first_success": NOW - 30 * DAY,
        "last_success": LAST,
        "rhythm": Rhythm(newest=LAST - HOUR),
    }
    return FeedState(**(defaults | fields))


def polled(fresh: int, old: int = 0, *, undated: int = 0, familiar: int = 0) -> Recognised:
    """So many new items since the last poll, from before the newest known one, and without a time; and known ones."""
    times = [*[LAST + MINUTE] * fresh, *[LAST - DAY] * old, *[None] * undated]
    return Recognised(
        tuple(news(f"New {n}", at=at) for n, at in enumerate(times)),
        tuple(Sighting(news(f"Known {n}"), changed=False) for n in range(familiar)),
        {},
    )


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(polled(0, 20), id="all of it, from before the last poll"),
        pytest.param(polled(3, 17), id="most of it"),
        pytest.param(polled(0, 10, familiar=10), id="half of it"),
        pytest.param(polled(0, 500, familiar=20), id="an archive"),
        pytest.param(polled(0, undated=20), id="all of it, undated"),
        pytest.param(polled(0, 4, undated=4), id="some dated, some not"),
    ],
)
def test_old_items_that_become_new_at_once_are_a_storm(found: Recognised) -> None:
    assert storm(found, state())


@pytest.mark.parametrize(
    ("found", "fields"),
    [
        pytest.param(polled(0, 20), {"first_success": None, "last_success": None}, id="first poll"),
        pytest.param(polled(0, 20), {"released": True}, id="released by a person"),
        pytest.param(polled(0), {}, id="an empty document"),
        pytest.param(polled(0, familiar=100), {}, id="nothing new"),
        pytest.param(polled(100), {}, id="a busy day"),
        pytest.param(polled(0, STORM - 1), {}, id="a few late ones"),
        pytest.param(polled(0, STORM, familiar=2 * STORM), {}, id="late ones among many"),
        pytest.param(polled(30, 20), {}, id="late ones on a busy day"),
        pytest.param(polled(0, 20), {"last_success": NOW - 3 * DAY}, id="after a downtime of three days"),
        pytest.param(polled(0, undated=20), {"last_success": NOW - 12 * HOUR}, id="undated, after a downtime"),
        pytest.param(
            polled(0, 20), {"rhythm": Rhythm(newest=LAST - 2 * DAY)},
            id="newer than all we know: the server said for a day that nothing had changed",
        ),
    ],
)  # fmt: skip
def test_what_may_well_be_new_is_no_storm(found: Recognised, fields: dict[str, object]) -> None:
    assert storm(found, state(**fields)) == ""


def test_a_storm_says_how_much_of_what() -> None:
    assert storm(polled(3, 15, undated=2), state()) == (
        "17 of 20 items are new to us, but older than our last poll, or without a time"
    )


@pytest.mark.parametrize(
    ("at", "fields", "suspect"),
    [
        pytest.param(LAST - 3 * HOUR, {}, True, id="before the last poll"),
        pytest.param(LAST - 3 * HOUR, {"rhythm": Rhythm()}, True, id="before the last poll, no newest known"),
        pytest.param(LAST - 3 * HOUR, {"rhythm": Rhythm(newest=LAST - 3 * HOUR)}, True, id="as old as the newest"),
        pytest.param(LAST - 2 * HOUR, {}, False, id="as late as a publisher's queue may be"),
        pytest.param(NOW + DAY, {}, False, id="in the future"),
        pytest.param(LAST - 3 * HOUR, {"rhythm": Rhythm(newest=LAST - 4 * HOUR)}, False, id="newer than all we know"),
        pytest.param(None, {}, True, id="undated"),
        pytest.param(None, {"last_success": NOW - DAY}, False, id="undated, a day after the last poll"),
        pytest.param(LAST - DAY, {"last_success": None}, False, id="there was no last poll"),
    ],
)
def test_an_item_that_should_have_been_seen_before_is_suspect(
    at: datetime | None, fields: dict[str, object], suspect: bool
) -> None:
    assert is_suspect(news("Strike", at=at), state(**fields)) is suspect


def test_what_a_storm_leaves_aside_is_told() -> None:
    found = polled(3, 17)
    assert storm(found, state())
    assert [is_suspect(item, state()) for item in found.new] == [False] * 3 + [True] * 17


@pytest.mark.parametrize(
    ("found", "fields", "gap"),
    [
        pytest.param(polled(20), {}, True, id="nothing in common"),
        pytest.param(polled(5), {}, True, id="nothing in common, five items"),
        pytest.param(polled(20, familiar=1), {}, False, id="one in common"),
        pytest.param(polled(4), {}, False, id="a few items on a quiet feed"),
        pytest.param(polled(0), {}, False, id="an empty document"),
        pytest.param(polled(20), {"first_success": None, "last_success": None}, False, id="first poll"),
    ],
)
def test_two_polls_with_nothing_in_common_leave_a_gap(found: Recognised, fields: dict[str, object], gap: bool) -> None:
    assert is_gap(found, state(**fields)) is gap
