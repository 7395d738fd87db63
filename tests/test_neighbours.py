"""Which rows are found near a vector. Vectors are drawn with fixed seeds: the same ones always."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor import neighbours
from monitor.model import Vector
from monitor.neighbours import Neighbours

DIMENSION = 32

Matrix = NDArray[np.float32]


def drawn(count: int, seed: int = 1, dimension: int = DIMENSION) -> Matrix:
    rows = np.random.default_rng(seed).normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(clusters: int, each: int, apart: float = 0.3, dimension: int = DIMENSION) -> Matrix:
    """Unit vectors, cluster after cluster; `apart` is how long what is their own is, beside what they share."""
    rows = np.repeat(drawn(clusters, 2, dimension), each, axis=0) + apart * drawn(clusters * each, 3, dimension)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def holding(vectors: Matrix) -> Neighbours:
    found = Neighbours(vectors.shape[1])
    for row, vector in enumerate(vectors):
        found.add(row, vector)
    return found


def recall(vectors: Matrix, asked: Matrix, candidates: int, nearest: int = 20) -> float:
    """The share of the rows nearest by cosine that is among the candidates."""
    found, best = holding(vectors), np.argsort(-(asked @ vectors.T), axis=1)[:, :nearest]
    return float(
        np.mean([np.isin(own, found.nearest(one, candidates)).mean() for one, own in zip(asked, best, strict=True)])
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists from 400 rows on, all of them searched."""
    for name, value in (("EXACT", 400), ("LISTS", 8), ("SEARCHED", 8), ("LEARNT_FROM", 400)):
        monkeypatch.setattr(neighbours, name, value)


# -- finding ---------------------------------------------------------------------------------------


def test_where_nothing_is_nothing_is_found() -> None:
    empty = Neighbours(DIMENSION)
    assert len(empty) == 0
    assert empty.nearest(drawn(1)[0], 10).tolist() == []


def test_a_row_is_the_first_that_its_own_vector_finds() -> None:
    vectors = drawn(300)
    found = holding(vectors)
    assert [found.nearest(vector, 1).tolist() for vector in vectors] == [[row] for row in range(300)]


def test_what_is_added_is_found_at_once() -> None:
    found, vectors = holding(drawn(50)), drawn(20, seed=9)
    for row, vector in enumerate(vectors, 50):
        assert row not in found.nearest(vector, 50)
        found.add(row, vector)
        assert row in found.nearest(vector, 1)


def test_rows_bear_the_numbers_they_were_added_with() -> None:
    found, (one, other) = Neighbours(DIMENSION), drawn(2)
    found.add(70_000, one)
    found.add(5, other)
    assert found.nearest(one, 1).tolist() == [70_000]
    assert found.nearest(one, 2).tolist() == [5, 70_000]


def test_a_vectors_length_says_nothing() -> None:
    vectors = drawn(100)
    assert [holding(vectors).nearest(1000 * vector, 1).tolist() for vector in vectors[:5]] == [[n] for n in range(5)]


def test_of_clusters_the_own_one_is_found() -> None:
    vectors = clustered(20, 15)
    found = holding(vectors)
    assert found.nearest(vectors[100], 15).tolist() == list(range(90, 105))


def test_more_rows_than_there_was_room_for_are_found() -> None:
    vectors = drawn(2_500)
    found = holding(vectors)
    assert len(found) == 2_500
    assert [found.nearest(vectors[row], 1).tolist() for row in (0, 1_023, 1_024, 2_499)] == [
        [0],
        [1_023],
        [1_024],
        [2_499],
    ]


def test_a_vector_of_zeros_is_kept_and_may_be_asked_for() -> None:
    found = holding(np.concatenate([drawn(3), np.zeros((1, DIMENSION), dtype=np.float32)]))
    assert 3 in found.nearest(np.zeros(DIMENSION, dtype=np.float32), 1)
    assert found.nearest(drawn(1)[0], 9).tolist() == [0, 1, 2, 3]


def test_a_row_added_twice_is_found_by_both_vectors_and_once() -> None:
    vectors, (now,) = drawn(100), drawn(1, seed=9)
    found = holding(vectors)
    found.add(7, now)
    assert found.nearest(vectors[7], 1).tolist() == [7]
    assert found.nearest(now, 1).tolist() == [7]
    assert found.nearest(now, 200).tolist() == list(range(100))


