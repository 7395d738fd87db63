"""Vectors that are asked for: known ones are not made again, and what is made is kept at once."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta

import make
import pytest
from fakes import FakeEmbedder, background, ordinary
from world import at_once

from monitor.kept_vectors import EMBEDDED_AT_ONCE, KeptVectors
from monitor.learning import Learning
from monitor.model import Vector
from monitor.store import Store

SPAN = timedelta(hours=72)


class Mortal(FakeEmbedder):
    """Dies once it has embedded enough."""

    def __init__(self, name: str, enough: int) -> None:
        super().__init__(name)
        self._enough = enough

    def embed(self, texts: Sequence[str]) -> Vector:
        if len(self.texts) >= self._enough:
            raise KeyboardInterrupt
        return super().embed(texts)


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(Store.in_memory()) as opened:
        yield opened


def kept(store: Store) -> KeptVectors:
    return KeptVectors(store, at_once, at_once, lambda: make.NOW)


def learning(embedder: FakeEmbedder) -> Learning:
    return Learning(embedder, ordinary, background())


async def test_only_what_is_missing_is_made(store: Store) -> None:
    embedder = FakeEmbedder()
    await kept(store).of(["Troops", "Trade"], learning(embedder))
    vectors = await kept(store).of(["Troops", "Tanks", "Trade"], learning(embedder))
    assert sorted(embedder.texts) == ["Tanks", "Trade", "Troops"]
    assert {text: vector.tolist() for text, vector in vectors.items()} == {
        text: FakeEmbedder().embed([text])[0].tolist() for text in ("Troops", "Tanks", "Trade")
    }


async def test_it_says_how_far_it_is(store: Store) -> None:
    said: list[tuple[str, int, int]] = []
    texts = [f"Text {n}" for n in range(2 * EMBEDDED_AT_ONCE + 1)]
    await kept(store).of(texts, learning(FakeEmbedder()), lambda *words: said.append(words))
    assert said == [("embedding the topics", n * EMBEDDED_AT_ONCE, len(texts)) for n in range(3)]


async def test_another_model_reads_the_open_items_and_goes_on_where_it_was_cut_short(store: Store) -> None:
    items = [make.item(title=f"Item {n}", link=f"https://harbourwire.example/{n}") for n in range(100)]
    vectors = FakeEmbedder().embed([item.title for item in items])
    store.add_feed(make.feed(), make.NOW)
    records = [make.record(item=item, vector=vector) for item, vector in zip(items, vectors, strict=True)]
    store.commit_poll(make.polled(), records, "before")
    store.remember("model", "before")
    killed, again = Mortal("another", enough=len(items) // 2), FakeEmbedder("another")

    with pytest.raises(KeyboardInterrupt):
        await kept(store).embed_again(SPAN, learning(killed))
    assert store.fact("model") == "before"
    for _ in range(2):  # and then it is done
        await kept(store).embed_again(SPAN, learning(again))
    assert len(killed.texts) > len(items) // 2
    assert len(killed.texts) + len(again.texts) == len(items)
    assert len(list(store.members(SPAN, "another"))) == len(items)
