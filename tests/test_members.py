"""Open items in columns: how alike they are, what an edit takes out, and what is left when some are let go of."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import make
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor import members
from monitor.copies import COMPARED, wording
from monitor.members import Members, Sight, sight
from monitor.model import EmbeddedItem, Relation, Vector
from monitor.space import Space
from monitor.words import WordWeights, word_ids

DIMENSION = 32
HALF = DIMENSION // 2
HOUR = timedelta(hours=1)


class HalvedSpace(make.PlainSpace):
    """Two engines; the second reads everything, the first not."""

    def __init__(self) -> None:
        super().__init__(DIMENSION)
        self.bounds = [(0, HALF), (HALF, DIMENSION)]
        self.common = (HALF, DIMENSION)


class WordySpace(make.PlainSpace):
    """Ordinary items have these words."""

    def __init__(self, *texts: str) -> None:
        super().__init__(DIMENSION)
        self.word_weights = WordWeights([word_ids(text) for text in texts])


PLAIN = make.PlainSpace(DIMENSION)


def drawn(*seed: int, dimension: int = DIMENSION) -> Vector:
    vector = np.random.default_rng(seed).normal(size=dimension)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def about(subject: int, salt: int) -> Vector:
    """A unit vector whose cosine with another of its subject is about 0.7."""
    vector = drawn(subject) + 0.65 * drawn(subject, salt)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def halves(first: Vector | None, second: Vector | None) -> Vector:
    silent = np.zeros(HALF, dtype=np.float32)
    return np.concatenate([silent if first is None else first, silent if second is None else second])


def news(vector: Vector, title: str = "Talks in Kazan", text: str = "", **fields: object) -> EmbeddedItem:
    return EmbeddedItem(make.item(title=title, text=text, **fields), vector)


def holding(*items: EmbeddedItem, space: Space = PLAIN) -> Members:
    out = Members(space)
    for item in items:
        out.add(item.item, sight(item, space), Relation.ROOT)
    return out


def all_rows(of: Members) -> NDArray[np.int64]:
    return np.arange(len(of))


def meaning(of: Members, item: EmbeddedItem, space: Space = PLAIN) -> list[float]:
    found: list[float] = of.meaning(sight(item, space), all_rows(of)).tolist()
    return found


def shared_words(of: Members, item: EmbeddedItem, space: Space = PLAIN) -> list[float]:
    found: list[float] = of.shared_words(sight(item, space), all_rows(of)).tolist()
    return found


def cosine(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.fixture
def leaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few items move the middle of their language."""
    monkeypatch.setattr(members, "LEANING", 3)


# -- meaning ---------------------------------------------------------------------------------------


def test_nothing_kept_is_like_nothing() -> None:
    empty, one = Members(PLAIN), sight(news(drawn(1)), PLAIN)
    assert len(empty) == 0
    assert meaning(empty, news(drawn(1))) == shared_words(empty, news(drawn(1))) == []
    assert empty.nearest(one.vector, 10).tolist() == empty.seen_since(3600).tolist() == []
    assert empty.in_tongue(all_rows(empty), "en").tolist() == []


@pytest.mark.parametrize("space", [PLAIN, HalvedSpace()], ids=["one part", "two parts"])
def test_the_same_text_means_the_same(space: Space) -> None:
    item = news(drawn(1))
    assert meaning(holding(item, space=space), item, space) == pytest.approx([1], abs=0.01)


@pytest.mark.usefixtures("leaning")
@pytest.mark.parametrize("language", ["en", "ru"], ids=["known", "new"])
def test_likeness_is_measured_from_the_middle_of_each_language(language: str) -> None:
    """One that nothing is written in yet has no middle but the origin."""
    one, other, third, asked = drawn(1), drawn(2), drawn(3), drawn(4)
    kept = holding(news(one), news(other), news(third, language="zh"))
    english, chinese = (one + other) / (2 + members.LEANING), third / (1 + members.LEANING)
    mine = asked - english if language == "en" else asked
    expected = [cosine(mine, one - english), cosine(mine, other - english), cosine(mine, third - chinese)]
    assert meaning(kept, news(asked, language=language)) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("dimension", [8, 31, 32, 128, 384])
