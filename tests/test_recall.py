"""A state's items in columns: the same whether they were kept, kept in part, or made; whatever is in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import make
import numpy as np
import pytest
from fakes import FakeEmbedder

from monitor import recall as module
from monitor.array_cache import ArrayCache
from monitor.background import Tongue
from monitor.columns import Past
from monitor.learning import OWN_LEAST, own_items
from monitor.match import tongue_of
from monitor.model import Item, Placement, Relation, Verdict
from monitor.recall import Recalled, Tongues, recall
from monitor.store import Store
from monitor.text import gist, text_hash

MODEL = FakeEmbedder().id
DAY = timedelta(days=1)
TITLES = [
    "Rain over the weekend",
    "Посла вызвали в министерство",
    "金砖国家峰会",
    "Grain ships sail",
    "Chess club elects",
]
FEED = make.feed(url="https://wire.example/")


def item(number: int, days: float = 0) -> Item:
    at = make.NOW - days * DAY
    title = f"{TITLES[number % len(TITLES)]} {number}"
    return make.item(feed=FEED, id=f"{number:04}", title=title, text=f"Text {number}", published=at, first_seen=at)


def keep(store: Store, items: list[Item], *, with_vector: bool = True, **verdict: object) -> None:
    for one in items:
        vector = FakeEmbedder().embed([gist(one.title, one.text)])[0] if with_vector else np.zeros(0, np.float32)
        record = make.record(
            item=one, vector=vector, placement=Placement(one.id, Relation.ROOT, ""),
            text_hash=text_hash(gist(one.title, one.text)), **verdict,
        )  # fmt: skip
        store.commit_poll(make.polled(feed=FEED), [record], MODEL)


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(Store.in_memory()) as opened:
        opened.add_feed(FEED, make.NOW)
        keep(opened, [item(number, number / 10) for number in range(20)])
        yield opened


@pytest.fixture
def cache(tmp_path: Path) -> ArrayCache:
    return ArrayCache(tmp_path, "1")


def asked(store: Store, cache: ArrayCache | None, span: timedelta = 30 * DAY) -> Recalled:
    return recall(store, MODEL, span, make.NOW - 30 * DAY, 5, cache, "state")


def said(found: Recalled) -> object:
    """All that looking back reads of them."""
    return list(map(_said, (found.past, found.ordinary)))


def _said(past: Past) -> object:
    sample = past.sample()
    holding = past.texts.may_hold(["grain ships", "посол", "金砖", "text"])
    return (
        past.ids, sample.tongues, sample.vectors.tolist(), [words.tolist() for words in sample.words],
        {term: rows.tolist() for term, rows in holding.items()}, past.span, past.unread,
    )  # fmt: skip


def made_anew(store: Store) -> object:
    return said(asked(store, None))


def test_what_is_kept_is_what_would_be_made(store: Store, cache: ArrayCache) -> None:
    assert said(asked(store, cache)) == said(asked(store, cache)) == made_anew(store)


def test_what_is_kept_is_not_made_again(store: Store, cache: ArrayCache, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(store, cache)
    monkeypatch.setattr(Store, "bodies", None)
    assert len(asked(store, cache).past) == 20


def test_new_items_are_added(store: Store, cache: ArrayCache) -> None:
    asked(store, cache)
    keep(store, [item(number) for number in range(20, 23)])
    assert said(asked(store, cache)) == said(asked(store, cache)) == made_anew(store)


def test_few_new_items_are_made_and_not_kept(store: Store, cache: ArrayCache, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(store, cache)
    monkeypatch.setattr(module, "STALE", 1)
    keep(store, [item(20)])
    before = [path.stat().st_mtime_ns for path in cache.folder.iterdir()]
    assert said(asked(store, cache)) == made_anew(store)
    assert [path.stat().st_mtime_ns for path in cache.folder.iterdir()] == before


def test_edited_item_says_what_it_says_now(store: Store, cache: ArrayCache) -> None:
    asked(store, cache)
    title, text = "Посол в Киеве", "Text 3"
    key = text_hash(gist(title, text))
    store.keep_vectors({key: FakeEmbedder().embed([gist(title, text)])[0]}, MODEL, make.NOW)
    change(store, "UPDATE items SET title = ?, text_hash = ?, content_hash = 'another' WHERE id = '0003'", title, key)
    assert said(asked(store, cache)) == made_anew(store)
    assert asked(store, cache).past.texts.may_hold(["посол"])["посол"].tolist() == [1, 3, 6, 11, 16]


def test_change_of_the_text_alone_is_seen(store: Store, cache: ArrayCache) -> None:
    asked(store, cache)
    change(store, "UPDATE items SET text = 'of grain ships', content_hash = 'another' WHERE id = '0002'")
    assert asked(store, cache).past.texts.may_hold(["of grain"])["of grain"].tolist() == [2]


def change(store: Store, statement: str, *values: str) -> None:
    store._connection.execute(statement, values)  # noqa: SLF001 - what a poll would write


def test_items_that_are_gone_are_gone(store: Store, cache: ArrayCache) -> None:
    asked(store, cache)
    change(store, "UPDATE items SET verdict = ? WHERE id < '0009'", Verdict.DROPPED)
    assert said(asked(store, cache)) == made_anew(store)
    assert len(asked(store, cache).past) == 11


def test_shorter_span_is_part_of_what_is_kept(store: Store, cache: ArrayCache) -> None:
    asked(store, cache)
    short = asked(store, cache, DAY)
    assert said(short) == said(asked(store, None, DAY))
    assert len(short.past) == 11
    assert len(short.ordinary) == 5


def test_items_without_a_vector_are_counted_and_taken_in_once_there_is_one(store: Store, cache: ArrayCache) -> None:
    late = item(30)
    keep(store, [late], with_vector=False)
    assert (asked(store, cache).past.unread, asked(store, cache).past.unread) == (1, 1)
    store.keep_vectors({text_hash(gist(late.title, late.text)): FakeEmbedder().embed(["x"])[0]}, MODEL, make.NOW)
    assert asked(store, cache).past.unread == 0
    assert said(asked(store, cache)) == made_anew(store)


def test_item_whose_vector_was_let_go_is_left_out_as_without_a_cache(store: Store, cache: ArrayCache) -> None:
    asked(store, cache)
    change(store, "DELETE FROM vectors WHERE text_hash = (SELECT text_hash FROM items WHERE id = '0004')")
    assert (len(asked(store, cache).past), asked(store, cache).past.unread) == (19, 1)
    assert said(asked(store, cache)) == made_anew(store)


def test_damaged_cache_is_made_again(store: Store, cache: ArrayCache) -> None:
    asked(store, cache)
    [file] = cache.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    assert said(asked(store, cache)) == said(asked(store, cache)) == made_anew(store)


def test_state_without_items_is_no_archive(cache: ArrayCache) -> None:
    with closing(Store.in_memory()) as empty:
        assert len(asked(empty, cache).past) == 0


def test_ordinary_items_are_those_that_the_monitor_learns_with(store: Store, cache: ArrayCache) -> None:
    keep(store, [item(number) for number in range(40, 40 + OWN_LEAST)])
    live = own_items(store, MODEL, lambda: make.NOW)
    sample = recall(store, MODEL, DAY, make.NOW - 30 * DAY, 4_000, cache, "state").ordinary.sample()
    assert np.array_equal(sample.vectors, live.vectors)
    assert list(sample.tongues) == list(live.tongues)
    assert [words.tolist() for words in sample.words] == [words.tolist() for words in live.words]


def test_tongues_are_kept(cache: ArrayCache, monkeypatch: pytest.MonkeyPatch) -> None:
    tongues = Tongues(cache)
    told = [tongues(title) for title in TITLES]
    tongues.keep()
    assert told == [tongue_of(title) for title in TITLES]
    monkeypatch.setattr(module, "tongue_of", lambda _text: Tongue("xx", "Other"))
    again = Tongues(cache)
    assert [again(title) for title in TITLES] == told
    assert again("Something else") == Tongue("xx", "Other")
