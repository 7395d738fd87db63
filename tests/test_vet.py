"""What feeds, channels, the matcher and past items say of topic files; with a bag of words for a model."""

from __future__ import annotations

from pathlib import Path

import make
import pytest
from fakes import FakeEmbedder, background, ordinary

from monitor import vet
from monitor.app import open_judge
from monitor.config import Config
from monitor.errors import Level, Problem
from monitor.learning import Learning
from monitor.model import TopicStatus
from monitor.rules import read_topics
from monitor.trial import run_tests, texts_of_tests

ROOT = Path(__file__).parents[1]

GRAIN = """\
title = "Grain corridor"
description = "Ships with wheat leave Odesa through the grain corridor."
examples = [
  "Wheat ships leave Odesa through the corridor",
  "Grain convoy sails from Odesa with wheat",
]
noise = "1/50"
"""
LEARNING = Learning(FakeEmbedder(), ordinary, background())


def files(folder: Path, **texts: str) -> vet.Files:
    for stem, text in texts.items():
        (folder / f"{stem}.toml").write_text(text, encoding="utf-8")
    read, problems = read_topics(folder)
    assert not [problem for problem in problems if not problem.warning]
    return read


def said(problems: list[Problem]) -> list[str]:
    return [f"{p.line}:{p.column}: {p.level}: {p.message}" for p in problems]


def by_matcher(folder: Path, **texts: str) -> list[str]:
    read = files(folder, **texts)
    return said(vet.by_matcher(read, LEARNING, LEARNING.matcher([topic for topic, _ in read])))


# -- the matcher ----------------------------------------------------------------------------------


def test_sound_topic_is_left_in_peace(tmp_path: Path) -> None:
    assert by_matcher(tmp_path, grain=GRAIN) == []


def test_example_without_a_required_term_is_an_error_with_its_place(tmp_path: Path) -> None:
    [one] = by_matcher(tmp_path, grain=GRAIN + '[terms]\nrequire = [["convoy*"]]\n')
    assert one.startswith(
        '4:3: error: examples: the topic would not take "Wheat ships leave Odesa through the corridor"'
    )
    assert one.endswith("; give the group a term of this headline, or write one with a term of the group")


def test_example_with_an_excluded_term_is_an_error(tmp_path: Path) -> None:
    [one] = by_matcher(tmp_path, grain=GRAIN + '[terms]\nexclude = ["convoy*"]\n')
    assert (one.partition(" examples:")[0], one.endswith("; take the term out, or the example")) == (
        "5:3: error:",
        True,
    )


def test_example_below_the_bar_is_a_warning_since_a_model_says_so(tmp_path: Path) -> None:
    far = GRAIN.replace("examples = [", 'examples = [\n  "Umbrellas are advised on Saturday",').replace(
        '"1/50"', "1e-300"
    )
    assert [one.split(": ")[1] for one in by_matcher(tmp_path, grain=far)] == ["warning"] * 3


def test_examples_are_judged_as_items_of_the_topic_s_scope(tmp_path: Path) -> None:
    scope = '[scope]\nsources = ["Wire"]\nkinds = ["wire"]\n'
    assert by_matcher(tmp_path, grain=GRAIN + scope) == []
    [*both] = by_matcher(tmp_path, grain=GRAIN + '[scope]\nlanguages = ["ru"]\n')
    assert [one.rpartition("; ")[2] for one in both] == ["widen scope, or take the example out"] * 2


def test_negative_that_a_term_would_let_in_is_an_error(tmp_path: Path) -> None:
    [one] = by_matcher(
        tmp_path,
        grain=GRAIN + 'negatives = ["Rice moves by the grain corridor too"]\n[terms]\nalways = ["grain corridor"]\n',
    )
    assert one.startswith('8:14: error: negatives: the topic would take "Rice moves by the grain corridor too"')
    assert one.endswith("; write more of that term, or exclude one of this")


def test_two_topics_that_are_learnt_alike_are_told_of(tmp_path: Path) -> None:
    twin = GRAIN.replace("Grain corridor", "Wheat ships")
    [one] = by_matcher(tmp_path, grain=GRAIN, wheat=twin)
    assert one.startswith("1:9: warning: title: learnt almost as grain is")


def test_topic_in_shadow_may_be_like_the_one_it_is_to_replace(tmp_path: Path) -> None:
    trial = GRAIN.replace("Grain corridor", "Wheat ships") + 'status = "shadow"\n'
    assert by_matcher(tmp_path, grain=GRAIN, wheat=trial) == []


def test_topic_that_is_off_is_not_asked_about(tmp_path: Path) -> None:
    read = files(tmp_path, grain=GRAIN + 'status = "off"\n[terms]\nexclude = ["wheat"]\n')
    assert read[0][0].status is TopicStatus.OFF
    assert vet.by_matcher(read, LEARNING, LEARNING.matcher([read[0][0]])) == []


