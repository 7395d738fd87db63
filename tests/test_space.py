"""Where items lie when stories are compared: parts of length 1, cut down, and silent where an engine does not read."""

import make
import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.background import Background, Sample, Tongue
from monitor.model import EmbeddedItem, Vector
from monitor.space import KEPT, CompactSpace
from monitor.words import word_ids

ENGLISH, SPANISH = Tongue("en", "Latin"), Tongue("es", "Latin")
RUSSIAN, NAMELESS = Tongue("ru", "Cyrillic"), Tongue("", "Latin")
#: The first engine was made for English, the second for all.
PARTS = (3, 7)
LANGUAGES = (frozenset({"en"}), frozenset[str]())
WIDE = KEPT + 72
#: directions in which the rows of a wide part differ
FEW = 10

Matrix = NDArray[np.float32]


def scattered(count: int, dimension: int = PARTS[-1], seed: int = 1) -> Matrix:
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def in_few_directions(count: int, seed: int = 1) -> Matrix:
    """Wide rows that differ in the same few directions, and hardly in others."""
    return (
        scattered(count, FEW, seed) @ scattered(FEW, WIDE, seed=7) + 0.05 * scattered(count, WIDE, seed + 50)
    ).astype(np.float32)


def news(
    vectors: Matrix, parts: tuple[int, ...] = PARTS, languages: tuple[frozenset[str], ...] = LANGUAGES
) -> Background:
    """Ordinary items, English and Russian by turns."""
    tongues = [(ENGLISH, RUSSIAN)[n % 2] for n in range(len(vectors))]
    return Background(Sample(vectors, tongues, [word_ids("talks end")] * len(vectors)), parts, languages)


ORDINARY = news(scattered(60))
SPACE = CompactSpace(ORDINARY)


def told(vector: Vector, tongue: Tongue = ENGLISH) -> EmbeddedItem:
    title = "Переговоры в Казани" if tongue.script == "Cyrillic" else "Talks in Kazan"
    return EmbeddedItem(make.item(title=title, text="", language=tongue.language), vector)


def lengths(space: CompactSpace, vector: Vector) -> list[float]:
    return [round(float(np.linalg.norm(vector[start:end])), 4) for start, end in space.bounds]


# -- parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tongue", "living"),
    [(ENGLISH, [1, 1]), (RUSSIAN, [0, 1]), (SPANISH, [0, 1]), (NAMELESS, [1, 1])],
    ids=["English", "Russian", "Spanish", "nobody says"],
)
def test_an_engine_speaks_of_the_languages_it_was_made_for(tongue: Tongue, living: list[int]) -> None:
    """What it says of others is wrong, though it says something. Where nobody tells the language, it is heard."""
    vector = SPACE.vector(told(scattered(1, seed=5)[0], tongue))
    assert lengths(SPACE, vector) == living
    assert vector.dtype == np.float32


@pytest.mark.parametrize("dead", [0, 1])
def test_a_part_that_is_all_zero_stays_so(dead: int) -> None:
    vector = scattered(1, seed=5)[0]
    start, end = ORDINARY.bounds[dead]
    vector[start:end] = 0
    assert lengths(SPACE, SPACE.vector(told(vector))) == [1 - (dead == 0), 1 - (dead == 1)]


def test_each_part_lies_where_it_lies_around_its_language() -> None:
    vector = scattered(1, seed=5)[0]
    here, there = (SPACE.vector(told(vector, tongue)) for tongue in (ENGLISH, RUSSIAN))
    assert here == pytest.approx(ORDINARY.unit(vector, ENGLISH), abs=1e-6)
    assert there[3:] == pytest.approx(ORDINARY.unit(vector, RUSSIAN)[3:], abs=1e-6)


def test_placing_an_item_leaves_its_vector_as_it_was() -> None:
    vector = scattered(1, seed=5)[0]
    before = vector.copy()
    SPACE.vector(told(vector))
    assert np.array_equal(vector, before)


def test_words_weigh_as_in_the_background() -> None:
    assert SPACE.word_weights is ORDINARY.word_weights


@pytest.mark.parametrize(
    ("languages", "common"),
    [
        ((), (0, 3)),
        ((frozenset({"en"}), frozenset()), (3, 7)),
        ((frozenset(), frozenset({"en"})), (0, 3)),
        ((frozenset({"en"}), frozenset({"ru"})), (0, 3)),
    ],
    ids=["all read everything", "the second does", "the first does", "none does"],
)
def test_items_are_found_by_the_first_part_that_reads_everything_else_by_the_first(
    languages: tuple[frozenset[str], ...], common: tuple[int, int]
) -> None:
    assert CompactSpace(news(scattered(60), languages=languages)).common == common


