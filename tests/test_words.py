"""Words as numbers: which spellings and forms are one word, and what a word tells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.words import STEM, WordIds, WordWeights, word_ids

NEWS = ["sanctions on oil", "sanctions on gas", "sanctions on grain", "talks on grain"]


def ids(text: str) -> set[int]:
    return set(word_ids(text).tolist())


# -- which words -----------------------------------------------------------------------------------

ONE_WORD = [
    ("sanction", "sanctions"),
    ("sanction", "SANCTIONED"),
    ("sanction", "sancti"),
    ("санкция", "Санкциями"),
    ("Ёлка", "елка"),
    ("BRICS", "ＢＲＩＣＳ"),
    ("Straße", "STRASSE"),
    ("cafe\u0301", "CAFÉ"),
    ("COVID-19", "covid"),
    ("Кам’янка", "Кам'янка"),
]
TWO_WORDS = [
    ("sanction", "sancta"),
    ("oil", "oils"),  # a short word has no form but its own
    ("BRICS", "БРИКС"),
    ("и́мя", "имена"),
]


@pytest.mark.parametrize(("one", "other"), ONE_WORD)
def test_forms_and_spellings_of_a_word_are_one(one: str, other: str) -> None:
    assert ids(one) == ids(other) != set()


@pytest.mark.parametrize(("one", "other"), TWO_WORDS)
def test_other_words_stay_apart(one: str, other: str) -> None:
    assert not ids(one) & ids(other)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("North Korean troops", 3),
        ("rapid-fire sale", 3),
        ("G20 and B-52", 2),  # a letter may carry numbers
        ("习近平", 2),  # pairs: 习近 近平
        ("金", 1),
        ("プーチン", 3),
        ("북한군이", 3),
        ("ไทย", 2),
        ("金砖BRICS峰会", 3),
        ("KBS 북한군", 3),
        ("习近平会见习近平", 5),  # 习近 twice
    ],
)
def test_words_are_counted(text: str, count: int) -> None:
    assert len(ids(text)) == count


@pytest.mark.parametrize("text", ["", " ", "…!?", "2024", "1,000.5 20%", "a б é", "I. K. U.S.", "_ __ 7_000", "\ud800"])
def test_numbers_single_letters_and_signs_are_no_words(text: str) -> None:
    words = word_ids(text)
    assert words.shape == (0,)
    assert words.dtype == np.uint32


@pytest.mark.parametrize(
    ("one", "other"),
    [("习近平抵达", "会见习近平"), ("北朝鮮兵", "北朝鮮の兵士"), ("북한군", "북한군이"), ("제재를", "제재는")],
)
def test_names_are_shared_where_no_space_parts_them_from_other_words(one: str, other: str) -> None:
    assert ids(one) & ids(other)


def test_what_is_kept_of_a_long_word_is_its_beginning() -> None:
    assert ids("x" * STEM) == ids("x" * 50)
    assert ids("x" * (STEM - 1)) != ids("x" * STEM)


WORDS = st.lists(
    st.sampled_from(["oil", "Kazan", "санкции", "金砖", "북한군", "a", "7"]) | st.text(max_size=8), max_size=8
)


@given(WORDS, st.randoms())
def test_neither_order_nor_repetition_matters(words: list[str], chance: object) -> None:
    shuffled = words * 2
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a `random.Random`
    assert np.array_equal(word_ids(" ".join(words)), word_ids(" ".join(shuffled)))


@given(st.text())
def test_words_are_sorted_and_distinct(text: str) -> None:
    words = word_ids(text)
    assert words.dtype == np.uint32
    assert words.tolist() == sorted(set(words.tolist()))


@given(st.text(), st.text())
def test_a_text_has_the_words_of_its_parts(one: str, other: str) -> None:
    assert ids(f"{one} {other}") == ids(one) | ids(other)


# -- what they tell --------------------------------------------------------------------------------

WEIGHTS = WordWeights([word_ids(text) for text in NEWS])


def told(words: WordIds, weights: WordWeights = WEIGHTS) -> dict[int, float]:
    return dict(zip(words.tolist(), weights.of(words).tolist(), strict=True))


def word(text: str) -> int:
    [only] = ids(text)
    return only


def test_the_rarer_a_word_the_more_it_tells_and_one_never_seen_most() -> None:
    weights = told(word_ids("sanctions talks on grain in winter"))
    order = [weights[word(text)] for text in ("on", "sanctions", "grain", "talks", "winter")]
    assert order == sorted(order)
    assert len(set(order)) == 5
    assert order[0] > 0


def test_a_word_tells_the_logarithm_of_how_many_texts_there_are_to_one_that_has_it() -> None:
    weights = told(word_ids("on talks winter"))
    by_hand = np.log([5 / 4.5, 5 / 1.5, 5 / 0.5])
    assert [weights[word(text)] for text in ("on", "talks", "winter")] == pytest.approx(
        by_hand / np.linalg.norm(by_hand)
    )


def test_words_that_nobody_ever_saw_tell_the_same() -> None:
    assert WEIGHTS.of(word_ids("winter comes early")) == pytest.approx([3**-0.5] * 3)


@pytest.mark.parametrize("nothing", [[], [word_ids("")], [word_ids(""), word_ids("7")]], ids=len)
def test_a_sample_without_words_makes_all_words_tell_the_same(nothing: list[WordIds]) -> None:
    assert WordWeights(nothing).of(word_ids("talks on grain")) == pytest.approx([3**-0.5] * 3)


@pytest.mark.parametrize("weights", [WEIGHTS, WordWeights([])])
def test_a_text_without_words_has_no_weights(weights: WordWeights) -> None:
    none = weights.of(word_ids(""))
    assert none.shape == (0,)
    assert none.dtype == np.float32


@given(st.lists(st.text(max_size=20), max_size=6), st.text(min_size=1))
def test_the_words_of_a_text_make_a_vector_of_length_1(sample: list[str], text: str) -> None:
    words = word_ids(text)
    weights = WordWeights([word_ids(one) for one in sample]).of(words)
    assert weights.shape == words.shape
    assert weights.dtype == np.float32
    assert (weights > 0).all()
    assert np.linalg.norm(weights) == pytest.approx(1.0 if len(words) else 0.0, abs=1e-5)
