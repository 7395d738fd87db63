"""Which texts repeat which, and the reason that is given. How stories use it: `test_group.py`."""

import zlib
from datetime import timedelta

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.copies import (
    COMPARED,
    WINDOW,
    Repetition,
    Wording,
    numbers,
    repetition,
    same_words,
    without_reissue,
    wording,
    words,
)

TITLE = "Russian strike hits apartment block in Kharkiv"
TEXT = (
    "Officials in the region said on Tuesday that the strike had hit a residential building near the river. "
    "Rescue crews worked through the night while neighbours brought blankets, tea and torches to the ruins."
)
CHINESE = "俄罗斯袭击哈尔科夫住宅楼"
CHINESE_TEXT = (
    "当地官员周二表示，袭击击中了河边一栋居民楼，救援人员彻夜在废墟中搜寻，邻居们送来毛毯、热茶和手电筒。"
    "检察机关已经立案调查，市长呼吁居民在防空警报解除之前留在掩体内，并感谢国际社会提供的援助。"
)


def said(
    title: str = TITLE,
    text: str = TEXT,
    *,
    source: str = "Harbour Wire",
    after: timedelta = timedelta(0),
    link: str = "",
) -> Wording:
    feed = make.feed(url=f"https://{source.replace(' ', '-').lower()}.example/rss", title=source)
    return wording(make.item(title=title, text=text, feed=feed, link=link, published=make.NOW - WINDOW * 2 + after))


def compared(title: str, text: str, other: str, other_text: str) -> Repetition:
    return repetition(said(title, text), said(other, other_text, source="Meridian Courier"))


# -- reasons ---------------------------------------------------------------------------------------