@pytest.mark.parametrize("length", [0.001, 1.0, 1000.0])
def test_vectors_in_steps_keep_their_cosines(dimension: int, length: float) -> None:
    space = make.PlainSpace(dimension)
    vectors = [np.float32(length) * drawn(seed, dimension=dimension) for seed in range(40)]
    # in languages of their own, so that the middles move none
    kept = holding(*(news(vector, language=f"x{n}") for n, vector in enumerate(vectors)), space=space)
    asked = drawn(99, dimension=dimension)
    expected = [cosine(asked, vector) for vector in vectors]
    # as far as fifteen steps go
    assert meaning(kept, news(asked, language="en"), space) == pytest.approx(expected, abs=0.45 / math.sqrt(dimension))


def test_each_part_that_lives_in_both_counts_alike() -> None:
    one, other = drawn(1, dimension=HALF), drawn(2, dimension=HALF)
    space, kept = HalvedSpace(), holding(news(halves(one, other)), space=HalvedSpace())
    # the first half is the same, the second turned round
    assert meaning(kept, news(halves(one, -other), language="ru"), space) == pytest.approx([0], abs=0.01)


def test_a_part_that_lives_in_one_only_does_not_count() -> None:
    space, shared = HalvedSpace(), drawn(1, dimension=HALF)
    kept = holding(
        news(halves(drawn(2, dimension=HALF), shared)), news(halves(None, shared), language="ru"), space=space
    )
    asked = news(halves(drawn(3, dimension=HALF), shared), language="zh")
    unread = news(halves(None, shared), language="uk")
    assert meaning(kept, asked, space)[1] == pytest.approx(1, abs=0.01)
    assert meaning(kept, unread, space) == pytest.approx([1, 1], abs=0.01)


def test_where_no_part_lives_in_both_there_is_no_likeness() -> None:
    space = HalvedSpace()
    kept = holding(
        news(halves(drawn(1, dimension=HALF), None)), news(halves(None, None)), news(halves(None, drawn(2, dimension=HALF))),
        space=space,
    )  # fmt: skip
    assert meaning(kept, news(halves(None, drawn(1, dimension=HALF))), space)[:2] == [0, 0]
    assert meaning(kept, news(halves(drawn(1, dimension=HALF), None)), space)[1:] == [0, 0]
    assert meaning(kept, news(halves(None, None)), space) == [0, 0, 0]


@pytest.mark.usefixtures("leaning")
def test_a_subject_that_fills_the_news_says_little() -> None:
    """The middle moves there."""
    one, other = news(about(1, 1)), news(about(1, 2))
    kept = holding(one)
    (before,) = meaning(kept, other)
    for n in range(300):
        item = news(about(1, 10 + n))
        kept.add(item.item, sight(item, PLAIN), Relation.ROOT)
    after = meaning(kept, other)[0]
    assert before > 0.6
    assert after < before / 2


@pytest.mark.usefixtures("leaning")
def test_news_of_one_language_moves_no_other() -> None:
    one, other = news(about(1, 1), language="ru"), news(about(1, 2), language="ru")
    kept = holding(one)
    before = meaning(kept, other)
    for n in range(100):
        item = news(about(1, 10 + n), language="en")
        kept.add(item.item, sight(item, PLAIN), Relation.ROOT)
    assert meaning(kept, other)[:1] == pytest.approx(before, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["en", "ru", ""])), min_size=1, max_size=12
    )
)
def test_likeness_of_meaning_lies_within_one(rows: list[tuple[int, int, str]]) -> None:
    items = [news(about(subject, salt), language=language) for subject, salt, language in rows]
    found = meaning(holding(*items), items[0])
    assert all(abs(likeness) < 1.001 for likeness in found)


# -- words -----------------------------------------------------------------------------------------

WORDS = "kazan talks grain harbour reactor floods senate rouble".split()
TEXTS = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


def titled(*titles: str) -> list[EmbeddedItem]:
    return [news(drawn(1), title) for title in titles]


