"""The cheap look at an archive, held against matching itself; and what it is made of, against the slow way."""

from __future__ import annotations

import make
import numpy as np
import pytest
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from world import learn

from monitor.columns import Past, past_of
from monitor.match import embedded_items
from monitor.model import EmbeddedItem, Terms
from monitor.sieve import Near, near
from monitor.terms import Lexicon
from monitor.text import fold, gist, script, scripts

SIGNS = st.sampled_from("aZ ё’ß１Ж金ㄅか한7.-*\u0301\U00020000😀éا")
TEXTS = st.text(SIGNS, max_size=30)


@settings(deadline=None, max_examples=50)
@given(st.lists(TEXTS, max_size=8))
def test_scripts_of_many_are_those_of_each(texts: list[str]) -> None:
    assert scripts(texts) == [script(text) for text in texts]


@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_folding_twice_is_folding_once_for_ascii(text: str) -> None:
    plain = text.encode("ascii", "ignore").decode()
    assert fold(fold(plain)) == fold(plain) == plain.casefold().replace("`", "'")


TERMS = ["north korean", "troop*", "посол", "金砖*", "BRICS Clear", "план мира"]


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize(
    "text", ["North Korean troops", "Посла вызвали; планы мира", "金砖国家BRICS峰会", "brics-clear!", "TROOPERS"]
)
def test_text_with_a_term_may_hold_it(term: str, text: str) -> None:
    holding = past(["Rain", text]).texts.may_hold([term])[term].tolist()
    assert term not in Lexicon([term]).find(text) or holding == [1]


@settings(deadline=None, max_examples=200)
@given(st.lists(TEXTS, max_size=4), TEXTS.filter(lambda text: any(map(str.isalnum, text))))
def test_no_text_with_a_term_is_passed_over(texts: list[str], term: str) -> None:
    texts = [*texts, f"a {term} b", f"{term}{term}"]
    found = past(texts).texts.may_hold([term])[term].tolist()
    assert {row for row, text in enumerate(texts) if term in Lexicon([term]).find(text)} <= set(found)


def test_all_words_of_a_term_must_stand_in_a_text() -> None:
    texts = past(["North Korea", "Korean north", "north korean"]).texts
    assert texts.may_hold(["north korean"])["north korean"].tolist() == [1, 2]


WORDS = ("north korean soldiers arrive in russia for training near kursk rain over the weekend chess club elects "
         "treasurer brics bank meets grain ships sail").split()  # fmt: skip
TROOPS = make.topic(noise=1 / 100, terms=Terms(always=("chess club",)))
GRAIN = make.topic(id="grain", title="Grain ships", description="Ships with grain sail", examples=("Grain ships sail",))


def past(titles: list[str], texts: list[str] | None = None) -> Past:
    texts = texts or [""] * len(titles)
    vectors = FakeEmbedder().embed([gist(title, text) for title, text in zip(titles, texts, strict=True)])
    return past_of((str(n), *said, "en", vectors[n]) for n, said in enumerate(zip(titles, texts, strict=True)))


def look(titles: list[str], texts: list[str] | None = None, floor: float = 2.0) -> dict[str, Near]:
    """What is near the two topics."""
    whole = [f"{title}\n{text}" for title, text in zip(titles, texts or [""] * len(titles), strict=True)]
    matcher = learn((TROOPS, GRAIN))
    return near(
        past(titles, texts), lambda rows: [whole[row] for row in rows], matcher, ["dprk-troops", "grain"], [floor] * 2
    )


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), min_size=1, max_size=30))
def test_what_comes_near_is_scored_as_matching_scores_its_gist(titles: list[str]) -> None:
    matcher = learn((TROOPS, GRAIN))
    found = look(titles)
    for topic, place in matcher.places.items():
        for row, rarity in zip(found[topic].rows, found[topic].rarity, strict=True):
            item = make.item(title=titles[row], text="", language="en")
            vector = FakeEmbedder().embed([gist(item.title, "")])[0]
            assert rarity == pytest.approx(matcher.scores(EmbeddedItem(item, vector))[place], abs=1e-3)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=4, max_size=12).map(" ".join), min_size=1, max_size=30))
def test_nothing_that_is_near_is_left_out(titles: list[str]) -> None:
    matcher = learn((TROOPS, GRAIN))
    found = look(titles)
    items = [make.item(title=title, text="", language="en") for title in titles]
    known = dict(zip(titles, FakeEmbedder().embed(titles), strict=True))
    scores = np.stack([matcher.scores(one) for one in embedded_items(items, known)])
    for topic, place in matcher.places.items():
        # the look at length is by quantiles: what is at the floor itself may fall to either side
        assert set(np.flatnonzero(scores[:, place] >= 2.3)) <= set(found[topic].rows.tolist())


def test_always_term_is_found_however_common_the_item_is() -> None:
    titles = ["Rain over the weekend", "The chess club meets", "The chess set of a club"]
    found = look(titles, floor=50.0)["dprk-troops"]
    assert (found.rows.tolist(), found.named.tolist()) == ([1], [True])


def test_always_term_is_found_in_the_text_too() -> None:
    assert look(["Rain"], ["x " * 400 + "chess club"], floor=50.0)["dprk-troops"].rows.tolist() == [0]


def test_archive_with_nothing_in_it_has_nothing_near() -> None:
    assert len(look([])["dprk-troops"].rows) == 0