def test_what_is_made_in_the_same_way_answers_the_same() -> None:
    one, other = holding(drawn(500)), holding(drawn(500))
    for vector in drawn(50, seed=9):
        assert one.nearest(vector, 20).tolist() == other.nearest(vector, 20).tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 50), st.integers(0, 100))
def test_rows_come_in_order_and_once_and_no_more_than_asked_for(rows: list[int], count: int, seed: int) -> None:
    found = Neighbours(DIMENSION)
    for row, vector in zip(rows, drawn(len(rows), seed), strict=True):
        found.add(row, vector)
    nearest = found.nearest(drawn(1, seed + 1)[0], count).tolist()
    assert nearest == sorted(set(nearest))
    assert len(nearest) <= count
    assert set(nearest) <= set(rows)
    if count >= len(rows):
        assert set(nearest) == set(rows)


def test_signs_find_most_of_what_is_nearest_by_cosine() -> None:
    vectors = clustered(100, 20, apart=0.8, dimension=128)
    assert recall(vectors, vectors[::40], candidates=100) > 0.95


# -- lists -----------------------------------------------------------------------------------------


def asked(found: Neighbours, vectors: Matrix, count: int) -> list[list[int]]:
    return [found.nearest(vector, count).tolist() for vector in vectors]


def flat(monkeypatch: pytest.MonkeyPatch, vectors: Matrix) -> Neighbours:
    with monkeypatch.context() as patch:
        patch.setattr(neighbours, "EXACT", len(vectors) + 1)
        return holding(vectors)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("count", [1, 25, 2_000], ids=["the row itself", "its cluster", "all"])
def test_where_all_lists_are_searched_nothing_is_missed(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    vectors = clustered(40, 25)
    assert asked(holding(vectors), vectors[::9], count) == asked(flat(monkeypatch, vectors), vectors[::9], count)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("searched", [1, 3])
def test_where_few_lists_are_searched_a_row_still_finds_itself(monkeypatch: pytest.MonkeyPatch, searched: int) -> None:
    """Those that were there before the lists, and those that came when there were some."""
    monkeypatch.setattr(neighbours, "SEARCHED", searched)
    vectors = drawn(1_500)
    found = holding(vectors)
    assert len(found) == 1_500
    assert asked(found, vectors, 1) == [[row] for row in range(1_500)]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("count", [399, 400, 401])
def test_nothing_is_lost_when_lists_are_made(count: int) -> None:
    vectors = drawn(count)
    found = holding(vectors)
    assert len(found) == count
    assert asked(found, vectors, 1) == [[row] for row in range(count)]
    assert found.nearest(vectors[0], count).tolist() == list(range(count))


@pytest.mark.usefixtures("few")
def test_in_lists_too_a_row_added_twice_is_found_by_both_vectors() -> None:
    vectors, (now,) = drawn(600), drawn(1, seed=9)
    found = holding(vectors)
    found.add(7, now)
    assert asked(found, np.stack([vectors[7], now]), 1) == [[7], [7]]
    assert found.nearest(now, 1_000).tolist() == list(range(600))


@pytest.mark.usefixtures("few")
def test_lists_made_in_the_same_way_answer_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SEARCHED", 2)
    vectors, strange = drawn(1_000), drawn(50, seed=9)
    assert asked(holding(vectors), strange, 20) == asked(holding(vectors), strange, 20)


@pytest.mark.usefixtures("few")
def test_fewer_rows_come_where_the_lists_searched_hold_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SEARCHED", 1)
    found, vectors = Neighbours(DIMENSION), drawn(1_000)
    for row, vector in enumerate(vectors, 5):
        found.add(row, vector)
    nearest = found.nearest(vectors[3], 1_000).tolist()
    assert 8 in nearest
    assert 5 <= nearest[0] <= nearest[-1] < 1_005
    assert len(nearest) < 1_000
    assert nearest == sorted(set(nearest))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("same", [1, 401], ids=["one more", "all"])
def test_equal_vectors_can_be_put_in_lists(same: int) -> None:
    """One text that everybody prints again."""
    vector: Vector = drawn(1)[0]
    vectors = np.concatenate([drawn(401 - same, seed=9), np.repeat(vector[None], same, axis=0)])
    assert len(holding(vectors).nearest(vector, 5)) == 5


@pytest.mark.usefixtures("few")
def test_lists_find_most_of_what_is_nearest_by_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SEARCHED", 4)
    vectors = clustered(100, 20, apart=0.5, dimension=128)
    assert recall(vectors, vectors[::40], candidates=100) > 0.9