@pytest.mark.parametrize("title", ["Talks in Kazan", "KAZAN, talks in", "in Kazan; in talks!"])
def test_equal_sets_of_words_are_the_same(title: str) -> None:
    assert shared_words(holding(*titled("Talks in Kazan", "Floods in Valencia")), *titled(title))[0] == pytest.approx(1)


def test_without_a_word_in_common_nothing_is_shared() -> None:
    assert shared_words(holding(*titled("Floods hit Valencia", "Рубль падает", "…")), *titled("Talks in Kazan")) == [
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("title", ["…", "2024"])
def test_without_words_nothing_is_shared(title: str) -> None:
    assert shared_words(holding(*titled("Floods hit Valencia", title)), *titled(title)) == [0, 0]


def test_a_word_both_have_among_others_is_shared_in_part() -> None:
    # of two words each, equally rare, one is shared
    kept = holding(*titled("Kazan talks", "Valencia floods"))
    assert shared_words(kept, *titled("Kazan floods")) == pytest.approx([0.5, 0.5])


def test_a_shared_word_that_is_rare_in_ordinary_news_says_more() -> None:
    space = WordySpace(*["talks go on"] * 50, "kazan")
    common, rare = shared_words(
        holding(*titled("Talks floods", "Kazan floods"), space=space), *titled("Talks Kazan"), space
    )
    assert rare > 2 * common > 0


def test_a_shared_word_that_is_rare_in_this_news_says_more() -> None:
    kept = holding(*titled("Talks floods", "Kazan reactor", *["talks senate"] * 50))
    common, rare = shared_words(kept, *titled("Talks Kazan"))[:2]
    assert rare > 2 * common > 0


@settings(max_examples=80, deadline=None)
@given(st.lists(TEXTS, max_size=8), TEXTS)
def test_shared_words_lie_between_none_and_all(titles: list[str], asked: str) -> None:
    found = shared_words(holding(*titled(*titles)), *titled(asked))
    for title, likeness in zip(titles, found, strict=True):
        mine, theirs = set(asked.split()), set(title.split())
        assert 0 <= likeness <= 1 + 1e-6
        assert (likeness > 0) is bool(mine & theirs)
        if mine == theirs != set():
            assert likeness == pytest.approx(1, abs=1e-5)


def test_a_text_that_everybody_prints_shares_its_words_with_itself() -> None:
    kept = holding(*titled(*["Talks end"] * 100), space=WordySpace())
    assert shared_words(kept, *titled("Talks end"), WordySpace())[0] == pytest.approx(1)


def test_some_rows_may_be_asked_for_in_any_order() -> None:
    kept = holding(news(drawn(1), "Kazan talks"), news(drawn(2), "Valencia floods"), news(drawn(3), "Kazan floods"))
    one = sight(news(drawn(4), "Kazan talks"), PLAIN)
    some = np.array([2, 0])
    assert kept.meaning(one, some) == pytest.approx(kept.meaning(one, all_rows(kept))[some], abs=1e-5)
    assert kept.shared_words(one, some) == pytest.approx(kept.shared_words(one, all_rows(kept))[some], abs=1e-5)


# -- what is kept ----------------------------------------------------------------------------------


def test_what_was_added_is_told() -> None:
    feed = make.feed(title="Телетайп", language="ru")
    item = make.item(title="Переговоры", text="Идут.", feed=feed, link="https://a.example/1")
    kept = holding(news(drawn(1)))
    row = kept.add(item, sight(EmbeddedItem(item, drawn(2)), PLAIN), Relation.UPDATE)
    assert (row, len(kept), kept.ids[row]) == (1, 2, item.id)
    assert kept.wording(row) == wording(item)
    assert (kept.feed(row), kept.language(row), kept.relation(row)) == (feed, "ru", Relation.UPDATE)
    assert kept.at(np.array([row])).tolist() == [item.at.timestamp()]


@pytest.mark.parametrize("relation", Relation)
def test_each_relation_is_kept(relation: Relation) -> None:
    item = news(drawn(1))
    kept = Members(PLAIN)
    assert kept.relation(kept.add(item.item, sight(item, PLAIN), relation)) is relation


def test_where_nobody_says_the_language_the_script_is_the_tongue() -> None:
    kept = holding(
        news(drawn(1), "Talks", language=""),
        news(drawn(1), "Переговоры", language=""),
        news(drawn(1), "Talks", language="en"),
    )
    assert kept.in_tongue(all_rows(kept), "Latin").tolist() == [True, False, False]
    assert kept.in_tongue(all_rows(kept), "en").tolist() == [False, False, True]
    assert kept.in_tongue(all_rows(kept), "zh").tolist() == [False, False, False]
    assert [kept.language(row) for row in range(3)] == ["", "", "en"]


def test_rows_are_found_by_the_part_that_reads_everything() -> None:
    space = HalvedSpace()
    first, second = drawn(1, dimension=HALF), drawn(2, dimension=HALF)
    kept = holding(news(halves(first, drawn(3, dimension=HALF))), news(halves(None, second)), space=space)
    assert kept.nearest(halves(first, second), 1).tolist() == [1]


def test_rows_seen_since_are_told_by_when_they_were_seen() -> None:
    hours = [0, -5, -2, -3]
    kept = holding(*(news(drawn(n), first_seen=make.NOW + hour * HOUR) for n, hour in enumerate(hours)))
    assert kept.seen_since(3 * 3600).tolist() == [0, 2, 3]
    assert kept.seen_since(0).tolist() == [0]


STRANGE = [
    ("NUL", "Talks\0 end", "They\0end"),
    ("surrogate", "Talks \ud800 end", "\udfff"),
    ("long text", "Talks end", "They go on. " * 8_400),
    ("long title", "Talks " * 17_000, "They end"),
    ("one long word", "x" * 100_000, ""),
    ("no word", "…", "🔥"),
    ("Han", "会谈" * 300, "喀山" * 50_000),
    ("nothing", "", ""),
]


@pytest.mark.parametrize(("title", "text"), [case[1:] for case in STRANGE], ids=[case[0] for case in STRANGE])
def test_no_text_is_too_strange_to_be_kept(title: str, text: str) -> None:
    strange, other = news(drawn(1), title, text), news(drawn(2), "Floods hit Valencia", "They rise.")
    kept = holding(strange, other)
    # what cannot be written in UTF-8 becomes a question mark
    assert kept.wording(0).title == title[:COMPARED].encode("utf-8", "replace").decode()
    assert kept.wording(0).text == text[:COMPARED].encode("utf-8", "replace").decode()
    assert kept.wording(1) == wording(other.item)
    assert meaning(kept, strange)[0] == pytest.approx(1, abs=0.01)
    assert shared_words(kept, strange)[0] == pytest.approx(1 if len(word_ids(f"{title} {text}")) else 0)
    before = kept.wording(0)
    kept.keep([0])
    assert kept.wording(0) == before


#: More than two bytes can count of packed text and of words.
UNPACKABLE = "".join(chr(0x4E00 + n * 7_919 % 20_000) for n in range(40_000))


def test_more_words_than_two_bytes_can_count_are_kept() -> None:
    pairs = np.random.default_rng(0).integers(0x4E00, 0x4E00 + 20_000, 90_000)
    item = news(drawn(1), "".join(map(chr, pairs.tolist())))
    assert len(sight(item, PLAIN).words) > 1 << 16
    assert shared_words(holding(item), item) == pytest.approx([1])


def test_of_a_title_as_long_as_a_book_the_beginning_is_kept() -> None:
    item = news(drawn(1), UNPACKABLE)
    assert holding(item).wording(0).title == UNPACKABLE[:COMPARED]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80).map(lambda title: title.replace("\n", " ")), st.text(max_size=300))
