"""Topic files; each bad file in data/rules is named after its mistake."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor import report
from monitor.errors import Level, Problem, RulesError
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
from monitor.rules import (
    as_data,
    check_topics,
    lint,
    load_rules,
    load_topics,
    schema_line,
    topic_files,
    topic_schema,
)
from monitor.toml import dump

ROOT = Path(__file__).parents[1]
BAD = sorted((Path(__file__).parent / "data" / "rules").glob("*.toml"))
#: the folders of topics that come with the program, and their files
PACKS = [ROOT / "rules", *sorted(folder for folder in (ROOT / "rules").iterdir() if folder.is_dir())]
SHIPPED = [file for folder in PACKS for file in topic_files(folder)]
ADVICE = "lint-"  # files that load all the same

KEYS = ["title", "description", "examples", "noise", "severity", "terms", "always", "require", "scope", "max_age", "story",
        "corroboration", "sources", "notify", "daily_budget", "tests", "expect", "story_tests", "steps", "at"]  # fmt: skip

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


#: how a message says what would be right
FIX = re.compile(r"; |: write |expected .*, got |is none of |not yet acted on")


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_every_message_has_a_place_and_a_fix(file: Path) -> None:
    for line in file.with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        assert re.match(r"\d+:(\d+:)? \S", line)
        assert FIX.search(line)


def test_there_are_forty_mistakes_and_more() -> None:
    assert len(BAD) >= 40


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
    with pytest.raises(RulesError, match=r"bad\.toml:1:8: not valid TOML"):
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
        (
            'rice.toml: title: the topic grain has the title "GRAIN  corridor" too; '
            "readers could not tell them apart, name it otherwise"
        )
    ]


def test_example_of_two_topics_is_a_warning() -> None:
    assert advice(SOUND, replace(OTHER, examples=("Rice is dear", "grain ship leaves odesa"))) == [
        'rice.toml: warning: examples: "grain ship leaves odesa" is an example of grain too; leave it to one of them'
    ]


def test_negative_may_be_another_topic_s_example() -> None:
    assert advice(SOUND, replace(OTHER, negatives=SOUND.examples)) == []


def test_test_that_repeats_a_negative_proves_nothing() -> None:
    topic = replace(SOUND, negatives=("Rice is dear",), tests=(TopicTest("Rice is dear!", False), *SOUND.tests))
    assert advice(topic) == []
    assert advice(replace(topic, tests=(TopicTest("Rice is DEAR", False),))) == [
        (
            "grain.toml: warning: tests.title: this test is one of the examples or negatives; it proves nothing, "
            "test another headline"
        )
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


@pytest.mark.parametrize("folder", PACKS, ids=lambda folder: folder.name)
def test_shipped_topics_have_no_problem_and_need_no_advice(folder: Path) -> None:
    topics, problems = check_topics(folder)
    assert (problems, len(topics) >= 8) == ([], True)
    assert all(sum(test.alert for test in topic.tests) >= 4 for topic in topics)
    assert all(sum(not test.alert for test in topic.tests) >= 4 for topic in topics)


def test_shipped_packs_go_together() -> None:
    assert check_topics(PACKS)[1] == []


def test_code_names_no_shipped_topic() -> None:
    """Whose subject it is, is in the files alone."""
    code = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "monitor").glob("*.py")}
    subjects = {file.stem for file in SHIPPED} | {folder.name for folder in PACKS[1:]}
    assert {(name, subject) for name, text in code.items() for subject in subjects if subject in text} == set()


# -- what topics are to have ----------------------------------------------------------------------


def test_policy_says_what_is_asked_for_and_how_bad_it_is_without() -> None:
    bare = replace(SOUND, tests=())
    policy = {"owner": Level.ERROR, "theme": Level.ADVICE}
    assert [problem.level for problem in lint([bare], policy=policy)] == [Level.ERROR, Level.ADVICE]
    assert lint([bare], policy={}) == []
    assert lint([replace(SOUND, owner="@desk", theme="Trade")], policy=policy) == []


# -- the schema -----------------------------------------------------------------------------------

SCHEMA = json.loads((ROOT / "deploy" / "topic.schema.json").read_text(encoding="utf-8"))
#: mistakes that JSON Schema has no word for: what is no TOML, ranges of times, the order of steps, secrets, cross-references
BEYOND_SCHEMA = {
    "corroboration-within-too-short", "first-step-a-copy", "scope-max-age-too-long", "step-a-year-late",
    "steps-back-in-time", "steps-begin-late", "token-as-channel", "window-too-short", "noise-by-zero",
}  # fmt: skip


def schema_takes(data: object) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(data))


def test_published_schema_is_the_model_s() -> None:
    """After a change of the model: monitor rules schema > deploy/topic.schema.json"""
    assert topic_schema() == SCHEMA


def test_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def _keys_without_a_word(schema: dict[str, Any], at: str = "") -> list[str]:
    found = [at] if at and "description" not in schema else []
    for name, inner in schema.get("properties", {}).items():
        found += _keys_without_a_word(inner, f"{at}.{name}")
    return found + (
        _keys_without_a_word(schema["items"], f"{at}[]")[1:] if "properties" in schema.get("items", {}) else []
    )


def test_schema_says_what_each_key_is_for() -> None:
    assert _keys_without_a_word(SCHEMA) == []


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_schema_takes_every_shipped_topic(file: Path) -> None:
    assert schema_takes(tomllib.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_schema_refuses_what_the_model_refuses(file: Path) -> None:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return  # no editor gets as far as the schema
    assert schema_takes(data) == (file.stem.startswith(ADVICE) or file.stem in BEYOND_SCHEMA)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_topic_begins_with_where_its_schema_is(file: Path) -> None:
    with file.open(encoding="utf-8") as lines:
        assert next(lines) == schema_line(file.parent)
    assert (file.parent / schema_line(file.parent).removeprefix("#:schema ").strip()).is_file()


def test_folder_without_a_schema_near_has_no_line_for_it(tmp_path: Path) -> None:
    assert schema_line(tmp_path) == ""


# -- there and back -------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(lambda text: text.strip())
WORD_LISTS = st.lists(WORDS, max_size=3)
TERMS = st.lists(st.from_regex(r"\A[a-zа-я粮]{1,8}( [a-z]{1,5})?\*?\Z"), min_size=1, max_size=3)
DURATIONS = st.sampled_from(["1h", "90m", "24h", "2d", "1w", "1d12h"])
LANGUAGES = st.lists(st.sampled_from(["en", "ru", "uk", "zh"]), max_size=3)


def _table(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


TOPIC_FILES = st.fixed_dictionaries(
    {"title": WORDS, "description": WORDS},
    optional={
        "theme": st.text(max_size=9), "owner": st.text(max_size=9),
        "examples": WORD_LISTS, "negatives": WORD_LISTS,
        "status": st.sampled_from(list(TopicStatus)), "severity": st.sampled_from(list(Severity)),
        "noise": st.sampled_from(["1/2000", "3/7", "1/999999999999"]) | st.floats(1e-12, 0.999),
        "terms": _table(always=TERMS, require=st.lists(TERMS, max_size=2), exclude=TERMS),
        "scope": _table(languages=LANGUAGES, sources=WORD_LISTS, kinds=WORD_LISTS, max_age=DURATIONS),
        "story": _table(
            window=DURATIONS,
            corroboration=st.fixed_dictionaries(
                {"sources": st.integers(2, 20)}, optional={"kinds": st.integers(2, 6), "within": DURATIONS}
            ),
        ),
        "notify": _table(
            channel=st.sampled_from(["", "#desk", "C0123456789", "desk:"]), mode=st.sampled_from(list(Mode)),
            followups=st.sampled_from(list(Followups)), daily_budget=st.integers(1, 10_000),
            quiet_hours=st.sampled_from(["22:00-07:00", "22:00-07:00 Europe/Berlin"]),
        ),
        "tests": st.lists(
            st.fixed_dictionaries(
                {"title": WORDS, "expect": st.sampled_from(["alert", "silent"])},
                optional={"text": st.text(max_size=9), "lang": st.sampled_from(["", "en"])},
            ),
            max_size=3,
        ),
        "story_tests": st.lists(
            st.fixed_dictionaries(
                {
                    "name": WORDS,
                    "steps": st.just([{"at": "0h", "title": "A", "expect": "root"}]).flatmap(
                        lambda first: st.lists(
                            st.fixed_dictionaries(
                                {"at": st.just("2h"), "title": WORDS, "expect": st.sampled_from(["copy", "update"])}
                            ),
                            max_size=2,
                        ).map(lambda rest: first + rest)
                    ),
                }
            ),
            max_size=2,
        ),
    },
)  # fmt: skip


def _unplaced(topic: Topic) -> Topic:
    """A topic but for where in which file it stands."""
    return replace(
        topic,
        path="",
        tests=tuple(replace(test, line=None) for test in topic.tests),
        story_tests=tuple(replace(test, line=None) for test in topic.story_tests),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TOPIC_FILES)
def test_topic_survives_load_show_save_and_load(tmp_path: Path, written: dict[str, Any]) -> None:
    topic = load_one(tmp_path, dump(written))
    shown = as_data(topic)
    again = load_one(tmp_path, dump(shown))
    assert _unplaced(again) == _unplaced(topic)
    assert as_data(again) == shown
    assert json.loads(json.dumps(shown)) == shown
    assert schema_takes(written)
    assert schema_takes(tomllib.loads(dump(shown)))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_topic_survives_load_show_save_and_load(file: Path, tmp_path: Path) -> None:
    shutil.copy(file, tmp_path)
    (topic,) = load_rules(tmp_path)
    (tmp_path / file.name).write_text(dump(as_data(topic)), encoding="utf-8")
    (again,) = load_rules(tmp_path)
    assert _unplaced(again) == _unplaced(topic)


# -- no file whatever -----------------------------------------------------------------------------

#: by its digits: Python shows none of more than 4,300
HUGE = ["0x" + "f" * 4000]
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(HUGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


def _check(folder: Path) -> None:
    topics, problems = check_topics(folder)
    for form in (report.as_text(problems, lambda _: "\0x"), report.as_json(problems, 0), report.as_github(problems)):
        form.encode()
    ElementTree.fromstring(report.as_junit("x", [report.Case("x", problem.path, str(problem)) for problem in problems]))  # noqa: S314 - ours
    assert all(len(str(problem).splitlines()) == 1 for problem in problems)
    for topic in topics:  # what passes, survives being shown, saved and loaded
        again, said = load_topics(write(_emptied(folder / "again"), **{topic.id: dump(as_data(topic))}))
        assert ([_unplaced(one) for one in again], said) == ([_unplaced(topic)], [])


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_crash_the_check(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.toml").write_bytes(data)
    _check(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), JUNK, max_size=6))
def test_no_toml_crashes_the_check(tmp_path: Path, data: dict[str, Any]) -> None:
    (tmp_path / "x.toml").write_text(_any_toml(data), encoding="utf-8")
    _check(tmp_path)


def _any_toml(data: dict[str, Any]) -> str:
    """What `dump` would write, with numbers that it refuses."""
    return "\n".join(f"{json.dumps(key)} = {_any_value(value)}" for key, value in data.items()).replace("\x7f", "")


def _any_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_any_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_any_value, value)) + "]"
    if value in HUGE:
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value) if value > 0 else str(value) if value > -(10**18) else "-1"
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_mutation_of_a_topic_crashes_the_check(tmp_path: Path, data: st.DataObject) -> None:
    text = FULL
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        end = begin + data.draw(st.integers(0, 20))
        text = text[:begin] + data.draw(st.text(st.sampled_from("ab1.=[]{},\"'#\n\\ \0"), max_size=5)) + text[end:]
    (tmp_path / "grain.toml").write_text(text, encoding="utf-8")
    _check(tmp_path)


STRANGE: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "pipe": os.mkfifo,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "huge": lambda path: path.write_bytes(b"#" * 2_000_000),
    "hole": lambda path: os.truncate(path, 10**12) if path.touch() is None else None,
    "NULs": lambda path: path.write_bytes(b"\0" * 1000),
    "deep arrays": lambda path: path.write_text("a = " + "[" * 100_000),
    "deep arrays, closed": lambda path: path.write_text("title = " + "[" * 400 + "]" * 400),
    "deep key": lambda path: path.write_text("a." * 200_000 + "a = 1"),
    "deep header": lambda path: path.write_text("[" + " a ." * 200_000 + "a]"),
    "deep tables": lambda path: path.write_text("".join(f"[{'a.' * n}a]\n" for n in range(150))),
    "one long line": lambda path: path.write_text('title = "' + "a. " * 300_000 + '"'),
    "many dots": lambda path: path.write_text("title = " + "." * 900_000),
    "many brackets": lambda path: path.write_text("x = " + "[]," * 300_000),
    "byte order mark": lambda path: path.write_bytes(b"\xef\xbb\xbf\xef\xbb\xbf"),
    "UTF-16": lambda path: path.write_text(MINIMAL, encoding="utf-16"),
    "empty": Path.touch,
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_file_is_a_problem_of_its_own(kind: str, tmp_path: Path) -> None:
    STRANGE[kind](write(tmp_path, good=MINIMAL) / "x.toml")
    topics, problems = check_topics(tmp_path)
    assert [topic.id for topic in topics] == ["good"]
    assert {Path(problem.path).stem for problem in problems if problem.level is Level.ERROR} == {"x"}
    _check(tmp_path)


def test_file_whose_name_is_no_text_is_told_of(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\n.toml")).write_text(MINIMAL)
    _, [problem, *_] = check_topics(tmp_path)
    assert "\\udcff\\n.toml: a file's name is its topic's id" in str(problem)
    _check(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read_is_told_of(tmp_path: Path) -> None:
    write(tmp_path, x=MINIMAL)
    (tmp_path / "x.toml").chmod(0)
    assert "cannot be read" in str(check_topics(tmp_path)[1][0])


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
