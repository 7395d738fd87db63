"""The best headline of a story: the one that most of its tellers could sign."""

from __future__ import annotations

import random
from datetime import timedelta

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.headline import FRAGMENT, headline
from monitor.model import Item, Relation

ROOT, COPY, UPDATE = Relation.ROOT, Relation.COPY, Relation.UPDATE

Told = list[tuple[str, Relation]]

BLAST = "Blast at port of Odesa kills two"
LIVE = "Live: what we know about the night"
PORT = "Two killed in blast at Odesa port"
LATER = "Odesa port blast: two people killed, mayor says"

CASES: dict[str, tuple[Told, str]] = {
    "a root alone": ([(LIVE, ROOT)], LIVE),
    "of two the root's": ([(LIVE, ROOT), (BLAST, UPDATE)], LIVE),
    "copies do not count": ([(LIVE, ROOT), (BLAST, UPDATE), (BLAST, COPY), (BLAST, COPY)], LIVE),
    "what most of them say": ([(LIVE, ROOT), (BLAST, UPDATE), (PORT, UPDATE), (LATER, UPDATE)], PORT),
    "a copy is never chosen": ([(LIVE, ROOT), (BLAST, UPDATE), (LATER, UPDATE), (PORT, COPY)], BLAST),
    "a fragment is not chosen": ([("Odesa port blast", ROOT), (LIVE, UPDATE), (BLAST, UPDATE)], BLAST),
    "unless there are only fragments": ([("Odesa", ROOT), ("Blast", UPDATE), ("Odesa blast", UPDATE)], "Odesa blast"),
    "eight Han characters are no fragment": (
        [("Odesa blast", ROOT), ("敖德萨港发生爆炸", UPDATE), ("敖德萨港爆炸", UPDATE)],
        "敖德萨港发生爆炸",
    ),
    "nothing in common: the earliest": ([(LIVE, ROOT), ("敖德萨港发生爆炸", UPDATE), ("Вибух у порту Одеси", UPDATE)], LIVE),
    "only copies are left": ([(BLAST, COPY), (LIVE, COPY)], BLAST),
}  # fmt: skip


def tellings(told: Told, step: timedelta = timedelta(minutes=1)) -> list[tuple[Item, Relation]]:
    return [
        (make.item(title=title, link=f"https://a.example/{n}", published=make.NOW - timedelta(hours=2) + n * step), relation)
        for n, (title, relation) in enumerate(told)
    ]  # fmt: skip


@pytest.mark.parametrize(("told", "best"), CASES.values(), ids=CASES.keys())
def test_the_best_headline(told: Told, best: str) -> None:
    assert headline(tellings(told)) == best


WORDS = st.sampled_from("Odesa port blast two killed mayor says night Kyiv 港 爆炸 порт — 3,000".split())
TITLES = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)
STORIES = st.lists(st.tuples(TITLES, st.sampled_from([COPY, UPDATE])), max_size=8)


@given(STORIES, st.randoms(use_true_random=False))
def test_it_is_one_of_the_titles_and_no_order_changes_it(told: Told, dice: random.Random) -> None:
    items = tellings([(LIVE, ROOT), *told], step=timedelta(0))
    best = headline(items)
    assert best in {item.title for item, _ in items}
    dice.shuffle(items)
    assert headline(items) == best


@given(STORIES)
def test_a_fragment_is_chosen_from_three_on_only_if_there_is_nothing_else(told: Told) -> None:
    items = tellings([(LIVE, ROOT), *told])
    own = [item for item, relation in items if relation is not COPY]
    assert len(own) < 3 or len(headline(items)) >= FRAGMENT / 3
