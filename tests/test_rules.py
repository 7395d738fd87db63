"""Topic files; each bad file in data/rules is named after its mistake."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import Problem, RulesError
from monitor.model import (
    Corroboration,
    Followups,
    Mode,
    Notify,
    Scope,
    Severity,
    StoryPolicy,
    StoryStep,
    StoryTest,
    Terms,
    Topic,
    TopicStatus,
    TopicTest,
)
from monitor.rules import check_topics, lint, load_rules, load_topics

ROOT = Path(__file__).parents[1]
BAD = sorted((Path(__file__).parent / "data" / "rules").glob("*.toml"))
ADVICE = "lint-"  # files that load all the same

MINIMAL = 'title = "Grain"\ndescription = "Grain leaves Odesa by sea."\n'

FULL = """\
title       = "Grain corridor"
theme       = "Trade"
description = "Ships with grain leave Odesa."
examples    = ["Grain ship leaves Odesa", "Судно с зерном вышло из Одессы"]
negatives   = ["Rice is dear"]
status      = "shadow"
severity    = "high"
noise       = "1/5000"
owner       = "@grain-desk"

[terms]
always  = ["grain corridor"]
require = [["odesa", "одес*"], ["sco-*", "粮食*", "grain* deal"]]
exclude = ["rice"]

[scope]
languages = ["en", "ru"]
sources   = ["Interfax"]
kinds     = ["wire"]
max_age   = "48h"

[story]
window = "36h"
corroboration = { sources = 3, kinds = 2, within = "4h" }

[notify]
channel   = "#grain"
mode      = "instant"
followups = "broadcast"

[[tests]]
title  = "Corridor for wheat holds"
text   = "Two more ships sailed."
lang   = "en"
expect = "alert"

[[tests]]
title  = "Rice is dearer"
expect = "silent"

