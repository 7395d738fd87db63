"""Vectors kept between commands: the same as made anew, and never in the way."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from monitor import vector_cache
from monitor.embed import CachedEmbedder, Embedder
from monitor.vector_cache import FILE, VectorCache, cache_of


class Engine:
    """Counts what it embeds, one direction a text."""

    id = "engine@1"
    dimension = 8
    scripts: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        rows = [np.random.default_rng(len(text)).normal(size=8) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


TEXTS = ["Troops seen near Kursk", "В Сеуле сообщили о войсках", "", "x", "Troops seen near Kursk"]


def test_what_is_kept_is_what_would_be_made(tmp_path: Path) -> None:
    engine, cache = Engine(), VectorCache(tmp_path / "deep" / FILE)
    plain = Embedder([Engine()]).embed(TEXTS)
    first = CachedEmbedder([engine], cache).embed(TEXTS)
    again = CachedEmbedder([engine], cache).embed([*TEXTS, "another one"])
    assert np.array_equal(first, plain)
    assert np.array_equal(again[:5], plain)
    assert len(engine.asked) == 5  # four texts, and the other one
    assert CachedEmbedder([engine], cache).embed([]).shape == (0, 8)


def test_models_are_kept_apart(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / FILE)
    cache.keep({"key": np.ones(8, dtype=np.float32)}, "engine@1")
    assert cache.known(["key"], "engine@2") == {}
    assert list(cache.known(["key", "other"], "engine@1")) == ["key"]


def test_vector_of_another_length_is_made_anew(tmp_path: Path) -> None:
    engine, cache = Engine(), VectorCache(tmp_path / FILE)
    embedder = CachedEmbedder([engine], cache)
    embedder.embed(["x"])
    cache.keep({key: np.ones(3, dtype=np.float32) for key in keys_of(tmp_path / FILE)}, embedder.id)
    assert np.array_equal(embedder.embed(["x"]), Embedder([Engine()]).embed(["x"]))


def keys_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM vectors")]


def test_it_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_cache, "KEPT", 3)
    cache = VectorCache(tmp_path / FILE)
    for n in range(5):
        cache.keep({f"key {n}": np.full(8, n, dtype=np.float32)}, "engine@1")
    assert sorted(keys_of(tmp_path / FILE)) == ["key 2", "key 3", "key 4"]


def test_more_than_a_statement_takes(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / FILE)
    vectors = {f"key {n}": np.full(8, n % 100, dtype=np.float32) for n in range(2_500)}
    cache.keep(vectors, "engine@1")
    assert len(cache.known(list(vectors), "engine@1")) == 2_500


@pytest.mark.parametrize("content", [b"", b"no database at all, but some bytes of it", None])
def test_file_that_is_none_costs_time_and_nothing_else(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.mkdir() if content is None else path.write_bytes(content)
    engine = Engine()
    vectors = CachedEmbedder([engine], VectorCache(path)).embed(TEXTS)
    assert np.array_equal(vectors, Embedder([Engine()]).embed(TEXTS))


def test_folder_that_cannot_be_made_costs_time_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = VectorCache(tmp_path / "file" / "below" / FILE)
    assert np.array_equal(CachedEmbedder([Engine()], cache).embed(TEXTS), Embedder([Engine()]).embed(TEXTS))


def test_it_is_the_user_s_own(tmp_path: Path) -> None:
    named = cache_of({"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path / "home")})
    usual = cache_of({"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": "not/absolute"})
    for cache, folder in ((named, tmp_path / "cache"), (usual, tmp_path / "home" / ".cache")):
        cache.keep({"key": np.ones(8, dtype=np.float32)}, "engine@1")
        assert (folder / "news-monitor" / FILE).is_file()
        assert stat.S_IMODE((folder / "news-monitor").stat().st_mode) & 0o077 == 0
    nowhere = cache_of({})
    nowhere.keep({"key": np.ones(8, dtype=np.float32)}, "engine@1")
    assert nowhere.known(["key"], "engine@1") == {}
