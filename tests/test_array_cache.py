"""Arrays kept between commands: what is kept comes back, and what is not whole is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.array_cache import KEPT, ArrayCache

KEY = "of today"


def arrays() -> dict[str, np.ndarray]:
    return {
        "words": np.arange(7, dtype=np.uint32),
        "vectors": np.linspace(-1, 1, 12, dtype=np.float16).reshape(3, 4),
        "none": np.zeros((0, 4), dtype=np.float16),
        "flags": np.array([True, False]),
    }


@pytest.fixture
def cache(tmp_path: Path) -> ArrayCache:
    kept = ArrayCache(tmp_path / "cache", "1")
    kept.save("past", "a", KEY, arrays())
    return kept


def test_what_is_kept_comes_back(cache: ArrayCache) -> None:
    found = cache.load("past", "a")
    assert found is not None
    assert found[0] == KEY
    for name, array in arrays().items():
        assert found[1][name].dtype == array.dtype
        assert np.array_equal(found[1][name], array)


def test_what_comes_back_cannot_be_written_to(cache: ArrayCache) -> None:
    found = cache.load("past", "a")
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found[1]["words"][0] = 1


def test_other_version_of_the_program_finds_nothing(cache: ArrayCache) -> None:
    assert ArrayCache(cache.folder, "2").load("past", "a") is None


def test_what_was_never_kept_is_nothing(cache: ArrayCache) -> None:
    assert cache.load("past", "b") is None


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, 10_000), sign=st.integers(1, 255))
def test_one_changed_byte_makes_a_file_nothing(tmp_path_factory: pytest.TempPathFactory, place: int, sign: int) -> None:
    kept = ArrayCache(tmp_path_factory.mktemp("cache"), "1")
    kept.save("past", "a", KEY, arrays())
    [file] = kept.folder.iterdir()
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= sign
    file.write_bytes(content)
    assert kept.load("past", "a") is None


@pytest.mark.parametrize("length", [0, 1, 15, 16, 40, -1])
def test_file_that_was_cut_is_nothing(cache: ArrayCache, length: int) -> None:
    [file] = cache.folder.iterdir()
    file.write_bytes(file.read_bytes()[:length])
    assert cache.load("past", "a") is None


def test_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = ArrayCache(tmp_path / "file" / "cache", "1")
    kept.save("past", "a", KEY, arrays())
    assert kept.load("past", "a") is None


def test_only_the_latest_of_a_kind_are_kept(cache: ArrayCache) -> None:
    for number in range(KEPT + 2):
        cache.save("past", str(number), KEY, arrays())
    cache.save("tongues", "topics", "", arrays())
    assert cache.load("past", "a") is None
    assert cache.load("past", str(KEPT + 1)) is not None
    assert sorted(path.name for path in cache.folder.iterdir()) == [
        *(f"past-{number}.arrays" for number in range(2, KEPT + 2)),
        "tongues-topics.arrays",
    ]