def test_what_a_text_says_comes_back(title: str, text: str) -> None:
    item = news(drawn(1), title, text)
    assert holding(news(drawn(2)), item).wording(1) == wording(item.item)


# -- edits -----------------------------------------------------------------------------------------


def amended(kept: Members, row: int, now: EmbeddedItem) -> None:
    kept.amend(row, now.item, sight(now, PLAIN))


def assert_answers_alike(one: Members, other: Members, *asked: EmbeddedItem) -> None:
    for item in asked:
        assert meaning(one, item) == pytest.approx(meaning(other, item), abs=1e-5)
        assert shared_words(one, item) == pytest.approx(shared_words(other, item), abs=1e-5)


ASKED = (
    news(drawn(50), "Kazan talks on grain"), news(about(1, 50), "Floods in the harbour"),
    news(about(1, 51), "Переговоры о зерне", language="ru"), news(about(2, 52), "Nobody says", language=""),
)  # fmt: skip


@pytest.mark.usefixtures("leaning")
@pytest.mark.parametrize(
    "now",
    [
        news(about(2, 1), "Floods hit Valencia"),
        news(about(2, 1), "Переговоры идут", language="ru"),
        news(about(2, 1), "Talks", language=""),
        news(about(2, 1), "…"),
        news(np.zeros(DIMENSION, dtype=np.float32), "Kazan talks on grain"),
    ],
    ids=["another text", "another language", "no language", "no words", "no meaning"],
)
@pytest.mark.parametrize("row", range(3))
def test_an_edit_takes_the_old_words_and_meaning_out(row: int, now: EmbeddedItem) -> None:
    items = [news(about(1, 1), "Kazan talks"), news(about(1, 2), "Kazan talks"), news(about(1, 3), "Grain rots")]
    kept = holding(*items)
    for version in (news(about(3, 1), "The harbour and its reactor", text="A senate sits."), now):
        amended(kept, row, version)
    items[row] = now
    assert len(kept) == 3
    assert kept.wording(row) == wording(now.item)
    assert kept.language(row) == now.item.language
    assert_answers_alike(kept, holding(*items), *ASKED)


