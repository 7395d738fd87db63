"""A folder's `_pack.toml`: what it gives its topics, what it refuses, and who else is asked; several folders together.

Each bad file in data/packs is named after its mistake.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_rules import FIX, JUNK, KEYS, MINIMAL, TOPIC_FILES, _any_toml, _check, _unplaced, write

from monitor.errors import Level
from monitor.model import Severity, Topic
from monitor.rules import (
    PACK,
    address,
    as_data,
    check_topics,
    load_rules,
    load_topics,
    origins,
    pack_schema,
    read_topics,
    topic_schema,
    with_defaults,
)
from monitor.toml import dump

ROOT = Path(__file__).parents[1]
BAD = sorted((Path(__file__).parent / "data" / "packs").glob("*.toml"))

DEFAULTS = """\
theme    = "Trade"
severity = "high"
owner    = "@grain-desk"

[scope]
languages = ["en", "ru"]
max_age   = "48h"

[story]
window        = "36h"
corroboration = { sources = 3, within = "4h" }

[notify]
channel = "desk:"
"""


def load_one(folder: Path, topic: str, pack: str = DEFAULTS) -> Topic:
    (loaded,) = load_rules(write(folder, grain=topic, _pack=pack))
    return loaded


# -- what a topic inherits ------------------------------------------------------------------------


def test_topic_has_what_its_pack_says_and_it_does_not(tmp_path: Path) -> None:
    topic = load_one(tmp_path, MINIMAL)
    assert (topic.theme, topic.severity, topic.owner) == ("Trade", Severity.HIGH, "@grain-desk")
    assert (topic.scope.languages, topic.scope.max_age) == ({"en", "ru"}, timedelta(days=2))
    assert (topic.story.window, topic.notify.channel) == (timedelta(hours=36), "desk:")


def test_topic_s_own_word_counts_key_by_key(tmp_path: Path) -> None:
    topic = load_one(tmp_path, MINIMAL + 'severity = "info"\ntheme = ""\n[scope]\nlanguages = []\n')
    assert (topic.severity, topic.theme, topic.scope.languages) == (Severity.INFO, "", frozenset())
    assert (topic.owner, topic.scope.max_age) == ("@grain-desk", timedelta(days=2))


def test_corroboration_is_one_value(tmp_path: Path) -> None:
    """Its keys say one thing together: two kinds, with the pack's three sources beside them, would be another."""
    asked = load_one(tmp_path, MINIMAL + "[story.corroboration]\nkinds = 2\n").story.corroboration
    assert asked is not None
    assert (asked.sources, asked.kinds, asked.within) == (None, 2, timedelta(hours=6))


def test_pack_satisfies_the_policy(tmp_path: Path) -> None:
    write(tmp_path, grain=MINIMAL, _pack=DEFAULTS)
    policy = {"owner": Level.ERROR, "theme": Level.ERROR}
    assert [problem for problem in check_topics(tmp_path, policy=policy)[1] if problem.level is Level.ERROR] == []