[[story_tests]]
name  = "a second outlet joins the story"
steps = [
  { at = "0h", title = "Grain ship sails", expect = "root" },
  { at = "90m", title = "Grain ship has sailed", text = "From Odesa.", expect = "copy" },
]
"""


def write(folder: Path, **files: str) -> Path:
    for stem, text in files.items():
        (folder / f"{stem}.toml").write_text(text, encoding="utf-8")
    return folder


def load_one(folder: Path, text: str) -> Topic:
    (topic,) = load_rules(write(folder, grain=text))
    return topic


# -- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_mistake_is_told_in_these_words(file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path)
    _, problems = check_topics(tmp_path)
    said = [str(problem).removeprefix(str(tmp_path / file.name)).lstrip(": ") for problem in problems]
    assert said == file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_topic_with_a_mistake_is_left_out_but_one_with_advice_is_not(file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path)
    topics, _ = load_topics(tmp_path)
    assert len(topics) == file.stem.startswith(ADVICE)


def test_refusal_repeats_no_secret(tmp_path: Path) -> None:
    write(tmp_path, grain=MINIMAL + '[notify]\nchannel = "xoxb-12345-SECRET x"\n')
    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path)
    assert "SECRET" not in f"{caught.value!s} {caught.value!r} {caught.value.problems!r}"


# -- a file ---------------------------------------------------------------------------------------


def test_every_key_of_a_file_reaches_its_topic(tmp_path: Path) -> None:
    assert load_one(tmp_path, FULL) == Topic(
        id="grain",
        title="Grain corridor",
        description="Ships with grain leave Odesa.",
        theme="Trade",
        examples=("Grain ship leaves Odesa", "Судно с зерном вышло из Одессы"),
        negatives=("Rice is dear",),
        status=TopicStatus.SHADOW,
        severity=Severity.HIGH,
        noise=0.0002,
        owner="@grain-desk",
        terms=Terms(
            always=("grain corridor",),
            require=(("odesa", "одес*"), ("sco-*", "粮食*", "grain* deal")),
            exclude=("rice",),
        ),
        scope=Scope(frozenset({"en", "ru"}), frozenset({"Interfax"}), frozenset({"wire"}), timedelta(days=2)),
        story=StoryPolicy(timedelta(hours=36), Corroboration(3, 2, timedelta(hours=4))),
        notify=Notify("#grain", Mode.INSTANT, Followups.BROADCAST),
        tests=(
            TopicTest("Corridor for wheat holds", True, "Two more ships sailed.", "en", line=31),
            TopicTest("Rice is dearer", False, line=37),
        ),
        story_tests=(
            StoryTest(
                "a second outlet joins the story",
                (
                    StoryStep(timedelta(), "Grain ship sails", "root"),
                    StoryStep(timedelta(minutes=90), "Grain ship has sailed", "copy", "From Odesa."),
                ),
                line=41,
            ),
        ),
        path=str(tmp_path / "grain.toml"),
    )


def test_title_and_description_are_enough(tmp_path: Path) -> None:
    path = str(tmp_path / "grain.toml")
    assert load_one(tmp_path, MINIMAL) == Topic("grain", "Grain", "Grain leaves Odesa by sea.", path=path)


@pytest.mark.parametrize(
    ("written", "noise"), [('"1/2000"', 0.0005), ("0.001", 0.001), ('" 1 / 400 "', 0.0025), ('"3/1000"', 0.003)]
)
def test_noise_is_a_share_or_a_number(tmp_path: Path, written: str, noise: float) -> None:
    assert load_one(tmp_path, f"{MINIMAL}noise = {written}\n").noise == noise


def test_space_around_a_headline_is_no_part_of_it(tmp_path: Path) -> None:
    assert load_one(tmp_path, f'{MINIMAL}examples = ["  Grain ship sails "]\n').examples == ("Grain ship sails",)


@pytest.mark.parametrize(
    ("written", "needed"),
    [
        ("sources = 3", Corroboration(3, None, timedelta(hours=6))),
        ("kinds = 2", Corroboration(None, 2, timedelta(hours=6))),
        ('sources = 2\nwithin = "30m"', Corroboration(2, None, timedelta(minutes=30))),
    ],
)
def test_one_count_is_enough_to_ask_for_corroboration(tmp_path: Path, written: str, needed: Corroboration) -> None:
    assert load_one(tmp_path, f"{MINIMAL}[story.corroboration]\n{written}\n").story.corroboration == needed


# -- a folder -------------------------------------------------------------------------------------


def test_topics_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    write(tmp_path, b=MINIMAL, a=MINIMAL, **{"2-c": MINIMAL})
    assert [topic.id for topic in load_rules(tmp_path)] == ["2-c", "a", "b"]


def test_empty_folder_has_no_topics(tmp_path: Path) -> None:
    assert load_topics(tmp_path) == ([], [])


def test_drafts_and_other_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, **{"_draft": "not toml", ".#grain": "not toml"})
    (tmp_path / "README.md").write_text("not toml")
    assert load_topics(tmp_path) == ([], [])


def test_missing_folder_is_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    said = "the folder of topics cannot be read: No such file or directory"
    assert load_topics(folder) == ([], [Problem(str(folder), None, said)])


def test_one_bad_file_does_not_take_the_others_away(tmp_path: Path) -> None:
    topics, problems = load_topics(write(tmp_path, bad="title = ", good=MINIMAL, worse=""))
    assert [topic.id for topic in topics] == ["good"]
    assert [Path(problem.path).stem for problem in problems] == ["bad", "worse", "worse"]


def test_all_topics_are_refused_where_all_must_be_right(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"bad\.toml:1: not valid TOML"):
        load_rules(write(tmp_path, bad="title = ", good=MINIMAL))


def test_warning_refuses_nothing(tmp_path: Path) -> None:
    assert load_one(tmp_path, f'{MINIMAL}[notify]\nmode = "digest"\n').notify.mode is Mode.DIGEST


@pytest.mark.parametrize("name", ["grain", "Grain", "grain_deal", "grain-2", "зерно"])
def test_file_name_is_the_topic_id(tmp_path: Path, name: str) -> None:
    (topic,), _ = load_topics(write(tmp_path, **{name: MINIMAL}))
    assert topic.id == name


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("grain deal", "grain-deal"),
        ("-grain", "grain"),
        ("grain.deal", "grain-deal"),
        ("!", "my-topic"),
    ],
)
def test_file_whose_name_is_no_id_is_refused_with_a_better_one(tmp_path: Path, name: str, better: str) -> None:
    topics, (problem,) = load_topics(write(tmp_path, **{name: MINIMAL}))
    assert topics == []
    said = f"a file's name is its topic's id: letters, digits, - and _, as in \"{better}.toml\""
    assert problem.message == said


@given(st.text(max_size=60))
def test_any_text_is_loaded_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "x.toml").write_text(text, encoding="utf-8", errors="replace", newline="")
    topics, problems = load_topics(folder)
    assert topics or problems


# -- advice ---------------------------------------------------------------------------------------

SOUND = Topic(
    id="grain",
    title="Grain corridor",
    description="Ships with grain leave Odesa.",
    examples=("Grain ship leaves Odesa", "Wheat convoy reaches Constanta"),
    tests=(TopicTest("Corridor for wheat holds", True),),
    path="grain.toml",
)
OTHER = replace(SOUND, id="rice", title="Rice", examples=("Rice is dear", "Rice is scarce"), path="rice.toml")


def advice(*topics: Topic) -> list[str]:
    return [str(problem) for problem in lint(topics)]


def test_sound_topics_get_no_advice() -> None:
    assert advice(SOUND, OTHER) == []


def test_same_title_in_two_topics_is_an_error_of_the_second() -> None:
    assert advice(SOUND, replace(OTHER, title="GRAIN  corridor")) == [
        'rice.toml: title: the topic grain has the title "GRAIN  corridor" too; readers could not tell them apart'
    ]


def test_example_of_two_topics_is_a_warning() -> None:
    assert advice(SOUND, replace(OTHER, examples=("Rice is dear", "grain ship leaves odesa"))) == [
        'rice.toml: warning: examples: "grain ship leaves odesa" is an example of grain too'
    ]


def test_negative_may_be_another_topic_s_example() -> None:
    assert advice(SOUND, replace(OTHER, negatives=SOUND.examples)) == []


def test_test_that_repeats_a_negative_proves_nothing() -> None:
    topic = replace(SOUND, negatives=("Rice is dear",), tests=(TopicTest("Rice is dear!", False), *SOUND.tests))
    assert advice(topic) == []
    assert advice(replace(topic, tests=(TopicTest("Rice is DEAR", False),))) == [
        "grain.toml: warning: tests.title: this test is one of the examples or negatives: it proves nothing"
    ]


LOOSE = ["eu", "G7", "ai*", "pro*", "anti*", "анти*", "кит*", "中*", "2024", "中国*", "the*"]
SPECIFIC = ["nato", "l550e", "f16", "oreshnik*", "НАТО", "ес", "зерн*", "粮食*", "一帶一路", "brics pay", "J-20"]


@pytest.mark.parametrize("term", LOOSE)
def test_term_that_stands_everywhere_is_warned_of(term: str) -> None:
    assert len(advice(replace(SOUND, terms=Terms(always=(term,))))) == 1


@pytest.mark.parametrize("term", SPECIFIC)
def test_specific_term_is_taken_without_a_word(term: str) -> None:
    assert advice(replace(SOUND, terms=Terms(always=(term,)))) == []


def test_loose_term_is_fine_in_a_group_of_require() -> None:
    assert advice(replace(SOUND, terms=Terms(require=(("eu",), ("grain",))))) == []


# -- the shipped topics ---------------------------------------------------------------------------


def test_shipped_topics_have_no_problem_and_need_no_advice() -> None:
    assert check_topics(ROOT / "rules")[1] == []


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("desk:asia", ""),
        ("desk:", ""),
        ("#desk", ""),
        ("dask:asia", 'notify.channel: monitor.toml has no [[sink]] "dask"; did you mean "desk"?'),
        ("nothing:", 'notify.channel: monitor.toml has no [[sink]] "nothing"; there are desk, phone'),
    ],
)
def test_channel_of_a_sink_that_is_not_there_keeps_the_topic_out(tmp_path: Path, channel: str, said: str) -> None:
    write(tmp_path, grain=MINIMAL + f'[notify]\nchannel = "{channel}"\n')
    topics, problems = load_topics(tmp_path, ["desk", "phone"])
    assert [problem.message for problem in problems] == [said] * bool(said)
    assert len(topics) == (not said)
    assert [problem.line for problem in problems] == [MINIMAL.count("\n") + 2] * bool(said)