def test_an_edit_leaves_time_and_relation_as_they_were() -> None:
    item = news(drawn(1))
    kept = Members(PLAIN)
    kept.add(item.item, sight(item, PLAIN), Relation.UPDATE)
    amended(kept, 0, news(drawn(2), "Talks end", published=make.NOW + HOUR, first_seen=make.NOW + HOUR))
    assert kept.at(np.array([0])).tolist() == [item.item.at.timestamp()]
    assert kept.relation(0) is Relation.UPDATE
    assert kept.seen_since(0).tolist() == [0]


def test_an_edited_row_is_found_by_what_it_was_and_by_what_it_is() -> None:
    """Neighbours cannot be taken out, and likeness is measured anew."""
    kept = holding(*(news(drawn(n)) for n in range(30)))
    amended(kept, 7, news(drawn(99)))
    assert kept.nearest(drawn(7), 1).tolist() == [7]
    assert kept.nearest(drawn(99), 1).tolist() == [7]
    assert meaning(kept, news(drawn(7)))[7] < 0.7


# -- letting go ------------------------------------------------------------------------------------

ITEM = st.builds(
    lambda subject, salt, title, language, source, hours: news(
        about(subject, salt), title or "-", language=language, feed=make.feed(title=source),
        published=make.NOW + hours * HOUR, first_seen=make.NOW + hours * HOUR,
    ),
    st.integers(0, 3), st.integers(0, 3), TEXTS, st.sampled_from(["en", "ru", ""]), st.sampled_from(["A", "B", "C"]),
    st.integers(0, 48),
)  # fmt: skip
RELATED = st.lists(st.tuples(ITEM, st.sampled_from(Relation)), min_size=1, max_size=12)


def related(items: Sequence[tuple[EmbeddedItem, Relation]]) -> Members:
    kept = Members(PLAIN)
    for item, relation in items:
        kept.add(item.item, sight(item, PLAIN), relation)
    return kept


def left_of(kept: Members, rows: Sequence[int]) -> Members:
    kept.keep(rows)
    return kept


