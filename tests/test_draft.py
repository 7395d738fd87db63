"""New topics: the bar that is measured, what is proposed, and the file. No model, real matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import make
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hindsight import CHESS, archive, learn, of_file

from monitor.draft import (
    STEPS,
    USUAL,
    Draft,
    Measured,
    begun,
    draft,
    held_out,
    look_alikes,
    measure,
    nearest,
    settled,
    to_ask,
    told,
    without_each,
    written,
)
from monitor.hindsight import Judged
from monitor.model import Match, MatchOutcome, Topic, TopicTest
from monitor.rules import load_rules
from monitor.seed import Seed

TOPIC = make.topic(
    id="troops",
    title="Troops",
    description="North Korean soldiers fight for Russia",
    examples=(
        "North Korean soldiers arrive in Russia",
        "Pyongyang sends soldiers to the front",
        "Kim's men near Kursk",
    ),
)


def judged(title: str, score: float, outcome: MatchOutcome = MatchOutcome.MATCHED) -> Judged:
    match = make.match(topic="troops", score=score, outcome=outcome)
    return Judged(make.item(title=title), match, True, np.zeros(4, dtype=np.float32))


# -- the bar --------------------------------------------------------------------------------------


def test_bar_is_as_high_as_most_headlines_allow() -> None:
    assert measure([2.1, 2.8, 3.0, 4.0], [], 1, 5).step == 500


def test_bar_is_never_tighter_than_usual_for_headlines_alone() -> None:
    assert measure([6.0, 7.0], [], 1, 5).step == USUAL


def test_bar_rises_until_the_archive_is_calm() -> None:
    measured = measure([2.5, 2.6], [2.5] * 40 + [3.2] * 3, 2, 5)
    assert (measured.step, "1/300 would bring 43" in measured.because) == (500, True)


def test_bar_without_anything_to_measure_by_is_the_usual_one() -> None:
    assert (measure([], [], 1, 5).step, measure([], [], 1, 5).because) == (USUAL, "as usual: nothing to measure by")


@given(st.lists(st.floats(0, 8)), st.lists(st.floats(0, 8)), st.floats(1, 400), st.floats(0.1, 50))
def test_bar_is_a_step_and_keeps_the_archive_calm_if_any_does(
    left_out: list[float], scores: list[float], days: float, a_day: float
) -> None:
    measured = measure(left_out, scores, days, a_day)
    assert measured.step in STEPS
    calm = sum(score >= measured.bar for score in scores) <= a_day * days
    assert calm or measured.step == STEPS[-1]


# -- what is proposed -----------------------------------------------------------------------------


def test_each_example_is_left_out_once() -> None:
    assert [set(TOPIC.examples) - set(one.examples) for one in without_each(TOPIC)] == [{one} for one in TOPIC.examples]


def test_description_that_has_the_example_is_left_out_with_it() -> None:
    quoting = replace(TOPIC, description=f"{TOPIC.examples[0]}. And more.")
    assert [one.description == TOPIC.title for one in without_each(quoting)] == [True, False, False]


def test_headline_that_the_others_find_becomes_a_test() -> None:
    many = replace(TOPIC, examples=("a", "b", "c", "d", "e", "f"))
    changed = held_out(many, [4, 5, 1, 1, 1, 1], 3.0)
    assert (changed.examples, [test.title for test in changed.tests]) == (("c", "d", "e", "f"), ["a", "b"])


def test_topic_keeps_the_examples_that_it_needs() -> None:
    assert held_out(TOPIC, [9, 9, 9], 3.0) == TOPIC


def test_near_items_come_once_and_without_what_is_known() -> None:
    found = [judged("Rain", 3.1), judged("rain", 3.0), judged(TOPIC.examples[0], 5.0), judged("Far off", 1.0)]
    assert [one.item.title for one in nearest(found, 3.0, TOPIC)] == ["Rain"]


def test_person_is_asked_of_both_sides_of_the_bar() -> None:
    near = [judged(str(n), n / 10) for n in range(40, 20, -1)]
    assert [one.match.score for one in to_ask(near, 3.0, 2)] == [3.1, 3.0, 2.9, 2.8]


@pytest.mark.parametrize(
    ("above", "is_on", "examples", "negatives", "tests"),
    [
        (True, True, 0, 0, [True]),
        (True, False, 0, 1, [False]),
        (False, True, 1, 0, []),
        (False, False, 0, 1, [False]),
        (True, None, 0, 0, []),
    ],
)
def test_what_a_person_says_becomes_part_of_the_topic(
    above: bool, is_on: bool | None, examples: int, negatives: int, tests: list[bool]
) -> None:
    changed = told(TOPIC, "A parade", above, is_on)
    assert len(changed.examples) - len(TOPIC.examples) == examples
    assert (len(changed.negatives), [test.alert for test in changed.tests]) == (negatives, tests)


def test_look_alikes_are_those_nearest_to_the_bar() -> None:
    near = [judged("Clear", 5.0), judged("Above", 3.2), judged("Just below", 2.95), judged("Below", 2.5)]
    assert look_alikes(near, 3.0) == ("Just below", "Above", "Below")


def test_what_the_topic_contradicts_is_dropped() -> None:
    topic = replace(
        TOPIC,
        examples=("shut out", "fine"),
        negatives=("too wide", "taken anyway", "good"),
        tests=(TopicTest("fine too", alert=True), TopicTest("fails", alert=True)),
    )

    def judge(version: Topic, titles: Sequence[str]) -> Mapping[str, Match]:
        shut = "too wide" in version.negatives
        taken = {"fine", "taken anyway", "fine too"} | (set() if shut else {"shut out"})
        outcomes = {True: MatchOutcome.MATCHED, False: MatchOutcome.NEARER_NEGATIVE}
        negative = {"shut out": "too wide"} if shut else {}
        return {
            title: make.match(outcome=outcomes[title in taken], negative=negative.get(title, "")) for title in titles
        }

    left, dropped = settled(topic, judge)
    assert (left.negatives, [test.title for test in left.tests]) == (("good",), ["fine too"])
    assert dropped == ("negative “too wide”", "negative “taken anyway”", "test “fails”")


# -- the file -------------------------------------------------------------------------------------


def test_file_loads_to_the_topic_whatever_strangers_wrote(tmp_path: Path) -> None:
    hostile = 'He said "x" \\ # no ]\t{}'
    topic = replace(
        TOPIC, examples=(hostile, *TOPIC.examples), negatives=(hostile + "!",), noise=1 / 300, owner="@desk",
        tests=(TopicTest(hostile, alert=False),),
    )  # fmt: skip
    made = Draft(topic, Measured(300, "so"), (hostile, "]"), True, ())
    (tmp_path / "troops.toml").write_text(written(made), encoding="utf-8")
    [loaded] = load_rules(tmp_path)
    assert replace(loaded, path="", tests=tuple(replace(one, line=None) for one in loaded.tests)) == replace(
        topic, path="", title=loaded.title
    )
    assert "read by nobody" in written(made)


def test_author_s_words_come_before_the_seed_s() -> None:
    seed = Seed("Theirs", "Their words.", ("Second", "First"))
    topic = begun("x", seed, "Mine", "", ["First"], "", "")
    assert (topic.title, topic.description, topic.examples) == ("Mine", "Their words.", ("First", "Second"))


# -- whole ----------------------------------------------------------------------------------------

NEWS = archive(
    [
        "north korean soldiers arrive in russia for training", "pyongyang sends soldiers to kursk front",
        "rain for the weekend", "chess club treasurer", "soldiers front weekend rain",
    ]
)  # fmt: skip


def test_new_topic_passes_its_own_tests() -> None:
    made = draft(replace(TOPIC, negatives=()), [], learn, of_file(NEWS), 5, 5, None)
    matcher = learn([made.topic], [made.topic.id])
    tests = {test.title: test.alert for test in made.topic.tests}
    found = of_file(NEWS).headlines(matcher, dict.fromkeys(tests, made.topic.id))
    assert {title: match.matched for title, match in found.items()} == tests


def test_person_who_refuses_all_makes_negatives() -> None:
    made = draft(TOPIC, [], learn, of_file([*NEWS, *CHESS]), 5, 5, lambda _one, _bar: False)
    assert (made.unread, made.proposed) == (False, ())
    assert all(not test.alert for test in made.topic.tests)


def test_topic_of_an_empty_archive_has_the_usual_bar() -> None:
    made = draft(replace(TOPIC, examples=()), [], learn, of_file([]), 5, 5, None)
    assert (made.measured.step, made.topic.tests, made.unread) == (USUAL, (), False)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from([item.title for item in NEWS]), min_size=1, max_size=5, unique=True))
def test_whatever_headlines_are_given_the_file_loads(titles: list[str]) -> None:
    made = draft(replace(TOPIC, examples=tuple(titles)), [], learn, of_file(NEWS), 5, 5, None)
    assert made.topic.noise == 1 / made.measured.step
    assert set(made.topic.negatives).isdisjoint(made.topic.examples)