DIFFER = [
    ("wording", TITLE, TEXT, TITLE, TEXT[:103], "58% of their wording is the same, and a copy has 85%"),
    ("nothing", "Talks end", "", "雨", "", "0% of their wording is the same, and a copy has 85%"),
    (
        "numbers", "Air defence downs 56 drones", TEXT, "Air defence downs 37 drones", TEXT,
        "95% the same text, but not the same numbers (37, 56)",
    ),
    (
        "a number with a point", TITLE, f"{TEXT} Prices rose 1.5 %.", TITLE, f"{TEXT} Prices rose 15 %.",
        "99% the same text, but not the same numbers (1.5, 15)",
    ),
    (
        "many numbers", TITLE, f"{TEXT} 1 2 3", TITLE, f"{TEXT} 4 5 6",
        "96% the same text, but not the same numbers (1, 2, 3, 4)",
    ),
    (
        "a name", TITLE, f"{TEXT} Mayor Terekhov spoke.", TITLE, f"{TEXT} Mayor Sadovyi spoke.",
        "91% the same text, but not the same names or counts (Sadovyi, Terekhov)",
    ),
    (
        "one name more", TITLE, TEXT, TITLE, f"{TEXT} Terekhov",
        "96% the same text, but not the same names or counts (Terekhov)",
    ),
    (
        "a count in words", TITLE, f"{TEXT} He met three ministers.", TITLE, f"{TEXT} He met five ministers.",
        "94% the same text, but not the same names or counts (five, three)",
    ),
    (
        "a negation", "Moscow will attend the talks", TEXT, "Moscow will not attend the talks", TEXT,
        "96% the same text, but not the same names or counts (not)",
    ),
    (
        "a Ukrainian negation", "Москва приїде на переговори", TEXT, "Москва не приїде на переговори", TEXT,
        "96% the same text, but not the same names or counts (не)",
    ),
    (
        "a Chinese negation", CHINESE, CHINESE_TEXT, CHINESE, CHINESE_TEXT.replace("立案", "未立案"),
        "92% the same text, but not the same characters (未)",
    ),
    (
        "a Chinese name", CHINESE, f"{CHINESE_TEXT}王毅出席。", CHINESE, f"{CHINESE_TEXT}董军出席。",
        "93% the same text, but not the same characters (军, 毅, 王, 董)",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", [case[1:] for case in DIFFER], ids=[case[0] for case in DIFFER])
def test_what_differs_is_named(case: tuple[str, str, str, str, str]) -> None:
    *texts, because = case
    assert compared(*texts) == Repetition(False, because)


@pytest.mark.parametrize(
    ("other", "because"),
    [
        (TEXT, "the same text as “Russian strike hits apartment block in Kharkiv” (Meridian Courier)"),
        (
            TEXT.replace("had hit", "struck"),
            (
                "92% the same text as “Russian strike hits apartment block in Kharkiv” (Meridian Courier), with the same "
                "numbers and names"
            ),
        ),
    ],
    ids=["word for word", "nearly"],
)
def test_a_copy_names_what_it_repeats(other: str, because: str) -> None:
    assert compared(TITLE, TEXT, TITLE, other) == Repetition(True, because)


@pytest.mark.parametrize(
    ("title", "text", "other", "other_text"),
    [
        ("", "", "", ""),
        ("🔥", "…", "🔥", "…"),
        ("", "", TITLE, TEXT),
        (TITLE, TEXT, "—", ""),
        ("UPDATE 1-", "", TITLE, ""),
    ],
    ids=["empty", "no word", "one empty", "the other without a word", "nothing but what marks a reissue"],
)
def test_without_words_there_is_nothing_to_compare(title: str, text: str, other: str, other_text: str) -> None:
    assert compared(title, text, other, other_text) == Repetition(False, "there is nothing to compare")


def test_without_a_title_the_texts_are_compared() -> None:
    assert compared("", TEXT, "", TEXT).is_copy
    assert not compared("", TEXT, "", CHINESE_TEXT).is_copy


@pytest.mark.parametrize(
    ("apart", "answer"),
    [(WINDOW, True), (-WINDOW, True), (WINDOW + timedelta(seconds=1), False), (-WINDOW - timedelta(seconds=1), False)],
    ids=["48 h later", "48 h earlier", "a second more", "a second more, earlier"],
)
def test_the_same_text_long_after_is_news_again(apart: timedelta, answer: bool) -> None:
    found = repetition(said(after=apart), said(source="Meridian Courier"))
    assert found.is_copy is answer
    assert (found.because == "more than 48 hours lie between them") is not answer


@pytest.mark.parametrize(
    ("link", "other_link", "answer"),
    [
        ("https://a.example/1", "https://a.example/1", True),
        ("https://a.example/1", "https://a.example/2", False),
        ("", "", False),
    ],
    ids=["same page", "two pages", "no pages"],
)
def test_within_one_source_nearly_the_same_text_is_a_template_unless_it_is_one_page(
    link: str, other_link: str, answer: bool
) -> None:
    edited = TEXT.replace("had hit", "struck")
    found = repetition(said(link=link), said(text=edited, link=other_link))
    assert found.is_copy is answer
    assert (found.because == "92% the same text, but from one source and on two pages: a template") is not answer


def test_a_credit_to_either_outlet_is_no_difference() -> None:
    credited = said(f"{TITLE} | Harbour Wire", f"{TEXT} (Meridian Courier)", source="Meridian Courier")
    assert repetition(said(), credited).because.startswith("the same text")
    assert repetition(credited, said()).because.startswith("the same text")


@pytest.mark.parametrize(
    ("other", "other_text", "answer"),
    [
        (TITLE, TEXT, True),
        (f"UPDATE 1-{TITLE.upper()}", f"{TEXT} (Reuters)", True),
        (TITLE, TEXT.replace("had hit", "struck"), False),
        ("…", "", False),
    ],
    ids=["the same", "case, reissue and credit", "a small edit", "no word"],
)
def test_the_same_words_are_the_same_however_long_after(other: str, other_text: str, answer: bool) -> None:
    again = said(other, other_text, source="Meridian Courier", after=2 * WINDOW)
    assert same_words(said(), again) is same_words(again, said()) is answer


def test_two_texts_without_words_are_not_the_same() -> None:
    assert not same_words(said("…", ""), said("…", "", source="Meridian Courier"))


def test_credits_to_both_outlets_do_not_make_the_order_matter() -> None:
    credited = said(f"{TITLE} - Harbour Wire | Meridian Courier")
    plain = said(source="Meridian Courier")
    assert repetition(credited, plain).is_copy is repetition(plain, credited).is_copy
    assert same_words(credited, plain) is same_words(plain, credited)


# -- laws ------------------------------------------------------------------------------------------

#: A few words changed leave two texts near enough to be looked at closely.
WORDS = st.sampled_from(["not", "Kharkiv", "14", "15", "three", "не", "王毅", "(", "-", "Harbour Wire", "on", ""])
EDITED = st.tuples(st.integers(0, 34), WORDS).map(
    lambda edit: " ".join([*TEXT.split()[: edit[0]], edit[1], *TEXT.split()[edit[0] + 1 :]])
)
TEXTS = st.one_of(EDITED, EDITED, st.text(max_size=60))
SOURCES = st.sampled_from(["Harbour Wire", "Meridian Courier"])
LINKS = st.sampled_from(["", "https://a.example/1", "https://a.example/2"])
TOLD = st.builds(
    said,
    st.one_of(
        st.sampled_from(
            [
                TITLE,
                f"UPDATE 1-{TITLE}",
                f"{TITLE} - Meridian Courier",
                f"{TITLE} - Harbour Wire | Meridian Courier",
                "",
            ]
        ),
        st.text(max_size=30),
    ),
    TEXTS,
    source=SOURCES,
    after=st.sampled_from([timedelta(0), WINDOW, 2 * WINDOW]),
    link=LINKS,
)


@given(TOLD, TOLD)
def test_the_order_of_two_texts_does_not_matter(one: Wording, other: Wording) -> None:
    assert repetition(one, other).is_copy is repetition(other, one).is_copy


@given(TOLD)
def test_a_text_repeats_itself_unless_it_has_no_words(one: Wording) -> None:
    found = repetition(one, one)
    assert found.is_copy or found.because == "there is nothing to compare"


# -- what is compared ------------------------------------------------------------------------------


def test_of_a_text_the_beginning_is_kept() -> None:
    assert said(text="a" * COMPARED + "b").text == "a" * COMPARED
    assert said(text="short").text == "short"


def test_what_comes_after_the_beginning_is_not_compared() -> None:
    long = "x " * (COMPARED // 2)
    assert compared(TITLE, f"{long}{TEXT}", TITLE, f"{long}nothing of it").is_copy


def test_a_wording_says_where_and_when() -> None:
    item = make.item(link="https://a.example/1?utm_source=rss", canonical_link="https://a.example/1")
    one = wording(item)
    assert (one.title, one.text) == (item.title, item.text)
    assert (one.source, one.feed, one.at) == ("Harbour Wire", "https://harbourwire.example/feed.xml", item.at)
    assert one.link == zlib.crc32(b"https://a.example/1")


@pytest.mark.parametrize(
    "link", ["https://a.example/\ud800", "https://пример.example/1"], ids=["surrogate", "Cyrillic"]
)
def test_any_link_has_a_hash(link: str) -> None:
    assert said(link=link).link != 0


def test_no_link_is_zero() -> None:
    assert said(link="").link == 0


@pytest.mark.parametrize(
    ("title", "bare"),
    [
        ("UPDATE 1-Talks end", "Talks end"),
        ("Updated: Talks end", "Talks end"),
        ("  Молния — Переговоры", "Переговоры"),
        ("更新：会谈结束", "会谈结束"),
        ("Breaking news from Kazan", "Breaking news from Kazan"),
        ("Talks end - UPDATE 1", "Talks end - UPDATE 1"),
        ("", ""),
    ],
)
def test_what_marks_a_reissue_is_taken_off(title: str, bare: str) -> None:
    assert without_reissue(title) == bare


# -- words and numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The oil talks of Kazan end", {"talks", "kazan"}),
        ("12345 soldiers, 2024", {"soldiers"}),
        ("Talks TALKS talks", {"talks"}),
        ("ＢＲＩＣＳ ёлка Straße", {"brics", "елка", "strasse"}),
        ("T-34s", set()),
        ("袭击哈尔科夫", {"袭击哈尔科夫"}),
        ("", set()),
    ],
)
def test_words_are_folded_and_short_ones_and_numbers_left_out(text: str, expected: set[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("downs 56 of 89, then 56", {"56", "89"}),
        ("1,000.5 roubles, 3.5% of it in 2024.", {"1,000.5", "3.5", "2024"}),
        ("at 10:30 on the T-34", {"10", "30", "34"}),
        ("致14人受伤", {"14"}),
        ("five of six", set()),
        ("", set()),
    ],
)
def test_numbers_are_found_as_they_are_written(text: str, expected: set[str]) -> None:
    assert numbers(text) == expected