def assert_same(one: Members, other: Members) -> None:
    assert list(one.ids) == list(other.ids)
    for row in range(len(one)):
        assert one.wording(row) == other.wording(row)
        assert one.relation(row) is other.relation(row)
        assert (one.feed(row), one.language(row)) == (other.feed(row), other.language(row))
    rows = all_rows(one)
    assert one.at(rows).tolist() == other.at(rows).tolist()
    for tongue in ("en", "ru", "Latin", "zh"):
        assert one.in_tongue(rows, tongue).tolist() == other.in_tongue(rows, tongue).tolist()
    for hours in (0, 12, 100):
        assert one.seen_since(hours * 3600).tolist() == other.seen_since(hours * 3600).tolist()
    assert_answers_alike(one, other, *ASKED)
    for item in ASKED:
        assert one.nearest(item.vector, 3).tolist() == other.nearest(item.vector, 3).tolist()


@settings(max_examples=40, deadline=None)
@given(RELATED, st.data())
def test_what_is_left_is_as_if_nothing_else_had_been(
    items: list[tuple[EmbeddedItem, Relation]], data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.integers(0, len(items) - 1), unique=True))
    left = left_of(related(items), rows)
    assert_same(left, related([items[row] for row in rows]))


@settings(max_examples=40, deadline=None)
@given(RELATED, RELATED, st.data())
def test_news_comes_on_after_some_is_let_go_of(
    items: list[tuple[EmbeddedItem, Relation]], more: list[tuple[EmbeddedItem, Relation]], data: st.DataObject
) -> None:
    rows = sorted(data.draw(st.sets(st.integers(0, len(items) - 1))))
    left = left_of(related(items), rows)
    for item, relation in more:
        left.add(item.item, sight(item, PLAIN), relation)
    assert_same(left, related([*(items[row] for row in rows), *more]))


@pytest.mark.usefixtures("leaning")
def test_what_was_edited_is_left_as_it_says_now() -> None:
    items = [(news(about(1, n), f"Kazan talks on day {n}"), Relation.ROOT) for n in range(6)]
    kept, now = related(items), news(about(2, 1), "Переговоры идут", language="ru")
    amended(kept, 3, now)
    items[3] = replace(now, item=replace(now.item, id=items[3][0].item.id)), Relation.ROOT
    assert_same(left_of(kept, [2, 3, 5]), related([items[2], items[3], items[5]]))


@pytest.mark.usefixtures("leaning")
def test_what_is_left_can_be_edited() -> None:
    items = [(news(about(1, n), f"Kazan talks on day {n}"), Relation.ROOT) for n in range(6)]
    left, now = left_of(related(items), [1, 4]), news(about(2, 1), "Переговоры идут", language="ru")
    amended(left, 1, now)
    assert_answers_alike(left, holding(items[1][0], now), *ASKED)


def test_letting_all_go_leaves_nothing() -> None:
    left = left_of(holding(*(news(drawn(n)) for n in range(5))), [])
    assert len(left) == 0
    assert left.nearest(drawn(1), 5).tolist() == []
    item = news(drawn(1))
    assert left.add(item.item, sight(item, PLAIN), Relation.ROOT) == 0
    assert meaning(left, item) == pytest.approx([1], abs=0.01)


def test_many_rows_keep_what_is_theirs() -> None:
    """Columns grow several times over."""
    items = [news(drawn(n), f"{WORDS[n % 8]} {WORDS[n // 8 % 8]} {WORDS[n // 64]}") for n in range(400)]
    kept = holding(*items)
    assert [kept.wording(row) for row in range(400)] == [wording(item.item) for item in items]
    found = [kept.nearest(item.vector, 1).tolist() for item in items]
    assert found == [[row] for row in range(400)]
    assert [shared_words(kept, item)[row] for row, item in enumerate(items)] == pytest.approx([1] * 400)


def test_a_sight_is_made_of_gist_and_wording() -> None:
    item = news(drawn(1), "UPDATE 1-Talks in Kazan", "They end.", language="en")
    one = sight(item, PLAIN)
    assert isinstance(one, Sight)
    assert one.words.tolist() == word_ids("Talks in Kazan. They end.").tolist()
    assert (one.tongue, one.wording) == ("en", wording(item.item))
    assert np.array_equal(one.vector, item.vector)
