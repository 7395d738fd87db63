"""Precision and misses of bars, by what people judged; no model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.archive import add_label, read_labels
from monitor.calibrate import (
    STEPS,
    Calibration,
    Share,
    calibrate,
    calibration_data,
    calibration_text,
    each_once,
    labels_of_feedback,
    labels_of_tests,
    lacks,
    loose,
    to_label,
)
from monitor.model import Feedback, FeedbackKind, Label, LabelOrigin, Match, MatchOutcome, TopicTest

TOPIC = make.topic(noise=1 / 1000)


def judged(
    score: float, on: bool, outcome: MatchOutcome = MatchOutcome.MATCHED, origin: LabelOrigin = LabelOrigin.LABEL
) -> tuple[Label, Match]:
    return Label(TOPIC.id, make.item(title=f"{score} {on}"), on, origin), make.match(score=score, outcome=outcome)


def at(made: Calibration, step: int) -> tuple[Share, Share]:
    return next((one.precision, one.missed) for one in made.settings if round(1 / one.noise) == step)


# -- intervals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "of", "low", "high"),
    # as statsmodels' proportion_confint(method="wilson") gives them
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (8, 10, 0.4902, 0.9433), (90, 100, 0.8256, 0.9448)],
)
def test_interval_is_wilson_s(part: int, of: int, low: float, high: float) -> None:
    assert Share(part, of).interval == pytest.approx((low, high), abs=1e-4)


def test_nothing_tells_nothing() -> None:
    assert (Share(0, 0).value, Share(0, 0).interval, Share(0, 0).tells) == (None, (0.0, 1.0), False)


def test_three_of_three_are_too_few_to_tell() -> None:
    assert (Share(3, 3).tells, Share(9, 9).tells) == (False, True)


@given(st.integers(0, 400), st.integers(1, 400))
def test_interval_holds_the_share_and_stays_within_0_and_1(part: int, of: int) -> None:
    share = Share(min(part, of), of)
    low, high = share.interval
    assert 0 <= low <= (share.value or 0.0) <= high <= 1


# -- settings -------------------------------------------------------------------------------------


def test_stricter_bar_misses_what_it_leaves() -> None:
    made = calibrate(TOPIC, [judged(4, True), judged(3.1, True), judged(2.4, True), judged(2.8, False)])
    assert at(made, 100) == (Share(3, 4), Share(0, 3))
    assert at(made, 1000) == (Share(2, 2), Share(1, 3))
    assert at(made, 5000) == (Share(1, 1), Share(2, 3))


def test_item_at_the_bar_is_taken() -> None:
    assert at(calibrate(TOPIC, [judged(3.0, True)]), 1000) == (Share(1, 1), Share(0, 1))


def test_term_takes_an_item_at_every_bar() -> None:
    made = calibrate(TOPIC, [judged(0.1, True, MatchOutcome.MATCHED_TERM)])
    assert {one.missed for one in made.settings} == {Share(0, 1)}


def test_gate_that_shut_is_shut_at_every_bar() -> None:
    made = calibrate(TOPIC, [judged(9.0, True, MatchOutcome.NO_REQUIRED_TERM)])
    assert {one.missed for one in made.settings} == {Share(1, 1)}


def test_setting_of_the_file_is_among_those_shown() -> None:
    made = calibrate(replace(TOPIC, noise=1 / 700), [])
    assert [round(1 / one.noise) for one in made.settings] == sorted([*STEPS, 700])
    assert "1/700 (the file)" in calibration_text(made)


@given(st.lists(st.tuples(st.floats(0, 6), st.booleans())))
def test_stricter_bars_take_less_and_miss_more(scores: list[tuple[float, bool]]) -> None:
    made = calibrate(TOPIC, [judged(score, on) for score, on in scores])
    assert [one.precision.of for one in made.settings] == sorted((o.precision.of for o in made.settings), reverse=True)
    assert [one.missed.part for one in made.settings] == sorted(one.missed.part for one in made.settings)


def test_topic_is_learnt_loosely_enough_for_all_settings() -> None:
    assert (loose(TOPIC), loose(replace(TOPIC, noise=1 / 20))) == (1 / 100, 1 / 20)


# -- what is missing ------------------------------------------------------------------------------


def test_few_judgements_are_too_little() -> None:
    made = calibrate(TOPIC, [judged(4, True)])
    assert [said.partition(":")[0] for said in lacks(made)] == [
        "too little to tell the precision",
        "too little to tell the miss rate",
    ]
    assert "too little" in calibration_text(made)
    assert json.loads(json.dumps(calibration_data(made)))["settings"][0]["precision"]["tells"] is False


def test_misses_by_tests_alone_are_said_to_be_no_fair_draw() -> None:
    made = calibrate(TOPIC, [judged(4, True, origin=LabelOrigin.TEST)] * 20)
    assert [said.partition(";")[0] for said in lacks(made)] == [
        "the miss rate is of what alerted or an author thought of"
    ]


def test_enough_labels_lack_nothing() -> None:
    made = calibrate(TOPIC, [judged(4, True)] * 20)
    assert (lacks(made), "100% (84% to 100%)" in calibration_text(made)) == ([], True)


# -- who judged -----------------------------------------------------------------------------------


def feedback(*kinds: FeedbackKind) -> list[Feedback]:
    return [Feedback("alert", kind, f"U{n}", make.NOW) for n, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("kinds", "on"),
    [
        ((FeedbackKind.USEFUL,), [True]),
        ((FeedbackKind.WRONG, FeedbackKind.WRONG, FeedbackKind.USEFUL), [False]),
        ((FeedbackKind.WRONG, FeedbackKind.USEFUL), []),
        ((FeedbackKind.MUTE,), []),
    ],
)
def test_reactions_are_judgements_where_they_agree(kinds: tuple[FeedbackKind, ...], on: list[bool]) -> None:
    assert [label.on for label in labels_of_feedback([(make.alert(), feedback(*kinds))])] == on


def test_tests_are_judgements() -> None:
    topic = replace(TOPIC, tests=(TopicTest("a", alert=True), TopicTest("b", alert=False)))
    assert [(label.item.title, label.on) for label in labels_of_tests(topic)] == [("a", True), ("b", False)]


def test_last_word_on_an_item_counts() -> None:
    [(first, _), (other, _)] = [judged(1, True), judged(2, True)]
    assert each_once([first, other, replace(first, on=False)]) == [replace(first, on=False), other]


def test_items_to_judge_are_drawn_from_what_comes_near() -> None:
    scores = {"near": 2.5, "far": 1.0, "known": 3.0, "nearer": 4.0}
    titles = {item: item for item in scores}
    assert set(to_label(scores, titles, ["known"], 9)) == {"near", "nearer"}
    assert len(to_label(scores, titles, [], 1)) == 1
    assert len(to_label(scores, dict.fromkeys(titles, "one title"), [], 9)) == 1


def test_labels_survive_their_file(tmp_path: Path) -> None:
    label = Label("troops", make.item(title='“Zwei” \\ "x"'), False, LabelOrigin.LABEL)
    path = tmp_path / "labels.jsonl"
    add_label(path, label)
    add_label(path, replace(label, on=True))
    [first, second], problems = read_labels(path, make.NOW)
    assert (problems, first.topic, first.item.title, first.item.id, [first.on, second.on]) == (
        [], "troops", label.item.title, label.item.id, [False, True],
    )  # fmt: skip


def test_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": 1, "title": "x"}\n{"id": 1, "title": "x", "topic": "t", "on": true}\n', encoding="utf-8")
    labels, [problem] = read_labels(path, make.NOW)
    assert (len(labels), problem.line, '"on"' in problem.message) == (1, 1, True)


def test_no_file_is_nothing_said(tmp_path: Path) -> None:
    assert read_labels(tmp_path / "none", make.NOW) == ([], [])