def test_pack_is_of_its_folder_alone(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write(inner, grain=MINIMAL)
    write(tmp_path, rice=MINIMAL, _pack=DEFAULTS)
    assert [(topic.id, topic.theme) for topic in load_rules([tmp_path, inner])] == [("rice", "Trade"), ("grain", "")]


MOVED = st.sets(st.sampled_from(["theme", "status", "severity", "noise", "owner", "scope", "story", "notify"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TOPIC_FILES, MOVED, TOPIC_FILES)
def test_topic_is_the_same_wherever_its_values_stand(
    tmp_path: Path, written: dict[str, Any], moved: set[str], other: dict[str, Any]
) -> None:
    """Moved to the pack they hold; what the pack says of keys that the topic has does not."""
    (whole,) = load_rules(write(tmp_path, grain=dump(written), _pack=""))
    left = {key: value for key, value in written.items() if key not in moved}
    pack = {key: value for key, value in written.items() if key in moved}
    pack |= {key: other[key] for key in ("theme", "severity", "noise", "status") if key in other and key in left}
    (parted,) = load_rules(write(tmp_path, grain=dump(left), _pack=dump(pack)))
    assert _unplaced(parted) == _unplaced(whole)
    assert jsonschema.Draft7Validator(SCHEMA).is_valid(pack)


# -- where a value stands -------------------------------------------------------------------------


def test_each_value_says_where_it_stands(tmp_path: Path) -> None:
    write(
        tmp_path, grain=MINIMAL + '[scope]\nmax_age = "3d"\n[[tests]]\ntitle = "A"\nexpect = "alert"\n', _pack=DEFAULTS
    )
    [(topic, source)] = read_topics(tmp_path)[0]
    stands = origins(topic, source)
    own, pack = str(tmp_path / "grain.toml"), str(tmp_path / PACK)
    assert stands[("title",)] == (own, 1)
    assert (stands[("scope", "max_age")], stands[("scope", "languages")]) == ((own, 4), (pack, 6))
    assert (stands[("story", "corroboration")], stands[("notify", "channel")]) == ((pack, 11), (pack, 14))
    assert (stands[("noise",)], stands[("terms", "always")]) == (None, None)
    assert stands[("tests", 0)] == (own, 5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TOPIC_FILES)
def test_notes_change_nothing_of_what_is_shown(tmp_path: Path, written: dict[str, Any]) -> None:
    [(topic, source)] = read_topics(write(tmp_path, grain=dump(written)))[0]
    notes = {keys: str(place) for keys, place in origins(topic, source).items()}
    shown = as_data(topic)
    assert tomllib.loads(dump(shown, notes)) == tomllib.loads(dump(shown))


def test_address_of_a_topic_is_made_of_folder_file_and_line(tmp_path: Path) -> None:
    folder = tmp_path / "far east"
    folder.mkdir()
    [topic] = load_rules(write(folder, grain="# grain\n" + MINIMAL))
    said = address(topic, "https://git.example/blob/main/{folder}/{file}?plain=1#L{line}")
    assert said == "https://git.example/blob/main/far%20east/grain.toml?plain=1#L2"
    assert topic.place == f"{folder / 'grain.toml'}:2"


# -- what is wrong with a pack --------------------------------------------------------------------


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_mistake_is_told_in_these_words(file: Path, tmp_path: Path) -> None:
    write(tmp_path, grain=MINIMAL, _pack=file.read_text(encoding="utf-8"))
    topics, problems = load_topics(tmp_path)
    said = [str(problem).removeprefix(f"{tmp_path / PACK}:") for problem in problems]
    assert said == file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert all(FIX.search(line) for line in said)
    assert topics == []


def test_mistakes_of_topics_are_told_beside_those_of_their_pack(tmp_path: Path) -> None:
    write(tmp_path, grain=MINIMAL + "x = 1\n", _pack="y = 1\n")
    assert [Path(problem.path).name for problem in load_topics(tmp_path)[1]] == [PACK, "grain.toml"]


def test_broken_pack_costs_no_other_folder_its_topics(tmp_path: Path) -> None:
    broken, sound = tmp_path / "broken", tmp_path / "sound"
    broken.mkdir(), sound.mkdir()
    write(broken, grain=MINIMAL, _pack="severity = 1\n")
    write(sound, rice=MINIMAL)
    assert [topic.id for topic in load_topics([broken, sound])[0]] == ["rice"]


def test_what_an_inherited_value_gets_wrong_is_told_once_in_the_pack(tmp_path: Path) -> None:
    write(tmp_path, grain=MINIMAL, rice=MINIMAL.replace("Grain", "Rice"), _pack='[scope]\nkinds = ["wier"]\n')
    _, problems = check_topics(tmp_path)
    [said] = [str(problem) for problem in problems if "kinds" in str(problem)]
    assert said.startswith(f'{tmp_path / PACK}:2:9: warning: scope.kinds: "wier" is none of the usual kinds')


def test_pack_whose_channel_names_no_sink_is_refused(tmp_path: Path) -> None:
    topics, [problem] = load_topics(write(tmp_path, grain=MINIMAL, _pack=DEFAULTS), ["dask"])
    assert (topics, problem.line, "no [[sink]]" in problem.message) == ([], 14, True)


@pytest.mark.parametrize("kind", ["directory", "link to nowhere", "pipe"])
def test_pack_that_is_no_file_is_told_of(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path, grain=MINIMAL) / PACK
    {"directory": Path.mkdir, "pipe": os.mkfifo, "link to nowhere": lambda path: path.symlink_to("nowhere")}[kind](path)
    topics, [problem] = load_topics(tmp_path)
    assert (topics, problem.path) == ([], str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*KEYS, "theme", "owner", "channel"]) | st.text(max_size=5), JUNK, max_size=6))
