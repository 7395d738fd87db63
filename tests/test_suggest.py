"""What a pack lacks: matters, words, what was missed. No model."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import make
import numpy as np
import pytest
from fakes import FakeEmbedder, background
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.hindsight import Judged, Looked
from monitor.model import Label, LabelOrigin, Match, MatchOutcome
from monitor.suggest import (
    ALIKE,
    LEAST,
    PACK,
    SUBJECT,
    advice,
    common_words,
    groups,
    missed,
    parts,
    subject,
    suggestions_data,
    suggestions_text,
    uncovered,
)
from monitor.words import WordWeights, word_ids

TROOPS = make.topic(id="troops")
CHESS = [
    f"Chess club {what}" for what in ("elects treasurer", "sues treasurer", "opens championship", "wins championship")
]


def judged(title: str, topic: str, score: float, outcome: MatchOutcome = MatchOutcome.MATCHED) -> Judged:
    item = make.item(title=title, text="", link=f"https://x.example/{title}", language="en")
    return Judged(item, make.match(topic=topic, score=score, outcome=outcome), True, FakeEmbedder().embed([title])[0])


def looked(topic: str, *found: Judged) -> Looked:
    scores = {one.item.id: one.match.score for one in found}
    return Looked(replace(TROOPS, id=topic), found, scores)


# -- matters --------------------------------------------------------------------------------------


def test_group_has_its_middle_first_and_the_likest_next() -> None:
    alike = np.array([[1, 0.5, 0.1, 0], [0.5, 1, 0.9, 0], [0.1, 0.9, 1, 0], [0, 0, 0, 1]], dtype=np.float32)
    assert groups(alike, 2) == [[1, 2, 0]]


def test_chain_is_no_group() -> None:
    alike = np.eye(6, dtype=np.float32)
    for n in range(5):
        alike[n, n + 1] = alike[n + 1, n] = 0.9
    assert max(map(len, groups(alike, 2))) == 3


def test_nothing_makes_no_group() -> None:
    assert groups(np.zeros((0, 0), dtype=np.float32), 2) == []


@given(arrays.arrays(np.float32, (9, 9), elements=st.floats(0, 1, width=32)), st.integers(1, 4))
def test_groups_share_nothing_and_are_as_large_as_asked(alike: np.ndarray, least: int) -> None:
    alike = np.maximum(alike, alike.T)
    found = groups(alike, least)
    members = [place for group in found for place in group]
    assert len(members) == len(set(members))
    assert all(len(group) >= least for group in found)
    assert all(alike[group[0], place] >= ALIKE for group in found for place in group[1:])


def test_matter_that_no_topic_takes_is_told() -> None:
    pack = looked(PACK, *(judged(title, PACK, 2.0) for title in CHESS))
    [matter] = uncovered(
        [looked("troops", judged(CHESS[0], "troops", 2.5, MatchOutcome.BELOW_BAR)), pack], background()
    )
    assert {item.title for item in matter.items} == set(CHESS)


def test_what_a_topic_takes_or_was_told_to_leave_is_no_matter() -> None:
    pack = looked(PACK, *(judged(title, PACK, 2.0) for title in CHESS))
    taking = [judged(title, "troops", 4.0) for title in CHESS[:1]]
    refusing = [judged(title, "troops", 4.0, MatchOutcome.NEARER_NEGATIVE) for title in CHESS[1:2]]
    assert uncovered([looked("troops", *taking, *refusing), pack], background()) == []


def test_one_text_in_many_outlets_is_no_matter() -> None:
    pack = looked(
        PACK, *(judged(title, PACK, 2.0) for title in ("Chess club wins", "CHESS CLUB WINS", "chess club wins"))
    )
    assert uncovered([pack], background()) == []


def test_part_of_what_a_topic_takes_is_told_and_all_of_it_is_not() -> None:
    part = [judged(f"Chess club treasurer {word}", "troops", 4.0) for word in "one two three four five six".split()]
    rest = [judged(f"Soldiers at the front {word}", "troops", 4.0) for word in "a b c d e f g h i".split()]
    found = parts([looked("troops", *part, *rest)], background())
    assert {(one.topic, one.of) for one in found} == {("troops", 15)}
    assert parts([looked("troops", *part)], background()) == []


def test_pack_is_learnt_of_all_its_topics() -> None:
    pack = subject([TROOPS, replace(TROOPS, id="other", title="Other", examples=("b",))])
    assert (pack.id, pack.noise, {"Other", "b", *TROOPS.examples} <= set(pack.examples)) == (PACK, SUBJECT, True)
    assert len(subject([replace(TROOPS, examples=tuple(map(str, range(9999))))]).examples) <= 500


# -- words ----------------------------------------------------------------------------------------

WEIGHTS = WordWeights([word_ids(f"the of in {'rain ' * (n % 2)}word{n}") for n in range(200)])


def test_words_are_those_that_headlines_share_and_news_does_not() -> None:
    titles = ["The tanker sails in rain", "Tankers of the fleet", "A tanker in the fleet"]
    assert common_words(titles, WEIGHTS) == ("tanker", "fleet")


def test_chinese_words_are_pairs() -> None:
    assert common_words(["油轮被拦", "油轮驶离"], WEIGHTS)[0] == "油轮"


# -- what was missed ------------------------------------------------------------------------------


def label(title: str, on: bool = True) -> Label:
    return Label("troops", make.item(title=title), on, LabelOrigin.LABEL)


def silent(outcome: MatchOutcome, **fields: str) -> Match:
    return make.match(outcome=outcome, **fields)


@pytest.mark.parametrize(
    ("match", "said"),
    [
        (silent(MatchOutcome.BELOW_BAR), "below the bar: add it to examples"),
        (silent(MatchOutcome.NO_REQUIRED_TERM, gate="a | b"), 'has none of a | b: add one of "tanker"'),
        (silent(MatchOutcome.EXCLUDED_TERM, gate="games"), "shut out by the term “games”"),
        (silent(MatchOutcome.OUT_OF_SCOPE, gate="kind wire"), "out of scope: kind wire"),
        (silent(MatchOutcome.NEARER_NEGATIVE, negative="x"), "nearer to the negative “x”"),
    ],
)
def test_what_would_have_caught_an_item_is_said(match: Match, said: str) -> None:
    [one] = missed([], [(label("tanker"), match)], background())["troops"]
    assert advice(one).startswith(said)


def test_what_was_taken_or_is_off_the_subject_was_not_missed() -> None:
    found = missed(
        [], [(label("a"), make.match()), (label("b", on=False), silent(MatchOutcome.BELOW_BAR))], background()
    )
    assert found == {}


def test_item_that_lacks_a_required_term_is_shown_unless_it_was_judged() -> None:
    short = [judged(title, "troops", 4.0, MatchOutcome.NO_REQUIRED_TERM) for title in CHESS[:2]]
    known = (label(CHESS[0]), silent(MatchOutcome.NO_REQUIRED_TERM, gate="x"))
    found = missed([looked("troops", *short)], [known], background())["troops"]
    assert [(one.item.title, one.judged) for one in found] == [(CHESS[0], True), (CHESS[1], False)]


# -- telling --------------------------------------------------------------------------------------


def test_command_is_safe_in_a_shell_whatever_strangers_wrote() -> None:
    hostile = [f"{title} '; rm -rf ~; echo $(date) `date` \\" for title in CHESS]
    matters = uncovered([looked(PACK, *(judged(title, PACK, 2.0) for title in hostile))], background())
    [command] = [line for line in suggestions_text(matters, [], {}, 5).splitlines() if "rules new" in line]
    words = shlex.split(command)
    assert words[:4] == ["monitor", "rules", "new", "ID"]
    assert set(words[5::2]) <= set(hostile)


def test_programs_get_all_of_it() -> None:
    matters = uncovered([looked(PACK, *(judged(title, PACK, 2.0) for title in CHESS))], background())
    gaps = missed([], [(label("tanker"), silent(MatchOutcome.BELOW_BAR))], background())
    data = suggestions_data(matters, matters, gaps)
    assert json.loads(json.dumps(data)) == data
    assert len(data["missed"]) == 1  # type: ignore[arg-type]  # a list


def test_nothing_lacking_is_said_in_a_line() -> None:
    assert suggestions_text([], [], {}, 5) == "Of the pack's subject, and taken by no topic: 0 matters"
    assert LEAST == 3