# -- cutting down ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimension", "rows", "kept"),
    [
        (KEPT - 1, 300, KEPT - 1),
        (KEPT, 300, KEPT),
        (KEPT + 1, 300, KEPT),
        (WIDE, 300, KEPT),
        (WIDE, KEPT, KEPT),
        (WIDE, KEPT - 1, WIDE),
        (WIDE, 1, WIDE),
    ],
    ids=["narrow", "just so wide", "a little wider", "wide", "just enough rows", "too few rows", "one row"],
)
def test_a_wide_part_is_cut_down_where_there_are_rows_to_tell_how(dimension: int, rows: int, kept: int) -> None:
    space = CompactSpace(news(scattered(rows, dimension), (dimension,), ()))
    assert (space.dimension, space.bounds, space.common) == (kept, [(0, kept)], (0, kept))
    vector = space.vector(told(scattered(1, dimension, seed=5)[0]))
    assert vector.shape == (kept,)
    assert lengths(space, vector) == [1]


@pytest.mark.parametrize(("dimension", "rows"), [(KEPT - 1, 300), (WIDE, KEPT - 1)], ids=["narrow", "too few rows"])
def test_a_part_that_is_not_cut_down_is_left_as_it_is(dimension: int, rows: int) -> None:
    ordinary = news(scattered(rows, dimension), (dimension,), ())
    vector = scattered(1, dimension, seed=5)[0]
    assert CompactSpace(ordinary).vector(told(vector)) == pytest.approx(ordinary.unit(vector, ENGLISH), abs=1e-5)


def test_rows_in_which_a_part_is_silent_do_not_count_for_it() -> None:
    rows = scattered(300, WIDE + 2)
    rows[KEPT - 1 :, :WIDE] = 0
    assert CompactSpace(news(rows, (WIDE, WIDE + 2), ())).bounds == [(0, WIDE), (WIDE, WIDE + 2)]


def test_each_part_is_cut_down_by_itself() -> None:
    parts = (3, 3 + WIDE, 5 + WIDE)
    languages = (frozenset({"en"}), frozenset({"en"}), frozenset[str]())
    space = CompactSpace(news(scattered(300, parts[-1]), parts, languages))
    assert space.bounds == [(0, 3), (3, 3 + KEPT), (3 + KEPT, 5 + KEPT)]
    assert space.common == (3 + KEPT, 5 + KEPT)
    vector = scattered(1, parts[-1], seed=5)[0]
    assert lengths(space, space.vector(told(vector))) == [1, 1, 1]
    assert lengths(space, space.vector(told(vector, RUSSIAN))) == [0, 0, 1]


def test_cutting_down_keeps_cosines_where_few_directions_matter() -> None:
    ordinary = news(in_few_directions(400), (WIDE,), ())
    space, items = CompactSpace(ordinary), in_few_directions(30, seed=2)
    assert space.dimension == KEPT
    whole = ordinary.units(items, [ENGLISH] * 30)
    cut = np.stack([space.vector(told(item)) for item in items])
    assert np.abs(cut @ cut.T - whole @ whole.T).max() < 0.01


def test_all_dimensions_of_a_part_that_is_cut_down_count_alike() -> None:
    """Each is kept in few steps: next to a large one, small ones would be lost."""
    space = CompactSpace(news(in_few_directions(400), (WIDE,), ()))
    shares = np.mean([space.vector(told(item)) ** 2 for item in in_few_directions(30, seed=2)], axis=0)
    assert shares.sum() == pytest.approx(1)
    assert shares.max() < 6 / KEPT


def test_two_spaces_of_one_background_agree() -> None:
    ordinary = news(in_few_directions(400), (WIDE,), ())
    one, other = CompactSpace(ordinary), CompactSpace(ordinary)
    item = told(in_few_directions(1, seed=2)[0])
    assert np.array_equal(one.vector(item), other.vector(item))


# -- few rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_background_of_few_rows_gives_a_space(rows: int) -> None:
    space = CompactSpace(news(scattered(rows)))
    assert (space.dimension, space.bounds, space.common) == (7, [(0, 3), (3, 7)], (3, 7))
    assert lengths(space, space.vector(told(scattered(1, seed=5)[0]))) == [1, 1]