def test_no_toml_in_a_pack_crashes_the_check(tmp_path: Path, data: dict[str, Any]) -> None:
    write(tmp_path, grain=MINIMAL, _pack=_any_toml(data))
    _check(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_in_a_pack_crash_the_check(tmp_path: Path, data: bytes) -> None:
    write(tmp_path, grain=MINIMAL)
    (tmp_path / PACK).write_bytes(data)
    _check(tmp_path)


# -- several folders ------------------------------------------------------------------------------


def test_topic_of_one_id_in_two_folders_is_an_error_that_names_both(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir(), other.mkdir()
    write(one, grain=MINIMAL)
    write(other, grain=MINIMAL, rice=MINIMAL)
    topics, [problem] = load_topics([one, other])
    assert [topic.path for topic in topics] == [str(one / "grain.toml"), str(other / "rice.toml")]
    said = f"{other / 'grain.toml'}: {one / 'grain.toml'} is the same topic; a file's name is its id, rename one"
    assert str(problem) == said


def test_folder_that_is_not_there_costs_no_other_its_topics(tmp_path: Path) -> None:
    topics, [problem] = load_topics([tmp_path / "nowhere", write(tmp_path, grain=MINIMAL)])
    assert ([topic.id for topic in topics], "nowhere" in str(problem)) == (["grain"], True)


# -- the schema -----------------------------------------------------------------------------------

SCHEMA = json.loads((ROOT / "deploy" / "pack.schema.json").read_text(encoding="utf-8"))
#: mistakes that JSON Schema has no word for
BEYOND_SCHEMA = {"window-too-short"}


def test_published_schema_is_the_model_s() -> None:
    """After a change of the model: monitor rules schema --pack > deploy/pack.schema.json"""
    assert pack_schema() == SCHEMA
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_keys_of_a_pack_are_those_of_a_topic() -> None:
    theirs = topic_schema()["properties"]
    assert SCHEMA["properties"] == {key: theirs[key] for key in SCHEMA["properties"]}
    assert "required" not in SCHEMA


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_schema_refuses_what_the_model_refuses(file: Path) -> None:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return
    assert jsonschema.Draft7Validator(SCHEMA).is_valid(data) == (file.stem in BEYOND_SCHEMA)


@pytest.mark.parametrize("file", sorted((ROOT / "rules").rglob(PACK)), ids=lambda file: file.parent.name)
def test_shipped_pack_begins_with_where_its_schema_is(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("#:schema ")
    assert (file.parent / first.removeprefix("#:schema ")).resolve() == ROOT / "deploy" / "pack.schema.json"
    assert jsonschema.Draft7Validator(SCHEMA).is_valid(tomllib.loads(file.read_text(encoding="utf-8")))


def test_topic_that_is_to_be_written_has_what_its_pack_says(tmp_path: Path) -> None:
    (tmp_path / "_pack.toml").write_text(
        'owner = "@desk"\nnoise = "1/500"\n[scope]\nlanguages = ["ru"]\n', encoding="utf-8"
    )
    draft = Topic(id="grain", title="Grain", description="Grain leaves.", owner="@me", examples=("Ships sail",))
    (tmp_path / "grain.toml").write_text(
        'title = "Grain"\ndescription = "Grain leaves."\nowner = "@me"\nexamples = ["Ships sail"]\n', encoding="utf-8"
    )
    [written] = load_rules(tmp_path)
    assert replace(with_defaults(draft, tmp_path), line=None) == replace(written, line=None)