# -- channels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "slack", "fallback", "levels"),
    [
        ("#grain", True, "", [Level.ERROR]),
        ("#grain", False, "", [Level.ADVICE]),
        ("C0123456789", True, "", []),
        ("desk:", True, "", []),
        ("", True, "", [Level.ERROR]),
        ("", True, "C0123456789", []),
        ("", False, "", []),
    ],
)
def test_channel_must_be_one_that_can_be_sent_to(
    channel: str, slack: bool, fallback: str, levels: list[Level], tmp_path: Path
) -> None:
    read = files(tmp_path, grain=GRAIN + f'[notify]\nchannel = "{channel}"\n')
    found = vet.by_channels(read, slack=slack, fallback=fallback)
    assert [problem.level for problem in found] == levels
    assert all((problem.line, problem.column) == (9, 11) for problem in found)


# -- feeds ----------------------------------------------------------------------------------------

FEEDS = [
    make.feed(title="Wire", kind="wire", language="en"),
    make.feed(title="Gazette", kind="independent", language="uk"),
]
SCOPE = '[scope]\nsources = ["Wier"]\nkinds = ["think tank"]\nlanguages = ["ru"]\n'


def test_scope_that_no_feed_is_in_is_told_of(tmp_path: Path) -> None:
    assert said(vet.by_feeds(files(tmp_path, grain=GRAIN + SCOPE), FEEDS)) == [
        '9:11: warning: scope.sources: no feed on the list is "Wier"; did you mean "Wire"?',
        '10:9: warning: scope.kinds: no feed on the list is "think tank"; take it out, or add such a feed',
        '11:13: warning: scope.languages: no feed on the list is in "ru"; take it out, or add such a feed',
    ]


def test_feed_of_no_stated_language_may_bring_any(tmp_path: Path) -> None:
    read = files(tmp_path, grain=GRAIN + '[scope]\nlanguages = ["ru"]\n')
    assert vet.by_feeds(read, [*FEEDS, make.feed(language="")]) == []


def test_without_a_feed_list_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert vet.by_feeds(files(tmp_path, grain=GRAIN + SCOPE), []) == []


# -- past items -----------------------------------------------------------------------------------

PAST = [f"Markets moved {n} points on Monday" for n in range(1200)]


def terms(line: str) -> str:
    return GRAIN + f"[terms]\n{line}\n"


def test_group_that_nothing_ever_met_is_told_of(tmp_path: Path) -> None:
    read = files(tmp_path, grain=terms('require = [["markets"], ["odsea*"]]'))
    assert said(vet.by_archive(read, PAST)) == [
        "9:12: advice: terms.require: 100% of past items have a term of this group; it keeps out little, narrow it",
        (
            "9:25: warning: terms.require: none of 1,200 past items has a term of this group; nothing would pass, look for a "
            "slip in it"
        ),
    ]


def test_of_few_items_nothing_is_said(tmp_path: Path) -> None:
    assert vet.by_archive(files(tmp_path, grain=terms('require = [["odsea*"]]')), PAST[:100]) == []


def test_term_that_stands_nearly_everywhere_is_told_of(tmp_path: Path) -> None:
    read = files(tmp_path, grain=terms('always = ["moved * points"]\nexclude = ["monday"]'.replace(" * ", " ")))
    assert [one[:7] for one in said(vet.by_archive(read, PAST))] == ["10:12: "]
    read = files(tmp_path, grain=terms('always = ["on monday"]'))
    assert said(vet.by_archive(read, PAST)) == [
        (
            '9:11: warning: terms.always: "on monday" stands in 100.0% of ordinary items, alerts on each; write more of it, '
            "or use require"
        )
    ]


def test_without_past_items_the_background_tells_of_single_words(tmp_path: Path) -> None:
    read = files(tmp_path, grain=terms('always = ["the", "the grain"]'))
    [one] = said(vet.by_archive(read, [], background()))
    assert one.startswith('9:11: warning: terms.always: "the" stands in')


def test_script_that_escapes_a_group_is_advice(tmp_path: Path) -> None:
    russian = GRAIN.replace("noise", "negatives = []\nexamples2 = []\nnoise").replace("examples2 = []\n", "")
    russian = russian.replace("]\nnegatives", '  "Суда с зерном вышли из Одессы",\n]\nnegatives')
    read = files(tmp_path, grain=russian + '[terms]\nrequire = [["odesa", "одес*"], ["wheat", "grain"]]\n')
    [one] = said(vet.by_archive(read, []))
    assert one.partition(": ")[2] == (
        "advice: terms.require: no term in Cyrillic, which examples are in; they pass unasked, name it too if you can whole"
    )


# -- the shipped topics ---------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.parametrize("pack", [ROOT / "rules", ROOT / "rules" / "semiconductors"], ids=lambda pack: pack.name)
def test_shipped_topics_take_their_examples_and_leave_their_negatives_and_pass_their_tests(pack: Path) -> None:
    from monitor.learning import open_learning

    read, problems = read_topics(pack)
    config = Config(state=ROOT / "nowhere")
    learning = open_learning(config)
    judge = open_judge(config, learning, [topic for topic, _ in read])
    problems += vet.by_matcher(read, learning, judge.matcher)
    problems += vet.by_archive(read, [], learning.background)
    assert [str(problem) for problem in problems if problem.level is not Level.ADVICE] == []
    topics = [topic for topic, _ in read]
    trials = run_tests(topics, judge, learning.vectors(texts_of_tests(topics)))
    assert [f"{trial.topic.id}: {trial.name}: {trial.because}" for trial in trials if not trial.passed] == []
